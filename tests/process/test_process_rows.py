"""Ends, forks, signals, clocks and limits of a real process, each in a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from law import assert_law, submit
from operated import Operated, eventually
from processes import environment, run

from eventlog_handlers.buffers.memory import MemoryBuffer
from eventlog_handlers.process import clock, fork
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_worker

CMS = """
import logging, logging.config, os, signal, subprocess, sys, threading, time
from eventlog_handlers import CMSHandler
# An hour: what follows the first record waits for a flush or for the end.
handler = CMSHandler(requests_per_second=None, flush_interval=3600, **OPTIONS)
log = logging.getLogger("shop")
log.setLevel("DEBUG")
log.addHandler(handler)
def law():
    stats = handler.stats()
    total = stats["delivered"] + sum(stats["dropped"].values()) + stats["aggregated"] + stats["pending"]
    assert stats["accepted"] == total, stats
    return stats
"""


def preamble(**options: Any) -> str:
    # What a script is to deliver does not depend on how slow the machine is.
    return CMS.replace("OPTIONS", repr({"exit_timeout": 60, **options}))


def run_with_cms(script: str, console: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    return run(script, console=console.url, preamble=preamble(**options))


def arrived(console: Any) -> Counter[str]:
    """How often each message arrived; no event twice."""
    contents = [event.body["Content"] for event in console.events("cms")]
    ids = [re.search(r"event_id: (\w+)", content)[1] for content in contents]
    assert len(set(ids)) == len(ids)
    return Counter(content.splitlines()[0].partition(" ")[2] for content in contents)


@pytest.fixture
def hung():
    """A service that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def operate(script: str, *, console: str = "", **options: Any) -> Operated:
    return Operated([sys.executable, "-c", preamble(**options) + script], console=console)


KEYS = {"access_key_id": "a", "access_key_secret": "b"}

# --- ends --------------------------------------------------------------------------------------------------


def test_p01_records_of_threads_that_raise_or_exit_arrive(eventlog_console):
    """An unhandled exception or sys.exit ends a thread, not the process."""
    done = run_with_cms(
        """
        def end(error):
            log.error("thread ends by %s", error.__name__)
            raise error("end")
        for error in (RuntimeError, SystemExit, KeyboardInterrupt):
            thread = threading.Thread(target=end, args=(error,))
            thread.start()
            thread.join()
        """,
        eventlog_console,
    )

    assert done.returncode == 0, done.stderr
    assert arrived(eventlog_console) == Counter(
        f"thread ends by {name}" for name in ("RuntimeError", "SystemExit", "KeyboardInterrupt")
    )


def test_p03_records_after_logging_has_closed_the_handler_arrive(eventlog_console):
    """Exit hooks registered before logging was imported run after its shutdown; the handler revives."""
    done = run(
        "log.error('usual')",
        console=eventlog_console.url,
        preamble="import atexit\n@atexit.register\ndef late():\n    log.error('late')\n" + preamble(),
    )

    assert done.returncode == 0, done.stderr
    assert arrived(eventlog_console) == Counter(["usual", "late"])


SUDDEN = {
    "os._exit": ("os._exit(7)", 7),
    "abort": ("os.abort()", -signal.SIGABRT),
    "SIGKILL": ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "SIGHUP": (  # ignored in all that nohup starts
        "signal.signal(signal.SIGHUP, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGHUP)",
        -signal.SIGHUP,
    ),
}


@pytest.mark.parametrize("end", SUDDEN)
def test_p04_an_end_that_runs_no_hook_costs_what_still_waited_and_no_more(eventlog_console, end):
    """Nothing of ours can run there: what was flushed arrived once, the rest is lost."""
    last, code = SUDDEN[end]

    done = run_with_cms(
        f"""
        for number in range(5):
            log.error("flushed %d", number)
        assert handler.flush(20)
        for number in range(3):
            log.error("waiting %d", number)
        assert law()["pending"] == 3
        {last}
        """,
        eventlog_console,
    )

    assert done.returncode == code, done.stderr
    assert arrived(eventlog_console) == Counter(f"flushed {number}" for number in range(5))


def test_p05_flush_on_sigterm_sends_everything_and_the_process_still_dies_of_the_signal(eventlog_console):
    """Its parent sees the end it asked for."""
    done = run_with_cms(
        """
        for number in range(5):
            log.error("record %d", number)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
        """,
        eventlog_console,
        flush_on_sigterm=True,
    )

    assert done.returncode == -signal.SIGTERM, done.stderr
    assert arrived(eventlog_console) == Counter(f"record {number}" for number in range(5))


