"""A rate limit that several processes share, with the methods of ``pacing.Pacer``.

The answer may come from a file or from the network, so ``ask`` is called under no lock of the pipeline's. The
places that it got are kept for a moment, and ``try_take`` takes them from there.
"""

from __future__ import annotations

from collections.abc import Callable

from eventlog_handlers.process import green
from eventlog_handlers.share.contract import Coordinator

_KEPT_SECONDS = 0.5
"""A place that was not used for so long after its moment is void: the window has moved on."""
_LEAST_WAIT_SECONDS = 0.001


class SharedPacer:
    """Asks *coordinator* for places; see ``pacing.Pacer``. All moments are monotonic seconds."""

    def __init__(self, coordinator: Callable[[], Coordinator]) -> None:
        self._coordinator = coordinator
        self._new_life()

    def _new_life(self) -> None:
        self._lock = green.Lock()  # never held while the coordinator is asked
        self._places: list[float] = []  # moments of the places in hand, earliest first
        self._ask_at = float("-inf")
        self._is_asking = False

    def wait(self, now: float) -> float | None:
        """Seconds until there is a place; None: that must be asked for."""
        with self._lock:
            self._drop_void(now)
            if self._places:
                return max(0.0, self._places[0] - now)
            if self._is_asking:
                return _LEAST_WAIT_SECONDS
            return self._ask_at - now if self._ask_at > now else None

    def ask(self, now: float) -> None:
        """Ask for a place, unless one is in hand or another thread asks. Under no lock."""
        with self._lock:
            self._drop_void(now)
            if self._places or self._is_asking or self._ask_at > now:
                return
            self._is_asking = True
        taken, wait = False, _LEAST_WAIT_SECONDS
        try:
            place = self._coordinator().take()
            taken, wait = place.is_taken, place.wait
        finally:
            with self._lock:
                self._is_asking = False
                if taken:
                    self._places.append(now + wait)
                else:
                    self._ask_at = now + max(_LEAST_WAIT_SECONDS, wait)

    def try_take(self, now: float) -> float:
        """Take a place that is in hand and return 0, or return the seconds after which to ask again."""
        with self._lock:
            self._drop_void(now)
            if not self._places:
                return max(_LEAST_WAIT_SECONDS, self._ask_at - now)
            wait = self._places[0] - now
            if wait <= 0:
                self._places.pop(0)
            return max(0.0, wait)

    def _drop_void(self, now: float) -> None:
        while self._places and now > self._places[0] + _KEPT_SECONDS:
            self._places.pop(0)

    def throttled(self, retry_after: float | None = None) -> None:
        """The service found us too fast, and wants nothing for *retry_after* seconds if it said so."""
        with self._lock:
            self._places.clear()
        self._coordinator().throttled(retry_after)

    def taken(self) -> None:
        """The service took a request."""
        self._coordinator().answered()

    def leave(self) -> None:
        """The handler is closed. Its coordinator leaves when the last thread does."""

    def after_fork_in_child(self) -> None:
        """Places in hand are the parent's."""
        self._new_life()
