"""The parts of the benchmark: which processes run, in which order, and what is made of their figures."""

from __future__ import annotations

import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from benchmarks.adapters import BASELINE, OURS, load
from benchmarks.processes import Child, FailedError, Sink, running, running_sink, script

Row = dict[str, Any]
"""One line of a table: plain values by column; also what the JSON holds."""
Say = Callable[[str], None]
Pair = tuple[dict[str, float], dict[str, float]]
"""Figures of a handler, and of the NullHandler right before."""


class Sizes(NamedTuple):
    """How much is measured."""

    rounds: int
    burst: int
    """Calls per case and round."""
    end_to_end: int
    delayed: int
    """Records end to end where each answer takes 20 ms."""
    down: int
    growth: tuple[int, ...]
    threads: tuple[int, ...]
    handlers: tuple[int, ...]
    exit_seconds: float
    """How long the end of a process is waited for."""
    rest: float
    """Seconds without a record, before the first event after a rest."""
    trickle: float
    """Seconds of ten records each."""


FULL = Sizes(
    9,
    1_000,
    100_000,
    4_000,
    200_000,
    (1_000, 10_000, 100_000, 1_000_000),
    (1, 4, 16, 32),
    (1, 10, 50),
    120,
    7.0,
    60.0,
)
QUICK = Sizes(3, 300, 5_000, 500, 20_000, (1_000, 5_000, 20_000), (1, 4, 32), (1, 10, 50), 40, 6.0, 10.0)
TINY = Sizes(1, 40, 100, 40, 200, (100, 200), (1, 2), (1, 2), 20, 0.1, 1.0)

CASES = {
    "plain": "plain, two arguments",
    "extras": "five extras",
    "exception": "exception, ten frames",
    "threads": "four threads, mean",
    "folded": "folded repeat with traceback",
    "commit": 'durability="commit"',
}
ROOM = 20_000
"""Records that may wait while callers are measured, so that nobody is measured at dropping them."""
_MOST_DOWN_SECONDS = 120.0
SINGLE = 10
"""One request an event: a tenth of the records."""


def caller(names: Sequence[str], sizes: Sizes, say: Say) -> list[Row]:
    """What a logging call costs, against the same call on a NullHandler in the same round."""
    figures: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    with ExitStack() as stack:
        sink = stack.enter_context(running_sink())
        children: dict[tuple[str, str], Child] = {}
        for name in (BASELINE, *(name for name in names if name != BASELINE)):
            for variant, options in _variants(name, stack).items():
                try:
                    child = stack.enter_context(running(name, sink.ports, capacity=ROOM, options=options))
                    child.ask("calls", case="plain", count=sizes.burst)  # warm
                    child.ask("flush")
                    children[name, variant] = child
                except FailedError as error:
                    say(f"{load(name).title}: left out, {error}")
        for turn in range(sizes.rounds):
            say(f"caller, round {turn + 1} of {sizes.rounds}")
            for case in CASES:
                for name, child in _in_turn(children, case, turn):
                    # Right before each: a machine that runs at two speeds runs both at one of them.
                    theirs = children[BASELINE, ""].ask(
                        "calls", case=_call_of(case), count=_burst(case, sizes)
                    )
                    mine = child.ask("calls", case=_call_of(case), count=_burst(case, sizes))
                    child.ask("flush")
                    figures[name, case].append((mine, theirs))
                    figures[BASELINE, case].append((theirs, theirs))
    rows = []
    for case, text in CASES.items():
        for name in (BASELINE, *names):
            pairs = figures.pop((name, case), None)
            if pairs:
                rows.append(_caller_row(text, name, pairs))
    return rows


def _in_turn(children: dict[tuple[str, str], Child], case: str, turn: int) -> list[tuple[str, Child]]:
    """Who is measured in *case*; each round begins with another, none is always the one after a rest."""
    wanted = case if case in ("folded", "commit") else ""
    chosen = [
        (name, child) for (name, variant), child in children.items() if variant == wanted and name != BASELINE
    ]
    shift = turn % max(1, len(chosen))
    return chosen[shift:] + chosen[:shift]


