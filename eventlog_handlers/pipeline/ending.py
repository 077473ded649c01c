"""The end of the process, for one handler: sends in time, keeps events in the spool, says how many are left.

``process.exit`` calls the exit hooks; this module acts where no exit hook comes any more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from eventlog_handlers.pipeline.delivery import Delivery
from eventlog_handlers.pipeline.flushing import Flushing
from eventlog_handlers.pipeline.inline import Inline
from eventlog_handlers.pipeline.ledger import Ledger
from eventlog_handlers.pipeline.reports import Notes
from eventlog_handlers.pipeline.thread_pool import ThreadPool
from eventlog_handlers.pipeline.turns import Turns
from eventlog_handlers.process import exit as process_exit
from eventlog_handlers.process.self_log import SelfLog


class Ending:
    """Sends, keeps or counts events that no thread of the pool sends any more.

    *exit_timeout* in seconds. *has_spool*: events in the buffer outlive the process.
    """

    def __init__(
        self,
        ledger: Ledger,
        delivery: Delivery,
        pool: ThreadPool,
        turns: Turns,
        inline: Inline,
        flushing: Flushing,
        *,
        clock: Callable[[], float],
        notes: Notes,
        self_log: SelfLog,
        exit_timeout: float,
        has_spool: bool,
    ) -> None:
        self._ledger = ledger
        self._delivery = delivery
        self._pool = pool
        self._turns = turns
        self._inline = inline
        self._flushing = flushing
        self._clock = clock
        self._notes = notes
        self._self_log = self_log
        self._exit_timeout = exit_timeout
        self._has_spool = has_spool
        self._told = 0
        """The last number of events that was told."""

    def budget(self) -> float:
        """Seconds that the exit may still wait for this handler."""
        return process_exit.budget(self._exit_timeout)

    def flush_late(self) -> None:
        """No exit hook comes any more: send in this thread, as long as the exit's budget lasts."""
        if self._turns.is_in_use_here():
            return
        if process_exit.is_finalizing():
            self._keep_or_tell()
            return
        started = self._clock()
        deadline = started + self.budget()
        ticket = self._flushing.start(urgent=True)
        self._inline.step_until_idle(deadline, lambda: ticket.finished)
        # An event that is not settled by now rests after a failure, or another thread has it in hand.
        self._flushing.finish(ticket, deadline - self._clock() if self._pool.threads else 0.0)
        process_exit.spend(self._clock() - started)
        self.say_what_is_left()

    def _keep_or_tell(self) -> None:
        """The interpreter is finalizing: put captures into a spool, and tell how many events are lost.

        Nothing can be sent: requests and urllib3 import in the midst of a request, and nothing can be
        imported. Nothing can be waited for either: a thread that is still there stands still, perhaps with a
        lock.
        """
        if not self._has_spool or self._is_frozen():
            self._say_left(self._ledger.approximate_pending(), 0)
            return
        with contextlib.suppress(Exception):
            while self._turns.render_some():
                pass
        self.say_what_is_left()

    def _is_frozen(self) -> bool:
        """Whether a thread of ours may stand still with a lock that is needed here."""
        return bool(self._pool.alive) or self._delivery.is_stuck() or self._ledger.is_stuck()

    def say_what_is_left(self) -> None:
        """Tell on stderr how many events are kept and how many are lost; once for the same number."""
        pending = self._ledger.pending()
        self._ledger.close()
        self._notes.tell()
        spool = self._ledger.spool_state()
        kept = spool.get("in_file", 0) + spool.get("in_journal", 0)
        self._say_left(pending, min(pending, kept))

    def _say_left(self, pending: int, kept: int) -> None:
        """*pending* events are left, *kept* of them in the spool."""
        if not pending or pending == self._told:
            return
        self._told = pending
        say, last_error = self._self_log.say, self._delivery.last_error
        why = f" (last error: {last_error})" if last_error else ""
        if kept:
            say(f"{kept} event(s) stay in the spool for the next process{why}")
        if pending > kept:
            say(f"{pending - kept} event(s) not delivered when the process ended{why}")
