"""The cost of calls of Guance. The quota's source stands in ``body``."""

from __future__ import annotations

from eventlog_handlers.events import Event, Payload
from eventlog_handlers.services.cost import Cost
from eventlog_handlers.services.guance import body
from eventlog_handlers.services.guance.options import MAX_BATCH, GuanceSettings

_USUAL = {row.name: row.default for row in GuanceSettings.rows}


def _encode(event: Event) -> Payload:
    return body.encode(
        event,
        origin=_USUAL["origin"],
        title=_USUAL["title"],
        max_message_bytes=_USUAL["max_message_bytes"],
    )


COST = Cost(
    _encode,
    max_events=MAX_BATCH,
    max_bytes=body.LIMITS.request_bytes,
    most_bytes=40_000,
    calls_per_second=20 / 60,
    quota="20 calls/min",
    is_billed_by_size=False,
)
