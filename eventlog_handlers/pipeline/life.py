"""The parts of a worker, and ``Life``: those that a forked child makes anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from eventlog_handlers.buffers import Buffer
from eventlog_handlers.events import Event
from eventlog_handlers.pipeline.charging import Charging
from eventlog_handlers.pipeline.counters import Loss
from eventlog_handlers.pipeline.delivery import Delivery
from eventlog_handlers.pipeline.ending import Ending
from eventlog_handlers.pipeline.flushing import Flushing
from eventlog_handlers.pipeline.folds import Folds
from eventlog_handlers.pipeline.inline import Inline
from eventlog_handlers.pipeline.intake import Intake
from eventlog_handlers.pipeline.ledger import Ledger
from eventlog_handlers.pipeline.pacing import Member, Pacer
from eventlog_handlers.pipeline.reports import Notes, Reports
from eventlog_handlers.pipeline.shared_pacer import SharedPacer
from eventlog_handlers.pipeline.sharing import Sharing
from eventlog_handlers.pipeline.showing import Showing
from eventlog_handlers.pipeline.sink import Sink
from eventlog_handlers.pipeline.thread_pool import ThreadPool
from eventlog_handlers.pipeline.turns import Turns
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.record.captured import Capture
from eventlog_handlers.settings.values import PipelineSettings

_HIGH_WATER = 1_000  # captures that may pile up before a second thread comes to render them


class Parts(NamedTuple):
    """The parts that a worker is given. Clocks give seconds."""

    make_sink: Callable[[], Sink]
    """Called again in a forked child."""
    make_buffer: Callable[[Callable[[str, str], None]], Buffer]
    """Called with ``report(key, text)``, and again in a forked child."""
    render: Callable[[Capture], Event | None]
    """Turns a capture into an event, or into None where the user wants none of it, on the worker's thread."""
    own_event: Callable[[Loss], Event]
    """Makes the event that tells of losses."""
    start_thread: Callable[[Callable[[], None], str], None]
    """Called with *run* and *name*: starts a daemon thread or raises RuntimeError."""
    pacer: Pacer | Member | SharedPacer | None
    clock: Callable[[], float]
    """Monotonic."""
    cpu_clock: Callable[[], float]
    """Processor time of the thread that asks, or 0 where it is not known."""
    wall_clock: Callable[[], float]
    """Since the epoch."""
    rand: Callable[[], float]
    """From 0 to 1."""
    self_log: SelfLog
    sharing: Sharing | None = None
    """The worker's part in sharing with other processes; None: it shares nothing."""
    make_showing: Callable[[], Showing | None] = lambda: None
    """Called again in a forked child; None: this worker is not to be seen from outside."""


class Life:
    """All of a worker that a forked child makes anew. A fork replaces it as a whole.

    Its constructor is long and straight: it makes the parts in the order in which they need each other.

    *is_over* and *keep_alive* are the worker's, for the pool. *inline_seconds* is how long a log call sends
    by itself where threads are refused.
    """

    def __init__(
        self,
        name: str,
        settings: PipelineSettings,
        parts: Parts,
        *,
        intake: Intake,
        folds: Folds | None,
        is_over: Callable[[], bool],
        keep_alive: Callable[[], None],
        inline_seconds: float,
    ) -> None:
        clock, self_log, sharing = parts.clock, parts.self_log, parts.sharing
        self.pid = os.getpid()
        self.notes = notes = Notes(self_log)
        reports = Reports(settings.observer, name, self_log)
        self.buffer = parts.make_buffer(notes.say_once)
        self.journal = getattr(self.buffer, "journal", None)
        # Nothing waits for a batch on its way to the spool: each record wakes a thread. But for what a
        # journal holds already.
        is_urgent = bool(settings.spool) and self.journal is None
        high_water = 1 if is_urgent else min(_HIGH_WATER, settings.capacity)
        self.ledger = ledger = Ledger(
            intake,
            folds,
            self.buffer,
            parts.wall_clock,
            reports,
            settled=None if sharing is None else sharing.settled,
            journal=self.journal,
        )
        self.delivery = Delivery(
            parts.make_sink,
            ledger,
            settings,
            pacer=parts.pacer,
            clock=clock,
            cpu_clock=parts.cpu_clock,
            wall_clock=parts.wall_clock,
            rand=parts.rand,
            self_log=self_log,
            notes=notes,
            reports=reports,
            own_event=parts.own_event,
            many=high_water,
        )
        charging = Charging(
            settings,
            clock=clock,
            wall_clock=parts.wall_clock,
            own_event=parts.own_event,
            notes=notes,
            sharing=sharing,
        )
        self.turns = Turns(
            intake,
            folds,
            ledger,
            self.delivery,
            render=parts.render,
            charging=charging,
            notes=notes,
            reports=reports,
            sharing=sharing,
            showing=parts.make_showing(),
        )
        self.pool = self.turns.pool = ThreadPool(
            f"eventlog-{name}",
            self.turns,
            senders=settings.concurrency,
            high_water=high_water,
            start_thread=parts.start_thread,
            is_over=is_over,
            keep_alive=keep_alive,
            clock=clock,
            self_log=self_log,
        )
        self.inline = Inline(self.turns, ledger, clock=clock, self_log=self_log, seconds=inline_seconds)
        self.flushing = Flushing(ledger, self.delivery, self.pool, self.inline, clock=clock, sharing=sharing)
        self.ending = Ending(
            ledger,
            self.delivery,
            self.pool,
            self.turns,
            self.inline,
            self.flushing,
            clock=clock,
            notes=notes,
            self_log=self_log,
            exit_timeout=settings.exit_timeout,
            has_spool=settings.spool is not None,
        )
        self.own_traffic = 0
        self.already_reported = 0
        """Records refused as our own doing; a rough count, made without a lock."""
