"""Messages that another library has already finished: JSON, colours, a traceback at the end. Pure.

structlog's renderers hand logging one finished text, loguru's sink does too, and many programs log
``traceback.format_exc()``. ``unpacked`` takes such a text apart: its title is the message, its fields are
extras, its traceback is the exception. For the worker's thread, and for folding where a new problem begins.

Checked against structlog 26.1 (``JSONRenderer``, ``ConsoleRenderer``, ``dict_tracebacks``), loguru 0.7.3
(its default format, ``serialize=True``) and python-json-logger's keys.
"""

from __future__ import annotations

import json
from typing import Any

from eventlog_handlers.record import traceback_text
from eventlog_handlers.record.captured import Capture
from eventlog_handlers.record.fields import FUNCTION, LINE, MSG, NAME, NO_FIELDS, TAKEN
from eventlog_handlers.record.message import MAX_TEMPLATE
from eventlog_handlers.text import shallow_json
from eventlog_handlers.text.fit import shorten
from eventlog_handlers.text.lazy_patterns import lazy

TRACEBACK = traceback_text.TRACEBACK
MESSAGE_KEYS = ("event", "message", "msg")
TRACEBACK_KEYS = (
    "exception", "exc_info", "exc_text", "traceback", "stack_trace", "stacktrace", "error.stack_trace",
    "error.stack",
)  # fmt: skip
_STACK_KEYS = ("stack", "stack_info")
_REPEATED_KEYS = {"level": "levelname", "levelname": "levelname", "logger": "name", "name": "name"}
"""Keys that repeat a field of the record: left out where both agree."""

# ECMA-48: a control sequence, or an operating system command up to its end.
_ANSI = lazy("\x1b(?:\\[[0-?]{0,64}[ -/]{0,8}[@-~]|\\][^\x07\x1b]{0,1000}(?:\x07|\x1b\\\\))")


def unpacked(captured: Capture) -> Capture:
    """*captured*, its finished text taken apart; *captured* itself where it holds none.

    A text is taken for JSON only if all of it is one object. The record's own exception and extras win over
    those of the text.
    """
    text = captured.message
    if text is None:
        text = captured.template
        if captured.has_arguments:
            return captured._replace(template=without_ansi(text)) if "\x1b" in text else captured
        if type(captured.fields[MSG]) is str:
            text = captured.fields[MSG]  # the template may have been cut
    if text[:1] != "{" and "\x1b" not in text and TRACEBACK not in text and " | " not in text:
        return captured
    try:
        fields = _object(text) if text[:1] == "{" and text.rstrip().endswith("}") else None
        return _of_text(captured, text) if fields is None else _of_object(captured, text, fields)
    except Exception:  # any value: a text can be sent
        return captured


def without_ansi(text: str) -> str:
    """*text* without colours and other sequences for a terminal."""
    return _ANSI.sub("", text) if "\x1b" in text else text


def traceback_at(text: str) -> int | None:
    """Where the line begins that opens a printed traceback; None if there is none."""
    at = text.find(TRACEBACK)
    if at < 0:
        return None
    # Of an exception group the line starts with a bar or a plus.
    return text.rfind("\n", 0, at) + 1 if text[:at].endswith(("  + ", "  | ")) else at


def printed_traceback(value: Any) -> str:
    """A traceback as text, however a formatter wrote it: printed, or as structlog's ``dict_tracebacks``."""
    if isinstance(value, str):
        at = traceback_at(value)
        return "" if at is None else value[at:]
    links = [value] if isinstance(value, dict) else value
    if not isinstance(links, list):
        return ""
    parts = []
    for link in reversed(links):  # the root goes first in print
        if not isinstance(link, dict) or "exc_type" not in link:
            return ""
        frames = link.get("frames")
        printed = "".join(
            f'  File "{_shown(frame.get("filename"))}", line {_shown(frame.get("lineno"))},'
            f" in {_shown(frame.get('name'))}\n"
            for frame in (frames if isinstance(frames, list) else ())
            if isinstance(frame, dict)
        )
        parts.append(f"{TRACEBACK}\n{printed}{_shown(link['exc_type'])}: {_shown(link.get('exc_value'))}")
    return "\n\nDuring handling of the above exception, another exception occurred:\n\n".join(parts)


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = shallow_json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) and value else None


def _of_object(captured: Capture, text: str, fields: dict[str, Any]) -> Capture:
    if isinstance(fields.get("record"), dict) and isinstance(fields.get("text"), str):  # loguru's serialize
        record = fields["record"]
        extra = record.get("extra")
        fields = {**(extra if isinstance(extra, dict) else {}), "message": record.get("message")}
    names = sorted(fields)
    title = next((key for key in MESSAGE_KEYS if isinstance(fields.get(key), str)), None)
    message = text if title is None else without_ansi(fields.pop(title))
    printed = ""
    for key in TRACEBACK_KEYS:
        if found := printed_traceback(fields.get(key)):
            printed = printed or found
            del fields[key]
    stack = next((fields.pop(key) for key in _STACK_KEYS if isinstance(fields.get(key), str)), "")
    for key in ("exc_info", "stack_info"):
        if fields.get(key) is None or isinstance(fields.get(key), bool):
            fields.pop(key, None)
    own = dict(zip(TAKEN, captured.fields, strict=False))
    for key, field in _REPEATED_KEYS.items():
        if key in fields and str(fields[key]).lower() == str(own[field]).lower():
            del fields[key]
    template = captured.template
    if title is None:  # the words differ from call to call, the names do not
        template = "{" + ", ".join(names) + "}"
    elif not captured.has_arguments or template[:1] == "{":
        template = message
    taken = _of_text(captured._replace(stack=captured.stack or shorten(stack, len(text))), message, template)
    exception = taken.exception
    if exception is None and printed:
        exception = traceback_text.parsed(printed)
    return taken._replace(
        has_arguments=captured.has_arguments or title is None,
        extras={**fields, **(captured.extras or {})} or None,
        exception=exception,
    )


def _of_text(captured: Capture, text: str, template: str | None = None) -> Capture:
    message = without_ansi(text)
    exception = captured.exception
    at = traceback_at(message)
    if at is not None and (at == 0 or message[at - 1] == "\n"):
        printed = message[at:]
        message = message[:at].strip()
        exception = exception or traceback_text.parsed(printed)
        message = message or printed.rstrip().rpartition("\n")[2]
    name, function, line = (captured.fields[place] for place in (NAME, FUNCTION, LINE))
    _, prefix, rest = message.partition(f" | {name}:{function}:{line} - ")  # loguru's default format
    message = rest if prefix else message
    if template is None:
        template = captured.template if captured.has_arguments else message
    values = captured.fields
    if captured.message is None and values is not NO_FIELDS:
        values = (*values[:MSG], None, *values[MSG + 1 :])
    return captured._replace(
        fields=values,
        message=message,
        template=shorten(without_ansi(template), MAX_TEMPLATE),
        exception=exception,
    )


def _shown(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:  # what could just be read may be too deep to be written
        return "{…}"
