"""Guance's form of an event, and what its answers mean. Pure: no I/O, no key, no clock.

One call makes one event: ``POST /api/v1/events/create``, JSON. Sources, read 2026-11-20: the pages
open-api/keyevent/create (the six fields), open-api/error-definition (codes), open-api/api-limit (20 calls a
minute and key, 200 a minute and workspace), open-api/checker/receive (rules for the names and values of
tags), datakit/apis "point limitation" (256 tags, names of 256 and values of 1024 bytes) of docs.guance.com.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from eventlog_handlers.errors import (
    MisconfiguredError,
    ThrottledError,
    TooLargeError,
    TransientError,
)
from eventlog_handlers.events import DELIVERED, JSON, Code, Disposition, Event, Limits, Outcome, Payload
from eventlog_handlers.jsontext import quoted, scalar
from eventlog_handlers.wire.answers import printable, retry_after
from eventlog_handlers.wire.template import expand
from eventlog_handlers.wire.text import clean, cut, one_line, plain_line, utf8_size

PATH = "/api/v1/events/create"
LIMITS = Limits(1, 1_000_000)
"""The vendor names no limit for the body; its storage takes messages of 1 MB."""

TITLE_CHARACTERS = 256
TAG_COUNT = 256
TAG_NAME_BYTES = 256
TAG_VALUE_BYTES = 1024
ATTRIBUTE_BYTES = 2048
"""Of one attribute's value in the message; a longer one is cut."""

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
_NOT_A_WORD = re.compile(r"[^\w ]+")
_BACKTICKS = re.compile("`+")
_TOO_MANY_BACKTICKS = re.compile("`{65,}")


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
    sections = _sections(event)
    wanted = min(max_message_bytes, 1024, 256 + sum(map(len, sections.values())))
    for frame in _frames(event, origin, title):
        room = limit - utf8_size(frame) - len(',"message":""}')
        if room >= wanted:
            break
    message = _message(event, sections, min(max_message_bytes, room))
    body = f'{frame},"message":{quoted(message)}}}' if message else f"{frame}}}"
    encoded = body.encode()
    return Payload(event, encoded, len(encoded))


def _frames(event: Event, origin: str, title: str) -> Iterator[str]:
    """JSON of all but the message, not closed, from the fullest to the smallest that can be told apart."""
    # Milliseconds, rounded down; the thousandth undoes what a float loses of 1700000000.123.
    required = f'{{"date":{math.floor(event.time * 1000 + 0.001)},"status":{quoted(event.status)}'
    title_text = _title(title, event)
    origin_text = cut(plain_line(expand(origin, event)), TAG_VALUE_BYTES)
    named = f'{required},"title":{quoted(title_text)}'
    if origin_text:
        named += f',"origin":{quoted(origin_text)}'
    smallest = f'{{"event_uid":{quoted(event.id)}}}'
    yield f'{named},"customTags":{_tags(event, event.attributes)}'
    yield f'{named},"customTags":{_tags(event, {})}'
    yield f'{named},"customTags":{smallest}'
    yield f'{required},"title":{quoted(cut(title_text, 64, size=_json_size))},"customTags":{smallest}'


def _json_size(text: str) -> int:
    """Bytes of *text* inside a JSON string."""
    return utf8_size(quoted(text)) - 2


def _title(template: str, event: Event) -> str:
    """One plain line; never empty, which the service refuses. Of repeats it says how many, and when."""
    text = plain_line(expand(template, event)) or plain_line(event.logger) or event.status
    room = TITLE_CHARACTERS
    repeated = ""
    if event.count > 1:
        first, last = _utc(event.time if event.first_time is None else event.first_time), _utc(event.time)
        repeated = f" ({event.count} times, {first} to {last})"
        room -= len(repeated)
    return ((text if len(text) <= room else text[: max(room - 1, 0)] + "…") + repeated)[:TITLE_CHARACTERS]


def _tags(event: Event, attributes: Mapping[str, JSON]) -> str:
    """What to filter by, as JSON: our own names, then the handler's tags, then *attributes*, flattened."""
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
        members += _members({"first_time": _utc(event.first_time), "last_time": _utc(event.time)})
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
    """*legal*, cut, or with the first number that makes it one that nobody has yet."""
    free, number = legal[:TAG_NAME_BYTES], 1
    while free in taken:
        number += 1
        free = f"{legal[: TAG_NAME_BYTES - 4]}_{number}"  # at most 256 tags: three digits
    return free


