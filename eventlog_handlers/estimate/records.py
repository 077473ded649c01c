"""Reads the lines of a log as records: plain text with tracebacks, JSON lines, the wrapping of containers.

Here: where a record begins, its time, level, logger, message and traceback. Not here: which of them are one
problem (``problems.py``). A record is held only until the next begins, and cut where it is long.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from eventlog_handlers.record.finished_text import TRACEBACK_KEYS, printed_traceback, traceback_at
from eventlog_handlers.record.traceback_text import TRACEBACK
from eventlog_handlers.text.fit import encodable

MAX_CHARACTERS = 262_144
"""Of one record; the rest is left out."""

LINKS = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
_LEVELS = {
    "TRACE": 5, "DEBUG": 10, "INFO": 20, "NOTICE": 25, "SUCCESS": 25, "DEFAULT": 20,
    "WARN": 30, "WARNING": 30, "ERROR": 40, "ERR": 40, "EXCEPTION": 40,
    "CRITICAL": 50, "FATAL": 50, "ALERT": 50, "EMERGENCY": 50, "EMERG": 50, "PANIC": 50,
}  # fmt: skip
_WORDS = "|".join(sorted((name for name in _LEVELS if name != "DEFAULT"), key=len, reverse=True))


class Record(NamedTuple):
    """One record of a log."""

    time: float | None
    """Seconds since the epoch; a time without a zone is read as UTC. None where the line has none."""
    level: int
    logger: str
    message: str
    traceback: str
    """"" where there is none."""


# --- a record as text -------------------------------------------------------------------------------------

_TIME = (
    r"(?P<date>\d{4}[-/]\d\d[-/]\d\d)[T ](?P<clock>\d\d:\d\d:\d\d)(?:[.,](?P<fraction>\d{1,9}))?"
    r"(?: ?(?P<zone>Z|UTC|[+-]\d\d:?\d\d))?"
)
_LEVEL = rf"(?P<level>{_WORDS})"
_STARTS = tuple(
    re.compile(pattern)
    for pattern in (
        # 2026-11-20 10:00:00,123 and its surroundings: [ ] of gunicorn, : ERROR/MainProcess] of celery
        rf"^[\[(]?{_TIME}[\])]?",
        # Django's "verbose": ERROR 2026-11-20 10:00:00,123 views 71 140 message
        rf"^\[?{_LEVEL}\]?\s+[\[(]?{_TIME}[\])]?",
        # logging.BASIC_FORMAT and uvicorn: ERROR:shop.orders:message, ERROR:    message
        rf"^{_LEVEL}:(?=\S|\s)",
        rf"^\[{_LEVEL}\]\s",
    )
)
_LEVEL_AFTER = re.compile(rf"(?<![\w.]){_LEVEL}(?![\w.])(?:/[\w-]+)?", re.IGNORECASE)
_LEVEL_WITHIN = 120  # characters after the time in which the level is looked for
# Ends in no hyphen: those that follow a name are punctuation, and could be matched in two ways.
_NAME = r"[A-Za-z_](?:[\w-]*\w)?(?:\.[\w-]*\w)*"
_NAMED_BEFORE = re.compile(rf"^[\s\[\]|:-]*(?:\[?\d+\]?[\s|-]*)?\[?(?P<name>{_NAME})\]?[\s\[|:-]*$")
# "] shop.orders: m", " - shop.orders - m", ":shop.orders:m", "| shop.orders:place:17 - m" of loguru
_NAMED_AFTER = re.compile(
    rf"^[\s\])|:-]*\[?(?P<name>{_NAME})(?::[\w<>.]+:\d+)?\]?"
    r"(?:\s*:\s|:(?=\S)|\s+[-|]+\s+|\]\s+)(?P<message>.*)$",
    re.DOTALL,
)
_DJANGO_NUMBERS = re.compile(rf"^\s*(?P<name>{_NAME}) \d+ \d+ (?P<message>.*)$", re.DOTALL)
_PUNCTUATION = " \t]|):-"

_ENVELOPES = tuple(
    re.compile(pattern)
    for pattern in (
        # a container runtime's: 2026-11-20T10:00:00.123456789Z stderr F the line
        r"^(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(?:Z|[+-]\d\d:\d\d))"
        r" (?:stdout|stderr) [FP] (?P<line>.*)$",
        # docker compose's: web-1  | the line
        r"^[\w.-]+\s+\| (?P<line>.*)$",
        # syslog's and journalctl's: Nov 20 10:00:00 host app[17]: the line
        r"^(?P<syslog>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) \S+ [\w./@-]+(?:\[\d+\])?: (?P<line>.*)$",
    )
)


class _Draft:
    """A record under way: its first line read, more may follow."""

    def __init__(self, time: float | None, level: int, logger: str, message: str) -> None:
        self.time, self.level, self.logger = time, level, logger
        self.lines = [message]
        self.size = len(message)
        self._has_traceback = TRACEBACK in message
        self._last_line = message

    def add(self, line: str) -> None:
        if self.size < MAX_CHARACTERS:
            self.lines.append(line)
            self.size += len(line) + 1
        self._has_traceback = self._has_traceback or TRACEBACK in line
        if line.strip():
            self._last_line = line

    def is_closed(self) -> bool:
        """Whether it holds a traceback that came to its end, so that the next traceback is another's."""
        last = self._last_line
        return self._has_traceback and not last.startswith(" ") and last.strip() not in LINKS

    def record(self) -> Record:
        text = "\n".join(self.lines)[:MAX_CHARACTERS].strip("\n")
        at = traceback_at(text)
        if at is None:
            return Record(self.time, self.level, self.logger, text, "")
        message, trace = text[:at].strip(), text[at:]
        return Record(self.time, self.level, self.logger, message, trace)


