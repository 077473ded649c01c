"""The time of one HTTP call, and how far it came. Knows no socket: ``timed_urllib3`` does."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

here = threading.local()
"""``here.call`` is the Call that this thread makes: ``post`` sets it, the sockets below requests read it."""


class Call:
    """One attempt to send a request: its time, and how far it came. Owned by one thread.

    *expires* is in seconds of *clock*; *fresh* forbids the use of a kept connection.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        expires: float,
        connect_timeout: float,
        read_timeout: float,
        fresh: bool = False,
    ) -> None:
        self.clock = clock
        self.expires = expires
        self.connect_timeout = connect_timeout
        self.read_timeout = read_timeout
        self.fresh = fresh
        self._pid = os.getpid()
        self.is_reused = False
        """The connection had carried another request before."""
        self.has_sent = False
        """Some byte of the request may have left; those of a CONNECT to a proxy do not count."""
        self.pool: Any = None
        """The pool of its connection."""
        self.is_sent_whole = True
        """No send was broken off. A service can't have acted on a request that did not leave whole."""

    def is_parents(self) -> bool:
        """Whether this process was forked since the call began: the request is for the parent to send."""
        return os.getpid() != self._pid

    def seconds(self, at_most: float) -> float:
        """Seconds for one more socket operation; raises TimeoutError when none are left."""
        left = self.expires - self.clock()
        if left <= 0:
            raise TimeoutError("the deadline of the call passed")
        return min(left, at_most)
