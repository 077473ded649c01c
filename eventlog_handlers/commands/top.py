"""``eventlog-handlers top``: the processes of this user on this host that send, live.

Reads what the processes write about themselves (``share.process_files``); asks none of them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from eventlog_handlers.commands.output import (
    BOLD,
    DIM,
    GREEN,
    RED,
    YELLOW,
    ago,
    coloured,
    failure,
    print_json,
)
from eventlog_handlers.metrics import status_of
from eventlog_handlers.text.fit import one_line

_NOTHING = (
    "no process of this user has sent events through eventlog_handlers on this host, or none still runs "
    "(another user's: run this command as that user; another EVENTLOG_RUNTIME_DIR: set it here, too)"
)
_COLOURS = {"ok": GREEN, "late": YELLOW, "held": RED}
_WORST_FIRST = ("held", "late", "ok")
_NUMBERS = ("accepted", "delivered", "dropped", "aggregated", "pending")
"""The law's sums, so that a row adds up: accepted is the sum of the others."""
_ERROR_LINES = 2
_FULL_SCREEN, _LEAVE_FULL_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _END_OF_LINE, _REST = "\x1b[H", "\x1b[K", "\x1b[J"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "top",
        help="the processes of this host that send: counters, state, last error; live",
        description="Show this user's processes on this host that have sent events. On a terminal the "
        "picture is renewed until Ctrl-C; otherwise it is printed once.",
    )
    parser.add_argument("--once", action="store_true", help="print one picture and end")
    parser.add_argument(
        "--json", action="store_true", help="print JSON, once; with --interval a line each time"
    )
    parser.add_argument(
        "--interval", type=_seconds, metavar="SECONDS", help="between two pictures, 0.1 to 3600 (default: 1)"
    )
    parser.set_defaults(run=_top)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no interval: seconds from 0.1 to 3600")
    return seconds


def _top(chosen: argparse.Namespace) -> int:
    from eventlog_handlers.share.contract import UnavailableError

    try:
        if chosen.json:
            _print_json(chosen)
        elif chosen.once or not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
            picture = _look()
            print("\n".join(_lines(picture, shutil.get_terminal_size().columns)))
        else:
            _live(chosen.interval or 1.0)
    except UnavailableError as error:
        return failure(f"{error}; {error.remedy}" if error.remedy else str(error))
    return 0


class _Picture(NamedTuple):
    rows: list[dict[str, Any]]
    unreadable: int


def _look() -> _Picture:
    """The processes as they are now, the worst state first."""
    from eventlog_handlers.share.process_files import found

    contents, unreadable = found(os.environ)
    now = time.time()
    rows = []
    for content in contents:
        try:
            rows.append(_row(content, now))
        except (KeyError, TypeError, ValueError, AttributeError):
            unreadable += 1
    rows.sort(key=lambda row: (_WORST_FIRST.index(row["state"]), row["pid"], row["handler"]))
    return _Picture(rows, unreadable)


def _row(content: Mapping[str, Any], now: float) -> dict[str, Any]:
    """One handler of one process. Ages are those of *now*, and so is the state that follows from them."""
    oldest_at = content["oldest_at"] if content["pending"] else None
    oldest = None if oldest_at is None else max(0.0, now - oldest_at)
    state, _ = status_of(content["handler"], {**content, "oldest_seconds": oldest})
    return {
        "pid": int(content["pid"]),
        "program": str(content["program"]),
        "handler": str(content["handler"]),
        "destination": str(content["destination"]),
        "scope": str(content["scope"]),
        "accepted": int(content["accepted"]),
        "delivered": int(content["delivered"]),
        "dropped": sum(content["dropped"].values()),
        "dropped_by_reason": content["dropped"],
        "aggregated": int(content["aggregated"]),
        "pending": int(content["pending"]),
        "state": state,
        "last_error": str(content["last_error"] or ""),
        "oldest_seconds": None if oldest is None else round(oldest, 1),
        "seen_seconds": round(max(0.0, now - content["written_at"]), 1),
    }


def _print_json(chosen: argparse.Namespace) -> None:
    import json

    if chosen.interval is None or chosen.once:
        print_json(_look().rows)
        return
    while True:
        print(json.dumps(_look().rows, ensure_ascii=False), flush=True)
        time.sleep(chosen.interval)


