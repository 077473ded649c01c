"""What is held and what became of it: the law ``accepted = delivered + dropped + aggregated + pending``.

Every event that is dropped is dropped through here, and so is counted. The ledger's lock is its own business:
each method takes it, none holds it over a request, a hook of the user's, a write to stderr or a wait.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from typing import Any, NamedTuple

from eventlog_handlers.buffers import Buffer, Evicted, Lost
from eventlog_handlers.events import Event, Lease
from eventlog_handlers.pipeline.counters import Counters, Loss, Losses, level_name
from eventlog_handlers.pipeline.fold import Folds
from eventlog_handlers.pipeline.intake import Intake
from eventlog_handlers.pipeline.reports import Reports
from eventlog_handlers.record.capture import Capture

_EXPIRED_AT_ONCE = 256  # events past their age that are dropped while the lock is held once


class Ticket:
    """A flush: it is finished when everything accepted before it is settled."""

    def __init__(self, after: int) -> None:
        self.after = after
        """How many captures must have left the intake before the keys to wait for are known."""
        self.keys: set[int] | None = None
        self.done: SimpleQueue[None] = SimpleQueue()
        self.finished = False
        self.has_more: Callable[[], bool] = _nothing_more
        """Whether summaries of what is shared with other processes are still to come."""

    def finish(self) -> None:
        """Wake the thread that waits."""
        self.finished = True
        self.done.put(None)


def _nothing_more() -> bool:
    return False


class Waiting(NamedTuple):
    """What the buffer holds for the next request."""

    ready_in: float | None
    """Seconds until an event can be leased: 0 now, None never."""
    events: int
    """Events that can be leased now."""
    bytes: int
    is_flushed: bool
    """Some flush waits for them, so they wait for no full batch."""


class Ledger:
    """The far end of the intake, the buffer, the counters and the tickets.

    A fold with N untold repeats counts as one event pending and N - 1 aggregated. Its summary goes through
    the intake like any capture. *wall_clock* dates losses, in seconds since the epoch; *reports* go to the
    user's observer.
    """

    def __init__(
        self,
        intake: Intake,
        folds: Folds | None,
        buffer: Buffer,
        wall_clock: Callable[[], float],
        reports: Reports,
        settled: Callable[..., None] | None = None,
    ) -> None:
        # Re-entrant: a signal handler may call stats() within stats().
        self._lock = threading.RLock()
        self._buffer = buffer
        self._counters = Counters()
        self._tickets: list[Ticket] = []
        self._intake = intake
        self._folds = folds
        self._aggregated = 0  # repeats that went into summaries, less one for each
        self.added_summaries = 0
        """Summaries of what other processes had counted."""
        self._counted = 0  # events that were added to a problem that another process reports
        self._taken = 0  # captures that left the intake for rendering
        self._in_hand = 0  # of those, not yet in the buffer
        self._dropped_early = 0  # captures that the intake dropped
        self._added = 0  # events that came by no log call of this process
        self._losses = Losses()
        self._wall_clock = wall_clock
        self._reports = reports
        self._on_settled = settled
        """Called with each event that was in the buffer, and ``delivered``; under the lock."""

    # --- coming in -----------------------------------------------------------------------------------------

    def take(self, count: int) -> list[Capture] | None:
        """Captures to render, oldest first; None if another thread is at it. ``put`` must follow."""
        with self._lock:
            self._count_dropped_early()
            if self._in_hand:
                return None
            if self._folds is not None:
                self._sum_up(self._folds.due())
            chunk = self._intake.take(count)
            self._taken += len(chunk)
            self._in_hand = len(chunk)
            if not chunk:
                self._arm_tickets()
            return chunk

    def put(
        self,
        events: Sequence[Event],
        *,
        dropped: Sequence[tuple[int, str]],
        unread: list[Capture],
        counted: int = 0,
        summaries: Sequence[tuple[Event, str | None]] = (),
    ) -> None:
        """What became of the captures taken: *events*, ``(level, reason)`` for each that is none, and those
        that were not looked at and wait again; *counted* were added to a problem that another process
        reports. *summaries* as for ``add_summary``. Whatever raises, each is in one of the law's sums."""
        with self._lock:
            accounted = self._accounted() + len(dropped) + len(events) + len(summaries)
            # A summary may have come before the count that it stands for: another thread was quicker.
            early = min(counted, self.added_summaries)
            self._counted += counted - early
            self._added -= early
            self.added_summaries -= early
            try:
                for level, reason in dropped:
                    self._count_drop(reason, level)
                self._put(events)
                for summary, reason_of_drop in summaries:
                    self._add_summary(summary, reason_of_drop)
            finally:
                # Must not fail: else these captures would be in none of the law's sums.
                for _ in range(accounted - self._accounted()):
                    self._count_drop("worker_died", 0)
                if unread:
                    self._intake.put_back(unread)
                    self._taken -= len(unread)
                self._in_hand = 0
                self._arm_tickets()

    def add(self, event: Event) -> None:
        """Take in an event of our own making."""
        with self._lock:
            self._added += 1
            self._put([event])

    def add_summary(self, event: Event, dropped: str | None = None) -> None:
        """Take in the summary of a problem that processes share; *dropped*: why it goes no further.

        It stands for one of the events that were only counted here, if there is one, as the summary of a fold
        does. Otherwise all of them were counted by other processes, and it has come from outside.
        """
        with self._lock:
            self._add_summary(event, dropped)

    def adopt(self) -> None:
        """Take in, a slice at a time, what dead processes left in the spool; count what the buffer lost."""
        with self._lock:
            self._added += self._buffer.adopt()
            self._count_lost()

    # --- going out -----------------------------------------------------------------------------------------

    def waiting(self) -> Waiting:
        """What could go in the next request."""
        with self._lock:
            buffer = self._buffer
            return Waiting(buffer.ready_in(), buffer.ready(), buffer.ready_bytes(), bool(self._tickets))

    def lease(self, count: int, *, max_age: float) -> list[Lease]:
        """Up to *count* events no older than *max_age* seconds; those past it are dropped on the way.

        Empty if there is none, or if so many were past it that others should have their turn first.
        """
        with self._lock:
            live: list[Lease] = []
            old: list[Lease] = []
            expired = 0
            try:
                while len(live) < count and expired < _EXPIRED_AT_ONCE:
                    leases = self._buffer.lease(count - len(live))
                    if not leases:
                        break
                    old = [lease for lease in leases if lease.age >= max_age]
                    live += [lease for lease in leases if lease.age < max_age] if old else leases
                    self._drop_leases(old, "expired")
                    expired += len(old)
            except BaseException:
                self.nack_all([*live, *old])
                raise
            return live

    def ack(self, leases: Sequence[Lease]) -> None:
        """The service has them."""
        with self._lock:
            accounted = self._accounted()
            try:
                self._buffer.ack(leases)
            finally:
                self._counters.delivered += accounted - self._accounted()
            for lease in leases:
                self._reports.count("on_delivered")
                if self._on_settled is not None:
                    self._on_settled(lease.event, delivered=True)
                self._settled(lease.key)

    def nack(self, lease: Lease, delay: float = 0.0, *, spent: bool = False) -> None:
        """It waits again, *delay* seconds at least; *spent*: the attempt counts."""
        with self._lock:
            self._buffer.nack(lease, delay, spent=spent)

    def nack_all(self, leases: Iterable[Lease]) -> None:
        """They wait again. Never raises: a lease that is neither settled nor given back is lost for ever."""
        with self._lock:
            for lease in leases:
                with contextlib.suppress(Exception):  # settled already, in what was broken off
                    self._buffer.nack(lease, 0.0, spent=False)

    def drop(self, lease: Lease, reason: str) -> None:
        """It is lost, for *reason*."""
        with self._lock:
            self._drop_leases((lease,), reason)

    def rest(self) -> None:
        """Let go of what the buffer has outside the process; the next record takes it up again."""
        with self._lock:
            self._buffer.close()

    # --- counting ------------------------------------------------------------------------------------------

    def count_request(self) -> None:
        """A request goes."""
        with self._lock:
            self._counters.requests += 1

    def count_failed_request(self, *, perhaps_stored: int = 0) -> None:
        """A request delivered nothing; the service may have stored *perhaps_stored* events all the same."""
        with self._lock:
            self._counters.failed_requests += 1
            self._counters.duplicates_possible += perhaps_stored

    def count_retry(self, code: str) -> None:
        """An event is to be sent again, because of *code*."""
        with self._lock:
            self._counters.retried += 1
            self._reports.count("on_retry", code)

    def take_losses(self) -> Loss | None:
        """What was lost and is not told yet; from now on it is told."""
        with self._lock:
            return self._losses.take() if self._losses else None

    # --- flushing ------------------------------------------------------------------------------------------

    def open_ticket(self, *, sum_up: bool = True, has_more: Callable[[], bool] = _nothing_more) -> Ticket:
        """A ticket for everything accepted so far; finished at once if nothing is pending.

        *sum_up*: folds tell now of the repeats counted so far, whether their windows are over or not.
        *has_more*: whether summaries of what is shared with other processes are still to come; asked again
        when all else is settled.
        """
        with self._lock:
            self._count_dropped_early()
            self._count_lost()
            if sum_up and self._folds is not None:
                self._sum_up(self._folds.all_open())
            ticket = Ticket(self._taken + self._dropped_early + len(self._intake.captures))
            ticket.has_more = has_more
            if self.approximate_pending() or has_more():
                self._tickets.append(ticket)
            else:
                ticket.finish()
            return ticket

    def close_ticket(self, ticket: Ticket) -> None:
        """No thread waits for it any more."""
        with self._lock:
            if ticket in self._tickets:
                self._tickets.remove(ticket)

    def wait_for_folds(self) -> float | None:
        """Seconds until a summary is due; None if there are no repeats to tell of."""
        if self._folds is None:
            return None
        with self._lock:
            return self._folds.wait()

    def hurry_folds(self) -> None:
        """Have the next ``take`` tell of all repeats. Takes no lock."""
        if self._folds is not None:
            self._folds.hurried = True

    # --- asking --------------------------------------------------------------------------------------------

    def is_in_use_here(self) -> bool:
        """Whether this thread holds the lock, and so may have left a change half done."""
        is_owned: Callable[[], bool] = getattr(self._lock, "_is_owned", lambda: False)
        return is_owned()

    def is_stuck(self) -> bool:
        """Whether another thread holds the lock: at the very end it may hold it for ever."""
        if not self._lock.acquire(blocking=False):
            return True
        self._lock.release()
        return False

    def approximate_pending(self) -> int:
        """Accepted and not settled. Without the lock it may be out by what moves at this moment."""
        return self.approximate_held() + (0 if self._folds is None else self._folds.approximate_open())

    def approximate_held(self) -> int:
        """Of those, the ones that take room."""
        return len(self._intake.captures) + self._in_hand + len(self._buffer)

    def pending(self) -> int:
        """Accepted and not settled."""
        with self._lock:
            self._count_lost()
            return self.approximate_pending()

    def spool_state(self) -> dict[str, Any]:
        """Where the events lie, as far as that isn't simply memory."""
        with self._lock:
            return self._buffer.state()

    def sums(self) -> dict[str, Any]:
        """The law's sums, all of one moment."""
        with self._lock:
            self._count_dropped_early()
            self._count_lost()
            counters = self._counters
            # Each of these may grow at any moment, so it is asked once.
            waiting = len(self._intake.captures)
            repeats, folds = (0, 0) if self._folds is None else self._folds.sums()
            aggregated = self._aggregated + repeats - folds
            return {
                "accepted": self._taken + self._dropped_early + self._added + waiting + aggregated + folds,
                "delivered": counters.delivered,
                "dropped": dict(counters.dropped),
                "dropped_by_level": dict(counters.dropped_by_level),
                "aggregated": aggregated + self._counted,
                "pending": waiting + self._in_hand + len(self._buffer) + folds,
                "pending_bytes": self._buffer.bytes(),
                "oldest_seconds": self._buffer.oldest(),
                "retried": counters.retried,
                "duplicates_possible": counters.duplicates_possible,
                "requests": counters.requests,
                "failed_requests": counters.failed_requests,
            }

    # --- with the lock held --------------------------------------------------------------------------------

    def _put(self, events: Sequence[Event]) -> None:
        """Into the buffer, all at once or, if one can't be kept, each for itself."""
        if not events:
            return
        try:
            evicted = self._buffer.put(events)
        except Exception:
            for event in events:
                self._put_alone(event)
        else:
            self._count_evicted(evicted)

    def _put_alone(self, event: Event) -> None:
        """Whatever the buffer raises, what it holds afterwards tells what is lost."""
        accounted = self._accounted() + 1
        try:
            evicted = self._buffer.put([event])
        except Exception:
            missing = accounted - self._accounted()
            if missing > 0:
                self._count_drop("unencodable", event.level)
            for _ in range(missing - 1):  # evicted to make room, before it raised
                self._count_drop("overflow", 0)
            self._finish_tickets_of_the_lost()
        else:
            self._count_evicted(evicted)

    def _accounted(self) -> int:
        """Events that are held or counted as dropped."""
        self._count_lost()
        return len(self._buffer) + sum(self._counters.dropped.values())

    def _finish_tickets_of_the_lost(self) -> None:
        held = self._buffer.keys()
        for ticket in tuple(self._tickets):
            if ticket.keys is not None:
                ticket.keys &= held
                self._finish_if_settled(ticket)

    def _add_summary(self, event: Event, dropped: str | None) -> None:
        if self._counted:
            self._counted -= 1
        else:
            self._added += 1
            self.added_summaries += 1
        if dropped is None:
            before = self._buffer.keys() if self._tickets else set()
            self._put([event])
            new = self._buffer.keys() - before if self._tickets else set()
            for ticket in self._tickets:
                if ticket.keys is not None and ticket.has_more is not _nothing_more:
                    ticket.keys |= new
            return
        self._count_drop(dropped, event.level)
        if self._on_settled is not None:
            self._on_settled(event, delivered=False)

    def _drop_leases(self, leases: Sequence[Lease], reason: str) -> None:
        if leases:
            self._buffer.ack(leases)
        for lease in leases:
            self._count_drop(reason, lease.event.level)
            if self._on_settled is not None:
                self._on_settled(lease.event, delivered=False)
            self._settled(lease.key)

    def _sum_up(self, summaries: Iterable[Capture]) -> None:
        for summary in summaries:
            self._aggregated += summary.count - 1
            self._intake.captures.append(summary)

    def _count_dropped_early(self) -> None:
        while self._intake.dropped:
            self._count_drop("overflow", self._intake.dropped.popleft())
            self._dropped_early += 1

    def _count_lost(self) -> None:
        """Count what the buffer lost by itself. Where it can't say now, it is asked again."""
        lost: Sequence[Lost] = ()
        with contextlib.suppress(Exception):
            lost = self._buffer.lost()
        for key, level, reason in lost:
            self._count_drop(reason, level or 0)
            if key is not None:
                self._settled(key)

    def _count_evicted(self, evicted: Iterable[Evicted]) -> None:
        for event, key in evicted:
            self._count_drop("overflow", event.level)
            if self._on_settled is not None:
                self._on_settled(event, delivered=False)
            if key is not None:
                self._settled(key)

    def _count_drop(self, reason: str, level: int) -> None:
        self._counters.drop(reason, level)
        self._losses.add(reason, level, self._wall_clock())
        self._reports.count("on_drop", reason, level_name(level))

    def _arm_tickets(self) -> None:
        """Give each ticket whose captures have all been put the keys it waits for."""
        for ticket in tuple(self._tickets):
            if ticket.keys is not None:
                if not ticket.keys:
                    self._finish_if_settled(ticket)
            elif self._taken + self._dropped_early >= ticket.after:
                ticket.keys = self._buffer.keys()
                self._finish_if_settled(ticket)

    def _settled(self, key: int) -> None:
        for ticket in tuple(self._tickets):
            if ticket.keys is not None:
                ticket.keys.discard(key)
                self._finish_if_settled(ticket)

    def _finish_if_settled(self, ticket: Ticket) -> None:
        if not ticket.keys and not ticket.has_more():
            self._tickets.remove(ticket)
            ticket.finish()
