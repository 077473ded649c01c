"""Records at the very end: after the last exit hook, and while the interpreter takes itself apart.

Then every other thread stands still for ever, and nothing can be imported. Each end must end the process.
"""

from __future__ import annotations

import re
import sys
import sysconfig
import time
from typing import Any

import pytest
from faultserver import FaultServer, Reply
from processes import run, run_file

PREAMBLE = """
import asyncio, atexit, gc, logging, os, sys, threading, time
import eventlog_handlers
log = logging.getLogger("shop")
handler = eventlog_handlers.configure(DSN, **OPTIONS)

async def forever():
    await asyncio.Event().wait()

async def main():
    global pending
    pending = asyncio.get_running_loop().create_task(forever())
    await asyncio.sleep(0)
    loop.stop()

def leave_a_task_pending():
    # The loop and its task are destroyed with the module, after the last hook: asyncio logs from __del__.
    global loop
    loop = asyncio.new_event_loop()
    loop.create_task(main())
    loop.run_forever()

def threads_of_ours():
    return [thread for thread in threading.enumerate() if thread.name.startswith("eventlog-")]
"""
DESTROYED = "Task was destroyed but it is pending!"
DSNS = {"cms": "cms://cn-hangzhou", "guance": "guance://cn1", "cloudwatch": "cloudwatch://default"}
KEYS = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "a",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "b",
    "DF_API_KEY": "k",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def preamble(service: str, **options: Any) -> str:
    options = {"exit_timeout": 5, **options}
    return PREAMBLE.replace("DSN", repr(DSNS[service])).replace("OPTIONS", repr(options))


CREATED = b'{"code":200,"content":true,"errorCode":"","message":"","success":true,"traceId":"1"}'

STATES = {
    "its first record": "",
    "a thread that lingers": "log.error('warm-up'); assert handler.flush(20); assert threads_of_ours()",
    "a handler closed before": "log.error(1); handler.close(); log.error(2); assert handler.flush(20)",
    "a dead service": "log.error('waits'); handler.flush(0.5)",
}


def skip_where_nothing_is_collected(state: str) -> None:
    """CPython 3.13 without the GIL keeps classes and functions for ever once a thread was started (PEP 703).

    What such a class's ``__del__`` would do at the end never happens there; from 3.14 on it does.
    """
    keeps_them = sysconfig.get_config_var("Py_GIL_DISABLED") and sys.version_info < (3, 14)
    if keeps_them and state != "its first record":
        pytest.skip("this CPython collects no such object once a thread was started")


LEAVE = "leave_a_task_pending()\nsys.stderr.write(f'END {time.monotonic()}\\n')\n"


def seconds_to_end(stderr: str) -> float:
    """From the last line of the script to the end of its process, which is about now."""
    return time.monotonic() - float(re.search(r"END ([\d.]+)", stderr)[1])


@pytest.mark.parametrize("service", DSNS)
@pytest.mark.parametrize("state", [state for state in STATES if state != "a dead service"])
def test_p27_a_record_while_the_interpreter_takes_itself_apart_ends_the_process(
    eventlog_console, service, state
):
    """One pending task of asyncio is enough. Nothing can be sent any more, which is told."""
    skip_where_nothing_is_collected(state)
    done = run(
        f"{STATES[state]}\n{LEAVE}",
        console=eventlog_console.url,
        preamble=preamble(service),
        timeout=30,
        **KEYS,
    )
    took = seconds_to_end(done.stderr)

    assert done.returncode == 0, done.stderr
    assert "1 event(s) not delivered when the process ended" in done.stderr
    assert not any(DESTROYED in str(event.body) for event in eventlog_console.events(service))
    assert took < 4, done.stderr  # less than exit_timeout: nothing waited for what stands still


@pytest.mark.parametrize(
    "options", [{}, {"durability": "commit"}, {"when_full": "block", "capacity": 1}], ids=str
)
@pytest.mark.parametrize("state", ["its first record", "a dead service"])
def test_p27_it_ends_with_every_way_into_the_pipeline(tmp_path, state, options):
    """A thread that is stuck in a request when the interpreter ends holds nobody up afterwards."""
    if "durability" in options:
        options = {**options, "spool": str(tmp_path)}
    with FaultServer(Reply(hang_at=0)) as server:
        done = run(
            f"{STATES[state]}\n{LEAVE}",
            preamble=preamble("guance", endpoint=server.url, **{**options, "exit_timeout": 0.5}),
            timeout=30,
            **KEYS,
        )
        took = seconds_to_end(done.stderr)

    assert done.returncode == 0, done.stderr
    left = ["not delivered when the process ended"]
    if options.get("durability"):  # a file can be opened by then only if nothing has to be imported for it
        left = ["stay in the spool for the next process", *(left if state == "its first record" else [])]
    assert any(words in done.stderr for words in left), done.stderr
    assert took < 10, done.stderr


