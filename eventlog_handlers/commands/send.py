"""``eventlog-handlers send``: events from a shell, for cron, CI and deploy hooks.

Exits with 0 only after the service has confirmed every event.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from eventlog_handlers.commands import arguments
from eventlog_handlers.commands.destination import handler_of
from eventlog_handlers.commands.output import failure, print_json
from eventlog_handlers.errors import SettingsError
from eventlog_handlers.events import Event
from eventlog_handlers.handler import EventHandler
from eventlog_handlers.settings import checks

_WAITING_AT_MOST = 1_000  # events in hand before the next line is read: a file may be longer than memory
_STEP_SECONDS = 0.25
_MESSAGES = ("message", "msg", "event")
_LEVELS = ("level", "levelname", "severity")
_LOGGERS = ("logger", "logger_name", "name")
_TRACEBACKS = ("exc_info", "exc_text", "exception", "traceback", "stack_trace")


class Line(NamedTuple):
    """The values of one event."""

    message: str
    level: int
    logger: str
    traceback: str = ""
    extras: Mapping[str, Any] = MappingProxyType({})


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "send",
        help="send events from a shell, and wait until the service has confirmed them",
        description=(
            "Send MESSAGE as one event, or each line of standard input as one: a line that is a JSON object "
            "gives message, level, logger, exception and extras by name. Prints the events' ids. Exit code 0 "
            "means that the service has confirmed every event."
        ),
    )
    parser.add_argument("dsn", metavar="DSN", help="where to, such as guance://cn1; credentials as usual")
    parser.add_argument("message", metavar="MESSAGE", nargs="?", help="the message (default: standard input)")
    parser.add_argument("--level", type=_level, default=logging.ERROR, help="level (default: ERROR)")
    parser.add_argument("--logger", default="shell", metavar="NAME", help="logger (default: shell)")
    parser.add_argument("--tag", type=_pair, action="append", default=[], metavar="K=V", help="a tag")
    parser.add_argument("--extra", type=_pair, action="append", default=[], metavar="K=V", help="an extra")
    parser.add_argument(
        "--exception-from", metavar="FILE", help="a traceback to send along; - is standard input"
    )
    parser.add_argument(
        "--timeout",
        type=arguments.seconds,
        default=60.0,
        help="seconds to wait for the confirmation (default: 60)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run)


def _level(text: str) -> int:
    try:
        return int(text) if text.isascii() and text.isdigit() else checks.level(text.upper())
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is no pair: write NAME=VALUE")
    return name, value


def _run(chosen: argparse.Namespace) -> int:
    if chosen.message is not None and chosen.exception_from is None:
        lines: Iterable[Line] = [_line(chosen, chosen.message)]
    elif chosen.message is not None:
        try:
            lines = [_line(chosen, chosen.message, _whole(chosen.exception_from))]
        except OSError as error:
            return failure(f"can't read {chosen.exception_from}: {error.strerror}")
    elif chosen.exception_from is not None:
        print("--exception-from goes with a MESSAGE", file=sys.stderr)
        return 2
    else:
        if sys.stdin.isatty():
            print("reading events from the terminal, one a line; end with Ctrl-D", file=sys.stderr)
        lines = _lines(chosen, sys.stdin)
    ids: list[str] = []
    try:
        handler = handler_of(
            chosen.dsn,
            level=logging.NOTSET,
            aggregate_seconds=None,
            max_age=30 * 86_400,
            tags=dict(chosen.tag),
            before_send=_noting(ids),
        )
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        sent = _send(handler, lines)
        _wait(handler, chosen.timeout, at_most=0)
        stats = handler.stats()
    finally:
        handler.close(0.0)
    return _report(chosen, ids, stats, sent)


def _noting(ids: list[str]) -> Callable[[Event], Event]:
    def note(event: Event) -> Event:
        ids.append(event.id)
        return event

    return note


def _whole(path: str) -> str:
    if path == "-":
        return sys.stdin.read().rstrip("\n")
    with open(path, encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123 - as the shell names it
        return file.read().rstrip("\n")


def _line(chosen: argparse.Namespace, message: str, traceback: str = "") -> Line:
    return Line(message, chosen.level, chosen.logger, traceback, dict(chosen.extra))


def _lines(chosen: argparse.Namespace, texts: Iterable[str]) -> Iterator[Line]:
    for text in texts:
        text = text.strip("\r\n")
        if text.strip():
            yield of_json(text, _line(chosen, text))


def of_json(text: str, otherwise: Line) -> Line:
    """The event that a line of JSON describes; *otherwise* where it is no JSON object with a message."""
    if not text.lstrip().startswith("{"):
        return otherwise
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return otherwise
    if not isinstance(fields, dict):
        return otherwise
    message = _taken(fields, _MESSAGES)
    if not isinstance(message, str):
        return otherwise
    level, logger, traceback = (_taken(fields, names) for names in (_LEVELS, _LOGGERS, _TRACEBACKS))
    number = level if isinstance(level, int) else logging.getLevelName(str(level).upper())
    return Line(
        message,
        number if isinstance(number, int) else otherwise.level,
        logger if isinstance(logger, str) and logger else otherwise.logger,
        traceback if isinstance(traceback, str) else "",
        {**otherwise.extras, **fields},
    )


def _taken(fields: dict[str, Any], names: Iterable[str]) -> Any:
    for name in names:
        if name in fields:
            return fields.pop(name)
    return None


def _send(handler: EventHandler, lines: Iterable[Line]) -> int:
    sent = 0
    for line in lines:
        record = logging.LogRecord(line.logger, line.level, "", 0, line.message, (), None)
        record.exc_text = line.traceback or None
        for name, value in line.extras.items():
            record.__dict__.setdefault(name, value)
        handler.handle(record)
        sent += 1
        if sent % _WAITING_AT_MOST == 0:
            _wait(handler, float("inf"), at_most=_WAITING_AT_MOST)
    return sent


def _wait(handler: EventHandler, seconds: float, *, at_most: int) -> None:
    """Wait until no more than *at_most* events are unsettled, *seconds* at most; shows how far it is."""
    deadline = time.monotonic() + seconds
    shows = sys.stderr.isatty()
    while time.monotonic() < deadline:
        if handler.flush(min(_STEP_SECONDS, max(0.0, deadline - time.monotonic()))):
            break
        stats = handler.stats()
        if stats["pending"] <= at_most:
            break
        if shows:
            print(f"\r{stats['delivered']} confirmed, {stats['pending']} wait ", end="", file=sys.stderr)
    if shows:
        print("\r\x1b[K", end="", file=sys.stderr)


def _report(chosen: argparse.Namespace, ids: list[str], stats: dict[str, Any], sent: int) -> int:
    done = stats["delivered"] == sent
    if chosen.json:
        print_json(
            {
                "sent": sent,
                "delivered": stats["delivered"],
                "dropped": stats["dropped"],
                "pending": stats["pending"],
                "last_error": None if done else stats["last_error"],
                "ids": ids,
            }
        )
    else:
        for one in ids:
            print(one)
    if done:
        return 0
    why = stats["last_error"] or ", ".join(stats["dropped"]) or "the time ran out"
    return failure(f"only {stats['delivered']} of {sent} events were confirmed: {why}")
