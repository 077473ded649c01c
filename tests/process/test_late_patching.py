"""gevent, patched in after our import: real threads of ours among green ones, what they wake and leave."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from processes import run

pytest.importorskip("gevent", reason="gevent is not installed")

PREAMBLE = """
import logging, os, sys, threading, time
from queue import SimpleQueue
from eventlog_handlers import CMSHandler
real_sleep = time.sleep
from gevent import monkey
monkey.patch_all()
import gevent
log = logging.getLogger("shop")
def attached(**options):
    handler = CMSHandler(requests_per_second=None, exit_timeout=60, **options)
    log.addHandler(handler)
    return handler
"""


def arrived(console: Any) -> Counter[str]:
    texts = [event.body["Content"].splitlines()[0] for event in console.events("cms")]
    return Counter(text.partition(" ")[2] for text in texts)


def test_p22_locks_of_a_handler_made_after_the_patch_are_real(eventlog_console: Any) -> None:
    """A green one, that a thread of ours had released, left its waiter asleep for ever: threads take turns
    as fast as Python can, and each round waits for them."""
    done = run(
        """
        sys.setswitchinterval(1e-6)
        handler = attached(flush_interval=0.01)
        for number in range(60):
            log.error("record %d", number)
            assert handler.flush(60), handler.stats()
            handler.stats()
        """,
        preamble=PREAMBLE,
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    assert arrived(eventlog_console) == Counter(f"record {number}" for number in range(60))


def test_p22_a_green_lock_that_our_thread_released_wakes_its_waiter(eventlog_console: Any) -> None:
    """Nothing is sent: the thread stands still next, in a real wait, and its loop would never run again."""
    done = run(
        """
        from eventlog_handlers.pipeline import thread_pool
        thread_pool._LINGER_SECONDS = 600  # its end would do it too
        entered = SimpleQueue()
        def before_send(event):
            time.sleep(0)  # so that this thread has a loop, as it has after a request
            with shared:
                entered.put(None)
                while not shared.linkcount():
                    real_sleep(0.001)
        shared = threading.Lock()
        handler = attached(before_send=before_send, flush_interval=0)
        log.error("record")
        entered.get()
        with gevent.Timeout(30), shared:
            pass
        """,
        preamble=PREAMBLE,
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr


def test_p22_a_flush_lets_go_on_what_our_thread_waits_for(eventlog_console: Any) -> None:
    """The thread waits for a green lock. It is woken by the loop of the thread that flushes."""
    done = run(
        """
        entered = SimpleQueue()
        def before_send(event):
            time.sleep(0)
            entered.put(None)
            with shared:
                return event
        shared = threading.Lock()
        handler = attached(before_send=before_send, flush_interval=0)
        time.sleep(0)  # this one has a loop too, which owns the lock next
        shared.acquire()
        log.error("record")
        entered.get()
        while not shared.linkcount():
            real_sleep(0.001)
        shared.release()
        assert handler.flush(20), handler.stats()
        """,
        preamble=PREAMBLE,
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    assert arrived(eventlog_console) == Counter(["record"])


def test_p22_other_green_threads_go_on_while_one_flushes(eventlog_console: Any) -> None:
    """Without a loop that runs, the hook would wait for the green thread, and the flush for the hook."""
    done = run(
        """
        may_go_on = SimpleQueue()
        def before_send(event):
            while may_go_on.empty():
                real_sleep(0.001)
            return event
        handler = attached(before_send=before_send, flush_interval=0)
        log.error("record")
        gevent.spawn(may_go_on.put, None)
        assert handler.flush(20), handler.stats()
        """,
        preamble=PREAMBLE,
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    assert arrived(eventlog_console) == Counter(["record"])


def test_p22_our_threads_leave_no_thread_and_no_descriptor_behind(eventlog_console: Any) -> None:
    """Each has a loop and a resolver of gevent's. One that ends before another closes its connection."""
    done = run(
        """
        from eventlog_handlers.pipeline import thread_pool
        thread_pool._LINGER_SECONDS = 0.01
        handler = attached(flush_interval=0, batch_size=1, concurrency=3)
        def open_here():
            return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
        def settled(wanted):
            deadline = time.monotonic() + 20
            while (found := open_here()) > wanted and time.monotonic() < deadline:
                real_sleep(0.01)
            return found
        lives = []
        for life in range(8):
            for number in range(9):
                log.error("record %d", life * 9 + number)
            assert handler.flush(60), handler.stats()
            while handler.stats()["threads"]:
                real_sleep(0.001)
            lives.append(settled(lives[0] if lives else open_here()))
        stats = handler.stats()
        assert (stats["delivered"], stats["retried"]) == (72, 0), stats
        assert lives[-1] <= lives[0], lives
        """,
        preamble=PREAMBLE,
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    assert arrived(eventlog_console) == Counter(f"record {number}" for number in range(72))


def test_p22_no_two_first_loops_are_made_at_once() -> None:
    """Each imports modules, and green locks of imports let two threads wait for each other for ever."""
    done = run(
        """
        from eventlog_handlers.process import start_thread
        from gevent import hub
        assert hub._get_hub() is None, "the process has a loop already"
        begun = SimpleQueue()
        start_thread.start_thread(lambda: begun.put(None), "eventlog-test")
        print(hub._get_hub() is not None, flush=True)
        begun.get(timeout=60)
        os._exit(0)  # without a worker no exit hook waits for the thread, and greenlet may crash
        """,
        preamble=PREAMBLE,
    )

    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="nothing tells which threads are there")
@pytest.mark.parametrize(("late", "between"), [(0.5, 1.0), (2.5, 1.0)])
def test_p22_a_thread_that_comes_late_to_the_end_of_the_process_ends(
    eventlog_console: Any, late: float, between: float
) -> None:
    """Its request is settled, and it does what is left to do while the process ends, or after it was waited
    for. The interpreter stops a thread that stays, and within gevent's loop that is a fault in greenlet."""
    done = run(
        f"""
        from eventlog_handlers.pipeline.delivery import Delivery
        plain = Delivery._send_all
        def send_all(self, in_flight, deadline):
            answer = plain(self, in_flight, deadline)
            real_sleep({late})
            return answer
        Delivery._send_all = send_all
        atexit.register(real_sleep, {between})  # between our hook and that of logging, which closes handlers
        handler = attached(flush_interval=0)
        log.error("record")
        assert handler.flush(20), handler.stats()
        """,
        preamble="import atexit, os\n"
        "atexit.register(lambda: print(len(os.listdir('/proc/self/task'))))  # the last one that is called\n"
        + PREAMBLE,
        console=eventlog_console.url,
    )

    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert arrived(eventlog_console) == Counter(["record"])
