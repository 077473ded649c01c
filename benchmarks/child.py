"""One adapter in a process of its own, doing what the other end of its pipe asks. Measures, never prints.

    python -m benchmarks.child <adapter>

Each line of standard input is a JSON object: ``do`` names a function below, the rest are its arguments.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import adapters, floor

EXTRA = {"order": "A-1001", "customer": 4711, "amount": 12.5, "currency": "EUR", "retry": False}


def fail(depth: int) -> None:
    """Raise after *depth* frames; two would be the least a traceback shows."""
    if depth > 1:
        fail(depth - 1)
    raise ValueError("card declined")


class Child:
    """The adapter and its loggers."""

    def __init__(self, name: str) -> None:
        self.adapter = adapters.load(name)
        self.loggers: list[Any] = []

    def open(
        self, ports: list[int], capacity: int = 0, handlers: int = 1, options: dict[str, Any] | None = None
    ) -> dict[str, float]:
        """Make *handlers* handlers, each on a logger of its own."""
        self.adapter.load()
        where = adapters.Where(*ports)
        before, started = resident(), time.perf_counter()
        self.adapter.open(where, capacity, **options or {})
        took = time.perf_counter() - started
        self.loggers = [self.adapter.log]
        for number in range(1, handlers):
            log = logging.getLogger(f"shop.orders{number}")
            log.setLevel(logging.INFO)
            log.propagate = False
            log.addHandler(self.adapter.make(where, capacity, **options or {}))
            self.loggers.append(log)
        return {"seconds": took, "memory": resident() - before}

    def calls(self, case: str, count: int) -> dict[str, float]:
        """What *count* calls cost their caller: nanoseconds, the clock's own taken off; then a flush.

        A tenth of them is made before and not counted: other children ran for minutes, and what a machine
        does to wake up is no cost of a log call.
        """
        gc.collect()
        if case == "threads":
            figures = self._threads(count)
        else:
            log = getattr(self, f"_{case}")
            log(count // 10)
            costs = sorted(log(count))
            clock = clock_cost()
            figures = {
                "median": costs[len(costs) // 2] - clock,
                "p99": costs[len(costs) * 99 // 100] - clock,
                "mean": statistics.fmean(costs) - clock,
            }
        return figures

    def _plain(self, count: int) -> list[int]:
        warning, template, clock = self.adapter.log.warning, self.adapter.template, time.perf_counter_ns
        costs = []
        for number in range(count):
            started = clock()
            warning(template, "A-1001", number)
            costs.append(clock() - started)
        return costs

    def _extras(self, count: int) -> list[int]:
        warning, template, clock = self.adapter.log.warning, self.adapter.template, time.perf_counter_ns
        costs = []
        for number in range(count):
            keywords = self.adapter.extras(dict(EXTRA))
            started = clock()
            warning(template, "A-1001", number, **keywords)
            costs.append(clock() - started)
        return costs

    def _exception(self, count: int) -> list[int]:
        exception, template, clock = self.adapter.log.exception, self.adapter.template, time.perf_counter_ns
        costs = []
        for number in range(count):
            try:
                fail(9)  # and this frame
            except ValueError:
                started = clock()
                exception(template, "A-1001", number)
                costs.append(clock() - started)
        return costs

    def _threads(self, count: int) -> dict[str, float]:
        """Four threads at once: what a call took on average, the other threads' turns included."""
        totals = []
        barrier = threading.Barrier(4)

        def work() -> None:
            warning, template = self.adapter.log.warning, self.adapter.template
            barrier.wait()
            started = time.perf_counter_ns()
            for number in range(count // 4):
                warning(template, "A-1001", number)
            totals.append((time.perf_counter_ns() - started) / (count // 4))

        _at_once(4, work)
        mean = statistics.fmean(totals)
        return {"median": mean, "p99": max(totals), "mean": mean}

    def send(self, count: int, threads: int = 1) -> dict[str, float]:
        """Log *count* plain records from *threads*, over all loggers; doesn't wait until they are sent."""
        template, loggers = self.adapter.template, self.loggers
        started, cpu = time.monotonic(), time.process_time()

        def work() -> None:
            for number in range(count // threads):
                loggers[number % len(loggers)].warning(template, "A-1001", number)

        if threads == 1:
            work()
        else:
            _at_once(threads, work)
        return {"started": started, "logged": time.monotonic(), "cpu": time.process_time() - cpu}

    def trickle(self, seconds: float, rate: int) -> dict[str, float]:
        """Log *rate* records a second, and say what that took: CPU, waits of all threads, threads made."""
        warning, template = self.adapter.log.warning, self.adapter.template
        made, start = [], threading.Thread.start

        def counted(thread: threading.Thread) -> None:
            made.append(thread)
            start(thread)

        threading.Thread.start = counted  # type: ignore[method-assign,assignment]
        count = int(seconds * rate)
        began, cpu, waits = time.monotonic(), time.process_time(), _waits()
        for number in range(count):
            warning(template, "A-1001", number)
            time.sleep(max(0.0, began + (number + 1) / rate - time.monotonic()))
        return {
            "records": count,
            "seconds": time.monotonic() - began,
            "cpu": time.process_time() - cpu,
            "waits": _waits() - waits,
            "threads": len(made),
        }

    def flush(self) -> dict[str, float]:
        """As far as the library can."""
        self.adapter.flush()
        for log in self.loggers[1:]:
            log.handlers[0].flush()
        return {}

    def floor(self, service: str, ports: list[int], count: int, threads: int) -> dict[str, float]:
        """The plainest loop, see ``benchmarks.floor``."""
        loop = floor.prepare(service, f"http://127.0.0.1:{ports[0]}", self.adapter.log, self.adapter.flush)
        cpu, started = time.process_time(), time.monotonic()
        loop(count, threads)
        return {"started": started, "cpu": time.process_time() - cpu}

    def usage(self) -> dict[str, float]:
        """CPU seconds so far, resident bytes now and at most."""
        return {"cpu": time.process_time(), "memory": resident(), "peak": peak()}


def _at_once(count: int, work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _waits() -> int:
    """How often a thread of this process has gone to sleep so far: each was woken again."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


def clock_cost() -> int:
    """What reading the clock adds to each figure, in nanoseconds."""
    clock = time.perf_counter_ns
    costs = []
    for _ in range(1_000):
        started = clock()
        costs.append(clock() - started)
    return sorted(costs)[500]


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak() -> int:
    """The most it ever was. Not ``ru_maxrss``, which begins with the parent's."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def main() -> None:
    """Obey until the pipe ends, then leave as any program does."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is not an answer
    child = Child(sys.argv[1])
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(child, command.pop("do"))(**command)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    answers.write(json.dumps({"ends": time.monotonic()}) + "\n")
    answers.close()


if __name__ == "__main__":
    main()
