"""``eventlog-handlers rules``: prints an alarm over a handler's events, ready to paste."""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import Any

from eventlog_handlers.commands import arguments
from eventlog_handlers.commands.output import DIM, coloured, print_json
from eventlog_handlers.errors import SettingsError
from eventlog_handlers.events import STATUSES
from eventlog_handlers.services.alarm import AlarmRequest, told_apart
from eventlog_handlers.services.dsn import parse_dsn
from eventlog_handlers.services.registry import SERVICES

_WITH_ALARMS = [name for name, service in SERVICES.items() if service.has_alarm]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "rules",
        help="print the alarm over these events, ready to paste, from the handler's own settings",
        description=(
            "Print an alarm over the events: rules of CMS, EventBridge with SNS, a Guance monitor, and "
            "the permissions that sender and operator need. Nothing is sent or changed."
        ),
    )
    parser.add_argument("dsn", metavar="DSN", nargs="?", help="the handler's, with its options")
    parser.add_argument(
        "--service", choices=_WITH_ALARMS, help="instead of a DSN: a handler with its defaults"
    )
    parser.add_argument("--form", help="only this form, such as cli, terraform, json (default: all)")
    parser.add_argument("--name", type=_name, default="eventlog-alarm", help="name (default: %(default)s)")
    parser.add_argument(
        "--status",
        action="append",
        choices=STATUSES,
        help="a status that counts; may be repeated (default: critical and error)",
    )
    parser.add_argument("--logger", metavar="PREFIX", help="only loggers whose name begins so")
    parser.add_argument(
        "--event-name", action="append", default=[], metavar="NAME", help="only this EventName"
    )
    parser.add_argument(
        "--threshold",
        type=arguments.number_of_events,
        default=1,
        help="events that make an alarm (default: 1)",
    )
    parser.add_argument(
        "--period", type=arguments.whole_seconds, default=60, help="within this span (default: 60 seconds)"
    )
    parser.add_argument(
        "--notify",
        action="append",
        default=[],
        metavar="WHOM",
        help="CMS: contact group; EventBridge: mail address; Guance: an alert policy's UUID; repeatable",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run)


def _name(text: str) -> str:
    if not re.fullmatch("[a-z][a-z0-9-]{0,47}", text):
        raise argparse.ArgumentTypeError("a name has lower-case letters, digits and hyphens, 48 at most")
    return text


def _run(chosen: argparse.Namespace) -> int:
    if (chosen.dsn is None) == (chosen.service is None):
        print("give either a DSN or --service", file=sys.stderr)
        return 2
    asked = AlarmRequest(
        name=chosen.name,
        statuses=tuple(chosen.status or ("critical", "error")),
        logger_prefix=chosen.logger,
        event_names=tuple(chosen.event_name),
        threshold=chosen.threshold,
        period_seconds=chosen.period,
        notify=tuple(chosen.notify),
    )
    told: dict[str, Any] = {}
    try:
        named = parse_dsn(chosen.dsn) if chosen.dsn is not None else [(chosen.service, {})]
        for scheme, options in named:
            service = SERVICES[scheme]
            if not service.has_alarm:
                raise SettingsError(f"there are no alarms for {service.title} here")
            own, pipeline = service.settings({**options, "dry_run": True}, os.environ)
            module = service.alarm()
            if chosen.form is not None and chosen.form not in module.FORMS:
                raise SettingsError(f"{service.title} has the forms {', '.join(module.FORMS)}")
            told[scheme] = told_apart(module.alarm(asked, own, pipeline.service), chosen.form)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    if chosen.json:
        print_json({scheme: [piece._asdict() for piece in pieces] for scheme, pieces in told.items()})
        return 0
    for scheme, pieces in told.items():
        for piece in pieces:
            if chosen.form is None:
                print(coloured(f"# {SERVICES[scheme].title}: {piece.title} ({piece.form})", DIM))
            print(piece.text.rstrip("\n"))
            if chosen.form is None:
                print()
    return 0
