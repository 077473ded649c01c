"""What sharing costs a worker's thread: a place in the rate limit, a count, alone and among eight processes.

    python -m benchmarks.share [--takes 20000] [--processes 8] [--json FILE]

Prints medians and 99th percentiles in microseconds, and each median as a multiple of a pair of ``flock``
calls measured in the same run: the ratio holds on a busy machine, microseconds only on a quiet one. With a
redis-server on the PATH it starts one and measures the fleet's scope too.

"nothing" is a loop of about the same length that asks nobody. The rows of several processes say whether these
ask without a pause, more than the cores can do, or each a thousand times a second at most.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eventlog_handlers.process.clock import monotonic
from eventlog_handlers.share.contract import Coordinator, Limits, Occurrence
from eventlog_handlers.share.fleet_url import FleetAddress
from eventlog_handlers.share.scopes import Agreement, Surroundings, open_coordinator

LIMITS = Limits(1e6, 1_000, (1_000, 0.0005))
"""So fast that hardly any question has to wait."""
PAUSE_SECONDS = 0.001
NOTHING = range(1_000)
"""To add these up takes about as long as a take of the host's scope."""
PROBLEMS = [bytes([number]) * 16 for number in range(1, 65)]


def member(scope: str | FleetAddress, directory: str) -> Coordinator:
    """One process's coordinator."""
    around = Surroundings(
        environ={"EVENTLOG_RUNTIME_DIR": directory},
        clock=monotonic,
        wall_clock=time.time,
        rand=random.random,
        pause=time.sleep,
        say=lambda key, text: print(text, file=sys.stderr),
        unsay=lambda key: False,
    )
    return open_coordinator(scope, "benchmark", Agreement(LIMITS, window_seconds=600.0), around)


def timed(do: Callable[[], object], times: int, pause: float = 0.0) -> list[float]:
    """Microseconds of each call; *pause* seconds between two."""
    costs = []
    for _ in range(times):
        if pause:
            time.sleep(pause)
        started = time.perf_counter_ns()
        do()
        costs.append((time.perf_counter_ns() - started) / 1000)
    return costs


def questions(asked: Coordinator) -> dict[str, Callable[[], object]]:
    """What is measured."""
    rand = random.Random(1)
    return {
        "take": asked.take,
        "count": lambda: asked.fold([Occurrence(rand.choice(PROBLEMS), 1, 0.0, 0.0)]),
        "nothing": lambda: sum(NOTHING),
    }


def flock_pair(directory: str) -> Callable[[], object]:
    """Lock and unlock a file that nobody else has."""
    descriptor = os.open(f"{directory}/lock", os.O_RDWR | os.O_CREAT, 0o600)

    def pair() -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    return pair


@contextmanager
def redis_server(directory: str) -> Iterator[FleetAddress | None]:
    """A server of our own, ended by its id; None where there is none to start."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [program, "--port", str(port), "--save", "", "--dir", directory, "--bind", "127.0.0.1"]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield FleetAddress("127.0.0.1", port)
    finally:
        server.terminate()
        server.wait(20)


def child(scope: str | FleetAddress, directory: str, question: str, times: int, pause: float) -> None:
    """One of several processes: prints its costs as JSON."""
    asked = member(scope, directory)
    do = questions(asked)[question]
    timed(do, times // 10)
    print(json.dumps(timed(do, times, pause)))


def contended(
    scope: str | FleetAddress, directory: str, question: str, times: int, count: int, pause: float
) -> list[float]:
    """The costs of *count* processes that ask at once."""
    shown = scope if isinstance(scope, str) else f"{scope.host}:{scope.port}"
    words = [shown, directory, question, str(times), str(pause)]
    command = [sys.executable, "-m", "benchmarks.share", "--child", *words]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return [cost for process in running for cost in json.loads(process.communicate()[0])]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser("python -m benchmarks.share", description=__doc__)
    parser.add_argument("--takes", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        where, directory, question, times, pause = given.child
        host, _, port = where.partition(":")
        child(FleetAddress(host, int(port)) if port else where, directory, question, int(times), float(pause))
        return

    rows: list[dict[str, object]] = []
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=base) as directory, redis_server(directory) as server:
        unit = statistics.median(timed(flock_pair(directory), given.takes))
        scopes: list[str | FleetAddress] = ["process", "host", *([server] if server else [])]
        for scope in scopes:
            name = scope if isinstance(scope, str) else "redis"
            times = given.takes if isinstance(scope, str) else given.takes // 10
            asked = member(scope, directory)
            for question, do in questions(asked).items():
                if question != "nothing" or name == "process":
                    timed(do, times // 10)
                    rows.append(_row(name, question, 1, 0.0, timed(do, times), unit))
            asked.close()
            for question in ("nothing",) if name == "process" else ("take", "count"):
                for pause in (0.0, PAUSE_SECONDS):
                    each = times // given.processes
                    costs = contended(scope, directory, question, each, given.processes, pause)
                    rows.append(_row(name, question, given.processes, pause, costs, unit))
    print(f"a pair of flock calls: {unit:.2f} us\n")
    heads = f"{'scope':8} {'question':8} {'processes':>9} {'pause':>6}"
    print(f"{heads} {'median us':>10} {'p99 us':>9} {'x flock':>8}")
    for row in rows:
        heads = f"{row['scope']:8} {row['question']:8} {row['processes']:>9} {row['pause']:>6}"
        print(f"{heads} {row['median']:>10.1f} {row['p99']:>9.1f} {row['ratio']:>8.1f}")
    if given.json:
        given.json.write_text(json.dumps({"flock_us": unit, "rows": rows}, indent=1) + "\n", "utf-8")


def _row(
    scope: str, question: str, count: int, pause: float, costs: list[float], unit: float
) -> dict[str, object]:
    ordered = sorted(costs)
    median = statistics.median(ordered)
    return {
        "scope": scope,
        "question": question,
        "processes": count,
        "pause": pause,
        "median": median,
        "p99": ordered[len(ordered) * 99 // 100],
        "ratio": median / unit,
    }


if __name__ == "__main__":
    main()
