"""The buffer in memory: bounded by count and bytes, in classes of severity."""

from __future__ import annotations

import heapq
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from eventlog_handlers.buffers import Evicted, Lost
from eventlog_handlers.buffers.severity import CLASSES, class_of
from eventlog_handlers.events import JSON, Event, Lease

_EVENT_OVERHEAD_BYTES = 1_200  # tuple, ids and small fields of one event, measured with tracemalloc


class _Entry:
    __slots__ = ("attempts", "event", "key", "put_at", "ready_at", "severity", "weight")

    def __init__(self, key: int, event: Event, severity: int, weight: int, now: float) -> None:
        self.key = key
        self.event = event
        self.severity = severity
        self.weight = weight
        self.put_at = now
        self.ready_at = now
        self.attempts = 0


class MemoryBuffer:
    """Events by class of severity: the most severe leave first, the least severe give way first.

    *capacity* and *capacity_bytes* bound what is held, leased events included. *policy* says who gives way:
    ``drop_lowest`` the oldest of the least severe (the newcomer itself if all others are more severe),
    ``drop_oldest`` the oldest of all, ``drop_newest`` the newcomer. Leased events are never evicted.
    *clock* gives monotonic seconds.
    """

    def __init__(
        self, *, capacity: int, capacity_bytes: int, policy: str, clock: Callable[[], float]
    ) -> None:
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._policy = policy
        self._clock = clock
        self._next_key = 0
        self._bytes = 0
        self._ready_bytes = 0
        self._leased: dict[int, _Entry] = {}
        # Everything not leased, by class, oldest put first: whom to evict.
        self._waiting: tuple[OrderedDict[int, _Entry], ...] = tuple(OrderedDict() for _ in range(CLASSES))
        # The same entries as heaps: whom to lease. An entry that left _waiting is skipped when it surfaces.
        self._ready: tuple[list[tuple[int, _Entry]], ...] = tuple([] for _ in range(CLASSES))
        self._delayed: list[tuple[float, int, _Entry]] = []
        self._ready_count = 0

    def put(self, events: Sequence[Event]) -> list[Evicted]:
        now = self._clock()
        evicted: list[Evicted] = []
        for event in events:
            entry = _Entry(self._next_key, event, class_of(event.level), weight(event), now)
            if not self._make_room(entry, evicted):
                evicted.append(Evicted(event, None))
                continue
            self._next_key += 1
            self._bytes += entry.weight
            self._wait(entry)
        return evicted

    def lease(self, count: int) -> list[Lease]:
        now = self._clock()
        self._release_due(now)
        leases: list[Lease] = []
        for severity in range(CLASSES):
            heap, waiting = self._ready[severity], self._waiting[severity]
            while heap and len(leases) < count:
                key, entry = heapq.heappop(heap)
                if waiting.pop(key, None) is None:
                    continue
                self._ready_count -= 1
                self._ready_bytes -= entry.weight
                entry.attempts += 1
                self._leased[key] = entry
                leases.append(Lease(entry.event, key, entry.attempts, now - entry.put_at))
        return leases

    def ack(self, leases: Iterable[Lease]) -> None:
        for lease in leases:
            self._bytes -= self._leased.pop(lease.key).weight

    def nack(self, lease: Lease, delay: float, *, spent: bool = True) -> None:
        entry = self._leased.pop(lease.key)
        if not spent:
            entry.attempts -= 1
        entry.ready_at = self._clock() + delay
        if delay > 0:
            self._waiting[entry.severity][entry.key] = entry
            heapq.heappush(self._delayed, (entry.ready_at, entry.key, entry))
        else:
            self._wait(entry)

    def ready(self) -> int:
        self._release_due(self._clock())
        return self._ready_count

    def ready_bytes(self) -> int:
        return self._ready_bytes

    def ready_in(self) -> float | None:
        now = self._clock()
        self._release_due(now)
        if self._ready_count:
            return 0.0
        return self._delayed[0][0] - now if self._delayed else None

    def keys(self) -> set[int]:
        return set(self._leased).union(*self._waiting)

    def __len__(self) -> int:
        return len(self._leased) + sum(map(len, self._waiting))

    def bytes(self) -> int:
        return self._bytes

    def adopt(self) -> int:
        """What a process had in memory dies with it."""
        return 0

    def lost(self) -> list[Lost]:
        """Nothing gets lost in memory."""
        return []

    def state(self) -> dict[str, Any]:
        """All in memory: nothing to tell."""
        return {}

    def close(self) -> None:
        """Nothing lies outside the process."""

    def _wait(self, entry: _Entry) -> None:
        self._waiting[entry.severity][entry.key] = entry
        heapq.heappush(self._ready[entry.severity], (entry.key, entry))
        self._ready_count += 1
        self._ready_bytes += entry.weight

    def _release_due(self, now: float) -> None:
        delayed = self._delayed
        while delayed and (
            delayed[0][0] <= now or delayed[0][1] not in self._waiting[delayed[0][2].severity]
        ):
            _, key, entry = heapq.heappop(delayed)
            if key in self._waiting[entry.severity]:
                heapq.heappush(self._ready[entry.severity], (key, entry))
                self._ready_count += 1
                self._ready_bytes += entry.weight

    def _make_room(self, newcomer: _Entry, evicted: list[Evicted]) -> bool:
        """Evict until *newcomer* fits; False if it is the one to give way."""
        now = newcomer.put_at
        self._release_due(now)
        while len(self) >= self._capacity or self._bytes + newcomer.weight > self._capacity_bytes:
            victim = self._victim(newcomer)
            if victim is None:
                return False
            del self._waiting[victim.severity][victim.key]
            self._bytes -= victim.weight
            if victim.ready_at <= now:
                self._ready_count -= 1
                self._ready_bytes -= victim.weight
            self._forget_evicted(victim.severity)
            evicted.append(Evicted(victim.event, victim.key))
        return True

    def _forget_evicted(self, severity: int) -> None:
        """Keep what was evicted from living on in the heaps: at most as many dead entries as live ones."""
        heap, waiting = self._ready[severity], self._waiting[severity]
        while heap and heap[0][0] not in waiting:
            heapq.heappop(heap)
        if len(heap) > 2 * len(waiting) + 64:
            heap[:] = [item for item in heap if item[0] in waiting]
            heapq.heapify(heap)
        if len(self._delayed) > 2 * len(self) + 64:
            self._delayed = [item for item in self._delayed if item[1] in self._waiting[item[2].severity]]
            heapq.heapify(self._delayed)

    def _victim(self, newcomer: _Entry) -> _Entry | None:
        if self._policy == "drop_newest":
            return None
        heads = [next(iter(waiting.values())) for waiting in self._waiting if waiting]
        if self._policy == "drop_oldest":
            return min(heads, key=lambda entry: entry.key, default=None)
        if not heads or heads[-1].severity < newcomer.severity:
            return None
        return heads[-1]


def weight(event: Event) -> int:
    """Bytes an event takes in memory, estimated from its texts."""
    total = _EVENT_OVERHEAD_BYTES + sys.getsizeof(event.message) + sys.getsizeof(event.stack)
    if event.exception is not None:
        total += sys.getsizeof(event.exception.stacktrace) + sys.getsizeof(event.exception.message)
    for name, value in event.attributes.items():
        total += sys.getsizeof(name) + _weight_of(value)
    return total


def _weight_of(value: JSON) -> int:
    if isinstance(value, dict):
        return 64 + sum(sys.getsizeof(name) + _weight_of(item) for name, item in value.items())
    if isinstance(value, list):
        return 56 + sum(map(_weight_of, value))
    return sys.getsizeof(value)
