"""Reads an event for people, whichever service it was sent to: message, traceback, fields.

Every field is found in events of this package's handlers, and the usual fields in those of other senders. All
other fields stand in ``fields`` as they were sent. Pure, and never raises.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from eventlog_handlers.console.json_text import strict_json

HEADING_CHARACTERS = 300
_TRACEBACK = "Traceback (most recent call last):"
_LEVEL = re.compile(r"(CRITICAL|FATAL|ERROR|WARNING|WARN|NOTICE|INFO|DEBUG)\b:? ?")
_FIELD = re.compile(r"([^\s:][^:\n]{0,80}): (.*)")
_RAISED = re.compile(r"([A-Za-z_][\w.]*)(?:: |$)")
_FENCE = re.compile(r"(`{3,})[a-z]*")
_BACKTICKS = re.compile("`+")
_KEPT_APART = ("logger", "level", "fingerprint", "event_id", "service", "env", "count")


class Facts(NamedTuple):
    """One event, as a person reads it. Texts are "" where the event doesn't say."""

    uid: str = ""
    """The id that the event's sender gave it, which is the same on every try."""
    fingerprint: str = ""
    logger: str = ""
    level: str = ""
    message: str = ""
    exception: str = ""
    """The type that was raised."""
    traceback: str = ""
    service: str = ""
    """The application's name, and not which of the three services the event was sent to."""
    env: str = ""
    times: int = 1
    """How many occurrences the event stands for."""
    fields: Mapping[str, Any] = {}
    """Everything else, in the order of the event."""


def facts_of(service: str, body: Any) -> Facts:
    """Read *body*: EventInfo's fields for CMS, Guance's body, or the entry of PutEvents."""
    if not isinstance(body, Mapping):
        return Facts()
    readers = {"cms": _of_cms, "guance": _of_guance, "cloudwatch": _of_cloudwatch}
    return readers[service](body) if service in readers else Facts()


def problem_of(facts: Facts, title: str) -> str:
    """The key that groups events of one cause: the fingerprint, or a hash of logger, exception and title."""
    if facts.fingerprint:
        return facts.fingerprint[:64]
    seed = "\n".join((facts.logger, facts.exception, title))
    return f"t-{hashlib.sha256(seed.encode('utf-8', 'replace')).hexdigest()[:16]}"


def heading_of(facts: Facts, title: str) -> str:
    """One line for a row: the message's first, or the title where there is no message."""
    line = next((line.strip() for line in facts.message[:4000].splitlines() if line.strip()), "")
    return (line or title)[:HEADING_CHARACTERS]


# --- CloudWatch ------------------------------------------------------------------------------------------


def _of_cloudwatch(entry: Mapping[str, Any]) -> Facts:
    detail = _object(entry.get("Detail"))
    exception = _mapping(detail.get("exception"))
    shown = {"schema", "message", "logger", "level", "fingerprint", "count", "exception", "event"}
    shown |= {"service", "deployment"}
    fields = {name: value for name, value in detail.items() if name not in shown}
    if name := _mapping(detail.get("event")).get("name"):
        fields["event_name"] = name
    if chain := exception.get("chain"):
        fields["exception_chain"] = chain
    return Facts(
        uid=_text(_mapping(detail.get("event")).get("id")),
        fingerprint=_text(detail.get("fingerprint")),
        logger=_text(detail.get("logger")),
        level=_text(detail.get("level")),
        message=_text(detail.get("message")),
        exception=_text(exception.get("type")),
        traceback=_text(exception.get("stacktrace")),
        service=_text(_mapping(detail.get("service")).get("name")),
        env=_text(_mapping(detail.get("deployment")).get("environment")),
        times=_count(detail.get("count")),
        fields=fields,
    )


# --- Guance ----------------------------------------------------------------------------------------------


def _of_guance(body: Mapping[str, Any]) -> Facts:
    tags, markdown = _mapping(body.get("customTags")), _text(body.get("message"))
    traceback, message = "", ""
    if tags.get("emitter") == "eventlog_handlers":
        blocks = _fenced(markdown)
        traceback = next((block for block in blocks if _TRACEBACK in block), "")
        message = _span(markdown[:4000].partition("\n")[0])
        # A message of several lines stands in a block of its own, whose first line the summary repeats.
        message = next((block for block in blocks if message and block.startswith(message)), message)
    else:
        message = markdown
    apart = {*_KEPT_APART, "exc_type", "event_uid", "repeat_count"}
    return Facts(
        uid=_text(tags.get("event_uid")),
        fingerprint=_text(tags.get("fingerprint")),
        logger=_text(tags.get("logger")) or _text(body.get("origin")),
        level=_text(tags.get("level")),
        message=message,
        exception=_text(tags.get("exc_type")),
        traceback=traceback,
        service=_text(tags.get("service")),
        env=_text(tags.get("env")),
        times=_count(tags.get("repeat_count")),
        fields={name: value for name, value in tags.items() if name not in apart},
    )


