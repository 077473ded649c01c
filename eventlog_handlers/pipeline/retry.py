"""Decides after an attempt: ack, retry or drop an event, and how long a failing destination rests. Pure.

*Whether*, *how long* and *which reason is counted* are decided here; ``settling`` acts on it.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from eventlog_handlers.errors import (
    HINT_CEILING_SECONDS,
    MisconfiguredError,
    SinkError,
    ThrottledError,
    TransientError,
)
from eventlog_handlers.events import Disposition, Outcome

RETRY_BASE_SECONDS = 1.0
THROTTLE_BASE_SECONDS = 2.0
RETRY_CEILING_SECONDS = 60.0
PROBE_BASE_SECONDS = 60.0
PROBE_CEILING_SECONDS = 300.0
REFUSED_BASE_SECONDS = 5.0


class Action(enum.Enum):
    """The worker's next act on the lease."""

    ACKNOWLEDGE = "acknowledge"
    RETRY = "retry"
    DROP = "drop"


class Decision(NamedTuple):
    """*delay* in seconds with RETRY; *spent*: the attempt counts; *reason*: a counter's name with DROP."""

    action: Action
    delay: float = 0.0
    spent: bool = True
    reason: str = ""


ACKNOWLEDGE = Decision(Action.ACKNOWLEDGE)


def decide(outcome: Outcome, *, attempts: int, age: float, max_age: float, rand: float) -> Decision:
    """Say what becomes of one event.

    *attempts* counts from 1, this one included; *age* and *max_age* are seconds since the event was
    accepted; the delay already holds jitter from *rand* (0 ≤ rand < 1). An event is dropped only when the
    service proved it bad, when its own bound of attempts is reached or when it is too old.
    """
    if outcome.disposition is Disposition.DELIVERED:
        return ACKNOWLEDGE
    if outcome.disposition is Disposition.REJECTED:
        return Decision(Action.DROP, reason=rejected(outcome.code))
    if age >= max_age:
        return Decision(Action.DROP, reason="expired")
    if outcome.throttled:
        delay = backoff(attempts, rand, base=THROTTLE_BASE_SECONDS)
        return Decision(Action.RETRY, delay=at_least(delay, outcome.retry_after), spent=False)
    if outcome.attempts_allowed is not None and attempts >= outcome.attempts_allowed:
        return Decision(Action.DROP, reason=f"given up: {outcome.code}" if outcome.code else "given up")
    return Decision(Action.RETRY, delay=at_least(backoff(attempts, rand), outcome.retry_after))


def rejected(code: str) -> str:
    """The counter's name for an event that the service refused with *code*."""
    return f"rejected: {code}" if code else "rejected"


def outcome_of(error: SinkError) -> Outcome:
    """The outcome of each event of a failed request: retry, at no cost where the events are not to blame."""
    return Outcome(
        Disposition.RETRY,
        error.code,
        error.detail,
        throttled=isinstance(error, (ThrottledError, MisconfiguredError)),
        attempts_allowed=error.attempts_allowed if isinstance(error, TransientError) else None,
    )


def rest(error: SinkError, *, failures: int, rand: float) -> float:
    """Seconds a whole destination rests after *failures* failed requests in a row, this one included.

    Wrong credentials and the like mend themselves rarely: they are probed every one to five minutes.
    """
    if isinstance(error, MisconfiguredError):
        probe = _doubled(PROBE_BASE_SECONDS, failures, PROBE_CEILING_SECONDS)
        return at_least(probe * (0.8 + 0.2 * rand), error.retry_after)
    base = THROTTLE_BASE_SECONDS if isinstance(error, ThrottledError) else RETRY_BASE_SECONDS
    return at_least(backoff(failures, rand, base=base), error.retry_after)


def probe_after_refusal(*, probes: int, rand: float) -> float:
    """Seconds until a destination that refuses every event is probed, *probes* from 1: 5 to 60.

    Sooner than after a refused key, for it may be a few bad events that look like a bad setting.
    """
    return _doubled(REFUSED_BASE_SECONDS, probes, RETRY_CEILING_SECONDS) * (0.8 + 0.2 * rand)


def backoff(attempts: int, rand: float, *, base: float = RETRY_BASE_SECONDS) -> float:
    """Exponential with full jitter: uniform between 0 and ``base * 2**(attempts-1)``, a minute at most.

    Source: AWS Architecture Blog, "Exponential Backoff And Jitter".
    """
    return rand * _doubled(base, attempts, RETRY_CEILING_SECONDS)


def _doubled(base: float, times: int, ceiling: float) -> float:
    """*base* the first time (*times* is 1), twice as much each time after it, *ceiling* at most."""
    return min(ceiling, base * 2.0 ** min(times - 1, 16))  # 16: no float is too large


def at_least(delay: float, hint: float | None) -> float:
    """*delay*, or the service's *hint* if that is longer; a hint past five minutes is not believed."""
    return delay if hint is None else max(delay, min(hint, HINT_CEILING_SECONDS))
