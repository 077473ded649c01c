"""The order of a buffer: which event goes next, and which one is dropped. No event, clock or file here.

The most severe class first. Within a class the fingerprints take turns, and within a fingerprint the oldest
goes first, so that a storm of one problem leaves room for the one other error of that minute.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Container, Iterator
from itertools import chain
from operator import attrgetter
from typing import Generic, TypeVar

from eventlog_handlers.buffers.severity import CLASSES

_STALE = 64  # entries that the heap of delays may hold beside one per delayed event before it is made anew


class Position:
    """The place of an event in the queues, and all that is needed to put it there again.

    *key* is its number: an event with a smaller one is older.
    """

    __slots__ = ("fingerprint", "key", "ready_at", "round", "severity", "size")

    def __init__(self, key: int, severity: int, fingerprint: str, size: int) -> None:
        self.key = key
        self.severity = severity
        self.fingerprint = fingerprint
        self.size = size
        self.round: int | None = None
        """The round it was handed out in, for one that came back; None for a new one."""
        self.ready_at = 0.0
        """When it can be leased, by its buffer's clock; 0 where it can be now. Set it before ``delay``."""


P = TypeVar("P", bound=Position)
"""What a buffer keeps of an event, its place among it."""


class Rounds:
    """The number of the present round of each class. Queues that are served together share one."""

    def __init__(self) -> None:
        self.now = [0] * CLASSES


class _Group(Generic[P]):
    """The events of one fingerprint in one class, the oldest first."""

    __slots__ = ("positions", "round")

    def __init__(self, position: P, number: int) -> None:
        self.positions = deque((position,))
        self.round = number


class _Class(Generic[P]):
    """One class of severity: fingerprints in rounds, each an ordered dict that is served from its front.

    A fingerprint that was served comes again two rounds later, one that is new here one round later. So the
    newcomer goes before the storm, and endless newcomers don't keep the storm from its place. An event that
    comes back takes its fingerprint along to the round it was handed out in.
    """

    def __init__(self, rounds: Rounds, severity: int) -> None:
        self._now = rounds.now
        self._severity = severity
        self._groups: dict[str, _Group[P]] = {}
        self._rounds: dict[int, OrderedDict[str, None]] = {}  # the few that are not empty
        self._by_count: dict[int, dict[str, None]] = {}  # fingerprints by how many events wait
        self.most = 0
        """How many events the fingerprint with most of them has."""

    def __iter__(self) -> Iterator[P]:
        for group in self._groups.values():
            yield from group.positions

    def oldest_of_each(self) -> Iterator[P]:
        """Of each fingerprint its oldest."""
        for group in self._groups.values():
            yield group.positions[0]

    def add(self, position: P) -> None:
        group = self._groups.get(position.fingerprint)
        if group is None:
            number = self._now[self._severity] + 1 if position.round is None else position.round
            group = self._groups[position.fingerprint] = _Group(position, number)
            self._enter(position.fingerprint, group)
            self._counted(position.fingerprint, 0, 1)
            return
        positions = group.positions
        self._counted(position.fingerprint, len(positions), len(positions) + 1)
        if position.key > positions[-1].key:
            positions.append(position)
            return
        at = next(index for index, other in enumerate(positions) if position.key < other.key)
        positions.insert(at, position)  # near the front: it was leased, or moved, and comes back
        if at == 0 and position.round is not None and position.round < group.round:
            self._leave(position.fingerprint, group.round)
            group.round = position.round
            self._enter(position.fingerprint, group)

    def first(self) -> tuple[int, int]:
        """Round and key of the event that goes next; only where there is one."""
        number = min(self._rounds)
        fingerprint = next(iter(self._rounds[number]))
        return number, self._groups[fingerprint].positions[0].key

    def pop(self) -> P:
        """Take out the event that goes next."""
        number = min(self._rounds)
        fingerprint = next(iter(self._rounds[number]))
        now = self._now[self._severity] = max(self._now[self._severity], number)
        group = self._groups[fingerprint]
        self._leave(fingerprint, number)
        position = group.positions.popleft()
        left = len(group.positions)
        self._counted(fingerprint, left + 1, left)
        if left:
            came_back_in = group.positions[0].round
            group.round = now + 2 if came_back_in is None else came_back_in
            self._enter(fingerprint, group)
        else:
            del self._groups[fingerprint]
        position.round = number
        return position

    def pop_of_most(self) -> P:
        """Take out the oldest event of a fingerprint that has most."""
        fingerprint = next(iter(self._by_count[self.most]))
        group = self._groups[fingerprint]
        position = group.positions.popleft()
        left = len(group.positions)
        self._counted(fingerprint, left + 1, left)
        if not left:
            self._leave(fingerprint, group.round)
            del self._groups[fingerprint]
        return position

    def _enter(self, fingerprint: str, group: _Group[P]) -> None:
        """At the end of the round of *group*; at its front where the first there is younger."""
        waiting = self._rounds.get(group.round)
        if waiting is None:
            self._rounds[group.round] = OrderedDict({fingerprint: None})
            return
        first = self._groups[next(iter(waiting))]
        waiting[fingerprint] = None
        if group.positions[0].key < first.positions[0].key:
            waiting.move_to_end(fingerprint, last=False)

    def _leave(self, fingerprint: str, number: int) -> None:
        waiting = self._rounds[number]
        del waiting[fingerprint]
        if not waiting:
            del self._rounds[number]

    def _counted(self, fingerprint: str, before: int, after: int) -> None:
        if before:
            same = self._by_count[before]
            del same[fingerprint]
            if not same:
                del self._by_count[before]
        if after:
            self._by_count.setdefault(after, {})[fingerprint] = None
        if after > self.most or (before == self.most and before not in self._by_count):
            self.most = after  # counts go up and down by one


