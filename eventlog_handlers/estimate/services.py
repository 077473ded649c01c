"""Counts the calls to each service, their bytes, billing units, and the time that its quota takes. Pure."""

from __future__ import annotations

from typing import Any

from eventlog_handlers.estimate.problems import Problem
from eventlog_handlers.estimate.records import Record
from eventlog_handlers.estimate.windows import Sent
from eventlog_handlers.events import Code, Event
from eventlog_handlers.pipeline.dry_run import billing_units
from eventlog_handlers.record.render import status_of
from eventlog_handlers.record.traceback_text import parsed
from eventlog_handlers.services.cost import Cost

FLUSH_SECONDS = 1.0
"""How long a batch waits for more, as ``flush_interval`` has it."""


class Tally:
    """Counts the events that go to one service, in order of time."""

    def __init__(self, service: Cost) -> None:
        self._service = service
        self.events = self.calls = self.bytes = self.units = self.busiest_minute = 0
        self._minute: int | None = None
        self._in_minute = 0
        self._batch_at = float("-inf")
        self._batch_events = self._batch_bytes = 0

    def add(self, sent: Sent, overhead: int) -> None:
        """Count an event that takes *overhead* bytes besides its record's texts."""
        service = self._service
        size = min(overhead + sent.size, service.most_bytes)
        self.events += 1
        self.bytes += size
        self.units += billing_units(size)
        self._batch_events += 1
        self._batch_bytes += size
        if (
            self.calls
            and 0 <= sent.time - self._batch_at < FLUSH_SECONDS
            and self._batch_events <= service.max_events
            and self._batch_bytes <= service.max_bytes
        ):
            return
        self._batch_at, self._batch_events, self._batch_bytes = sent.time, 1, size
        self.calls += 1
        minute = int(sent.time // 60)
        self._in_minute = self._in_minute + 1 if minute == self._minute else 1
        self._minute = minute
        self.busiest_minute = max(self.busiest_minute, self._in_minute)

    def figures(self) -> dict[str, Any]:
        """As JSON; ``quota_seconds`` is what the calls take at the service's quota, None without one."""
        rate = self._service.calls_per_second
        return {
            "events": self.events,
            "calls": self.calls,
            "quota_seconds": None if rate is None else round(self.calls / rate, 1),
            "busiest_minute_calls": self.busiest_minute,
            "bytes": self.bytes,
            "billing_units": self.units if self._service.is_billed_by_size else None,
        }


def event_of(record: Record, problem: Problem) -> Event:
    """An event such as a handler would make of *record*, to be measured."""
    status = status_of(record.level)
    return Event(
        id="0" * 32,
        time=record.time or 0.0,
        level=record.level,
        level_name=status.upper(),
        status=status,
        logger=record.logger,
        message=record.message,
        template=record.message[:4_096],
        fingerprint=problem.fingerprint,
        exception=parsed(record.traceback) if record.traceback else None,
        stack="",
        attributes={},
        code=Code("/srv/application/module.py", 100, "function", "module"),
        thread_id=140_000_000_000_000,
        thread_name="MainThread",
        process_id=10_000,
        host="host-name-1",
        service="service",
        env=None,
        tags={},
        trace_id=None,
        span_id=None,
    )
