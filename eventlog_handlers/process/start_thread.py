"""Starts the package's threads, and tells callers that must not wait for one."""

from __future__ import annotations

import _thread
import logging
import sys
import threading
from collections.abc import Callable

from eventlog_handlers.listening import hearing
from eventlog_handlers.process.fork import fork_gate
from eventlog_handlers.process.lock_state import is_held_here

_native_start = _thread.start_new_thread


def start_thread(run: Callable[[], None], name: str, *, daemon: bool = True) -> None:
    """Run *run* in a thread of its own; raises RuntimeError where the system or the interpreter refuses it.

    A thread that is no *daemon* keeps the process alive.
    """
    if sys.is_finalizing():  # Thread.start would wait for ever for a thread that never runs
        raise RuntimeError("the interpreter takes itself apart")

    starter = threading.get_native_id()

    def live() -> None:
        try:
            run()
            hearing.look_once()
        finally:
            if threading.get_native_id() != starter:  # else a green thread: that one goes on
                fork_gate.ends()

    if _thread.start_new_thread is _native_start:
        threading.Thread(target=live, name=name, daemon=daemon).start()
    else:
        # gevent or eventlet patched after our locks and queues were made: in a green thread they would stop
        # the whole program. In a real thread they work.
        _native_start(live, ())


def caller_owns_logging_lock() -> bool:
    """Whether this thread holds logging's module lock, as it does when dictConfig flushes and closes us.

    Then no call may wait for a worker: the worker's client library may be waiting for that very lock.
    """
    return is_held_here(getattr(logging, "_lock", None))
