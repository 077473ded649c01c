"""From LogRecord to Event in two steps: ``capture`` in the thread that logs, ``render`` in the worker.

``capture`` takes only what may change or die after the call: a copy of the record's fields, arguments that
are not plain values, extras, the text of an exception and its code positions. It neither keeps nor changes
the record. ``render`` does all formatting; it reads source files through ``linecache`` and is otherwise pure.

Both live by one rule: a broken log call is still an event. Whatever cannot be read or formatted is replaced
by something readable and named in ``Event.defects``.

What belongs here: which field of an event comes from where. What does not: how a value becomes JSON
(jsonable.py), an exception text (tracebacks.py), another library's record plain (dialects.py), events of one
problem alike (fingerprints.py); nor anything one service wants.
"""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import islice
from math import isfinite
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from eventlog_handlers import dialects, fingerprints, tracebacks
from eventlog_handlers.events import JSON, STATUSES, Code, Event, ExceptionText
from eventlog_handlers.identities import Identity, identity
from eventlog_handlers.jsonable import (
    ATOMS,
    FATAL,
    MAX_ITEMS,
    MAX_STRING,
    Plain,
    decoded,
    encodable,
    name_of,
    note,
    shorten,
    text_of,
    unused,
)
from eventlog_handlers.own_traffic import reading

__all__ = ["STEERING", "Capture", "Identity", "capture", "degraded", "identity", "problem_of", "render"]

MAX_MESSAGE = 262_144
"""Characters of a message or stack that are kept."""
MAX_TEMPLATE = 4_096
MAX_READING_DEPTH = 2
"""A record, and one that is logged while the first is being read: by a ``__str__``, a signal handler."""
LATEST_TIME = 253_402_300_799.0
"""The last second of the year 9999: later than that no service and no datetime can say."""

# The fields of a record straight from logging's hands, in order: with these and no others it has no extras.
_STANDARD = list(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)
_STANDARD_COUNT = len(_STANDARD)
# message and asctime are left behind by formatters; taskName exists from 3.12 on.
_NOT_EXTRA = frozenset(_STANDARD) | {"message", "asctime", "taskName"} | dialects.OTEL_FIELDS
_KEPT = (
    "name", "levelname", "pathname", "module", "lineno", "funcName",
    "created", "thread", "threadName", "process",
)  # fmt: skip
STEERING = ("event_name", "group_id", "event_status", "resources", "detail_type", "fingerprint")
"""Extras that decide where and as what an event goes."""
_STATUS_FROM = ((50, "critical"), (40, "error"), (30, "warning"))

_LogRecord = logging.LogRecord
_modules = sys.modules
_new = tuple.__new__

T = TypeVar("T")


class Capture(NamedTuple):
    """What a log call leaves behind for the worker. Holds no record, frame, exception, nothing live."""

    level: int
    id_bits: int
    fields: dict[str, Any]
    """The record's fields; only those in _KEPT are looked at, and ``msg`` and ``args`` if message is None."""
    message: str | None
    """The formatted message, if it had to be formatted at once."""
    template: str
    """May be long still; cut when rendered."""
    has_arguments: bool
    extras: dict[str, Any] | None
    exception: tracebacks.Link | ExceptionText | None
    stack: str
    span: tuple[str | None, str | None]
    """Trace and span id in hex."""
    defects: tuple[str, ...]
    count: int = 1  # type: ignore[assignment]  # hides tuple.count
    """How many log calls it stands for; of these the one that is shown is the last, or a late one."""
    first_time: float | None = None
    """When the first of them was, in seconds since the epoch; None where *count* is 1."""


_NO_SPAN = (None, None)
_NO_NAMES: list[str] = []


