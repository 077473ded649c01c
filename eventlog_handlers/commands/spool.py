"""``eventlog-handlers spool``: lists, shows, sends, exports and deletes the events of a spool directory."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eventlog_handlers.commands import arguments
from eventlog_handlers.commands.destination import handler_of
from eventlog_handlers.commands.output import DIM, ago, coloured, failure, print_json, print_table
from eventlog_handlers.errors import SettingsError
from eventlog_handlers.text.fit import one_line

if TYPE_CHECKING:
    from eventlog_handlers.buffers.spool.inspect import SpoolEntry, Waiting

_WHY = {
    "in use": "its process sends them",
    "left": "its process ended: the next handler of this destination takes them over",
    "damaged": "put aside; sqlite3's .recover may read more",
    "other version": "written by another version of this package",
}
_POLL_SECONDS = 0.5
_REPLAY_SECONDS = 0.05  # between two turns: the rate limit may ask for a wait


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "spool",
        help="the events in a spool directory: ls, show, tail, replay, export, purge",
        description="Look into a spool directory, safely while its processes live.",
    )

    def no_verb(_: argparse.Namespace) -> int:
        parser.print_help()
        return 2

    parser.set_defaults(run=no_verb)
    verbs = parser.add_subparsers(title="verbs", metavar="")

    def verb(name: str, text: str, run: object) -> argparse.ArgumentParser:
        one = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        one.add_argument("directory", metavar="DIR", type=Path, help="the handlers' spool= directory")
        one.set_defaults(run=run)
        return one

    one = verb("ls", "list the files: events, age, and why they wait", _ls)
    one.add_argument("--json", action="store_true", help="print JSON")
    one = verb("show", "print the events that wait, oldest first", _show)
    one.add_argument("id", nargs="?", help="only the event with this id (its first digits are enough)")
    one.add_argument("--limit", type=_count, default=20, help="so many at most (default: %(default)s)")
    one.add_argument("--json", action="store_true", help="print the events as JSON lines")
    one = verb("tail", "print events as they come in, until Ctrl-C", _tail)
    one.add_argument("--json", action="store_true", help="print the events as JSON lines")
    one = verb("export", "print all events as JSON lines, for other programs; nothing is deleted", _export)
    one.add_argument("--destination", metavar="HASH", help="only files of this destination (see ls)")
    one = verb("replay", "send what ended processes left to a destination, now", _replay)
    one.add_argument("dsn", metavar="DSN", help="where to, such as guance://cn1; credentials as usual")
    one.add_argument(
        "--from",
        dest="source",
        metavar="HASH",
        help="also take files of this other destination (see ls): they are then this one's",
    )
    one.add_argument(
        "--timeout", type=arguments.seconds, default=60.0, help="seconds to wait at most (default: 60)"
    )
    one.add_argument("--json", action="store_true", help="print JSON")
    one = verb("purge", "delete what ended processes left, unsent", _purge)
    one.add_argument(
        "--older-than", type=arguments.seconds, default=0.0, help="only files this old: 90s, 15m, 2h, 3d"
    )
    one.add_argument("--destination", metavar="HASH", help="only files of this destination (see ls)")
    one.add_argument("--yes", action="store_true", help="don't ask")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of events: 1 or more")
    return int(text)


def _entries(place: Path, destination: str | None = None) -> list[SpoolEntry]:
    from eventlog_handlers.buffers.spool.inspect import entries

    return [entry for entry in entries(place) if destination in (None, entry.destination)]


def _readable(chosen: argparse.Namespace) -> str:
    """The reason why the directory can't be read; "" if it can."""
    try:
        next(chosen.directory.iterdir(), None)
    except OSError as error:
        return f"can't read {chosen.directory}: {error.strerror}"
    return ""


def _ls(chosen: argparse.Namespace) -> int:
    if problem := _readable(chosen):
        return failure(problem)
    now = time.time()
    found: list[dict[str, object]] = []
    for entry in _entries(chosen.directory):
        one: dict[str, object] = {
            "file": entry.path.name,
            "destination": entry.destination,
            "pid": entry.process_id,
            "state": entry.state,
            "bytes": entry.bytes,
            "why": _WHY[entry.state],
        }
        try:
            waiting, damaged = entry.read()
        except Exception as error:  # SQLite raises various errors for a damaged file
            one |= {"events": None, "error": f"{type(error).__name__}: {error}"}
        else:
            one |= {
                "events": len(waiting),
                "damaged": damaged,
                "oldest_seconds": round(now - min(w.put_time for w in waiting), 1) if waiting else None,
                "tried": max((w.attempts for w in waiting), default=0),
            }
        found.append(one)
    if chosen.json:
        print_json(found)
        return 0
    if not found:
        print(f"nothing waits in {chosen.directory}")
        return 0
    rows = [
        [
            one["destination"],
            one["pid"],
            one["state"],
            "?" if one["events"] is None else one["events"],
            "" if one.get("oldest_seconds") is None else ago(float(str(one["oldest_seconds"]))),
            one.get("tried", ""),
            one["bytes"],
            one.get("error", one["why"]),
        ]
        for one in found
    ]
    print_table(["destination", "pid", "file", "events", "oldest", "tried", "bytes", "why"], rows)
    return 0


