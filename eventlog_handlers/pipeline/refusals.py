"""Finds the cause of a refusal: a fault of the one event, or a wrong setting that concerns all. Pure.

A service says "refused" in both cases. The other events show the cause. If the service took one of them, the
settings are right. If it refused a second one with the same code, and took none since, they are wrong. So a
poison event is dropped and costs its neighbours nothing, and a wrong setting costs one event at most.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

_MAX_MARKS = 4_096  # refused events that are remembered; the oldest is forgotten first
_MAX_CODES = 50
OTHER = "other"
"""Stands for every code past the first 50."""


class Fate(enum.Enum):
    """The fate of a refused event."""

    DROP = "drop"
    """It is at fault."""
    TRY_OTHERS = "try others"
    """It may be at fault: it waits until another event has been tried."""
    HOLD = "hold"
    """A setting is at fault: nothing is dropped, and the destination is probed."""


class Refusals:
    """The refusals since the service last took an event."""

    def __init__(self) -> None:
        self._deliveries = 0
        self._refused: dict[str, set[str]] = {}  # by code: ids, two at most, since the last delivery
        self._marks: dict[str, int] = {}  # by id: how many deliveries there had been when it was refused

    def delivered(self) -> None:
        """The service took an event."""
        self._deliveries += 1
        self._refused.clear()

    def judge(self, refused: Sequence[tuple[str, str]], *, delivered: bool, alone: bool) -> list[Fate]:
        """Decide the fate of each ``(id, code)`` of one turn.

        *delivered*: the service took another event of the same turn. *alone*: no other event waits.
        """
        for event_id, code in refused:
            if not self.is_convicted(event_id, delivered=delivered):
                self._note(event_id, code)
        return [self._fate(event_id, code, delivered=delivered, alone=alone) for event_id, code in refused]

    def show_a_setting(self, refused: Sequence[tuple[str, str]]) -> bool:
        """Whether *refused*, two of them at least, are reason enough to try no more of the same turn."""
        codes = {code for _, code in refused}
        return len(codes) == 1 and len({event_id for event_id, _ in refused}) > 1

    def probe(self, event_ids: Sequence[str], rand: float) -> int:
        """The index of the event that shows best whether a setting is wrong: one never refused, by chance.

        By chance (0 <= *rand* < 1), for those that come first may all be poison. One of them all, if every
        one was refused.
        """
        fresh = [number for number, event_id in enumerate(event_ids) if event_id not in self._marks]
        return (fresh or range(len(event_ids)))[int(rand * len(fresh or event_ids))]

    def _fate(self, event_id: str, code: str, *, delivered: bool, alone: bool) -> Fate:
        if self.is_convicted(event_id, delivered=delivered):
            fate = Fate.DROP
        elif len(self._refused.get(self._known(code), ())) > 1:
            return Fate.HOLD
        else:
            fate = Fate.DROP if alone else Fate.TRY_OTHERS
        if fate is Fate.DROP:
            self._marks.pop(event_id, None)
        return fate

    def is_convicted(self, event_id: str, *, delivered: bool) -> bool:
        """Whether the service took another event beside it, or after it refused this one before."""
        return delivered or self._marks.get(event_id, self._deliveries) < self._deliveries

    def _note(self, event_id: str, code: str) -> None:
        self._marks.setdefault(event_id, self._deliveries)
        if len(self._marks) > _MAX_MARKS:
            del self._marks[next(iter(self._marks))]
        ids = self._refused.setdefault(self._known(code), set())
        if len(ids) < 2:
            ids.add(event_id)

    def _known(self, code: str) -> str:
        return code if code in self._refused or len(self._refused) < _MAX_CODES else OTHER
