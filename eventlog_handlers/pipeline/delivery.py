"""From leased events to requests: encodes, sends, halves a refused request, and reports losses.

``planning`` leases the events; ``settling`` acts on the answer for each of them. Several of the worker's
threads may be in ``deliver`` at once. One lock guards their common fields, and it is held over no request.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from eventlog_handlers.errors import (
    RefusedError,
    SinkError,
    TooLargeError,
    TransientError,
    described,
)
from eventlog_handlers.events import Batch, Event, Lease, Outcome, Payload
from eventlog_handlers.pipeline.batching import batches, halves
from eventlog_handlers.pipeline.counters import Loss
from eventlog_handlers.pipeline.destination import LONG_AGO, Destination
from eventlog_handlers.pipeline.gates import Idle
from eventlog_handlers.pipeline.in_flight import InFlight
from eventlog_handlers.pipeline.ledger import Ledger
from eventlog_handlers.pipeline.pacing import Member, Pacer
from eventlog_handlers.pipeline.planning import Planning
from eventlog_handlers.pipeline.reports import Notes, Reports
from eventlog_handlers.pipeline.settling import Settling
from eventlog_handlers.pipeline.shared_pacer import SharedPacer
from eventlog_handlers.pipeline.sink import Sink
from eventlog_handlers.process import green, lock_state
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.settings.values import PipelineSettings

_LOSS_REPORT_SECONDS = 60.0  # between two events that tell of losses: a storm must not breed another


class Delivery:
    """Leases events from the ledger, sends them through the sink, and settles each.

    *make_sink* is called before the first request. *own_event* makes the event that tells the losses of an
    outage or a storm, once the service takes events again. *cpu_clock* gives the processor seconds of the
    thread that asks, or 0 where they are not known. *many* is how many captures may pile up while nothing can
    be sent anyway.
    """

    def __init__(
        self,
        make_sink: Callable[[], Sink],
        ledger: Ledger,
        settings: PipelineSettings,
        *,
        pacer: Pacer | Member | SharedPacer | None,
        clock: Callable[[], float],
        cpu_clock: Callable[[], float],
        wall_clock: Callable[[], float],
        rand: Callable[[], float],
        self_log: SelfLog,
        notes: Notes,
        reports: Reports,
        own_event: Callable[[Loss], Event],
        many: int,
    ) -> None:
        self._make_sink = make_sink
        self._sink: Sink | None = None
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._notes = notes
        self._own_event = own_event
        self._lock = green.RLock()  # taken before the ledger's, never after it
        self._destination = Destination(settings.concurrency)
        self._settling = Settling(
            ledger,
            self._destination,
            self._lock,
            max_age=settings.max_age,
            pacer=pacer,
            clock=clock,
            wall_clock=wall_clock,
            rand=rand,
            self_log=self_log,
            notes=notes,
            reports=reports,
        )
        self._planning = Planning(
            ledger,
            self._destination,
            self._settling,
            self._lock,
            settings,
            request_bytes=lambda: self.sink.limits.request_bytes,
            pacer=pacer,
            clock=clock,
            rand=rand,
            many=many,
        )
        self._loss_reported_at = LONG_AGO

    @property
    def sink(self) -> Sink:
        """The sink, made on first use; under the lock, or after ``plan`` has leased."""
        if self._sink is None:
            self._sink = self._make_sink()
        return self._sink

    def close(self) -> None:
        """Drop connections."""
        if self._sink is not None:
            self._sink.close()

    def plan(self) -> InFlight | Idle:
        """Lease the events of the next request, or say what to wait for. ``deliver`` must follow a lease."""
        return self._planning.plan()

    def wants_another_thread(self, *, alone: bool) -> bool:
        """See ``Planning.wants_another_thread``."""
        return self._planning.wants_another_thread(alone=alone)

    def under_way(self) -> int:
        """How many senders have a request under way; without the lock."""
        return self._destination.under_way()

    def hurry(self) -> None:
        """Try a destination that rests after a failure at once, for the process is about to end."""
        with self._lock:
            self._destination.hurry()

    # --- sending -------------------------------------------------------------------------------------------

    def deliver(self, in_flight: InFlight, *, deadline: float | None = None) -> None:
        """Send leased events, and ack, nack or drop each; those that wait for the rate limit are suspended.

        More than one request goes where the first is refused or too large. *deadline* (monotonic) shortens
        each request's timeout.
        """
        started, worked = self._clock(), self._cpu_clock()
        is_suspended = False
        try:
            is_suspended = not self._send_all(in_flight, deadline)
        finally:
            # Must not fail: a lease neither settled nor nacked would never be offered again.
            with self._lock:
                self._destination.end(
                    in_flight.began,
                    seconds=self._clock() - started,
                    busy_seconds=self._cpu_clock() - worked,
                )
                if is_suspended:
                    self._planning.suspend(in_flight)
                else:
                    self._settling.nack_rest(in_flight)
        self._tell_losses()

    def _send_all(self, in_flight: InFlight, deadline: float | None) -> bool:
        """Send the requests of *in_flight*; False if the rate limit makes the rest wait."""
        if in_flight.todo is None:
            in_flight.todo = batches(*self._encoded(in_flight), self.sink.limits)[::-1]
        is_first = True
        while in_flight.todo:
            if not is_first and not self._planning.take_another_place():
                return False
            is_first = False
            batch = in_flight.todo.pop()
            try:
                self._request(batch, in_flight, deadline)
            except SinkError as error:
                self._settling.request_failed(error, batch, in_flight)
                break
            if not in_flight.has_delivered and self._settling.shows_a_setting(in_flight):
                break
        self._settling.judge_refused(in_flight)
        return True

    def _encoded(self, in_flight: InFlight) -> tuple[list[Lease], list[Payload]]:
        encoded: list[Lease] = []
        payloads: list[Payload] = []
        for key, lease in tuple(in_flight.unsettled.items()):
            try:
                payloads.append(self.sink.encode(lease.event))
            except Exception as error:
                # A fault of ours with this one event: its neighbours go on.
                self._notes.say_once("unencodable", f"an event can't be encoded: {described(error)}")
                self._ledger.drop(lease, "unencodable")
                del in_flight.unsettled[key]
            else:
                encoded.append(lease)
        return encoded, payloads

    def _request(self, batch: Batch, in_flight: InFlight, deadline: float | None) -> None:
        """Send one request and settle its events, or put smaller ones in its place."""
        timeout = sum(self._settings.timeout)
        if deadline is not None:
            timeout = max(0.05, min(timeout, deadline - self._clock()))
        self._ledger.count_request()
        try:
            outcomes = self._sent(batch, timeout)
            if len(outcomes) != len(batch.payloads):
                raise TransientError("answer_length", ambiguous=True, attempts_allowed=5)
        except (RefusedError, TooLargeError) as error:
            self._refused(error, batch, in_flight)
        except SinkError:
            raise
        except Exception as error:
            # A fault of ours or of a library, not foreseen in the sink's table: keep the events.
            raise TransientError("unexpected", described(error), ambiguous=True) from error
        else:
            self._settling.answered(outcomes)
            self._settling.settle(batch.leases, outcomes, in_flight)

    def _sent(self, batch: Batch, timeout: float) -> Sequence[Outcome]:
        pid = os.getpid()
        try:
            return self.sink.send(batch.payloads, timeout=timeout)
        finally:
            if os.getpid() != pid:  # a fork has copied this thread: the request is the parent's
                green.stand_still()

    def _refused(self, error: RefusedError | TooLargeError, batch: Batch, in_flight: InFlight) -> None:
        """The request as a whole was refused: halve it until the event at fault stands alone."""
        self._settling.took_none(error.code, error.detail)
        todo = in_flight.todo
        assert todo is not None  # noqa: S101 - for the type checker
        if len(batch.leases) > 1:
            todo.extend(halves(batch)[::-1])
            return
        (lease,), (payload,) = batch
        if isinstance(error, RefusedError):
            in_flight.refused.append((lease, error.code, error.detail))
        elif lease.key not in in_flight.shortened:
            in_flight.shortened.add(lease.key)
            todo.append(Batch((lease,), (self.sink.encode(payload.event, payload.size // 2),)))
        else:
            self._settling.drop_refused(in_flight, lease, error.code, error.detail)

    # --- telling -------------------------------------------------------------------------------------------

    def _tell_losses(self) -> None:
        """Where the service takes events again, let one event tell the losses of the meantime."""
        with self._lock:
            now = self._clock()
            is_due = now - self._loss_reported_at >= _LOSS_REPORT_SECONDS
            if is_due and not self._destination.is_failing() and (loss := self._ledger.take_losses()):
                self._loss_reported_at = now
                self._ledger.add(self._own_event(loss))

    @property
    def last_error(self) -> str:
        """The last error; "" if there was none."""
        return self._destination.last_error

    def is_in_use_here(self) -> bool:
        """Whether this thread holds the lock, and so may have left a change half done."""
        return lock_state.is_held_here(self._lock)

    def is_stuck(self) -> bool:
        """Whether another thread holds the lock: at the very end it may hold it for ever."""
        return lock_state.is_held_elsewhere(self._lock)

    def state(self) -> dict[str, Any]:
        """The destination's part of ``stats()``."""
        with self._lock:
            return self._destination.state()
