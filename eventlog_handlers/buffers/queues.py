"""Who waits in a buffer, who goes first and who gives way. Keys and numbers only: no event, clock or file.

The most severe class first. Within a class the fingerprints take turns, and within a fingerprint the oldest
goes first, so that a storm of one problem leaves room for the one other error of that minute.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Container, Iterator
from typing import NamedTuple

from eventlog_handlers.buffers.severity import CLASSES

_new = tuple.__new__
_STALE = 64  # entries a heap may hold beside one per live item before it is made anew


class Place(NamedTuple):
    """Where an event stands, and all that is needed to put it there again."""

    key: int
    severity: int
    fingerprint: str
    size: int
    turn: int | None = None
    """The turn it had, for one that was handed out and came back; None for a new one."""
    ready_at: float = 0.0


def _with_turn(place: Place, turn: int) -> Place:
    """What ``_replace`` does, in a fifth of the time: each event that is sent passes here."""
    key, severity, fingerprint, size, _, ready_at = place
    return _new(Place, (key, severity, fingerprint, size, turn, ready_at))


class Turns:
    """How far each class has come. Queues that are served together share one."""

    def __init__(self) -> None:
        self.now = [0] * CLASSES


class _Group:
    """The events of one fingerprint in one class, the oldest first."""

    __slots__ = ("places", "turn")

    def __init__(self, place: Place, turn: int) -> None:
        self.places = [place]
        self.turn = turn  # of the first


class _Class:
    """One class of severity.

    Each fingerprint holds a turn for its oldest event; the lowest goes first, the older of equals. Once
    served, the next of that fingerprint comes two turns later and a fingerprint new here one turn later: the
    newcomer goes before the storm, yet endless newcomers don't keep it from its turn. An event that comes
    back brings its turn along, and so goes where it stood.

    Heaps forget lazily: an entry counts only while it tells its group's present first.
    """

    def __init__(self, turns: Turns, severity: int, *, by_age: bool) -> None:
        self._turns = turns.now
        self._severity = severity
        self._groups: dict[str, _Group] = {}
        self._order: list[tuple[int, int, str]] = []  # turn and key of the first, fingerprint
        self._ages: list[tuple[int, str]] | None = [] if by_age else None
        self._by_count: dict[int, dict[str, None]] = {}  # fingerprints by how many wait
        self.most = 0
        """How many events the fingerprint with most of them has."""

    def __iter__(self) -> Iterator[Place]:
        for group in self._groups.values():
            yield from group.places

    def add(self, place: Place) -> None:
        group = self._groups.get(place.fingerprint)
        if group is None:
            turn = self._turns[self._severity] + 1 if place.turn is None else place.turn
            group = self._groups[place.fingerprint] = _Group(place, turn)
            self._counted(place.fingerprint, 0, 1)
        else:
            places, first = group.places, group.places[0]
            self._counted(place.fingerprint, len(places), len(places) + 1)
            if place.key > first.key:
                heapq.heappush(places, place)
                return
            # It had gone before the first: that one keeps its turn for later.
            heapq.heapreplace(places, _with_turn(first, group.turn))
            heapq.heappush(places, place)
            if place.turn is not None:
                group.turn = place.turn
        self._enter(place.fingerprint, group)

    def first(self) -> tuple[int, int] | None:
        """Turn and key of who goes next."""
        order, groups = self._order, self._groups
        while order:
            turn, key, fingerprint = order[0]
            group = groups.get(fingerprint)
            if group is not None and group.turn == turn and group.places[0].key == key:
                return turn, key
            heapq.heappop(order)
        return None

    def pop(self) -> Place:
        """Take out who goes next; only after ``first`` has named one."""
        turn, _, fingerprint = self._order[0]
        self._turns[self._severity] = max(self._turns[self._severity], turn)
        return self._take(fingerprint, self._turns[self._severity] + 2)

    def oldest(self) -> int | None:
        """The key of the oldest; only where ages are kept."""
        ages, groups = self._ages, self._groups
        assert ages is not None  # noqa: S101 - for the type checker
        while ages:
            key, fingerprint = ages[0]
            group = groups.get(fingerprint)
            if group is not None and group.places[0].key == key:
                return key
            heapq.heappop(ages)
        return None

    def pop_oldest(self) -> Place:
        """Take out the oldest; only after ``oldest`` has named one."""
        assert self._ages is not None  # noqa: S101 - for the type checker
        fingerprint = self._ages[0][1]
        return self._take(fingerprint, self._groups[fingerprint].turn)

    def pop_of_most(self) -> Place:
        """Take out the oldest event of a fingerprint that has most."""
        fingerprint = next(iter(self._by_count[self.most]))
        return self._take(fingerprint, self._groups[fingerprint].turn)

    def _take(self, fingerprint: str, next_turn: int) -> Place:
        """Take the first of *fingerprint*; who follows it has *next_turn*, or the one it had before."""
        group = self._groups[fingerprint]
        place = _with_turn(heapq.heappop(group.places), group.turn)
        left = len(group.places)
        self._counted(fingerprint, left + 1, left)
        if left:
            turn = group.places[0].turn
            group.turn = next_turn if turn is None else turn
            self._enter(fingerprint, group)
        else:
            del self._groups[fingerprint]
        return place

    def _enter(self, fingerprint: str, group: _Group) -> None:
        key = group.places[0].key
        heapq.heappush(self._order, (group.turn, key, fingerprint))
        if len(self._order) > 2 * len(self._groups) + _STALE:
            self._order = [(one.turn, one.places[0].key, name) for name, one in self._groups.items()]
            heapq.heapify(self._order)
        if self._ages is not None:
            heapq.heappush(self._ages, (key, fingerprint))
            if len(self._ages) > 2 * len(self._groups) + _STALE:
                self._ages = [(one.places[0].key, name) for name, one in self._groups.items()]
                heapq.heapify(self._ages)

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


class Queues:
    """Everything a buffer holds that isn't leased: ready, by class, or delayed.

    *by_age*: whether ``drop_oldest`` will be asked for; it costs a heap. Every operation is O(log n).
    """

    def __init__(self, turns: Turns | None = None, *, by_age: bool) -> None:
        self._shared = turns or Turns()
        self._by_age = by_age
        self.clear()

    def clear(self) -> None:
        """Hold nothing."""
        self._classes = [_Class(self._shared, number, by_age=self._by_age) for number in range(CLASSES)]
        self.ready = 0
        """How many could go now."""
        self.ready_bytes = 0
        """Their size."""
        self._due: list[tuple[float, int, int]] = []  # when, key, class
        # The delayed by class, who came first first.
        self._delayed: tuple[OrderedDict[int, Place], ...] = tuple(OrderedDict() for _ in range(CLASSES))
        self._delayed_count = 0

    def __len__(self) -> int:
        return self.ready + self._delayed_count

    def __iter__(self) -> Iterator[Place]:
        """In no particular order; each may be given to ``add`` or ``delay`` of another."""
        for one in self._classes:
            yield from one
        for delayed in self._delayed:
            yield from delayed.values()

    def pour(self, target: Queues, keys: Container[int] | None = None) -> None:
        """Move everything, or what is in *keys*, to *target*."""
        for severity, one in enumerate(self._classes):
            if one.most:
                places = list(one)
                self._classes[severity] = _Class(self._shared, severity, by_age=self._by_age)
                for place in places:
                    self._taken(place)
                    (target if keys is None or place.key in keys else self).add(place)
        if self._delayed_count:
            places = [
                place
                for some in self._delayed
                for place in some.values()
                if keys is None or place.key in keys
            ]
            for place in places:
                del self._delayed[place.severity][place.key]
                self._delayed_count -= 1
                target.delay(place)

    def add(self, place: Place) -> None:
        """*place* is ready now."""
        self.ready += 1
        self.ready_bytes += place.size
        self._classes[place.severity].add(place)

    def delay(self, place: Place) -> None:
        """*place* isn't ready before its ``ready_at``."""
        self._delayed[place.severity][place.key] = place
        self._delayed_count += 1
        heapq.heappush(self._due, (place.ready_at, place.key, place.severity))
        if len(self._due) > 2 * self._delayed_count + _STALE:
            self._due = [
                (one.ready_at, one.key, one.severity) for some in self._delayed for one in some.values()
            ]
            heapq.heapify(self._due)

    def release(self, now: float) -> None:
        """What was delayed until *now* at most is ready."""
        while (due := self.due_at()) is not None and due <= now:
            _, key, severity = heapq.heappop(self._due)
            self._delayed_count -= 1
            self.add(self._delayed[severity].pop(key)._replace(ready_at=0.0))

    def due_at(self) -> float | None:
        """When the first of the delayed is ready."""
        while self._due:
            ready_at, key, severity = self._due[0]
            place = self._delayed[severity].get(key)
            if place is not None and place.ready_at == ready_at:
                return ready_at
            heapq.heappop(self._due)
        return None

    def first(self) -> tuple[int, int, int] | None:
        """Class, turn and key of who goes next: where there are several queues, the least of theirs."""
        if self.ready:
            for severity, one in enumerate(self._classes):
                if one.most and (first := one.first()) is not None:
                    return severity, *first
        return None

    def pop(self, severity: int) -> Place:
        """Take out who goes next, of the class that ``first`` has named."""
        return self._taken(self._classes[severity].pop())

    def weakest(self) -> tuple[int, int]:
        """The least severe class there is, and how many events it holds of one fingerprint at most.

        Class -1 where there is nothing.
        """
        for severity in reversed(range(CLASSES)):
            if self._classes[severity].most or self._delayed[severity]:
                return severity, self._classes[severity].most
        return -1, 0

    def pop_weakest(self, severity: int) -> Place:
        """Take out who gives way there: the oldest of the fingerprint that has most; the delayed last."""
        if self._classes[severity].most:
            return self._taken(self._classes[severity].pop_of_most())
        return self._undelayed(severity)

    def oldest(self) -> int | None:
        """The key of the oldest of all; of those delayed in one class, the first to be delayed."""
        return min((key for key, _ in self._oldest_ones()), default=None)

    def pop_oldest(self) -> Place:
        """Take it out."""
        key, severity = min(self._oldest_ones())
        if self._classes[severity].oldest() == key:
            return self._taken(self._classes[severity].pop_oldest())
        return self._undelayed(severity)

    def _oldest_ones(self) -> Iterator[tuple[int, int]]:
        for severity, one in enumerate(self._classes):
            key = one.oldest()
            if key is not None:
                yield key, severity
            if self._delayed[severity]:
                yield next(iter(self._delayed[severity])), severity

    def _undelayed(self, severity: int) -> Place:
        _, place = self._delayed[severity].popitem(last=False)
        self._delayed_count -= 1
        return place

    def _taken(self, place: Place) -> Place:
        self.ready -= 1
        self.ready_bytes -= place.size
        return place
