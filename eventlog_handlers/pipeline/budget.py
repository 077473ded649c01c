"""How many events may be sent in an hour or a day, and whether one more may. Pure: told the time.

Knows nothing of events: it counts. ``charging`` drops an event that no budget has room for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

PERIODS = {"hour": 3600.0, "day": 86_400.0}
"""Seconds."""


class Spent(NamedTuple):
    """A budget with nothing left: *limit* events a *period* from *since* to *until*, monotonic seconds."""

    limit: int
    period: str
    since: float
    until: float


class _Allowance:
    """At most *limit* events in a fixed window, which begins with the first event after the last window."""

    def __init__(self, limit: int, period: str, reserve: float) -> None:
        self.limit = limit
        self.period = period
        # A reserve is kept of any limit above one, and something is always left to the others.
        self.kept = min(limit - 1, math.ceil(limit * reserve))
        self.since = float("-inf")
        self.spent = 0

    def renew(self, now: float) -> None:
        if not self.since <= now < self.since + PERIODS[self.period]:
            self.since = now
            self.spent = 0

    def has_room(self, *, critical: bool) -> bool:
        return self.spent < (self.limit if critical else self.limit - self.kept)


class Budget:
    """One handler's budgets together: an event goes if each has room for it, and is charged to each.

    *limits* holds ``(events, "hour" or "day")``. *reserve*, from 0 to 1, is the share of each that only
    critical events may use. All times are monotonic seconds, so no step of the wall clock renews a budget.
    Not thread-safe.
    """

    def __init__(self, limits: Iterable[tuple[int, str]], reserve: float) -> None:
        self._allowances = [_Allowance(limit, period, reserve) for limit, period in limits]

    def lacking(self, now: float, *, critical: bool) -> Spent | None:
        """The budget that has no room for one more event, the one that is renewed last; None if all have."""
        lacking = None
        for one in self._allowances:
            until = one.since + PERIODS[one.period]
            is_spent = one.since <= now < until and not one.has_room(critical=critical)
            if is_spent and (lacking is None or until > lacking.until):
                lacking = Spent(one.limit, one.period, one.since, until)
        return lacking

    def charge(self, now: float) -> None:
        """One event goes."""
        for one in self._allowances:
            one.renew(now)
            one.spent += 1
