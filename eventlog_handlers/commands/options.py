"""``eventlog-handlers options``: every option with its default and its meaning, from the rows themselves."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterable

from eventlog_handlers.commands.output import print_json
from eventlog_handlers.services.described import default_of, literal, plain
from eventlog_handlers.services.registry import SERVICES, Service
from eventlog_handlers.settings.option import Option
from eventlog_handlers.settings.options import OPTIONS as COMMON_OPTIONS


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "options",
        help="list the options of the handlers, with defaults and meaning",
        description="List the options: those of each service, then those of every handler.",
    )
    parser.add_argument(
        "service", nargs="?", choices=list(SERVICES), metavar="SERVICE", help="only one: %(choices)s"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> int:
    services = [SERVICES[chosen.service]] if chosen.service else list(SERVICES.values())
    if chosen.json:
        print_json([_as_json(row, service) for service in services for row in service.options()])
        return 0
    for service in services:
        schemes = service.urls or (service.scheme,)
        print(f"{service.handler}, {', '.join(f'{one}://<{service.host_option}>' for one in schemes)}\n")
        print(_listed(service.options(), ()))
    print("All handlers\n")
    print(_listed(COMMON_OPTIONS, services))
    return 0


def _listed(rows: Iterable[Option], services: Iterable[Service]) -> str:
    services = tuple(services)
    width = min(110, shutil.get_terminal_size((100, 24)).columns) - 2
    lines = []
    for row in rows:
        lines.append(f"  {row.name} = {plain(default_of(row, services))}")
        lines += textwrap.wrap(plain(row.meaning), width, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join([*lines, ""])


def _as_json(row: Option, service: Service) -> dict[str, object]:
    return {
        "name": row.name,
        "handler": service.handler,
        "type": row.type,
        "default": literal(row.default),
        "meaning": plain(row.meaning),
    }
