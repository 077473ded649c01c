"""For ``make_fleet``: producers, relays and Redis under fire, against the stand-in at its real limits."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

SERVED = "cms=cms://cn-hangzhou?concurrency=1"
COUNTED = "guance=guance://cn1?requests_per_minute=null&timeout=3"
RELAYS = 3
BATCH = 50
PATIENCE_SECONDS = 600.0


class Size(NamedTuple):
    """How much is done to whom."""

    producers: int
    calls: int
    relay_kills: int
    redis_kills: int


FULL, QUICK = Size(20, 500, 12, 4), Size(4, 100, 2, 1)


@contextmanager
def _crowd(queue: str) -> Iterator[Any]:
    """A Redis with a file, the stand-in, and relays that are replaced when they are killed."""
    from relays import RelayProcess

    from eventlog_handlers.console.server import LocalConsole

    with tempfile.TemporaryDirectory() as directory, LocalConsole() as console:
        crowd = _Crowd(Path(directory), console, queue, RelayProcess)
        try:
            yield crowd
        finally:
            crowd.end()


class _Crowd:
    def __init__(self, directory: Path, console: Any, queue: str, relay_process: Any) -> None:
        from redis_server import RedisServer

        self.server = RedisServer(directory, appendonly="yes", appendfsync="everysec")
        self.console = console
        self._queue = queue
        self._relay_process = relay_process
        self._runtime = directory / "run"
        self._runtime.mkdir(mode=0o700)
        self._running: list[Any] = []
        for _ in range(RELAYS):
            self.add()

    def add(self) -> None:
        relay = self._relay_process(
            self.server, self.console.url, self._queue, EVENTLOG_RUNTIME_DIR=str(self._runtime)
        )
        self._running.append(relay.__enter__())

    def kill_one(self, rand: random.Random) -> None:
        relay = self._running.pop(rand.randrange(len(self._running)))
        relay.kill()
        relay.__exit__()
        self.add()

    def end(self) -> None:
        for relay in self._running:
            relay.__exit__()
        self.server.stop()


def _under_fire(crowd: _Crowd, size: Size, arrived: Callable[[], int], total: int) -> None:
    """Kill at random points of the way, evenly over what arrives, while there is something on its way."""
    rand = random.Random(7)  # noqa: S311 - the same points in every run
    points = [(rand.random() * 0.9, "relay") for _ in range(size.relay_kills)]
    points += [(rand.random() * 0.9, "redis") for _ in range(size.redis_kills)]
    for point, victim in sorted(points):
        _until(lambda point=point: arrived() >= point * total)
        if victim == "redis":
            crowd.server.kill()
            crowd.server.start()
        else:
            crowd.kill_one(rand)


def _until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        if time.monotonic() > deadline:
            raise SystemExit("what was to arrive does not")
        time.sleep(0.05)


def deliveries(size: Size) -> tuple[str, dict[str, int]]:
    """Every log call is a problem of its own: a row of the table, and its figures by name."""
    from relays import App, dsn, uids, waits

    with _crowd(SERVED) as crowd:
        names = ["".join("abcdefghij"[int(digit)] for digit in f"{n:02}") for n in range(size.producers)]
        apps = [
            App(dsn(crowd.server, "cms", "&max_age=3600"), f"of {name} ", size.calls, 300) for name in names
        ]
        total = size.producers * size.calls
        _under_fire(crowd, size, lambda: len(uids(crowd.console, "cms")), total)
        settled = [app.end()["settled"] for app in apps]
        _until(lambda: len(set(uids(crowd.console, "cms"))) >= total or not all(settled))
        _until(lambda: waits(crowd.server, "cms") == 0)
        ids = uids(crowd.console, "cms")
        throttled = len(crowd.console.refused("cms"))
        moments = [request.received for request in crowd.console.requests("cms")]
    kills = size.relay_kills + size.redis_kills
    found = {
        "total": total,
        "lost": total - len(set(ids)),
        "copies": len(ids) - len(set(ids)),
        "allowed": kills * BATCH,
        "throttled": throttled,
        "busiest": _busiest(moments, 1.0),
    }
    row = (
        f"| {total:,} | {size.relay_kills} | {size.redis_kills} | {found['lost']} | {found['copies']} "
        f"(at most {found['allowed']}) | {throttled} | {found['busiest']} of 20 |"
    )
    return row, found


def counts(size: Size) -> tuple[str, dict[str, int]]:
    """Twenty problems, logged by all: the events' counts and the number of log calls."""
    from relays import App, dsn, log_calls, uids, waits

    with _crowd(COUNTED) as crowd:
        crowd.console.lift_quotas()
        # The same names for all producers: each logs the same problems, one after the other, again and again.
        where = dsn(crowd.server, "guance", "&aggregate_seconds=1&max_age=3600")
        apps = [App(where, "of all ", size.calls, 300, problems=20) for _ in range(size.producers)]
        total = size.producers * size.calls

        def told() -> int:
            return log_calls(crowd.console, "guance")

        _under_fire(crowd, size, told, total)
        for app in apps:
            app.end()
        _until(lambda: told() >= total)
        _until(lambda: waits(crowd.server, "guance") == 0)
        events = len(set(uids(crowd.console, "guance")))
        difference = told() - total
    found = {"total": total, "events": events, "difference": difference}
    row = f"| {total:,} | {size.relay_kills} | {size.redis_kills} | {events} | {difference} |"
    return row, found


def _busiest(moments: list[float], seconds: float) -> int:
    moments = sorted(moments)
    busiest = start = 0
    for end, moment in enumerate(moments):
        while moment - moments[start] >= seconds:
            start += 1
        busiest = max(busiest, end - start + 1)
    return busiest


def relays_under_fire(quick: bool) -> str:
    """The section of the page."""
    if not shutil.which("redis-server"):
        return ""
    size = QUICK if quick else FULL
    delivered, _ = deliveries(size)
    counted, _ = counts(size)
    return "\n".join(
        [
            "## Relays",
            "",
            f"{size.producers} processes log {size.calls} times each; {RELAYS} relays send their queue to "
            "the stand-in of CMS at its real limit,\n20 calls a second. Relays are killed with SIGKILL at "
            "random points, when events have just arrived, and replaced;\nso is Redis (AOF, `everysec`). A "
            "copy has the id of the event that it is a copy of. A kill may cost as many as are under\nway: "
            f"here each relay sends one request at a time (`concurrency=1`), which is a batch of {BATCH}.",
            "",
            "| log calls | relays killed | Redis killed | lost | copies | throttled | busiest second |",
            "|---|---|---|---|---|---|---|",
            delivered,
            "",
            "And the same with twenty problems, which all processes log: what the events' counts add up to.",
            "",
            "| log calls | relays killed | Redis killed | events | difference of counts |",
            "|---|---|---|---|---|",
            counted,
        ]
    )
