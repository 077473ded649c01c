"""Rows of plain values as a table for the terminal, or as a page in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def table(title: str, rows: Sequence[dict[str, Any]]) -> str:
    """All *rows* under the columns any of them has, numbers to the right; a blank line between cases."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [
        max(map(len, [column, *(line[place] for line in cells)])) for place, column in enumerate(columns)
    ]
    numeric = [any(isinstance(row.get(column), int | float) for row in rows) for column in columns]
    lines = [f"\n{title}", _line(columns, widths, numeric), "  ".join("-" * width for width in widths)]
    group = None
    for row, line in zip(rows, cells, strict=True):
        this = row.get("case", row.get("grows"))
        if group is not None and this != group:
            lines.append("")
        group = this
        lines.append(_line(line, widths, numeric))
    return "\n".join(lines if rows else [f"\n{title}: nothing to measure"])


_EXPLAINED = {
    "caller": (
        "What a logging call takes in the thread that makes it. `x Null` is the median of the rounds' ratios "
        "to the same call on `logging.NullHandler` right before; `least` and `most` are their spread."
    ),
    "end-to-end": (
        "From the first logging call until the loopback service has the last record. A floor is the plainest "
        "loop that sends the same requests with the same client library: no record, mapping, limits, retries "
        "or accounting. The services differ, so a row says more beside its floor than beside a peer: "
        "watchtower writes to CloudWatch Logs, 10,000 records a call, where `PutEvents` takes 10."
    ),
    "start": "In a fresh process each time.",
    "idle": (
        "From a logging call after some seconds without any until the loopback service has the record. "
        "Nobody flushes, so this is how long an alert waits in the process."
    ),
    "trickle": (
        "Ten records a second, all handlers at the same time, each in a process of its own. The loop that "
        "logs wakes up ten times a second by itself, as the row of `NullHandler` shows."
    ),
    "down": (
        "Nobody listens any more. Who ends soon has dropped what it held; who is missing kept its caller "
        "waiting for more than two minutes."
    ),
    "growth": (
        'Whether an event costs the same however many there are, with `when_full="block"` and the usual room '
        "for 10,000 events: a logging call waits for it a second at most, then the least severe event goes."
    ),
}


def page(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """The tables of *runs*, by part, as Markdown, each with what it was measured by, on what and when."""
    lines = ["# Benchmarks", "", "Written by the commands below, not by hand."]
    lines += ["Ratios hold on other machines, microseconds on none."]
    versions: dict[str, str] = {}
    for title, run in runs.items():
        versions |= run["versions"]
        rows = run["rows"]
        measured = f"`{run['command']}`, CPython {run['python']}, {run['cpus']} CPUs, {run['date']}."
        lines += ["", f"## {title}", "", _EXPLAINED[title], "", measured, ""]
        columns = list(dict.fromkeys(column for row in rows for column in row))
        numeric = [any(isinstance(row.get(column), int | float) for row in rows) for column in columns]
        lines.append(f"| {' | '.join(columns)} |")
        lines.append(f"| {' | '.join('--:' if right else ':--' for right in numeric)} |")
        lines += [f"| {' | '.join(_text(row.get(column)) for column in columns)} |" for row in rows]
    beside = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return "\n".join([*lines, "", f"With {beside}."]) + "\n"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.4f}" if abs(value) < 0.1 and value else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    return "  ".join(
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, numeric, strict=True)
    ).rstrip()
