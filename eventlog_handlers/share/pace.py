"""The rate limit as values: when the next request may go. Pure: told the time.

The rule is GCRA, which is a token bucket kept as one number: the moment when the bucket is full again. Above
it stands an exact window over the moments of the last places. ``fleet_scripts`` repeats these rules in Lua.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from eventlog_handlers.errors import HINT_CEILING_SECONDS
from eventlog_handlers.share.contract import MAX_WINDOW_PLACES, Limits

LEAST_SLOWDOWN = 1 / 16
SLOWDOWN_STEP = 1 / 20
BOOK_AHEAD_SECONDS = 5.0
_ROUNDING = 1e-9
"""After a wait of exactly the told length, rounding must not ask for another femtosecond."""


class Pace(NamedTuple):
    """The state of a rate limit. Moments are seconds of the backend's clock."""

    full_at: float = 0.0
    """When all of the burst is free again: GCRA's theoretical arrival time."""
    taken: int = 0
    """Places given so far: the index of the next moment in the ring."""
    not_before: float = 0.0
    """By the service's word."""
    slowdown: float = 1.0
    """The share of the rate that is used after throttling, from LEAST_SLOWDOWN to 1."""


def fitting(limits: Limits) -> Limits:
    """*limits* with a window of at most MAX_WINDOW_PLACES places, never faster than given."""
    if limits.window is None or limits.window[0] <= MAX_WINDOW_PLACES:
        return limits
    count, seconds = limits.window
    return limits._replace(window=(MAX_WINDOW_PLACES, seconds * MAX_WINDOW_PLACES / count))


def earliest(pace: Pace, limits: Limits, oldest: float | None, now: float) -> float:
    """The moment of the next place, at least *now*. *oldest* is the moment of the place ``window[0]`` places
    before the next one, None where fewer were given."""
    at = pace.full_at - (limits.burst - 1) * _interval(pace, limits)
    at = max(at, min(pace.not_before, now + HINT_CEILING_SECONDS))
    if limits.window is not None and oldest is not None:
        at = max(at, min(oldest, now + BOOK_AHEAD_SECONDS) + limits.window[1])
    return at if at > now + _ROUNDING else now


def after(pace: Pace, limits: Limits, at: float) -> Pace:
    """*pace* when a place at the moment *at* has been given."""
    full_at, taken, not_before, slowdown = pace  # not _replace, which is slow: this is each take's path
    full_at = (full_at if full_at > at else at) + 1 / (limits.rate * slowdown)
    return Pace(full_at, taken + 1, not_before, slowdown)


def several(
    pace: Pace, limits: Limits, moments: Sequence[float], now: float, places: int
) -> tuple[list[float], Pace]:
    """The moments of the next *places* places, and the pace when all of them are given. *moments* are those
    of the last ``window[0]`` places, oldest first."""
    count = limits.window[0] if limits.window else 1
    history = deque(moments, maxlen=count)
    given: list[float] = []
    for _ in range(places):
        oldest = history[0] if len(history) == count else None
        at = earliest(pace, limits, oldest, now)
        pace = after(pace, limits, at)
        history.append(at)
        given.append(at)
    return given, pace


def turn(now: float, limits: Limits, members: int, rank: int) -> float:
    """The next moment, at least *now*, at which the member of *rank* may send, where *members* decide alone
    and are more than the window has places.

    Time is divided into turns, one member's after the other's. A turn is longer than a place by a twentieth,
    so that a member may be a little late and the next one in time.
    """
    if limits.window is None:
        return now
    count, seconds = limits.window
    length = 1.05 * seconds / count
    frame = length * members
    start = (now - rank * length) // frame * frame + rank * length
    return now if now < start + min(0.05 * seconds, length / 2) else start + frame


def throttled(pace: Pace, limits: Limits, now: float, retry_after: float | None) -> Pace:
    """*pace* after the service's answer "too fast": half the rate, and no more of the burst than one."""
    slower = _at_slowdown(pace, max(LEAST_SLOWDOWN, pace.slowdown / 2), now)
    full_at = max(slower.full_at, now + (limits.burst - 1) * _interval(slower, limits))
    hint = 0.0 if retry_after is None else now + min(retry_after, HINT_CEILING_SECONDS)
    return slower._replace(full_at=full_at, not_before=max(pace.not_before, hint))


def answered(pace: Pace, now: float) -> Pace:
    """*pace* after the service took a request."""
    return _at_slowdown(pace, min(1.0, pace.slowdown + SLOWDOWN_STEP), now)


def on_another_clock(pace: Pace, now: float) -> Pace:
    """*pace* of a clock that no longer runs: the machine was started anew. The window's moments stay as they
    are; those in the future count as now."""
    return pace._replace(
        full_at=min(pace.full_at, now), not_before=min(pace.not_before, now + HINT_CEILING_SECONDS)
    )


def _interval(pace: Pace, limits: Limits) -> float:
    return 1 / (limits.rate * pace.slowdown)


def _at_slowdown(pace: Pace, slowdown: float, now: float) -> Pace:
    """The same tokens at another rate."""
    debt = max(0.0, pace.full_at - now) * pace.slowdown / slowdown
    return pace._replace(full_at=now + debt, slowdown=slowdown)
