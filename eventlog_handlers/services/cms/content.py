"""An event as the Content of a CMS custom event, percent-encoded: a text for people, or a JSON object. Pure.

The service searches Content as text and has no other place for a level, an id or an attribute, so all of
an event stands in it. Too long an event is cut fairly: small parts stay whole, large ones share the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from json import JSONEncoder
from operator import attrgetter
from typing import Any, NamedTuple

from eventlog_handlers.events import Event
from eventlog_handlers.services.cms.signing import UNRESERVED, percent
from eventlog_handlers.services.moment import milliseconds
from eventlog_handlers.text.fit import clean, cut, one_line
from eventlog_handlers.text.json_text import scalar
from eventlog_handlers.text.shares import fair_shares

_TRACEBACK_TAIL = 0.6  # of the room: the last frames and the error itself say most
_LINE_BREAK = "%0A"
_LONGEST_USUAL = 200  # characters; longer ones are not remembered
_JSON_ESSENTIALS = ("level", "message", "logger", "event_id")
_JSON_LEAVES_RAW = re.compile("[\x7f-\x9f\ufeff\ud800-\udfff]")

_EPOCH = datetime(1970, 1, 1)  # naive throughout, and always meant as UTC


def encoded_size(text: str) -> int:
    """Bytes of *text* once percent-encoded; adds up over concatenation. A quick twin of ``percent``."""
    raw = text.encode("utf-8", "replace")
    return len(raw) + 2 * len(raw.translate(None, UNRESERVED))


def clock_text(time: float) -> tuple[str, bool]:
    """``yyyyMMddTHHmmss.SSS+0000`` in UTC of seconds since the epoch, and whether it tells that time.

    See ``milliseconds``. Source: PutCustomEvent's ``Time``,
    https://www.alibabacloud.com/help/en/cms/developer-reference/api-putcustomevent (read 2026-11-20).
    """
    shown, is_told = milliseconds(time)
    return f"{_second_text(shown // 1000)}.{shown % 1000:03d}+0000", is_told


@lru_cache(maxsize=64)
def _second_text(seconds: int) -> str:
    return f"{_EPOCH + timedelta(seconds=seconds):%Y%m%dT%H%M%S}"


def text_content(event: Event, notes: Sequence[str], max_bytes: int) -> str:
    """Level and message, exception, stack, attributes, circumstances, id, percent-encoded.

    Takes at most *max_bytes*. The lines about the sender are encoded once for all events of one log call.
    """
    first = _first_parts(event)
    sender = _sender_lines(_sender_of(event))
    rest = _lines(_rest(event, notes))
    event_id = clean(event.id)
    lines = [percent("\n".join([part for part, _ in first]))] if first else []
    lines.append(sender.encoded)
    if rest:
        lines.append(_usual_lines(rest) if len(rest) <= _LONGEST_USUAL else percent(rest))
    lines.append(f"event_id%3A%20{percent(event_id)}")
    whole = _LINE_BREAK.join(lines)
    if len(whole) <= max_bytes:
        return whole
    circumstances = f"{sender.text}\n{rest}" if rest else sender.text
    return percent(_fitted([*first, (circumstances, 0.5), (f"event_id: {event_id}", 0.0)], max_bytes))


_usual_lines = lru_cache(maxsize=512)(percent)  # most events have a fingerprint and tags there


def _fitted(parts: Sequence[tuple[str, float]], max_bytes: int) -> str:
    """*parts* in at most *max_bytes* once encoded: small ones stay whole, large ones share the rest."""
    line_breaks = len(_LINE_BREAK) * (len(parts) - 1)
    rooms = fair_shares([encoded_size(part) for part, _ in parts], max_bytes - line_breaks)
    shortened = (
        cut(part, room, size=encoded_size, tail=tail) for (part, tail), room in zip(parts, rooms, strict=True)
    )
    return "\n".join(part for part in shortened if part)


def _first_parts(event: Event) -> list[tuple[str, float]]:
    """What stands before the circumstances, each with the share of its room for its end if it is cut."""
    parts = []
    if head := f"{event.level_name} {event.message}".strip(" "):
        parts.append((clean(head), 0.0))
    for frames in (_stacktrace(event), event.stack):
        if frames:
            parts.append((clean(frames), _TRACEBACK_TAIL))
    if event.attributes:
        parts.append((_lines(event.attributes), 0.0))
    return parts


def json_content(event: Event, notes: Sequence[str], max_bytes: int) -> str:
    """The same as one JSON object, percent-encoded. A part that had to be cut is a string.

    Where *max_bytes* holds not even the names of the essential parts it is the head of a text instead.
    """
    fields: dict[str, Any] = {"level": event.level_name, "message": event.message}
    if event.exception is not None:
        fields["exception"] = {"type": event.exception.type, "message": event.exception.message}
    fields |= {"stacktrace": _stacktrace(event), "stack": event.stack, "attributes": dict(event.attributes)}
    fields |= {**_sender(_sender_of(event)), **_rest(event, notes), "event_id": event.id}
    fields = {
        name: clean(value) if isinstance(value, str) else value for name, value in fields.items() if value
    }
    whole = percent(_json(fields))
    if len(whole) <= max_bytes:
        return whole
    skeleton = encoded_size(_json(dict.fromkeys(fields, "")))
    if skeleton > max_bytes // 2:
        fields = {name: fields[name] for name in _JSON_ESSENTIALS if name in fields}
        skeleton = encoded_size(_json(dict.fromkeys(fields, "")))
    if skeleton > max_bytes:
        return text_content(event, notes, max_bytes)
    sizes = [_json_size(value) for value in fields.values()]
    rooms = fair_shares(sizes, max_bytes - skeleton)
    fitted = {
        name: value if size <= room else _json_cut(name, value, room)
        for (name, value), size, room in zip(fields.items(), sizes, rooms, strict=True)
    }
    return percent(_json(fitted))


def _stacktrace(event: Event) -> str:
    if event.exception is None:
        return ""
    return event.exception.stacktrace or f"{event.exception.type}: {event.exception.message}"


_sender_of = attrgetter("logger", "code", "status", "service", "env", "host", "process_id", "thread_name")


class _Lines(NamedTuple):
    text: str
    encoded: str


@lru_cache(maxsize=512)
def _sender_lines(sender: tuple[Any, ...]) -> _Lines:
    text = _lines(_sender(sender))
    return _Lines(text, percent(text))


def _sender(sender: tuple[Any, ...]) -> dict[str, Any]:
    """The sender's fields, which events of one log call share; empty ones are left out."""
    logger, code, status, service, env, host, pid, thread = sender
    fields: dict[str, Any] = {
        "logger": logger,
        "code": f"{code.file}:{code.line} in {code.function}",
        "status": status,
        "service": service,
        "env": env,
        "host": host,
        "pid": pid,
        "thread": thread,
    }
    return {name: value for name, value in fields.items() if value}


