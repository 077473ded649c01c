"""The buffer in memory: bounded by count and bytes, in classes of severity."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from eventlog_handlers.buffers import Evicted, Lost
from eventlog_handlers.buffers.queues import Position, Queues, new_position
from eventlog_handlers.buffers.severity import class_of
from eventlog_handlers.events import JSON, MAX_DEPTH, MAX_VALUES, Event, Lease

_EVENT_OVERHEAD_BYTES = 1_200  # one event without its texts: 1,030 by tracemalloc on CPython 3.11


class _Entry:
    __slots__ = ("attempts", "event", "position", "put_at")

    position: Position
    """Set by a lease: until then the queues alone have it."""

    def __init__(self, event: Event, now: float) -> None:
        self.event = event
        self.put_at = now
        self.attempts = 0


class MemoryBuffer:
    """Events by class of severity: the most severe are leased first, the least severe dropped first.

    *capacity* and *capacity_bytes* bound the held events, leased ones included. *policy* names the event to
    drop: ``drop_lowest`` the least severe, and of those the oldest of the fingerprint that has most of them
    (the newcomer itself if all others are more severe), ``drop_newest`` the newcomer. Leased events are never
    evicted. *clock* gives monotonic seconds.
    """

    journal = None

    def __init__(
        self, *, capacity: int, capacity_bytes: int, policy: str, clock: Callable[[], float]
    ) -> None:
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._policy = policy
        self._clock = clock
        self._next_key = 0
        self._bytes = 0
        self._held: dict[int, _Entry] = {}
        self._leased: set[int] = set()
        self._queues = Queues()

    def put(self, events: Sequence[Event]) -> list[Evicted]:
        weights = list(map(weight, events))  # first of all: what can't be weighed raises before any is held
        now = self._clock()
        evicted: list[Evicted] = []
        for event, size in zip(events, weights, strict=True):
            key = self._next_key
            position = new_position(key, class_of(event.level), event.fingerprint, size)
            if not self._make_room(position, now, evicted):
                evicted.append(Evicted(event, None))
                continue
            self._next_key += 1
            self._bytes += size
            self._held[key] = _Entry(event, now)
            self._queues.add(position)
        return evicted

    def lease(self, count: int) -> list[Lease]:
        now = self._clock()
        self._queues.release(now)
        leases: list[Lease] = []
        while len(leases) < count and (position := self._queues.pop_first()) is not None:
            entry = self._held[position.key]
            entry.position = position
            entry.attempts += 1
            self._leased.add(position.key)
            leases.append(Lease(entry.event, position.key, entry.attempts, now - entry.put_at))
        return leases

    def ack(self, leases: Iterable[Lease]) -> None:
        for lease in leases:
            self._leased.remove(lease.key)
            self._bytes -= self._held.pop(lease.key).position.size

    def drop(self, leases: Iterable[Lease], reason: str) -> None:
        """As ``ack``: nothing is kept of a dropped event."""
        self.ack(leases)

    def nack(self, lease: Lease, delay: float, *, spent: bool = True) -> None:
        self._leased.remove(lease.key)
        entry = self._held[lease.key]
        if not spent:
            entry.attempts -= 1
        if delay > 0:
            self._queues.delay(entry.position._replace(ready_at=self._clock() + delay))
        else:
            self._queues.add(entry.position)

    def ready(self) -> int:
        self._queues.release(self._clock())
        return self._queues.ready

    def ready_bytes(self) -> int:
        return self._queues.ready_bytes

    def ready_in(self) -> float | None:
        now = self._clock()
        self._queues.release(now)
        if self._queues.ready:
            return 0.0
        due_at = self._queues.due_at()
        return None if due_at is None else due_at - now

    def keys(self) -> set[int]:
        return set(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def bytes(self) -> int:
        return self._bytes

    def oldest(self) -> float | None:
        first = next(iter(self._held.values()), None)  # a dict keeps the order of puts
        return None if first is None else self._clock() - first.put_at

    def adopt(self) -> int:
        """Nothing: a process's memory dies with it."""
        return 0

    def lost(self) -> list[Lost]:
        """Nothing gets lost in memory."""
        return []

    def state(self) -> dict[str, Any]:
        """All in memory: nothing to tell."""
        return {}

    def close(self) -> None:
        """Nothing lies outside the process."""

    def _make_room(self, newcomer: Position, now: float, evicted: list[Evicted]) -> bool:
        """Evict until *newcomer* fits; False if it is the one to drop."""
        while len(self._held) >= self._capacity or self._bytes + newcomer.size > self._capacity_bytes:
            self._queues.release(now)
            victim = self._victim(newcomer)
            if victim is None:
                return False
            self._bytes -= victim.size
            evicted.append(Evicted(self._held.pop(victim.key).event, victim.key))
        return True

    def _victim(self, newcomer: Position) -> Position | None:
        if self._policy == "drop_newest" or not self._queues:
            return None
        severity, _ = self._queues.weakest()
        return self._queues.pop_weakest(severity) if severity >= newcomer.severity else None


def weight(event: Event) -> int:
    """Bytes an event takes in memory, estimated from its texts."""
    total = _EVENT_OVERHEAD_BYTES + sys.getsizeof(event.message) + sys.getsizeof(event.stack)
    if event.exception is not None:
        total += sys.getsizeof(event.exception.stacktrace) + sys.getsizeof(event.exception.message)
    for name, value in event.attributes.items():
        total += sys.getsizeof(name)
        total += weight_of(value) if isinstance(value, (dict, list)) else sys.getsizeof(value)
    return total


def weight_of(value: JSON) -> int:
    """Bytes that *value* takes in memory.

    Found without recursion; what lies beyond MAX_DEPTH levels or MAX_VALUES values weighs nothing.
    """
    total = seen = 0
    level: list[JSON] = [value]
    for _ in range(MAX_DEPTH):
        deeper: list[JSON] = []
        for one in level:
            if isinstance(one, dict):
                total += 64 + sum(map(sys.getsizeof, one))
                deeper.extend(one.values())
            elif isinstance(one, list):
                total += 56
                deeper.extend(one)
            else:
                total += sys.getsizeof(one)
        seen += len(deeper)
        if not deeper or seen > MAX_VALUES:
            break
        level = deeper
    return total
