"""The buffer in memory: bounded by count and bytes, in classes of severity."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from eventlog_handlers.buffers import Evicted, Lost
from eventlog_handlers.buffers.packed import Commons, Packed
from eventlog_handlers.buffers.queues import Queues
from eventlog_handlers.events import JSON, MAX_DEPTH, MAX_VALUES, Event, Lease

_EVENT_OVERHEAD_BYTES = 900  # without texts: 730 by tracemalloc on CPython 3.11, 320 where it is like others


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
        self._count = 0  # by itself: it is asked for without a lock, also while an event is being leased
        self._bytes = 0
        self._queues: Queues[Packed] = Queues()
        self._leased: dict[int, Packed] = {}
        self._commons = Commons()

    def put(self, events: Sequence[Event]) -> list[Evicted]:
        # First of all: what can't be weighed or compared raises before any is held.
        weights, commons = list(map(weight, events)), list(map(self._commons.of, events))
        now = self._clock()
        evicted: list[Evicted] = []
        for event, size, common in zip(events, weights, commons, strict=True):
            newcomer = Packed(self._next_key, size, event, common, now)
            if not self._make_room(newcomer, now, evicted):
                evicted.append(Evicted(event, None))
                continue
            self._next_key += 1
            self._queues.add(newcomer)
            self._count += 1
            self._bytes += size
        return evicted

    def lease(self, count: int) -> list[Lease]:
        now = self._clock()
        self._queues.release(now)
        leases: list[Lease] = []
        taken: list[Packed] = []
        try:
            while len(leases) < count and (packed := self._queues.pop_first()) is not None:
                taken.append(packed)
                leases.append(Lease(packed.event(), packed.key, packed.attempts + 1, now - packed.put_at))
        except BaseException:  # no memory: a lease that nobody gets would never end
            for packed in taken:
                self._queues.add(packed)
            raise
        for packed in taken:
            packed.attempts += 1
            self._leased[packed.key] = packed
        return leases

    def ack(self, leases: Iterable[Lease]) -> None:
        for lease in leases:
            self._bytes -= self._leased.pop(lease.key).size
            self._count -= 1

    def drop(self, leases: Iterable[Lease], reason: str) -> None:
        """As ``ack``: nothing is kept of a dropped event."""
        self.ack(leases)

    def nack(self, lease: Lease, delay: float, *, spent: bool = True) -> None:
        packed = self._leased.pop(lease.key)
        if not spent:
            packed.attempts -= 1
        if delay > 0:
            packed.ready_at = self._clock() + delay
            self._queues.delay(packed)
        else:
            self._queues.add(packed)

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
        return {packed.key for packed in self._queues}.union(self._leased)

    def next_key(self) -> int:
        return self._next_key

    def __len__(self) -> int:
        return self._count

    def bytes(self) -> int:
        return self._bytes

    def oldest(self) -> float | None:
        puts = [packed.put_at for packed in self._leased.values()]
        if (waiting := self._queues.oldest()) is not None:
            puts.append(waiting.put_at)
        return self._clock() - min(puts) if puts else None

    def adopt(self) -> int:
        """Nothing: a process's memory dies with it."""
        return 0

    def lost(self) -> list[Lost]:
        """Nothing gets lost in memory."""
        return []

    def state(self) -> dict[str, Any]:
        """All in memory: nothing to tell."""
        return {}

    def rest(self) -> None:
        """Nothing lies outside the process."""

    def close(self) -> None:
        """The same."""

    def _make_room(self, newcomer: Packed, now: float, evicted: list[Evicted]) -> bool:
        """Evict until *newcomer* fits; False if it is the one to drop."""
        while self._count >= self._capacity or self._bytes + newcomer.size > self._capacity_bytes:
            self._queues.release(now)
            victim = self._victim(newcomer)
            if victim is None:
                return False
            self._count -= 1
            self._bytes -= victim.size
            evicted.append(Evicted(victim.event(), victim.key))
        return True

    def _victim(self, newcomer: Packed) -> Packed | None:
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
