"""``Detail``: the content of an event of CloudWatch Events, as JSON, cut to fit. Pure.

Here: the keys and their order, the numbers and characters the service takes, the cutting. Not here: the entry
around it and its size (``entry``). The keys are described in ``schemas/detail-1.json``; keep in step.

Sources, read 2026-11-20: PutEventsRequestEntry, "Detail" (a JSON object, nested 1000 levels at most, integers
of signed 64 bits) and opentelemetry.io/docs/specs/semconv for the names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

from eventlog_handlers.events import Code, Event
from eventlog_handlers.text.fit import cut, utf8_size
from eventlog_handlers.text.json_text import compact, quoted
from eventlog_handlers.text.shares import fair_shares

SCHEMA = "urn:eventlog-handlers:detail-1"
"""The value of the key ``schema``: the ``$id`` of the JSON Schema."""

_MAX_INT, _MIN_INT = 2**63 - 1, -(2**63)

# Lone surrogates have no UTF-8; U+FFFE and U+FFFF are refused by SQS, the commonest target.
_UNSENDABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")


def utc(seconds: float) -> datetime:
    """Wall time as UTC, rounded to the millisecond, so that Time and Detail say the same.

    A time outside the calendar becomes 1970.
    """
    if not -62_135_596_800 <= seconds <= 253_402_300_798:
        seconds = 0.0
    return datetime.fromtimestamp(round(seconds * 1000) / 1000, timezone.utc)


def _iso(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='milliseconds')[:-6]}Z"


def sendable(text: str) -> str:
    """*text* with U+FFFD for what cannot be sent."""
    return text if text.isascii() else _UNSENDABLE.sub("\ufffd", text)


def make(event: Event, moment: datetime, defects: Sequence[str]) -> str:
    """``Detail`` as compact JSON, in characters that have a UTF-8 form.

    The keys stand in the order a reader wants them. In step with ``schemas/detail-1.json``.
    """
    time = _iso(moment)
    text = f'{{"schema":"{SCHEMA}","event":{{"id":{quoted(event.id)}'
    if event.event_name:
        text += f',"name":{quoted(event.event_name)}'
    text += f'}},"time":"{time}",{_severity(event.level_name, event.level, event.status)}'
    text += f',"message":{quoted(event.message)}'
    if event.template:
        text += f',"message_template":{quoted(event.template)}'
    text += f',"logger":{quoted(event.logger)}'
    if event.exception:
        kind, words, stacktrace, chain = event.exception
        text += f',"exception":{{"type":{quoted(kind)},"message":{quoted(words)}'
        text += f',"stacktrace":{quoted(stacktrace)},"chain":[{",".join(map(quoted, chain))}]}}'
    if event.stack:
        text += f',"stack":{quoted(event.stack)}'
    origin = _origin(
        event.code,
        event.thread_id,
        event.thread_name,
        event.process_id,
        event.host,
        event.service,
        event.env,
    )
    text += f",{origin}"
    if event.trace_id:
        text += f',"trace_id":{quoted(event.trace_id)}'
    if event.span_id:
        text += f',"span_id":{quoted(event.span_id)}'
    text += f',"fingerprint":{quoted(event.fingerprint)},"count":{_int64(event.count)}'
    if event.tags:
        text += f',"tags":{compact(dict(event.tags))}'
    if event.attributes:
        text += f',"extra":{compact(dict(event.attributes))}'
    if defects:
        text += f',"defects":{compact(defects)}'
    if event.first_time is not None:
        text += f',"first_time":"{_iso(utc(event.first_time))}","last_time":"{time}"'
    return sendable(f"{text}}}")


@lru_cache(maxsize=64)
def _severity(level_name: str, level: int, status: str) -> str:
    severity = {"level": level_name, "severity_number": severity_number(level), "status": status}
    return compact(severity)[1:-1]


@lru_cache(maxsize=512)
def _origin(
    code: Code,
    thread_id: int,
    thread_name: str,
    process_id: int,
    host: str,
    service: str,
    env: str | None,
) -> str:
    """The part that events of one log call share, without the braces."""
    origin = {
        "code": {
            "file": {"path": code.file},
            "line": {"number": _int64(code.line)},
            "function": {"name": code.function},
            "module": {"name": code.module},
        },
        "thread": {"id": _int64(thread_id), "name": thread_name},
        "process": {"pid": _int64(process_id)},
        "host": {"name": host},
        "service": {"name": service},
    }
    if env:
        origin["deployment"] = {"environment": env}
    return compact(origin)[1:-1]


def severity_number(level: int) -> int:
    """OpenTelemetry's number for a logging level, as its own logging handler has it: ERROR (40) is 17.

    Source: opentelemetry-python, ``std_to_otel``; logs data model, "SeverityNumber".
    """
    if level < 10:
        return 0
    tens = min(level // 10, 5)
    return 4 * tens + 1 + min(level - 10 * tens, 3)


def _int64(number: int) -> int:
    return max(_MIN_INT, min(number, _MAX_INT))


# --- making it fit ----------------------------------------------------------------------------------------

_TRACEBACK_TAIL = 0.6  # the last lines of a traceback hold the exception and the innermost frames

_MAY_BE_CUT = (
    # path in Detail, share of the room for the end of the text
    (("exception", "stacktrace"), _TRACEBACK_TAIL),
    (("stack",), _TRACEBACK_TAIL),
    (("message",), 0.0),
    (("extra",), 0.0),
    (("message_template",), 0.0),
    (("exception", "message"), 0.0),
    (("exception", "type"), 0.0),
    (("exception", "chain"), 0.0),
    (("tags",), 0.0),
    (("defects",), 0.0),
    (("event", "name"), 0.0),
    (("level",), 0.0),
    (("logger",), 0.0),
    (("code", "file", "path"), 0.5),
    (("code", "function", "name"), 0.0),
    (("code", "module", "name"), 0.0),
    (("thread", "name"), 0.0),
    (("host", "name"), 0.0),
    (("service", "name"), 0.0),
    (("deployment", "environment"), 0.0),
    (("trace_id",), 0.0),
    (("span_id",), 0.0),
    (("fingerprint",), 0.0),
)
_ESSENTIAL = ("schema", "event", "time", "level", "severity_number", "status", "message", "truncated")
_MARK_BYTES = 64  # kept free in a cut collection for the mark that counts what is missing
_WHOLE_BYTES = 256  # what a part of a cut collection may take, however many there are: a few whole, no crumbs


def shortened(detail: str, room: int) -> str:
    """*detail* in at most *room* bytes, if the keys themselves take no more. It is and stays JSON.

    Short values stay whole, the long ones get an equal share of
    the rest. So a huge extra doesn't cost the traceback a line.
    """
    return compact(_shortened(json.loads(detail) | {"truncated": True}, room))


def _shortened(detail: dict[str, Any], room: int) -> dict[str, Any]:
    places = [(*place, tail) for path, tail in _MAY_BE_CUT if (place := _place(detail, path))]
    sizes = [_inner_size(holder[key]) for holder, key, _ in places]
    room_inside = room - (_size(detail) - sum(sizes))
    if room_inside < 0 and len(detail) > len(_ESSENTIAL):
        return _shortened({key: detail[key] for key in _ESSENTIAL}, room)
    shares = fair_shares(sizes, room_inside)
    for (holder, key, tail), size, share in zip(places, sizes, shares, strict=True):
        if size > share:
            holder[key] = _cut(holder[key], share, tail)
    return detail


def _place(detail: dict[str, Any], path: tuple[str, ...]) -> tuple[dict[str, Any], str] | None:
    """The dict that holds *path*'s last key, and that key; None if *detail* has no such path."""
    holder = detail
    for key in path[:-1]:
        if key not in holder:
            return None
        holder = holder[key]
    return (holder, path[-1]) if path[-1] in holder else None