def capture(record: logging.LogRecord, id_bits: int, formatter: logging.Formatter | None = None) -> Capture:
    """Take from *record* what an event needs. For the thread that logs; about a microsecond if it is plain.

    *id_bits* are 128 random bits, the event's id to be. *formatter* makes the message, on a copy of the
    record without its traceback; if it fails the record's own message is taken. Runs the application's code
    (a ``__str__``, a formatter, ``getMessage``) only for values that are not plain. Raises what stops a
    program (KeyboardInterrupt, SystemExit) out of such code; anything else it raises is a record beyond
    reading, for which there is ``degraded``.
    """
    fields = record.__dict__
    names, more = [*fields], _NO_NAMES
    is_standard = names == _STANDARD
    if not is_standard:
        more = names[_STANDARD_COUNT:]
        is_standard = names[:_STANDARD_COUNT] == _STANDARD
    if (
        formatter is not None
        or not is_standard
        or type(record) is not _LogRecord
        or type(fields["msg"]) is not str
        or type(fields["levelno"]) is not int
        or fields["stack_info"] is not None
        or dialects.OTEL_API in _modules
        or (more and not dialects.NEEDS_READING.isdisjoint(more))
    ):
        return _once_within_itself(
            record, id_bits, lambda: _thorough(record, dict(fields), id_bits, formatter)
        )
    msg, args = fields["msg"], fields["args"]
    if fields["exc_info"] is None and fields["exc_text"] is None and _is_deferrable(msg, args):
        extras = _plain_already(fields, more) if more else None
        if extras is not None or not more:
            return _new(
                Capture,
                (
                    fields["levelno"], id_bits, fields.copy(), None, msg, bool(args),
                    extras, None, "", _NO_SPAN, (), 1, None,
                ),
            )  # fmt: skip
    return _once_within_itself(record, id_bits, lambda: _straight(record, fields.copy(), more, id_bits))


def _plain_already(fields: dict[str, Any], more: list[str]) -> dict[str, Any] | None:
    """The extras called *more*, if they can be kept as they are; None if some would have to be converted."""
    extras: dict[str, Any] = {}
    for name in more:
        value = fields[name]
        kind = type(value)
        if kind not in ATOMS or (kind is str and len(value) > MAX_STRING) or type(name) is not str:
            return None
        if name not in _NOT_EXTRA:
            extras[name] = value
    return extras if len(extras) <= MAX_ITEMS else None


def _once_within_itself(record: logging.LogRecord, id_bits: int, read: Callable[[], Capture]) -> Capture:
    """What *read* makes of the record; its summary where a value that is being printed logs itself again."""
    if reading.depth >= MAX_READING_DEPTH:
        return _summary(record, "logged while other records were being read, so its values were not", id_bits)
    reading.depth += 1
    try:
        return read()
    finally:
        reading.depth -= 1


def _straight(record: logging.LogRecord, fields: dict[str, Any], more: list[str], id_bits: int) -> Capture:
    """The short way for logging's own records with extras, an exception or arguments that may change.

    *fields* is a copy of the record's, *more* the names that logging did not put there.
    """
    defects: list[str] = []
    message = extras = exception = None
    msg, args = fields["msg"], fields["args"]
    if not _is_deferrable(msg, args):
        message = shorten(_own_message(record, msg, args, defects), MAX_MESSAGE)
        msg = shorten(msg, MAX_TEMPLATE)
        fields["msg"] = fields["args"] = None
    if more:
        extras = _plain_extras({name: fields.pop(name) for name in more if name not in _NOT_EXTRA}, defects)
    if fields["exc_info"] is not None or fields["exc_text"] is not None:
        exception = _exception(fields["exc_info"], fields["exc_text"], defects)
        fields["exc_info"] = None
    return _new(
        Capture,
        (
            fields["levelno"], id_bits, fields, message, msg, _given(args),
            extras, exception, "", _NO_SPAN, tuple(defects), 1, None,
        ),
    )  # fmt: skip


def _given(args: object) -> bool:
    """Whether there are arguments to put in. Asks only types that answer; any other is an argument."""
    return bool(args) if args is None or type(args) in (tuple, dict, list) else True


def _is_deferrable(msg: object, args: object) -> bool:
    """Whether the message may be formatted later, with the same result and without keeping anything alive."""
    if type(msg) is not str or len(msg) > MAX_STRING:
        return False
    if type(args) is not tuple:
        return args is None
    for value in args:
        kind = type(value)
        if kind not in ATOMS or (kind is str and len(value) > MAX_STRING):
            return False
    return True


