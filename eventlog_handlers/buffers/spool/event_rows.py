"""An event as a row of the spool, and back. Pure."""

from __future__ import annotations

import json
from typing import Any

from eventlog_handlers.buffers.severity import class_of
from eventlog_handlers.buffers.spool.file import Row
from eventlog_handlers.events import Event
from eventlog_handlers.text.json_text import compact

_encode_anything = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=repr).encode


def row_of(event: Event, put_time: float) -> Row:
    """*event* at rest since wall time *put_time*.

    Attributes that a user's hook made unfit for JSON are left out, and the event says so.
    """
    fields = _fields(event)
    try:
        text = compact(fields)
    except Exception:
        try:
            text = _encode_anything(fields)
        except Exception as error:
            defect = f"attributes left out: {type(error).__name__} in the spool"
            bare = event._replace(attributes={}, tags={}, defects=(*event.defects, defect))
            text = compact(_fields(bare))
    return Row(class_of(event.level), put_time, 0, text.encode("utf-8", "surrogatepass"))


def event_of(row: Row) -> Event | None:
    """The event of *row*; None if the row holds none, even with a right checksum."""
    try:
        fields = json.loads(row.body)
        fields.setdefault("template", fields["message"])
        return Event.from_json(fields)
    except Exception:
        return None


def _fields(event: Event) -> dict[str, Any]:
    fields = event.to_json()
    if event.template == event.message:  # often, and the longest text of the event
        del fields["template"]
    return fields
