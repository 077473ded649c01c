"""From Capture to Event, in the worker's thread: which field of an event comes from where.

``render`` does the formatting that ``capture`` put off; it reads source files through ``linecache`` and is
otherwise pure. A broken log call is still an event: a part that cannot be formatted is replaced by something
readable and named in ``Event.defects``.

Not here: how a value becomes JSON (plain.py), an exception a text (traceback_text.py), a
template and its arguments a message (message.py), a finished text a title and fields (finished_text.py); nor
what one service wants.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import isfinite
from operator import itemgetter
from typing import TypeVar

from eventlog_handlers.events import JSON, STATUSES, Code, Event
from eventlog_handlers.record import exceptions, traceback_text
from eventlog_handlers.record.captured import Capture
from eventlog_handlers.record.fields import ARGS, KEPT, MSG, NO_FIELDS, STEERING, TAKEN, text_field
from eventlog_handlers.record.finished_text import unpacked, without_ansi
from eventlog_handlers.record.message import MAX_MESSAGE, MAX_TEMPLATE, late_message
from eventlog_handlers.record.plain import Plain, note, plain_attributes, safe_text, type_name
from eventlog_handlers.record.problem import fingerprint_of
from eventlog_handlers.record.sender import Identity
from eventlog_handlers.text.fit import encodable, shorten

LATEST_TIME = 253_402_300_799.0
"""The last second of the year 9999: later than that no service and no datetime can say."""

_kept = itemgetter(*map(TAKEN.index, KEPT))
_STATUS_FROM = ((50, "critical"), (40, "error"), (30, "warning"))

_RANDOM_BITS = ((1 << 128) - 1) & ~(0xF000 << 64) & ~(0xC000 << 48)
_VERSION_AND_VARIANT = (0x4000 << 64) | (0x8000 << 48)

_TYPES_OF_PLACE = (str, str, int, str, str)
_LONGEST_PLACE = 600  # characters; longer ones are not remembered

T = TypeVar("T")


def render(captured: Capture, sender: Identity, *, level_map: Mapping[int, str] | None = None) -> Event:
    """Make the event. For the worker's thread; never raises.

    *level_map* names the status of exact level numbers; otherwise from 50 on critical, from 40 on error, from
    30 on warning, else info. ``extra={"event_status": …}`` wins over both.
    """
    try:
        return _rendered(captured, sender, level_map)
    except Exception as error:
        blank = captured._replace(
            fields=NO_FIELDS,
            message=captured.message or captured.template,
            extras=None,
            exception=None,
            defects=(*captured.defects, f"record: {type_name(type(error))} while rendered"),
        )
        return _rendered(blank, sender, None)


def _rendered(captured: Capture, sender: Identity, level_map: Mapping[int, str] | None) -> Event:
    captured = unpacked(captured)
    defects = list(captured.defects)
    (
        name, level_name, file, module, line, function_name,
        created, thread_id, thread_name, process_id,
    ) = _kept(captured.fields)  # fmt: skip
    steering: dict[str, JSON] = {}
    attributes: dict[str, JSON] = {}
    if captured.extras:
        extras = dict(captured.extras)
        steering = {name: Plain(defects).of(extras.pop(name), name) for name in STEERING if name in extras}
        attributes = plain_attributes(extras, defects)
    message = captured.message
    if message is None:
        try:
            message = late_message(captured.fields[MSG], captured.fields[ARGS], defects)
        except Exception as error:
            message = _noted(error, captured.template, "message", defects)
    exception = captured.exception
    if isinstance(exception, exceptions.Link):
        try:
            exception = traceback_text.render(exception)
        except Exception as error:
            exception = _noted(error, None, "exception", defects)
    logger, code = _place(name, file, line, function_name, module, defects)
    trace_id, span_id = captured.span
    level = _level(captured.level, defects)
    event_name = group_id = resources = detail_type = None
    if steering:
        event_name = _steered_text(steering, "event_name", defects)
        group_id = _steered_text(steering, "group_id", defects)
        resources = _resources(steering.get("resources"), defects)
        detail_type = _steered_text(steering, "detail_type", defects)
    # By place, which for so many fields is quicker than by name.
    return Event(
        uuid4(captured.id_bits),
        _time(created, defects),
        level,
        text_field(level_name, "", "level name", defects) or f"Level {level}",
        _status(level, level_map, steering.get("event_status"), defects),
        logger,
        message_text(message),
        encodable(shorten(captured.template, MAX_TEMPLATE)),
        fingerprint_of(captured, steering.get("fingerprint"), logger, code.function, defects),
        exception,
        encodable(captured.stack),
        attributes,
        code,
        _number(thread_id),
        text_field(thread_name, "", "thread name", defects),
        _number(process_id),
        sender.host,
        sender.service,
        sender.env,
        sender.tags,
        trace_id,
        span_id,
        event_name,
        group_id,
        resources,
        detail_type,
        captured.count,
        None if captured.first_time is None else _time(captured.first_time, defects),
        tuple(map(encodable, defects)) if defects else (),
    )


def message_text(message: str) -> str:
    """*message* as an event has it."""
    return encodable(shorten(without_ansi(message), MAX_MESSAGE))


def _place(
    name: object, file: object, line: object, function: object, module: object, defects: list[str]
) -> tuple[str, Code]:
    """Logger and place of a log call; remembered, since a program has few."""
    place = (name, file, line, function, module)
    if tuple(map(type, place)) == _TYPES_OF_PLACE:
        length = len(name) + len(file) + len(function) + len(module)  # type: ignore[arg-type]
        if length <= _LONGEST_PLACE:
            return _usual_place(*place)
    return _place_of(*place, defects)


def _place_of(
    name: object, file: object, line: object, function: object, module: object, defects: list[str]
) -> tuple[str, Code]:
    logger = text_field(name, "root", "logger", defects)
    function = text_field(function, "", "function", defects)
    file = text_field(file, "", "file", defects)
    return logger, Code(file, _number(line), function, text_field(module, "", "module", defects))


@lru_cache(maxsize=2_048)
def _usual_place(name: str, file: str, line: int, function: str, module: str) -> tuple[str, Code]:
    return _place_of(name, file, line, function, module, [])


def _noted(error: Exception, instead: T, what: str, defects: list[str]) -> T:
    """*instead* of a part of an event that cannot be made, and a defect."""
    note(defects, f"{what}: {type_name(type(error))} while rendered")
    return instead


def _status(level: int, level_map: Mapping[int, str] | None, wanted: JSON, defects: list[str]) -> str:
    if wanted is not None:
        if isinstance(wanted, str) and wanted in STATUSES:
            return wanted
        note(defects, f"event_status: {shorten(str(wanted), 80)!r} is none of {', '.join(STATUSES)}")
    if level_map and level_map.get(level) in STATUSES:
        return level_map[level]
    return status_of(level)


def status_of(level: int) -> str:
    """The status of a logging level, where neither the log call nor ``level_map`` names one."""
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
    note(defects, f"time: the record was created at {shorten(safe_text(created, defects, 'time'), 80)}")
    if not isfinite(seconds):
        return LATEST_TIME if seconds > 0 else 0.0
    return min(max(seconds, 0.0), LATEST_TIME)


def _level(level: int, defects: list[str]) -> int:
    """*level*, or the nearest that 64 bits hold: a larger one has no place in any service nor in a spool."""
    nearest = max(-(2**63), min(level, 2**63 - 1))
    if nearest != level:
        note(defects, f"level: past 64 bits, taken as {nearest}")
    return nearest


def _number(value: object) -> int:
    return _the_same(value) if type(value) is int and -(2**63) <= value < 2**63 else 0


@lru_cache(maxsize=1_024)
def _the_same(number: int) -> int:
    """One object for equal numbers: each record has its own of thread and process, and many events wait."""
    return number


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


def uuid4(bits: int) -> str:
    """128 random bits as the hex of a uuid4: version and variant set (RFC 9562, section 5.4)."""
    return f"{bits & _RANDOM_BITS | _VERSION_AND_VARIANT:032x}"