def _thorough(
    record: logging.LogRecord, fields: dict[str, Any], id_bits: int, formatter: logging.Formatter | None
) -> Capture:
    """The long way, for any record; *fields* is a copy of its own."""
    defects: list[str] = []
    kept = {
        name: value if type(value) in ATOMS else text_of(value, defects, name)
        for name, value in zip(_KEPT, map(fields.get, _KEPT), strict=True)
    }
    extras: dict[Any, Any] = {name: fields[name] for name in fields if name not in _NOT_EXTRA}
    msg, args = fields.get("msg"), fields.get("args")
    exc_info, exc_text, stack = fields.get("exc_info"), fields.get("exc_text"), fields.get("stack_info")

    said = dialects.read(msg, args, extras, exc_info=exc_info, exc_text=exc_text)
    stack = said.stack if stack is None else stack
    extras = said.extras
    message: str | None = None
    if formatter is not None:
        message = _formatted(formatter, record, said.is_structured, defects)
    if message is None:
        if said.is_foreign:
            message = _merged(said.msg, said.args, defects)
        elif type(record) is _LogRecord and _is_deferrable(msg, args):
            kept["msg"], kept["args"] = msg, args
        else:
            message = _own_message(record, msg, args, defects)
    template = said.template if said.template is not None else text_of(said.msg, defects, "msg")
    return Capture(
        level=_level(fields.get("levelno"), defects),
        id_bits=id_bits,
        fields=kept,
        message=None if message is None else shorten(message, MAX_MESSAGE),
        template=shorten(template, MAX_TEMPLATE),
        has_arguments=said.has_arguments or _given(said.args),
        extras=_plain_extras(extras, defects) if extras else None,
        exception=_exception(said.exc_info, said.exc_text, defects),
        stack="" if stack is None else shorten(text_of(stack, defects, "stack_info"), MAX_MESSAGE),
        span=dialects.span(fields, _modules.get(dialects.OTEL_API)),
        defects=tuple(defects),
    )


def _level(level: object, defects: list[str]) -> int:
    if type(level) is int:
        return level
    try:
        number = int(level)  # type: ignore[call-overload]
    except FATAL:
        raise
    except BaseException:
        number = 0
    note(defects, f"level: {shorten(text_of(level, defects, 'level'), 80)} is no integer, taken as {number}")
    return int.__index__(number)


def _formatted(
    formatter: logging.Formatter, record: logging.LogRecord, is_structured: bool, defects: list[str]
) -> str | None:
    """What the user's *formatter* makes of the record; None if it fails."""
    try:
        shown = copy.copy(record)  # formatters write into the record they are given
        shown.exc_info = shown.exc_text = shown.stack_info = None
        if is_structured:
            shown.msg = dialects.without_traceback(shown.msg)
        return text_of(formatter.format(shown), defects, "formatter")
    except FATAL:
        raise
    except BaseException as error:
        note(defects, f"formatter: raised {_described(error, defects)}")
        return None


def _own_message(record: logging.LogRecord, msg: object, args: Any, defects: list[str]) -> str:
    """``record.getMessage()``, at once: the arguments may change, or the record has a mind of its own."""
    if type(msg) in _BINARY or (type(args) is tuple and not _BINARY.isdisjoint(map(type, args))):
        return _merged(msg, args, defects)
    try:
        return text_of(record.getMessage(), defects, "msg")
    except FATAL:
        raise
    except BaseException as error:
        return _unformatted(msg, args, error, defects)


_BINARY = frozenset({bytes, bytearray})


def _merged(msg: object, args: Any, defects: list[str]) -> str:
    """``msg % args``, bytes taken as text."""
    text = text_of(msg, defects, "msg")
    if not _given(args):
        return text
    if type(args) is tuple:
        args = tuple(decoded(value) if type(value) in _BINARY else value for value in args)
    try:
        return str.__str__(text % args)
    except FATAL:
        raise
    except BaseException as error:
        return _unformatted(msg, args, error, defects)


def _unformatted(msg: object, args: object, error: BaseException, defects: list[str]) -> str:
    """The message of a log call whose arguments do not fit: nothing of it is lost."""
    note(defects, f"message: {_described(error, defects)}")
    text = text_of(msg, defects, "msg")
    if not _given(args):
        return text
    values = args if type(args) is tuple else (args,)
    shown = ", ".join(_represented(value, defects) for value in values[:20])
    more = f", {len(values) - 20} more" if len(values) > 20 else ""
    return f"{shorten(text, MAX_MESSAGE // 2)} [args: {shown}{more}]"


