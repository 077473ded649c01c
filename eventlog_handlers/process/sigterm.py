"""On SIGTERM: flush, then do what the process would have done without us.

A process without a handler of its own dies of SIGTERM at once, and no exit hook runs. Signal handlers belong
to the application, so this one is installed only where the user asks for it, with one exception: children of
``multiprocessing``. There ``Pool.terminate()`` sends SIGTERM, and a ``with Pool()`` block ends with it. No
other code handles it, and no operator waits for the process to end.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

from eventlog_handlers.process import exit as process_exit
from eventlog_handlers.process import green, signal_watch
from eventlog_handlers.process.clock import monotonic

_REPEATED_SECONDS = 2.0
"""A second signal that comes sooner is no one's impatience: ``multiprocessing`` sends two to each daemon, by
``terminate`` and when its own process ends, and so does hypercorn to its workers."""


class _Chained:
    """A signal handler that flushes first and then lets *previous* have the signal."""

    def __init__(self, previous: Any, timeout: float | None) -> None:
        self.previous = previous
        self.timeout = timeout
        self.has_begun = False
        self._since: float | None = None  # when the flush that is under way began

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if process_exit.is_in_use_here() and _comes_again(number):
            return
        self.has_begun = True
        if self._since is None:
            self._since = monotonic()
            try:
                process_exit.flush_all(self.timeout)
            finally:
                self._since = None
        elif self.previous == signal.SIG_DFL and monotonic() - self._since < _REPEATED_SECONDS:
            return  # the first one goes on; a later one ends its flush
        if callable(self.previous):
            self.previous(number, frame)
        elif self.previous == signal.SIG_DFL:
            process_exit.say_what_is_left()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def _comes_again(number: int) -> bool:
    """Have the signal come again, once another thread has had its turn; False where no thread can be had.

    It struck this thread where it holds a lock of ours. A flush would wait for threads that wait for that
    lock; once the handler has returned, it is released within microseconds.

    CPython 3.12.0 to 3.12.2 refuse threads while the process ends. Its own flush is under way then, and goes
    on: the signal is dropped, and the process ends as soon as that is over.
    """
    try:
        # Thread.start would take locks that this thread may hold, too.
        green.native_start(os.kill, (os.getpid(), number))
    except RuntimeError:
        return process_exit.exiting()
    return True


def install(timeout: float | None = None) -> bool:
    """Flush on SIGTERM, *timeout* seconds at most (None: the handlers' ``exit_timeout``).

    Afterwards the handler that was installed before is called; where there was none the process dies of the
    signal, as its parent expects. False, and nothing done, where it can't be had: not in the main thread, or
    the signal belongs to a handler not written in Python (uWSGI), which could not be called. Calling it
    again only changes the timeout. Where there was no handler a second signal ends the flush, unless it comes
    within two seconds of the first. A server that installs its own handler later (gunicorn, hypercorn)
    replaces this one; those run the exit hooks.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    previous = signal.getsignal(signal.SIGTERM)
    if previous is None:
        return False
    if isinstance(previous, _Chained):
        previous.timeout = timeout
        return True
    signal.signal(signal.SIGTERM, _Chained(previous, timeout))
    return True


def install_in_multiprocessing_child() -> bool:
    """Install it where this process is a child of ``multiprocessing`` and SIGTERM would end it at once.

    False, and nothing done, in any other process, outside of the main thread, and where SIGTERM is handled or
    ignored already.
    """
    processes = sys.modules.get("multiprocessing.process")
    if processes is None or processes.parent_process() is None:
        return False
    if threading.current_thread() is not threading.main_thread():
        return False
    is_new = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and install()
    _watch(signal.getsignal(signal.SIGTERM))
    return is_new


def _watch(handler: Any) -> None:
    """Have ours be called in a child of multiprocessing even where the main thread misses the signal.

    ``Pool.terminate()`` sends it once and then waits for the child for ever.
    """
    if isinstance(handler, _Chained) and handler.previous == signal.SIG_DFL:
        signal_watch.watch(signal.SIGTERM, lambda: handler.has_begun)


def _after_fork_in_child() -> None:
    """A child has inherited our handler: if multiprocessing made it, it watches before its first record."""
    handler, util = signal.getsignal(signal.SIGTERM), sys.modules.get("multiprocessing.util")
    if isinstance(handler, _Chained) and util is not None:
        util.register_after_fork(handler, _watch)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