def _tag_value(value: JSON) -> str:
    """One line; "" for what has no value."""
    if value is None:
        return ""
    text = plain_line(_as_text(value))
    return text if len(text) <= TAG_VALUE_BYTES // 4 else cut(text, TAG_VALUE_BYTES)


_dump_for_readers = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def _as_text(value: JSON) -> str:
    if isinstance(value, str):
        return value
    return scalar(value) or _dump_for_readers(value)


# --- Its message, in Markdown ------------------------------------------------------------------------------


_SUMMARY_BYTES = 512
_TAIL = {"exception": 0.6, "stack": 0.6, "message": 0.3, "attributes": 0.0, "defects": 0.0}
"""The share of a cut section's room that its end gets: a traceback ends with what matters most."""
_MOST_JSON_BYTES = 6
"""Of one character in a JSON string."""
_LEAST_BYTES = 160
"""A section that would get less is left out."""


def _sections(event: Event) -> dict[str, str]:
    """The fenced parts by name, in the order they are shown; only those with something in them."""
    attributes = "\n".join(
        [
            f"{one_line(name)}: {cut(_as_text(value), ATTRIBUTE_BYTES)}"
            for name, value in event.attributes.items()
        ]
    )
    fits_the_summary = utf8_size(event.message) <= _SUMMARY_BYTES and len(event.message.splitlines()) <= 1
    sections = {
        "exception": event.exception.stacktrace if event.exception else "",
        "stack": event.stack,
        "message": "" if fits_the_summary else event.message,
        "attributes": attributes,
        "defects": "\n".join(event.defects),
    }
    return {name: _tamed(clean(text)) for name, text in sections.items() if text}


def _message(event: Event, sections: Mapping[str, str], room: int) -> str:
    """Summary, fenced sections, place and id, in at most *room* bytes of JSON.

    Text of the application stands only in code spans and fences: outside of them ``<module>`` would vanish
    as HTML, ``__init__`` turn bold, and a link be clickable. The fence is longer than any run of backticks
    inside, so no text can end it.
    """
    first_line = next(filter(str.strip, event.message.splitlines()), "")
    summary = f"{_NOT_A_WORD.sub(' ', event.level_name)} {_span(first_line, _SUMMARY_BYTES)}".strip()
    footer = _place(event.logger, event.code)
    if event.count > 1:
        footer += f", {event.count} times" + (f" since {_utc(event.first_time)}" if event.first_time else "")
    footer += f"\n\nid {event.id}"
    whole = _joined(summary, map(_fenced, sections.values()), footer)
    if len(whole) * _MOST_JSON_BYTES <= room or _json_size(whole) <= room:
        return whole

    for kept in range(len(sections), 0, -1):  # the order is also that of importance
        names = list(sections)[:kept]
        note = _left_out(list(sections)[kept:])
        empty = _joined(summary, (_fenced(sections[name]) for name in names), note + footer)
        sizes = {name: _json_size(sections[name]) for name in names}
        shares = _shares(sizes, room - _json_size(empty) + sum(sizes.values()))
        if all(shares[name] >= min(sizes[name], _LEAST_BYTES) for name in names):
            cuts = (cut(sections[name], shares[name], size=_json_size, tail=_TAIL[name]) for name in names)
            return _joined(summary, map(_fenced, cuts), note + footer)
    bare = _joined(summary, (), _left_out(list(sections)) + footer)
    return bare if _json_size(bare) <= room else cut(f"id {event.id}", max(room, 0), size=_json_size)


@lru_cache(maxsize=512)
def _place(logger: str, code: Code) -> str:
    return f"{_span(logger, 128)} {_span(f'{code.file}:{code.line} in {code.function}', 256)}".strip()


def _joined(summary: str, blocks: Iterable[str], footer: str) -> str:
    return "\n\n".join([summary, *blocks, footer])


def _left_out(names: Sequence[str]) -> str:
    return f"… [left out: {', '.join(names)}] …\n\n" if names else ""


