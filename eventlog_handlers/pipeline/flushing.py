"""Flush: a ticket for everything accepted so far, and the wait until its events are settled."""

from __future__ import annotations

from collections.abc import Callable

from eventlog_handlers.pipeline.delivery import Delivery
from eventlog_handlers.pipeline.gates import Idle
from eventlog_handlers.pipeline.inline import Inline
from eventlog_handlers.pipeline.ledger import Ledger
from eventlog_handlers.pipeline.sharing import Sharing
from eventlog_handlers.pipeline.thread_pool import ThreadPool
from eventlog_handlers.pipeline.tickets import Ticket
from eventlog_handlers.process import green, own_traffic, start_thread


def must_not_wait() -> bool:
    """Whether this thread would wait for itself: one at work for us, or the owner of logging's lock."""
    return own_traffic.mark.active or start_thread.caller_owns_logging_lock()


class Flushing:
    """Flushes one handler's events. For any thread."""

    def __init__(
        self,
        ledger: Ledger,
        delivery: Delivery,
        pool: ThreadPool,
        inline: Inline,
        *,
        clock: Callable[[], float],
        sharing: Sharing | None,
    ) -> None:
        self._ledger = ledger
        self._delivery = delivery
        self._pool = pool
        self._inline = inline
        self._clock = clock
        self._sharing = sharing

    def start(self, *, urgent: bool) -> Ticket:
        """Begin to send everything accepted so far, full batches or not.

        *urgent*, at the end of the process: a destination that rests after a failure is tried at once.
        """
        sharing, ledger = self._sharing, self._ledger
        ticket = ledger.open_ticket() if sharing is None else ledger.open_ticket(has_more=sharing.has_to_tell)
        if not ticket.finished:
            if urgent:
                self._delivery.hurry()
            self._pool.rouse()
        return ticket

    def start_without_wait(self) -> None:
        """The same for a thread that must not wait, nor take a lock."""
        if self._ledger.approximate_pending():
            self._ledger.hurry_folds()
            self._pool.rouse()

    def finish(self, ticket: Ticket, timeout: float) -> bool:
        """Wait until the events of *ticket* are settled, *timeout* seconds at most; True if they are.

        Does the work in this thread where no other can be had.
        """
        deadline = self._clock() + timeout
        pool = self._pool
        try:
            while not ticket.finished and (left := deadline - self._clock()) > 0:
                idle: Idle | None = Idle(None, 1)
                if not pool.has_threads() and not pool.rouse():
                    idle = self._inline.step(deadline)
                if idle is not None:
                    green.get(ticket.done, left if idle.seconds is None else min(left, idle.seconds))
        finally:  # also where Ctrl-C ends the wait
            self._ledger.close_ticket(ticket)
        return ticket.finished
