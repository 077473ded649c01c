"""One destination: when it may be sent to, and what a request's answer means for each of its events.

Holds the destination's state (failing, held, resting) and carries out the decisions of ``batching`` and
``retry``. Knows no thread: several workers' threads may be in ``deliver`` at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from eventlog_handlers.buffers.severity import class_of
from eventlog_handlers.errors import (
    MisconfiguredError,
    RefusedError,
    SinkError,
    ThrottledError,
    TooLargeError,
    TransientError,
    described,
)
from eventlog_handlers.events import Batch, Disposition, Event, Lease, Outcome, Payload
from eventlog_handlers.pipeline import retry
from eventlog_handlers.pipeline.batching import batches, due_in, halves, useful_senders
from eventlog_handlers.pipeline.budget import Budget, Spent
from eventlog_handlers.pipeline.counters import Loss
from eventlog_handlers.pipeline.ledger import Ledger
from eventlog_handlers.pipeline.pacing import Member, Pacer
from eventlog_handlers.pipeline.sink import Sink
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.record.fingerprint import chosen
from eventlog_handlers.settings.values import PipelineSettings

LONG_AGO = float("-inf")
_LOSS_REPORT_SECONDS = 60.0  # between two events that tell of losses: a storm must not breed another
_REFUSED_AT_ONCE = 256  # events without a budget that are dropped in one turn, under the ledger's lock
_WARNING = 30
_STUCK_SECONDS = 0.5  # after which a request no longer holds up others, however quick they were before
_LEARNING = 0.2  # how much of what is known a single observation replaces


class Idle(NamedTuple):
    """Nothing to send now. Look again in *seconds* (None: not before something comes in), or as soon as
    *records* captures wait."""

    seconds: float | None
    records: int


class Turn(NamedTuple):
    """What one sender has in hand, and since when."""

    leases: list[Lease]
    started_at: float


class Delivery:
    """Leases events from the ledger's buffer and sees each to its end through the sink.

    *make_sink* is called before the first request. *report_loss* makes the event that tells what an outage or
    a storm has cost, once the service takes events again. *cpu_clock* gives the processor seconds of the
    thread that asks, or 0 where nobody knows them. *many* is how many captures may pile up while
    nothing can be sent anyway.
    """

    def __init__(
        self,
        make_sink: Callable[[], Sink],
        ledger: Ledger,
        settings: PipelineSettings,
        *,
        pacer: Pacer | Member | None,
        clock: Callable[[], float],
        cpu_clock: Callable[[], float],
        wall_clock: Callable[[], float],
        rand: Callable[[], float],
        self_log: SelfLog,
        report_loss: Callable[[Loss], Event],
        many: int,
    ) -> None:
        self._make_sink = make_sink
        self._sink: Sink | None = None
        self._ledger = ledger
        self._settings = settings
        self._pacer = pacer
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._wall_clock = wall_clock
        self._rand = rand
        self._self_log = self_log
        self._report_loss = report_loss
        self._many = many
        # The destination's state, under the ledger's lock.
        self._under_way: list[float] = []  # since when, of each sender
        self._useful_senders = float(settings.concurrency)
        self._last_send = LONG_AGO
        self._rest_until = LONG_AGO
        self._failures = 0  # failed requests in a row
        self._held = False  # misconfigured: one probe at a time, of one event
        self._last_success: float | None = None
        self._loss_reported_at = LONG_AGO
        self.last_error = ""
        # The budget, under the same lock.
        limits = [(settings.max_events_per_hour, "hour"), (settings.max_events_per_day, "day")]
        given = [(limit, period) for limit, period in limits if limit is not None]
        self._budget = Budget(given, settings.budget_reserve) if given else None
        self._paid: set[int] = set()  # keys of those that wait again, and are not charged again
        self._notices: deque[str] = deque(maxlen=8)  # ids of events that tell of a spent budget
        self._told_spent: dict[str, float] = {}  # by period: until when

    @property
    def sink(self) -> Sink:
        """The sink, made on first use; with the ledger's lock, or after ``plan`` has leased."""
        if self._sink is None:
            self._sink = self._make_sink()
        return self._sink

    def close(self) -> None:
        """Drop connections."""
        if self._sink is not None:
            self._sink.close()

    def plan(self) -> Turn | Idle:
        """Lease what may go in the next request, or say what to wait for. ``deliver`` must follow a lease."""
        with self._ledger.lock:
            buffer, settings, now = self._ledger.buffer, self._settings, self._clock()
            ready_in = buffer.ready_in()
            if ready_in is None or ready_in > 0:
                return Idle(ready_in, 1)
            if not self._may_send(now):
                # A sender looks again when it is done, and somebody else in case it never is.
                return Idle(_STUCK_SECONDS, self._many)
            if self._rest_until > now:
                return Idle(self._rest_until - now, self._many)
            if self._budget is not None:
                if self._drop_unaffordable(self._budget, now):
                    return Idle(0.0, 1)
                if not buffer.ready():
                    return Idle(buffer.ready_in(), 1)
            if not self._ledger.tickets:
                waiting = buffer.ready()
                wait = due_in(
                    waiting=waiting,
                    waiting_bytes=buffer.ready_bytes(),
                    batch_size=settings.batch_size,
                    request_bytes=self.sink.limits.request_bytes,
                    since_last=now - self._last_send,
                    interval=settings.flush_interval,
                )
                if wait > 0:
                    return Idle(wait, max(1, settings.batch_size - waiting))
            wait = self._pacer.try_take(now) if self._pacer is not None else 0.0
            if wait > 0:
                return Idle(wait, self._many)
            leases = buffer.lease(1 if self._held else settings.batch_size)
            if self._budget is not None:
                leases = [lease for lease in leases if self._pays(self._budget, lease, now)]
            self._under_way.append(now)
            self._last_send = now
            return Turn(leases, now)

    def _drop_unaffordable(self, budget: Budget, now: float) -> bool:
        """Drop what would go next until one may; True if that isn't done yet.

        Before a place in the pace is taken: what can't be sent must not cost one.
        """
        if budget.lacking(now, critical=False) is None:
            return False
        for _ in range(_REFUSED_AT_ONCE):
            leases = self._ledger.buffer.lease(1)
            if not leases:
                return False
            if self._is_free(leases[0]) or budget.lacking(now, critical=_is_critical(leases[0])) is None:
                self._ledger.give_back(leases[0], 0.0, spent=False)
                return False
            self._pays(budget, leases[0], now)
        return True

    def _pays(self, budget: Budget, lease: Lease, now: float) -> bool:
        """Charge an event, once however often it is tried; False if it had to be dropped."""
        if self._is_free(lease):
            return True
        spent = budget.lacking(now, critical=_is_critical(lease))
        if spent is None:
            budget.charge(now)
            return True
        self._ledger.drop(lease, "budget")
        self._tell_spent(spent, now)
        return False

    def _is_free(self, lease: Lease) -> bool:
        """Charged already, or telling of the budget itself, or about to be dropped as too old."""
        return (
            lease.key in self._paid or lease.event.id in self._notices or lease.age >= self._settings.max_age
        )

    def _tell_spent(self, spent: Spent, now: float) -> None:
        """One event and one line on stderr, each time a budget is found spent."""
        if self._told_spent.get(spent.period) == spent.until:
            return
        self._told_spent[spent.period] = spent.until
        offset = self._wall_clock() - now
        since, until = (_iso(moment + offset) for moment in (spent.since, spent.until))
        text = (
            f"budget spent: {spent.limit} events per {spent.period}; until {until} only what is critical is "
            "sent, as far as its reserve goes, the rest is dropped and counted"
        )
        made = self._report_loss(Loss({_WARNING: 1}, {"budget": 1}, spent.since + offset, now + offset))
        notice = made._replace(
            message=text,
            template=text,
            fingerprint=chosen("eventlog_handlers budget spent"),
            attributes={"limit": spent.limit, "per": spent.period, "since": since, "until": until},
        )
        self._notices.append(notice.id)
        self._ledger.add(notice)
        self._self_log.say(text)

    def _give_back(self, lease: Lease, delay: float, *, spent: bool) -> None:
        """To the buffer, and if it was charged, remember that. With the ledger's lock."""
        if self._budget is not None:
            if len(self._paid) > 2 * len(self._ledger.buffer):
                self._paid &= self._ledger.buffer.keys()  # some were evicted meanwhile
            self._paid.add(lease.key)
        self._ledger.give_back(lease, delay, spent=spent)

    def wants_another_thread(self, *, alone: bool) -> bool:
        """Whether more than a batch still waits, and one more thread could send it now.

        Or, if the one that asks is *alone*, should be there in case that one gets stuck.
        """
        with self._ledger.lock:
            has_batch = self._ledger.buffer.ready() >= self._settings.batch_size
            return has_batch and (alone or self._may_send(self._clock()))

    def under_way(self) -> int:
        """How many senders have a request under way; without the lock."""
        return len(self._under_way)

    def hurry(self) -> None:
        """Try a destination that rests after a failure at once, for the process is about to end."""
        with self._ledger.lock:
            if not self._held:
                self._rest_until = LONG_AGO

    def state(self) -> dict[str, Any]:
        """The destination's part of ``stats()``."""
        with self._ledger.lock:
            return {
                "state": "held" if self._held else "failing" if self._failures else "ok",
                "last_success": self._last_success,
                "last_error": self.last_error,
            }

    def deliver(self, turn: Turn, *, deadline: float | None = None) -> None:
        """See leased events to acknowledgement, retry or a counted drop; all are settled or given back.

        More than one request goes out where the first is refused or too large. *deadline* (monotonic)
        shortens each request's timeout.
        """
        started, worked = self._clock(), self._cpu_clock()
        leases = turn.leases
        unsettled = {lease.key: lease for lease in leases}
        shortened: set[int] = set()
        try:
            todo = batches(*self._encode(self._unexpired(leases, unsettled), unsettled), self.sink.limits)[
                ::-1
            ]
            first = True
            while todo:
                batch = todo.pop()
                if not first and self._pacer is not None:
                    self._pacer.take(self._clock())  # looking for one bad event can't wait; what follows pays
                first = False
                try:
                    todo.extend(self._request(batch, deadline, shortened, unsettled))
                except SinkError as error:
                    self._rest_after(error, len(batch.leases))
                    outcomes = [retry.outcome_of(error)] * len(batch.leases)
                    self._settle(batch.leases, outcomes, unsettled, destination_rests=True)
                    break
        finally:
            # Must not fail: a lease neither settled nor given back would never be offered again.
            with self._ledger.lock:
                self._observe(self._clock() - started, self._cpu_clock() - worked)
                self._under_way.remove(turn.started_at)
                for lease in unsettled.values():
                    self._give_back(lease, 0.0, spent=False)
        self._tell_losses()

    def _may_send(self, now: float) -> bool:
        """Whether one more may send; who seems to be stuck counts only for the setting."""
        if len(self._under_way) >= (1 if self._failures else self._settings.concurrency):
            return False
        moving = [started for started in self._under_way if now - started < _STUCK_SECONDS]
        return len(moving) < round(self._useful_senders)

    def _observe(self, seconds: float, busy_seconds: float) -> None:
        if busy_seconds > 0:
            useful = min(useful_senders(seconds, busy_seconds), self._settings.concurrency)
            self._useful_senders += _LEARNING * (useful - self._useful_senders)

    def _unexpired(self, leases: Sequence[Lease], unsettled: dict[int, Lease]) -> list[Lease]:
        fresh = []
        for lease in leases:
            if lease.age < self._settings.max_age:
                fresh.append(lease)
            else:
                self._ledger.drop(unsettled.pop(lease.key), "expired")
        return fresh

    def _encode(
        self, leases: Sequence[Lease], unsettled: dict[int, Lease]
    ) -> tuple[list[Lease], list[Payload]]:
        encoded: list[Lease] = []
        payloads: list[Payload] = []
        for lease in leases:
            try:
                payloads.append(self.sink.encode(lease.event))
            except Exception as error:
                # A fault of ours with this one event: its neighbours go on.
                self._self_log.say_once("unencodable", f"an event can't be encoded: {described(error)}")
                self._ledger.drop(unsettled.pop(lease.key), "unencodable")
            else:
                encoded.append(lease)
        return encoded, payloads

    def _request(
        self, batch: Batch, deadline: float | None, shortened: set[int], unsettled: dict[int, Lease]
    ) -> Sequence[Batch]:
        """Send one request; returns the batches to send in its place, the last one first."""
        timeout = sum(self._settings.timeout)
        if deadline is not None:
            timeout = max(0.05, min(timeout, deadline - self._clock()))
        with self._ledger.lock:
            self._ledger.counters.requests += 1
        outcomes: Sequence[Outcome]
        try:
            outcomes = self.sink.send(batch.payloads, timeout=timeout)
            if len(outcomes) != len(batch.payloads):
                raise TransientError("answer_length", ambiguous=True, attempts_allowed=5)
        except (RefusedError, TooLargeError) as error:
            self._answered()
            if len(batch.leases) > 1:
                return halves(batch)[::-1]
            key, payload = batch.leases[0].key, batch.payloads[0]
            if isinstance(error, TooLargeError) and key not in shortened:
                shortened.add(key)
                return [Batch(batch.leases, (self.sink.encode(payload.event, payload.size // 2),))]
            outcomes = [Outcome(Disposition.REJECTED, error.code, error.detail)]
        except SinkError:
            raise
        except Exception as error:
            # A fault of ours or of a library, not foreseen in the sink's table: keep the events.
            raise TransientError("unexpected", described(error), ambiguous=True) from error
        else:
            self._answered(throttled=any(outcome.throttled for outcome in outcomes))
        self._settle(batch.leases, outcomes, unsettled)
        return ()

    def _answered(self, *, throttled: bool = False) -> None:
        """The destination took a request, whatever it thinks of single events: *throttled*, too many."""
        with self._ledger.lock:
            self._failures = 0
            self._held = False
            self._ledger.reports.state("ok")
            self._last_success = self._wall_clock()
        if self._pacer is not None:
            if throttled:
                self._pacer.throttled()
            else:
                self._pacer.taken()
        if self._self_log.forget("down"):
            self._self_log.say("delivering again")

    def _tell_losses(self) -> None:
        """Where the service takes events again, let one event say what was lost meanwhile."""
        with self._ledger.lock:
            now = self._clock()
            is_due = now - self._loss_reported_at >= _LOSS_REPORT_SECONDS
            if self._ledger.losses and is_due and not self._failures:
                self._loss_reported_at = now
                self._ledger.add(self._report_loss(self._ledger.losses.take()))

    def _rest_after(self, error: SinkError, events: int) -> None:
        if self._pacer is not None and isinstance(error, ThrottledError):
            self._pacer.throttled(self._clock() + retry.at_least(0.0, error.retry_after))
        with self._ledger.lock:
            if isinstance(error, TransientError) and error.ambiguous:
                self._ledger.counters.duplicates_possible += events
            self._ledger.counters.failed_requests += 1
            self._failures += 1
            self._held = isinstance(error, MisconfiguredError)
            self.last_error = str(error)
            self._ledger.reports.state("held" if self._held else "failing", self.last_error)
            self._rest_until = self._clock() + retry.rest(error, failures=self._failures, rand=self._rand())
        self._self_log.say_once("down", f"not delivering, events are kept and tried again: {error}")

    def _settle(
        self,
        leases: Sequence[Lease],
        outcomes: Sequence[Outcome],
        unsettled: dict[int, Lease],
        *,
        destination_rests: bool = False,
    ) -> None:
        """Carry out what becomes of each event; where the destination rests, the event needs no delay."""
        with self._ledger.lock:
            rand = self._rand()  # one for all: entries of one answer that fail alike stay together
            for lease, outcome in zip(leases, outcomes, strict=True):
                decision = retry.decide(
                    outcome, attempts=lease.attempts, age=lease.age, max_age=self._settings.max_age, rand=rand
                )
                del unsettled[lease.key]
                if decision.action is retry.Action.ACKNOWLEDGE:
                    self._ledger.acknowledge(lease)
                elif decision.action is retry.Action.RETRY:
                    self._ledger.counters.retried += 1
                    self._ledger.reports.count("on_retry", outcome.code)
                    delay = 0.0 if destination_rests else decision.delay
                    self._give_back(lease, delay, spent=decision.spent)
                else:
                    self._ledger.drop(lease, decision.reason)
                    self._report_drop(outcome, decision.reason)

    def _report_drop(self, outcome: Outcome, reason: str) -> None:
        self.last_error = f"{outcome.code}: {outcome.detail}"
        self._self_log.say_once(
            f"drop {reason}", f"event dropped ({reason}): {outcome.detail or outcome.code}"
        )


def _is_critical(lease: Lease) -> bool:
    return class_of(lease.event.level) == 0


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="seconds")
