"""From LogRecord to Capture, in the thread that logs.

``capture`` takes only what may change or die after the call: a copy of the record's fields, arguments that
are not plain values, extras, the text of an exception and its code positions. It neither keeps nor changes
the record. What that is stands in captured.py; the worker formats it later (render.py).

A broken log call is still an event. A part that cannot be read or formatted is replaced by readable text
and named in ``Capture.defects``.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from itertools import islice
from typing import Any

from eventlog_handlers.listening import fields as context
from eventlog_handlers.process.own_traffic import MAX_READING_DEPTH, reading
from eventlog_handlers.process.randomness import random_bits
from eventlog_handlers.record import dialects, exceptions
from eventlog_handlers.record.captured import NO_SPAN, Capture, Shared
from eventlog_handlers.record.exc_info import exception_of
from eventlog_handlers.record.fields import (
    ARGS,
    EXC_INFO,
    EXC_TEXT,
    FIELD_COUNT,
    FIELDS,
    KEPT,
    LEVEL,
    MSG,
    NO_FIELDS,
    STACK_INFO,
    STEERING,
    TAKEN,
    field_values,
)
from eventlog_handlers.record.message import (
    MAX_MESSAGE,
    MAX_TEMPLATE,
    formatted,
    given,
    is_deferrable,
    merged,
    own_message,
)
from eventlog_handlers.record.plain import (
    ATOMS,
    EXIT_EXCEPTIONS,
    MAX_ITEMS,
    MAX_STRING,
    Plain,
    note,
    safe_text,
    type_name,
)
from eventlog_handlers.text.fit import shorten, unused

# message and asctime are left behind by formatters; taskName exists from 3.12 on.
_NOT_EXTRA = frozenset(FIELDS) | {"message", "asctime", "taskName"} | dialects.OTEL_FIELDS

_NOT_PLAIN = _NOT_EXTRA | dialects.NEEDS_READING

_LogRecord = logging.LogRecord
_modules = sys.modules
_OTEL_API = dialects.OTEL_API
_new = tuple.__new__


_NO_NAMES: list[str] = []
_LAST_FIELD = FIELDS[-1]


def capture(
    record: logging.LogRecord,
    formatter: logging.Formatter | None = None,
    events: Shared = None,
    values: tuple[Any, ...] | None = None,
) -> Capture:
    """Take from *record* what an event needs. For the thread that logs.

    *formatter* makes the message, on a copy of the record without its traceback; if it fails the record's own
    message is taken. *events* is the table of several handlers. *values* are the record's ``field_values``,
    where the caller has them. Runs the application's code (a ``__str__``, a formatter, ``getMessage``) only
    for values that are not plain. Raises what stops a program (KeyboardInterrupt, SystemExit) out of such
    code; anything else it raises is a record beyond reading, for which there is ``degraded``.
    """
    fields = record.__dict__
    more = _NO_NAMES
    if values is None:
        try:
            values = field_values(fields)
        except KeyError:
            values = NO_FIELDS
    if len(fields) != FIELD_COUNT:
        names = [*fields]
        more = names[FIELD_COUNT:]
        if len(names) < FIELD_COUNT or names[FIELD_COUNT - 1] != _LAST_FIELD:
            values = NO_FIELDS  # a field was taken away or came again, so *more* is not what is more
    if (
        formatter is not None
        or type(record) is not _LogRecord
        or type(values[MSG]) is not str
        or type(values[LEVEL]) is not int
        or values[STACK_INFO] is not None
        or _OTEL_API in _modules
        or (more and not dialects.NEEDS_READING.isdisjoint(more))
    ):
        return _once_within_itself(_thorough, record, events, dict(fields), formatter)
    extras = {name: fields[name] for name in more if name not in _NOT_EXTRA} if more else None
    return _once_within_itself(_straight, record, events, values, extras)


def plain_extras(fields: dict[str, Any]) -> dict[str, Any] | None:
    """The extras among a record's *fields*, if they can be kept as they are; None if they would have to be
    converted, or looked at by ``capture``."""
    names = [*fields]
    more = names[FIELD_COUNT:]
    if (
        len(names) < FIELD_COUNT
        or names[FIELD_COUNT - 1] != _LAST_FIELD  # a field was taken away or came again
        or len(more) > MAX_ITEMS
        or not _NOT_PLAIN.isdisjoint(more)
    ):
        return None
    extras: dict[str, Any] = {}
    for name in more:
        value = fields[name]
        kind = type(value)
        if kind is str:
            if len(value) > MAX_STRING:
                return None
        elif kind not in ATOMS:
            return None
        if type(name) is not str:
            return None
        extras[name] = value
    return extras


def _once_within_itself(
    read: Callable[..., Capture],
    record: logging.LogRecord,
    events: Shared,
    *more: Any,
) -> Capture:
    """The result of *read*; the record's summary where a value that is being printed logs itself again."""
    depth = reading.depth
    if depth >= MAX_READING_DEPTH:
        return _summary(record, "logged while other records were being read, so its values were not")
    reading.depth = depth + 1
    try:
        return read(record, events, *more)
    finally:
        reading.depth = depth