def _span(line: str) -> str:
    """The text of the first inline code in *line*."""
    opened = _BACKTICKS.search(line)
    if opened is None:
        return ""
    text = line[opened.end() :].partition(opened[0])[0]
    return text.removeprefix(" ").removesuffix(" ") if len(opened[0]) > 1 else text


def _fenced(markdown: str) -> list[str]:
    """The blocks between fences, each closed by a line that equals the backticks it was opened with."""
    blocks: list[str] = []
    inside: list[str] = []
    fence = ""
    for line in markdown.split("\n"):
        if not fence:
            opened = _FENCE.fullmatch(line)
            fence = opened[1] if opened else ""
            inside = []
        elif line == fence:
            blocks.append("\n".join(inside))
            fence = ""
        else:
            inside.append(line)
    return blocks


# --- CMS -------------------------------------------------------------------------------------------------


def _of_cms(event: Mapping[str, Any]) -> Facts:
    content = _text(event.get("Content"))
    if content.lstrip().startswith("{") and (whole := _object(content)):
        return _of_cms_json(whole)
    return _of_cms_text(content)


def _of_cms_json(content: Mapping[str, Any]) -> Facts:
    exception = _mapping(content.get("exception"))
    shown = {*_KEPT_APART, "message", "exception", "stacktrace"}
    return _common(
        content,
        message=_text(content.get("message")),
        exception=_text(exception.get("type")),
        traceback=_text(content.get("stacktrace")),
        fields={name: value for name, value in content.items() if name not in shown},
    )


def _of_cms_text(content: str) -> Facts:
    """The lines of a text: message, traceback, attributes, then the circumstances from ``logger`` on."""
    lines = content.split("\n")
    last = next((number for number in range(len(lines) - 1, -1, -1) if _is_start(lines[number])), len(lines))
    circumstances = _fields(lines[last:])
    told, traceback, rest = _around_traceback(lines[:last])
    attributes = _fields(rest) if all(map(_FIELD.fullmatch, rest)) else {}
    if rest and not attributes:
        traceback += rest
    if not traceback:
        told, attributes = _split_attributes(told) if circumstances else (told, {})
    message = "\n".join(told)
    level = _LEVEL.match(message)
    return _common(
        {"level": level[1] if level else ""} | circumstances,
        message=message[level.end() :] if level else message,
        exception=_raised(traceback),
        traceback="\n".join(traceback),
        fields=attributes | {name: value for name, value in circumstances.items() if name not in _KEPT_APART},
    )


def _is_start(line: str) -> bool:
    return line.startswith("logger: ")


def _around_traceback(lines: list[str]) -> tuple[list[str], list[str], list[str]]:
    """The lines before the traceback, the traceback, and the lines behind it."""
    begin = next((number for number, line in enumerate(lines) if line.strip() == _TRACEBACK), None)
    if begin is None:
        return lines, [], []
    end = len(lines)
    indented = [number for number in range(begin, len(lines)) if lines[number].startswith(("  ", "\t"))]
    if indented:
        end = min(indented[-1] + 2, len(lines))  # the line behind the last frame names the exception
    return lines[:begin], lines[begin:end], lines[end:]


def _split_attributes(lines: list[str]) -> tuple[list[str], dict[str, str]]:
    """The message's lines, of which there is at least one, and the attributes behind them."""
    cut = len(lines)
    while cut > 1 and _FIELD.fullmatch(lines[cut - 1]):
        cut -= 1
    return lines[:cut], _fields(lines[cut:])


def _raised(traceback: Sequence[str]) -> str:
    match = _RAISED.match(traceback[-1]) if traceback else None
    return match[1] if match else ""


def _fields(lines: Sequence[str]) -> dict[str, str]:
    matches = (_FIELD.fullmatch(line) for line in lines)
    return {match[1]: match[2] for match in matches if match}


def _common(said: Mapping[str, Any], **more: Any) -> Facts:
    """The fields that text and JSON of CMS name alike."""
    return Facts(
        uid=_text(said.get("event_id")),
        fingerprint=_text(said.get("fingerprint")),
        logger=_text(said.get("logger")),
        level=_text(said.get("level")),
        service=_text(said.get("service")),
        env=_text(said.get("env")),
        times=_count(said.get("count")),
        **more,
    )


# --- values ----------------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _object(text: Any) -> Mapping[str, Any]:
    """A JSON object in a text; {} for anything else."""
    try:
        return _mapping(strict_json(text)) if isinstance(text, str) else {}
    except ValueError:
        return {}


def _count(value: Any) -> int:
    """A number of occurrences as a number or as a tag's text; 1 for anything else."""
    try:
        return min(max(int(value), 1), 2**53) if isinstance(value, (int, str)) and len(str(value)) < 17 else 1
    except ValueError:
        return 1
