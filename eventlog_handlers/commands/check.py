"""``eventlog-handlers check``: checks settings, network, account, logging; one line each."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eventlog_handlers.commands import arguments
from eventlog_handlers.commands.files import ArgumentsError, read
from eventlog_handlers.commands.output import DIM, GREEN, RED, YELLOW, coloured, print_json
from eventlog_handlers.errors import SettingsError
from eventlog_handlers.services.dsn import parse_dsn
from eventlog_handlers.services.finding import Finding
from eventlog_handlers.services.registry import SERVICES

_MARKS = {"ok": ("✓", GREEN), "warning": ("!", YELLOW), "problem": ("✗", RED)}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "check",
        help="is everything in place: credentials, network, account, spool, logging's tree",
        description=(
            "Look at destinations and at a logging configuration, one line each. Makes no event; the calls "
            "it makes are named. Without DSN and options it looks at EVENTLOG_DSN."
        ),
    )
    parser.add_argument("dsn", metavar="DSN", nargs="*", help="destinations (default: EVENTLOG_DSN)")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="a dictConfig, not applied: FILE.yaml, FILE.json, or module:NAME of a mapping",
    )
    parser.add_argument(
        "--django", action="store_true", help="the LOGGING and EVENTLOG of DJANGO_SETTINGS_MODULE"
    )
    parser.add_argument("--no-network", action="store_true", help="make no connection")
    parser.add_argument(
        "--timeout", type=arguments.seconds, default=5.0, help="seconds for each step (default: 5)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> int:
    dsns = " ".join(chosen.dsn)
    if not dsns and not chosen.config and not chosen.django:
        dsns = os.environ.get("EVENTLOG_DSN", "")
        if not dsns.strip():
            print(
                "nothing to look at: give a DSN, --config or --django, or set EVENTLOG_DSN", file=sys.stderr
            )
            return 2
    found: list[Finding] = []
    try:
        for finding in _findings(chosen, dsns):
            found.append(finding)
            if not chosen.json:
                _print(finding)
    except (ArgumentsError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 2
    problems = sum(finding.level == "problem" for finding in found)
    warnings = sum(finding.level == "warning" for finding in found)
    if chosen.json:
        print_json([finding._asdict() for finding in found])
    else:
        print(f"{problems} problems, {warnings} warnings" if problems or warnings else "all is well")
    return 1 if problems else 0


def _print(finding: Finding) -> None:
    mark, colour = _MARKS[finding.level]
    print(f"{coloured(mark, colour)} {finding.topic}: {finding.text}", flush=True)
    if finding.remedy and finding.level != "ok" and finding.remedy != "see the sentence":
        print(coloured(f"    {finding.remedy}", DIM), flush=True)


def _findings(chosen: argparse.Namespace, dsns: str) -> Iterator[Finding]:
    if chosen.config:
        from eventlog_handlers.diagnosis import dict_config

        yield from dict_config.check(_config(chosen.config))
    if chosen.django:
        from eventlog_handlers.diagnosis.django_project import findings

        yield from findings(timeout=chosen.timeout, network_too=not chosen.no_network)
    for scheme, options in parse_dsn(dsns) if dsns.strip() else ():
        from eventlog_handlers.diagnosis import destination

        yield from destination.check(
            SERVICES[scheme],
            options,
            os.environ,
            timeout=chosen.timeout,
            network_too=not chosen.no_network,
        )


def _config(name: str) -> Any:
    if Path(name).suffix in (".yaml", ".yml", ".json"):
        return read(name)
    module, _, attribute = name.partition(":")
    if not attribute:
        raise ArgumentsError(f"--config takes FILE.yaml, FILE.json or module:NAME, not {name}")
    sys.path.insert(0, str(Path.cwd()))
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ArgumentsError(f"{name} can't be imported: {error}") from None
