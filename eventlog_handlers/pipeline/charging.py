"""Events are charged to the handler's budget as they come in, once, however often they are sent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

from eventlog_handlers.buffers.severity import class_of
from eventlog_handlers.events import Event
from eventlog_handlers.pipeline.budget import Budget, Spent
from eventlog_handlers.pipeline.counters import Loss
from eventlog_handlers.pipeline.destination import LONG_AGO
from eventlog_handlers.pipeline.reports import Notes
from eventlog_handlers.pipeline.sharing import Sharing
from eventlog_handlers.record.fingerprint import chosen
from eventlog_handlers.settings.values import PipelineSettings

_WARNING = 30
_SAME_SECONDS = 1.0
"""Two ends of a budget's window that are nearer are one: each question computes them a little differently."""


class Charging:
    """Asks the budget for each event. For one thread at a time: the one that renders.

    *own_event* makes the event that tells of losses; the one that tells of a spent budget is made from it.
    """

    def __init__(
        self,
        settings: PipelineSettings,
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        own_event: Callable[[Loss], Event],
        notes: Notes,
        sharing: Sharing | None = None,
    ) -> None:
        limits = [(settings.max_events_per_hour, "hour"), (settings.max_events_per_day, "day")]
        given = [(limit, period) for limit, period in limits if limit is not None]
        self._budget = Budget(given, settings.budget_reserve) if given else None
        self._sharing = sharing if given else None
        self._clock = clock
        self._wall_clock = wall_clock
        self._own_event = own_event
        self._notes = notes
        self._told: dict[str, float] = {}  # by period: until when the budget is spent
        self._notices: list[Event] = []

    def admits(self, event: Event) -> bool:
        """Charge *event*; False if there is no budget for it."""
        budget = self._budget
        if budget is None:
            return True
        now, critical = self._clock(), class_of(event.level) == 0
        if self._sharing is not None:
            spent = self._sharing.charge(now, critical=critical)
        else:
            spent = budget.lacking(now, critical=critical)
            if spent is None:
                budget.charge(now)
        if spent is None:
            return True
        if (
            not spent.until - _SAME_SECONDS
            < self._told.get(spent.period, LONG_AGO)
            < spent.until + _SAME_SECONDS
        ):
            self._told[spent.period] = spent.until
            self._tell(spent, now)
        return False

    def take_notices(self) -> list[Event]:
        """Events that tell of a budget found spent, one each time. They are not charged."""
        notices, self._notices = self._notices, []
        return notices

    def _tell(self, spent: Spent, now: float) -> None:
        offset = self._wall_clock() - now
        since, until = (_iso(moment + offset) for moment in (spent.since, spent.until))
        text = (
            f"budget spent: {spent.limit} events per {spent.period}; until {until} only critical events are "
            "sent, as far as the reserve goes; the others are dropped and counted"
        )
        made = self._own_event(Loss({_WARNING: 1}, {"budget": 1}, spent.since + offset, now + offset))
        notice = made._replace(
            message=text,
            template=text,
            fingerprint=chosen("eventlog_handlers budget spent"),
            attributes={"limit": spent.limit, "per": spent.period, "since": since, "until": until},
        )
        self._notices.append(notice)
        self._notes.say(text)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="seconds")