def _shares(sizes: Mapping[str, int], room: int) -> dict[str, int]:
    """Divide *room*: small parts get all they want, large ones an equal share of what is left."""
    shares: dict[str, int] = {}
    for name in sorted(sizes, key=sizes.__getitem__):
        shares[name] = min(sizes[name], room // (len(sizes) - len(shares)))
        room -= shares[name]
    return shares


def _tamed(text: str) -> str:
    """*text* without endless runs of backticks, which would need an endless fence."""
    if "`" not in text:
        return text
    return _TOO_MANY_BACKTICKS.sub(lambda run: f"[{len(run[0])} backticks]", text)


def _longest_run(text: str) -> int:
    return max(map(len, _BACKTICKS.findall(text)), default=0) if "`" in text else 0


def _fenced(text: str) -> str:
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _span(text: str, max_bytes: int) -> str:
    """*text* as one line of inline code, at most *max_bytes* of it; "" for nothing."""
    line = cut(_tamed(plain_line(text)), max_bytes)
    if not line:
        return ""
    run = _longest_run(line)
    return f"`{line}`" if run == 0 else f"{'`' * (run + 1)} {line} {'`' * (run + 1)}"


def _utc(seconds: float) -> str:
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


# --- What the service says ---------------------------------------------------------------------------------

INVALID_KEY = "ft.InvalidAPIKey"
INVALID_KEY_HINT = (
    "the service does not know the key: is it of another site (site=, endpoint=)? is it a Key ID where the "
    "Key (Secret) is wanted, or the reverse on older sites? a Client Token? was it deleted?"
)
_PAUSE_SECONDS = {"ft.TriggerApiAkCurrentLimiting": 10.0, "ft.TriggerApiWorkspaceCurrentLimiting": 60.0}
"""Until the first probe; the window is a minute, and only the workspace's is filled by others too."""

_NO_PROOF_ATTEMPTS = 10
"""What answers 200 without the service's envelope is rarely the service; an event may meet it so often."""

_TRANSIENT = frozenset({408, 425, 500, 502, 503, 504})
_CONFIGURATION = frozenset({401, 402, 403, 404, 405, 406, 407, 410, 411, 414, 415, 431, 451, 501, 505})
"""Said of the address, the key or the way there, not of the event."""


def decode(status: int, headers: Mapping[str, str], body: bytes, count: int) -> Sequence[Outcome]:
    """What became of the *count* events of one call, or a SinkError for the call as a whole.

    *headers* have lower-case names. The envelope's ``errorCode`` decides first, because throttling and a bad
    key share the status 401; then the HTTP status, or the one the envelope holds inside a 200; then
    ``success``, and only ``success: true`` with ``code: 200`` proves a delivery.
    """
    envelope = _envelope(body)
    code = envelope.get("errorCode")
    code = code if isinstance(code, str) else ""
    said = printable(str(envelope.get("message") or "").encode("utf-8", "replace")) or printable(body)
    word = code or f"http_{status}"
    if status == 429 or (code.startswith("ft.Trigger") and code.endswith("CurrentLimiting")):
        pause = retry_after(headers)
        raise ThrottledError(word, said, retry_after=_PAUSE_SECONDS.get(code) if pause is None else pause)
    if code == INVALID_KEY:
        raise MisconfiguredError(code, INVALID_KEY_HINT)
    inner = envelope.get("code")
    if 200 <= status < 300 and type(inner) is int and 400 <= inner < 600:
        status = inner
        word = code or f"http_{status}"
    if 200 <= status < 300:
        if envelope.get("success") is True and inner == 200 and not code:
            return [DELIVERED] * count
        if code or envelope.get("success") is False:
            return [Outcome(Disposition.REJECTED, word, said)] * count
        raise TransientError(
            "no_proof",
            f"answered {status} but not in the service's form: {said}",
            ambiguous=True,
            attempts_allowed=_NO_PROOF_ATTEMPTS,
        )
    return _by_status(status, headers, word, said, count)


def _by_status(
    status: int, headers: Mapping[str, str], word: str, said: str, count: int
) -> Sequence[Outcome]:
    if 300 <= status < 400:
        raise MisconfiguredError(
            word, f"redirected{_target(headers)}, not followed: look at endpoint and proxies"
        )
    if status in _CONFIGURATION:
        raise MisconfiguredError(
            word, f"refused with status {status}; look at endpoint, key and proxies: {said}"
        )
    if status == 413:
        raise TooLargeError(word, said)
    if 400 <= status < 500 and status not in _TRANSIENT:
        return [Outcome(Disposition.REJECTED, word, said)] * count
    raise TransientError(word, said, retry_after=retry_after(headers))


def _target(headers: Mapping[str, str]) -> str:
    """Where a redirect points, without path and query, which may hold what must not be told."""
    try:
        target = urlsplit(headers.get("location", ""))
    except ValueError:
        return ""
    return f" to {target.scheme}://{printable(target.hostname.encode())}" if target.hostname else ""


def _envelope(body: bytes) -> dict[str, Any]:
    """The answer as an object; {} for anything else."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
