"""The worker of one handler: takes captures in, flushes, parks, and starts again in a forked child.

One event's way: ``submit`` (any thread, no lock) -> intake -> ``Turns.step`` [render, Buffer.put] -> lease ->
batch -> Sink.send -> one Outcome per event -> ack, nack or drop.

Which side may touch what. The caller's side, inside ``emit``, touches the intake, the folds and the pool's
``wake_at`` and ``rouse``; it takes no lock that another thread may hold. All else is the threads' side.

Not here: a turn (``turns``), the wait of a flush (``flushing``), turns in a log call's own
thread (``inline``), ``durability="commit"`` (``committing``), the end of the process (``ending``).
"""

from __future__ import annotations

import os
import threading
from typing import Any

from eventlog_handlers.buffers import Buffer
from eventlog_handlers.pipeline.committing import Committing
from eventlog_handlers.pipeline.flushing import must_not_wait
from eventlog_handlers.pipeline.folds import Folds
from eventlog_handlers.pipeline.gates import Idle
from eventlog_handlers.pipeline.intake import Intake
from eventlog_handlers.pipeline.life import Life, Parts
from eventlog_handlers.pipeline.sharing import HANDOVER_SECONDS, LONGEST_HANDOVER_SECONDS
from eventlog_handlers.pipeline.tickets import Ticket
from eventlog_handlers.process import exit as process_exit
from eventlog_handlers.process import green, own_traffic
from eventlog_handlers.process.randomness import random_bits, reseed
from eventlog_handlers.record.captured import Capture, Captured
from eventlog_handlers.settings.values import PipelineSettings

_INLINE_SECONDS = 1.0  # how long a logging call sends by itself where threads are refused
_BLOCK_SECONDS = 1.0  # when_full="block": how long a logging call waits for room
_BLOCK_POLL_SECONDS = 0.005

_parents_buffers: list[Buffer] = []
"""Buffers inherited over a fork, kept from the garbage collector: it would close the parent's file."""


