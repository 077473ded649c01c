"""The estimate itself: one pass over a file, in bounded memory; its figures as JSON or as a text. No sending.

Here: files, the progress bar, the printed text. Not here: the counting.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from eventlog_handlers.estimate.problems import Problem, problem_of
from eventlog_handlers.estimate.records import Reader, Record
from eventlog_handlers.estimate.services import Tally, event_of
from eventlog_handlers.estimate.windows import Folding, Sent, size_of
from eventlog_handlers.services.registry import SERVICES
from eventlog_handlers.text.fit import one_line

MAX_PROBLEMS = 50_000
"""Fingerprints counted one by one; beyond that the rarest half is forgotten."""
TOP = 10
_SAME_LOG_SECONDS = 60.0  # threads and processes that share a log write out of order by less
_LINE_CHARACTERS = 1_048_576
_MEASURED_CHARACTERS = 10_000
_BAR_CELLS = 30


class _Known:
    """A problem seen before."""

    __slots__ = ("count", "overheads", "title")

    def __init__(self, title: str, overheads: Sequence[int]) -> None:
        self.title, self.overheads, self.count = title, overheads, 0


class Estimate:
    """Counts records one by one. *level*: only those from it on are events."""

    def __init__(self, services: Sequence[str], aggregate_seconds: float, level: int) -> None:
        self._aggregate_seconds = aggregate_seconds
        self._level = level
        self._services = [SERVICES[name].cost() for name in services]
        self._names = list(services)
        self._before = [Tally(service) for service in self._services]
        self._after = [Tally(service) for service in self._services]
        self._folding = Folding(aggregate_seconds)
        self._known: dict[str, _Known] = {}
        self._distinct = 0
        self._is_rough = False
        self._records = self._events = self._untimed = 0
        self._first: float | None = None
        self._last = float("-inf")
        self._now = 0.0

    def add(self, record: Record) -> None:
        """Count one record. One without a time, or a little behind, has the latest time before it.

        A longer way back is another process's log behind the first: there the first one ends.
        """
        self._records += 1
        if record.level < self._level:
            return
        self._events += 1
        if record.time is None:
            self._untimed += 1
        else:
            self._first = record.time if self._first is None else min(self._first, record.time)
            self._last = max(self._last, record.time)
            if record.time < self._now - _SAME_LOG_SECONDS:
                self._count(self._folding.finish(self._now), None)
                self._now = record.time
            self._now = max(self._now, record.time)
        problem = problem_of(record)
        known = self._known.get(problem.fingerprint) or self._met(problem, record)
        known.count += 1
        size = size_of(record)
        for number, tally in enumerate(self._before):
            tally.add(Sent(self._now, problem.fingerprint, 1, size), known.overheads[number])
        self._count(self._folding.add(self._now, problem.fingerprint, size), known)

    def finish(self) -> None:
        """The log is at its end."""
        self._count(self._folding.finish(self._now), None)

    def figures(self) -> dict[str, Any]:
        """Everything, as JSON."""
        top = sorted(self._known.items(), key=lambda item: -item[1].count)[:TOP]
        return {
            "records": self._records,
            "events": self._events,
            "untimed": self._untimed,
            "first_time": _iso(self._first),
            "last_time": None if self._first is None else _iso(self._last),
            "aggregate_seconds": self._aggregate_seconds,
            "fingerprints": self._distinct,
            "fingerprints_rough": self._is_rough,
            "services": {
                name: {
                    "quota": service.quota,
                    "before": before.figures(),
                    "after": after.figures(),
                }
                for name, service, before, after in zip(
                    self._names, self._services, self._before, self._after, strict=True
                )
            },
            "top": [
                {"fingerprint": fingerprint, "count": known.count, "title": known.title}
                for fingerprint, known in top
            ],
        }

    def _met(self, problem: Problem, record: Record) -> _Known:
        """Measure a problem's first event; for later ones only their texts' lengths are counted anew."""
        if len(self._known) >= MAX_PROBLEMS:
            self._is_rough = True
            for fingerprint, _ in sorted(self._known.items(), key=lambda item: item[1].count)[
                : MAX_PROBLEMS // 2
            ]:
                del self._known[fingerprint]
        brief = record._replace(
            message=record.message[:_MEASURED_CHARACTERS], traceback=record.traceback[:_MEASURED_CHARACTERS]
        )
        event, texts = event_of(brief, problem), size_of(brief)
        overheads = [service.encode(event).size - texts for service in self._services]
        known = self._known[problem.fingerprint] = _Known(one_line(problem.title)[:160], overheads)
        self._distinct += 1
        return known

    def _count(self, sent: Iterator[Sent], here: _Known | None) -> None:
        for one in sent:
            known = self._known.get(one.fingerprint) or here
            for number, tally in enumerate(self._after):
                tally.add(one, known.overheads[number] if known is not None else 0)


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")


# --- files ------------------------------------------------------------------------------------------------


def run(
    path: Path,
    *,
    services: Sequence[str],
    aggregate_seconds: float,
    level: int,
    as_json: bool,
    out: TextIO,
    err: TextIO,
) -> int:
    """Estimate the log at *path* (``.gz`` too, ``-`` is standard input); 0, or 1 where it is no log.

    Raises OSError where it can't be read.
    """
    estimate = Estimate(services, aggregate_seconds, level)
    with _opened(path) as raw:
        is_regular = str(path) != "-"
        size = os.fstat(raw.fileno()).st_size if is_regular else 0
        year = datetime.fromtimestamp(os.fstat(raw.fileno()).st_mtime if is_regular else 0, timezone.utc).year
        bar = _Bar(err, size)
        reader = Reader(year)
        for number, record in enumerate(reader.records(_lines(raw, path, bar))):
            estimate.add(record)
            if number % 1_000 == 0:
                bar.show(raw)
        bar.show(raw)
        bar.clear()
    estimate.finish()
    figures = estimate.figures()
    if not figures["records"]:
        print(f"{path}: no record found: neither lines with a time or a level, nor JSON lines", file=err)
        return 1
    print(json.dumps(figures) if as_json else _printable(text(figures, str(path), level), out), file=out)
    return 0


def _printable(text: str, out: TextIO) -> str:
    """*text* in what *out* can show."""
    encoding = getattr(out, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _opened(path: Path) -> BinaryIO:
    return sys.stdin.buffer if str(path) == "-" else path.open("rb")


def _lines(raw: BinaryIO, path: Path, bar: _Bar) -> Iterator[str]:
    """Lines of the file; one of more than a MiB comes in pieces, so that memory stays bounded."""
    stream: Any = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
    reader = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="\n")
    try:
        for number, line in enumerate(iter(lambda: reader.readline(_LINE_CHARACTERS), "")):
            yield line
            if number % 10_000 == 0:
                bar.show(raw)
    finally:
        reader.detach()


class _Bar:
    """A progress bar on *err*, only where that is a terminal and the size is known."""

    def __init__(self, err: TextIO, size: int) -> None:
        self._err = err
        self._size = size
        self._is_shown = size > 0 and err.isatty()
        self._percent = -1

    def show(self, raw: BinaryIO) -> None:
        """Show how much of *raw* has been read."""
        if not self._is_shown:
            return
        percent = min(100, 100 * raw.tell() // self._size)
        if percent != self._percent:
            self._percent = percent
            cells = _BAR_CELLS * percent // 100
            self._err.write(f"\r[{'#' * cells}{' ' * (_BAR_CELLS - cells)}] {percent:3d} %")
            self._err.flush()

    def clear(self) -> None:
        """Take it away."""
        if self._is_shown:
            self._err.write(f"\r{' ' * (_BAR_CELLS + 8)}\r")
            self._err.flush()


# --- as a text --------------------------------------------------------------------------------------------

_COLUMNS = ("", "folded", "events", "calls", "quota time", "busiest minute", "64 KiB units")


def text(figures: Mapping[str, Any], name: str, level: int) -> str:
    """*figures* for people."""
    seconds = figures["aggregate_seconds"]
    rows: list[tuple[str, ...]] = [_COLUMNS]
    quotas = []
    for key, service in figures["services"].items():
        title = SERVICES[key].title
        quotas.append(f"{title}: {service['quota']}")
        rows.append(_row(title, "no", service["before"]))
        rows.append(_row("", f"{seconds:g} s" if seconds else "no", service["after"]))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    table = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    about = "at least " if figures["fingerprints_rough"] else ""
    lines = [
        f"{one_line(name)}: {figures['records']:,} records, {figures['events']:,} of level {level} or above, "
        f"{about}{figures['fingerprints']:,} problems",
    ]
    if figures["first_time"]:
        lines.append(f"from {figures['first_time']} to {figures['last_time']}")
    if figures["untimed"]:
        lines.append(
            f"{figures['untimed']:,} without a time: they count as if logged with the one before them, "
            "so folding may look better than it is"
        )
    lines += ["", *table, "", f"Quotas: {'; '.join(quotas)}.", ""]
    lines += [f"{'count':>9}  fingerprint       first seen as"]
    lines += [f"{row['count']:>9,}  {row['fingerprint']}  {row['title'][:76]}" for row in figures["top"]]
    return "\n".join(lines)


def _row(title: str, folded: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    units = figures["billing_units"]
    return (
        title,
        folded,
        f"{figures['events']:,}",
        f"{figures['calls']:,}",
        _duration(figures["quota_seconds"]),
        f"{figures['busiest_minute_calls']:,}",
        "-" if units is None else f"{units:,}",
    )


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 1 or not seconds else "< 1 s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.1f} h"
