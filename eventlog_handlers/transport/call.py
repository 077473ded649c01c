"""The time of one HTTP call, and how far it came. Knows nothing of sockets; timed.py makes them obey it."""

from __future__ import annotations

import threading
from collections.abc import Callable

here = threading.local()
"""``here.call`` is the Call this thread is making: the road from ``post`` down to its sockets."""


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
        self.is_reused = False
        """The connection had carried another request before."""
        self.has_sent = False
        """Some byte of the request may have left; those of a CONNECT to a proxy do not count."""
        self.has_received = False
        """Some byte of the answer came."""

    def seconds(self, at_most: float) -> float:
        """What one more socket operation may take; raises TimeoutError when nothing is left."""
        left = self.expires - self.clock()
        if left <= 0:
            raise TimeoutError("the deadline of the call passed")
        return min(left, at_most)
