"""A record's message as text, for any template and arguments; raises only EXIT_EXCEPTIONS.

Here: putting arguments into a template, at once or later. Not here: which texts of a record
are its message (capture.py), other values (plain.py).
"""

from __future__ import annotations

import copy
import logging
from typing import Any

from eventlog_handlers.record import dialects
from eventlog_handlers.record.plain import (
    ATOMS,
    EXIT_EXCEPTIONS,
    MAX_STRING,
    decoded,
    note,
    safe_text,
    type_name,
)
from eventlog_handlers.record.unevaluated import shown_unevaluated
from eventlog_handlers.text.fit import shorten

MAX_MESSAGE = 262_144
"""Characters of a message or stack that are kept."""
MAX_TEMPLATE = 4_096

_LogRecord = logging.LogRecord
_get_message: Any = _LogRecord.getMessage
_code = getattr(_get_message, "__code__", None)
if _code is None or _code.co_filename != logging.getLevelName.__code__.co_filename:
    _get_message = None  # patched before our import


def given(args: object) -> bool:
    """Whether there are arguments to put in. Asks only types that answer; any other is an argument."""
    return bool(args) if args is None or type(args) in (tuple, dict, list) else True


def is_deferrable(msg: object, args: object) -> bool:
    """Whether the message may be formatted later, with the same result and without keeping anything alive."""
    return type(msg) is str and len(msg) <= MAX_STRING and are_plain(args)


def are_plain(args: object) -> bool:
    """Whether a record's arguments can neither change nor hold anything alive."""
    if type(args) is not tuple:
        return args is None
    for value in args:
        kind = type(value)
        if kind is str:
            if len(value) > MAX_STRING:
                return False
        elif kind not in ATOMS:
            return False
    return True


def formatted(
    formatter: logging.Formatter, record: logging.LogRecord, is_structured: bool, defects: list[str]
) -> str | None:
    """The text of the user's *formatter*; None if it fails."""
    try:
        shown = copy.copy(record)  # formatters write into the record they are given
        shown.exc_info = shown.exc_text = shown.stack_info = None
        if is_structured:
            shown.msg = dialects.without_traceback(shown.msg)
        return safe_text(formatter.format(shown), defects, "formatter")
    except EXIT_EXCEPTIONS:
        raise
    except BaseException as error:
        note(defects, f"formatter: raised {_described(error, defects)}")
        return None


def own_message(record: logging.LogRecord, msg: object, args: Any, defects: list[str]) -> str:
    """``record.getMessage()``, at once: the arguments may change, or the record has a mind of its own."""
    if type(msg) in _BINARY or (type(args) is tuple and not _BINARY.isdisjoint(map(type, args))):
        return merged(msg, args, defects)
    try:
        return safe_text(record.getMessage(), defects, "msg")
    except EXIT_EXCEPTIONS:
        raise
    except BaseException as error:
        return _unformatted(msg, args, error, defects)


_BINARY = frozenset({bytes, bytearray})


def merged(msg: object, args: Any, defects: list[str]) -> str:
    """``msg % args``, bytes taken as text."""
    text = safe_text(msg, defects, "msg")
    if not given(args):
        return text
    if type(args) is tuple:
        args = tuple(decoded(value) if type(value) in _BINARY else value for value in args)
    try:
        return str.__str__(text % args)
    except EXIT_EXCEPTIONS:
        raise
    except BaseException as error:
        return _unformatted(msg, args, error, defects)


def _unformatted(msg: object, args: object, error: BaseException, defects: list[str]) -> str:
    """The message of a log call whose arguments do not fit: nothing of it is lost."""
    note(defects, f"message: {_described(error, defects)}")
    text = safe_text(msg, defects, "msg")
    if not given(args):
        return text
    values = args if type(args) is tuple else (args,)
    shown = ", ".join(_represented(value, defects) for value in values[:20])
    more = f", {len(values) - 20} more" if len(values) > 20 else ""
    return f"{shorten(text, MAX_MESSAGE // 2)} [args: {shown}{more}]"


def _represented(value: object, defects: list[str]) -> str:
    shown = shown_unevaluated(value)
    if shown is not None:
        return shown
    try:
        return shorten(str.__str__(repr(value)), 1_000)
    except EXIT_EXCEPTIONS:
        raise
    except BaseException as error:
        note(defects, f"args: __repr__ of {type_name(type(value))} raised {type_name(type(error))}")
        return f"<unprintable {type_name(type(value))}: {type_name(type(error))}>"


def _described(error: BaseException, defects: list[str]) -> str:
    return f"{type_name(type(error))}: {shorten(safe_text(error, defects, 'error'), 200)}"


def late_message(msg: object, args: Any, defects: list[str]) -> str:
    """The message as the record would have made it; through LogRecord where its getMessage is patched."""
    if type(msg) is str and type(args) is tuple and _LogRecord.getMessage is _get_message:
        try:
            return msg % args if args else msg
        except Exception as error:
            return _unformatted(msg, args, error, defects)
    shown = _LogRecord.__new__(_LogRecord)
    shown.msg, shown.args = msg, args
    try:
        return safe_text(shown.getMessage(), defects, "msg")
    except Exception as error:
        return _unformatted(msg, args, error, defects)
