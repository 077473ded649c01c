"""The rate limit of one process: how soon the next request may go. The caller hands in the time."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from eventlog_handlers.errors import HINT_CEILING_SECONDS
from eventlog_handlers.process import green

_LEAST_SHARE = 1 / 16
_SHARE_STEP = 1 / 20


class Limit(NamedTuple):
    """One handler's setting: requests a second and at once, and ``(n, seconds)`` of a window or None."""

    rate: float
    burst: int
    window: tuple[int, float] | None


class Pacer:
    """A token bucket, and optionally a sliding window above it.

    *rate* is in requests a second, *burst* how many may go at once after a quiet time, *window* ``(n,
    seconds)``: never more than *n* in any *seconds*, even if the bucket has more.

    A service that throttles us all the same halves the rate each time, and each request it takes gives a
    twentieth of it back: other processes share its limit, and it does not say how many. Where it says when to
    come again, nothing goes before.

    Handlers of one destination share one pacer, each through a ``Member`` of its own: the least of what the
    living members ask for holds.
    """

    def __init__(self, rate: float, burst: int = 1, window: tuple[int, float] | None = None) -> None:
        self._lock = green.Lock()
        self._members: dict[int, Limit] = {}  # by id of the member
        self._leaving: deque[int] = deque()  # ids; not under the lock
        self._tokens = float(burst)
        self._share = 1.0  # of the rate, after throttling
        self._updated: float | None = None
        self._not_before = float("-inf")  # by the service's word
        self._taken: deque[float] = deque(maxlen=1)
        self._set(Limit(rate, burst, window))

    def after_fork_in_child(self) -> None:
        """A thread of the parent's may have held the lock."""
        self._lock = green.Lock()

    def join(self, member: int, limit: Limit) -> None:
        """Count *member* among the living, with *limit*."""
        with self._lock:
            self._let_leave()
            self._members[member] = limit
            self._set(_least(self._members.values()))

    def leave(self, member: int) -> None:
        """Count *member* no more, from the next request on. The last one's limit holds until another joins.

        Takes no lock: the garbage collector may call it in a thread that holds the lock.
        """
        self._leaving.append(member)

    def _let_leave(self) -> None:
        has_changed = False
        while self._leaving:
            has_changed |= self._members.pop(self._leaving.popleft(), None) is not None
        if has_changed and self._members:
            self._set(_least(self._members.values()))

    def _set(self, limit: Limit) -> None:
        self._rate, self._burst, self._window = limit.rate, float(limit.burst), limit.window
        self._tokens = min(self._tokens, self._burst)
        # Never shortened: a larger window may come back, and it counts earlier requests too.
        if limit.window is not None and limit.window[0] > (self._taken.maxlen or 0):
            self._taken = deque(self._taken, maxlen=limit.window[0])

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

    def wait(self, now: float) -> float:
        """Seconds until there is a place; takes none."""
        with self._lock:
            return self._wait(now)

    def try_take(self, now: float) -> float:
        """Take a place and return 0, or return the seconds after which to ask again."""
        with self._lock:
            wait = self._wait(now)
            if wait <= 0:
                self._take(now)
            return wait

    def _wait(self, now: float) -> float:
        if self._leaving:
            self._let_leave()
        if self._updated is None or now < self._updated:  # the latter: another clock than before
            self._updated = now
            self._not_before = min(self._not_before, now + HINT_CEILING_SECONDS)
            self._taken = deque((min(at, now) for at in self._taken), maxlen=self._taken.maxlen)
        rate = self._rate * self._share
        self._tokens = min(self._burst, self._tokens + (now - self._updated) * rate)
        self._updated = now
        # 1e-9: after waiting exactly as long as told, rounding must not ask for another femtosecond
        wait = 0.0 if self._tokens >= 1 - 1e-9 else (1 - self._tokens) / rate
        if self._window is not None and len(self._taken) >= self._window[0]:
            wait = max(wait, self._taken[-self._window[0]] + self._window[1] - now)
        return max(wait, self._not_before - now)

    def _take(self, now: float) -> None:
        self._tokens -= 1
        self._taken.append(now)


class Member:
    """One handler's part in a shared pacer: its limit counts from the start until ``leave``.

    A handler that was closed leaves, and joins again with the next request it sends. So does a worker whose
    handler was dropped with events pending. May be used from several threads.
    """

    __slots__ = ("__weakref__", "_limit", "shared")

    def __init__(self, shared: Pacer, limit: Limit) -> None:
        self.shared = shared
        self._limit = limit
        shared.join(id(self), limit)
        weakref.finalize(self, shared.leave, id(self)).atexit = False

    def leave(self) -> None:
        """The handler is closed: its limit binds no other handler until it sends again."""
        self.shared.leave(id(self))

    def wait(self, now: float) -> float:
        """Seconds until there is a place; takes none, so it is no reason to join."""
        return self.shared.wait(now)

    def try_take(self, now: float) -> float:
        """Take a place and return 0, or return the seconds after which to ask again."""
        self.shared.join(id(self), self._limit)
        return self.shared.try_take(now)

    def throttled(self, not_before: float = float("-inf")) -> None:
        """The service found us too fast, and wants nothing before *not_before* if it said so."""
        self.shared.throttled(not_before)

    def taken(self) -> None:
        """The service took a request."""
        self.shared.taken()

    def after_fork_in_child(self) -> None:
        """A thread of the parent's may have held the lock."""
        self.shared.after_fork_in_child()


def _least(limits: Iterable[Limit]) -> Limit:
    """The slowest rate, the smallest burst and the slowest window among *limits*."""
    rates, bursts, windows = zip(*limits, strict=True)
    return Limit(
        min(rates),
        min(bursts),
        min((window for window in windows if window), key=lambda window: window[0] / window[1], default=None),
    )
