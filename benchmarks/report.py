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
        "Ten records a second, one handler after the other, each in a process of its own. The loop that logs "
        "wakes up ten times a second by itself, as the row of `NullHandler` shows. Ours deliver within a "
        "second; `requests` tells who waits longer."
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


Rows = Sequence[Mapping[str, Any]]
_OURS = ("CMSHandler", "GuanceHandler", "CloudWatchEventsHandler")


def headlines(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What a reader wants to know first, a line each; a line whose part was not measured is left out."""
    rows: dict[str, Rows] = {part: run["rows"] for part, run in runs.items()}
    made = (
        _of_a_call(rows.get("caller", ())),
        _of_three_and_commit(rows.get("caller", ())),
        _of_the_way(rows.get("end-to-end", ())),
        _of_a_rest(rows.get("idle", ())),
        _of_little(rows.get("trickle", ())),
    )
    return [line for line in made if line]


def _values(rows: Rows, column: str, **where: Any) -> dict[str, Any]:
    """*column* by adapter, of the rows that are *where*."""
    return {
        row["adapter"]: row[column]
        for row in rows
        if column in row and all(row.get(name) == value for name, value in where.items())
    }


def _ours_and_best(values: Mapping[str, float], unit: str) -> str:
    """The least and most of ours, and the best of the others."""
    ours = sorted(values[name] for name in _OURS if name in values)
    others = {
        name: value
        for name, value in values.items()
        if name not in _OURS and "(floor)" not in name and name not in ("logging.NullHandler", _TOGETHER)
    }
    if not ours:
        return ""
    text = f"{_text(ours[0])}{unit}" if len(ours) == 1 else f"{_text(ours[0])} to {_text(ours[-1])}{unit}"
    best = min(others, key=lambda name: others[name], default=None)
    return text if best is None else f"{text} (best of the others: {best}, {_text(others[best])}{unit})"


_TOGETHER = "all three on one logger"
_CALLS = {
    "plain": "plain, two arguments",
    "five extras": "five extras",
    "with a traceback": "exception, ten frames",
}


def _of_a_call(rows: Rows) -> str:
    told = {name: _ours_and_best(_values(rows, "x Null", case=case), "×") for name, case in _CALLS.items()}
    parts = [f"{name} {text}" for name, text in told.items() if text]
    return f"**A log call**, times one on `logging.NullHandler`: {'; '.join(parts)}." if parts else ""


def _of_three_and_commit(rows: Rows) -> str:
    parts = []
    for name, case in _CALLS.items():
        ratio = _values(rows, "x Null", case=case).get(_TOGETHER)
        if ratio is not None:
            parts.append(f"{name} {_text(ratio)}×")
    committed = _values(rows, "median us", case='durability="commit"').get("CMSHandler")
    if committed is not None:
        ratio = _values(rows, "x Null", case='durability="commit"')["CMSHandler"]
        late = _values(rows, "p99 us", case='durability="commit"')["CMSHandler"]
        parts.append(
            f'`durability="commit"` {_text(ratio)}× (median {_text(committed)} µs, p99 {_text(late)} µs)'
        )
    return f"**All three handlers on one logger, and commits**: {'; '.join(parts)}." if parts else ""


def _of_the_way(rows: Rows) -> str:
    cpu = _values(rows, "CPU s/1000", **{"latency ms": 0})
    told = [f"{name} {_text(round(cpu[name] * 1000, 1))} µs" for name in _OURS if name in cpu]
    floors = [
        f"{name} {_text(round(cpu[f'{name} (floor)'] * 1000, 1))}"
        for name in _OURS
        if f"{name} (floor)" in cpu
    ]
    beside = f", where the plainest loop takes {', '.join(floors)}" if floors else ""
    return f"**CPU from log call to answer**, each event: {', '.join(told)}{beside}." if told else ""


def _of_a_rest(rows: Rows) -> str:
    text = _ours_and_best(_values(rows, "median ms"), " ms")
    return f"**The first event after a rest** reaches the service after {text}." if text else ""


def _of_little(rows: Rows) -> str:
    text = _ours_and_best(_values(rows, "CPU ms/s"), " ms")
    null = _values(rows, "CPU ms/s").get("logging.NullHandler")
    beside = "" if null is None else f"; `NullHandler` {_text(null)} ms"
    return f"**Ten records a second** take, of each second of CPU, {text}{beside}." if text else ""


def page(runs: Mapping[str, Mapping[str, Any]], picture: str = "") -> str:
    """The tables of *runs*, by part, as Markdown, each with what it was measured by, on what and when.

    First the ``headlines``, then *picture*, the chart's address seen from the page.
    """
    lines = ["# Benchmarks", "", *(f"- {line}" for line in headlines(runs)), ""]
    if picture:
        lines += [f"![What a log call costs its caller, by handler]({picture})", ""]
    lines += [
        "Written by the commands below, not by hand.",
        "Compare rows of one run: another machine has other microseconds, and its ratios differ, too. "
        "A busy machine shows in every row's p99.",
    ]
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
