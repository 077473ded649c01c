"""Takes captures in, has them rendered and delivered, flushes, parks.

One event's way: ``submit`` (any thread, no lock) -> intake -> ``step`` [render, Buffer.put] -> lease -> batch
-> Sink.send -> one Outcome per event -> ack, nack or drop.

Which side may touch what. The caller's side, inside ``emit``, touches the intake, the folds and the pool's
``wake_at`` and ``rouse``; it takes no lock that another thread may hold. All else is the threads' side.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue  # by name: green or real, as our locks are, whoever patches later
from typing import Any, TypeVar

from eventlog_handlers.buffers import Buffer
from eventlog_handlers.errors import described
from eventlog_handlers.pipeline.fold import Folds
from eventlog_handlers.pipeline.gates import Idle
from eventlog_handlers.pipeline.intake import Intake
from eventlog_handlers.pipeline.ledger import Ticket
from eventlog_handlers.pipeline.life import Life, Parts
from eventlog_handlers.pipeline.rendering import render_some
from eventlog_handlers.pipeline.sharing import HANDOVER_SECONDS, LONGEST_HANDOVER_SECONDS
from eventlog_handlers.process import exit as process_exit
from eventlog_handlers.process import own_traffic, start_thread
from eventlog_handlers.process.randomness import random_bits, reseed
from eventlog_handlers.record.capture import Capture
from eventlog_handlers.settings.values import PipelineSettings

_INLINE_SECONDS = 1.0  # how long a logging call sends by itself where threads are refused
_BLOCK_SECONDS = 1.0  # when_full="block": how long a logging call waits for room
_BLOCK_POLL_SECONDS = 0.005
_COMMIT_SECONDS = 5.0  # durability="commit": how long a logging call waits at most
_COMMIT_LOOK_SECONDS = 0.5  # between two looks whether a thread is still there

T = TypeVar("T")

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
        self._captures = self._intake.captures
        self._unmeasured = 0  # how many captures come in until the next one is measured
        self.folds = self._made_folds()
        """None where nothing is folded. Never rebound."""
        self._begin_life()
        process_exit.join(self)

    def _made_folds(self) -> Folds | None:
        """The table of repeats. Where problems are shared with other processes it only gathers what is
        handed over; the long windows are the shared table's."""
        seconds, longest = self.settings.aggregate_seconds, float("inf")
        if seconds is None:
            return None
        if self._parts.sharing is not None:
            seconds, longest = min(seconds, HANDOVER_SECONDS), min(seconds, LONGEST_HANDOVER_SECONDS)
        return Folds(seconds, self._clock, random_bits, self._fold_opened, longest)

    def _begin_life(self) -> None:
        self._life = Life(
            self.name, self.settings, self._parts, intake=self._intake, folds=self.folds, work=self
        )
        # Of this life too, and named here for the log call's sake.
        self.pid = self._life.pid
        self._pool = self._life.pool
        self._is_closed = False  # at least once: logging's shutdown won't come again

    def after_fork_in_child(self) -> None:
        """Start empty: the parent still owns what was buffered, its threads and its connections.

        Python's hook calls this, and ``emit`` and ``flush`` where *pid* is another process's: uWSGI forks
        without the hooks.
        """
        reseed()
        if self._parts.sharing is not None:
            self._parts.sharing.after_fork_in_child()
        elif self._parts.pacer is not None:
            self._parts.pacer.after_fork_in_child()
        _parents_buffers.append(self._life.buffer)
        self._intake.clear()
        if self.folds is not None:
            self.folds.clear()
        self._begin_life()

    # --- the caller's side ---------------------------------------------------------------------------------

    def submit(self, captured: Capture) -> None:
        """Take a capture in. Waits for nothing but room, and that only with ``when_full="block"``."""
        if self._blocks:
            self._wait_for_room()
        captures, pool = self._captures, self._pool
        captures.append(captured)
        waiting = len(captures)
        if self._is_closed and process_exit.past_exit_hooks():
            self._flush_late()
        elif waiting >= pool.wake_at:  # never more than the capacity
            if not pool.rouse():
                self._go_on_without_threads()
            if waiting > self._capacity:
                self._intake.bound_number(captured)
        self._unmeasured -= 1  # threads may lose one, which does no harm
        if self._unmeasured < 0:
            self._unmeasured = self._intake.bound_bytes(captured)

    def commit(self, captured: Capture) -> None:
        """Take a capture in and wait until it is in the buffer: ``durability="commit"``.

        A thread of the pool renders and writes it, so that Ctrl-C, or a signal handler that logs, breaks this
        wait and no write. Never waits where that thread might wait for this one.
        """
        if self.is_over() or self._life.is_in_use_here() or start_thread.caller_owns_logging_lock():
            self.submit(captured)
            return
        done = self._intake.expect(captured)
        try:
            self.submit(captured)
            self._wait_for_commit(done)
        finally:
            self._intake.forget(captured)

    def _wait_for_commit(self, done: SimpleQueue[None]) -> None:
        deadline = self._clock() + _COMMIT_SECONDS
        while True:
            if done.empty() and not self._life.pool.rouse():
                while done.empty() and self._inline(self._render_some):
                    pass
            try:
                done.get(timeout=_COMMIT_LOOK_SECONDS)
            except Empty:
                if self._clock() < deadline:
                    continue
                self._life.notes.say_once(
                    "commit", f"a log call waited {_COMMIT_SECONDS:g} s for its commit and goes on without it"
                )
            return

    def _fold_opened(self) -> None:
        """A fold now has an unreported repeat: make sure a thread is alive when its window ends."""
        if self.is_over() or (not self._life.pool.rouse_idle() and process_exit.is_finalizing()):
            self._flush_late()

    def _go_on_without_threads(self) -> None:
        if process_exit.is_finalizing() or self.is_over():
            self._flush_late()
        elif self._life.pool.take_refusal():
            self._send_inline()

    def _send_inline(self) -> None:
        """Where no thread can be had the caller sends: events don't wait for the end of the process."""
        life = self._life
        if life.is_in_use_here():  # a signal handler logs within stats() or flush() of this very thread
            return
        deadline = self._clock() + self._inline_seconds
        ticket = life.ledger.open_ticket(sum_up=False)  # so that nothing waits for a full batch
        try:
            while self._clock() < deadline and self._step_inline(deadline) is None:
                pass
        finally:
            life.ledger.close_ticket(ticket)

    def _step_inline(self, deadline: float) -> Idle | None:
        """One turn; what to wait for, or None if there was something to do."""
        idle = self._inline(lambda: (self.step(deadline=deadline),))
        return idle[0] if idle else Idle(None, 1)

    def _inline(self, work: Callable[[], T]) -> T | None:
        """Do *work* in a thread of the application's, which must not see what raises; None if it did."""
        with own_traffic.at_work():
            try:
                return work()
            except Exception as error:
                self._parts.self_log.say_once("broke off", f"a turn broke off: {described(error)}")
                return None

    def _flush_late(self) -> None:
        """No hook of ours comes any more: send in this thread, as long as the exit's budget lasts."""
        if self._life.is_in_use_here():
            return
        if process_exit.is_finalizing():
            self._keep_or_tell()
            return
        started = self._clock()
        deadline = started + process_exit.budget(self)
        ticket = self.start_flush()
        while not ticket.finished and self._clock() < deadline and self._step_inline(deadline) is None:
            pass
        # What is not settled by now rests after a failure, or another thread has it in hand.
        self.finish_flush(ticket, deadline - self._clock() if self._life.pool.threads else 0.0)
        process_exit.spend(self._clock() - started)
        self.say_what_is_left()

    def _keep_or_tell(self) -> None:
        """The interpreter takes itself apart: put what came into the spool, and tell what is lost.

        Nothing can be sent: requests and urllib3 import in the midst of a request, and nothing can be
        imported. Nor waited for: a thread that is still there stands still, perhaps with a lock.
        """
        life = self._life
        if life.is_frozen():
            self._say_left(life.ledger.approximate_pending(), 0)
            return
        with contextlib.suppress(Exception):
            while self._render_some():
                pass
        self.say_what_is_left()

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

    # --- the threads' side ---------------------------------------------------------------------------------

    def step(self, *, deadline: float | None = None) -> Idle | None:
        """One turn, without thread or sleep: render what came in, then deliver at most one lease of events.

        Returns None if there was something to do, else what to wait for. *deadline* (monotonic) shortens the
        request's timeout.
        """
        life = self._life
        try:
            life.ledger.adopt()
            rendered = self._render_some()
            planned = life.delivery.plan()
            if isinstance(planned, Idle):
                return None if rendered else self._until_folds(planned)
            try:
                if life.pool.threads and life.delivery.wants_another_thread(alone=life.pool.threads == 1):
                    life.pool.rouse()
            finally:
                life.delivery.deliver(planned, deadline=deadline)  # whatever was raised, for it has leases
            return None
        finally:
            life.tell()
            self._publish()

    def _publish(self, *, now_at_once: bool = False) -> None:
        sharing, life = self._parts.sharing, self._life
        if sharing is None:
            return
        try:
            sharing.publish(
                lambda: sharing.calls(life.ledger.sums(), life.ledger.added_summaries),
                now_at_once=now_at_once,
            )
        except Exception as error:  # a fault of ours, and no event is concerned
            life.notes.say_once("publish", f"counters can't be shown to other processes: {described(error)}")

    def _render_some(self) -> bool:
        life = self._life
        return render_some(
            life.ledger,
            self._intake,
            self._parts.render,
            life.charging,
            life.notes,
            self._parts.sharing,
        )

    def _until_folds(self, idle: Idle) -> Idle:
        """*idle*, but not past the end of a window that has something to tell."""
        sharing = self._parts.sharing
        looks = [self._life.ledger.wait_for_folds(), None if sharing is None else sharing.next_look()]
        seconds = min((look for look in looks if look is not None), default=None)
        if seconds is None or (idle.seconds is not None and idle.seconds <= seconds):
            return idle
        return Idle(seconds, idle.records)

    def waiting(self) -> int:
        """How many captures wait to be rendered, roughly; as seen after all that this thread has written.

        A thread that goes to sleep first says so and then asks here; ``submit`` appends first and then asks
        whether a thread sleeps. Without the GIL a processor may delay a write past a later read, on both
        sides. Each side's call on the deque takes the deque's own lock, so that one of them sees the other.
        """
        self._captures.extend(())
        return len(self._captures)

    def has_news(self) -> bool:
        """Whether something came in that no thread has looked at."""
        return bool(self._captures or (self.folds is not None and self.folds.approximate_open()))

    def pending(self) -> int:
        """How many events are not settled."""
        return self._life.ledger.pending()

    def rest(self) -> None:
        """Let go of connections and files: the last thread leaves."""
        self._life.delivery.close()
        self._life.ledger.rest()
        if self._parts.sharing is not None:
            self._publish(now_at_once=True)
            self._parts.sharing.rest()

    def keep_alive(self) -> None:
        """Stay in memory to the end of the process."""
        process_exit.keep_alive(self)

    # --- any side ------------------------------------------------------------------------------------------

    def flush(self, timeout: float | None = None) -> bool:
        """Send everything accepted so far; True if it is settled: delivered, or dropped for a counted reason.

        Waits *timeout* seconds at most (None: ``exit_timeout``, or what is left of it while the interpreter
        ends), whatever the worker is stuck in.
        """
        return self.end_flush(self.begin_flush(), timeout)

    def begin_flush(self) -> Ticket | None:
        """Start what ``end_flush`` waits for, so that several workers can be flushed side by side.

        None on a thread that must not wait: one at work for us, or the owner of logging's lock.
        """
        if own_traffic.mark.active or start_thread.caller_owns_logging_lock():
            if self._life.ledger.approximate_pending():
                self._life.ledger.hurry_folds()
                self._life.pool.rouse()
            return None
        if process_exit.is_finalizing():
            self._flush_late()
            return None
        return self.start_flush(urgent=process_exit.exiting())

    def end_flush(self, ticket: Ticket | None, timeout: float | None) -> bool:
        """Wait for *ticket*; see ``flush``."""
        if ticket is None:
            return not self._life.ledger.approximate_pending()
        if timeout is not None:
            return self.finish_flush(ticket, timeout)
        started = self._clock()
        settled = self.finish_flush(ticket, process_exit.budget(self))
        if process_exit.exiting():
            process_exit.spend(self._clock() - started)
        return settled

    def start_flush(self, *, urgent: bool = True) -> Ticket:
        """Begin to send everything accepted so far, full batches or not.

        *urgent*, at the end of the process: a destination that rests after a failure is tried at once.
        """
        if self.pid != os.getpid():
            self.after_fork_in_child()
        sharing = self._parts.sharing
        ledger = self._life.ledger
        ticket = ledger.open_ticket() if sharing is None else ledger.open_ticket(has_more=sharing.has_to_tell)
        if not ticket.finished:
            if urgent:
                self._life.delivery.hurry()
            self._life.pool.rouse()
        return ticket

    def finish_flush(self, ticket: Ticket, timeout: float) -> bool:
        """Wait until what *ticket* stands for is settled; does the work itself where no thread can be had."""
        deadline = self._clock() + timeout
        pool = self._life.pool
        try:
            while not ticket.finished and (left := deadline - self._clock()) > 0:
                idle: Idle | None = Idle(None, 1)
                if not pool.has_threads() and not pool.rouse():
                    idle = self._step_inline(deadline)
                if idle is not None:
                    self._wait_for(ticket, left if idle.seconds is None else min(left, idle.seconds))
        finally:  # also where Ctrl-C ends the wait
            self._life.ledger.close_ticket(ticket)
        return ticket.finished

    def _wait_for(self, ticket: Ticket, seconds: float) -> None:
        try:
            ticket.done.get(timeout=max(0.001, seconds))
        except Empty:
            return

    def park(self, timeout: float | None = None) -> bool:
        """Flush, then let the threads end once nothing is pending. The next record revives them."""
        settled = self.flush(timeout)
        self._is_closed = True
        self._life.pool.park()
        if process_exit.exiting() and not process_exit.is_finalizing():
            self.say_what_is_left()
            process_exit.end_threads_of([self])
        return settled

    def end_threads(self) -> None:
        """Have the threads end now, whatever is pending: the process ends. Does not wait."""
        self._life.pool.end()

    def has_threads_to_end(self) -> bool:
        """Whether a thread that is not stuck in a request is still there."""
        return self._life.pool.threads > self._life.delivery.under_way()

    def is_over(self) -> bool:
        """Whether no exit hook of ours comes any more."""
        return self._is_closed and process_exit.past_exit_hooks()

    def say_what_is_left(self) -> None:
        """Tell on stderr what the end of the process leaves or loses; once for the same number."""
        life = self._life
        pending = life.ledger.pending()
        life.ledger.rest()
        life.notes.tell()
        self._say_left(pending, min(pending, life.ledger.spool_state().get("in_file", 0)))

    def _say_left(self, pending: int, kept: int) -> None:
        """*pending* events are left, *kept* of them in the spool."""
        life, say = self._life, self._parts.self_log.say
        if not pending or pending == life.said_left:
            return
        life.said_left = pending
        why = f" (last error: {life.delivery.last_error})" if life.delivery.last_error else ""
        if kept:
            say(f"{kept} event(s) stay in the spool for the next process{why}")
        if pending > kept:
            say(f"{pending - kept} event(s) not delivered when the process ended{why}")

    def approximate_pending(self) -> int:
        """How many events wait, without a lock: the garbage collector may call in the midst of anything."""
        return self._life.ledger.approximate_pending()

    def count_own_traffic(self) -> None:
        """A record was refused as our own doing."""
        self._life.own_traffic += 1

    def stats(self) -> dict[str, Any]:
        """A snapshot of the law's sums and of the destination's state; see the README for each."""
        life = self._life
        return {
            **life.ledger.sums(),
            **life.delivery.state(),
            "spool": life.ledger.spool_state(),
            "own_traffic": life.own_traffic,
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
