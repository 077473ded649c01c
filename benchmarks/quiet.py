"""The parts for a program that logs little: the first event after a rest, and ten a second for a minute."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Sequence

from benchmarks.adapters import BASELINE, TOGETHER, load
from benchmarks.measures import Row, Say, Sizes
from benchmarks.processes import FailedError, running, running_sink

RATE = 10
"""Records a second."""


def idle(names: Sequence[str], sizes: Sizes, say: Say) -> list[Row]:
    """From a logging call after a rest until the service has the record; nobody flushes."""
    seconds: dict[str, list[float]] = defaultdict(list)
    lost: dict[str, int] = defaultdict(int)
    rounds = min(5, sizes.rounds)
    for name in names:
        if not load(name).sends:
            continue
        say(f"first event after {sizes.rest:g} s of rest: {load(name).title}")
        try:
            with running_sink() as sink, running(name, sink.ports) as child:
                child.ask("send", count=1)
                child.ask("flush")
                sink.wait_for(1, patience=15)
                for _ in range(rounds):
                    time.sleep(sizes.rest)
                    sink.reset()
                    times = child.ask("send", count=1)
                    counts = sink.wait_for(1, patience=15)
                    if counts["events"]:
                        seconds[name].append(counts["last_at"] - times["started"])
                    else:
                        lost[name] += 1
        except FailedError as error:
            say(f"{load(name).title}: {error}")
    rows: list[Row] = []
    for name, each in seconds.items():
        rows.append(
            {
                "adapter": load(name).title,
                "rest s": sizes.rest,
                "median ms": round(statistics.median(each) * 1e3, 1),
                "most ms": round(max(each) * 1e3, 1),
                "lost": lost[name],
            }
        )
    return sorted(rows, key=lambda row: row["median ms"])


def trickle(names: Sequence[str], sizes: Sizes, say: Say) -> list[Row]:
    """Ten records a second, one handler after the other: what wakes up beside it would be counted, too."""
    rows: list[Row] = []
    for name in names:
        if not load(name).sends and name not in (BASELINE, TOGETHER):
            continue
        say(f"ten records a second for {sizes.trickle:g} s: {load(name).title}")
        try:
            rows.append(_trickled(name, sizes))
        except FailedError as error:
            say(f"{load(name).title}: {error}")
    return sorted(rows, key=lambda row: row["CPU ms/s"])


def _trickled(name: str, sizes: Sizes) -> Row:
    with running_sink() as sink, running(name, sink.ports) as child:
        child.ask("send", count=1)
        child.ask("flush")
        time.sleep(min(6.0, sizes.rest))
        sink.reset()
        child.tell("trickle", seconds=sizes.trickle, rate=RATE)
        used = child.answer(sizes.trickle + 60)
        child.ask("flush")
        return {
            "adapter": load(name).title,
            "seconds": sizes.trickle,
            "records": int(used["records"]),
            "CPU ms/s": round(used["cpu"] / used["seconds"] * 1e3, 2),
            "wake-ups/s": round(used["waits"] / used["seconds"], 1),
            "threads made": int(used["threads"]),
            "requests": sink.counts()["requests"] if load(name).sends else 0,
        }
