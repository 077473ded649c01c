"""Settles each event of an answered request: ack, nack or a counted drop; updates the destination's state.

``retry`` and ``refusals`` decide; this module acts. ``Delivery`` calls it on any of the worker's threads. The
destination is changed under Delivery's lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from eventlog_handlers.errors import SinkError, ThrottledError, TransientError
from eventlog_handlers.events import Batch, Disposition, Lease, Outcome
from eventlog_handlers.pipeline import retry
from eventlog_handlers.pipeline.destination import Destination
from eventlog_handlers.pipeline.in_flight import InFlight
from eventlog_handlers.pipeline.ledger import Ledger
from eventlog_handlers.pipeline.pacing import Member, Pacer
from eventlog_handlers.pipeline.refusals import Fate
from eventlog_handlers.pipeline.reports import Notes, Reports
from eventlog_handlers.pipeline.shared_pacer import SharedPacer
from eventlog_handlers.process.self_log import SelfLog


class Settling:
    """Settles events in the *ledger*. *lock* guards the *destination*; events older than *max_age* seconds
    are not tried again."""

    def __init__(
        self,
        ledger: Ledger,
        destination: Destination,
        lock: threading.RLock,
        *,
        max_age: float,
        pacer: Pacer | Member | SharedPacer | None,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        rand: Callable[[], float],
        self_log: SelfLog,
        notes: Notes,
        reports: Reports,
    ) -> None:
        self._ledger = ledger
        self._destination = destination
        self._lock = lock
        self._max_age = max_age
        self._pacer = pacer
        self._clock = clock
        self._wall_clock = wall_clock
        self._rand = rand
        self._self_log = self_log
        self._notes = notes
        self._reports = reports

    # --- answers -------------------------------------------------------------------------------------------

    def answered(self, outcomes: Sequence[Outcome]) -> None:
        """Update rate limit and destination after an answer in the service's form."""
        is_throttled = any(outcome.throttled for outcome in outcomes)
        if self._pacer is not None:
            if is_throttled:
                self._pacer.throttled()
            else:
                self._pacer.taken()
        if any(outcome.disposition is Disposition.DELIVERED for outcome in outcomes):
            with self._lock:
                self._destination.answered(self._wall_clock())
                self._reports.state("ok")
            if self._self_log.forget("down"):
                self._self_log.say("delivering again")
        elif outcomes:
            self.took_none(outcomes[0].code, outcomes[0].detail)

    def took_none(self, code: str, detail: str) -> None:
        """A request of which no event was delivered is a failed request, also with status 200."""
        self._ledger.count_failed_request()
        with self._lock:
            self._destination.took_none(f"{code}: {detail}")
            self._reports.state(self._destination.word(), self._destination.last_error)

    def request_failed(self, error: SinkError, batch: Batch, in_flight: InFlight) -> None:
        """Nothing of the request arrived for certain; the destination rests, its events need no delay."""
        if self._pacer is not None and isinstance(error, ThrottledError):
            wait = retry.at_least(0.0, error.retry_after)
            if isinstance(self._pacer, SharedPacer):
                self._pacer.throttled(wait)
            else:
                self._pacer.throttled(self._clock() + wait)
        is_ambiguous = isinstance(error, TransientError) and error.ambiguous
        self._ledger.count_failed_request(perhaps_stored=len(batch.leases) if is_ambiguous else 0)
        with self._lock:
            self._destination.failed(error, self._clock(), self._rand())
            self._reports.state(self._destination.word(), self._destination.last_error)
        self._self_log.say_once("down", f"not delivering, events are kept and tried again: {error}")
        outcomes = [retry.outcome_of(error)] * len(batch.leases)
        self.settle(batch.leases, outcomes, in_flight, destination_rests=True)

    def settle(
        self,
        leases: Sequence[Lease],
        outcomes: Sequence[Outcome],
        in_flight: InFlight,
        *,
        destination_rests: bool = False,
    ) -> None:
        """Ack, nack or drop each event; where the destination rests, a retry needs no delay."""
        rand = self._rand()  # one for all: entries of one answer that fail alike stay together
        delivered: list[Lease] = []
        for lease, outcome in zip(leases, outcomes, strict=True):
            if outcome.disposition is Disposition.REJECTED:
                in_flight.refused.append((lease, outcome.code, outcome.detail))
                continue
            decision = retry.decide(
                outcome, attempts=lease.attempts, age=lease.age, max_age=self._max_age, rand=rand
            )
            if decision.action is retry.Action.ACKNOWLEDGE:
                delivered.append(lease)
            elif decision.action is retry.Action.RETRY:
                self._ledger.count_retry(outcome.code)
                delay = 0.0 if destination_rests else decision.delay
                self._wait(in_flight, lease, delay, spent=decision.spent)
            else:
                self._drop(in_flight, lease, decision.reason, outcome.code, outcome.detail)
        if delivered:
            in_flight.has_delivered = True
            self._ledger.ack(delivered)
            for lease in delivered:
                del in_flight.unsettled[lease.key]

    # --- refusals ------------------------------------------------------------------------------------------

    def shows_a_setting(self, in_flight: InFlight) -> bool:
        return self._destination.refusals.show_a_setting(in_flight.reasons())

    def judge_refused(self, in_flight: InFlight) -> None:
        """Drop refused events or try them again; see ``refusals``."""
        if not in_flight.refused:
            return
        reasons = in_flight.reasons()
        others = in_flight.unsettled.keys() - {lease.key for lease, _, _ in in_flight.refused}
        with self._lock:
            refusals = self._destination.refusals
            is_events_fault = all(
                refusals.is_convicted(event_id, delivered=in_flight.has_delivered) for event_id, _ in reasons
            )
            fates = refusals.judge(
                reasons,
                delivered=in_flight.has_delivered,
                alone=len(reasons) == 1 and not others and not self._ledger.waiting().events,
            )
            delay = 0.0
            if is_events_fault:
                self._destination.blames_events()
                self._reports.state(self._destination.word())
            if Fate.HOLD in fates:
                delay = self._hold(*next(
                    (code, detail)
                    for (_, code, detail), fate in zip(in_flight.refused, fates, strict=True)
                    if fate is Fate.HOLD
                ))  # fmt: skip
        for (lease, code, detail), fate in zip(tuple(in_flight.refused), fates, strict=True):
            if fate is Fate.DROP:
                self.drop_refused(in_flight, lease, code, detail)
            else:
                # Not before the others had their turn: those that were never refused make the better probe.
                self._ledger.count_retry(code)
                self._wait(in_flight, lease, delay + 1.0, spent=False)
        in_flight.refused.clear()

    def _hold(self, code: str, detail: str) -> float:
        """Keep every event and probe; returns the seconds until the first probe."""
        why = f"{code}: {detail}"
        seconds = self._destination.refuses_all(why, self._clock(), self._rand())
        self._reports.state(self._destination.word(), why)
        self._notes.say_once(
            "down",
            "not delivering: the service refuses every event with the same code, so a setting (group, bus, "
            f"region, permission) seems to be wrong; events are kept and tried again: {why}",
        )
        return seconds

    def drop_refused(self, in_flight: InFlight, lease: Lease, code: str, detail: str) -> None:
        self._drop(in_flight, lease, retry.rejected(code), code, detail)

    def _wait(self, in_flight: InFlight, lease: Lease, delay: float, *, spent: bool) -> None:
        self._ledger.nack(lease, delay, spent=spent)
        del in_flight.unsettled[lease.key]

    def _drop(self, in_flight: InFlight, lease: Lease, reason: str, code: str, detail: str) -> None:
        self._ledger.drop(lease, reason)
        del in_flight.unsettled[lease.key]
        with self._lock:
            self._destination.last_error = f"{code}: {detail}"
        self._notes.say_once(f"drop {reason}", f"event dropped ({reason}): {detail or code}")

    def nack_rest(self, in_flight: InFlight) -> None:
        self._ledger.nack_all(in_flight.unsettled.values())
        in_flight.unsettled.clear()