def _represented(value: object, defects: list[str]) -> str:
    try:
        return shorten(str.__str__(repr(value)), 1_000)
    except FATAL:
        raise
    except BaseException as error:
        note(defects, f"args: __repr__ of {name_of(type(value))} raised {name_of(type(error))}")
        return f"<unprintable {name_of(type(value))}: {name_of(type(error))}>"


def _described(error: BaseException, defects: list[str]) -> str:
    return f"{name_of(type(error))}: {shorten(text_of(error, defects, 'error'), 200)}"


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


def _exception(exc_info: Any, exc_text: Any, defects: list[str]) -> tracebacks.Link | ExceptionText | None:
    """The exception of a record, whatever form it has there: a tuple, an instance, True or printed text."""
    value: BaseException | None = None
    try:
        value, tb = _live(exc_info, defects)
        if value is not None:
            return tracebacks.capture(value, tb, defects)
    except FATAL:
        raise
    except BaseException as error:
        note(defects, f"exception: unreadable, {name_of(type(error))}")
        if value is not None:
            return tracebacks.bare(type(value), f"unreadable: {name_of(type(error))}")
    if exc_text is None:
        return None
    if not issubclass(type(exc_text), str):
        note(defects, f"exc_text: is no text but {name_of(type(exc_text))}")
        return None
    text = text_of(exc_text, defects, "exc_text")
    return tracebacks.parsed(text) if text.strip() else None


def _live(exc_info: Any, defects: list[str]) -> tuple[BaseException | None, TracebackType | None]:
    if type(exc_info) is tuple and len(exc_info) == 3:
        _, value, tb = exc_info
        if isinstance(value, BaseException):
            return value, tb if isinstance(tb, TracebackType) else None
        if exc_info == (None, None, None):
            return None, None  # exc_info=True where nothing was being handled
    elif isinstance(exc_info, BaseException):
        return exc_info, exc_info.__traceback__
    elif exc_info is True:
        _, value, tb = sys.exc_info()
        return value, tb
    elif exc_info is None or exc_info is False or exc_info == ():
        return None, None
    note(defects, f"exc_info: no exception but {tracebacks.described(exc_info, defects)}")
    return None, None


def degraded(record: logging.LogRecord, error: BaseException, *, id_bits: int) -> Capture:
    """The least of a record, for when ``capture`` raised *error*: its plain fields, nothing formatted.

    Runs no code of the application that it can avoid. Never raises but KeyboardInterrupt and SystemExit.
    """
    return _summary(record, f"could not be read, {name_of(type(error))}", id_bits)


def _summary(record: logging.LogRecord, why: str, id_bits: int) -> Capture:
    try:
        found = object.__getattribute__(record, "__dict__")
        fields = dict(found) if isinstance(found, dict) else {}
    except FATAL:
        raise
    except BaseException:
        fields = {}
    plain = {name: value for name, value in fields.items() if type(value) in ATOMS}
    msg = plain.get("msg")
    message = shorten(msg, MAX_STRING) if type(msg) is str else f"<{name_of(type(fields.get('msg')))}>"
    level = plain.get("levelno")
    exc_info = fields.get("exc_info")
    value = exc_info[1] if type(exc_info) is tuple and len(exc_info) == 3 else exc_info
    return Capture(
        level=level if type(level) is int else 0,
        id_bits=id_bits,
        fields={name: plain.get(name) for name in _KEPT},
        message=message
        if not _given(fields.get("args")) or type(msg) is not str
        else f"{message} [args not read]",
        template=shorten(message, MAX_TEMPLATE),
        has_arguments=True,
        extras=None,
        exception=tracebacks.bare(type(value), "not read")
        if issubclass(type(value), BaseException)
        else None,
        stack="",
        span=_NO_SPAN,
        defects=(f"record: {why}",),
    )


# ---- in the worker