def _straight(
    record: logging.LogRecord,
    events: Shared,
    values: tuple[Any, ...],
    extras: dict[str, Any] | None,
) -> Capture:
    """The short way for logging's own records with extras, an exception or arguments that may change.

    *values* are the record's TAKEN.
    """
    defects: list[str] = []
    message = exception = None
    kept = list(values[:EXC_TEXT])
    msg, args, exc_info, exc_text = values[MSG], values[ARGS], values[EXC_INFO], values[EXC_TEXT]
    if not is_deferrable(msg, args):
        message = shorten(own_message(record, msg, args, defects), MAX_MESSAGE)
        msg = shorten(msg, MAX_TEMPLATE)
        kept[MSG] = kept[ARGS] = None
    extras = _plain_extras(extras, defects) if extras else None
    if context.is_used:
        extras = context.under(extras)
    if exc_info is not None or exc_text is not None:
        exception = exception_of(exc_info, exc_text, defects)
    return _new(
        Capture,
        (
            values[LEVEL], random_bits(), tuple(kept), message, msg, given(args),
            extras, exception, "", NO_SPAN, tuple(defects), 1, None, events,
        ),
    )  # fmt: skip


def _thorough(
    record: logging.LogRecord,
    events: Shared,
    fields: dict[str, Any],
    formatter: logging.Formatter | None,
) -> Capture:
    """The long way, for any record; *fields* is a copy of its own."""
    defects: list[str] = []
    kept = {
        name: value if type(value) in ATOMS else safe_text(value, defects, name)
        for name, value in zip(KEPT, map(fields.get, KEPT), strict=True)
    }
    extras: dict[Any, Any] = {name: fields[name] for name in fields if name not in _NOT_EXTRA}
    msg, args = fields.get("msg"), fields.get("args")
    exc_info, exc_text, stack = fields.get("exc_info"), fields.get("exc_text"), fields.get("stack_info")

    said = dialects.read(msg, args, extras, exc_info=exc_info, exc_text=exc_text)
    stack = said.stack if stack is None else stack
    extras = said.extras
    message: str | None = None
    if formatter is not None:
        message = formatted(formatter, record, said.is_structured, defects)
    if message is None:
        if said.is_foreign:
            message = merged(said.msg, said.args, defects)
        elif type(record) is _LogRecord and is_deferrable(msg, args):
            kept["msg"], kept["args"] = msg, args
        else:
            message = own_message(record, msg, args, defects)
    plain = _plain_extras(extras, defects) if extras else None
    template = said.template if said.template is not None else safe_text(said.msg, defects, "msg")
    return Capture(
        level=_level(fields.get("levelno"), defects),
        id_bits=random_bits(),
        fields=tuple(map(kept.get, TAKEN)),
        message=None if message is None else shorten(message, MAX_MESSAGE),
        template=shorten(template, MAX_TEMPLATE),
        has_arguments=said.has_arguments or given(said.args),
        extras=context.under(plain) if context.is_used else plain,
        exception=exception_of(said.exc_info, said.exc_text, defects),
        stack="" if stack is None else shorten(safe_text(stack, defects, "stack_info"), MAX_MESSAGE),
        span=dialects.span(fields, _modules.get(dialects.OTEL_API)),
        defects=tuple(defects),
        events=events,
    )


