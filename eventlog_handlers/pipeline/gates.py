"""When the next request may go: a row of gates, each saying what to wait for, or nothing. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from eventlog_handlers.pipeline.batching import due_in
from eventlog_handlers.pipeline.destination import STUCK_SECONDS

_GATHERING_SECONDS = 1.0  # at most: so long a capture waits that wakes nobody


class Idle(NamedTuple):
    """Nothing to send now. Look again in *seconds* (None: not before a capture comes in), or as soon as
    *records* captures wait."""

    seconds: float | None
    records: int
    asks: bool = False
    """A place in a rate limit that is shared with other processes must be asked for first."""


class Situation(NamedTuple):
    """All that the gates look at, at one moment. Times are seconds from now."""

    ready_in: float | None
    """Until the first event can be leased; None if none waits."""
    may_gather: bool
    """Captures may wait in memory until a request is due. Where there is a spool they are to get there."""
    waiting: int
    """Events that can be leased now."""
    waiting_bytes: int
    waits_for_a_batch: bool
    """No flush waits and nothing is half sent, so a request may wait until it is full."""
    may_send: bool
    resting: float
    """Until the destination may be tried again."""
    since_last: float
    batch_size: int
    request_bytes: int
    flush_interval: float
    pace: float | None
    """Until the rate limit lets a request go; None: that must be asked for."""
    many: int
    """Captures that may pile up while nothing can be sent anyway."""


def something_waits(now: Situation) -> Idle | None:
    """Some event can be leased.

    The first capture after a request wakes nobody where that could do no more than look at it: no other
    request is due yet.
    """
    if now.ready_in is None and now.may_gather and now.waits_for_a_batch:
        gathering = min(now.flush_interval - now.since_last, _GATHERING_SECONDS)
        if gathering > 0:
            return Idle(gathering, now.batch_size)
    if now.ready_in is None or now.ready_in > 0:
        return Idle(now.ready_in, 1)
    return None


def a_sender_is_free(now: Situation) -> Idle | None:
    """Fewer senders are busy than are of use.

    The one that finishes plans again; look after STUCK_SECONDS anyway in case one is stuck.
    """
    return None if now.may_send else Idle(STUCK_SECONDS, now.many)


def the_destination_is_rested(now: Situation) -> Idle | None:
    """No failure was too short a time ago."""
    return Idle(now.resting, now.many) if now.resting > 0 else None


def the_batch_is_due(now: Situation) -> Idle | None:
    """It is full, or the last request was long enough ago, or a flush waits."""
    if not now.waits_for_a_batch:
        return None
    wait = due_in(
        waiting=now.waiting,
        waiting_bytes=now.waiting_bytes,
        batch_size=now.batch_size,
        request_bytes=now.request_bytes,
        since_last=now.since_last,
        interval=now.flush_interval,
    )
    return Idle(wait, max(1, now.batch_size - now.waiting)) if wait > 0 else None


def the_rate_limit_allows(now: Situation) -> Idle | None:
    """There is a place in the rate limit; it is taken when events are in hand."""
    if now.pace is None:
        return Idle(0.0, now.many, asks=True)
    return Idle(now.pace, now.many) if now.pace > 0 else None


GATES: tuple[Callable[[Situation], Idle | None], ...] = (
    something_waits,
    a_sender_is_free,
    the_destination_is_rested,
    the_batch_is_due,
    the_rate_limit_allows,
)


def first_wait(now: Situation) -> Idle | None:
    """The first gate's wait; None if a request may go."""
    return next((idle for gate in GATES if (idle := gate(now)) is not None), None)
