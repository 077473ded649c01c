"""gevent (or eventlet) and our threads: locks, waits, and how a real thread leaves.

Patched before our import, all is green, our threads, locks and queues too. Then a fork copies our threads,
and those of the child must do nothing more (``stand_still``). Nothing else here does anything.
Patched after it (``gunicorn -k gevent --preload``), our threads are real ones. So their locks and queues are
real ones too, also those that are made later. What our threads share with the application is green all the
same: sockets, logging's lock, the locks of imports, locks in the user's hooks. A real thread that releases a
green lock wakes a waiter of another thread only when its own loop runs. So the loop must run before the
thread stands still in a real wait, and before it ends: else the waiter waits for ever.
"""

from __future__ import annotations

import _thread
import contextlib
import sys
import threading
import time
from collections.abc import Callable
from queue import Empty
from typing import Any

from eventlog_handlers.process.clock import monotonic

native_start = _thread.start_new_thread
"""Starts a real thread, whoever patches later, and takes none of ``threading``'s locks."""
_native_sleep = time.sleep

Lock = threading.Lock
"""For every lock of ours: of the kind that our threads are, also where it is made after gevent patched."""
RLock = type(threading.RLock())  # threading.RLock itself would make green ones from then on
"""The same, re-entrant."""

_POLL_SECONDS = 0.005


class TokenQueue:
    """A queue that holds one None at most: a second ``put`` changes nothing. Signal handlers may put, too.

    Not a ``queue.SimpleQueue``: before CPython 3.13 its ``get`` waits for ever if a signal handler runs past
    the timeout. Not a ``queue.Queue``: a handler that puts may find its lock held by the code it struck.
    """

    __slots__ = ("_is_empty",)

    def __init__(self) -> None:
        self._is_empty = Lock()
        self._is_empty.acquire()

    def put(self) -> None:
        """Wake the one that waits, or that waits next."""
        with contextlib.suppress(RuntimeError):  # a token is there already
            self._is_empty.release()

    def get(self, timeout: float = -1) -> None:
        """Wait for the token and take it, *timeout* seconds at most; raises ``queue.Empty``."""
        if not self._is_empty.acquire(timeout=timeout):
            raise Empty

    def get_nowait(self) -> None:
        """Take the token if it is there; raises ``queue.Empty``."""
        self.get(0)

    def empty(self) -> bool:
        """Whether there is no token."""
        return self._is_empty.locked()


def is_patched_late() -> bool:
    """Whether our threads are real ones in a process that is green otherwise."""
    return _thread.start_new_thread is not native_start


def start_native(run: Callable[[], None]) -> None:
    """Run *run* in a real thread. For a process that was patched late.

    This thread makes its loop first. The first loop of a process imports modules, and two threads that do so
    at once wait for each other for ever, in the green locks of imports.
    """
    gevent: Any = sys.modules.get("gevent")
    if gevent is not None:
        with contextlib.suppress(Exception):  # no file descriptor left for a loop
            gevent.get_hub()
    native_start(run, ())


class _Here(threading.local):  # made before a patch that comes late, so it tells real threads apart
    is_ours = False


_here = _Here()
_leaving: set[int] = set()  # each change is one indivisible step
_is_ending = False


def enter_thread() -> None:
    """A real thread of ours begins."""
    _here.is_ours = True


def begin_to_leave() -> None:
    """The thread takes no more turns. ``leave_thread`` follows."""
    if _here.is_ours and is_patched_late():
        _leaving.add(threading.get_native_id())


def leave_thread() -> None:
    """A real thread of ours ends. The loop that gevent made for it ends with it, and wakes those who wait.

    It would stay for ever otherwise, with two file descriptors.
    """
    try:
        gevent: Any = sys.modules.get("gevent")
        if gevent is not None and is_patched_late() and not _is_ending:
            run_loop_once()
            with contextlib.suppress(Exception):
                gevent.get_hub().destroy()
    finally:
        _leaving.discard(threading.get_native_id())


def is_leaving() -> bool:
    """Whether a real thread of ours takes no more turns and has not left."""
    return bool(_leaving)


def end_process() -> None:
    """The process ends: no loop of our threads runs any more.

    A thread that the interpreter stops within a loop takes the process down (a fault in greenlet's C++).
    """
    global _is_ending
    _is_ending = True


def after_fork_in_child() -> None:
    """No thread but this one is there."""
    global _is_ending
    _leaving.clear()
    _is_ending = False


def stand_still() -> None:
    """Never return: a fork has copied this green thread from its parent, and this is the child.

    If it ended, ``threading``, which does not know it here, would raise and gevent print that. Returns only
    where there is no gevent.
    """
    gevent: Any = sys.modules.get("gevent")
    if gevent is not None:
        with contextlib.suppress(Exception):
            gevent.get_hub().switch()  # to the loop, which has nothing to wake it by


def sleep(seconds: float) -> None:
    """Wait; a real thread of ours outside of its loop, where the end of the process would break it off."""
    (_native_sleep if _here.is_ours else time.sleep)(seconds)


def run_loop_once() -> None:
    """Wake the waiters of green locks that this thread has released. For the moment before a real wait."""
    if is_patched_late() and not _is_ending:
        with contextlib.suppress(Exception):  # no file descriptor left for a loop
            time.sleep(0)  # the green one


def getaddrinfo() -> Callable[..., Any]:
    """``socket.getaddrinfo``, which may block a real thread: gevent's would start another thread for it."""
    import socket

    gevent_monkey: Any = sys.modules.get("gevent.monkey")
    if gevent_monkey is not None and is_patched_late() and _here.is_ours:
        original: Callable[..., Any] = gevent_monkey.get_original("socket", "getaddrinfo")
        return original
    return socket.getaddrinfo


def get(queue: TokenQueue, seconds: float) -> bool:
    """Wait for an item, *seconds* at most; True if one came.

    Patched late the caller's other green threads go on meanwhile. One of them may hold what ours need.
    """
    seconds = max(0.001, seconds)
    if is_patched_late():
        return _get_green(queue, seconds)
    try:
        queue.get(timeout=seconds)
    except Empty:
        return False
    return True


def _get_green(queue: TokenQueue, seconds: float) -> bool:
    deadline = monotonic() + seconds
    never = threading.Event()
    while queue.empty():
        left = deadline - monotonic()
        if left <= 0:
            return False
        try:
            never.wait(min(left, _POLL_SECONDS))
        except Exception:  # within the loop itself, as a signal handler may be: there nothing green may wait
            try:
                queue.get(timeout=left)
            except Empty:
                return False
            return True
    return True