LAST_ACTS = {
    "flush": "handler.flush()",
    "flush with a timeout": "handler.flush(60)",
    "close": "handler.close()",
    "the package's flush": "eventlog_handlers_flush(60)",
    "a record": "log.error('late')",
    "many records": "[log.error('late %d', number) for number in range(300)]",
}


@pytest.mark.parametrize("act", LAST_ACTS)
@pytest.mark.parametrize("state", STATES)
def test_p27_whatever_an_object_does_as_the_interpreter_collects_it_the_process_ends(state, act):
    """``__del__`` may log, flush and close at a time when no thread runs any more."""
    with FaultServer(Reply(hang_at=0) if state == "a dead service" else Reply(CREATED)) as server:
        done = run(
            f"""
            from eventlog_handlers import flush as eventlog_handlers_flush
            {STATES[state]}
            class Last:
                def __del__(self, act=lambda: {LAST_ACTS[act]}):
                    act()
            last = Last()
            last.me = last  # so that only the collector ends it
            gc.disable()
            sys.stderr.write(f"END {{time.monotonic()}}\\n")
            """,
            preamble=preamble("guance", endpoint=server.url, exit_timeout=0.5, timeout=[1, 1]),
            timeout=40,
            **KEYS,
        )
        took = seconds_to_end(done.stderr)

    assert done.returncode == 0, done.stderr
    assert took < 15, done.stderr


def test_p27_after_the_last_hook_no_thread_starts_and_what_comes_is_sent(eventlog_console):
    """Hooks registered before logging was imported run after ours; the thread that logs sends them."""
    done = run(
        """
        log.error("usual")
        assert handler.flush(20)
        """,
        console=eventlog_console.url,
        preamble="""
import atexit
@atexit.register
def late():
    started = []
    start = threading.Thread.start
    threading.Thread.start = lambda thread: (started.append(thread.name), start(thread))
    for number in range(3):
        log.error("late %d", number)
    assert not threads_of_ours(), threads_of_ours()
    assert not started, started
    print("done")
"""
        + preamble("cms", requests_per_second=None),
        **KEYS,
    )

    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    contents = [event.body["Content"].splitlines()[0] for event in eventlog_console.events("cms")]
    assert sorted(content.partition(" ")[2] for content in contents) == [
        "late 0",
        "late 1",
        "late 2",
        "usual",
    ]


def test_p27_the_first_record_of_a_program_may_come_after_logging_was_shut_down(eventlog_console):
    """It is sent in the thread that logs: no hook comes after it, and a thread would be cut off."""
    done = run(
        "",
        console=eventlog_console.url,
        preamble="import atexit\natexit.register(lambda: log.error('first and last'))\n" + preamble("cms"),
        **KEYS,
    )

    assert done.returncode == 0, done.stderr
    assert [event.body["Content"].splitlines()[0] for event in eventlog_console.events("cms")] == [
        "ERROR first and last"
    ]


def hangs_first(times: int) -> list[Reply]:
    return [Reply(hang_at=0)] * times + [Reply(CREATED)]