class Reader:
    """Reads lines, gives records. *year* is that of dates without one."""

    def __init__(self, year: int) -> None:
        self.year = year

    def records(self, lines: Iterable[str]) -> Iterator[Record]:
        """Every record, in the log's order. Lines that begin none belong to the one before."""
        draft: _Draft | None = None
        outer: float | None = None
        for raw in lines:
            outer, line = self._unwrapped(raw.rstrip("\r\n"), outer)
            structured = _json_record(line, outer) if line.startswith("{") else None
            if structured is None:
                begun = _begun(line, outer)
                if begun is None and line.startswith(TRACEBACK) and (draft is None or draft.is_closed()):
                    before = None if draft is None else draft.time
                    begun = _Draft(before if outer is None else outer, logging.ERROR, "root", line)
                if begun is None:
                    if draft is not None:
                        draft.add(line)
                    continue
            if draft is not None:
                yield draft.record()
            draft = None
            if structured is not None:
                yield structured
            else:
                draft = begun
        if draft is not None:
            yield draft.record()

    def _unwrapped(self, line: str, outer: float | None) -> tuple[float | None, str]:
        """*line* without what a container, compose or syslog put before it, and the time they gave."""
        if line.startswith('{"log":'):  # docker's json-file
            parts = _object(line)
            if parts is None or not isinstance(parts["log"], str):
                return outer, line
            return _time_of(parts.get("time")), parts["log"].rstrip("\r\n")
        for envelope in _ENVELOPES:
            found = envelope.match(line)
            if found:
                named = found.groupdict()
                if named.get("stamp"):
                    outer = _time_of(named["stamp"])
                elif named.get("syslog"):
                    outer = self._syslog_time(named["syslog"])
                return outer, named["line"]
        return None, line

    def _syslog_time(self, text: str) -> float | None:
        try:
            moment = datetime.strptime(f"{self.year} {text}", "%Y %b %d %H:%M:%S")
        except ValueError:
            return None
        return moment.replace(tzinfo=timezone.utc).timestamp()


def _begun(line: str, outer: float | None) -> _Draft | None:
    """The record that *line* begins, if it begins one."""
    for start in _STARTS:
        found = start.match(line)
        if found is None:
            continue
        named = found.groupdict()
        time = _time_of_match(named) if named.get("date") else outer
        rest = line[found.end() :]
        word = named.get("level")
        if word:
            django = _DJANGO_NUMBERS.match(rest) if named.get("date") else None
            logger, message = (django["name"], django["message"]) if django else _split(rest)
            return _Draft(time, _LEVELS[word], logger, message)
        level = _LEVEL_AFTER.search(rest, 0, _LEVEL_WITHIN)
        if level is None:
            return _Draft(time, logging.INFO, "root", rest.strip(_PUNCTUATION))
        before = _NAMED_BEFORE.match(rest[: level.start()])
        after = rest[level.end() :]
        if before:
            return _Draft(time, _LEVELS[level["level"].upper()], before["name"], after.lstrip(_PUNCTUATION))
        return _Draft(time, _LEVELS[level["level"].upper()], *_split(after))
    return None


