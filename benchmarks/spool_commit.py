"""What the spool costs: one commit per event, the JSON of it, and the memory of many.

    python benchmarks/spool_commit.py [directory]

Prints medians in microseconds, and the growth of the process in MB for 200,000 events that nobody takes.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from eventlog_handlers.buffers.spool.buffer import SpoolBuffer
from eventlog_handlers.buffers.spool.event_rows import row_of
from eventlog_handlers.process.clock import monotonic
from eventlog_handlers.testing import make_event

COUNT = 20_000
MANY = 200_000


def timed(work: Sequence[object], do: Callable[..., object]) -> float:
    """Median microseconds of *do* over *work*."""
    costs = []
    for item in work:
        started = time.perf_counter()
        do(item)
        costs.append(time.perf_counter() - started)
    return statistics.median(costs) * 1e6


def resident_mb() -> float:
    """What the process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def spool(directory: str) -> SpoolBuffer:
    """One without bounds that matter here."""
    return SpoolBuffer(
        directory,
        capacity=10**9,
        capacity_bytes=64 << 20,
        cap_bytes=4 << 30,
        policy="drop_lowest",
        clock=monotonic,
        wall_clock=time.time,
        report=lambda key, text: print(text, file=sys.stderr),
        identity="benchmark",
    )


def main() -> None:
    """Measure and print; memory first, while nothing freed can hide it."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as directory:
        buffer = spool(directory)
        buffer.put([make_event()])
        before = resident_mb()
        for number in range(MANY):
            buffer.put([make_event(f"order {number} failed")])
        print(f"growth for {MANY:,} events {resident_mb() - before:6.1f} MB")
        buffer.close()

        buffer = spool(directory)
        events = [
            make_event(f"order {number} failed", attributes={"order": number}) for number in range(COUNT)
        ]
        encoding = timed(events, lambda event: row_of(event, 0.0))
        putting = timed(events, lambda event: buffer.put([event]))
        batch = time.perf_counter()
        buffer.put(events)
        batch = (time.perf_counter() - batch) / COUNT * 1e6
        leases = buffer.lease(2 * COUNT)
        acking = timed(leases, lambda lease: buffer.ack([lease]))
        buffer.close()
        print(f"JSON of one event    {encoding:6.1f} us")
        print(f"put of one, commit   {putting:6.1f} us, {putting - encoding:.1f} beside the JSON")
        print(f"put of many, each    {batch:6.1f} us")
        print(f"ack of one, commit   {acking:6.1f} us")


if __name__ == "__main__":
    main()
