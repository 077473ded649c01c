"""An event as the Content of a CMS custom event: a text for people, or one JSON object. Pure.

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
from typing import Any

from eventlog_handlers.events import Event
from eventlog_handlers.services.cms.signing import UNRESERVED
from eventlog_handlers.services.moment import milliseconds
from eventlog_handlers.text.fit import clean, cut, one_line
from eventlog_handlers.text.json_text import scalar
from eventlog_handlers.text.shares import fair_shares

_TRACEBACK_TAIL = 0.6  # of the room: the last frames and the error itself say most
_MOST_BYTES = 12  # of one character once it is percent-encoded
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
    """Level and message, exception, stack, attributes, circumstances, id; at most *max_bytes* encoded."""
    parts = _parts(event, notes)
    whole = "\n".join([part for part, _ in parts])
    if len(whole) * _MOST_BYTES <= max_bytes or encoded_size(whole) <= max_bytes:
        return whole
    line_breaks = encoded_size("\n") * (len(parts) - 1)
    rooms = fair_shares([encoded_size(part) for part, _ in parts], max_bytes - line_breaks)
    shortened = (
        cut(part, room, size=encoded_size, tail=tail) for (part, tail), room in zip(parts, rooms, strict=True)
    )
    return "\n".join(part for part in shortened if part)


def _parts(event: Event, notes: Sequence[str]) -> list[tuple[str, float]]:
    """The parts of text_content, each with the share of its room for its end if it has to be cut."""
    parts = []
    if head := f"{event.level_name} {event.message}".strip(" "):
        parts.append((clean(head), 0.0))
    for frames in (_stacktrace(event), event.stack):
        if frames:
            parts.append((clean(frames), _TRACEBACK_TAIL))
    if event.attributes:
        parts.append((_lines(event.attributes), 0.0))
    circumstances = _origin_lines(_origin_of(event))
    if particulars := _lines(_particulars(event, notes)):
        circumstances = f"{circumstances}\n{particulars}"
    parts += [(circumstances, 0.5), (f"event_id: {clean(event.id)}", 0.0)]
    return parts


def json_content(event: Event, notes: Sequence[str], max_bytes: int) -> str:
    """The same as one JSON object. A part that had to be cut is a string.

    Where *max_bytes* holds not even the names of the essential parts it is the head of a text instead.
    """
    fields: dict[str, Any] = {"level": event.level_name, "message": event.message}
    if event.exception is not None:
        fields["exception"] = {"type": event.exception.type, "message": event.exception.message}
    fields |= {"stacktrace": _stacktrace(event), "stack": event.stack, "attributes": dict(event.attributes)}
    fields |= {**_origin(_origin_of(event)), **_particulars(event, notes), "event_id": event.id}
    fields = {
        name: clean(value) if isinstance(value, str) else value for name, value in fields.items() if value
    }
    whole = _json(fields)
    if encoded_size(whole) <= max_bytes:
        return whole
    skeleton = encoded_size(_json(dict.fromkeys(fields, "")))
    if skeleton > max_bytes // 2:
        fields = {name: fields[name] for name in _JSON_ESSENTIALS if name in fields}
        skeleton = encoded_size(_json(dict.fromkeys(fields, "")))
    if skeleton > max_bytes:
        return text_content(event, notes, max_bytes)
    sizes = [_json_size(value) for value in fields.values()]
    rooms = fair_shares(sizes, max_bytes - skeleton)
    return _json(
        {
            name: value if size <= room else _json_cut(name, value, room)
            for (name, value), size, room in zip(fields.items(), sizes, rooms, strict=True)
        }
    )


def _stacktrace(event: Event) -> str:
    if event.exception is None:
        return ""
    return event.exception.stacktrace or f"{event.exception.type}: {event.exception.message}"


_origin_of = attrgetter("logger", "code", "status", "service", "env", "host", "process_id", "thread_name")


@lru_cache(maxsize=512)
def _origin_lines(origin: tuple[Any, ...]) -> str:
    return _lines(_origin(origin))


def _origin(origin: tuple[Any, ...]) -> dict[str, Any]:
    """The sender's fields, which events of one log call share; empty ones are left out."""
    logger, code, status, service, env, host, pid, thread = origin
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


def _particulars(event: Event, notes: Sequence[str]) -> dict[str, Any]:
    """The other fields of the event; empty ones are left out."""
    fields: dict[str, Any] = {
        "trace_id": event.trace_id,
        "span_id": event.span_id,
        "fingerprint": event.fingerprint,
        "tags": dict(event.tags),
        "count": event.count if event.count > 1 else None,
        "first_time": None if event.first_time is None else clock_text(event.first_time)[0],
        "last_time": None if event.first_time is None else clock_text(event.time)[0],
        "defects": list(event.defects),
        "notes": list(notes),
    }
    return {name: value for name, value in fields.items() if value}


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
