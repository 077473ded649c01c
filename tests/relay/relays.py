"""Applications and relays as processes of their own, over a test's Redis and the stand-in."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from operated import Operated
from processes import environment
from redis_server import RedisServer

from eventlog_handlers.console.server import LocalConsole
from eventlog_handlers.relay.status import QueueStatus, statuses
from eventlog_handlers.share.contract import UnavailableError
from eventlog_handlers.share.fleet_url import fleet_address
from eventlog_handlers.share.redis_link import RedisLink

FAST_GUANCE = "guance=guance://cn1?requests_per_minute=null&timeout=1"
FAST_CMS = "cms=cms://cn-hangzhou?requests_per_second=null&timeout=1"

APP = """
import json, logging, string, sys
from eventlog_handlers import configure, flush, stats
dsn, name, count, timeout, problems = sys.argv[1], sys.argv[2], *map(float, sys.argv[3:])
configure(dsn, service="shop", exit_timeout=timeout)
log = logging.getLogger("shop")
logging.getLogger().handlers = [one for one in logging.getLogger().handlers if hasattr(one, "stats")]
for number in range(int(count)):
    letters = "".join(string.ascii_lowercase[int(digit)] for digit in str(number % int(problems)))
    log.error("problem " + name + letters)
    print(number, flush=True)
settled = flush(timeout)
print(json.dumps({"settled": settled, "stats": stats()}), flush=True)
"""


def dsn(server: RedisServer, queue: str, options: str = "") -> str:
    return f"relay+redis://127.0.0.1:{server.port}/0?queue={queue}{options}"


class App:
    """An application that logs *count* times, *problems* different ones (None: all are), and flushes."""

    def __init__(
        self, dsns: str, name: str, count: int, timeout: float = 60.0, problems: int | None = None
    ) -> None:
        words = map(str, (count, timeout, problems or count))
        self.process = subprocess.Popen(
            [sys.executable, "-c", APP, dsns, name, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(EVENTLOG_CONSOLE=""),
        )

    def wait_for(self, number: int) -> None:
        """Until it has logged so many."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == str(number):
                return
        raise AssertionError("it ended early")

    def end(self) -> dict[str, Any]:
        """Its last words."""
        assert self.process.stdout is not None
        *_, last = self.process.stdout  # not communicate(): it passes by what was read ahead above
        assert self.process.wait(120) == 0
        said: dict[str, Any] = json.loads(last)
        return said


class RelayProcess(Operated):
    """``eventlog-handlers relay`` in a with block."""

    def __init__(self, server: RedisServer, console: str, *queues: str, **variables: str) -> None:
        super().__init__(
            [
                sys.executable,
                "-m",
                "eventlog_handlers",
                "relay",
                f"redis://127.0.0.1:{server.port}/0",
                *queues,
            ],
            console=console,
            **variables,
        )

    def wait_until_it_serves(self) -> None:
        self.wait_for_output("→")

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(20)


def look(server: RedisServer, *queues: str) -> dict[str, QueueStatus]:
    """The queues, as ``relay status`` sees them; none while Redis is away."""
    link = RedisLink(fleet_address(server.url, {}, option="url"))
    try:
        return {one.queue: one for one in statuses(link, queues)}
    except UnavailableError:
        return {}
    finally:
        link.close()


def waits(server: RedisServer, queue: str) -> int:
    """Entries that are not settled."""
    one = look(server).get(queue)
    return -1 if one is None else one.waiting + one.in_hand


def uids(console: LocalConsole, service: str) -> list[str]:
    """Ids of the events that arrived, copies too. Reads no bodies: the stand-in has something else to do."""
    rows = console.store.database.rows("SELECT uid FROM events WHERE service = ? ORDER BY id", (service,))
    return [uid for (uid,) in rows]


def log_calls(console: LocalConsole, service: str) -> int:
    """What the counts of the events add up to; a copy counts once."""
    ((times,),) = console.store.database.rows(
        "SELECT sum(times) FROM (SELECT max(times) AS times FROM events WHERE service = ? GROUP BY uid)",
        (service,),
    )
    return int(times or 0)


def until(happened: Callable[[], object], what: str, seconds: float = 90.0) -> None:
    """Wait for it; AssertionError after *seconds*."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)
