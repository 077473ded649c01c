"""The message of a Guance event: Markdown with traceback and fields, cut to a size. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import lru_cache

from eventlog_handlers.events import JSON, Code, Event
from eventlog_handlers.text.fit import clean, cut, one_line, plain_line, utf8_size
from eventlog_handlers.text.json_text import quoted, scalar
from eventlog_handlers.text.shares import fair_shares

ATTRIBUTE_BYTES = 2048
"""Of one attribute's value in the message; a longer one is cut."""
_SUMMARY_BYTES = 512
_TAIL = {"exception": 0.6, "stack": 0.6, "message": 0.3, "attributes": 0.0, "defects": 0.0}
"""The share of a cut section's room that its end gets: a traceback ends with what matters most."""
_LEAST_BYTES = 160
"""A section that would get less is left out."""
_MOST_JSON_BYTES = 6
"""Of one character in a JSON string."""

_NOT_A_WORD = re.compile(r"[^\w ]+")
_BACKTICKS = re.compile("`+")
_TOO_MANY_BACKTICKS = re.compile("`{65,}")
_dump_for_readers = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def json_size(text: str) -> int:
    """Bytes of *text* inside a JSON string."""
    return utf8_size(quoted(text)) - 2


def as_text(value: JSON) -> str:
    """A text as it is, anything else as JSON that people read."""
    if isinstance(value, str):
        return value
    return scalar(value) or _dump_for_readers(value)


def sections_of(event: Event) -> dict[str, str]:
    """The fenced parts by name, in the order they are shown; only those with something in them."""
    attributes = "\n".join(
        [
            f"{one_line(name)}: {cut(as_text(value), ATTRIBUTE_BYTES)}"
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


def message_of(event: Event, sections: Mapping[str, str], room: int) -> str:
    """Summary, fenced sections, place and id, in at most *room* bytes of JSON.

    Text of the application stands only in code spans and fences: outside of them ``<module>`` would vanish
    as HTML, ``__init__`` turn bold, and a link be clickable. The fence is longer than any run of backticks
    inside, so no text can end it.
    """
    first_line = next(filter(str.strip, event.message.splitlines()), "")
    summary = f"{_NOT_A_WORD.sub(' ', event.level_name)} {_span(first_line, _SUMMARY_BYTES)}".strip()
    footer = _place(event.logger, event.code)
    if event.count > 1:
        footer += f", {event.count} times" + (f" since {utc(event.first_time)}" if event.first_time else "")
    footer += f"\n\nid {event.id}"
    whole = _joined(summary, map(_fenced, sections.values()), footer)
    if len(whole) * _MOST_JSON_BYTES <= room or json_size(whole) <= room:
        return whole

    for kept in range(len(sections), 0, -1):  # the order is also that of importance
        names = list(sections)[:kept]
        note = _left_out(list(sections)[kept:])
        empty = _joined(summary, (_fenced(sections[name]) for name in names), note + footer)
        sizes = [json_size(sections[name]) for name in names]
        shares = fair_shares(sizes, room - json_size(empty) + sum(sizes))
        if all(share >= min(size, _LEAST_BYTES) for share, size in zip(shares, sizes, strict=True)):
            cuts = (
                cut(sections[name], share, size=json_size, tail=_TAIL[name])
                for name, share in zip(names, shares, strict=True)
            )
            return _joined(summary, map(_fenced, cuts), note + footer)
    bare = _joined(summary, (), _left_out(list(sections)) + footer)
    return bare if json_size(bare) <= room else cut(f"id {event.id}", max(room, 0), size=json_size)


@lru_cache(maxsize=512)
def _place(logger: str, code: Code) -> str:
    return f"{_span(logger, 128)} {_span(f'{code.file}:{code.line} in {code.function}', 256)}".strip()


def _joined(summary: str, blocks: Iterable[str], footer: str) -> str:
    return "\n\n".join([summary, *blocks, footer])


def _left_out(names: Sequence[str]) -> str:
    return f"… [left out: {', '.join(names)}] …\n\n" if names else ""


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


def utc(seconds: float) -> str:
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
