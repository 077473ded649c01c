"""Handlers with a spool: what was accepted outlives the process that accepted it."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from typing import Any

import pytest
from processes import environment, run
from servers import free_port

from eventlog_handlers.console.server import LocalConsole

HANDLER = """
import logging, os, sys, threading, time
from eventlog_handlers import CMSHandler
handler = CMSHandler(spool=SPOOL, durability=DURABILITY, requests_per_second=None, exit_timeout=20)
spool = SPOOL
log = logging.getLogger("shop")
log.setLevel("INFO")
log.addHandler(handler)
"""


def preamble(spool: Any, durability: str = "staged") -> str:
    return HANDLER.replace("SPOOL", repr(str(spool))).replace("DURABILITY", repr(durability))


def received(console: LocalConsole) -> tuple[Counter[str], Counter[str]]:
    """Messages and event ids, with how often each came."""
    contents = [event.body["Content"] for event in console.events("cms")]
    return (
        Counter(content.splitlines()[0].partition(" ")[2] for content in contents),
        Counter(content.rpartition("event_id: ")[2].split()[0] for content in contents),
    )


@pytest.fixture
def console_later():
    """A stand-in that isn't there yet, and its URL."""
    console = LocalConsole(port=free_port())
    console.relax()
    yield console
    console.stop()


LATER = """
log.info("later")
deadline = time.monotonic() + 60
while time.monotonic() < deadline:  # what dead processes left is taken over a slice at a time
    assert handler.flush(30)
    files = [name for name in os.listdir(spool) if name.endswith(".spool")]
    if len(files) <= 1 and not handler.stats()["pending"]:
        break
stats = handler.stats()
assert stats["accepted"] == stats["delivered"] + sum(stats["dropped"].values()) + stats["pending"], stats
assert stats["pending"] == 0, stats
"""


def test_p04_p14_what_a_killed_process_had_staged_is_delivered_by_the_next(console_later, tmp_path):
    """The service refuses, the process is killed: the next one adopts its file and sends it all."""
    url = console_later.url
    killed = run(
        """
        for number in range(60):
            log.info("record %d", number)
        deadline = time.monotonic() + 20
        while handler.stats()["spool"]["in_file"] < 60 and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        print(handler.stats()["spool"]["in_file"], flush=True)
        os.kill(os.getpid(), 9)
        """,
        preamble=preamble(tmp_path / "spool"),
        console=url,
    )
    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, "60\n"), killed.stderr

    with console_later:
        later = run(LATER, preamble=preamble(tmp_path / "spool"), console=url)

    assert later.returncode == 0, later.stderr
    messages, ids = received(console_later)
    assert messages == Counter({"later", *(f"record {number}" for number in range(60))})
    assert max(ids.values()) == 1
    times = {event.body["Content"].splitlines()[0]: event.time for event in console_later.events("cms")}
    assert times["INFO record 0"] < times["INFO later"]


def test_p04_every_committed_record_survives_sigkill_at_any_point(console_later, tmp_path):
    """durability="commit": whatever emit returned for arrives, twelve processes killed at random later."""
    url, spool, accepted = console_later.url, tmp_path / "spool", set()
    dice = random.Random(7)
    script = preamble(spool, "commit") + (
        "for number in range(100_000):\n"
        "    log.info('run %s record %d', sys.argv[1], number)\n"
        "    os.write(1, b'%d\\n' % number)\n"
    )
    for kill in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(kill)],
            env=environment(EVENTLOG_CONSOLE=url),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        watchdog = threading.Timer(30, process.kill)
        watchdog.start()
        for _ in range(dice.randrange(1, 60)):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        watchdog.cancel()
        # What was read before the kill and what was in the pipe by then.
        last = max([0, *(int(line) for line in process.stdout.read().split())])
        accepted |= {f"run {kill} record {number}" for number in range(last + 1)}
        process.stdout.close()

    with console_later:
        later = run(LATER, preamble=preamble(spool), console=url, timeout=100)

    assert later.returncode == 0, later.stderr
    messages, ids = received(console_later)
    assert accepted - set(messages) == set()
    assert len(ids) == len(messages)  # killed while adopting, a process may leave an event twice: with one id


def test_p07_forked_children_have_spools_of_their_own(eventlog_console, tmp_path):
    """Parent and children share the directory, not a file, a lock or a connection."""
    done = run(
        """
        log.info("parent 0")
        children = []
        for number in range(6):
            child = os.fork()
            if child == 0:
                log.info("child %d", number)
                os._exit(0 if handler.flush(30) else 1)
            children.append(child)
            log.info("parent %d", number + 1)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6
        """,
        preamble=preamble(tmp_path / "spool", "commit"),
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    messages, ids = received(eventlog_console)
    assert messages == Counter([*(f"parent {n}" for n in range(7)), *(f"child {n}" for n in range(6))])
    assert max(ids.values()) == 1


def test_p01_what_exceeds_the_exit_timeout_stays_in_the_spool(console_later, tmp_path):
    """A normal end with the service refusing: nothing is lost, the next process delivers."""
    url = console_later.url
    ended = run(
        'for number in range(40):\n    log.info("record %d", number)\n',
        preamble=preamble(tmp_path / "spool").replace("exit_timeout=20", "exit_timeout=0.5"),
        console=url,
    )
    assert ended.returncode == 0, ended.stderr
    assert "eventlog_handlers: CMSHandler: 40 event(s) stay in the spool for the next process" in ended.stderr

    with console_later:
        later = run(LATER, preamble=preamble(tmp_path / "spool"), console=url)

    assert later.returncode == 0, later.stderr
    messages, _ = received(console_later)
    assert messages == Counter({"later", *(f"record {number}" for number in range(40))})


def test_commit_takes_what_logs_within_a_commit_too(eventlog_console, tmp_path):
    """Signal handlers and several threads at once: nothing deadlocks, nothing is lost or doubled."""
    done = run(
        """
        import itertools, signal
        numbers = itertools.count()
        signal.signal(signal.SIGALRM, lambda *_: log.info("signal %d", next(numbers)))
        def work(thread):
            for number in range(150):
                log.info("thread %d record %d", thread, number)
        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(3)]
        [thread.start() for thread in threads]
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        for number in range(300):
            log.info("main %d", number)
        signal.setitimer(signal.ITIMER_REAL, 0)
        [thread.join() for thread in threads]
        assert handler.flush(60)
        print(next(numbers))
        """,
        preamble=preamble(tmp_path / "spool", "commit"),
        console=eventlog_console.url,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr
    messages, ids = received(eventlog_console)
    assert sum(messages.values()) == 300 + 450 + int(done.stdout)
    assert max(messages.values()) == max(ids.values()) == 1
