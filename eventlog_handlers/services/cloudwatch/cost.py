"""The cost of calls of CloudWatch Events: billed by 64 KiB, and quotas that no log reaches."""

from __future__ import annotations

from eventlog_handlers.events import Event, Payload
from eventlog_handlers.services.cloudwatch import entry
from eventlog_handlers.services.cloudwatch.options import MAX_BATCH, CloudWatchSettings
from eventlog_handlers.services.cost import Cost

_USUAL = {row.name: row.default for row in CloudWatchSettings.rows}


def _encode(event: Event) -> Payload:
    return entry.encode(
        event,
        source=_USUAL["source"],
        detail_type=None,
        resources=(),
        event_bus_name=None,
        max_bytes=_USUAL["max_request_bytes"],
    )


COST = Cost(
    _encode,
    max_events=MAX_BATCH,
    max_bytes=_USUAL["max_request_bytes"],
    most_bytes=_USUAL["max_request_bytes"],
    calls_per_second=None,
    quota="none",
    is_billed_by_size=True,
)