def _size(value: Any) -> int:
    """Bytes of *value* as JSON. Adds up: a dict's is two, and for each pair key, colon, value and a comma."""
    return utf8_size(compact(value))


def _inner_size(value: Any) -> int:
    """``_size`` without the quotes or brackets around *value*, a text, list or dict."""
    return _size(value) - 2


def _cut(value: Any, room: int, tail: float = 0.0) -> Any:
    """*value*, a text, list or dict, in at most *room* bytes of JSON between its quotes or brackets."""
    if isinstance(value, str):
        return cut(value, room, size=_inner_size, tail=tail)
    if isinstance(value, list):
        return list(_cut_pairs(((str(index), inner) for index, inner in enumerate(value)), room).values())
    return _cut_pairs(value.items(), room)


def _cut_pairs(pairs: Iterable[tuple[str, Any]], room: int) -> dict[str, Any]:
    """As many *pairs* as fit *room*, the long ones cut; what had to be left out is counted under "…"."""
    pairs = list(pairs)
    sizes = [_pair_size(key, value) for key, value in pairs]
    room -= _MARK_BYTES
    least = min(_WHOLE_BYTES, room)
    kept: dict[str, Any] = {}
    for (key, value), size, fair in zip(pairs, sizes, fair_shares(sizes, room), strict=True):
        share = max(fair, least)
        if size > share:
            key = cut(key, share // 2, size=_inner_size)
            if isinstance(value, (str, list, dict)):
                value = _cut(value, share - _pair_size(key, ""))
            size = _pair_size(key, value)
        if size <= room and key not in kept:
            kept[key] = value
            room -= size
    left_out = len(pairs) - len(kept)
    if left_out and room >= 0:
        kept["…"] = f"[cut: {left_out} of {len(pairs)} left out]"
    return kept


def _pair_size(key: str, value: Any) -> int:
    return _size(key) + _size(value) + 2
