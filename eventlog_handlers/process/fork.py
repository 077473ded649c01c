"""The gate that holds forks off while a thread of ours is where a child would hang; forks without hooks."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from eventlog_handlers.process.clock import monotonic

_ENDING_POLL_SECONDS = 0.0005


def _is_alive(thread_id: int) -> bool:
    """Whether this process has a thread of this native id, as far as can be told."""
    return os.path.exists(f"/proc/self/task/{thread_id}")  # noqa: PTH110 - pathlib would slow each start


class ForkGate:
    """Holds off forks while one of our threads is where a child of this moment would be stuck for ever.

    A thread that imports leaves a half-made module and a lock nobody releases; one inside OpenSSL (hashing,
    signing, making a TLS context) leaves OpenSSL's own locks held. Any number of threads may be inside; the
    forking thread waits for them, GATE_SECONDS at most, for they may in turn be waiting for it.

    A thread that has used OpenSSL takes one of these locks once more while it ends, after its last line of
    Python. So whoever ends says so, and a fork waits until the system knows that thread no more (on Linux;
    elsewhere nobody can tell).
    """

    GATE_SECONDS = 5.0
    ENDING_SECONDS = 1.0

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._inside = 0
        self._forking = 0
        self._ending: deque[int] = deque(maxlen=64)

    @contextlib.contextmanager
    def no_fork(self) -> Iterator[Callable[[], None]]:
        """Keep forks waiting for the length of the block, or until the function it gives is called."""
        with self._changed:
            if self._forking:
                self._changed.wait_for(lambda: not self._forking, self.GATE_SECONDS)
            self._inside += 1
        is_inside = True

        def leave() -> None:
            nonlocal is_inside
            if is_inside:
                is_inside = False
                with self._changed:
                    self._inside -= 1
                    self._changed.notify_all()

        try:
            yield leave
        finally:
            leave()

    def ends(self) -> None:
        """This thread is about to end."""
        self._ending.append(threading.get_native_id())

    def before_fork(self) -> None:
        """Wait until nobody is inside, and let nobody in."""
        with self._changed:
            self._forking += 1
            self._changed.wait_for(lambda: not self._inside, self.GATE_SECONDS)
        self._wait_for_the_ending()

    def after_fork_in_parent(self) -> None:
        """Open it."""
        with self._changed:
            self._forking -= 1
            self._changed.notify_all()

    def after_fork_in_child(self) -> None:
        """Open it anew: its lock and those inside it are the parent's."""
        self.__init__()  # type: ignore[misc]  # the object stays, for others hold it

    def _wait_for_the_ending(self) -> None:
        deadline = monotonic() + self.ENDING_SECONDS
        for thread_id in tuple(self._ending):
            while _is_alive(thread_id) and monotonic() < deadline:
                time.sleep(_ENDING_POLL_SECONDS)
            with contextlib.suppress(ValueError):  # another thread forks too
                self._ending.remove(thread_id)


fork_gate = ForkGate()


def forks_unannounced() -> bool:
    """Whether this is uWSGI's first process, loading the application, and will fork without Python's hooks.

    A thread that waits for the GIL at that moment leaves every worker stuck for ever: in the child the main
    thread hands the GIL over, to nobody. uWSGI's workers, mules and ``--lazy-apps`` are not concerned, nor is
    anything with ``--py-call-uwsgi-fork-hooks``.
    """
    uwsgi: Any = sys.modules.get("uwsgi")
    return (
        uwsgi is not None
        and getattr(uwsgi, "worker_id", lambda: 1)() == 0
        and uwsgi.masterpid() in (0, os.getpid())
        and not uwsgi.opt.get("py-call-uwsgi-fork-hooks")
    )
