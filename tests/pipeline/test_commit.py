"""``durability="commit"``: what breaks a log call breaks no write, with a journal and without."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from captures import capture
from law import assert_law
from processes import run

from eventlog_handlers.buffers.spool.buffer import SpoolBuffer
from eventlog_handlers.errors import TransientError
from eventlog_handlers.process import clock
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_worker

needs_signals = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")


def start(run, name):
    threading.Thread(target=run, name=name, daemon=True).start()


def captured(message, level=logging.ERROR):
    return capture(logging.LogRecord("shop", level, "shop.py", 1, message, (), None), hash(message) % 2**128)


def spool(directory: Path):
    return lambda: SpoolBuffer(
        directory, capacity=10_000, capacity_bytes=1 << 26, policy="drop_lowest", clock=clock.monotonic,
        wall_clock=time.time, report=lambda key, text: None, identity="test",
    )  # fmt: skip


def committing(tmp_path, *, start_thread=start, **settings):
    """A worker with a spool whose service takes nothing."""
    sink = ScriptedSink(*[TransientError("connect", retry_after=300)] * 1_000)
    return make_worker(
        sink,
        clock.monotonic,
        buffer=spool(tmp_path),
        start_thread=start_thread,
        spool=str(tmp_path),
        durability="commit",
        **settings,
    )


def test_what_commit_returned_for_is_in_the_file(tmp_path):
    """From several threads at once, each of its own records."""
    worker = committing(tmp_path)
    missing: Counter[str] = Counter()
    lock = threading.Lock()
    committed = []

    def log(index):
        for number in range(40):
            worker.commit(captured(f"{index} {number}"))
            with lock:
                committed.append(number)
                if worker.stats()["spool"]["in_file"] + worker.stats()["delivered"] < len(committed):
                    missing["late"] += 1

    threads = [threading.Thread(target=log, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert not missing
    assert worker.stats()["spool"]["in_file"] == 160
    assert_law(worker.stats())
    worker.park(0.0)


def test_where_threads_are_refused_the_caller_writes(tmp_path):
    """Each record is in the file when its call returns, and nothing is sent for it."""

    def refuse(run, name):
        raise RuntimeError("no threads")

    worker = committing(tmp_path, start_thread=refuse)
    for number in range(5):
        worker.commit(captured(f"record {number}"))
        assert worker.stats()["spool"]["in_file"] == number + 1
    assert_law(worker.stats())
    worker._life.turns.rest()


def test_a_commit_whose_capture_is_dropped_at_the_intake_returns():
    """It is settled: dropped and counted. No call waits for it in vain."""
    worker = make_worker(ScriptedSink(), ManualClock(), capacity=1)
    worker._life.pool.rouse = lambda: True  # a thread that never comes
    worker.submit(captured("first", logging.CRITICAL))
    started = clock.monotonic()

    worker.commit(captured("second", logging.INFO))

    assert clock.monotonic() - started < 4.0  # the worker's own clock stands still: it would wait for ever
    assert worker.stats()["dropped"] == {"overflow": 1}


def test_a_commit_waits_five_seconds_at_most_and_says_so(capsys):
    """The thread is stuck; the record stays accepted."""
    manual = ManualClock()
    worker = make_worker(ScriptedSink(), manual)

    def stuck():
        manual.advance(3.0)
        return True

    worker._life.pool.rouse = stuck
    worker.commit(captured("stuck"))
    worker._life.turns.tell()

    assert worker.stats()["pending"] == 1
    assert "goes on without it" in capsys.readouterr().err


def test_a_record_logged_while_this_thread_is_inside_does_not_wait(tmp_path):
    """A signal handler within stats() of this very thread: the writing thread waits for that lock."""
    worker = committing(tmp_path)
    started = clock.monotonic()
    with worker._life.ledger._lock:
        worker.commit(captured("inside"))
    assert clock.monotonic() - started < 4.0

    worker.commit(captured("after"))

    assert worker.stats()["spool"]["in_file"] == 2
    worker.park(0.0)


SCRIPT = """
import logging, os, signal, sys, threading, time
from eventlog_handlers import CMSHandler
handler = CMSHandler(spool=SPOOL, durability="commit", requests_per_second=None, exit_timeout=1, OPTIONS)
log = logging.getLogger("shop")
log.setLevel("INFO")
log.addHandler(handler)
def law():
    stats = handler.stats()
    dropped = sum(stats["dropped"].values())
    assert stats["accepted"] == stats["delivered"] + dropped + stats["pending"], stats
    assert not stats["dropped"], stats
    return stats
