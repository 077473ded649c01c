"""``eventlog-handlers test``: which event a record becomes, as unit tests of a configuration.

Each record goes through the real handler to the embedded stand-in, which judges it as strictly as the
service's documents say. Needs the extra ``console``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from eventlog_handlers.commands.destination import handler_of
from eventlog_handlers.commands.expectations import differences
from eventlog_handlers.commands.files import ArgumentsError, read
from eventlog_handlers.commands.output import GREEN, RED, coloured, print_json
from eventlog_handlers.errors import SettingsError

_CASE = {"name", "record", "event", "dropped", "refused"}
_RECORD = {"logger", "level", "message", "args", "exception", "extra"}
_SECONDS = 30.0


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "test",
        help="unit tests of a configuration: which event a record becomes",
        description=(
            "Run the tests in FILE: a DSN, and records with the events that are expected of them. Each "
            "record goes through the handler to an embedded stand-in; nothing leaves this machine."
        ),
    )
    parser.add_argument("file", metavar="FILE", help="YAML or JSON; docs/testing.md describes it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> int:
    try:
        dsn, options, cases = parse(read(chosen.file))
        results = list(run(dsn, options, cases))
    except (ArgumentsError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 2
    if chosen.json:
        print_json([{"name": name, "passed": not wrong, "differences": wrong} for name, wrong in results])
    else:
        for name, wrong in results:
            print(f"{coloured('✗', RED) if wrong else coloured('✓', GREEN)} {name}")
            for one in wrong:
                print(f"    {one}")
        failed = sum(bool(wrong) for _, wrong in results)
        print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if any(wrong for _, wrong in results) else 0


def parse(given: object) -> tuple[str, dict[str, Any], list[dict[str, Any]]]:
    """DSN, the handler's other options and the cases of a file; raises ArgumentsError."""
    if not isinstance(given, Mapping) or not isinstance(given.get("dsn"), str):
        raise ArgumentsError("the file has no dsn: begin it with dsn: guance://cn1")
    cases = given.get("tests")
    if not isinstance(cases, list) or not cases:
        raise ArgumentsError("the file has no tests: a list of records, each with the event to expect")
    for number, case in enumerate(cases, 1):
        if not isinstance(case, Mapping) or not isinstance(case.get("record"), Mapping):
            raise ArgumentsError(f"test {number} has no record")
        if unknown := set(map(str, case)) - _CASE:
            raise ArgumentsError(
                f"test {number} has the unknown key {min(unknown)}: {', '.join(sorted(_CASE))}"
            )
        if unknown := set(map(str, case["record"])) - _RECORD:
            keys = ", ".join(sorted(_RECORD))
            raise ArgumentsError(f"the record of test {number} has the unknown key {min(unknown)}: {keys}")
        if len({"event", "dropped", "refused"} & case.keys()) != 1:
            raise ArgumentsError(f"test {number} needs one of event, dropped and refused")
    options = given.get("options", {})
    if not isinstance(options, Mapping):
        raise ArgumentsError("options is no mapping of the handler's options")
    return given["dsn"], dict(options), [dict(case) for case in cases]


def run(dsn: str, options: dict[str, Any], cases: list[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Each case's name and its differences."""
    from eventlog_handlers.console import require_extra

    require_extra()
    from eventlog_handlers.console.server import LocalConsole

    with LocalConsole() as console, _sending_to(console.url):
        console.lift_quotas()
        handler = handler_of(
            dsn, **{**options, "aggregate_seconds": None, "requests_per_second": 1_000.0, "burst": 1_000}
        )
        try:
            for number, case in enumerate(cases, 1):
                name = str(case.get("name") or f"test {number}")
                before = len(console.events()), len(console.refused())
                handler.handle(_record(case["record"]))
                settled = handler.flush(_SECONDS)
                events, refused = console.events()[before[0] :], console.refused()[before[1] :]
                wrong = list(_judged(case, events, refused))
                yield name, wrong if settled else [*wrong, f"not settled within {_SECONDS:g} s"]
        finally:
            handler.close(0.0)


def _judged(case: Mapping[str, Any], events: list[Any], refused: list[Any]) -> Iterator[str]:
    if "event" in case:
        if not events:
            yield f"no event: {_why(refused) or 'the handler took or sent none'}"
        else:
            yield from differences(case["event"], _plain(events[0].body))
    elif "dropped" in case:
        if events and case["dropped"]:
            yield f"an event was made: {json.dumps(_plain(events[0].body), ensure_ascii=False)[:300]}"
    elif not refused:
        yield "the service would take it"
    else:
        yield from differences(case["refused"], _why(refused))


def _why(refused: list[Any]) -> str:
    return "; ".join(f"{one.code}: {one.message}" for one in refused)


def _plain(body: Any) -> Any:
    """The event in the service's form; JSON inside a text is opened."""
    if not isinstance(body, Mapping):
        return body
    opened = dict(body)
    for name, value in opened.items():
        if isinstance(value, str) and value.startswith("{"):
            try:
                opened[name] = json.loads(value)
            except ValueError:
                continue
    return opened


def _record(fields: Mapping[str, Any]) -> logging.LogRecord:
    level = fields.get("level", "ERROR")
    number = level if isinstance(level, int) else logging.getLevelName(str(level).upper())
    if not isinstance(number, int):
        raise ArgumentsError(f"{level!r} is no level")
    args = fields.get("args", [])
    record = logging.LogRecord(
        str(fields.get("logger", "root")), number, "tested.py", 1, fields.get("message", ""), None, None
    )
    record.args = tuple(args) if isinstance(args, list) else args
    record.exc_text = fields.get("exception") or None
    for name, value in dict(fields.get("extra", {})).items():
        record.__dict__.setdefault(str(name), value)
    return record


@contextmanager
def _sending_to(url: str) -> Iterator[None]:
    """Handlers made in the block send to the stand-in at *url*."""
    before = os.environ.get("EVENTLOG_CONSOLE")
    os.environ["EVENTLOG_CONSOLE"] = url
    try:
        yield
    finally:
        if before is None:
            del os.environ["EVENTLOG_CONSOLE"]
        else:
            os.environ["EVENTLOG_CONSOLE"] = before
