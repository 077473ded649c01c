"""How fast requests may follow one another. Told the time, never asks for it; shared between threads."""

from __future__ import annotations

import threading
from collections import deque

_LEAST_SHARE = 1 / 16
_SHARE_STEP = 1 / 20
_LONGEST_HINT_SECONDS = 300.0


class Pacer:
    """A token bucket, and optionally a sliding window above it.

    *rate* is in requests a second, *burst* how many may go at once after a quiet time, *window* ``(n,
    seconds)``: never more than *n* in any *seconds*, whatever the bucket says. ``take`` may run into debt:
    requests that can't wait (finding the one bad event of a batch) are paid for by those after them.

    A service that throttles us all the same halves the rate each time, and each request it takes gives a
    twentieth of it back: other processes share its limit, and nobody tells us how many. Where it says when to
    come again, nothing goes before.
    """

    def __init__(self, rate: float, burst: int = 1, window: tuple[int, float] | None = None) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._share = 1.0  # of the rate, after throttling
        self._updated: float | None = None
        self._not_before = float("-inf")  # by the service's word
        self._window = window
        self._taken: deque[float] = deque(maxlen=window[0] if window else 1)
        self._lock = threading.Lock()

    def after_fork_in_child(self) -> None:
        """A thread of the parent's may have held the lock."""
        self._lock = threading.Lock()

    def slow_down_to(self, rate: float, burst: int, window: tuple[int, float] | None) -> None:
        """Two handlers of one destination share one pacer: the slowest of each setting holds for both."""
        with self._lock:
            self._rate, self._burst = min(self._rate, rate), min(self._burst, float(burst))
            self._tokens = min(self._tokens, self._burst)
            if window is not None and (self._window is None or _slower(window, self._window)):
                self._window = window
                self._taken = deque(self._taken, maxlen=window[0])

    def throttled(self, not_before: float = float("-inf")) -> None:
        """The service found us too fast, and wants nothing before *not_before* if it said so."""
        with self._lock:
            self._share = max(_LEAST_SHARE, self._share / 2)
            self._tokens = min(self._tokens, 1.0)
            self._not_before = max(self._not_before, not_before)

    def taken(self) -> None:
        """The service took a request."""
        with self._lock:
            self._share = min(1.0, self._share + _SHARE_STEP)

    def try_take(self, now: float) -> float:
        """Take a place and return 0, or return the seconds after which to ask again."""
        with self._lock:
            wait = self._wait(now)
            if wait <= 0:
                self._take(now)
            return max(0.0, wait)

    def take(self, now: float) -> None:
        """Take a place whether there is one or not."""
        with self._lock:
            self._wait(now)
            self._take(now)

    def _wait(self, now: float) -> float:
        if self._updated is None or now < self._updated:  # the latter: another clock than before
            self._updated = now
            self._not_before = min(self._not_before, now + _LONGEST_HINT_SECONDS)
            self._taken = deque((min(at, now) for at in self._taken), maxlen=self._taken.maxlen)
        rate = self._rate * self._share
        self._tokens = min(self._burst, self._tokens + (now - self._updated) * rate)
        self._updated = now
        # 1e-9: after waiting exactly as long as told, rounding must not ask for another femtosecond
        wait = 0.0 if self._tokens >= 1 - 1e-9 else (1 - self._tokens) / rate
        if self._window is not None and len(self._taken) == self._window[0]:
            wait = max(wait, self._taken[0] + self._window[1] - now)
        return max(wait, self._not_before - now)

    def _take(self, now: float) -> None:
        self._tokens -= 1
        self._taken.append(now)


def _slower(window: tuple[int, float], other: tuple[int, float]) -> bool:
    return window[0] / window[1] < other[0] / other[1]