class Worker:
    """Carries captures of one handler to its sink.

    Where no thread can be had, ``flush`` does the work in its caller, and now and then a logging call does,
    for *inline_seconds* at most.
    """

    def __init__(
        self, name: str, settings: PipelineSettings, parts: Parts, *, inline_seconds: float = _INLINE_SECONDS
    ) -> None:
        self.name = name
        self.exit_timeout = settings.exit_timeout
        self.settings = settings
        self._parts = parts
        self._inline_seconds = inline_seconds
        self._clock = parts.clock
        self._capacity = settings.capacity
        self._blocks = settings.when_full == "block"
        self._intake = Intake(settings.when_full, settings.capacity, settings.capacity_bytes)
        self.captures = self._intake.captures
        """Those that wait. Never rebound."""
        self.unmeasured = 0
        """How many captures come in until the next one is measured."""
        self.folds = self._made_folds()
        """None where nothing is folded. Never rebound."""
        self._beginning = green.RLock()
        self._begin_life()
        process_exit.join(self)

    def _made_folds(self) -> Folds | None:
        """The table of repeats. Where processes share problems, or their destination counts them, its windows
        are short: it only gathers repeats, and the shared table has the long windows."""
        seconds, longest = self.settings.aggregate_seconds, float("inf")
        if seconds is None:
            return None
        if self._parts.sharing is not None or self.settings.counts_are_passed_on:
            seconds, longest = min(seconds, HANDOVER_SECONDS), min(seconds, LONGEST_HANDOVER_SECONDS)
        return Folds(seconds, self._clock, random_bits, self._fold_opened, longest)

    def _begin_life(self) -> None:
        self._life = Life(
            self.name,
            self.settings,
            self._parts,
            intake=self._intake,
            folds=self.folds,
            is_over=self.is_over,
            keep_alive=self._keep_alive,
            inline_seconds=self._inline_seconds,
        )
        self.pool = self._life.pool  # named here for the log call's sake, as the pid
        self._committing = Committing(
            self._life,
            self._intake,
            submit=self.submit,
            appended=self.appended,
            wait_for_room=self._wait_for_room if self._blocks else None,
            is_over=self.is_over,
            render=self._parts.render,
            clock=self._clock,
        )
        self.is_closed = False  # at least once: logging's shutdown won't come again
        self.pid = self._life.pid  # last: who finds it right uses all of the above

    def after_fork_in_child(self) -> None:
        """Start empty: the parent still owns its events, its threads and its connections.

        Python's hook calls this, in the child's only thread.
        """
        self._beginning = green.RLock()  # a thread of the parent may hold the old one
        self._begin_anew()

    def notice_fork(self) -> None:
        """The same where *pid* is another process's: uWSGI forks without Python's hooks.

        The child's first records may come in several threads at once. One thread begins anew, the others wait
        for it: to begin twice would lose what was taken in between.
        """
        with self._beginning:
            if self.pid != os.getpid():
                self._begin_anew()

    def _begin_anew(self) -> None:
        reseed()
        if self._parts.sharing is not None:
            self._parts.sharing.after_fork_in_child()
        elif self._parts.pacer is not None:
            self._parts.pacer.after_fork_in_child()
        _parents_buffers.append(self._life.buffer)
        self._life.pool.abandon()
        self._intake.clear()
        if self.folds is not None:
            self.folds.clear()
        self._begin_life()

    # --- the caller's side ---------------------------------------------------------------------------------

    def submit(self, captured: Capture) -> None:
        """Take a capture in. Waits for nothing but room, and that only with ``when_full="block"``."""
        if self._blocks:
            self._wait_for_room()
        self.captures.append(captured)
        self.appended(captured)

    def appended(self, captured: Capture) -> None:
        """See to what is due now that *captured* stands in the intake."""
        if len(self.captures) >= self.pool.wake_at or self.is_closed:
            self.look_up(captured)
        self.unmeasured -= 1  # threads may lose one, which does no harm
        if self.unmeasured < 0:
            self.measure(captured)

    def look_up(self, newest: Captured) -> None:
        """*newest* was appended, and a thread is to look, or too many wait, or the handler is closed."""
        waiting = len(self.captures)
        if self.is_closed and process_exit.past_exit_hooks():
            self._life.ending.flush_late()
        elif waiting >= self.pool.wake_at:  # never more than the capacity
            if not self.pool.rouse():
                self._go_on_without_threads()
            if waiting > self._capacity:
                self._intake.bound_number(newest)

    def measure(self, newest: Captured) -> None:
        """It is this one's turn to be measured; see ``Intake.bound_bytes``."""
        self.unmeasured = self._intake.bound_bytes(newest)

    def commit(self, captured: Capture) -> None:
        """Take a capture in so that its event outlives the process; see ``Committing.commit``."""
        self._committing.commit(captured)

    def _wait_for_room(self) -> None:
        ledger = self._life.ledger
        if (
            own_traffic.mark.active
            or ledger.approximate_held() < self._capacity
            or process_exit.is_finalizing()
        ):
            return
        deadline = self._clock() + _BLOCK_SECONDS
        never = threading.Event()  # a sleep that no frozen clock in the user's tests reaches
        while ledger.approximate_held() >= self._capacity and self._clock() < deadline:
            self._life.pool.rouse()
            never.wait(_BLOCK_POLL_SECONDS)

    def _fold_opened(self) -> None:
        """A fold now has an unreported repeat: make sure a thread is alive when its window ends."""
        if self.is_over() or (not self._life.pool.rouse_idle() and process_exit.is_finalizing()):
            self._life.ending.flush_late()

    def _go_on_without_threads(self) -> None:
        if process_exit.is_finalizing() or self.is_over():
            self._life.ending.flush_late()
        elif self._life.pool.take_refusal():
            self._life.inline.send()

    def count_own_traffic(self) -> None:
        """Count a record that was refused because our own work logged it."""
        self._life.own_traffic += 1

    def count_already_reported(self) -> None:
        """Count a record that was refused because its exception has been sent."""
        self._life.already_reported += 1

    # --- any side ------------------------------------------------------------------------------------------

    def step(self, *, deadline: float | None = None) -> Idle | None:
        """Take one turn in this thread; see ``Turns.step``."""
        return self._life.turns.step(deadline=deadline)

    def flush(self, timeout: float | None = None) -> bool:
        """Send everything accepted so far; True if it is settled: delivered, or dropped for a counted reason.

        Waits *timeout* seconds at most (None: ``exit_timeout``, or what is left of it while the interpreter
        ends), even if the worker is stuck.
        """
        return self.end_flush(self.begin_flush(), timeout)

    def begin_flush(self) -> Ticket | None:
        """Start what ``end_flush`` waits for, so that several workers can be flushed side by side.

        None on a thread that must not wait, and in a signal handler that struck inside a lock of ours: the
        wait would be in vain.
        """
        if must_not_wait() or self.is_in_use_here():
            self._life.flushing.start_without_wait()
            return None
        if process_exit.is_finalizing():
            self._life.ending.flush_late()
            return None
        return self.start_flush(urgent=process_exit.exiting())

    def end_flush(self, ticket: Ticket | None, timeout: float | None) -> bool:
        """Wait for *ticket*; see ``flush``."""
        if ticket is None:
            return not self._life.ledger.approximate_pending()
        if timeout is not None:
            return self.finish_flush(ticket, timeout)
        started = self._clock()
        settled = self.finish_flush(ticket, self._life.ending.budget())
        if process_exit.exiting():
            process_exit.spend(self._clock() - started)
        return settled

    def start_flush(self, *, urgent: bool = True) -> Ticket:
        """Begin to send everything accepted so far; see ``Flushing.start``."""
        if self.pid != os.getpid():
            self.notice_fork()
        return self._life.flushing.start(urgent=urgent)

    def finish_flush(self, ticket: Ticket, timeout: float) -> bool:
        """Wait for *ticket*, *timeout* seconds at most; see ``Flushing.finish``."""
        return self._life.flushing.finish(ticket, timeout)

    def park(self, timeout: float | None = None) -> bool:
        """Flush, then let the threads end once nothing is pending. The next record revives them."""
        process_exit.before_close()
        settled = self.flush(timeout)
        self.is_closed = True
        self._life.pool.park()
        if process_exit.is_finalizing():  # a thread that stands still may hold any lock
            return settled
        if not self._life.pool.threads:  # else the last of them does that
            self._life.ledger.close()
            self._life.turns.hide()
        if process_exit.exiting():
            self.say_what_is_left()
            process_exit.end_threads_of([self])
        return settled

    def end_threads(self) -> None:
        """Have the threads end now, even with events pending: the process ends. Does not wait."""
        self._life.pool.end()

    def has_threads_to_end(self) -> bool:
        """Whether a thread that is not stuck in a request is still there."""
        # With nothing pending, what is under way is only the end of a request that is settled.
        stuck = self._life.delivery.under_way() if self._life.ledger.approximate_pending() else 0
        return len(self._life.pool.alive) > stuck

    def is_in_use_here(self) -> bool:
        """Whether this thread holds a lock that the threads need: a signal struck inside."""
        return self._life.turns.is_in_use_here()

    def is_over(self) -> bool:
        """Whether no exit hook of ours comes any more."""
        return self.is_closed and process_exit.past_exit_hooks()

    def say_what_is_left(self) -> None:
        """Tell on stderr how many events are kept and how many are lost; once for the same number."""
        self._life.ending.say_what_is_left()

    def _keep_alive(self) -> None:
        process_exit.keep_alive(self)

    def approximate_pending(self) -> int:
        """How many events wait, without a lock: the garbage collector may call at any moment."""
        return self._life.ledger.approximate_pending()

    def stats(self) -> dict[str, Any]:
        """A snapshot of the law's sums and of the destination's state; ``docs/delivery.md`` tells of each."""
        life = self._life
        return {
            **life.ledger.sums(),
            **life.delivery.state(),
            "spool": life.ledger.spool_state(),
            "own_traffic": life.own_traffic,
            "already_reported": life.already_reported,
            "threads": life.pool.threads,
            "restarts": life.pool.restarts,
            **self._scope(),
        }

    def _scope(self) -> dict[str, Any]:
        """With which processes rate limit, budgets and problems are shared, as of the last look."""
        sharing = self._parts.sharing
        if sharing is None:
            return {"scope": "process"}
        state = sharing.state()
        return {"scope": state.pop("scope", sharing.asked_for), "sharing": state}
