"""The cost of calls of CMS. The quota's source stands in ``request``."""

from __future__ import annotations

from eventlog_handlers.events import Event, Payload
from eventlog_handlers.services.cms import request
from eventlog_handlers.services.cms.options import MAX_BATCH, CMSSettings
from eventlog_handlers.services.cost import Cost

_USUAL = {row.name: row.default for row in CMSSettings.rows}


def _encode(event: Event) -> Payload:
    return request.encode(
        event,
        event_name=request.name_of(event, _USUAL["event_name"]),
        group_id=None,
        content_format=_USUAL["content_format"],
        max_content_bytes=_USUAL["max_content_bytes"],
    )


COST = Cost(
    _encode,
    max_events=MAX_BATCH,
    max_bytes=request.LIMITS.request_bytes,
    most_bytes=34_000,
    calls_per_second=20.0,
    quota="20 calls/s",
    is_billed_by_size=False,
)
