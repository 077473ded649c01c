"""What is held and what became of it: the law ``accepted = delivered + dropped + aggregated + pending``.

Whoever drops an event does it through here, so that it is counted. All of it stands under ``lock``, which is
never held over a request, a hook of the user's or a wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from typing import Any

from eventlog_handlers.buffers import Buffer, Evicted
from eventlog_handlers.events import Event, Lease
from eventlog_handlers.pipeline.counters import Counters, Losses, level_name
from eventlog_handlers.pipeline.fold import Folds
from eventlog_handlers.pipeline.intake import Intake
from eventlog_handlers.pipeline.reports import Reports
from eventlog_handlers.record.capture import Capture


class Ticket:
    """Somebody waits until everything accepted before now is settled."""

    def __init__(self, after: int) -> None:
        self.after = after
        """How many captures must have left the intake before the keys to wait for are known."""
        self.keys: set[int] | None = None
        self.done: SimpleQueue[None] = SimpleQueue()
        self.finished = False

    def finish(self) -> None:
        """Wake who waits."""
        self.finished = True
        self.done.put(None)


class Ledger:
    """The intake's far end, the buffer, the counters and those who wait for them.

    A fold with N repeats untold counts as one event pending and N - 1 aggregated. Its summary goes through
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
    ) -> None:
        # Re-entrant: a signal handler may call stats() within stats().
        self.lock = threading.RLock()
        self.buffer = buffer
        self.counters = Counters()
        self.tickets: list[Ticket] = []
        self._intake = intake
        self._folds = folds
        self._aggregated = 0  # repeats that went into summaries, less one for each
        self._taken = 0  # captures that left the intake for rendering
        self._in_hand = 0  # of those, not yet in the buffer
        self._shed = 0
        self._added = 0  # events that came by no log call of this process
        self.losses = Losses()
        self._wall_clock = wall_clock
        self.reports = reports

    # Each of these takes the lock itself.

    def take(self, count: int) -> list[Capture] | None:
        """Captures to render, oldest first; None if another thread is at it. ``put`` must follow."""
        with self.lock:
            self._count_shed()
            if self._in_hand:
                return None
            if self._folds is not None:
                self._summed_up(self._folds.due())
            chunk = self._intake.take(count)
            self._taken += len(chunk)
            self._in_hand = len(chunk)
            if not chunk:
                self._arm_tickets()
            return chunk

    def put(self, events: Sequence[Event], *, dropped: Sequence[tuple[int, str]]) -> None:
        """What became of the captures taken: *events*, and ``(level, reason)`` for each that is none."""
        with self.lock:
            for level, reason in dropped:
                self._count_drop(reason, level)
            self._evicted(self.buffer.put(events))
            self._in_hand = 0
            self._arm_tickets()

    def accept(self, event: Event | None, level: int) -> None:
        """Take in the event of a log call that passed by the intake; None if the user's hook dropped it."""
        with self.lock:
            self._taken += 1
            if event is None:
                self._count_drop("before_send", level)
            else:
                self._evicted(self.buffer.put([event]))

    def add(self, event: Event) -> None:
        """Take in an event of our own making."""
        with self.lock:
            self._added += 1
            self._evicted(self.buffer.put([event]))

    def adopt(self) -> None:
        """Take in, a slice at a time, what dead processes left in the spool; count what the buffer lost."""
        with self.lock:
            self._added += self.buffer.adopt()
            self._count_lost()

    def rest(self) -> None:
        """Let go of what the buffer has outside the process; the next record takes it up again."""
        with self.lock:
            self.buffer.close()

    def acknowledge(self, lease: Lease) -> None:
        """The service has it."""
        with self.lock:
            self.buffer.ack((lease,))
            self.counters.delivered += 1
            self.reports.count("on_delivered")
            self._settled(lease.key)

    def give_back(self, lease: Lease, delay: float, *, spent: bool) -> None:
        """It is to be tried again."""
        with self.lock:
            self.buffer.nack(lease, delay, spent=spent)

    def drop(self, lease: Lease, reason: str) -> None:
        """It is lost, for *reason*."""
        with self.lock:
            self.buffer.ack((lease,))
            self._count_drop(reason, lease.event.level)
            self._settled(lease.key)

    def open_ticket(self, *, sum_up: bool = True) -> Ticket:
        """A ticket for everything accepted so far; finished at once if nothing is pending.

        *sum_up*: folds tell now of the repeats counted so far, whether their windows are over or not.
        """
        with self.lock:
            self._count_shed()
            if sum_up and self._folds is not None:
                self._summed_up(self._folds.all_open())
            ticket = Ticket(self._taken + self._shed + len(self._intake.captures))
            if self.pending():
                self.tickets.append(ticket)
            else:
                ticket.finish()
            return ticket

    def close_ticket(self, ticket: Ticket) -> None:
        """Nobody waits for it any more."""
        with self.lock:
            if ticket in self.tickets:
                self.tickets.remove(ticket)

    def pending(self) -> int:
        """Accepted and not settled."""
        with self.lock:
            return self.roughly_pending()

    def wait_for_folds(self) -> float | None:
        """Seconds until a summary is due; None if there are no repeats to tell of."""
        if self._folds is None:
            return None
        with self.lock:
            return self._folds.wait()

    def hurry_folds(self) -> None:
        """Have the next ``take`` tell of all repeats. Takes no lock."""
        if self._folds is not None:
            self._folds.hurried = True

    def is_in_use_here(self) -> bool:
        """Whether this thread holds the lock, and so may have left a change half done."""
        is_owned: Callable[[], bool] = getattr(self.lock, "_is_owned", lambda: False)
        return is_owned()

    def roughly_pending(self) -> int:
        """The same without the lock, for the caller's side: it may be out by what moves at this moment."""
        return self.roughly_held() + (0 if self._folds is None else self._folds.roughly_open())

    def roughly_held(self) -> int:
        """Of those, the ones that take room."""
        return len(self._intake.captures) + self._in_hand + len(self.buffer)

    def sums(self) -> dict[str, Any]:
        """The law's sums, all of one moment."""
        with self.lock:
            self._count_shed()
            self._count_lost()
            counters = self.counters
            # Each of these may grow at any moment, so it is asked once.
            waiting = len(self._intake.captures)
            repeats, folds = (0, 0) if self._folds is None else self._folds.sums()
            aggregated = self._aggregated + repeats - folds
            return {
                "accepted": self._taken + self._shed + self._added + waiting + aggregated + folds,
                "delivered": counters.delivered,
                "dropped": dict(counters.dropped),
                "dropped_by_level": dict(counters.dropped_by_level),
                "aggregated": aggregated,
                "pending": waiting + self._in_hand + len(self.buffer) + folds,
                "pending_bytes": self.buffer.bytes(),
                "oldest_seconds": self.buffer.oldest(),
                "retried": counters.retried,
                "duplicates_possible": counters.duplicates_possible,
                "requests": counters.requests,
                "failed_requests": counters.failed_requests,
            }

    # These are called with the lock held.

    def _summed_up(self, summaries: Iterable[Capture]) -> None:
        for summary in summaries:
            self._aggregated += summary.count - 1
            self._intake.captures.append(summary)

    def _count_shed(self) -> None:
        while self._intake.shed:
            self._count_drop("overflow", self._intake.shed.popleft())
            self._shed += 1

    def _count_lost(self) -> None:
        for key, level, reason in self.buffer.lost():
            self._count_drop(reason, level or 0)
            if key is not None:
                self._settled(key)

    def _evicted(self, evicted: Iterable[Evicted]) -> None:
        for event, key in evicted:
            self._count_drop("overflow", event.level)
            if key is not None:
                self._settled(key)

    def _count_drop(self, reason: str, level: int) -> None:
        self.counters.drop(reason, level)
        self.losses.add(reason, level, self._wall_clock())
        self.reports.count("on_drop", reason, level_name(level))

    def _arm_tickets(self) -> None:
        """Give each ticket whose captures have all been put the keys it waits for."""
        for ticket in tuple(self.tickets):
            if ticket.keys is None and self._taken + self._shed >= ticket.after:
                ticket.keys = self.buffer.keys()
                self._finish_if_settled(ticket)

    def _settled(self, key: int) -> None:
        for ticket in tuple(self.tickets):
            if ticket.keys is not None:
                ticket.keys.discard(key)
                self._finish_if_settled(ticket)

    def _finish_if_settled(self, ticket: Ticket) -> None:
        if not ticket.keys:
            self.tickets.remove(ticket)
            ticket.finish()
