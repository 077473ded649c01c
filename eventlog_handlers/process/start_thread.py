"""Starts the package's threads, and tells callers that must not wait for one."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable

from eventlog_handlers.listening import hearing
from eventlog_handlers.process import green
from eventlog_handlers.process.fork import fork_gate
from eventlog_handlers.process.lock_state import is_held_here


def start_thread(run: Callable[[], None], name: str, *, daemon: bool = True) -> None:
    """Run *run* in a thread of its own; raises RuntimeError where the system or the interpreter refuses it.

    A thread that is no *daemon* keeps the process alive.
    """
    if sys.is_finalizing():  # Thread.start would wait for ever for a thread that never runs
        raise RuntimeError("the interpreter takes itself apart")

    starter = threading.get_native_id()

    def live() -> None:
        is_real = threading.get_native_id() != starter  # else a green thread: its real one goes on
        try:
            if is_real:
                green.enter_thread()
            run()
            hearing.look_once()
        finally:
            if is_real:
                green.leave_thread()
                fork_gate.ends()

    if not green.is_patched_late():
        threading.Thread(target=live, name=name, daemon=daemon).start()
    else:
        # gevent or eventlet patched after our locks and queues were made: in a green thread they would stop
        # the whole program. In a real thread they work.
        green.start_native(live)


def caller_owns_logging_lock() -> bool:
    """Whether this thread holds logging's module lock, as it does when dictConfig flushes and closes us.

    Then no call may wait for a worker: the worker's client library may be waiting for that very lock.
    """
    return is_held_here(getattr(logging, "_lock", None))
