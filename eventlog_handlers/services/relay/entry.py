"""An event as an entry of a queue's stream, and back. Pure.

The body is the event's JSON, the same for every service. VERSION is the version of that form; an entry names
it, so that a relay leaves alone what it can't read.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from eventlog_handlers.buffers.severity import class_of
from eventlog_handlers.events import Event
from eventlog_handlers.pipeline.sharing import problem_of
from eventlog_handlers.text import shallow_json
from eventlog_handlers.text.fit import cut
from eventlog_handlers.text.json_text import compact

VERSION = "1"
CLASSES = 4
"""Streams of one queue, by severity: what is below a warning shares the last one."""
MAX_BODY_BYTES = 262_144
_TEXT_BYTES = (65_536, 16_384, 4_096, 1_024)
_SHORTENED = "shortened: the event was too large for a queue"

_encode_anything = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=repr).encode


class Entry(NamedTuple):
    """What is put into a queue for one event."""

    id: str
    severity: int
    """0 (critical) to CLASSES - 1: the number of its stream."""
    problem: str
    """Hex digits: events of one problem have it in common, whatever process they are from."""
    count: int  # type: ignore[assignment]  # hides tuple.count
    first: float
    last: float
    fingerprint: str
    body: bytes


def entry_of(event: Event, max_bytes: int = MAX_BODY_BYTES) -> Entry:
    """*event* as an entry whose body takes *max_bytes* at most: then texts are cut, and it says so."""
    return Entry(
        event.id,
        min(class_of(event.level), CLASSES - 1),
        problem_of(event, "").hex(),
        event.count,
        event.first_time or event.time,
        event.time,
        event.fingerprint,
        _body(event, max_bytes),
    )


def event_of(body: bytes) -> Event | None:
    """The event of a body; None if it is none: anybody may write into a Redis."""
    try:
        event = Event.from_json(shallow_json.loads(body))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return None if event.misfits() or event.count < 1 else event


def _body(event: Event, max_bytes: int) -> bytes:
    body = _encoded(event)
    for text_bytes in _TEXT_BYTES:
        if len(body) <= max_bytes:
            return body
        # The attributes go with the second cut: there may be any number of them.
        body = _encoded(_shortened(event, text_bytes, keep_attributes=text_bytes == _TEXT_BYTES[0]))
    return body


def _encoded(event: Event) -> bytes:
    fields = event.to_json()
    try:
        text = compact(fields)
    except Exception:  # a hook of the user's put in what JSON has no form for
        try:
            text = _encode_anything(fields)
        except Exception as error:
            defect = f"attributes left out: {type(error).__name__} on the way to a queue"
            bare = event._replace(attributes={}, tags={}, defects=(*event.defects, defect))
            text = compact(bare.to_json())
    return text.encode("utf-8", "surrogatepass")


def _shortened(event: Event, text_bytes: int, *, keep_attributes: bool) -> Event:
    exception = event.exception
    if exception is not None:
        exception = exception._replace(
            message=cut(exception.message, text_bytes),
            stacktrace=cut(exception.stacktrace, text_bytes, tail=0.7),
            chain=exception.chain[:20],
        )
    changes: dict[str, Any] = {} if keep_attributes else {"attributes": {}, "tags": {}}
    return event._replace(
        message=cut(event.message, text_bytes),
        template=cut(event.template, text_bytes),
        stack=cut(event.stack, text_bytes, tail=0.7),
        exception=exception,
        defects=(*event.defects[:8], _SHORTENED),
        **changes,
    )