def _rest(event: Event, notes: Sequence[str]) -> dict[str, Any]:
    """The other fields of the event; empty ones are left out."""
    fields: dict[str, Any] = {}
    if event.trace_id:
        fields["trace_id"] = event.trace_id
    if event.span_id:
        fields["span_id"] = event.span_id
    if event.fingerprint:
        fields["fingerprint"] = event.fingerprint
    if event.tags:
        fields["tags"] = dict(event.tags)
    if event.count > 1:
        fields["count"] = event.count
    if event.first_time is not None:
        fields["first_time"] = clock_text(event.first_time)[0]
        fields["last_time"] = clock_text(event.time)[0]
    if event.defects:
        fields["defects"] = list(event.defects)
    if notes:
        fields["notes"] = list(notes)
    return fields


def _lines(fields: Mapping[str, Any]) -> str:
    """A line for each field, clean as ``clean`` makes it."""
    return "\n".join([f"{one_line(name)}: {_shown(value)}" for name, value in fields.items()])


def _shown(value: Any) -> str:
    """A value on one line: text that needs no quotes without them, everything else as JSON."""
    if isinstance(value, str) and value.isprintable():
        return value
    return scalar(value) or _json(value)


_dump = JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _json(value: Any) -> str:
    text = _dump(value)
    if text.isprintable():
        return text
    return _JSON_LEAVES_RAW.sub(_json_escape, text)


def _json_escape(match: re.Match[str]) -> str:
    character = match.group()
    return "\ufffd" if "\ud800" <= character <= "\udfff" else f"\\u{ord(character):04x}"


def _json_size(value: Any) -> int:
    """Encoded bytes a value adds to a skeleton that has "" in its place."""
    return encoded_size(_json(value)[1:-1] if isinstance(value, str) else _json(value))


def _json_cut(name: str, value: Any, room: int) -> str:
    text = value if isinstance(value, str) else _json(value)
    tail = _TRACEBACK_TAIL if name in ("stacktrace", "stack") else 0.0
    return cut(text, room, size=_json_size, tail=tail)
