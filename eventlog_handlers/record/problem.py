"""Which records are one problem: a quick key at the log call, a fingerprint on the worker's thread."""

from __future__ import annotations

import logging
import re
import sys
from types import CodeType
from typing import Any, TypeAlias

from eventlog_handlers.events import JSON
from eventlog_handlers.record import dialects, exceptions, fingerprint
from eventlog_handlers.record.captured import Capture
from eventlog_handlers.record.fields import FIELDS, FUNCTION, NAME, STEERING, text_field
from eventlog_handlers.record.finished_text import unpacked
from eventlog_handlers.record.message import MAX_TEMPLATE
from eventlog_handlers.record.plain import Plain, note, type_name


def problem_of(captured: Capture) -> tuple[Any, ...]:
    """The key that *captured* shares with its repeats: level, fingerprint, destination and kind.

    For the thread that logs; takes tens of microseconds. Never raises.
    """
    defects: list[str] = []
    captured = unpacked(captured)
    extras = captured.extras or {}
    logger = text_field(captured.fields[NAME], "root", "logger", defects)
    function = text_field(captured.fields[FUNCTION], "", "function", defects)
    chosen = extras.get("fingerprint")
    if chosen is not None:
        chosen = Plain(defects).of(chosen, "")
    return (
        captured.level,
        fingerprint_of(captured, chosen, logger, function, defects),
        *[(name, repr(Plain(defects).of(extras[name], name))) for name in STEERING[:-1] if name in extras],
    )


def fingerprint_of(captured: Capture, chosen: JSON, logger: str, function: str, defects: list[str]) -> str:
    """The fingerprint of *captured*: *chosen* by the log call, else by its exception, else by its message."""
    try:
        if chosen is not None:
            return fingerprint.chosen(chosen if isinstance(chosen, str) else repr(chosen))
        exception = captured.exception
        if exception is None:
            return fingerprint.of_message(
                logger, captured.template, function, has_arguments=captured.has_arguments
            )
        if not isinstance(exception, exceptions.Link):
            types = exception.chain
        else:
            types = tuple(exceptions.types(exception))
            search_path = tuple(entry for entry in sys.path if type(entry) is str)
            found = fingerprint.of_exception(types, exceptions.places(exception), search_path)
            if found is not None:
                return found
        return fingerprint.of_message(
            logger, captured.template, function, has_arguments=captured.has_arguments, types=types
        )
    except Exception as error:
        note(defects, f"fingerprint: {type_name(type(error))} while rendered")
        return fingerprint.digest("message", logger, function)


_NOT_QUICK = frozenset(STEERING) | dialects.NEEDS_READING


_has_digit = re.compile("[0-9]").search


Key: TypeAlias = tuple[Any, ...]


Quick: TypeAlias = tuple[Key, list[CodeType]]
"""A key that tells a record's problem without reading the record in full, and the code objects whose ids are
in it. The holder of the key must hold the code objects too: else other objects may get their ids."""


def quick_key(record: logging.LogRecord) -> Quick | None:
    """Tell the problem of *record* without reading it in full; None where that takes more.

    Equal keys mean one fingerprint, one level and one destination; the reverse need not hold. Exceptions go
    by their types and the code they passed through, messages by logger, template and function. Runs no code
    of the application's. A misshapen record may make it raise anything; its key is hashable.
    """
    fields = record.__dict__
    msg, args, level = fields["msg"], fields["args"], fields["levelno"]
    logger, function = fields["name"], fields["funcName"]
    if type(msg) is not str or len(msg) > MAX_TEMPLATE or type(level) is not int:
        return None
    if type(fields["created"]) is not float or type(logger) is not str:
        return None
    if type(function) is not str and function is not None:
        return None
    steering: Any = None
    if len(fields) > len(FIELDS) and not fields.keys().isdisjoint(_NOT_QUICK):
        if not fields.keys().isdisjoint(dialects.NEEDS_READING):
            return None
        steering = tuple([(name, fields[name]) for name in STEERING if name in fields])
        if not all(type(value) is str and len(value) <= MAX_TEMPLATE for _, value in steering):
            return None
    codes: list[CodeType] = []
    types: list[str] = []
    exc_info = fields["exc_info"]
    if exc_info is not None:
        if type(exc_info) is not tuple:
            return None
        _, value, tb = exc_info
        outline = exceptions.outline(value, tb, codes)
        if outline is None:
            return None
        types = outline
        if codes:
            return ((level, steering, *types, *map(id, codes)), codes)
    elif fields["exc_text"] is not None:
        return None
    if args:
        if type(args) is not tuple and type(args) is not dict:
            return None
        return ((level, steering, logger, msg, function, *types), codes)
    if _has_digit(msg):
        msg = fingerprint.masked(msg)
    return ((level, steering, logger, msg, function, None, *types), codes)
