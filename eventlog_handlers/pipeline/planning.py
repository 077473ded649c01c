"""Plans the next request: leases its events where the gates let a request go, or says what to wait for.

``gates``, ``destination`` and ``refusals`` decide; this module acts, on any of the worker's threads. One
lock, shared with ``Delivery``, guards the fields.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from eventlog_handlers.events import Lease
from eventlog_handlers.pipeline.destination import Destination
from eventlog_handlers.pipeline.gates import Idle, Situation, first_wait
from eventlog_handlers.pipeline.in_flight import InFlight
from eventlog_handlers.pipeline.ledger import Ledger
from eventlog_handlers.pipeline.pacing import Member, Pacer
from eventlog_handlers.pipeline.settling import Settling
from eventlog_handlers.pipeline.shared_pacer import SharedPacer
from eventlog_handlers.settings.values import PipelineSettings


class Planning:
    """Leases events from the *ledger* for the *destination*, which *lock* guards.

    *request_bytes* gives the most that one request may have. *many* is how many captures may pile up while
    nothing can be sent anyway.
    """

    def __init__(
        self,
        ledger: Ledger,
        destination: Destination,
        settling: Settling,
        lock: threading.RLock,
        settings: PipelineSettings,
        *,
        request_bytes: Callable[[], int],
        pacer: Pacer | Member | SharedPacer | None,
        clock: Callable[[], float],
        rand: Callable[[], float],
        many: int,
    ) -> None:
        self._ledger = ledger
        self._destination = destination
        self._settling = settling
        self._lock = lock
        self._settings = settings
        self._request_bytes = request_bytes
        self._pacer = pacer
        self._clock = clock
        self._rand = rand
        self._many = many
        self._suspended: deque[InFlight] = deque()
        """Half sent: the rest of their events wait for the rate limit."""

    def suspend(self, in_flight: InFlight) -> None:
        """Go on with *in_flight* when the rate limit lets a request go. Under the lock."""
        self._suspended.append(in_flight)

    def take_another_place(self) -> bool:
        """Take one more place in the rate limit, for the events in flight; False if there is none."""
        pacer, now = self._pacer, self._clock()
        if isinstance(pacer, SharedPacer):
            pacer.ask(now)
        return pacer is None or pacer.try_take(now) <= 0

    def plan(self) -> InFlight | Idle:
        """Lease the events of the next request, or say what to wait for. ``deliver`` must follow a lease."""
        planned = self._plan()
        if isinstance(planned, Idle) and planned.asks and isinstance(self._pacer, SharedPacer):
            self._pacer.ask(self._clock())
            planned = self._plan()
        return planned

    def _plan(self) -> InFlight | Idle:
        with self._lock:
            now = self._clock()
            if self._destination.is_held() or self._destination.resting(now) > 0:
                while self._suspended:  # all wait, and the next request may be a probe of one event
                    self._settling.nack_rest(self._suspended.popleft())
            idle = first_wait(self._situation(now))
            return idle if idle is not None else self._in_flight(now)

    def _situation(self, now: float) -> Situation:
        ready_in, waiting, waiting_bytes, is_flushed = self._ledger.waiting()
        if self._suspended:
            ready_in = 0.0
        return Situation(
            ready_in=ready_in,
            may_gather=self._settings.spool is None,
            waiting=waiting,
            waiting_bytes=waiting_bytes,
            waits_for_a_batch=not is_flushed and not self._suspended,
            may_send=self._destination.may_send(now),
            resting=self._destination.resting(now),
            since_last=now - self._destination.last_send,
            batch_size=self._settings.batch_size,
            request_bytes=self._request_bytes() if ready_in == 0 else 0,
            flush_interval=self._settings.flush_interval,
            pace=0.0 if self._pacer is None or ready_in != 0 else self._pacer.wait(now),
            many=self._many,
        )

    def _in_flight(self, now: float) -> InFlight | Idle:
        """Lease events, then take a place in the rate limit: events past their age must not cost one."""
        leases: list[Lease] = []
        if not self._suspended:
            is_refusing = self._destination.refuses_events()
            count = self._settings.batch_size if is_refusing or not self._destination.is_held() else 1
            leases = self._ledger.lease(count, max_age=self._settings.max_age)
            if is_refusing:
                leases = self._probe_of(leases)
            if not leases:
                return Idle(self._ledger.waiting().ready_in, 1)
        elif not self._drop_old(now):
            return self._plan()
        wait = 1.0
        try:
            wait = 0.0 if self._pacer is None else self._pacer.try_take(now)
        finally:
            if wait > 0:
                self._ledger.nack_all(leases)
        if wait > 0:  # another handler with the same rate limit was quicker
            return Idle(wait, self._many)
        self._destination.begin(now)
        if not self._suspended:
            return InFlight(leases, now)
        in_flight = self._suspended.popleft()
        in_flight.began = now
        return in_flight

    def _probe_of(self, leases: list[Lease]) -> list[Lease]:
        """Of *leases* the one to send to a destination that refuses events; the others wait again."""
        if len(leases) < 2:
            return leases
        rest = list(leases)
        try:
            ids = [lease.event.id for lease in leases]
            return [rest.pop(self._destination.refusals.probe(ids, self._rand()))]
        finally:
            self._ledger.nack_all(rest)

    def _drop_old(self, now: float) -> bool:
        """Drop suspended events that came past their age; False if no suspended event is left."""
        while self._suspended:
            first = self._suspended[0]
            try:
                for lease in first.old(now, self._settings.max_age):
                    self._ledger.drop(lease, "expired")
                    del first.unsettled[lease.key]
            finally:
                first.prune()
            if first.todo:
                return True
            self._suspended.popleft()
            try:
                self._settling.judge_refused(first)
            finally:
                self._settling.nack_rest(first)
        return False

    def wants_another_thread(self, *, alone: bool) -> bool:
        """Whether more than a batch still waits, and one more thread could send it now.

        Or, if the one that asks is *alone*, should be there in case that one gets stuck.
        """
        with self._lock:
            has_batch = self._ledger.waiting().events >= self._settings.batch_size
            return has_batch and (alone or self._destination.may_send(self._clock()))
