"""The counters of the pipeline, and the records of the events that it makes itself."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime, timezone
from typing import NamedTuple


class Counters:
    """The sums of the law of accounting. Touched under the worker's lock only."""

    def __init__(self) -> None:
        self.delivered = 0
        self.retried = 0
        self.requests = 0
        self.duplicates_possible = 0
        self.failed_requests = 0
        self.dropped: Counter[str] = Counter()
        self.dropped_by_level: Counter[str] = Counter()

    def drop(self, reason: str, level: int) -> None:
        """Count one event lost for good."""
        self.dropped[reason] += 1
        self.dropped_by_level[level_name(level)] += 1


class Losses:
    """Losses since the last report. One event tells them when the service is back.

    Left out: events the service refused and those the user's hook dropped, for they are not the price of an
    outage or a storm, and those no budget was left for, which an event of its own announces. ``stats()``
    counts them and stderr names the first of each kind.
    """

    _TOLD = ("overflow", "expired", "worker_died", "unencodable", "given up", "damaged")

    def __init__(self) -> None:
        self._by_level: Counter[int] = Counter()
        self._by_reason: Counter[str] = Counter()
        self._since = self._until = 0.0

    def __bool__(self) -> bool:
        return bool(self._by_level)

    def add(self, reason: str, level: int, at: float) -> None:
        """Note one event lost at wall time *at*."""
        if not reason.startswith(self._TOLD):
            return
        if not self._by_level:
            self._since = at
        self._until = at
        self._by_level[level] += 1
        self._by_reason[reason] += 1

    def take(self) -> Loss:
        """Everything noted; from now on it is told."""
        loss = Loss(dict(self._by_level), dict(self._by_reason), self._since, self._until)
        self._by_level.clear()
        self._by_reason.clear()
        return loss


class Loss(NamedTuple):
    """Events lost by level number and by reason, between two wall times."""

    by_level: dict[int, int]
    by_reason: dict[str, int]
    since: float
    until: float

    def sentence(self) -> str:
        """``12 events lost: 10 ERROR, 2 INFO (11 overflow, 1 expired)``."""
        levels = sorted(self.by_level.items(), reverse=True)
        reasons = sorted(self.by_reason.items(), key=lambda item: -item[1])
        return (
            f"{sum(self.by_level.values())} events lost: "
            f"{', '.join(f'{count} {level_name(level)}' for level, count in levels)} "
            f"({', '.join(f'{count} {reason}' for reason, count in reasons)})"
        )


def loss_record(loss: Loss) -> logging.LogRecord:
    """The record that tells the losses of an outage or a storm, as severe as the worst event lost."""
    since, until = (
        datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="seconds")
        for moment in (loss.since, loss.until)
    )
    level = max(loss.by_level)
    record = logging.LogRecord("eventlog_handlers", level, __file__, 0, "%s", (loss.sentence(),), None)
    record.__dict__.update(
        since=since,
        until=until,
        lost_by_level={level_name(number): count for number, count in loss.by_level.items()},
        lost_by_reason=loss.by_reason,
        fingerprint="eventlog_handlers lost events",
    )
    return record


def note_record(text: str) -> logging.LogRecord:
    """The record of an event of our own that says *text*."""
    record = logging.LogRecord("eventlog_handlers", logging.ERROR, __file__, 0, "%s", (text,), None)
    record.__dict__.update(fingerprint="eventlog_handlers note")
    return record


def level_name(level: int) -> str:
    """logging's name for *level*; never raises, for a record may have any integer as its level."""
    try:
        return str(logging.getLevelName(level))
    except Exception:  # an integer too long to be printed
        return "Level out of range"
