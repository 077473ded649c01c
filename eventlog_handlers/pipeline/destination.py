"""The state of one destination: is it failing, may a request go, until when does it rest. Pure.

The caller hands in time and chance. Knows no event, lock or thread. All times are monotonic seconds but
``last_success``.
"""

from __future__ import annotations

from typing import Any

from eventlog_handlers.errors import MisconfiguredError, SinkError
from eventlog_handlers.pipeline import retry
from eventlog_handlers.pipeline.batching import useful_senders
from eventlog_handlers.pipeline.refusals import Refusals

LONG_AGO = float("-inf")
STUCK_SECONDS = 0.5
"""After this time a request no longer holds up others, however quick they were before."""
_LEARNING = 0.2  # the part of the estimate that one observation replaces


class Destination:
    """The state of one destination, for *concurrency* senders at most."""

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._under_way: list[float] = []  # since when, of each sender
        self._useful_senders = float(concurrency)
        self._rest_until = LONG_AGO
        self._failures = 0  # requests in a row that failed as a whole
        self._took_none = False  # the last answer
        self._is_misconfigured = False
        self._probes = 0  # of a destination that refuses every event; 0 while it does not
        self.refusals = Refusals()
        self.last_send = LONG_AGO
        """When the last request began."""
        self.last_success: float | None = None
        """When an event was last delivered, in seconds since the epoch."""
        self.last_error = ""

    # --- senders -------------------------------------------------------------------------------------------

    def may_send(self, now: float) -> bool:
        """Whether one more sender may begin: one at a time while it fails, else as many as are of use.

        A sender that seems to be stuck counts only against *concurrency*.
        """
        if len(self._under_way) >= (1 if self.is_failing() else self._concurrency):
            return False
        moving = [started for started in self._under_way if now - started < STUCK_SECONDS]
        return len(moving) < round(self._useful_senders)

    def under_way(self) -> int:
        """How many senders are busy."""
        return len(self._under_way)

    def begin(self, now: float) -> None:
        """A sender begins."""
        self._under_way.append(now)
        self.last_send = now

    def end(self, began: float, *, seconds: float, busy_seconds: float) -> None:
        """The sender that began at *began* took *seconds*, *busy_seconds* of them of the processor."""
        self._under_way.remove(began)
        if busy_seconds > 0:
            useful = min(useful_senders(seconds, busy_seconds), self._concurrency)
            self._useful_senders += _LEARNING * (useful - self._useful_senders)

    # --- answers -------------------------------------------------------------------------------------------

    def answered(self, wall_now: float) -> None:
        """It took an event, at *wall_now* seconds since the epoch."""
        self._failures = self._probes = 0
        self._is_misconfigured = self._took_none = False
        self.refusals.delivered()
        self.last_success = wall_now

    def failed(self, error: SinkError, now: float, rand: float) -> None:
        """A request failed as a whole, so it rests."""
        self._failures += 1
        self._is_misconfigured = isinstance(error, MisconfiguredError)
        self._probes = 0
        self.last_error = str(error)
        self._rest_until = now + retry.rest(error, failures=self._failures, rand=rand)

    def took_none(self, why: str) -> None:
        """It answered and took no event of the request; it needs no rest for that."""
        self._failures = 0
        self._is_misconfigured = False
        self._took_none = True
        self.last_error = why

    def blames_events(self) -> None:
        """The last refusals were those events' fault: it took others, so nothing is wrong with it."""
        self._took_none = False

    def refuses_all(self, why: str, now: float, rand: float) -> float:
        """It refuses every event, so a setting is wrong; returns the seconds until it is probed with one."""
        self._probes += 1
        self.last_error = why
        seconds = retry.probe_after_refusal(probes=self._probes, rand=rand)
        self._rest_until = now + seconds
        return seconds

    def hurry(self) -> None:
        """Try at once although it rests after a failure: the process is about to end.

        Not where credentials or the like are wrong: that is known, and asking again proves nothing.
        """
        if not self._is_misconfigured:
            self._rest_until = LONG_AGO

    # --- asking --------------------------------------------------------------------------------------------

    def resting(self, now: float) -> float:
        """Seconds until a request may go; 0 if one may now."""
        return max(0.0, self._rest_until - now)

    def is_held(self) -> bool:
        """Whether a setting is wrong: then a request is a probe, of one event."""
        return self._is_misconfigured or self._probes > 0

    def refuses_events(self) -> bool:
        """Whether it seems to refuse every event: then which one is the probe matters."""
        return self._probes > 0

    def is_failing(self) -> bool:
        """Whether the last request failed."""
        return self._took_none or self._failures > 0 or self._probes > 0

    def word(self) -> str:
        """``ok``, ``failing`` or ``held``."""
        return "held" if self.is_held() else "failing" if self.is_failing() else "ok"

    def state(self) -> dict[str, Any]:
        """Its part of ``stats()``."""
        return {"state": self.word(), "last_success": self.last_success, "last_error": self.last_error}
