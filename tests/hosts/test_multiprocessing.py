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


def test_p10_a_signal_that_comes_while_the_wakeup_descriptor_is_looked_up_reaches_its_owner(
    eventlog_console: Any,
) -> None:
    """The interpreter tells who has it only to who sets it: for that instant its signals come to us."""
    script = """
    def child():
        ours, owners = os.pipe()
        os.set_blocking(owners, False)
        signal.set_wakeup_fd(owners)
        signal.signal(signal.SIGUSR1, lambda *_: None)
        set_wakeup_fd = signal.set_wakeup_fd
        def struck(*args, **kwargs):
            previous = set_wakeup_fd(*args, **kwargs)
            if args[0] != owners:
                signal.raise_signal(signal.SIGUSR1)
            return previous
        signal.set_wakeup_fd = struck
        attached()
        logging.getLogger("shop").error("order A-1 is late")
        os.set_blocking(ours, False)
        print(os.read(ours, 9) == bytes([signal.SIGUSR1]))

    print_how_it_ends(child)
    """

    done = run(script, preamble=MISSES, console=eventlog_console.url)

    assert (done.stdout, done.stderr) == ("True\n0\n", "")


def test_p10_where_no_thread_can_be_had_nothing_is_changed(eventlog_console: Any) -> None:
    """The record gets in, and is sent at the end. No machine has room for such a stack."""
    script = """
    def child():
        attached()
        threading.stack_size(1 << 46)
        logging.getLogger("shop").error("order A-1 is late")
        threading.stack_size(0)
        print(signal.getsignal(signal.SIGURG).name, signal.set_wakeup_fd(-1))

    print_how_it_ends(child)
    """

    done = run(script, preamble=MISSES, console=eventlog_console.url)

    assert (done.stdout, done.stderr) == ("SIG_DFL -1\n0\n", "")
    assert len(eventlog_console.events("cms")) == 1


def test_p10_a_signal_handler_that_exits_while_a_child_ends_changes_nothing(eventlog_console: Any) -> None:
    """Its events arrive, and it ends as its target did."""
    script = """
    def child():
        from eventlog_handlers.pipeline.worker import Worker
        finish = Worker.finish_flush
        def struck(*args):
            Worker.finish_flush = finish
            os.kill(os.getpid(), signal.SIGUSR1)
            return finish(*args)
        Worker.finish_flush = struck
        signal.signal(signal.SIGUSR1, lambda *_: sys.exit(3))
        attached()
        logging.getLogger("shop").error("order A-1 is late")

    print_how_it_ends(child)
    """

    done = run(script, preamble=MISSES, console=eventlog_console.url)

    assert (done.stdout, done.stderr) == ("0\n", "")
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
    assert (
        "exit: SIGTERM may end this process before it has sent what it holds: Too many open files"
        in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert len(eventlog_console.events("cms")) == 1
