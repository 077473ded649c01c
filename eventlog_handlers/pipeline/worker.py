"""The only owner of threads: takes captures in, has them rendered and delivered, waits, flushes, stops.

One event's way: ``submit`` (any thread, no lock) -> intake -> ``step`` [render, Buffer.put] -> lease -> batch
-> Sink.send -> one Outcome per event -> ack, nack or drop.

Which side may touch what. The caller's side, inside ``emit``, touches the intake, the folds, ``_wake``,
``_wake_at`` and, without waiting, ``_starting``; it takes no lock that another thread may hold. Everything
else is the worker's side and stands under the ledger's lock.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue  # by name: green or real, as our locks are, whoever patches later
from typing import Any

from eventlog_handlers.buffers import Buffer
from eventlog_handlers.events import Event
from eventlog_handlers.pipeline.counters import Loss
from eventlog_handlers.pipeline.delivery import LONG_AGO, Delivery, Idle
from eventlog_handlers.pipeline.fold import Folds
from eventlog_handlers.pipeline.intake import Intake
from eventlog_handlers.pipeline.ledger import Ledger, Ticket
from eventlog_handlers.pipeline.pacing import Member, Pacer
from eventlog_handlers.pipeline.reports import Reports
from eventlog_handlers.pipeline.sink import Sink
from eventlog_handlers.process import exit as lifecycle
from eventlog_handlers.process import fork, own_traffic, start_thread
from eventlog_handlers.process.randomness import random_bits, reseed
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.record.capture import Capture
from eventlog_handlers.settings.values import PipelineSettings

_CHUNK = 256  # captures rendered between two looks at the lock
_HIGH_WATER = 1_000  # captures that may pile up before a second thread comes to render them
_LINGER_SECONDS = 5.0  # how long an idle thread stays: a fork with threads alive warns from 3.12 on
_RESTART_SECONDS = 1.0  # between attempts to start a thread where that was refused
_INLINE_SECONDS = 1.0  # how long a logging call sends by itself then, at most once between two attempts
_BLOCK_SECONDS = 1.0  # when_full="block": how long a logging call waits for room
_BLOCK_POLL_SECONDS = 0.005


class _Flag(threading.local):
    active = False


_parents_buffers: list[Buffer] = []
"""What a forked child inherited: not to be used, and not to be closed by being collected either."""


class Worker:
    """Carries captures of one handler to its sink.

    *make_sink* and *make_buffer* are called again in a forked child. *render* turns a capture into an event,
    or into None where the user wants none of it, on the worker's thread. *start_thread(run, name)* starts a
    daemon thread or raises RuntimeError; without threads, ``flush`` does the work in its caller, and now and
    then a logging call does, for *inline_seconds* at most. *clock* gives monotonic, *wall_clock* epoch
    seconds, *cpu_clock* the processor seconds of the thread that asks, *rand* a number from 0 to 1.
    """

    def __init__(
        self,
        name: str,
        settings: PipelineSettings,
        *,
        make_sink: Callable[[], Sink],
        make_buffer: Callable[[], Buffer],
        render: Callable[[Capture], Event | None],
        pacer: Pacer | Member | None,
        clock: Callable[[], float],
        cpu_clock: Callable[[], float],
        wall_clock: Callable[[], float],
        rand: Callable[[], float],
        start_thread: Callable[[Callable[[], None], str], None],
        report_loss: Callable[[Loss], Event],
        self_log: SelfLog | None = None,
        inline_seconds: float = _INLINE_SECONDS,
    ) -> None:
        self.name = name
        self.settings = settings
        self.exit_timeout = settings.exit_timeout
        self._make_sink = make_sink
        self._make_buffer = make_buffer
        self._render = render
        self._pacer = pacer
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._wall_clock = wall_clock
        self._rand = rand
        self._start_thread = start_thread
        self._report_loss = report_loss
        self._self_log = self_log or SelfLog(name)
        self._inline_seconds = inline_seconds
        # With a spool nothing waits for a batch on its way there: each record wakes a thread.
        self._high_water = 1 if settings.spool else min(_HIGH_WATER, settings.capacity)
        self._blocks = settings.when_full == "block"
        self._intake = Intake(settings.when_full)
        seconds = settings.aggregate_seconds
        self.folds = None if seconds is None else Folds(seconds, clock, random_bits, self._fold_opened)
        """None where nothing is folded. Never rebound."""
        self._captures = self._intake.captures
        self._ledger: Ledger = None  # type: ignore[assignment]  # made by the next line, and again in a child
        self._new_life()
        lifecycle.join(self)

    def _new_life(self) -> None:
        """What a process, and again each forked child, starts with."""
        self.pid = os.getpid()
        """Whose life this is."""
        if self._ledger is not None:
            _parents_buffers.append(self._ledger.buffer)
        self._intake.clear()
        if self.folds is not None:
            self.folds.clear()
        # Caller's side.
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._wake_at = 1
        self._committing = _Flag()
        self._committed = 0  # since a thread was last woken for it; a rough count, made without a lock
        self._starting = threading.Lock()  # only ever tried, never waited for
        self._start_again_at = LONG_AGO
        self._may_send_inline = False  # a thread was just refused
        self.own_traffic = 0  # records refused as our own doing; a rough count, made without a lock
        # Worker's side.
        self._ledger = Ledger(
            self._intake,
            self.folds,
            self._make_buffer(),
            self._wall_clock,
            Reports(self.settings.observer, self.name, self._self_log),
        )
        self._delivery = Delivery(
            self._make_sink,
            self._ledger,
            self.settings,
            pacer=self._pacer,
            clock=self._clock,
            cpu_clock=self._cpu_clock,
            wall_clock=self._wall_clock,
            rand=self._rand,
            self_log=self._self_log,
            report_loss=self._report_loss,
            many=self._high_water,
        )
        self._threads = 0
        self._waiting = False  # a thread sleeps until a token arrives; at most one does
        self._parked = False
        self._ending = False  # of the process: no thread of ours is to sleep any more
        self._closed = False  # at least once: logging's shutdown won't come again
        self._said_left = 0
        self._restarts = 0

    def after_fork_in_child(self) -> None:
        """Start empty: the parent still owns what was buffered, its threads and its connections.

        Python's hook calls this, and ``emit`` and ``flush`` where *pid* is another process's: uWSGI forks
        without the hooks.
        """
        reseed()
        if self._pacer is not None:
            self._pacer.after_fork_in_child()
        self._new_life()

    # --- the caller's side ---------------------------------------------------------------------------------

    def submit(self, captured: Capture) -> None:
        """Take a capture in. Waits for nothing but room, and that only with ``when_full="block"``."""
        if self._blocks:
            self._wait_for_room()
        captures = self._captures
        captures.append(captured)
        if self._closed and lifecycle.past_exit_hooks():
            self._flush_late()
        elif len(captures) >= self._wake_at:
            if not self._rouse():
                self._send_without_thread()
            if len(captures) > self.settings.capacity:
                self._intake.shed_one(captured)

    def _fold_opened(self) -> None:
        """Some fold has its first repeat to tell of: there must be a thread that sees its window's end."""
        if (self._closed and lifecycle.past_exit_hooks()) or (
            (self._waiting or self._threads == 0)  # else a thread is about to look, or looks when it leaves
            and not self._rouse()
            and lifecycle.is_finalizing()
        ):
            self._flush_late()

    def commit(self, captured: Capture) -> None:
        """Take a capture in and have it in the buffer, rendered, before returning: ``durability="commit"``.

        Waits for other threads that are at the buffer. What logs within a commit of this very thread (a
        signal handler, a ``__del__``, the user's hook) takes the ordinary way.
        """
        is_late = self._closed and lifecycle.past_exit_hooks()
        if is_late or self._ledger.is_in_use_here() or self._committing.active:
            self.submit(captured)
            return
        self._committing.active = True
        try:
            self._ledger.accept(self._render(captured), captured.level)
        finally:
            self._committing.active = False
        self._committed += 1
        if self._committed >= self._wake_at:
            self._committed = 0
            self._rouse()

    def _rouse(self) -> bool:
        """Have some thread look at the intake soon; False if there is none and none can be started."""
        if lifecycle.is_finalizing():
            return False  # the threads that are there never run again
        if self._waiting:
            self._wake_at = self._high_water  # before the token: whoever takes it sets the mark anew
            self._wake.put(None)
            return True
        if self._threads > self.settings.concurrency:
            return True  # as many as may send, and one that renders
        return self._start() or self._threads > 0

    def _start(self) -> bool:
        """Start a thread; True also if another caller is just starting one."""
        if not self._starting.acquire(blocking=False):
            return True
        has_started = False
        try:
            now = self._clock()
            if now >= self._start_again_at:
                lifecycle.hook_process()
                if self._closed and lifecycle.past_exit_hooks():
                    raise RuntimeError("nobody would wait for a thread at the end of the process")
                if fork.forks_unannounced():
                    raise RuntimeError("no thread of ours may be alive when uWSGI forks")
                self._start_thread(self._run, f"eventlog-{self.name}")
                has_started = True  # _run releases _starting once it has been counted
        except RuntimeError:  # thread limit, or the interpreter is ending (3.12.0 to 3.12.2)
            self._start_again_at = now if fork.forks_unannounced() else now + _RESTART_SECONDS
            self._may_send_inline = not lifecycle.exiting()
            lifecycle.hold(self)  # no thread does: the exit hook is its last chance
        finally:
            if not has_started:
                self._done_starting()
        return has_started

    def _done_starting(self) -> None:
        with contextlib.suppress(RuntimeError):
            # Ctrl-C or the recursion limit may break a start off whose thread runs all the same; then both
            # its thread and its caller come here.
            self._starting.release()

    def _send_without_thread(self) -> None:
        """A record came, and no thread can be had for it."""
        if lifecycle.is_finalizing() or (self._closed and lifecycle.past_exit_hooks()):
            self._flush_late()
        elif self._may_send_inline:
            self._may_send_inline = False
            self._send_inline()

    def _send_inline(self) -> None:
        """Where no thread can be had the caller sends: events don't wait for the end of the process."""
        if (
            self._ledger.is_in_use_here()
        ):  # a signal handler logs within stats() or flush() of this very thread
            return
        deadline = self._clock() + self._inline_seconds
        ticket = self._ledger.open_ticket(sum_up=False)  # so that nothing waits for a full batch
        try:
            with own_traffic.at_work():
                while self._clock() < deadline and self.step(deadline=deadline) is None:
                    pass
        finally:
            self._ledger.close_ticket(ticket)

    def _flush_late(self) -> None:
        """No hook of ours comes any more: send in this thread, as long as the exit's budget lasts."""
        if self._ledger.is_in_use_here():
            return
        if lifecycle.is_finalizing():
            self._keep_or_tell()
            return
        started = self._clock()
        deadline = started + lifecycle.budget(self)
        ticket = self.start_drain()
        with own_traffic.at_work():
            while not ticket.finished and self._clock() < deadline and self.step(deadline=deadline) is None:
                pass
        # What is not settled by now rests after a failure, or another thread has it in hand.
        self.finish_drain(ticket, deadline - self._clock() if self._threads else 0.0)
        lifecycle.spend(self._clock() - started)
        self.say_what_is_left()

    def _keep_or_tell(self) -> None:
        """The interpreter takes itself apart: put what came into the spool, and tell what is lost.

        Nothing can be sent: requests and urllib3 import in the midst of a request, and nothing can be
        imported. Nor waited for: a thread that is still there stands still, perhaps with the lock.
        """
        if self._threads or not self._ledger.lock.acquire(blocking=False):
            self._say_left(self._ledger.roughly_pending(), 0)
            return
        try:
            with contextlib.suppress(Exception):
                while self._render_chunk():
                    pass
            self.say_what_is_left()
        finally:
            self._ledger.lock.release()

    def _wait_for_room(self) -> None:
        capacity = self.settings.capacity
        if own_traffic.mark.active or self._ledger.roughly_held() < capacity or lifecycle.is_finalizing():
            return
        deadline = self._clock() + _BLOCK_SECONDS
        never = threading.Event()  # a sleep that no frozen clock in the user's tests reaches
        while self._ledger.roughly_held() >= capacity and self._clock() < deadline:
            self._rouse()
            never.wait(_BLOCK_POLL_SECONDS)

    # --- the worker's side ---------------------------------------------------------------------------------

    def step(self, *, deadline: float | None = None) -> Idle | None:
        """One turn, without thread or sleep: render what came in, then deliver at most one lease of events.

        Returns None if there was something to do, else what to wait for. *deadline* (monotonic) shortens the
        request's timeout.
        """
        self._ledger.adopt()
        rendered = self._render_chunk()
        planned = self._delivery.plan()
        if isinstance(planned, Idle):
            self._ledger.reports.tell()
            return None if rendered else self._until_folds(planned)
        if self._threads and self._delivery.wants_another_thread(alone=self._threads == 1):
            self._rouse()
        self._delivery.deliver(planned, deadline=deadline)
        self._ledger.reports.tell()
        return None

    def _until_folds(self, idle: Idle) -> Idle:
        """*idle*, but not past the end of a window that has something to tell."""
        seconds = self._ledger.wait_for_folds()
        if seconds is None or (idle.seconds is not None and idle.seconds <= seconds):
            return idle
        return Idle(seconds, idle.records)

    def _render_chunk(self) -> bool:
        chunk = self._ledger.take(_CHUNK)
        if not chunk:
            return False
        events: list[Event] = []
        dropped: list[tuple[int, str]] = []
        done = 0
        try:
            for captured in chunk:
                event = self._render(captured)
                done += 1
                if event is None:
                    dropped.append((captured.level, "before_send"))
                else:
                    events.append(event)
        finally:
            # Must not fail: else this chunk would be in none of the law's sums.
            dropped.extend((captured.level, "worker_died") for captured in chunk[done:])
            self._ledger.put(events, dropped=dropped)
        return True

    def _run(self) -> None:
        """A thread's life."""
        is_counted = has_left = False
        try:
            try:
                own_traffic.mark.active = True
                with self._ledger.lock:
                    self._threads += 1
                    is_counted = True
                    self._parked = False
            finally:
                self._done_starting()  # whatever was thrown into the thread: else none could start again
            while not self._turn_until_idle():
                pass
            has_left = True
        finally:
            if not has_left:  # even the handler of the last resort was broken off
                lifecycle.hold(self)
                if is_counted:
                    self._leave()
        if self._threads == 0:
            self._delivery.close()
            self._ledger.rest()
            # A record or the first repeat of one came between the last look and leaving.
            if self._captures or (self.folds is not None and self.folds.roughly_open()):
                self._rouse()

    def _turn_until_idle(self) -> bool:
        """Take turns until this thread is no longer needed; False if something broke them off."""
        try:
            while (idle := self.step()) is None or self._sleep(idle):
                pass
        except BaseException as error:
            # Nothing foreseen gets here: a fault of ours, no memory, an exception thrown into the thread from
            # outside. The events in hand were given back or counted; the thread goes on, but not in a rush.
            self._restarts += 1
            self._self_log.say_once(
                "broke off", f"worker broke off and goes on: {type(error).__name__}: {error}"
            )
            threading.Event().wait(_RESTART_SECONDS)
            return False
        return True

    def _sleep(self, idle: Idle) -> bool:
        """Wait for a record, a flush or the time; False if this thread is to end. One sleeper is enough."""
        with self._ledger.lock:
            if self._waiting or self._ending or (self._parked and not self._ledger.pending()):
                if self._waiting and idle.seconds is not None:
                    self._wake.put(
                        None
                    )  # who sleeps may have begun to while this thread's request was under way
                self._leave()
                return False
            self._waiting = True
            self._wake_at = min(idle.records, self._high_water)
        woken = True
        try:
            if len(self._captures) < self._wake_at:  # else one came before the mark was set
                self._wake.get(timeout=_LINGER_SECONDS if idle.seconds is None else max(idle.seconds, 0.001))
        except Empty:
            woken = False
        finally:
            with self._ledger.lock:
                self._waiting = False
                self._wake_at = self._high_water
        with self._ledger.lock:
            if not woken and idle.seconds is None and not self._ledger.pending():
                self._leave()
                return False
        return True

    def _leave(self) -> None:
        with self._ledger.lock:
            self._threads -= 1
            if self._threads == 0:
                self._wake_at = 1

    # --- anybody's side ------------------------------------------------------------------------------------

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
            if self._ledger.roughly_pending():
                self._ledger.hurry_folds()
                self._rouse()
            return None
        if lifecycle.is_finalizing():
            self._flush_late()
            return None
        return self.start_drain(urgent=lifecycle.exiting())

    def end_flush(self, ticket: Ticket | None, timeout: float | None) -> bool:
        """Wait for *ticket*; see ``flush``."""
        if ticket is None:
            return not self._ledger.roughly_pending()
        if timeout is not None:
            return self.finish_drain(ticket, timeout)
        started = self._clock()
        settled = self.finish_drain(ticket, lifecycle.budget(self))
        if lifecycle.exiting():
            lifecycle.spend(self._clock() - started)
        return settled

    def start_drain(self, *, urgent: bool = True) -> Ticket:
        """Begin to send everything accepted so far, full batches or not.

        *urgent*, at the end of the process: a destination that rests after a failure is tried at once.
        """
        if self.pid != os.getpid():
            self.after_fork_in_child()
        ticket = self._ledger.open_ticket()
        if not ticket.finished:
            if urgent:
                self._delivery.hurry()
            self._rouse()
        return ticket

    def finish_drain(self, ticket: Ticket, timeout: float) -> bool:
        """Wait until what *ticket* stands for is settled; does the work itself where no thread can be had."""
        deadline = self._clock() + timeout
        try:
            while not ticket.finished and (left := deadline - self._clock()) > 0:
                idle: Idle | None = Idle(None, 1)
                if self._threads == 0 and not self._rouse():
                    with own_traffic.at_work():
                        idle = self.step(deadline=deadline)
                if idle is not None:
                    self._wait_for(ticket, left if idle.seconds is None else min(left, idle.seconds))
        finally:  # also where Ctrl-C ends the wait
            self._ledger.close_ticket(ticket)
        return ticket.finished

    def _wait_for(self, ticket: Ticket, seconds: float) -> None:
        try:
            ticket.done.get(timeout=max(0.001, seconds))
        except Empty:
            return

    def park(self, timeout: float | None = None) -> bool:
        """Flush, then let the threads end once nothing is pending. The next record revives them."""
        settled = self.flush(timeout)
        self._parked = self._closed = True
        if self._waiting:
            self._wake.put(None)
        if lifecycle.exiting() and not lifecycle.is_finalizing():
            self.say_what_is_left()
            lifecycle.end_threads_of([self])
        return settled

    def end_threads(self) -> None:
        """Have the threads end now, whatever is pending: the process ends. Does not wait."""
        self._ending = True
        if self._waiting:
            self._wake.put(None)

    def has_threads_to_end(self) -> bool:
        """Whether a thread that is not stuck in a request is still there."""
        return self._threads > self._delivery.under_way()

    def say_what_is_left(self) -> None:
        """Tell on stderr what the end of the process leaves or loses; once for the same number."""
        pending = self._ledger.pending()
        self._ledger.rest()
        self._say_left(pending, min(pending, self._ledger.buffer.state().get("in_file", 0)))

    def _say_left(self, pending: int, kept: int) -> None:
        """*pending* events are left, *kept* of them in the spool."""
        if not pending or pending == self._said_left:
            return
        self._said_left = pending
        why = f" (last error: {self._delivery.last_error})" if self._delivery.last_error else ""
        if kept:
            self._self_log.say(f"{kept} event(s) stay in the spool for the next process{why}")
        if pending > kept:
            self._self_log.say(f"{pending - kept} event(s) not delivered when the process ended{why}")

    def roughly_pending(self) -> int:
        """How many events wait, without a lock: the garbage collector may call in the midst of anything."""
        return self._ledger.roughly_pending()

    def stats(self) -> dict[str, Any]:
        """A snapshot of the law's sums and of the destination's state; see the README for each."""
        return {
            **self._ledger.sums(),
            **self._delivery.state(),
            "spool": self._ledger.buffer.state(),
            "own_traffic": self.own_traffic,
            "threads": self._threads,
            "restarts": self._restarts,
        }
