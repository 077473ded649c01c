"""The gate that holds forks off while a thread of ours is where a child would hang; forks without hooks.

The end of the process waits at the same gate.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

from eventlog_handlers.process import green
from eventlog_handlers.process.clock import monotonic

_POLL_SECONDS = 0.0005


def _is_alive(thread_id: int) -> bool:
    """Whether this process has a thread of this native id, as far as can be told."""
    return os.path.exists(f"/proc/self/task/{thread_id}")  # noqa: PTH110 - pathlib would slow each start


class _Entry(weakref.ref["Stay"]):
    """The gate's note of a stay. It removes itself when nothing refers to the stay any more."""

    __slots__ = ("thread",)
    thread: int


class Stay:
    """A thread's stay inside the gate, from construction to ``leave``.

    Ends also where nothing refers to it any more: Ctrl-C may strike between two lines of the thread that
    entered, and the gate is not told after that.
    """

    __slots__ = ("__weakref__", "_entry", "_inside")

    def __init__(self, inside: set[_Entry]) -> None:
        self._inside = inside
        self._entry = _Entry(self, inside.discard)
        self._entry.thread = threading.get_ident()
        inside.add(self._entry)

    def leave(self) -> None:
        """Let forks go on. A second call changes nothing."""
        self._inside.discard(self._entry)

    def __enter__(self) -> Callable[[], None]:
        return self.leave

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


class ForkGate:
    """Holds off forks while one of our threads is where a child of this moment would be stuck for ever.

    A thread that imports leaves a half-made module and a lock that is never released. A thread inside OpenSSL
    (hashing, signing, making a TLS context) leaves OpenSSL's own locks held. Any number of threads may be
    inside. The forking thread waits for them, GATE_SECONDS at most, because they may be waiting for it.

    A thread that has used OpenSSL takes one of these locks once more while it ends, after its last line of
    Python. So a thread says that it ends, and a fork waits until the system no longer knows that thread (on
    Linux; elsewhere nothing tells).

    Holds no lock of its own, but a set and a dict in which each change is one indivisible step. A thread
    enters, and then looks whether another one forks; a thread announces its fork, and then looks which ones
    are inside. So one of the two sees the other, and Ctrl-C between two steps leaves no lock held.
    """

    GATE_SECONDS = 5.0
    ENDING_SECONDS = 1.0

    def __init__(self) -> None:
        self._inside: set[_Entry] = set()
        self._forking: dict[int, float] = {}
        """By thread, when its fork is over at the latest: Ctrl-C may strike in ``after_fork_in_parent``."""
        self._ending: deque[int] = deque(maxlen=64)

    def no_fork(self) -> Stay:
        """Keep forks waiting while the ``with`` block lasts, or until the function it gives is called.

        A thread that is inside may enter again.
        """
        stay = Stay(self._inside)
        if self._forking and not self._is_inside_twice():  # else the fork and this thread wait for each other
            deadline = monotonic() + self.GATE_SECONDS
            while self._another_forks() and monotonic() < deadline:
                stay.leave()
                green.sleep(_POLL_SECONDS)
                stay = Stay(self._inside)
        return stay

    def ends(self) -> None:
        """This thread is about to end. The main thread never is: green threads may live in it."""
        thread_id = threading.get_native_id()
        if thread_id != os.getpid():
            self._ending.append(thread_id)

    def before_fork(self) -> None:
        """Close the gate, and wait until the threads inside have left; this thread's stays don't count."""
        self._close()
        self._wait_for_the_ending()

    def before_finalizing(self) -> None:
        """The same before the interpreter finalizes: what threads are left stand still for ever then.

        One that imports may hold the lock of all imports, and a traceback that is printed later takes it. One
        that gevent patched late still has C++ objects to destroy after its last line of Python.
        """
        self._close()
        self._wait_for_the_ending()

    def not_yet_finalizing(self) -> None:
        """Open it again: something that needs threads comes before the interpreter finalizes."""
        self._open()

    def after_fork_in_parent(self) -> None:
        """Open it."""
        self._open()

    def after_fork_in_child(self) -> None:
        """Open it anew: the threads inside are the parent's."""
        self.__init__()  # type: ignore[misc]  # the object stays, because others refer to it

    def _close(self) -> None:
        here = threading.get_ident()
        deadline = monotonic() + self.GATE_SECONDS
        self._forking[here] = deadline + self.ENDING_SECONDS
        while any(entry.thread != here for entry in tuple(self._inside)) and monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

    def _open(self) -> None:
        self._forking.pop(threading.get_ident(), None)

    def _is_inside_twice(self) -> bool:
        here = threading.get_ident()
        return sum(entry.thread == here for entry in tuple(self._inside)) > 1

    def _another_forks(self) -> bool:
        here, now = threading.get_ident(), monotonic()
        return any(thread != here and now < until for thread, until in tuple(self._forking.items()))

    def _wait_for_the_ending(self) -> None:
        deadline = monotonic() + self.ENDING_SECONDS
        for thread_id in tuple(self._ending):
            while _is_alive(thread_id) and monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            with contextlib.suppress(ValueError):  # another thread forks too
                self._ending.remove(thread_id)


fork_gate = ForkGate()


def importing() -> Stay:
    """For a with block that imports while the program runs: forks wait, as for ``no_fork``.

    Raises ImportError while the interpreter is finalizing. Nothing can be imported then, and a thread that
    stands still may hold the lock of imports.
    """
    if sys.is_finalizing():
        raise ImportError("the interpreter is finalizing")
    return fork_gate.no_fork()


def forks_unannounced() -> bool:
    """Whether this is uWSGI's first process, loading the application, and will fork without Python's hooks.

    A thread that waits for the GIL at that moment leaves every worker stuck for ever: in the child the main
    thread hands the GIL over, and no thread takes it. uWSGI's workers, mules and ``--lazy-apps`` are not
    concerned, nor is anything with ``--py-call-uwsgi-fork-hooks``.
    """
    uwsgi: Any = sys.modules.get("uwsgi")
    return (
        uwsgi is not None
        and getattr(uwsgi, "worker_id", lambda: 1)() == 0
        and uwsgi.masterpid() in (0, os.getpid())
        and not uwsgi.opt.get("py-call-uwsgi-fork-hooks")
    )
