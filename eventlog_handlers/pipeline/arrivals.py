"""How events come in: captures leave the intake, are rendered, and enter the buffer or are dropped.

Keeps three of the law's four sums (accepted, aggregated, pending); the buffer's side keeps the counts of what
leaves (``holding``). Under the ledger's lock, which is not taken here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from eventlog_handlers.events import Event
from eventlog_handlers.pipeline.folds import Folds
from eventlog_handlers.pipeline.holding import Holding
from eventlog_handlers.pipeline.intake import Intake
from eventlog_handlers.pipeline.tickets import Tickets
from eventlog_handlers.record.captured import Capture, Captured


class Sums(NamedTuple):
    """Three sums of the law, all of one moment."""

    accepted: int
    aggregated: int
    pending: int


class Arrivals:
    """Counts the events that come in, by log calls and otherwise.

    A fold with N untold repeats counts as one event pending and N - 1 aggregated. Its summary goes through
    the intake like any capture.
    """

    def __init__(self, intake: Intake, folds: Folds | None, holding: Holding, tickets: Tickets) -> None:
        self._intake = intake
        self._folds = folds
        self._holding = holding
        self._tickets = tickets
        self.in_hand = 0
        """Captures that are being rendered."""
        self.added_summaries = 0
        """Summaries of what other processes had counted."""
        self._taken = 0  # captures that left the intake for rendering
        self._dropped_early = 0  # captures that the intake dropped
        self._aggregated = 0  # repeats that went into summaries, less one for each
        self._counted = 0  # events that were added to a problem that another process reports
        self._added = 0  # events that came by no log call of this process

    def take(self, count: int) -> list[Captured] | None:
        """Captures to render, oldest first; None while another thread renders. ``put`` must follow."""
        self.count_early_drops()
        if self.in_hand:
            return None
        if self._folds is not None:
            self.sum_up(self._folds.due())
        chunk = self._intake.take(count)
        self._taken += len(chunk)
        self.in_hand = len(chunk)
        if not chunk:
            self._arm_tickets()
        return chunk

    def put(
        self,
        events: Sequence[Event],
        *,
        dropped: Sequence[tuple[int, str]],
        unread: list[Captured],
        counted: int,
        summaries: Sequence[tuple[Event, str | None]],
    ) -> None:
        """See ``Ledger.put``."""
        holding = self._holding
        accounted = holding.accounted() + len(dropped) + len(events) + len(summaries)
        # A summary may have come before the count that it stands for: another thread was quicker.
        early = min(counted, self.added_summaries)
        self._counted += counted - early
        self._added -= early
        self.added_summaries -= early
        try:
            for level, reason in dropped:
                holding.count_drop(reason, level)
            holding.put(events)
            for summary, reason_of_drop in summaries:
                self.add_summary(summary, reason_of_drop)
        finally:
            # Must not fail: else these captures would be in none of the law's sums.
            for _ in range(accounted - holding.accounted()):
                holding.count_drop("worker_died", 0)
            if unread:
                self._intake.put_back(unread)
                self._taken -= len(unread)
            self.in_hand = 0
            self._arm_tickets()

    def add(self, event: Event) -> None:
        """Take in an event of our own making."""
        self._added += 1
        self._holding.put([event])

    def add_summary(self, event: Event, dropped: str | None) -> None:
        """See ``Ledger.add_summary``."""
        if self._counted:
            self._counted -= 1
        else:
            self._added += 1
            self.added_summaries += 1
        if dropped is not None:
            self._holding.refuse(event, dropped)
            return
        buffer = self._holding.buffer
        before = buffer.next_key()
        self._holding.put([event])
        if self._tickets:
            held = buffer.keys()
            self._tickets.wait_for_summary({key for key in held if key >= before})

    def adopt(self) -> None:
        """Adopt, a slice at a time, the spool of dead processes."""
        self._added += self._holding.buffer.adopt()

    def sum_up(self, summaries: Iterable[Capture]) -> None:
        """Put the summaries of folds into the intake."""
        for summary in summaries:
            self._aggregated += summary.count - 1
            self._intake.captures.append(summary)

    def count_early_drops(self) -> None:
        """Count captures that the intake dropped on the caller's side."""
        while self._intake.dropped:
            self._holding.count_drop("overflow", self._intake.dropped.popleft())
            self._dropped_early += 1

    def so_far(self) -> int:
        """How many captures will have left the intake once all that wait now have."""
        return self._taken + self._dropped_early + len(self._intake.captures)

    def sums(self) -> Sums:
        """The sums now. Early drops and what the buffer lost must have been counted before."""
        # Each of these may grow at any moment, so it is asked once.
        waiting = len(self._intake.captures)
        repeats, folds = (0, 0) if self._folds is None else self._folds.sums()
        aggregated = self._aggregated + repeats - folds
        return Sums(
            accepted=self._taken + self._dropped_early + self._added + waiting + aggregated + folds,
            aggregated=aggregated + self._counted,
            pending=waiting + self.in_hand + len(self._holding.buffer) + folds,
        )

    def _arm_tickets(self) -> None:
        self._tickets.arm(self._taken + self._dropped_early, self._held)

    def _held(self) -> tuple[int, int]:
        buffer = self._holding.buffer
        return buffer.next_key(), len(buffer)