def _split(rest: str) -> tuple[str, str]:
    """Logger and message of what follows the level."""
    found = _NAMED_AFTER.match(rest)
    return (found["name"], found["message"]) if found else ("root", rest.lstrip(_PUNCTUATION))


def _time_of_match(named: Mapping[str, str | None]) -> float | None:
    date, clock, zone = (named[part] or "" for part in ("date", "clock", "zone"))
    try:
        moment = datetime.fromisoformat(f"{date.replace('/', '-')}T{clock}")
    except ValueError:
        return None
    seconds = moment.replace(tzinfo=timezone.utc).timestamp() + float(f"0.{named['fraction'] or 0}")
    if zone not in ("", "Z", "UTC"):
        digits = zone.replace(":", "")
        offset = timedelta(hours=int(digits[1:3]), minutes=int(digits[3:5])).total_seconds()
        seconds += offset if digits[0] == "-" else -offset
    return seconds


# --- a record as JSON -------------------------------------------------------------------------------------

_TIME_KEYS = ("timestamp", "@timestamp", "time", "asctime", "ts", "datetime", "created", "date")
_LEVEL_KEYS = ("levelname", "level", "severity", "log.level", "level_name", "loglevel", "lvl", "levelno")
_LOGGER_KEYS = ("logger", "name", "logger_name", "log.logger", "loggerName")
_MESSAGE_KEYS = ("message", "msg", "event", "textPayload")
_TRACEBACK_KEYS = (*TRACEBACK_KEYS, "stack")


def _json_record(line: str, outer: float | None) -> Record | None:
    """Records of python-json-logger, structlog, loguru's ``serialize``, ECS and Google's formatters."""
    fields = _object(line)
    if fields is None:
        return None
    if isinstance(fields.get("record"), dict):  # loguru
        fields = {**fields["record"], "exception": fields.get("text", "")}
    if isinstance(fields.get("jsonPayload"), dict):  # an export of Google's Cloud Logging
        fields = {**fields, **fields["jsonPayload"]}
    for name in ("log", "error"):  # ECS, nested
        if isinstance(fields.get(name), dict):
            fields = {**{f"{name}.{key}": value for key, value in fields[name].items()}, **fields}
    message = _first(fields, _MESSAGE_KEYS)
    level = _level_of(_first(fields, _LEVEL_KEYS))
    trace = next((text for key in _TRACEBACK_KEYS if (text := printed_traceback(fields.get(key)))), "")
    if message is None and level is None and not trace:
        return None
    text = _text(message)[:MAX_CHARACTERS]
    at = traceback_at(text)
    if at is not None:  # Google's error reporting wants it in the message
        text, trace = text[:at].strip(), trace or text[at:]
    time = _time_of(_first(fields, _TIME_KEYS))
    default = logging.ERROR if trace else logging.INFO
    return Record(
        outer if time is None else time,
        default if level is None else level,
        _text(_first(fields, _LOGGER_KEYS)) or "root",
        text,
        encodable(trace[:MAX_CHARACTERS]),
    )


def _object(line: str) -> dict[str, Any] | None:
    """The JSON object that *line* is; None where it is none, or nested too deeply to be read."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _first(fields: Mapping[str, Any], keys: Iterable[str]) -> Any:
    return next((fields[key] for key in keys if fields.get(key) is not None), None)


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return encodable(value or "")
    try:
        return encodable(json.dumps(value, ensure_ascii=False))
    except RecursionError:  # what could just be read may be too deep to be written
        return "{…}"


def _level_of(value: Any) -> int | None:
    if isinstance(value, dict):
        value = value.get("no", value.get("name"))
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return int(value) if 0 <= value <= 1_000 else None
    return _LEVELS.get(value.strip().upper()) if isinstance(value, str) else None


def _time_of(value: Any) -> float | None:
    """Seconds since the epoch of what a formatter writes: ISO text, seconds, milli-, micro-, nanoseconds."""
    if isinstance(value, dict):
        value = value.get("seconds", value.get("timestamp"))
    if isinstance(value, str):
        found = re.match(_TIME, value.strip())
        if found:
            return _time_of_match(found.groupdict())
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    for unit in (1.0, 1e3, 1e6, 1e9):
        if 0 <= value < 1e11 * unit:
            return value / unit
    return None