def test_p28_threads_that_outlive_main_have_a_flush_and_an_end_of_their_own():
    """Main's end spends nothing of the budget while another thread keeps the process alive."""
    with FaultServer(*hangs_first(1)) as server:
        done = run(
            """
            def work():
                threading.main_thread().join()
                deadline = time.monotonic() + 30
                while handler.stats()["pending"]:  # what main could not send in time
                    assert time.monotonic() < deadline
                    threading.Event().wait(0.02)
                log.error("in between")
                assert handler.flush()  # with the whole of exit_timeout
                log.error("last words")
                print("end")
            log.error("first")
            threading.Thread(target=work).start()
            """,
            preamble=preamble(
                "guance", endpoint=server.url, exit_timeout=2, timeout=[1, 2], flush_interval=60
            ),
            **KEYS,
        )
        arrived = [
            re.search(r"first|in between|last words", str(request.body))[0] for request in server.requests
        ]

    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr
    assert "Traceback" not in done.stderr
    assert "not delivered" not in done.stderr
    assert arrived == ["first", "first", "in between", "last words"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_p28_threads_that_outlive_the_target_of_a_child_have_their_last_words(
    eventlog_console, tmp_path, method
):
    """multiprocessing joins them, after its finalizers or before, and then leaves by os._exit."""
    script = tmp_path / "children.py"
    script.write_text(
        """
import logging, multiprocessing, sys, threading
import eventlog_handlers
def late(done):
    done.wait(30)
    logging.error("last words")
def work():
    from multiprocessing import util
    over = threading.Event()
    threading._register_atexit(over.set)  # after ours: from CPython 3.14 on it joins before its finalizers
    eventlog_handlers.configure("cms://cn-hangzhou", flush_interval=60)
    logging.error("first")
    assert eventlog_handlers.flush(20)
    util.Finalize(None, over.set, exitpriority=-200)  # after ours
    threading.Thread(target=late, args=(over,)).start()
if __name__ == "__main__":
    child = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    child.start()
    child.join(60)
    sys.exit(child.exitcode)
"""
    )

    done = run_file(script, method, console=eventlog_console.url)

    assert done.returncode == 0, done.stderr
    texts = [event.body["Content"].splitlines()[0] for event in eventlog_console.events("cms")]
    assert texts == ["ERROR first", "ERROR last words"], done.stderr


STATES_AT_REST = {
    "its first record": "",
    "a handler that rests": "log.error('warm-up'); assert handler.flush(20)",
    "a handler closed before": "log.error(1); handler.close()",
}
SPY = """
import builtins, sys
def tell(name, *rest, plain=builtins.__import__, write=sys.stderr.write, getframe=sys._getframe):
    if "eventlog_handlers" in getframe(1).f_code.co_filename:
        write(f"IMPORT {name}\\n")
    return plain(name, *rest)
"""
KEEPS = {"memory": {}, "spool": {}, "commit": {"durability": "commit"}}


@pytest.mark.parametrize("keeps", KEEPS)
@pytest.mark.parametrize("state", STATES_AT_REST)
@pytest.mark.parametrize("service", DSNS)
def test_p27_nothing_is_imported_while_the_interpreter_takes_itself_apart(
    eventlog_console, tmp_path, service, state, keeps
):
    """It would fail; and a thread that stands still may hold the lock of imports."""
    skip_where_nothing_is_collected(state)
    options = KEEPS[keeps] | ({"spool": str(tmp_path)} if keeps != "memory" else {})
    done = run(
        f"""
        from eventlog_handlers import flush as eventlog_handlers_flush
        def fails():
            try:
                1 / 0
            except ZeroDivisionError:
                log.exception("late")
        spy = {{}}
        exec({SPY!r}, spy)
        {STATES_AT_REST[state]}
        class Last:
            def __del__(self, builtins=spy["builtins"], tell=spy["tell"]):
                builtins.__import__ = tell
                {"; ".join([*LAST_ACTS.values(), "fails()", "handler.close()"])}
        last = Last()
        last.me = last
        gc.disable()
        """,
        console=eventlog_console.url,
        preamble=preamble(service, exit_timeout=0.5, **options),
        timeout=40,
        **KEYS,
    )

    assert done.returncode == 0, done.stderr
    assert "late" in done.stderr
    assert "IMPORT" not in done.stderr
    assert "Error" not in done.stderr.replace("ZeroDivisionError", ""), done.stderr


def test_p27_a_thread_that_imports_is_waited_for(eventlog_console, tmp_path):
    """Frozen within an import it may hold the lock of all imports, and printing a traceback imports."""
    (tmp_path / "boto3.py").write_text(
        """
import sys, time
sys.begun.set()
time.sleep(1.5)
sys.stderr.write("import went on\\n")
raise ImportError("not the real one")
"""
    )
    done = run(
        f"""
        sys.path.insert(0, {str(tmp_path)!r})
        sys.begun = threading.Event()
        log.error("first")
        assert sys.begun.wait(20)
        """,
        console=eventlog_console.url,
        preamble=preamble("cloudwatch", exit_timeout=0.1),
        timeout=40,
        **KEYS,
    )

    assert done.returncode == 0, done.stderr
    assert "1 event(s) not delivered" in done.stderr
    assert "import went on" in done.stderr