def kept(stats):
    return stats["spool"]["in_file"] + stats["spool"]["in_journal"]
"""


JOURNAL = pytest.mark.parametrize(
    "options", ["", "before_send=lambda event: event"], ids=["journal", "a thread writes"]
)


@needs_signals
@JOURNAL
def test_ctrl_c_within_a_log_call_breaks_the_call_and_not_the_state(tmp_path, options):
    """Hundreds of KeyboardInterrupts at any instruction: the law holds, later calls work, forks work."""
    done = run(
        """
        interrupted = returned = number = 0
        log.info("first")
        while number < 400 or (interrupted <= 20 and number < 6_000):
            number += 1
            step = 0.00002 if number % 2 else 0.000003  # a call takes some ten microseconds or a millisecond
            try:
                signal.setitimer(signal.ITIMER_REAL, step * (1 + number % 40))
                log.info("record %d", number)
                returned += 1
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupted += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        log.info("last")
        for _ in range(2):
            child = os.fork()
            if not child:
                os._exit(0)
            os.waitpid(child, 0)
        deadline = time.monotonic() + 20
        while kept(law()) < returned + 2 and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        stats = law()
        assert returned + 2 <= stats["accepted"] <= number + 2, (returned, stats)
        assert kept(stats) == stats["accepted"], stats
        print(interrupted > 20)
        sys.stdout.flush()
        os._exit(0)
        """,
        preamble=SCRIPT.replace("SPOOL", repr(str(tmp_path / "spool"))).replace("OPTIONS", options)
        + "def stop(*_):\n    raise KeyboardInterrupt\nsignal.signal(signal.SIGALRM, stop)\n",
        console="http://127.0.0.1:9",
    )

    assert done.stdout == "True\n", (done.returncode, done.stdout, done.stderr[-3_000:])


@needs_signals
@JOURNAL
def test_a_signal_handler_that_logs_within_a_commit_commits_too(tmp_path, options):
    """It waits on the same thread as the call it interrupted; neither holds what the other needs."""
    done = run(
        """
        handled = number = 0
        def also(*_):
            global handled
            handled += 1
            log.info("within %d", handled)
            signal.setitimer(signal.ITIMER_REAL, 0.002)  # not before: a slow machine would handle for ever
        signal.signal(signal.SIGALRM, also)
        log.info("first")
        signal.setitimer(signal.ITIMER_REAL, 0.002)
        while number < 300 or (handled <= 5 and number < 6_000):
            number += 1
            log.info("record %d", number)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        stats = law()
        assert handled > 5, handled
        assert kept(stats) == stats["accepted"] == 1 + number + handled, (handled, stats)
        print("fine")
        sys.stdout.flush()
        os._exit(0)
        """,
        preamble=SCRIPT.replace("SPOOL", repr(str(tmp_path / "spool"))).replace("OPTIONS", options),
        console="http://127.0.0.1:9",
    )

    assert done.stdout == "fine\n", (done.returncode, done.stdout, done.stderr[-3_000:])


def test_lines_for_stderr_are_written_under_no_lock(tmp_path):
    """A full pipe blocks the thread that writes; records are rendered and written by another one."""
    worker = committing(tmp_path)
    blocked, goes_on = threading.Event(), threading.Event()
    said = worker._parts.self_log.say

    def block(text):
        if threading.current_thread() is not threading.main_thread():
            blocked.set()
            goes_on.wait(60)
        said(text)

    worker._parts.self_log.say = block
    try:
        worker._life.notes.say("something")
        worker.commit(captured("one"))
        assert blocked.wait(20)
        worker.commit(captured("two"))
        worker.commit(captured("three"))
        assert worker.stats()["spool"]["in_file"] == 3
    finally:
        goes_on.set()
    worker.park(0.0)