def test_p05_a_sigterm_that_strikes_inside_a_lock_of_ours_flushes_once_it_is_released(eventlog_console):
    """The threads that send want that lock. So struck SIGTERM the flush at the end of a pool's children."""
    done = run_with_cms(
        """
        from eventlog_handlers.pipeline.destination import Destination
        plain = Destination.hurry
        def hurry(self):
            Destination.hurry = plain
            os.kill(os.getpid(), signal.SIGTERM)
            plain(self)
        Destination.hurry = hurry
        for number in range(5):
            log.error("record %d", number)
        """,
        eventlog_console,
        flush_on_sigterm=True,
    )

    assert done.returncode in (0, -signal.SIGTERM), done.stderr  # the exit's own flush may be the faster
    assert "not delivered" not in done.stderr
    assert arrived(eventlog_console) == Counter(f"record {number}" for number in range(5))


def test_p05_flush_on_sigterm_comes_before_the_handler_that_was_there(eventlog_console):
    """Then the process goes on as it would have."""
    done = run(
        """
        for number in range(5):
            log.error("record %d", number)
        os.kill(os.getpid(), signal.SIGTERM)
        log.error("afterwards")
        print("goes on")
        """,
        console=eventlog_console.url,
        preamble="import signal\n"
        "signal.signal(signal.SIGTERM, lambda *_: print(f'{law()[\"pending\"]} pending'))\n"
        + preamble(flush_on_sigterm=True),
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "0 pending\ngoes on\n"
    assert arrived(eventlog_console) == Counter([*(f"record {number}" for number in range(5)), "afterwards"])


def test_p05_a_second_sigterm_right_after_the_first_does_not_end_the_flush(eventlog_console):
    """``multiprocessing`` and hypercorn send two to each of their processes."""
    eventlog_console.script.delay("cms", 0.5, times=2)
    done = run_with_cms(
        """
        from eventlog_handlers.process import exit as process_exit, sigterm
        sigterm._REPEATED_SECONDS = 60.0  # on a slow machine, too
        plain = process_exit.flush_all
        def flush_all(timeout):
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
            plain(timeout)
        process_exit.flush_all = flush_all
        for number in range(5):
            log.error("record %d", number)
        os.kill(os.getpid(), signal.SIGTERM)
        """,
        eventlog_console,
        flush_on_sigterm=True,
    )

    assert done.returncode == -signal.SIGTERM, done.stderr
    assert done.stderr == ""
    assert arrived(eventlog_console) == Counter(f"record {number}" for number in range(5))


def test_p05_a_second_sigterm_ends_the_flush(hung):
    """With a service that hangs and all the patience of the world."""
    script = "log.error('one')\nprint('logged')\ntime.sleep(60)\n"
    with operate(script, endpoint=hung, exit_timeout=60, flush_on_sigterm=True, **KEYS) as process:
        process.wait_for_output("logged")

        def terminated():
            process.process.send_signal(signal.SIGTERM)
            return process.process.poll() is not None

        eventually(terminated, "the end", seconds=20)

        assert process.process.returncode == -signal.SIGTERM
        assert "1 event(s) not delivered when the process ended" in process.output()


STRUCK = """
from eventlog_handlers.pipeline.worker import Worker
signal.signal(signal.SIGQUIT, lambda *_: sys.exit(0))
def struck(step):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left >= 0:
            os.kill(os.getpid(), signal.SIGQUIT)
        return step(*args, **kwargs)
    return call
Worker.STEP = struck(Worker.STEP)
log.error("one")
"""


@pytest.mark.parametrize("signals", [1, 4])
@pytest.mark.parametrize("step", ["start_flush", "finish_flush", "end_threads", "has_threads_to_end"])
def test_p05_a_signal_handler_that_exits_while_the_process_ends_changes_nothing(
    eventlog_console, step, signals
):
    """As gunicorn's for SIGQUIT does: the end that it asks for is under way."""
    done = run_with_cms(f"left = {signals}" + STRUCK.replace("STEP", step), eventlog_console)

    assert (done.returncode, done.stderr) == (0, "")
    assert arrived(eventlog_console) == Counter(["one"])


def test_p06_a_second_ctrl_c_ends_the_flush(hung):
    """The first one ends the program, whose exit waits for the service; the second says that is enough."""
    script = (
        "log.error('one')\n"
        "try:\n    print('logged')\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('first')\n"
    )
    with operate(script, endpoint=hung, exit_timeout=60, **KEYS) as process:
        process.wait_for_output("logged")
        process.process.send_signal(signal.SIGINT)
        process.wait_for_output("first")

        for _ in range(10):  # one that comes before the flush begins ends nothing; the flush takes a minute
            process.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.process.wait(3)
                break

        assert process.process.poll() is not None
        assert process.output().count("1 event(s) not delivered when the process ended") == 1


@pytest.mark.parametrize("flush", [False, True], ids=["unflushed", "flushed"])
def test_p08_a_daemon_sends_its_own_and_what_waited_in_its_parent_dies_with_that(eventlog_console, flush):
    """The parent ends by os._exit at once; flushing before the fork is what saves its records."""
    done = run_with_cms(
        f"""
        log.error("parent 0")
        assert handler.flush(20)
        log.error("parent 1")
        assert handler.flush(20) if {flush} else law()["pending"] == 1
        if os.fork():
            os._exit(0)
        os.setsid()
        assert law()["accepted"] == 0
        log.error("daemon 0")
        log.error("daemon 1")
        """,
        eventlog_console,
    )

    assert done.returncode == 0, done.stderr
    parents = {"parent 0", "parent 1"} if flush else {"parent 0"}
    assert arrived(eventlog_console) == Counter({*parents, "daemon 0", "daemon 1"})


def test_p09_a_handler_is_neither_pickled_nor_copied_and_says_what_to_do():
    """It has threads and secrets."""
    done = run(
        """
        import copy, pickle
        for way in (pickle.dumps, copy.copy, copy.deepcopy):
            try:
                way(handler)
            except TypeError as error:
                assert "configure logging in each process" in str(error), error
                assert "canary" not in str(error)
            else:
                raise AssertionError(way)
        """,
        preamble=preamble(access_key_id="a", access_key_secret="canary"),
    )

    assert done.returncode == 0, done.stderr


POOLS = """
import logging, multiprocessing, concurrent.futures, sys
from eventlog_handlers import CMSHandler
def configure():
    if not logging.getLogger("shop").handlers:
        logging.getLogger("shop").addHandler(CMSHandler(requests_per_second=None, flush_interval=3600))
def work(number):
    configure()
    logging.getLogger("shop").error("child %d", number)
if __name__ == "__main__":
    configure()
    logging.getLogger("shop").error("parent")
    context = multiprocessing.get_context(sys.argv[2])
    if sys.argv[1] == "Process":
        children = [context.Process(target=work, args=(number,)) for number in range(6)]
        [child.start() for child in children]
        [child.join() for child in children]
    elif sys.argv[1] == "Pool":
        pool = context.Pool(2)
        pool.map(work, range(6))
        pool.close()
        pool.join()
    else:
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            list(pool.map(work, range(6)))
"""


@pytest.mark.parametrize(
    ("pool", "method"),
    [
        ("Process", "forkserver"),
        ("Pool", "fork"),
        ("Pool", "spawn"),
        ("ProcessPoolExecutor", "fork"),
        ("ProcessPoolExecutor", "spawn"),
        ("ProcessPoolExecutor", "forkserver"),
    ],
)
def test_p09_p10_children_of_pools_send_at_their_end(eventlog_console, tmp_path, pool, method):
    """Configured in the parent and inherited, or in each child: what waits in a child is sent by it."""
    script = tmp_path / "pools.py"
    script.write_text(POOLS)

    done = subprocess.run(
        [sys.executable, str(script), pool, method],
        env=environment(EVENTLOG_CONSOLE=eventlog_console.url),
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert arrived(eventlog_console) == Counter(["parent", *(f"child {number}" for number in range(6))])


def test_p13_exec_costs_what_still_waited_and_no_more(eventlog_console):
    """The new program knows nothing of the old one's memory; nor is it harmed by it."""
    done = run_with_cms(
        """
        log.error("flushed")
        assert handler.flush(20)
        log.error("waiting")
        assert law()["pending"] == 1
        os.execv(sys.executable, [sys.executable, "-c", "print('another program')"])
        """,
        eventlog_console,
    )

    assert (done.returncode, done.stdout) == (0, "another program\n"), done.stderr
    assert arrived(eventlog_console) == Counter(["flushed"])


# --- limits ------------------------------------------------------------------------------------------------


def test_p15_a_full_queue_gives_up_the_least_severe_and_counts_them(hung):
    """The service is dead; a flood of debug records costs no error, no memory and no time."""
    done = run(
        """
        for number in range(20):
            log.error("error %d", number)
        for number in range(2_000):
            log.debug("debug %d", number)
        for number in range(20):
            log.critical("critical %d", number)
        deadline = time.monotonic() + 20
        while sum(law()["dropped"].values()) < 1_940 and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        stats = law()
        assert stats["accepted"] == 2_040, stats
        assert stats["dropped"] == {"overflow": 1_940}, stats
        assert stats["dropped_by_level"] == {"DEBUG": 1_940}, stats
        assert stats["pending"] == 100, stats
        os._exit(0)
        """,
        preamble=preamble(endpoint=hung, capacity=100, **KEYS),
    )

    assert done.returncode == 0, done.stderr


def test_p16_where_threads_are_refused_a_logging_call_sends_now_and_then():
    """The first at once, the next not before a second has passed, none longer than a second."""
    refused: list[str] = []

    def refuse(run, name):
        refused.append(name)
        raise RuntimeError("can't start new thread")

    sink, clock = ScriptedSink(), ManualClock()
    worker = make_worker(sink, clock, start_thread=refuse, flush_interval=3600)
    worker._life.inline._seconds = 1.0

    delivered = []
    for message in "abc":
        submit(worker, message)
        delivered.append(len(sink.delivered))
    clock.advance(1.5)
    submit(worker, "d")
    delivered.append(len(sink.delivered))

    assert delivered == [1, 1, 1, 4]
    assert len(refused) == 2
    assert max(sink.timeouts) <= 1.0
    assert_law(worker.stats())


def test_p16_a_real_limit_of_threads_loses_nothing(eventlog_console):
    """RLIMIT_NPROC, as ``ulimit -u`` sets it; root is exempt from it and so becomes nobody first."""
    done = run_with_cms(
        """
        import resource
        log.error("warm")  # imports, while files can still be read
        assert handler.flush(20)
        handler.close()
        deadline = time.monotonic() + 20
        while handler.stats()["threads"] and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        if os.geteuid() == 0:
            os.setuid(65534)
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        try:
            threading.Thread(target=print).start()
        except RuntimeError:
            pass
        else:
            sys.exit("threads are not refused here")
        for number in range(5):
            log.error("record %d", number)
        assert law()["delivered"] >= 2, law()
        """,
        eventlog_console,
    )

    if done.stderr.startswith("threads are not refused here"):
        pytest.skip("this system doesn't enforce RLIMIT_NPROC")
    assert done.returncode == 0, done.stderr
    assert arrived(eventlog_console) == Counter(["warm", *(f"record {number}" for number in range(5))])


SUBINTERPRETER = """
import os, sys
try:
    import _interpreters as interpreters  # 3.13
except ImportError:
    try:
        import _xxsubinterpreters as interpreters
    except ImportError:
        sys.exit("no subinterpreters")
problem = interpreters.run_string(interpreters.create(), '''
import logging, sys
sys.path[:0] = PATH
try:
    import requests
    from eventlog_handlers import CMSHandler
except ImportError as error:
    print("cannot import:", error, flush=True)
else:
    handler = CMSHandler(requests_per_second=None)
    logging.getLogger("shop").addHandler(handler)
    logging.getLogger("shop").error("from a subinterpreter")
    assert handler.flush(20), handler.stats()
''')
assert not problem, problem
sys.stdout.flush()
os._exit(0)
"""


def test_p16_a_subinterpreter_that_refuses_threads_is_served(eventlog_console):
    """Daemon threads are refused in an isolated one: the logging call sends by itself."""
    done = run("", console=eventlog_console.url, preamble=SUBINTERPRETER.replace("PATH", repr(sys.path)))

    if "no subinterpreters" in done.stderr:
        pytest.skip("no subinterpreters in this Python")
    assert done.returncode == 0, done.stderr
    if "cannot import" in done.stdout:
        pytest.skip(f"not importable in a subinterpreter: {done.stdout.strip()}")
    assert arrived(eventlog_console) == Counter(["from a subinterpreter"])


# --- the worker's death ------------------------------------------------------------------------------------

DEATHS = [SystemExit, KeyboardInterrupt, MemoryError, RecursionError, GeneratorExit]


class MortalBuffer(MemoryBuffer):
    """Dies once in the method told."""

    def __init__(self, method: str, error: type[BaseException]) -> None:
        super().__init__(capacity=100, capacity_bytes=1_000_000, policy="drop_lowest", clock=clock.monotonic)
        original = getattr(self, method)

        def die_once(*args: Any, **kwargs: Any) -> Any:
            setattr(self, method, original)
            raise error("injected")

        setattr(self, method, die_once)


@pytest.mark.parametrize("error", DEATHS, ids=lambda error: error.__name__)
@pytest.mark.parametrize("place", ["render", "encode", "send", "lease", "ready_in"])
def test_p17_whatever_kills_the_worker_the_rest_is_delivered_and_the_law_holds(place, error, monkeypatch):
    """Once, at each place where foreign code or much memory is involved, on a real thread."""
    monkeypatch.setattr("eventlog_handlers.pipeline.thread_pool._RESTART_SECONDS", 0.01)
    sink = ScriptedSink()
    died: list[str] = []

    def once(function):
        def call(*args: Any, **kwargs: Any) -> Any:
            if not died:
                died.append(place)
                raise error("injected")
            return function(*args, **kwargs)

        return call

    options: dict[str, Any] = {}
    if place in ("lease", "ready_in"):
        options["buffer"] = lambda: MortalBuffer(place, error)
    worker = make_worker(
        sink,
        clock.monotonic,
        flush_interval=0.0,
        start_thread=lambda run, name: threading.Thread(target=run, name=name, daemon=True).start(),
        **options,
    )
    if place == "render":
        worker._life.turns._render = once(worker._life.turns._render)
    elif place in ("encode", "send"):
        setattr(sink, place, once(getattr(sink, place)))

    accepted = {submit(worker, f"record {number}") for number in range(20)}

    assert worker.flush(20)
    stats = worker.stats()
    assert_law(stats)
    assert stats["pending"] == 0
    lost = sum(stats["dropped"].values())
    assert lost <= (1 if place in ("render", "encode") else 0), stats
    delivered = [event.id for event in sink.delivered]
    assert len(set(delivered)) == len(delivered) == stats["delivered"]
    assert len(accepted & set(delivered)) == 20 - lost
    assert stats["accepted"] - 20 <= 1  # the event that tells of the loss


def test_p18_without_file_descriptors_everything_waits_and_then_arrives(eventlog_console):
    """Nothing can be opened, not even a module, from the very first record on; nothing is raised."""
    done = run_with_cms(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        held = []
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        for number in range(5):
            log.error("record %d", number)
        assert not handler.flush(1.5)
        assert law()["pending"] == 5, law()
        for descriptor in held:
            os.close(descriptor)
        """,
        eventlog_console,
        exit_timeout=30,
    )

    assert done.returncode == 0, done.stderr
    assert arrived(eventlog_console) == Counter(f"record {number}" for number in range(5))


# --- green threads -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["first", "late"])
def test_p22_gevent(eventlog_console, when):
    """Patched first or late everything is sent, forks included, and nothing stands still."""
    pytest.importorskip("gevent", reason="gevent is not installed")
    patch = "from gevent import monkey; monkey.patch_all()\n"

    done = run(
        f"""
        {patch if when == "late" else "pass"}
        import gevent
        def work(number):
            log.error("record %d", number)
            gevent.sleep(0)
        gevent.joinall([gevent.spawn(work, number) for number in range(10)])
        assert handler.flush(20), law()
        child = os.fork()
        if child == 0:
            log.error("child")
            os._exit(0 if handler.flush(20) else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert law()["own_traffic"] == 0
        from eventlog_handlers.process.fork import fork_gate
        handler.close()
        deadline = time.monotonic() + 20
        while handler.stats()["threads"] and time.monotonic() < deadline:
            time.sleep(0.01)
        fork_gate.ENDING_SECONDS = 30
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert time.monotonic() - started < 15  # no fork waits for the thread that all green ones live in
        """,
        console=eventlog_console.url,
        preamble=(patch if when == "first" else "") + preamble(),
    )

    assert done.returncode == 0, done.stderr
    assert arrived(eventlog_console) == Counter(["child", *(f"record {number}" for number in range(10))])


def test_p22_gevent_a_forked_child_has_no_part_in_its_parents_events(eventlog_console):
    """A fork copies the green thread that waits for the next request. The copy sends nothing, and takes
    nothing of what the child logs."""
    pytest.importorskip("gevent", reason="gevent is not installed")

    done = run(
        """
        log.error("first"); assert handler.flush(20)
        log.error("parent's")  # waits, like the green thread, until the next request is due
        time.sleep(0)
        child = os.fork()
        if child == 0:
            time.sleep(3 * handler._worker.settings.flush_interval)  # it would have been sent by now
            for number in range(3):
                log.error("child's %d", number)
                time.sleep(handler._worker.settings.flush_interval / 2)
            os._exit(0 if handler.flush(20) and law()["delivered"] == 3 else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert handler.flush(20), law()
        """,
        console=eventlog_console.url,
        preamble="from gevent import monkey; monkey.patch_all()\n" + preamble().replace("3600", "0.4"),
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    names = ["first", "parent's", *(f"child's {number}" for number in range(3))]
    assert arrived(eventlog_console) == Counter(names)


@pytest.mark.parametrize("moment", ["before it is sent", "before it is answered", "before it fails"])
@pytest.mark.parametrize("handler", ["CMSHandler", "CloudWatchEventsHandler"])
def test_p22_gevent_a_forked_child_has_no_part_in_its_parents_request(eventlog_console, handler, moment):
    """The copy of the green thread sends nothing. Its socket is closed: the answer is the parent's, whoever
    looks first."""
    pytest.importorskip("gevent", reason="gevent is not installed")
    service = "cms" if handler == "CMSHandler" else "cloudwatch"
    eventlog_console.script.delay(service, 0.0)
    eventlog_console.script.delay(service, 1.0)

    done = run(
        f"""
        import urllib3
        from eventlog_handlers.transport.call import here
        plain = urllib3.HTTPConnectionPool._get_conn
        def slow(pool, timeout=None):
            connection = plain(pool, timeout)
            time.sleep(0.3)
            if {moment == "before it fails"} and here.call.is_parents():
                raise OSError("no connection in the copy")
            return connection
        if {moment != "before it is answered"}:  # where a green thread waits to see whether it was closed
            urllib3.HTTPConnectionPool._get_conn = slow
        handler.close()
        log.removeHandler(handler)
        {"from eventlog_handlers import CloudWatchEventsHandler" if service == "cloudwatch" else ""}
        handler = {handler}(scope="process")
        log.addHandler(handler)
        log.error("first"); assert handler.flush(20)
        log.error("second")
        while handler.stats()["requests"] < 2:
            time.sleep(0.01)
        child = os.fork()
        if child == 0:
            time.sleep(0.4)
            log.error("child's")
            os._exit(0 if handler.flush(20) and law()["delivered"] == 1 else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert handler.flush(20), law()
        assert law()["failed_requests"] == law()["retried"] == 0, law()
        """,
        console=eventlog_console.url,
        preamble="from gevent import monkey; monkey.patch_all()\n" + preamble(),
        AWS_ACCESS_KEY_ID="a",
        AWS_SECRET_ACCESS_KEY="b",
        AWS_DEFAULT_REGION="eu-west-1",
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(eventlog_console.events(service)) == 3


# --- flush -------------------------------------------------------------------------------------------------


def test_p23_fifty_threads_flush_at_once_each_its_own(eventlog_console):
    """Each waits for what it logged itself, and finds it settled."""
    done = run_with_cms(
        """
        settled = []
        def work(number):
            for turn in range(4):
                log.error("thread %d record %d", number, turn)
                settled.append(handler.flush(60))
        threads = [threading.Thread(target=work, args=(number,)) for number in range(50)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert settled == [True] * 200, settled
        assert law()["delivered"] == 200, law()
        """,
        eventlog_console,
    )

    assert done.returncode == 0, done.stderr
    assert arrived(eventlog_console) == Counter(
        f"thread {number} record {turn}" for number in range(50) for turn in range(4)
    )


def test_p23_flush_on_the_workers_own_thread_says_no_at_once():
    """It would wait for itself. The events are delivered all the same."""
    answers: list[bool] = []
    sink = ScriptedSink()
    worker = make_worker(
        sink,
        clock.monotonic,
        flush_interval=0.0,
        start_thread=lambda run, name: threading.Thread(target=run, name=name, daemon=True).start(),
    )
    render = worker._life.turns._render

    def render_and_flush(captured):
        answers.append(worker.flush(60))
        return render(captured)

    worker._life.turns._render = render_and_flush
    submit(worker, "one")

    assert worker.flush(20)
    assert answers == [False]
    assert [event.message for event in sink.delivered] == ["one"]
    assert_law(worker.stats())


def test_p23_a_wait_that_signals_strike_ends_when_its_time_is_over():
    """``SimpleQueue.get`` waits for ever before CPython 3.13 where a signal handler runs past the timeout."""
    done = run(
        """
        import faulthandler, queue
        from eventlog_handlers.process import green
        faulthandler.dump_traceback_later(50, exit=True)
        signal.signal(signal.SIGALRM, lambda *_: [None for _ in range(3000)])
        signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
        never = green.TokenQueue()
        for _ in range(2000):
            assert not green.get(never, 0.001)
        signal.setitimer(signal.ITIMER_REAL, 0)
        never.put()
        never.put()  # a second one changes nothing
        assert not never.empty()
        assert green.get(never, 0.001) and not green.get(never, 0.001)
        assert never.empty()
        """,
        preamble="import signal\n",
        timeout=60,
    )

    assert done.returncode == 0, done.stderr


def test_p23_flush_within_flush_from_a_signal_handler(eventlog_console):
    """Signals land anywhere in it, at a high rate; each inner flush has a deadline of its own."""
    done = run_with_cms(
        """
        inner = []
        is_inside = False
        def on_signal(*_):
            global is_inside
            if not is_inside and len(inner) < 100:
                is_inside = True
                log.error("signal %d", len(inner))
                inner.append(handler.flush(0.05))
                is_inside = False
        signal.signal(signal.SIGALRM, on_signal)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        number = 0
        deadline = time.monotonic() + 40
        while len(inner) < 100 and time.monotonic() < deadline:
            log.error("main %d", number)
            number += 1
            handler.flush(5)
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert len(inner) == 100
        assert handler.flush(20), law()
        stats = law()
        assert stats["delivered"] == stats["accepted"] == number + 100, stats
        print(number)
        """,
        eventlog_console,
    )

    assert done.returncode == 0, done.stderr
    found = arrived(eventlog_console)
    assert sum(found.values()) == int(done.stdout) + 100
    assert set(found.values()) == {1}


def test_p23_a_flush_from_a_signal_handler_inside_a_lock_of_ours_does_not_wait_in_vain(eventlog_console):
    """The threads that send want that lock. The record of the signal handler goes with the others."""
    done = run_with_cms(
        """
        from eventlog_handlers.pipeline.tickets import Tickets
        def on_signal(*_):
            log.error("from the signal")
            started = time.monotonic()
            assert not handler.flush(30)
            assert time.monotonic() - started < 25
            print("went on")
        signal.signal(signal.SIGUSR1, on_signal)
        plain = Tickets.add
        def add(self, ticket):
            Tickets.add = plain
            os.kill(os.getpid(), signal.SIGUSR1)
            plain(self, ticket)
        Tickets.add = add
        log.error("main")
        assert handler.flush(30), law()
        """,
        eventlog_console,
    )

    assert (done.returncode, done.stdout) == (0, "went on\n"), done.stderr
    assert arrived(eventlog_console) == Counter(["main", "from the signal"])


# --- time --------------------------------------------------------------------------------------------------


def test_p24_a_process_that_was_stopped_goes_on_where_it_stood(eventlog_console):
    """SIGSTOP, SIGCONT: what waited and what comes after arrive."""
    script = (
        "log.error('before')\nassert handler.flush(20)\nlog.error('waiting')\nprint('ready')\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\nlog.error('after')\nassert handler.flush(20), law()\nlaw()\n"
    )
    with operate(script, console=eventlog_console.url) as process:
        _, status = os.waitpid(process.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert arrived(eventlog_console) == Counter(["before"])
        process.process.send_signal(signal.SIGCONT)

        assert process.process.wait(30) == 0, process.output()

    assert arrived(eventlog_console) == Counter(["before", "waiting", "after"])


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("way", ["time.time", "freezegun"])
def test_p25_a_step_of_the_wall_clock_delays_nothing(eventlog_console, way, hours):
    """Batching, back-off and flush go by the monotonic clock; freezegun freezes even Python's name for it."""
    eventlog_console.cms.skew_seconds = None
    freeze = {
        "time.time": f"real = time.time; time.time = lambda: real() + {hours * 3600}",
        "freezegun": f"import freezegun, datetime; freezegun.freeze_time(datetime.datetime.now("
        f"datetime.timezone.utc) + datetime.timedelta(hours={hours})).start()",
    }[way]

    done = run(
        f"""
        log.error("before")
        assert handler.flush(20)
        log.error("waiting")
        {freeze}
        log.error("after")
        deadline = time.clock_gettime(time.CLOCK_MONOTONIC) + 20
        while handler.stats()["pending"] and time.clock_gettime(time.CLOCK_MONOTONIC) < deadline:
            threading.Event().wait(0.02)
        assert law()["pending"] == 0, law()  # by flush_interval alone
        """,
        console=eventlog_console.url,
        preamble=preamble().replace("flush_interval=3600", "flush_interval=0.3"),
    )

    assert done.returncode == 0, done.stderr
    assert arrived(eventlog_console) == Counter(["before", "waiting", "after"])


def test_p26_without_the_gil_threads_lose_nothing(eventlog_console):
    """Deques and SimpleQueue only between emit and worker; counters stand under a lock."""
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("this Python has a GIL")
    done = run_with_cms(
        """
        def work(number):
            for turn in range(250):
                log.error("thread %d record %d", number, turn)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert handler.flush(60)
        assert law()["delivered"] == 2_000, law()
        """,
        eventlog_console,
    )

    assert done.returncode == 0, done.stderr
    assert len(arrived(eventlog_console)) == 2_000


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="nothing here tells of another's threads")
def test_p07_a_fork_waits_until_a_thread_that_ends_is_gone():
    """While it ends, after its last line of Python, OpenSSL takes a lock that no child would see open."""
    gate = fork.ForkGate()
    has_said_so, may_end, forked = threading.Event(), threading.Event(), threading.Event()

    def end() -> None:
        gate.ends()
        has_said_so.set()
        may_end.wait(30)

    def fork_now() -> None:
        gate.before_fork()
        forked.set()

    ending, forking = threading.Thread(target=end), threading.Thread(target=fork_now)
    looks: list[int] = []
    is_alive = fork._is_alive

    def look(thread_id: int) -> bool:
        looks.append(thread_id)
        if len(looks) == 3:
            may_end.set()
        return is_alive(thread_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fork, "_is_alive", look)
        ending.start()
        has_said_so.wait(30)
        forking.start()
        forking.join(30)
        ending.join(30)
        looked = tuple(looks)
        gate.after_fork_in_parent()
        gate.before_fork()  # it is remembered no longer

    assert forked.is_set()
    assert len(looked) >= 3
    assert set(looked) == {ending.native_id}
    assert tuple(looks) == looked


def test_p07_each_thread_of_ours_says_when_it_ends(eventlog_console):
    """Else the gate has nobody to wait for."""
    done = run(
        """
        from eventlog_handlers.process.fork import fork_gate
        said = []
        fork_gate.ends = lambda: said.append(threading.current_thread().name)
        log.error("one")
        from eventlog_handlers import flush
        assert flush(20)
        logging.shutdown()  # parks: the threads end now
        deadline = time.monotonic() + 20
        while any(thread.name.startswith("eventlog-") for thread in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert {name.partition("-")[0] for name in said} == {"eventlog"} and len(said) >= 3, said
        """,
        console=eventlog_console.url,
    )
    assert done.returncode == 0, done.stderr


def test_p07_the_main_thread_is_never_taken_for_one_that_ends():
    """A green thread says that it ends in the thread it lives in: each fork would wait for that one."""
    gate = fork.ForkGate()

    gate.ends()

    assert not gate._ending


def test_p07_a_thread_inside_the_gate_may_fork_and_log_while_it_forks():
    """It never waits for itself."""
    gate = fork.ForkGate()
    gate.GATE_SECONDS = 60.0

    with gate.no_fork():
        gate.before_fork()
        with gate.no_fork():  # another library's fork hook logs
            pass
        gate.after_fork_in_parent()

    assert not gate._inside
    assert not gate._forking


def test_p07_nobody_enters_while_another_thread_forks_and_a_fork_waits_for_those_inside():
    """Both sides look after they have said what they do."""
    gate, inside, may_leave, steps = fork.ForkGate(), threading.Event(), threading.Event(), []

    def stay() -> None:
        with gate.no_fork():
            inside.set()
            may_leave.wait(30)
            steps.append("left")
        with gate.no_fork():
            steps.append("entered again")

    thread = threading.Thread(target=stay)
    thread.start()
    assert inside.wait(30)
    sleep = time.sleep

    def look(seconds: float) -> None:
        may_leave.set()  # only once the fork has been announced
        sleep(seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fork.time, "sleep", look)
        gate.before_fork()
    steps.append("forks")
    gate.after_fork_in_parent()
    thread.join(30)

    assert steps == ["left", "forks", "entered again"]


def test_p07_a_thread_inside_may_enter_again_while_another_forks():
    """The fork waits for this thread, so this thread must not wait for the fork."""
    gate = fork.ForkGate()
    gate.GATE_SECONDS = 60.0
    announced, has_forked = threading.Event(), threading.Event()

    def forks() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fork.time, "sleep", lambda _: announced.set() or has_forked.wait(0.001))
            gate.before_fork()
        has_forked.set()
        gate.after_fork_in_parent()

    thread = threading.Thread(target=forks)
    with gate.no_fork():
        thread.start()
        assert announced.wait(30)
        started = time.monotonic()
        with gate.no_fork():
            pass
        assert time.monotonic() - started < 30
        assert not has_forked.is_set()
    assert has_forked.wait(30)
    thread.join(30)


def test_p07_ctrl_c_at_any_moment_leaves_the_gate_open(eventlog_console):
    """A thousand interrupts land in the gate; no stay and no fork is left behind."""
    done = run_with_cms(
        """
        from eventlog_handlers.process.fork import ForkGate
        gate = ForkGate()
        interrupts = 0
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        def pass_through():
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0002)
                while True:
                    with gate.no_fork() as leave:
                        leave()
                    gate.before_fork()
                    gate.after_fork_in_parent()
            except KeyboardInterrupt:
                return
        for _ in range(1_000):
            pass_through()
        assert not gate._inside, gate._inside
        entered = []
        def enter():
            with gate.no_fork():
                entered.append(True)
        gate._forking.clear()  # what an interrupt in after_fork_in_parent left is over by itself after 6 s
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join(30)
        assert entered
        gate.GATE_SECONDS = 60
        started = time.monotonic()
        gate.before_fork()
        assert time.monotonic() - started < 30
        """,
        eventlog_console,
    )

    assert done.returncode == 0, done.stderr


def test_p21_what_we_say_on_a_stderr_that_logs_is_no_event():
    """Programs send stderr into logging; with the service down each line would breed the next one."""
    done = run(
        """
        class Stream:
            def write(self, text):
                if text.strip():
                    lines.append(text)
                    logging.getLogger("shop.stderr").error("%s", text)
            def flush(self):
                pass
        lines = []
        sys.stderr = Stream()
        log.error("one")
        handler.flush(0.3)
        handler.close()
        log.error("two")
        """,
        preamble="""
import atexit
@atexit.register
def tell():
    stats = law()
    assert lines, "nothing was said"
    print(stats["accepted"], stats["own_traffic"] == len(lines))
"""
        + preamble(endpoint="http://127.0.0.1:1", exit_timeout=0.5, **KEYS),
    )

    assert (done.returncode, done.stdout) == (0, "2 True\n"), done.stderr
