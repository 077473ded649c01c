"""Figures of the worst day: what a dead service, a fork and a kill cost. Prints one line each.

    python -m benchmarks.reliability

Everything runs on loopback, in processes of its own. Run it on a quiet machine, more than once.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import IO

from eventlog_handlers.console.server import LocalConsole

ROOT = Path(__file__).parent.parent
THREE = """
import logging, logging.config, os, sys, threading, time
URL = os.environ["URL"]
handlers = {
    "cms": {"class": "eventlog_handlers.CMSHandler", "endpoint": URL,
            "access_key_id": "a", "access_key_secret": "b"},
    "guance": {"class": "eventlog_handlers.GuanceHandler", "endpoint": URL, "api_key": "k"},
    "cloudwatch": {"class": "eventlog_handlers.CloudWatchEventsHandler", "endpoint_url": URL,
                   "region_name": "us-east-1"},
}
logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "handlers": handlers,
                           "root": {"level": "INFO", "handlers": list(handlers)}})
log = logging.getLogger("shop")
def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
"""


def run(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run *script* in a fresh interpreter."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def second_dictconfig() -> str:
    """How long a second dictConfig takes with three handlers whose service hangs."""
    times = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for _ in range(5):
            done = run(
                THREE
                + "for n in range(30): log.error('record %d', n)\n"
                + "threading.Event().wait(0.5)\n"
                + "started = time.perf_counter(); logging.config.dictConfig({'version': 1})\n"
                + "print(time.perf_counter() - started, flush=True); os._exit(0)",
                URL=url,
            )
            times.append(float(done.stdout))
    return f"{statistics.median(times) * 1e3:.2f} ms (median of 5, worst {max(times) * 1e3:.2f})"


def exit_seconds(*, hangs: bool) -> str:
    """What the end of a process costs with three dead services, over the same process without records."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    if not hangs:
        listener.close()
    times = []
    for _ in range(3):
        done = run(
            THREE + "for n in range(30): log.error('record %d', n)\nprint(time.time(), flush=True)", URL=url
        )
        times.append(time.time() - float(done.stdout))
    listener.close()
    return f"{statistics.median(times):.2f} s (median of 3, worst {max(times):.2f})"


def memory(records: int, **options: str) -> str:
    """Growth of the resident set over *records* with the service refused."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    given = "".join(f", {name}={value}" for name, value in options.items())
    done = run(
        f"""
        import logging, os
        from eventlog_handlers import CMSHandler
        def resident():
            with open("/proc/self/statm") as statm:
                return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        handler = CMSHandler(endpoint={url!r}, access_key_id="a", access_key_secret="b"{given})
        log = logging.getLogger("shop"); log.addHandler(handler)
        log.error("warm up"); handler.flush(1)
        before = resident()
        for number in range({records}):
            log.error("order %s of customer %d failed", "A-1001", number)
        handler.flush(3)
        stats = handler.stats()
        grown, dropped = resident() - before, sum(stats['dropped'].values())
        print(f"{{grown:.1f}} MB, {{stats['pending']}} held, {{dropped}} dropped", flush=True)
        os._exit(0)
        """
    )
    return done.stdout.strip() or done.stderr


def kills(times: int) -> str:
    """SIGKILL at random points with durability="commit"; what a later process delivers."""
    directory = tempfile.mkdtemp()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    script = f"""
import logging, os, sys
from eventlog_handlers import CMSHandler
handler = CMSHandler(spool={directory!r}, durability="commit", requests_per_second=None)
log = logging.getLogger("shop"); log.setLevel("INFO"); log.addHandler(handler)
if sys.argv[1] == "later":
    log.info("later")
    print(handler.flush(200), handler.stats())
else:
    for number in range(10**6):
        log.info("run %s record %d", sys.argv[1], number)
        os.write(1, b"%d\\n" % number)
"""
    accepted: set[str] = set()
    dice = random.Random(3)
    for kill in range(times):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(kill)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "EVENTLOG_CONSOLE": url},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        output: IO[bytes] = process.stdout  # type: ignore[assignment]  # a pipe, as asked for above
        for _ in range(dice.randrange(1, 100)):
            output.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        last = max([0, *map(int, output.read().split())])
        accepted |= {f"run {kill} record {number}" for number in range(last + 1)}
    console = LocalConsole(port=port)
    console.relax()
    with console:
        run(script, "later", EVENTLOG_CONSOLE=url)
        contents = [event.body["Content"] for event in console.events("cms")]
    arrived = Counter(content.splitlines()[0].partition(" ")[2] for content in contents)
    twice = sum(1 for count in arrived.values() if count > 1)
    lost = len(accepted - set(arrived))
    return f"{times} kills, {len(accepted)} accepted, {lost} lost, {twice} delivered twice"


def forks(times: int) -> str:
    """Children forked while threads of the parent log and send: what arrived of whose."""
    console = LocalConsole()
    console.relax()
    with console:
        done = run(
            f"""
            import logging, os, threading
            from eventlog_handlers import CMSHandler
            handler = CMSHandler(requests_per_second=None)
            log = logging.getLogger("shop"); log.addHandler(handler)
            over = threading.Event()
            logged = [0, 0, 0]
            def noise(thread):
                while not over.wait(0.001):
                    log.error("parent %d %d", thread, logged[thread]); logged[thread] += 1
            threads = [threading.Thread(target=noise, args=(thread,)) for thread in range(3)]
            [thread.start() for thread in threads]
            failed = 0
            for number in range({times}):
                child = os.fork()
                if child == 0:
                    log.error("child %d a", number); log.error("child %d b", number)
                    os._exit(0 if handler.flush(30) else 1)
                failed += os.waitpid(child, 0)[1] != 0
            over.set()
            [thread.join() for thread in threads]
            handler.flush(60)
            print(failed, sum(logged))
            """,
            EVENTLOG_CONSOLE=console.url,
        )
        contents = [event.body["Content"].splitlines()[0] for event in console.events("cms")]
    failed, logged = map(int, done.stdout.split())
    arrived = Counter(contents)
    children = sum(1 for content in arrived if content.startswith("ERROR child"))
    parents = len(arrived) - children
    return (
        f"{times} forks: {children} of {2 * times} of the children's, {parents} of {logged} of the parent's, "
        f"{sum(1 for count in arrived.values() if count > 1)} twice, {failed} children stuck"
    )


def main() -> None:
    """Print each figure."""
    print("second dictConfig, service hangs:    ", second_dictconfig(), flush=True)
    print("exit, three services hang:           ", exit_seconds(hangs=True), flush=True)
    print("exit, three services refuse:         ", exit_seconds(hangs=False), flush=True)
    print("200,000 records, service refuses:    ", memory(200_000), flush=True)
    with tempfile.TemporaryDirectory() as directory:
        print("the same with a spool:               ", memory(200_000, spool=repr(directory)), flush=True)
    print("SIGKILL, durability='commit':        ", kills(60), flush=True)
    print("fork under load:                     ", forks(100), flush=True)


if __name__ == "__main__":
    main()