def _call_of(case: str) -> str:
    return {"folded": "exception", "commit": "plain"}.get(case, case)


def _burst(case: str, sizes: Sizes) -> int:
    if case == "commit":
        return max(40, sizes.burst // 4)
    if case == "threads":
        return 16 * sizes.burst  # long enough for the interpreter to switch between them
    return sizes.burst


def _variants(name: str, stack: ExitStack) -> dict[str, dict[str, Any]]:
    """The options a handler is made with, by the case they are for; "" is every other."""
    variants: dict[str, dict[str, Any]] = {"": {}}
    if name in OURS:
        spool = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        variants["commit"] = {"spool": spool, "durability": "commit"}
        variants["folded"] = {"aggregate_seconds": 60.0}
    return variants


def _caller_row(text: str, name: str, pairs: Sequence[Pair]) -> Row:
    measured = [mine for mine, _ in pairs]
    ratios = [mine["median"] / theirs["median"] for mine, theirs in pairs]
    medians = [figure["median"] for figure in measured]
    return {
        "case": text,
        "adapter": load(name).title,
        "median us": round(statistics.median(medians) / 1e3, 2),
        "p99 us": round(statistics.median(figure["p99"] for figure in measured) / 1e3, 1),
        "mean us": round(statistics.median(figure["mean"] for figure in measured) / 1e3, 2),
        "x Null": round(statistics.median(ratios), 2),
        "least": round(min(ratios), 2),
        "most": round(max(ratios), 2),
    }


# --- end to end ------------------------------------------------------------------------------------------


def end_to_end(names: Sequence[str], sizes: Sizes, say: Say) -> list[Row]:
    """From the first logging call until the service has the last record; floors beside our handlers."""
    runs: dict[tuple[str, str, int], list[Row]] = defaultdict(list)
    rounds = max(1, min(3, sizes.rounds))
    with running_sink() as sink:
        for turn in range(rounds):
            for latency in (0, 20):
                for name in names:
                    if not load(name).sends:
                        continue
                    say(f"end to end, {latency} ms, round {turn + 1} of {rounds}: {load(name).title}")
                    count = sizes.delayed if latency else sizes.end_to_end
                    count //= SINGLE if name == "guance" else 1
                    try:
                        run = _end_to_end(name, sink, count, latency)
                        runs[name, "", latency].append(run)
                        if name in OURS:
                            run = _floor(name, sink, count, latency)
                            runs[name, "floor", latency].append(run)
                    except FailedError as error:
                        say(f"{load(name).title}: {error}")
    rows = []
    for (name, kind, latency), done in runs.items():
        row: Row = {"adapter": f"{load(name).title}{' (floor)' if kind else ''}", "latency ms": latency}
        for column in ("records", "events/s", "CPU s/1000", "requests", "peak MB", "lost"):
            row[column] = _middle([run[column] for run in done])
        floor = runs.get((name, "floor", latency))
        if name in OURS and not kind and floor:
            pairs = list(zip(done, floor, strict=False))
            row["x floor"] = round(
                statistics.median(theirs["events/s"] / mine["events/s"] for mine, theirs in pairs), 2
            )
            row["CPU x floor"] = round(
                statistics.median(mine["CPU s/1000"] / theirs["CPU s/1000"] for mine, theirs in pairs), 2
            )
        rows.append(row)
    return rows


def _end_to_end(name: str, sink: Sink, count: int, latency: int) -> Row:
    sink.reset()
    with running(name, sink.ports, capacity=count + 1) as child:
        child.ask("send", count=1)
        child.ask("flush")
        sink.wait_for(1, patience=15)
        sink.reset(latency)
        before = child.ask("usage")
        times = child.ask("send", count=count)
        child.ask("flush")
        counts = sink.wait_for(count, patience=15)
        after = child.ask("usage")
    return _run_row(count, counts, times["started"], after["cpu"] - before["cpu"], after["peak"])


def _floor(name: str, sink: Sink, count: int, latency: int) -> Row:
    """One thread, as many as the handler's where answers take their time."""
    sink.reset()
    with running(name, sink.ports) as child:
        child.ask("floor", service=name, ports=sink.ports, count=50, threads=1)
        sink.reset(latency)
        done = child.ask("floor", service=name, ports=sink.ports, count=count, threads=4 if latency else 1)
        counts = sink.counts()
        after = child.ask("usage")
    # The loop asks for its message first: one event and one request of the handler, one of the loop.
    counts = {**counts, "events": counts["events"] - 2, "requests": counts["requests"] - 2}
    return _run_row(count, counts, done["started"], done["cpu"], after["peak"])


def _run_row(count: int, counts: dict[str, float], started: float, cpu: float, peak: float) -> Row:
    seconds = max(1e-6, counts["last_at"] - started)
    arrived = counts["events"]
    if not arrived:
        raise FailedError("nothing arrived")
    return {
        "records": count,
        "events/s": round(arrived / seconds),
        "CPU s/1000": round(cpu / arrived * 1000, 4),
        "requests": counts["requests"],
        "peak MB": round(peak / 1e6, 1),
        "lost": count - counts["events"],
    }


def _middle(values: Sequence[float]) -> float:
    middle = statistics.median(values)
    return int(middle) if middle == int(middle) else middle


# --- start -----------------------------------------------------------------------------------------------

_IMPORT = """
import os, time
def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before, started = resident(), time.perf_counter()
import {modules}
print(time.perf_counter() - started, resident() - before)
"""
_THREE = """
import time
from eventlog_handlers import CMSHandler, CloudWatchEventsHandler, GuanceHandler
started = time.perf_counter()
three = [
    CMSHandler(region="cn-hangzhou", access_key_id="a", access_key_secret="b"),
    GuanceHandler(api_key="k"),
    CloudWatchEventsHandler(region_name="us-east-1"),
]
print(time.perf_counter() - started, 0)
"""


def start(names: Sequence[str], sizes: Sizes, say: Say) -> list[Row]:
    """Import, construction and first send, each in a fresh process, by turns."""
    baseline = "logging, json, threading"
    subjects = {baseline: baseline}
    for name in names:
        if load(name).needs and not (name in OURS and "eventlog_handlers" in subjects.values()):
            title = "eventlog_handlers" if name in OURS else load(name).title
            subjects[title] = ", ".join(load(name).needs)
            if name in OURS:
                subjects["CMSHandler from it"] = "eventlog_handlers.handler"
    imports: dict[str, list[tuple[float, float]]] = defaultdict(list)
    made: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    three = []
    with running_sink() as sink:
        for turn in range(sizes.rounds):
            say(f"start, round {turn + 1} of {sizes.rounds}")
            for title, modules in subjects.items():
                seconds, memory = script(_IMPORT.format(modules=modules)).split()
                imports[title].append((float(seconds), float(memory)))
            if set(OURS) <= set(names):
                three.append(float(script(_THREE).split()[0]))
            for name in names:
                if load(name).needs and turn < 3:
                    try:
                        first = _first_send(name, sink)
                        made[name].append(first)
                    except FailedError as error:
                        say(f"{load(name).title}: {error}")
    rows: list[Row] = []
    for title, figures in imports.items():
        ratios = [mine[0] / theirs[0] for mine, theirs in zip(figures, imports[baseline], strict=True)]
        rows.append(
            {
                "what": f"import {title}",
                "ms": round(statistics.median(seconds for seconds, _ in figures) * 1e3, 2),
                "MB": round(statistics.median(memory for _, memory in figures) / 1e6, 1),
                "x import logging, json, threading": round(statistics.median(ratios), 2),
            }
        )
    for name, firsts in made.items():
        title = load(name).title
        seconds, memory, sent = (statistics.median(column) for column in zip(*firsts, strict=True))
        rows.append(
            {"what": f"construct {title}", "ms": round(seconds * 1e3, 2), "MB": round(memory / 1e6, 1)}
        )
        rows.append({"what": f"first send of {title}", "ms": round(sent * 1e3, 1)})
    if three:
        rows.append({"what": "construct our three", "ms": round(statistics.median(three) * 1e3, 2)})
    return rows


def _first_send(name: str, sink: Sink) -> tuple[float, float, float]:
    """Seconds and bytes of construction, seconds from the first call to the service's answer."""
    sink.reset()
    child = Child(name)
    try:
        opened = child.ask("open", ports=sink.ports)
        times = child.ask("send", count=1)
        child.ask("flush")
        counts = sink.wait_for(1, patience=15)
    finally:
        child.close()
    return opened["seconds"], opened["memory"], max(0.0, counts["last_at"] - times["started"])


# --- the service is down ---------------------------------------------------------------------------------


def down(names: Sequence[str], sizes: Sizes, say: Say) -> list[Row]:
    """Nobody listens any more: the caller's cost, memory after many records, how long the process takes to
    end."""
    rows = []
    for name in names:
        if not load(name).sends:
            continue
        say(f"service down: {load(name).title}")
        try:
            with running_sink() as sink, running(name, sink.ports) as child:
                sink.close()
                before = child.ask("usage")
                figures = child.ask("calls", case="plain", count=sizes.down // 20)
                # Some make the caller wait whenever their queue is full; they are left out.
                child.ask("send", count=sizes.down - sizes.down // 20, timeout=_MOST_DOWN_SECONDS)
                after = child.ask("usage")
                seconds = child.end(sizes.exit_seconds)
        except FailedError as error:
            say(f"{load(name).title}: {error}")
            continue
        rows.append(
            {
                "adapter": load(name).title,
                "records": sizes.down,
                "median us": round(figures["median"] / 1e3, 2),
                "p99 us": round(figures["p99"] / 1e3, 1),
                "MB more": round((after["memory"] - before["memory"]) / 1e6, 1),
                "exit s": f">{seconds:.0f}" if seconds >= sizes.exit_seconds else round(seconds, 2),
            }
        )
    return rows


# --- growth ----------------------------------------------------------------------------------------------


def growth(names: Sequence[str], sizes: Sizes, say: Say) -> list[Row]:
    """Whether an event costs the same however many there are, from however many threads and handlers."""
    rows = []
    middle = sizes.growth[len(sizes.growth) // 2]
    steps = [
        *(("records", records, records, 1, 1) for records in sizes.growth),
        *(("threads", threads, middle, threads, 1) for threads in sizes.threads),
        *(("handlers", handlers, middle, 1, handlers) for handlers in sizes.handlers),
    ]
    name = "cms"
    if name not in names:
        return []
    with running_sink() as sink:
        for what, number, count, threads, handlers in steps:
            say(f"growth: {number:,} {what}")
            sink.reset()
            # Bounded as in production; the caller waits for room instead of shedding what is to be counted.
            options = {"when_full": "block"}
            with running(name, sink.ports, handlers=handlers, options=options) as child:
                child.ask("send", count=max(handlers, 100))
                child.ask("flush")
                sink.reset()
                before = child.ask("usage")
                times = child.ask("send", count=count, threads=threads, timeout=1800)
                child.ask("flush")
                counts = sink.wait_for(count // threads * threads, patience=15)
                after = child.ask("usage")
            row = _run_row(
                count // threads * threads,
                counts,
                times["started"],
                after["cpu"] - before["cpu"],
                after["peak"],
            )
            rows.append({"adapter": load(name).title, "grows": what, "number": number, **row})
    return rows
