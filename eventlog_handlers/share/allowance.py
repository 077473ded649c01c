"""Budgets as values: how many events of an hour or a day were sent, and whether one more may go. Pure.

The limit belongs to the process that asks; the spent events are counted for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from eventlog_handlers.share.contract import PERIODS, Spent


class Spending(NamedTuple):
    """Events spent since *since* (the backend's clock); *critical* of *spent* were critical events."""

    since: float = float("-inf")
    spent: int = 0
    critical: int = 0


class Allowances(NamedTuple):
    """The budgets of one process: *limits* holds ``(events, "hour" or "day")``; *reserve* (0 to 1) is the
    share of each that only critical events may use."""

    limits: tuple[tuple[int, str], ...] = ()
    reserve: float = 0.1


NONE = Allowances()


def kept(limit: int, reserve: float) -> int:
    """How many of *limit* only critical events may use; at least one is left for the others."""
    return min(limit - 1, math.ceil(limit * reserve))


def is_over(spending: Spending, period: str, now: float) -> bool:
    """Whether the window of *spending* has ended, or its start is of another clock."""
    return not spending.since <= now < spending.since + PERIODS[period]


def lacking(
    spendings: Mapping[str, Spending],
    allowances: Allowances,
    now: float,
    *,
    critical: bool,
    places: int = 1,
) -> Spent | None:
    """The budget without room for one more event, the one that is renewed last; None if all have room.

    *places*: one event costs so many, because as many processes decide alone; the first one costs one.
    """
    found: Spent | None = None
    for limit, period in allowances.limits:
        spending = spendings[period]
        if is_over(spending, period, now):
            continue
        room = limit if critical else limit - kept(limit, allowances.reserve)
        until = spending.since + PERIODS[period] - now
        cost = places if spending.spent else 1
        if spending.spent + cost > room and (found is None or until > found.until):
            found = Spent(limit, period, spending.since - now, until)
    return found


def charged(spending: Spending, period: str, now: float, *, critical: bool, places: int = 1) -> Spending:
    """*spending* and one event more, at the price of *places*."""
    if is_over(spending, period, now):
        spending = Spending(now)
    return Spending(spending.since, spending.spent + places, spending.critical + critical * places)
