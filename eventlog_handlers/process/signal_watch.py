"""Has a signal handled that does not interrupt the main thread.

The interpreter takes note of a signal in whatever thread the system gives it to, and the main thread calls
the handler before its next line of Python. If the main thread waits in a system call, and another thread was
given the signal because it was just running, or the signal came before the call had begun, nothing interrupts
the call: the handler waits until it ends, perhaps for ever (python/cpython#98140). So a thread is told of
signals through ``signal.set_wakeup_fd``. Where the handler has not begun soon after, the thread interrupts
the main thread by SIGURG, which says nothing and which the system ignores by default.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import types
from collections.abc import Callable
from typing import Any

from eventlog_handlers.process import green

_PATIENCE_SECONDS = (0.001, 0.05, 0.2, 1.0, 5.0)
"""Pauses before each interruption: one may come in such an instant, too."""

_read = os.read  # eventlet puts one of its own there, perhaps later
_fds: tuple[int, int] | None = None


def watch(number: int, has_begun: Callable[[], bool]) -> bool:
    """Interrupt the main thread where signal *number* has arrived and *has_begun* stays false.

    *has_begun* tells whether the handler of the signal has begun; the first time that it has ends the watch.
    To be called in the main thread; a second call in a process changes nothing. False, and nothing done,
    where the system has no such signals, where no real thread can be had, and where SIGURG or the wakeup
    descriptor is another's. Raises OSError where there is no pipe to be had.
    """
    global _fds
    if _fds is not None:
        return True
    if not _has_signals() or not isinstance(green.native_start, types.BuiltinFunctionType):
        return False
    if signal.getsignal(signal.SIGURG) not in (signal.SIG_DFL, _interrupted):
        return False
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    previous = signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    if previous == -1 and _has_started(_watch, number, has_begun, read_fd, _thread.get_ident()):
        signal.signal(signal.SIGURG, _interrupted)
        _fds = read_fd, write_fd
        return True
    signal.set_wakeup_fd(previous)
    os.set_blocking(read_fd, False)
    with contextlib.suppress(OSError):  # nothing has arrived meanwhile, or the loop has enough to read
        os.write(previous, _read(read_fd, 512))
    os.close(read_fd)
    os.close(write_fd)
    return False


def _has_started(run: Callable[..., None], *arguments: Any) -> bool:
    try:
        green.native_start(run, arguments)
    except RuntimeError:  # no thread can be had
        return False
    return True


def _has_signals() -> bool:
    return hasattr(signal, "pthread_kill") and hasattr(signal, "SIGURG")


def _watch(number: int, has_begun: Callable[[], bool], fd: int, main: int) -> None:
    """The thread's life."""
    green.enter_thread()
    while True:
        if number not in _read(fd, 512):
            continue
        for seconds in _PATIENCE_SECONDS:
            green.sleep(seconds)
            if has_begun():
                return
            signal.pthread_kill(main, signal.SIGURG)


def _interrupted(_number: int, _frame: Any) -> None:
    """SIGURG: the interpreter now calls the handlers of all signals that have arrived."""


def _after_fork_in_child() -> None:
    """The thread and the pipe are the parent's."""
    global _fds
    if _fds is None:
        return
    read_fd, write_fd = _fds
    _fds = None
    with contextlib.suppress(ValueError):  # not the main interpreter: the pipe is still in use
        current = signal.set_wakeup_fd(-1)
        if current != write_fd:
            signal.set_wakeup_fd(current)
        os.close(read_fd)
        os.close(write_fd)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
