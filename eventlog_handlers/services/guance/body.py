"""Guance's form of an event: the body of the one call that makes it. Pure: no I/O, no key, no clock.

One call makes one event: ``POST /api/v1/events/create``, JSON. Sources, read 2026-11-20: the pages
open-api/keyevent/create (the six fields), open-api/error-definition (codes), open-api/api-limit (20 calls a
minute and key, 200 a minute and workspace), open-api/checker/receive (rules for the names and values of
tags), datakit/apis "point limitation" (256 tags, names of 256 and values of 1024 bytes) of docs.guance.com.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from functools import lru_cache
from typing import Any

from eventlog_handlers.events import JSON, Event, Limits, Payload
from eventlog_handlers.services.guance.message import as_text, json_size, message_of, sections_of, utc
from eventlog_handlers.services.moment import milliseconds
from eventlog_handlers.text.fit import cut, ellipsis, plain_line, utf8_size
from eventlog_handlers.text.json_text import quoted
from eventlog_handlers.text.template import expand

PATH = "/api/v1/events/create"
LIMITS = Limits(1, 1_000_000)
"""The vendor names no limit for the body; its storage takes messages of 1 MB."""

TITLE_CHARACTERS = 256
TAG_COUNT = 256
TAG_NAME_BYTES = 256
TAG_VALUE_BYTES = 1024

RESERVED_TAGS = frozenset(
    {"date", "time", "time_us", "timestamp", "create_time", "status", "source", "title", "message"}
    | {"dimension_tags", "check_value", "workspace_uuid", "workspace_name", "extra_data"}
)
_REPEATING = ("logger", "level", "exc_type", "file", "func", "host", "pid", "service", "env", "fingerprint")
_OUR_TAGS = frozenset(
    {*_REPEATING, "event_uid", "emitter", "trace_id", "span_id", "event_name", "repeat_count"}
    | {"first_time", "last_time"}
)
_NOT_IN_A_NAME = re.compile("[^A-Za-z0-9_]")
_ILLEGAL_START = re.compile("_|df_|[0-9]|$", re.IGNORECASE)


# --- An event on its way out -------------------------------------------------------------------------------


def encode(
    event: Event, *, origin: str, title: str, max_message_bytes: int, max_bytes: int | None = None
) -> Payload:
    """The body of the one request that creates *event*; ``body`` is bytes of JSON, ``size`` their number.

    *origin* and *title* are templates. The message takes at most *max_message_bytes* of the body, quoting
    included, and the body at most *max_bytes* (or LIMITS): the message is cut first, then the attributes'
    tags go, then the others, then origin and most of the title; some 300 bytes it needs. Optional fields are
    left out where there is nothing to say, because the service refuses null.
    """
    limit = min(LIMITS.request_bytes, LIMITS.request_bytes if max_bytes is None else max_bytes)
    sections = sections_of(event)
    wanted = min(max_message_bytes, 1024, 256 + sum(map(len, sections.values())))
    for frame in _frames(event, origin, title):
        room = limit - utf8_size(frame) - len(',"message":""}')
        if room >= wanted:
            break
    message = message_of(event, sections, min(max_message_bytes, room))
    body = f'{frame},"message":{quoted(message)}}}' if message else f"{frame}}}"
    encoded = body.encode()
    return Payload(event, encoded, len(encoded))


def _frames(event: Event, origin: str, title: str) -> Iterator[str]:
    """JSON of all but the message, not closed, from the fullest to the smallest that can be told apart."""
    required = f'{{"date":{milliseconds(event.time)[0]},"status":{quoted(event.status)}'
    title_text = _title(title, event)
    origin_text = cut(plain_line(expand(origin, event)), TAG_VALUE_BYTES)
    named = f'{required},"title":{quoted(title_text)}'
    if origin_text:
        named += f',"origin":{quoted(origin_text)}'
    smallest = f'{{"event_uid":{quoted(event.id)}}}'
    yield f'{named},"customTags":{_tags(event, event.attributes)}'
    yield f'{named},"customTags":{_tags(event, {})}'
    yield f'{named},"customTags":{smallest}'
    yield f'{required},"title":{quoted(cut(title_text, 64, size=json_size))},"customTags":{smallest}'


def _title(template: str, event: Event) -> str:
    """One plain line; never empty, which the service refuses. Of repeats it says how many, and when."""
    text = plain_line(expand(template, event)) or plain_line(event.logger) or event.status
    room = TITLE_CHARACTERS
    repeated = ""
    if event.count > 1:
        first, last = (
            utc(event.time if event.first_time is None else event.first_time),
            utc(event.time),
        )
        repeated = f" ({event.count} times, {first} to {last})"
        room -= len(repeated)
    return (ellipsis(text, room) + repeated)[:TITLE_CHARACTERS]


def _tags(event: Event, attributes: Mapping[str, JSON]) -> str:
    """The tags to filter by, as JSON: our own, then the handler's tags, then *attributes*, flattened."""
    exception, code = event.exception, event.code
    members = _members({"event_uid": event.id})
    members += _repeating_members(
        event.logger,
        event.level_name,
        exception and exception.type,
        code.file,
        code.function,
        event.host,
        event.process_id,
        event.service,
        event.env,
        event.fingerprint,
    )
    members += _members(
        {"trace_id": event.trace_id, "span_id": event.span_id, "event_name": event.event_name}
    )
    if event.count > 1:
        members += _members({"repeat_count": event.count})
    if event.first_time is not None:
        members += _members({"first_time": utc(event.first_time), "last_time": utc(event.time)})
    taken: set[str] = set()
    for name, value in (*_flattened(event.tags), *_flattened(attributes)):
        if len(members) == TAG_COUNT:
            break
        if text := _tag_value(value):
            taken.add(unused := _unused(_legal_name(name), taken))
            members.append(f'"{unused}":{quoted(text)}')
    return f"{{{','.join(members)}}}"


@lru_cache(maxsize=512)
def _repeating_members(*values: JSON) -> tuple[str, ...]:
    """Those of _REPEATING, which one log call's events share."""
    return ('"emitter":"eventlog_handlers"', *_members(dict(zip(_REPEATING, values, strict=True))))


def _members(tags: Mapping[str, JSON]) -> list[str]:
    """*tags* that have a value, each as a member of a JSON object."""
    return [f'"{name}":{quoted(text)}' for name, value in tags.items() if (text := _tag_value(value))]


def _flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, JSON]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{name}_")
        else:
            yield f"{prefix}{name}", value


@lru_cache(maxsize=512)
def _legal_name(name: str) -> str:
    """*name* as the service takes it, apart from its length."""
    legal = _NOT_IN_A_NAME.sub("_", name)
    if _ILLEGAL_START.match(legal) or legal in RESERVED_TAGS or legal in _OUR_TAGS:
        legal = f"ext_{legal}"
    return legal


def _unused(legal: str, taken: Set[str]) -> str:
    """*legal*, cut, or with the first number that makes it one that is not taken yet."""
    free, number = legal[:TAG_NAME_BYTES], 1
    while free in taken:
        number += 1
        free = f"{legal[: TAG_NAME_BYTES - 4]}_{number}"  # at most 256 tags: three digits
    return free


def _tag_value(value: JSON) -> str:
    """One line; "" for what has no value."""
    if value is None:
        return ""
    text = plain_line(as_text(value))
    return text if len(text) <= TAG_VALUE_BYTES // 4 else cut(text, TAG_VALUE_BYTES)