def render(captured: Capture, who: Identity, *, level_map: Mapping[int, str] | None = None) -> Event:
    """Make the event. For the worker's thread; never raises.

    *level_map* names the status of exact level numbers; otherwise from 50 on critical, from 40 on error, from
    30 on warning, else info. ``extra={"event_status": …}`` wins over both.
    """
    try:
        return _rendered(captured, who, level_map)
    except Exception as error:
        blank = captured._replace(
            fields={},
            message=captured.message or captured.template,
            extras=None,
            exception=None,
            defects=(*captured.defects, f"record: {name_of(type(error))} while rendered"),
        )
        return _rendered(blank, who, None)


def _rendered(captured: Capture, who: Identity, level_map: Mapping[int, str] | None) -> Event:
    defects = list(captured.defects)
    fields = captured.fields
    steering: dict[str, JSON] = {}
    attributes: dict[str, JSON] = {}
    if captured.extras:
        extras = dict(captured.extras)
        steering = {name: Plain(defects).of(extras.pop(name), name) for name in STEERING if name in extras}
        attributes = _attributes(extras, defects)
    message = captured.message
    if message is None:
        message = _part(lambda: _late_message(fields, defects), captured.template, "message", defects)
    exception = captured.exception
    if isinstance(exception, tracebacks.Link):
        link = exception
        exception = _part(lambda: tracebacks.render(link), None, "exception", defects)
    logger = _named(fields.get("name"), "root", "logger", defects)
    function = _named(fields.get("funcName"), "", "function", defects)
    code = Code(
        _named(fields.get("pathname"), "", "file", defects),
        _number(fields.get("lineno")),
        function,
        _named(fields.get("module"), "", "module", defects),
    )
    trace_id, span_id = captured.span
    return Event(
        id=_uuid4(captured.id_bits),
        time=_time(fields.get("created"), defects),
        level=captured.level,
        level_name=_named(fields.get("levelname"), f"Level {captured.level}", "level name", defects),
        status=_status(captured.level, level_map, steering.get("event_status"), defects),
        logger=logger,
        message=encodable(shorten(message, MAX_MESSAGE)),
        template=encodable(shorten(captured.template, MAX_TEMPLATE)),
        fingerprint=_fingerprint(captured, steering.get("fingerprint"), logger, function, defects),
        exception=exception,
        stack=encodable(captured.stack),
        attributes=attributes,
        code=code,
        thread_id=_number(fields.get("thread")),
        thread_name=_named(fields.get("threadName"), "", "thread name", defects),
        process_id=_number(fields.get("process")),
        host=who.host,
        service=who.service,
        env=who.env,
        tags=who.tags,
        trace_id=trace_id,
        span_id=span_id,
        event_name=_steered_text(steering, "event_name", defects),
        group_id=_steered_text(steering, "group_id", defects),
        resources=_resources(steering.get("resources"), defects),
        detail_type=_steered_text(steering, "detail_type", defects),
        count=captured.count,
        first_time=None if captured.first_time is None else _time(captured.first_time, defects),
        defects=tuple(map(encodable, defects)),
    )


def problem_of(captured: Capture) -> tuple[Any, ...]:
    """What *captured* has in common with its repeats: level, fingerprint, where and as what it goes.

    For the thread that logs; takes tens of microseconds. Never raises.
    """
    defects: list[str] = []
    extras = captured.extras or {}
    logger = _named(captured.fields.get("name"), "root", "logger", defects)
    function = _named(captured.fields.get("funcName"), "", "function", defects)
    chosen = extras.get("fingerprint")
    if chosen is not None:
        chosen = Plain(defects).of(chosen, "")
    fingerprint = _fingerprint(captured, chosen, logger, function, defects)
    return (
        captured.level,
        fingerprint,
        *[(name, repr(extras[name])) for name in STEERING[:-1] if name in extras],
    )


def _part(make: Callable[[], T], instead: T, what: str, defects: list[str]) -> T:
    """One part of an event; *instead* and a defect if it cannot be made."""
    try:
        return make()
    except Exception as error:
        note(defects, f"{what}: {name_of(type(error))} while rendered")
        return instead


def _attributes(extras: dict[str, Any], defects: list[str]) -> dict[str, JSON]:
    plain = Plain(defects)
    result: dict[str, JSON] = {}
    for name, value in extras.items():
        result[plain.name(name, result, "extra")] = plain.of(value, f"extra {name!r}")
    return result


