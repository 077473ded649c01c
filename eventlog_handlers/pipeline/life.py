"""What a worker is made of, and what of it begins anew in a forked child."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from eventlog_handlers.buffers import Buffer
from eventlog_handlers.events import Event
from eventlog_handlers.pipeline.charging import Charging
from eventlog_handlers.pipeline.counters import Loss
from eventlog_handlers.pipeline.delivery import Delivery
from eventlog_handlers.pipeline.fold import Folds
from eventlog_handlers.pipeline.intake import Intake
from eventlog_handlers.pipeline.ledger import Ledger
from eventlog_handlers.pipeline.pacing import Member, Pacer
from eventlog_handlers.pipeline.reports import Notes, Reports
from eventlog_handlers.pipeline.shared_pacer import SharedPacer
from eventlog_handlers.pipeline.sharing import Sharing
from eventlog_handlers.pipeline.sink import Sink
from eventlog_handlers.pipeline.thread_pool import ThreadPool, Work
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.record.capture import Capture
from eventlog_handlers.settings.values import PipelineSettings

_HIGH_WATER = 1_000  # captures that may pile up before a second thread comes to render them


class Parts(NamedTuple):
    """What is handed to a worker. Clocks give seconds."""

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
    """What is shared with other processes; None: nothing is."""


class Life:
    """What a process, and again each forked child, starts with. A fork replaces it as a whole."""

    def __init__(
        self,
        name: str,
        settings: PipelineSettings,
        parts: Parts,
        *,
        intake: Intake,
        folds: Folds | None,
        work: Work,
    ) -> None:
        # With a spool nothing waits for a batch on its way there: each record wakes a thread.
        high_water = 1 if settings.spool else min(_HIGH_WATER, settings.capacity)
        self.pid = os.getpid()
        self.notes = Notes(parts.self_log)
        self.reports = Reports(settings.observer, name, parts.self_log)
        self.buffer = parts.make_buffer(self.notes.say_once)
        sharing = parts.sharing
        settled = None if sharing is None else sharing.settled
        self.ledger = Ledger(intake, folds, self.buffer, parts.wall_clock, self.reports, settled=settled)
        self.charging = Charging(
            settings,
            clock=parts.clock,
            wall_clock=parts.wall_clock,
            own_event=parts.own_event,
            notes=self.notes,
            sharing=sharing,
        )
        self.delivery = Delivery(
            parts.make_sink,
            self.ledger,
            settings,
            pacer=parts.pacer,
            clock=parts.clock,
            cpu_clock=parts.cpu_clock,
            wall_clock=parts.wall_clock,
            rand=parts.rand,
            self_log=parts.self_log,
            notes=self.notes,
            reports=self.reports,
            own_event=parts.own_event,
            many=high_water,
        )
        self.pool = ThreadPool(
            f"eventlog-{name}",
            work,
            senders=settings.concurrency,
            high_water=high_water,
            start_thread=parts.start_thread,
            clock=parts.clock,
            self_log=parts.self_log,
        )
        self.said_left = 0
        self.own_traffic = 0
        """Records refused as our own doing; a rough count, made without a lock."""

    def is_in_use_here(self) -> bool:
        """Whether this thread is inside, and so may have left a change half done."""
        return self.ledger.is_in_use_here() or self.delivery.is_in_use_here()

    def is_frozen(self) -> bool:
        """At the very end: whether threads of ours stand still, that may hold what is needed."""
        return self.pool.threads > 0 or self.delivery.is_stuck() or self.ledger.is_stuck()

    def tell(self) -> None:
        """Tell observer and stderr what was noted. Under no lock."""
        self.reports.tell()
        self.notes.tell()