def _all_waiting(entries: Sequence[SpoolEntry]) -> Iterator[Waiting]:
    """The events of all files, oldest first; a file that can't be read is named on stderr."""
    waiting: list[Waiting] = []
    for entry in entries:
        try:
            waiting += entry.read()[0]
        except Exception as error:
            print(f"{entry.path.name} can't be read: {type(error).__name__}: {error}", file=sys.stderr)
    return iter(sorted(waiting, key=lambda one: one.put_time))


def _print_event(one: Waiting, *, as_json: bool) -> None:
    from eventlog_handlers.buffers.spool.inspect import to_line

    if as_json:
        print(to_line(one), flush=True)
        return
    event = one.event
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.time))
    tried = f", tried {one.attempts}×" if one.attempts else ""
    print(f"{moment} {event.level_name} {event.logger}: {one_line(event.message)}")
    print(coloured(f"  id {event.id}, {event.status}{tried}", DIM), flush=True)
    if event.exception is not None:
        print(f"  {one_line(event.exception.type)}: {one_line(event.exception.message)}")


def _show(chosen: argparse.Namespace) -> int:
    if problem := _readable(chosen):
        return failure(problem)
    shown = 0
    for one in _all_waiting(_entries(chosen.directory)):
        if chosen.id is None or one.event.id.startswith(chosen.id):
            _print_event(one, as_json=chosen.json)
            if chosen.id is not None and one.event.exception is not None and not chosen.json:
                print(one.event.exception.stacktrace)
            shown += 1
            if shown >= chosen.limit:
                break
    if not shown and chosen.id is not None:
        return failure(f"no event whose id begins with {chosen.id} waits in {chosen.directory}")
    if not shown and not chosen.json:
        print(f"nothing waits in {chosen.directory}")
    return 0


def _tail(chosen: argparse.Namespace) -> int:
    if problem := _readable(chosen):
        return failure(problem)
    seen = {one.event.id for one in _all_waiting(_entries(chosen.directory))}
    while True:
        time.sleep(_POLL_SECONDS)
        for one in _all_waiting(_entries(chosen.directory)):
            if one.event.id not in seen:
                seen.add(one.event.id)
                _print_event(one, as_json=chosen.json)


def _export(chosen: argparse.Namespace) -> int:
    if problem := _readable(chosen):
        return failure(problem)
    for one in _all_waiting(_entries(chosen.directory, chosen.destination)):
        _print_event(one, as_json=True)
    return 0


def _replay(chosen: argparse.Namespace) -> int:
    from eventlog_handlers.buffers.spool.inspect import take_over

    if problem := _readable(chosen):
        return failure(problem)
    try:
        handler = handler_of(chosen.dsn, spool=str(chosen.directory), flush_interval=0.0)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    own = handler.stats()["spool"]["destination"]
    try:
        for entry in _entries(chosen.directory, chosen.source) if chosen.source else ():
            if entry.state == "left":
                take_over(entry.path, own)
        deadline = time.monotonic() + chosen.timeout
        while True:
            left = [entry for entry in _entries(chosen.directory, own) if entry.state == "left"]
            stats = handler.stats()
            if (not left and not stats["pending"]) or time.monotonic() >= deadline:
                break
            handler.work(min(1.0, max(0.0, deadline - time.monotonic())))
            time.sleep(_REPLAY_SECONDS)
            if sys.stderr.isatty():
                print(f"\r{stats['delivered']} sent, {stats['pending']} wait ", end="", file=sys.stderr)
    finally:
        handler.close(0.0)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    stats = handler.stats()
    lost = sum(stats["dropped"].values())
    if chosen.json:
        print_json({name: stats[name] for name in ("delivered", "dropped", "pending", "last_error")})
    else:
        print(f"{stats['delivered']} events delivered, {lost} dropped, {stats['pending']} still wait")
    if lost or stats["pending"] or left:
        return failure(f"not all was delivered: {stats['last_error'] or 'the time ran out'}")
    return 0


def _purge(chosen: argparse.Namespace) -> int:
    from eventlog_handlers.buffers.spool.inspect import purge

    if problem := _readable(chosen):
        return failure(problem)
    now = time.time()
    chosen_ones = [
        entry
        for entry in _entries(chosen.directory, chosen.destination)
        if entry.state in ("left", "damaged") and now - entry.path.stat().st_mtime >= chosen.older_than
    ]
    if not chosen_ones:
        print("nothing to delete: files of living processes are never touched")
        return 0
    events = sum(1 for _ in _all_waiting(chosen_ones))
    if not chosen.yes:
        if not sys.stdin.isatty():
            return failure(f"this deletes {events} unsent events in {len(chosen_ones)} files: add --yes")
        answer = input(f"Delete {events} unsent events in {len(chosen_ones)} files? [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            return failure("nothing was deleted")
    deleted = sum(purge(entry.path) for entry in chosen_ones)
    print(f"deleted {deleted} files with {events} events")
    return 0
