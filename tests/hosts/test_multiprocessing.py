"""SIGTERM in children of multiprocessing; that they send what they log is shown in ``test_matrix``."""

from __future__ import annotations

from typing import Any

import pytest
from processes import run


@pytest.mark.parametrize(
    ("before", "handled"),
    [("signal.SIG_DFL", True), ("signal.SIG_IGN", False), ("lambda *_: os._exit(3)", False)],
    ids=["default", "ignored", "the application's own"],
)
def test_p10_sigterm_is_answered_only_where_nobody_else_does(before: str, handled: bool) -> None:
    """In a child of multiprocessing; in any other process it is left alone."""
    script = f"""
    import multiprocessing, signal
    from eventlog_handlers.process import sigterm

    def child(results):
        signal.signal(signal.SIGTERM, {before})
        results.put(sigterm.install_in_multiprocessing_child())

    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    process = context.Process(target=child, args=(results,))
    process.start()
    print(results.get(), sigterm.install_in_multiprocessing_child(), signal.getsignal(signal.SIGTERM).name)
    process.join()
    """

    done = run(script, preamble="import os\n")

    assert done.stdout.split() == [str(handled), "False", "SIG_DFL"], done.stderr


MISSES = """
import fcntl, logging, multiprocessing, os, signal, sys, termios, threading
from eventlog_handlers import CMSHandler

def miss_sigterm():
    # SIGTERM strikes another thread while the main thread is in a system call: that call goes on.
    read, write = os.pipe()
    def strike():
        while not int.from_bytes(fcntl.ioctl(read, termios.FIONREAD, bytes(4)), sys.byteorder):
            pass  # the main thread's call has not begun
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    threading.Thread(target=strike, daemon=True).start()
    os.write(write, bytes(10_000_000))  # more than a pipe takes

def attached(**options):
    handler = CMSHandler(requests_per_second=None, flush_interval=3600, exit_timeout=60, **options)
    logging.getLogger("shop").addHandler(handler)

def print_how_it_ends(target):
    process = multiprocessing.get_context("fork").Process(target=target)
    process.start()
    process.join(30)
    print(process.exitcode)
    process.kill()
"""


def test_p10_a_sigterm_that_the_main_thread_misses_is_handled(eventlog_console: Any) -> None:
    """Else the end of ``with Pool()`` waits for ever for the child."""
    script = """
    def child():
        attached()
        logging.getLogger("shop").error("order A-1 is late")
        miss_sigterm()

    print_how_it_ends(child)
    """

    done = run(script, preamble=MISSES, console=eventlog_console.url)

    assert (done.stdout, done.stderr) == ("-15\n", "")
    assert [event.body["Content"].splitlines()[0] for event in eventlog_console.events("cms")] == [
        "ERROR order A-1 is late"
    ]


def test_p10_a_missed_sigterm_is_handled_in_a_child_that_inherits_the_handler_and_logs_nothing(
    eventlog_console: Any,
) -> None:
    script = """
    attached(flush_on_sigterm=True)
    print_how_it_ends(miss_sigterm)
    """

    done = run(script, preamble=MISSES, console=eventlog_console.url)

    assert (done.stdout, done.stderr) == ("-15\n", "")


def test_p10_a_child_of_a_child_that_watches_for_sigterm_watches_itself(eventlog_console: Any) -> None:
    """What the grandchild is sent concerns it alone."""
    script = """
    def grandchild():
        logging.getLogger("shop").error("order A-2 is late")
        miss_sigterm()

    def child():
        attached()
        logging.getLogger("shop").error("order A-1 is late")
        print_how_it_ends(grandchild)

    print_how_it_ends(child)
    """

    done = run(script, preamble=MISSES, console=eventlog_console.url)

    assert (done.stdout, done.stderr) == ("-15\n0\n", "")
    assert len(eventlog_console.events("cms")) == 2


@pytest.mark.parametrize(
    ("owned", "left"),
    [
        ("signal.signal(signal.SIGURG, signal.SIG_IGN)", "signal.getsignal(signal.SIGURG).name"),
        ("signal.set_wakeup_fd(owned, warn_on_full_buffer=False)", "signal.set_wakeup_fd(-1) == owned"),
    ],
    ids=["SIGURG", "wakeup descriptor"],
)
def test_p10_what_the_application_uses_is_left_to_it(owned: str, left: str, eventlog_console: Any) -> None:
    script = f"""
    def child():
        owned = os.pipe()[1]
        os.set_blocking(owned, False)
        {owned}
        attached()
        logging.getLogger("shop").error("order A-1 is late")
        print({left})

    print_how_it_ends(child)
    """

    done = run(script, preamble=MISSES, console=eventlog_console.url)

    assert done.stdout in ("SIG_IGN\n0\n", "True\n0\n"), done.stderr
    assert len(eventlog_console.events("cms")) == 1


def test_p10_where_no_file_can_be_opened_the_record_gets_in_all_the_same(eventlog_console: Any) -> None:
    """The first record imports what answers SIGTERM, and makes a pipe."""
    script = """
    import resource

    def child():
        attached()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        logging.getLogger("shop").error("order A-1 is late")
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    print_how_it_ends(child)
    """

    done = run(script, preamble=MISSES, console=eventlog_console.url)

    assert done.stdout == "0\n"
    assert "Traceback" not in done.stderr
    assert len(eventlog_console.events("cms")) == 1