def _level(level: object, defects: list[str]) -> int:
    if type(level) is int:
        return level
    try:
        number = int(level)  # type: ignore[call-overload]
    except EXIT_EXCEPTIONS:
        raise
    except BaseException:
        number = 0
    note(
        defects, f"level: {shorten(safe_text(level, defects, 'level'), 80)} is no integer, taken as {number}"
    )
    return int.__index__(number)


def _plain_extras(extras: dict[Any, Any], defects: list[str]) -> dict[str, Any]:
    """Extras as values that cannot change any more: plain ones as they are, all others as JSON."""
    if len(extras) > MAX_ITEMS:
        extras = _first_extras(extras, defects)
    plain: Plain | None = None
    result: dict[str, Any] = {}
    for name, value in extras.items():
        kind = type(value)
        if type(name) is not str or kind not in ATOMS or (kind is str and len(value) > MAX_STRING):
            if name in STEERING:
                value = Plain(defects).of(value, name)  # a budget of its own: no neighbour can use it up
            else:
                plain = plain or Plain(defects)
                name = plain.name(name, result, "extra")
                value = plain.of(value, f"extra {name!r}")
        result[name if name not in result else unused(name, result)] = value
    return result


def _first_extras(extras: dict[Any, Any], defects: list[str]) -> dict[Any, Any]:
    steering = {name: extras[name] for name in STEERING if name in extras}
    first = dict(islice(extras.items(), MAX_ITEMS - 1))
    note(defects, f"extra: {len(extras)} items, {len(first)} kept")
    first[unused("…", first)] = f"[{len(extras) - len(first)} more]"
    return {**first, **steering}


def degraded(record: logging.LogRecord, error: BaseException) -> Capture:
    """The least of a record, for when ``capture`` raised *error*: its plain fields, nothing formatted.

    Runs no code of the application that it can avoid. Never raises but KeyboardInterrupt and SystemExit.
    """
    return _summary(record, f"could not be read, {type_name(type(error))}")


def _summary(record: logging.LogRecord, why: str) -> Capture:
    try:
        found = object.__getattribute__(record, "__dict__")
        fields = dict(found) if isinstance(found, dict) else {}
    except EXIT_EXCEPTIONS:
        raise
    except BaseException:
        fields = {}
    plain = {name: value for name, value in fields.items() if type(value) in ATOMS}
    msg = plain.get("msg")
    message = shorten(msg, MAX_STRING) if type(msg) is str else f"<{type_name(type(fields.get('msg')))}>"
    level = plain.get("levelno")
    exc_info = fields.get("exc_info")
    value = exc_info[1] if type(exc_info) is tuple and len(exc_info) == 3 else exc_info
    return Capture(
        level=level if type(level) is int else 0,
        id_bits=random_bits(),
        fields=tuple(plain.get(name) if name in KEPT else None for name in TAKEN),
        message=message
        if not given(fields.get("args")) or type(msg) is not str
        else f"{message} [args not read]",
        template=shorten(message, MAX_TEMPLATE),
        has_arguments=True,
        extras=None,
        exception=exceptions.bare(type(value), "not read")
        if issubclass(type(value), BaseException)
        else None,
        stack="",
        span=NO_SPAN,
        defects=(f"record: {why}",),
    )