def _late_message(fields: dict[str, Any], defects: list[str]) -> str:
    """The message as the record would have made it; through LogRecord, whose getMessage may be patched."""
    shown = _LogRecord.__new__(_LogRecord)
    shown.msg, shown.args = fields["msg"], fields["args"]
    try:
        return text_of(shown.getMessage(), defects, "msg")
    except Exception as error:
        return _unformatted(fields["msg"], fields["args"], error, defects)


def _fingerprint(captured: Capture, chosen: JSON, logger: str, function: str, defects: list[str]) -> str:
    try:
        if chosen is not None:
            return fingerprints.chosen(chosen if isinstance(chosen, str) else repr(chosen))
        exception = captured.exception
        if exception is None:
            return fingerprints.of_message(
                logger, captured.template, function, has_arguments=captured.has_arguments
            )
        if not isinstance(exception, tracebacks.Link):
            types = exception.chain
        else:
            types = tuple(tracebacks.types(exception))
            search_path = tuple(entry for entry in sys.path if type(entry) is str)
            found = fingerprints.of_exception(types, tracebacks.places(exception), search_path)
            if found is not None:
                return found
        return fingerprints.of_message(
            logger, captured.template, function, has_arguments=captured.has_arguments, types=types
        )
    except Exception as error:
        note(defects, f"fingerprint: {name_of(type(error))} while rendered")
        return fingerprints.digest("message", logger, function)


def _status(level: int, level_map: Mapping[int, str] | None, wanted: JSON, defects: list[str]) -> str:
    if wanted is not None:
        if isinstance(wanted, str) and wanted in STATUSES:
            return wanted
        note(defects, f"event_status: {shorten(str(wanted), 80)!r} is none of {', '.join(STATUSES)}")
    if level_map and level_map.get(level) in STATUSES:
        return level_map[level]
    for least, status in _STATUS_FROM:
        if level >= least:
            return status
    return "info"


def _time(created: object, defects: list[str]) -> float:
    """Seconds since the epoch within what can be written as a date; anything else is clamped and quoted."""
    if type(created) is float and 0 <= created <= LATEST_TIME:
        return created
    try:
        seconds = float(created)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        seconds = float("nan")
    if 0 <= seconds <= LATEST_TIME and type(created) in (float, int):
        return seconds
    note(defects, f"time: the record was created at {shorten(text_of(created, defects, 'time'), 80)}")
    if not isfinite(seconds):
        return LATEST_TIME if seconds > 0 else 0.0
    return min(max(seconds, 0.0), LATEST_TIME)


def _named(value: object, default: str, what: str, defects: list[str]) -> str:
    """A field that should be text; *default* where it is None or empty."""
    if value is None:
        return default
    if type(value) is str:
        return (_name(value) if len(value) <= _SHORT else _fitted(value)) or default
    note(defects, f"{what}: is no text but {name_of(type(value))}")
    return _fitted(text_of(value, defects, what)) or default


def _fitted(text: str) -> str:
    return encodable(shorten(text, MAX_TEMPLATE))


_SHORT = 200  # characters; longer ones are not remembered
_name = lru_cache(maxsize=2_048)(_fitted)  # a program's loggers, functions, files and threads are few


def _number(value: object) -> int:
    return value if type(value) is int and -(2**63) <= value < 2**63 else 0


def _steered_text(steering: dict[str, JSON], name: str, defects: list[str]) -> str | None:
    value = steering.get(name)
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, (list, dict)):
        note(defects, f"{name}: is no text, ignored")
        return None
    return str(value)


def _resources(value: JSON, defects: list[str]) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, dict):
        note(defects, "resources: is no text nor a list of texts, ignored")
        return None
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in values):
        note(defects, "resources: not all are texts")
    return tuple(str(item) for item in values if isinstance(item, (str, int, float)))


def _uuid4(bits: int) -> str:
    """128 random bits as the hex of a uuid4: version and variant set (RFC 9562, section 5.4)."""
    bits &= (1 << 128) - 1
    return f"{bits & ~(0xF000 << 64) & ~(0xC000 << 48) | (0x4000 << 64) | (0x8000 << 48):032x}"