class Queues(Generic[P]):
    """Everything a buffer holds that isn't leased: ready, by class, or delayed."""

    def __init__(self, rounds: Rounds | None = None) -> None:
        self._shared = rounds or Rounds()
        self.clear()

    def clear(self) -> None:
        """Hold nothing."""
        self._classes: list[_Class[P]] = [_Class(self._shared, number) for number in range(CLASSES)]
        self.ready = 0
        """How many could go now."""
        self.ready_bytes = 0
        """Their size."""
        self._due: list[tuple[float, int, int]] = []  # when, key, class
        # The delayed by class, the first to be delayed first.
        self._delayed: tuple[OrderedDict[int, P], ...] = tuple(OrderedDict() for _ in range(CLASSES))
        self._delayed_count = 0

    def __len__(self) -> int:
        return self.ready + self._delayed_count

    def __iter__(self) -> Iterator[P]:
        """In no particular order; each may be given to ``add`` or ``delay`` of another."""
        for one in self._classes:
            yield from one
        for delayed in self._delayed:
            yield from delayed.values()

    def oldest(self) -> P | None:
        """The one with the lowest key; None where there is nothing."""
        oldest_of_each = (one.oldest_of_each() for one in self._classes)
        some = chain(*oldest_of_each, *(delayed.values() for delayed in self._delayed))
        return min(some, key=attrgetter("key"), default=None)

    def pour(self, target: Queues[P], keys: Container[int] | None = None) -> None:
        """Move all events, or those of *keys*, to *target*."""
        for severity, one in enumerate(self._classes):
            if one.most:
                positions = list(one)
                self._classes[severity] = _Class(self._shared, severity)
                for position in positions:
                    self._taken(position)
                    (target if keys is None or position.key in keys else self).add(position)
        if self._delayed_count:
            moving = [
                position
                for some in self._delayed
                for position in some.values()
                if keys is None or position.key in keys
            ]
            for position in moving:
                del self._delayed[position.severity][position.key]
                self._delayed_count -= 1
                target.delay(position)

    def add(self, position: P) -> None:
        """*position* is ready now."""
        self.ready += 1
        self.ready_bytes += position.size
        self._classes[position.severity].add(position)

    def delay(self, position: P) -> None:
        """*position* isn't ready before its ``ready_at``."""
        self._delayed[position.severity][position.key] = position
        self._delayed_count += 1
        heapq.heappush(self._due, (position.ready_at, position.key, position.severity))
        if len(self._due) > 2 * self._delayed_count + _STALE:
            self._due = [
                (one.ready_at, one.key, one.severity) for some in self._delayed for one in some.values()
            ]
            heapq.heapify(self._due)

    def release(self, now: float) -> None:
        """Events whose delay ended by *now* are ready."""
        while (due := self.due_at()) is not None and due <= now:
            _, key, severity = heapq.heappop(self._due)
            self._delayed_count -= 1
            position = self._delayed[severity].pop(key)
            position.ready_at = 0.0
            self.add(position)

    def due_at(self) -> float | None:
        """When the first of the delayed is ready."""
        while self._due:
            ready_at, key, severity = self._due[0]
            position = self._delayed[severity].get(key)
            if position is not None and position.ready_at == ready_at:
                return ready_at
            heapq.heappop(self._due)
        return None

    def first(self) -> tuple[int, int, int] | None:
        """Class, round and key of the event that goes next: of several queues, the least of theirs goes."""
        if self.ready:
            for severity, one in enumerate(self._classes):
                if one.most:
                    return severity, *one.first()
        return None

    def pop_first(self) -> P | None:
        """Take out the event that goes next; None where none is ready."""
        if self.ready:
            for one in self._classes:
                if one.most:
                    return self._taken(one.pop())
        return None

    def pop(self, severity: int) -> P:
        """Take out the event that goes next, of the class that ``first`` has named."""
        return self._taken(self._classes[severity].pop())

    def weakest(self) -> tuple[int, int]:
        """The least severe class there is, and how many events it holds of one fingerprint at most.

        Class -1 where there is nothing.
        """
        for severity in reversed(range(CLASSES)):
            if self._classes[severity].most or self._delayed[severity]:
                return severity, self._classes[severity].most
        return -1, 0

    def pop_weakest(self, severity: int) -> P:
        """Take out the event to drop there: the oldest of the fingerprint that has most; the delayed last."""
        if self._classes[severity].most:
            return self._taken(self._classes[severity].pop_of_most())
        _, position = self._delayed[severity].popitem(last=False)
        self._delayed_count -= 1
        return position

    def _taken(self, position: P) -> P:
        self.ready -= 1
        self.ready_bytes -= position.size
        return position