def _live(interval: float) -> None:
    """The picture on the whole terminal until Ctrl-C; the last one stays when it ends."""
    picture = _look()
    sys.stdout.write(_FULL_SCREEN)
    try:
        while True:
            size = shutil.get_terminal_size()
            lines = _lines(picture, size.columns)
            if len(lines) > size.lines - 1:
                hidden = len(lines) - (size.lines - 2)
                lines = [*lines[: size.lines - 2], coloured(f"{hidden} more lines: --once shows them", DIM)]
            sys.stdout.write(_HOME + "".join(f"{line}{_END_OF_LINE}\r\n" for line in lines) + _REST)
            sys.stdout.flush()
            time.sleep(interval)
            picture = _look()
    finally:
        sys.stdout.write(_LEAVE_FULL_SCREEN)
        print("\n".join(_lines(picture, shutil.get_terminal_size().columns)), flush=True)


def _lines(picture: _Picture, width: int) -> list[str]:
    """The picture in lines of *width* characters at most."""
    lines = []
    if not picture.rows:
        lines += _wrapped(_NOTHING, width)
    else:
        lines += [coloured(_fit(_summary(picture.rows), width), BOLD), ""]
        columns = _columns(picture.rows, width)
        lines.append(
            coloured(_fit(_line(["PID", "PROGRAM", *map(str.upper, _NUMBERS)], columns), width), DIM)
        )
        for destination in dict.fromkeys(row["destination"] for row in picture.rows):
            lines.append(_fit(destination, width))
            for row in picture.rows:
                if row["destination"] == destination:
                    lines += _row_lines(row, columns, width)
    if picture.unreadable:
        text = f"{picture.unreadable} more: written by another version of this package"
        lines.append(coloured(_fit(text, width), YELLOW))
    return lines


def _summary(rows: Sequence[Mapping[str, Any]]) -> str:
    processes = len({row["pid"] for row in rows})
    states = [row["state"] for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in _WORST_FIRST if state in states)
    handlers = f"{len(rows)} handler{'s' * (len(rows) != 1)}"
    return f"{processes} process{'es' * (processes != 1)}, {handlers}: {counts}   {time.strftime('%H:%M:%S')}"


def _columns(rows: Sequence[Mapping[str, Any]], width: int) -> list[int]:
    """The widths of the columns up to the numbers; the program's name takes the room that is left."""
    pid = max(7, *(len(str(row["pid"])) + 2 for row in rows))
    numbers = [max(len(name), *(len(str(row[name])) for row in rows)) for name in _NUMBERS]
    room = width - pid - sum(numbers) - 2 * (len(numbers) + 1) - len("  STATE")
    return [pid, max(7, min(room, max(len(row["program"]) for row in rows))), *numbers]


def _line(cells: Sequence[object], columns: Sequence[int], state: str = "STATE") -> str:
    pid, program, *numbers = (one_line(str(cell)) for cell in cells)
    texts = [pid.rjust(columns[0]), _fit(program, columns[1]).ljust(columns[1])]
    texts += [number.rjust(width) for number, width in zip(numbers, columns[2:], strict=True)]
    return "  ".join([*texts, state])


def _row_lines(row: Mapping[str, Any], columns: Sequence[int], width: int) -> list[str]:
    """The process's numbers, and beneath them its last error if it is not well."""
    state = row["state"]
    cells = [row["pid"], row["program"], *(row[name] for name in _NUMBERS)]
    lines = [_line(cells, columns, coloured(state, _COLOURS[state]))]
    if state == "ok":
        return lines
    reasons = []
    if row["oldest_seconds"] is not None:
        reasons.append(f"the oldest event waits for {ago(row['oldest_seconds'])}")
    if row["last_error"]:
        wrapped = _wrapped(one_line(row["last_error"]), width - columns[0] - 2)
        last = " ".join(wrapped[_ERROR_LINES - 1 :])
        reasons += [*wrapped[: _ERROR_LINES - 1], *filter(None, [last])]
    indent = " " * (columns[0] + 2)
    return lines + [coloured(_fit(indent + reason, width), DIM) for reason in reasons]


def _fit(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, max(20, width))
