"""The command ``eventlog-handlers``: arguments, messages, exit codes.

The work itself is done in ``console``, ``estimate`` and ``commands``.

Exit codes: 0 done; 1 it did not work (port taken, file unusable, an event of the demo missing); 2 wrong
arguments, or an extra that is not installed.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from eventlog_handlers._version import __version__
from eventlog_handlers.commands import (
    check,
    config_tests,
    options,
    put_events,
    relay,
    rules,
    send,
    spool,
    top,
)
from eventlog_handlers.errors import MissingExtraError, SettingsError
from eventlog_handlers.services.registry import SERVICES
from eventlog_handlers.settings import checks
from eventlog_handlers.settings.local_console import CONSOLE_URL

if TYPE_CHECKING:
    from eventlog_handlers.console.faults import Fault


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with *arguments* (None: the process's own) and return its exit code."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] | None = getattr(chosen, "run", None)
    if run is None:
        parser.print_help()
        return 2
    try:
        code = run(chosen)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # "| head" has seen enough
        # The interpreter flushes once more at its exit, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MissingExtraError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="eventlog-handlers",
        description="Logging handlers for CMS, Guance and CloudWatch Events: try, send, look after.",
    )
    parser.add_argument("--version", action="version", version=f"eventlog-handlers {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="")

    console = commands.add_parser("console", help="run the local stand-in of the three services")
    console.add_argument(
        "--host", default="127.0.0.1", help="address or name to listen on (default: %(default)s)"
    )
    console.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help="a further host name the console answers to, such as its service's in compose; may be repeated",
    )
    console.add_argument(
        "--token",
        type=_token,
        help="what page and API ask for (default: none on loopback, elsewhere a new one, which is printed)",
    )
    console.add_argument(
        "--port", type=_port, default=urlsplit(CONSOLE_URL).port, help="port (default: %(default)s)"
    )
    console.add_argument(
        "--db", metavar="FILE", help="keep what arrives in this SQLite file (default: memory)"
    )
    console.add_argument(
        "--fault",
        action="append",
        default=[],
        type=_fault,
        metavar="SERVICE:FAULT[:COUNT|:SECONDSs|:forever]",
        help="let a service fail from the start on, such as guance:throttle:3, cms:cut:60s or "
        "cloudwatch:slow=2.5:forever; may be repeated. "
        "Faults: throttle, 500, slow, cut, half, wrong_clock, garbage",
    )
    _add_quota(console, relaxed=False)
    console.set_defaults(run=_console)

    demo = commands.add_parser("demo", help="run a small shop that logs, and show what arrives")
    demo.add_argument("--port", type=_port, default=0, help="port of the stand-in (default: a free one)")
    demo.add_argument("--keep", action="store_true", help="keep the page open until Ctrl-C")
    _add_quota(demo, relaxed=True)
    demo.set_defaults(run=_demo)

    estimate = commands.add_parser("estimate", help="read a log, and estimate its cost as events")
    estimate.add_argument("logfile", metavar="LOGFILE", help="text or JSON lines; .gz too; - for stdin")
    estimate.add_argument(
        "--service", action="append", choices=_costed(), help="only this one; may be repeated (default: all)"
    )
    estimate.add_argument(
        "--aggregate-seconds",
        type=_seconds,
        default=SERVICES["guance"].defaults()["aggregate_seconds"],
        metavar="SECONDS",
        help="first window of folding, 0 for none (default: %(default)g, as GuanceHandler has it)",
    )
    estimate.add_argument(
        "--level", type=_level, default="ERROR", help="least level that becomes an event (default: ERROR)"
    )
    estimate.add_argument("--json", action="store_true", help="print JSON")
    estimate.set_defaults(run=_estimate)

    for module in (check, send, put_events, spool, relay, top, rules, options, config_tests):
        module.add_parser(commands)
    return parser


def _costed() -> list[str]:
    """The services whose cost can be told."""
    return [service.scheme for service in SERVICES.values() if service.has_cost]


def _add_quota(command: argparse.ArgumentParser, *, relaxed: bool) -> None:
    """The two options about the services' quotas, and which of them holds if neither is given."""
    default = " (default)"
    either = command.add_mutually_exclusive_group()
    either.add_argument(
        "--quota",
        dest="relaxed",
        action="store_false",
        help=f"keep the services' quotas of calls{'' if relaxed else default}",
    )
    either.add_argument(
        "--relaxed",
        dest="relaxed",
        action="store_true",
        help=f"without the services' quotas of calls{default if relaxed else ''}",
    )
    command.set_defaults(relaxed=relaxed)


def _fault(text: str) -> Fault:
    from eventlog_handlers.console.faults import parsed

    try:
        return parsed(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def _token(text: str) -> str:
    if not re.fullmatch("[A-Za-z0-9._~-]{8,}", text):
        raise argparse.ArgumentTypeError("a token has 8 or more letters, digits and characters of ._~-")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 900:
        raise argparse.ArgumentTypeError(f"{text!r} is no window: seconds from 0 to 900")
    return seconds


def _level(text: str) -> int:
    try:
        return int(text) if text.isascii() and text.isdigit() else checks.level(text.upper())
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _estimate(chosen: argparse.Namespace) -> int:
    from eventlog_handlers.estimate.report import run

    try:
        return run(
            Path(chosen.logfile),
            services=chosen.service or _costed(),
            aggregate_seconds=chosen.aggregate_seconds,
            level=chosen.level,
            as_json=chosen.json,
            out=sys.stdout,
            err=sys.stderr,
        )
    except BrokenPipeError:
        raise
    except (OSError, EOFError) as error:  # EOFError: a .gz that breaks off
        print(f"can't read {chosen.logfile}: {error}", file=sys.stderr)
        return 1


def _console(chosen: argparse.Namespace) -> int:
    from eventlog_handlers.console import require_extra

    require_extra()
    from eventlog_handlers.console.app import Console
    from eventlog_handlers.console.server import doors_of, listen, serve, url_of
    from eventlog_handlers.text.loopback import is_loopback

    token = chosen.token
    if token is None and not is_loopback(chosen.host):
        token = secrets.token_urlsafe(16)
    try:
        console = Console(path=chosen.db, doors=doors_of(chosen.host, names=chosen.name, token=token))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    if chosen.relaxed:
        console.lift_quotas()
    for fault in chosen.fault:
        console.start_fault(fault)
    try:
        listener = listen(chosen.host, chosen.port)
    except OSError as error:
        print(f"can't listen on {chosen.host} port {chosen.port}: {error}", file=sys.stderr)
        return 1
    url = url_of(listener)
    setting = "1" if url == CONSOLE_URL else url
    page = f"{url}/?{urlencode({'token': token})}" if token else f"{url}/"
    print(f"Event console on {page} - stop it with Ctrl-C.")
    print(
        f"Send it an application's events: EVENTLOG_CONSOLE={setting} python your_application.py", flush=True
    )
    if not is_loopback(chosen.host):
        print("The port can be reached from outside: page and API ask for the token.", file=sys.stderr)
    try:
        serve(console, listener=listener)
    finally:
        console.store.close()
    return 0


def _demo(chosen: argparse.Namespace) -> int:
    from eventlog_handlers.console import require_extra

    require_extra("boto3")
    from eventlog_handlers.console.demo import run

    try:
        return run(port=chosen.port, keep=chosen.keep, quota=not chosen.relaxed)
    except OSError as error:
        print(f"can't listen on port {chosen.port}: {error}", file=sys.stderr)
        return 1
