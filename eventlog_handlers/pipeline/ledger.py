"""The law: every event accepted is delivered, dropped, aggregated or pending, and the four sums agree.

Every event is dropped through here, and so is counted. The ledger's lock is its own: each method takes it,
none holds it over a request, a hook of the user's, a write to stderr or a wait.

Not here: how events come in (``arrivals``), how they leave the buffer (``holding``), and which of them a
flush waits for (``tickets``). All three take no lock and stand under this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from eventlog_handlers.buffers import Buffer, WriteAhead
from eventlog_handlers.events import Event, Lease
from eventlog_handlers.pipeline.arrivals import Arrivals
from eventlog_handlers.pipeline.counters import Loss
from eventlog_handlers.pipeline.folds import Folds
from eventlog_handlers.pipeline.holding import Holding
from eventlog_handlers.pipeline.intake import Intake
from eventlog_handlers.pipeline.reports import Reports
from eventlog_handlers.pipeline.tickets import Ticket, Tickets, nothing_more
from eventlog_handlers.process import green, lock_state
from eventlog_handlers.record.captured import Capture, Captured


class Waiting(NamedTuple):
    """The events that the buffer has for the next request."""

    ready_in: float | None
    """Seconds until an event can be leased: 0 now, None never."""
    events: int
    """Events that can be leased now."""
    bytes: int
    is_flushed: bool
    """Some flush waits for them, so they wait for no full batch."""


class Ledger:
    """Takes captures out of the intake and events into the buffer, and keeps the law.

    *wall_clock* dates losses, in seconds since the epoch; *reports* go to the user's observer. *settled* is
    called under the lock with each event that was in the buffer, and ``delivered``.
    """

    def __init__(
        self,
        intake: Intake,
        folds: Folds | None,
        buffer: Buffer,
        wall_clock: Callable[[], float],
        reports: Reports,
        settled: Callable[..., None] | None = None,
        journal: WriteAhead | None = None,
    ) -> None:
        # Re-entrant: a signal handler may call stats() within stats().
        self._lock = green.RLock()
        self._tickets = Tickets()
        self._holding = Holding(
            buffer, self._tickets, wall_clock=wall_clock, reports=reports, settled=settled
        )
        self._buffer = buffer
        self._journal = journal
        self._counters = self._holding.counters
        self._reports = reports
        self._intake = intake
        self._folds = folds
        self._arrivals = Arrivals(intake, folds, self._holding, self._tickets)

    # --- coming in -----------------------------------------------------------------------------------------

    def take(self, count: int) -> list[Captured] | None:
        """Captures to render, oldest first; None while another thread renders. ``put`` must follow."""
        with self._lock:
            return self._arrivals.take(count)

    def put(
        self,
        events: Sequence[Event],
        *,
        dropped: Sequence[tuple[int, str]],
        unread: list[Captured],
        counted: int = 0,
        summaries: Sequence[tuple[Event, str | None]] = (),
        read: Sequence[Captured] = (),
    ) -> None:
        """Take in the captures that ``take`` gave: *events*, ``(level, reason)`` for each that was *dropped*,
        and the *unread* ones, which wait again; *read* are the others. *counted* events were added to a
        problem that another process reports. *summaries* as for ``add_summary``. If anything raises, each is
        in one of the law's sums."""
        with self._lock:
            self._arrivals.put(events, dropped=dropped, unread=unread, counted=counted, summaries=summaries)
            if self._journal is not None:
                # Only a capture that is whole was written there.
                self._journal.moved(one.id_bits for one in read if isinstance(one, Capture))

    def add(self, event: Event) -> None:
        """Take in an event of our own making."""
        with self._lock:
            self._arrivals.add(event)

    def add_summary(self, event: Event, dropped: str | None = None) -> None:
        """Take in the summary of a problem that processes share; *dropped*: why it goes no further.

        It stands for one of the events that were only counted here, if there is one, as the summary of a fold
        does. Otherwise all of them were counted by other processes, and it has come from outside.
        """
        with self._lock:
            self._arrivals.add_summary(event, dropped)

    @property
    def added_summaries(self) -> int:
        """How many summaries stand for repeats that only other processes had counted."""
        return self._arrivals.added_summaries

    def adopt(self) -> None:
        """Adopt, a slice at a time, the spool of dead processes; count the events that the buffer lost."""
        with self._lock:
            self._arrivals.adopt()
            self._holding.count_lost()

    # --- going out -----------------------------------------------------------------------------------------

    def waiting(self) -> Waiting:
        """The events that could go in the next request."""
        with self._lock:
            buffer = self._buffer
            return Waiting(buffer.ready_in(), buffer.ready(), buffer.ready_bytes(), bool(self._tickets))

    def lease(self, count: int, *, max_age: float) -> list[Lease]:
        """Up to *count* events no older than *max_age* seconds; those past it are dropped on the way.

        Empty if there is none, or if so many were past it that others should have their turn first.
        """
        with self._lock:
            return self._holding.lease(count, max_age=max_age)

    def ack(self, leases: Sequence[Lease]) -> None:
        """Settle these events: the service has them."""
        with self._lock:
            self._holding.ack(leases)

    def nack(self, lease: Lease, delay: float, *, spent: bool) -> None:
        """Lease this event again, after *delay* seconds at least; *spent*: the attempt counts."""
        with self._lock:
            self._buffer.nack(lease, delay, spent=spent)

    def nack_all(self, leases: Iterable[Lease]) -> None:
        """They wait again. Never raises: a lease that is neither settled nor nacked is lost for ever."""
        with self._lock:
            self._holding.nack_all(leases)

    def drop(self, lease: Lease, reason: str) -> None:
        """Drop this event for *reason*."""
        with self._lock:
            self._holding.drop((lease,), reason)

    def rest(self) -> None:
        """No thread looks after the buffer until the next record."""
        with self._lock:
            self._buffer.rest()

    def close(self) -> None:
        """The process ends, or the handler is closed; the next record opens the buffer's file again."""
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
        """Losses that no event has told yet; from now on they are told."""
        with self._lock:
            losses = self._holding.losses
            return losses.take() if losses else None

    # --- flushing ------------------------------------------------------------------------------------------

    def open_ticket(self, *, sum_up: bool = True, has_more: Callable[[], bool] = nothing_more) -> Ticket:
        """A ticket for everything accepted so far; finished at once if nothing is pending.

        *sum_up*: folds tell now of the repeats counted so far, whether their windows are over or not.
        *has_more*: whether summaries of what is shared with other processes are still to come; asked again
        when all else is settled.
        """
        with self._lock:
            self._arrivals.count_early_drops()
            self._holding.count_lost()
            if sum_up and self._folds is not None:
                self._arrivals.sum_up(self._folds.all_open())
            ticket = Ticket(self._arrivals.so_far(), has_more)
            if self.approximate_pending() or has_more():
                self._tickets.add(ticket)
            else:
                ticket.finish()
            return ticket

    def close_ticket(self, ticket: Ticket) -> None:
        """No thread waits for it any more."""
        with self._lock:
            self._tickets.discard(ticket)

    def wait_for_folds(self) -> float | None:
        """Seconds until a summary is due; None if there are no unreported repeats."""
        if self._folds is None:
            return None
        with self._lock:
            return self._folds.wait()

    def hurry_folds(self) -> None:
        """Have the next ``take`` make summaries of all repeats. Takes no lock."""
        if self._folds is not None:
            self._folds.hurried = True

    # --- asking --------------------------------------------------------------------------------------------

    def is_rendering(self) -> bool:
        """Whether a thread has captures in hand, as of this moment; without the lock."""
        return self._arrivals.in_hand > 0

    def is_in_use_here(self) -> bool:
        """Whether this thread holds the lock, and so may have left a change half done."""
        return lock_state.is_held_here(self._lock)

    def is_stuck(self) -> bool:
        """Whether another thread holds the lock: at the very end it may hold it for ever."""
        return lock_state.is_held_elsewhere(self._lock)

    def approximate_pending(self) -> int:
        """Accepted and not settled. Without the lock it may be out by what moves at this moment."""
        return self.approximate_held() + (0 if self._folds is None else self._folds.approximate_open())

    def approximate_held(self) -> int:
        """Of those, the ones that take room."""
        return len(self._intake.captures) + self._arrivals.in_hand + len(self._buffer)

    def pending(self) -> int:
        """Accepted and not settled."""
        with self._lock:
            self._holding.count_lost()
            return self.approximate_pending()

    def spool_state(self) -> dict[str, Any]:
        """The state of the spool; empty for a buffer in memory."""
        with self._lock:
            return self._buffer.state()

    def sums(self) -> dict[str, Any]:
        """The law's sums, all of one moment."""
        with self._lock:
            self._arrivals.count_early_drops()
            self._holding.count_lost()
            counters, sums = self._counters, self._arrivals.sums()
            return {
                "accepted": sums.accepted,
                "delivered": counters.delivered,
                "dropped": dict(counters.dropped),
                "dropped_by_level": dict(counters.dropped_by_level),
                "aggregated": sums.aggregated,
                "pending": sums.pending,
                "pending_bytes": self._buffer.bytes(),
                "oldest_seconds": self._buffer.oldest(),
                "retried": counters.retried,
                "duplicates_possible": counters.duplicates_possible,
                "requests": counters.requests,
                "failed_requests": counters.failed_requests,
            }
