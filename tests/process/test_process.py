"""How the handlers live through the life of a real process: exit, fork, dictConfig, signals, threads."""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections import Counter
from typing import Any

import pytest
from processes import SERVICES, run, run_file


def messages(console: Any, service: str) -> Counter[str]:
    """How often each message arrived at one service."""
    found: Counter[str] = Counter()
    for event in console.events(service):
        text = {
            "cms": lambda body: body["Content"].splitlines()[0].partition(" ")[2],
            "guance": lambda body: body["title"],
            "cloudwatch": lambda body: __import__("json").loads(body["Detail"])["message"],
        }[service](event.body)
        found[text] += 1
    return found


def assert_once_each(console: Any, expected: set[str]) -> None:
    for service in SERVICES:
        assert messages(console, service) == Counter(expected), service


ENDINGS = {
    "main ends": ("pass", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "unhandled exception": ("raise RuntimeError('unhandled')", 1),
    "KeyboardInterrupt": (
        "import signal; os.kill(os.getpid(), signal.SIGINT); time.sleep(10)",
        1 if sys.version_info < (3, 14) else -signal.SIGINT,  # of python -c
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_p01_what_was_logged_arrives_however_the_program_ends(eventlog_console, ending):
    """The exit hooks send what is still buffered, batches of one handler beside those of the others."""
    last, code = ENDINGS[ending]

    done = run(
        f"""
        for number in range(30):
            log.error("record %d", number)
        {last}
        """,
        console=eventlog_console.url,
    )

    assert done.returncode == code, done.stderr
    assert_once_each(eventlog_console, {f"record {number}" for number in range(30)})


def test_p02_records_from_threads_and_atexit_hooks_after_main_arrive(eventlog_console):
    """Non-daemon threads outlive main, and exit hooks may log before and after ours."""
    done = run(
        """
        import atexit
        atexit.register(lambda: log.error("hook registered before the first record"))
        def late():
            threading.main_thread().join()
            log.error("thread after main")
        threading.Thread(target=late).start()
        log.error("first")
        atexit.register(lambda: log.error("hook registered after the first record"))
        """,
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    assert_once_each(
        eventlog_console,
        {
            "first",
            "thread after main",
            "hook registered before the first record",
            "hook registered after the first record",
        },
    )


def test_p02_the_only_record_of_a_program_may_come_in_an_exit_hook(eventlog_console):
    """Also where the interpreter no longer starts threads, and with boto3 not yet imported."""
    done = run(
        """
        import atexit
        atexit.register(lambda: log.error("only one"))
        """,
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    assert_once_each(eventlog_console, {"only one"})


HUNG = """
handlers = {
    "cms": {
        "class": "eventlog_handlers.CMSHandler", "endpoint": URL,
        "access_key_id": "a", "access_key_secret": "b",
    },
    "guance": {
        "class": "eventlog_handlers.GuanceHandler", "endpoint": URL, "api_key": "k",
        "aggregate_seconds": None,
    },
    "cloudwatch": {
        "class": "eventlog_handlers.CloudWatchEventsHandler", "endpoint_url": URL, "region_name": "us-east-1",
    },
}
logging.config.dictConfig({
    "version": 1, "disable_existing_loggers": False, "handlers": handlers,
    "root": {"level": "INFO", "handlers": list(handlers)},
})
for number in range(30):
    log.error("record %d", number)
"""
PLAIN = "import logging, logging.config, os, sys, threading, time\nlog = logging.getLogger('shop')\n"
AWS_KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.mark.parametrize("service", ["hangs", "refuses"])
def test_p01_exit_waits_exit_timeout_at_most_whatever_the_services_do(service):
    """Three handlers and three dead services cost one exit_timeout together; the loss is told on stderr."""
    listener = socket.create_server(("127.0.0.1", 0))  # accepts connections, answers nothing
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    if service == "refuses":
        listener.close()

    done = run(
        HUNG.replace("URL", repr(url)) + "sys.stderr.write(f'END {time.monotonic()}\\n')\n",
        preamble=PLAIN,
        **AWS_KEYS,
    )
    ended = time.monotonic()
    listener.close()

    assert done.returncode == 0, done.stderr
    started = float(done.stderr.partition("END ")[2].split("\n")[0].split("eventlog")[0])
    assert ended - started < 3 * 3.0, done.stderr  # what one exit_timeout each would take
    for name in ("CMSHandler", "GuanceHandler", "CloudWatchEventsHandler"):
        assert f"eventlog_handlers: {name}: 30 event(s) not delivered when the process ended" in done.stderr


def test_c04_a_second_dict_config_neither_waits_nor_loses_with_a_hung_service():
    """dictConfig flushes and closes us under logging's own lock: it must not wait there for a worker."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        done = run(
            HUNG.replace("URL", repr(url))
            + """
from eventlog_handlers.handler import live_handlers
old = live_handlers()
started = time.perf_counter()
logging.config.dictConfig({"version": 1})
took = time.perf_counter() - started
pending = [handler.stats()["pending"] for handler in old]
assert took < 1.0, took
assert pending == [30, 30, 30], pending
os._exit(0)
""",
            preamble=PLAIN,
            **AWS_KEYS,
        )

    assert done.returncode == 0, done.stderr


def test_p03_c05_a_closed_handler_still_attached_is_revived_by_the_next_record(eventlog_console):
    """A logger that the second dictConfig doesn't name keeps its closed handler, which goes on working."""
    done = run(
        """
        log.addHandler(logging.getLogger().handlers[0])
        log.propagate = False
        log.error("before")
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
        log.error("after")
        """,
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    assert messages(eventlog_console, "cms") == Counter({"before", "after"})


def test_p21_one_record_makes_one_request_per_service_with_root_at_debug(eventlog_console):
    """What urllib3 and botocore log while sending for us never becomes an event."""
    done = run(
        """
        log.error("one")
        import eventlog_handlers
        assert eventlog_handlers.flush(20)
        own = {name: stats["own_traffic"] for name, stats in eventlog_handlers.stats().items()}
        assert own["CloudWatchEventsHandler"] > 0, own
        """,
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    assert_once_each(eventlog_console, {"one"})
    assert [len(eventlog_console.requests(service)) for service in SERVICES] == [1, 1, 1]


FORKS = 12


@pytest.mark.parametrize("way", ["os.fork", "fork without Python's hooks", "and records without a process"])
def test_p07_forked_children_send_theirs_and_none_of_the_parents(eventlog_console, way):
    """The parent still owns what it buffered; each child has a life, a thread and connections of its own."""
    fork = "os.fork()"
    before_fork = "pass"  # the parent's threads are busy sending
    if way != "os.fork":
        fork = "ctypes.PyDLL(None).fork()"
        before_fork = "alone()"  # without Python's hooks only a process of one thread survives a fork

    done = run(
        f"""
        import ctypes
        from eventlog_handlers import flush
        logging.logProcesses = {way != "and records without a process"}
        def alone():
            for handler in logging.getLogger().handlers:
                handler.close(20)  # parks: its threads end, and the next record revives it
            deadline = time.monotonic() + 20
            while len(os.listdir("/proc/self/task")) > 1:
                assert time.monotonic() < deadline, threading.enumerate()
                time.sleep(0.001)
        log.error("parent 0")
        assert flush(20)
        children = []
        for number in range({FORKS}):
            log.error("parent %d", number + 1)
            {before_fork}
            child = {fork}
            if child == 0:
                log.error("child %d a", number)
                log.error("child %d b", number)
                os._exit(0 if flush(30) else 1)
            children.append(child)
        statuses = [os.waitpid(child, 0)[1] for child in children]
        assert statuses == [0] * {FORKS}, statuses
        """,
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    assert_once_each(
        eventlog_console,
        {f"parent {number}" for number in range(FORKS + 1)}
        | {f"child {number} {letter}" for number in range(FORKS) for letter in "ab"},
    )
    ids = {event.body["Content"].rpartition("event_id")[2] for event in eventlog_console.events("cms")}
    assert len(ids) == 3 * FORKS + 1  # none has inherited the other's randomness


def test_p07_a_child_forked_while_a_thread_writes_to_stderr_sends_its_own(eventlog_console, tmp_path):
    """In that child whoever writes to the stream waits for its lock for ever: our lines take another way."""
    done = run(
        f"""
        import fcntl, signal, struct, termios, warnings
        from eventlog_handlers import flush
        warnings.simplefilter("ignore")  # of a fork beside a thread: it would wait for the lock, too
        read_fd, write_fd = os.pipe()
        os.dup2(write_fd, 2)
        room = fcntl.fcntl(write_fd, fcntl.F_GETPIPE_SZ)
        threading.Thread(target=lambda: print("x" * 2 * room, file=sys.stderr)).start()
        while struct.unpack("i", fcntl.ioctl(read_fd, termios.FIONREAD, bytes(4)))[0] < room:
            pass  # then the thread waits for room, within write()
        child = os.fork()
        if child == 0:
            signal.alarm(40)
            os.dup2(os.open({str(tmp_path / "stderr")!r}, os.O_WRONLY | os.O_CREAT), 2)
            log.error("child")
            os._exit(0 if flush(30) else 1)
        os._exit(os.waitpid(child, 0)[1] != 0)  # a normal end would wait for the thread
        """,
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    assert_once_each(eventlog_console, {"child"})
    assert "CMSHandler: EVENTLOG_CONSOLE is set" in (tmp_path / "stderr").read_text()


@pytest.mark.parametrize("fork", ["os.fork()", "ctypes.PyDLL(None).fork()"])
@pytest.mark.parametrize("depth", [1, 2], ids=["children", "grandchildren"])
def test_p07_children_forked_after_the_import_make_different_ids_and_delays(eventlog_console, fork, depth):
    """The parent has imported the package and made no handler; each child makes its own, as servers do."""
    done = run(
        f"""
        import ctypes
        from eventlog_handlers import CMSHandler
        from eventlog_handlers.process.randomness import random_fraction
        children = []
        for _ in range(4):
            child = {fork}
            if child == 0:
                if {depth} == 2:
                    child = {fork}
                    if child:
                        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
                handler = CMSHandler()
                delay = random_fraction()
                log.addHandler(handler)
                log.error("delay %r", delay)
                os._exit(0 if handler.flush(30) else 1)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
        """,
        console=eventlog_console.url,
        preamble=PLAIN,
    )

    assert done.returncode == 0, done.stderr
    contents = [event.body["Content"] for event in eventlog_console.events("cms")]
    assert len(contents) == 4
    assert len({content.partition("event_id: ")[2].split()[0] for content in contents}) == 4
    assert len({content.splitlines()[0] for content in contents}) == 4


CHILDREN = """
import logging, logging.config, multiprocessing, sys

def configure():
    if not logging.getLogger().handlers:
        logging.config.dictConfig({
            "version": 1,
            "handlers": {"cms": {"class": "eventlog_handlers.CMSHandler"}},
            "root": {"handlers": ["cms"]},
        })

def work(number):
    configure()
    logging.getLogger("shop").error("child %d", number)

if __name__ == "__main__":
    configure()
    logging.getLogger("shop").error("parent")
    context = multiprocessing.get_context(sys.argv[1])
    processes = [context.Process(target=work, args=(number,)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_p10_a_multiprocessing_child_sends_at_its_end(eventlog_console, tmp_path, method):
    """Such children end by os._exit after multiprocessing's own finalizers."""
    script = tmp_path / "children.py"
    script.write_text(CHILDREN)

    done = run_file(script, method, console=eventlog_console.url)

    assert done.returncode == 0, done.stderr
    assert messages(eventlog_console, "cms") == Counter({"parent", "child 0", "child 1", "child 2"})


def test_p19_a_signal_handler_that_logs_while_logging_deadlocks_nothing(eventlog_console):
    """A thousand signals land inside emit; every record is accepted once and arrives once."""
    done = run(
        """
        import itertools, signal
        logging.config.dictConfig({**CONFIG, "root": {"level": "INFO", "handlers": ["cms"]}})
        numbers = itertools.count()
        def on_signal(*_):
            log.error("signal %d", next(numbers))
        signal.signal(signal.SIGALRM, on_signal)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        logged = 0
        while next(numbers) < 4_000:
            log.error("main %d", logged)
            logged += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        import eventlog_handlers
        from eventlog_handlers.handler import live_handlers
        handler = [handler for handler in live_handlers() if handler.stats()["accepted"]][0]
        assert handler.flush(30)
        stats = handler.stats()
        assert stats["pending"] == 0 and not stats["dropped"], stats
        assert stats["delivered"] == stats["accepted"] >= logged, stats
        print(stats["accepted"])
        """,
        console=eventlog_console.url,
        timeout=90,
    )

    assert done.returncode == 0, done.stderr
    found = messages(eventlog_console, "cms")
    assert sum(found.values()) == int(done.stdout)
    assert max(found.values()) == 1


def test_p20_objects_that_log_when_collected_deadlock_nothing(eventlog_console):
    """__del__ may run in the middle of emit, on any thread; on the worker's own it is counted, not sent."""
    done = run(
        """
        import gc
        logging.config.dictConfig({**CONFIG, "root": {"level": "INFO", "handlers": ["cms"]}})
        gone = []
        class Loud:
            def __init__(self, number):
                self.number, self.me = number, self
            def __del__(self):
                log.error("collected %d", self.number)
                gone.append(self.number)
        gc.set_threshold(50)
        for number in range(2_000):
            Loud(number)
            log.error("main %d", number)
        while len(gone) < 2_000:  # a collection does nothing while another thread is in one
            gc.collect()
        from eventlog_handlers.handler import live_handlers
        handler = [handler for handler in live_handlers() if handler.stats()["accepted"]][0]
        assert handler.flush(30)
        stats = handler.stats()
        assert stats["accepted"] + stats["own_traffic"] >= 4_000, stats
        assert stats["delivered"] == stats["accepted"], stats
        """,
        console=eventlog_console.url,
        timeout=90,
    )

    assert done.returncode == 0, done.stderr


def test_threads_that_log_at_once_lose_nothing(eventlog_console):
    """Eight threads, no lock between them and the worker: every record once."""
    done = run(
        """
        import sys
        sys.setswitchinterval(1e-5)
        logging.config.dictConfig({**CONFIG, "root": {"level": "INFO", "handlers": ["cms", "cloudwatch"]}})
        def work(thread):
            for number in range(250):
                log.error("thread %d record %d", thread, number)
        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        import eventlog_handlers
        assert eventlog_handlers.flush(60)
        """,
        console=eventlog_console.url,
        timeout=90,
    )

    assert done.returncode == 0, done.stderr
    expected = Counter(f"thread {thread} record {number}" for thread in range(8) for number in range(250))
    assert messages(eventlog_console, "cms") == expected
    assert messages(eventlog_console, "cloudwatch") == expected


def test_an_idle_worker_ends_its_thread_and_a_record_starts_another(eventlog_console):
    """close() parks; nothing of ours stays alive between bursts."""
    done = run(
        """
        from eventlog_handlers.handler import live_handlers
        handlers = [h for h in live_handlers()]
        def ours():
            return [thread for thread in threading.enumerate() if thread.name.startswith("eventlog-")]
        log.error("one")
        for handler in handlers:
            handler.close()
        deadline = time.monotonic() + 10
        while ours() and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        assert not ours(), ours()
        log.error("two")
        """,
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    assert_once_each(eventlog_console, {"one", "two"})


def test_p16_without_threads_the_exit_hook_sends_inline(eventlog_console):
    """Where the system refuses threads, records wait and the end of the program delivers them."""
    done = run(
        """
        import threading
        def refuse(self):
            raise RuntimeError("can't start new thread")
        threading.Thread.start = refuse
        for number in range(5):
            log.error("record %d", number)
        """,
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    assert_once_each(eventlog_console, {f"record {number}" for number in range(5)})


def test_b05_flush_returns_on_time_when_the_service_never_answers():
    """However long an answer takes, flush(t) is over at t."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        done = run(
            f"""
            from eventlog_handlers import GuanceHandler
            handler = GuanceHandler(endpoint={url!r}, api_key="k")
            log.addHandler(handler)
            log.error("one")
            started = time.perf_counter()
            settled = handler.flush(0.5)
            took = time.perf_counter() - started
            assert not settled
            assert 0.4 < took < 1.5, took
            os._exit(0)
            """,
            preamble=PLAIN,
        )

    assert done.returncode == 0, done.stderr


# The log call asks for an AttributeError's lines; a line with carets is parsed.
@pytest.mark.parametrize("raises", ["raise KeyError('sku')", "raise AttributeError('sku')", "1 + {}['sku']"])
def test_p07_printing_a_first_exception_imports_nothing_that_a_fork_could_cut_in_half(
    eventlog_console, tmp_path, raises
):
    """traceback imports parts of CPython at its first use, a process that has loaded multiprocessing what
    answers SIGTERM in its children: forks wait for that."""
    (tmp_path / "shop.py").write_text(f"def fail():\n    {raises}\n", "utf-8")
    done = run(
        f"""
        sys.path.insert(0, {str(tmp_path)!r})
        import multiprocessing.util
        import shop
        from eventlog_handlers import GuanceHandler
        from eventlog_handlers.process.fork import fork_gate
        unguarded = []
        class Watch:
            def find_spec(self, name, path=None, target=None):
                if not fork_gate._inside:
                    unguarded.append(name)
        handler = GuanceHandler()
        logger = logging.Logger("shop")
        logger.addHandler(handler)
        sys.meta_path.insert(0, Watch())
        try:
            shop.fail()
        except Exception:
            logger.exception("failed")
        assert handler.flush(30), handler.stats()
        print(unguarded)
        """,
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", ["CMSHandler", "GuanceHandler", "CloudWatchEventsHandler"])
def test_p07_a_first_request_imports_nothing_that_a_fork_could_cut_in_half(eventlog_console, name):
    """Modules and codecs come with the adapter, whose making holds off forks; none comes later."""
    done = run(
        f"""
        from eventlog_handlers import {name}
        from eventlog_handlers.transport.client import HttpClient
        connect = HttpClient._connected
        def noting(client, network):
            adapter = connect(client, network)
            noting.modules = set(sys.modules)
            return adapter
        HttpClient._connected = noting
        handler = {name}()
        logger = logging.Logger("shop")
        logger.addHandler(handler)
        try:
            {{}}["sku"]
        except KeyError:
            logger.exception("failed")
        assert handler.flush(30), handler.stats()
        # Imported while forks wait, too, when the first thread comes to rest.
        looked = {{"eventlog_handlers.listening.judge", "eventlog_handlers.listening.picture"}}
        print(sorted(set(sys.modules) - noting.modules - looked))
        """,
        console=eventlog_console.url.replace("127.0.0.1", "localhost"),
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
