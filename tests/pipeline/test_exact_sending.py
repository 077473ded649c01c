"""What goes in the next request and what an answer means, to the event and to the second."""

from __future__ import annotations

import logging

import pytest
from law import assert_law, submit

from eventlog_handlers.errors import (
    MisconfiguredError,
    RefusedError,
    ThrottledError,
    TooLargeError,
    TransientError,
)
from eventlog_handlers.events import DELIVERED, Batch, Disposition, Lease, Limits, Outcome, Payload
from eventlog_handlers.pipeline.batching import batches
from eventlog_handlers.pipeline.destination import Destination
from eventlog_handlers.pipeline.gates import Idle
from eventlog_handlers.pipeline.in_flight import InFlight
from eventlog_handlers.pipeline.pacing import Pacer
from eventlog_handlers.pipeline.refusals import OTHER, Fate, Refusals
from eventlog_handlers.pipeline.retry import backoff, outcome_of, probe_after_refusal, rest
from eventlog_handlers.pipeline.shared_pacer import SharedPacer
from eventlog_handlers.share.contract import Place
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_event, make_worker

RETRY = Outcome(Disposition.RETRY, "InternalFailure", "try later")
BAD = Outcome(Disposition.REJECTED, "Bad", "no such group")
FAILED, WRONG = TransientError("connect", "refused"), MisconfiguredError("AccessDenied", "wrong key")


class Route:
    """A worker whose delivery is driven by hand: ten events a request unless told otherwise."""

    def __init__(self, *answers, max_events: int = 10, request_bytes: int = 100_000, **more) -> None:
        self.clock = ManualClock()
        self.sink = ScriptedSink(*answers, max_events=max_events, request_bytes=request_bytes)
        self.worker = make_worker(self.sink, self.clock, **{"flush_interval": 0, **more})
        self.delivery = self.worker._life.delivery
        self.buffer = self.worker._life.buffer

    def log(self, *messages: str, level: int = logging.ERROR) -> None:
        """Put events into the buffer, and send none."""
        for message in messages:
            submit(self.worker, message, level)
        while self.worker._life.turns.render_some():
            pass

    def send(self, *, deadline: float | None = None) -> list[str]:
        """Plan and deliver once; the messages of what was in flight."""
        planned = self.delivery.plan()
        assert isinstance(planned, InFlight), planned
        messages = [lease.event.message for lease in planned.unsettled.values()]
        self.delivery.deliver(planned, deadline=deadline)
        assert_law(self.worker.stats())
        return messages

    def requests(self) -> list[list[str]]:
        return [[event.message for event in request] for request in self.sink.requests]

    def stats(self, *names: str) -> tuple:
        stats = self.worker.stats()
        return tuple(stats[name] for name in names)

    def attempts(self) -> dict[str, int]:
        """How often each event that can be leased has been tried."""
        leases = self.buffer.lease(99)
        for lease in leases:
            self.buffer.nack(lease, 0.0, spent=False)
        return {lease.event.message: lease.attempts - 1 for lease in leases}


# --- pure rules --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (FAILED, [0.5, 1, 2, 4, 8, 16, 30, 30]),
        (ThrottledError("429"), [1, 2, 4, 8, 16, 30, 30]),
        (WRONG, [54, 108, 216, 270, 270]),
        (MisconfiguredError("x", retry_after=299.0), [299, 299, 299]),
        (TransientError("x", retry_after=301.0), [300, 300]),
        (ThrottledError("x", retry_after=1.5), [1.5, 2, 4]),
    ],
)
def test_each_rest_is_twice_the_last_up_to_its_ceiling(error, seconds):
    """With the dice in the middle; a hint lengthens it."""
    rests = [rest(error, failures=number, rand=0.5) for number in range(1, len(seconds) + 1)]

    assert rests == pytest.approx(seconds)


def test_probes_and_backoffs_double_up_to_a_minute():
    """Probes of a destination that refuses every event begin at five seconds."""
    probes = [probe_after_refusal(probes=number, rand=0.0) for number in range(1, 7)]
    assert probes == pytest.approx([4, 8, 16, 32, 48, 48])
    assert [backoff(number, 1.0) for number in (1, 2, 6, 7, 8, 2_000)] == [1, 2, 32, 60, 60, 60]


def test_what_a_failed_request_means_for_its_events():
    """The code and the detail are the error's."""
    outcome = outcome_of(TransientError("timeout", "10 s", attempts_allowed=5))

    assert outcome == Outcome(Disposition.RETRY, "timeout", "10 s", throttled=False, attempts_allowed=5)
    assert outcome_of(WRONG) == Outcome(Disposition.RETRY, "AccessDenied", "wrong key", throttled=True)


@pytest.mark.parametrize(
    ("steps", "word", "refuses", "rests"),
    [
        ([], "ok", False, 0.0),
        (["failed"], "failing", False, 0.5),
        (["wrong"], "held", False, 54.0),
        (["none"], "failing", False, 0.0),
        (["refuses"], "held", True, 4.5),
        (["refuses", "refuses"], "held", True, 9.0),
        (["refuses", "failed"], "failing", False, 0.5),
        (["wrong", "none"], "failing", False, 54.0),
        (["failed", "failed", "none", "failed"], "failing", False, 0.5),
        (["none", "blames"], "ok", False, 0.0),
        (["failed", "blames"], "failing", False, 0.5),
        (["failed", "answered"], "ok", False, 0.5),
        (["wrong", "answered"], "ok", False, 54.0),
        (["none", "answered"], "ok", False, 0.0),
        (["refuses", "answered"], "ok", False, 4.5),
        (["refuses", "answered", "refuses"], "held", True, 4.5),
        (["failed", "failed", "answered", "failed"], "failing", False, 0.5),
        (["failed", "hurry"], "failing", False, 0.0),
        (["wrong", "hurry"], "held", False, 54.0),
        (["refuses", "hurry"], "held", True, 0.0),
        (["wrong", "failed", "hurry"], "failing", False, 0.0),
    ],
)
def test_the_state_of_a_destination_after_some_answers(steps, word, refuses, rests):
    """Its word, whether the probe matters, until when it rests."""
    destination = Destination(4)
    does = {
        "failed": lambda: destination.failed(FAILED, 100.0, 0.5),
        "wrong": lambda: destination.failed(WRONG, 100.0, 0.5),
        "none": lambda: destination.took_none("Bad"),
        "refuses": lambda: destination.refuses_all("Bad", 100.0, 0.5),
        "answered": lambda: destination.answered(7.0),
        "blames": destination.blames_events,
        "hurry": destination.hurry,
    }
    returned = [does[step]() for step in steps]

    assert destination.word() == word
    assert destination.refuses_events() is refuses
    assert destination.resting(100.0) == pytest.approx(rests)
    assert destination.resting(500.0) == 0.0
    assert destination.last_success == (7.0 if "answered" in steps else None)
    if steps[-1:] == ["refuses"]:
        assert returned[-1] == pytest.approx(rests)


def test_each_request_teaches_a_fifth_of_how_many_senders_are_of_use():
    """From the setting down; what took no work teaches nothing."""
    destination, useful = Destination(10), []
    for seconds, busy in [(1.0, 0.0), (1.0, 1.0), (1.0, 1.0), (4.0, 1.0), (99.0, 1.0)]:
        destination.begin(5.0)
        destination.end(5.0, seconds=seconds, busy_seconds=busy)
        useful.append(destination._useful_senders)

    assert useful == pytest.approx([10.0, 8.2, 6.76, 6.008, 6.8064])
    assert (destination.under_way(), destination.last_send) == (0, 5.0)


def test_as_many_senders_as_are_of_use_and_stuck_ones_beside_them():
    """A request is stuck from half a second on; the setting bounds them all."""
    destination = Destination(3)
    destination._useful_senders = 1.6  # two
    destination.begin(10.0)
    assert destination.may_send(10.0)
    destination.begin(10.25)
    assert not destination.may_send(10.25)
    assert destination.may_send(10.5)
    destination.begin(10.5)
    assert not destination.may_send(99.0)
    destination.end(10.25, seconds=0.0, busy_seconds=0.0)
    assert destination.may_send(99.0)
    destination.failed(FAILED, 99.0, 0.5)
    assert not destination.may_send(99.0)


@pytest.mark.parametrize(
    ("refused", "shows"),
    [
        ([], False),
        ([("a", "Bad")], False),
        ([("a", "Bad"), ("a", "Bad")], False),
        ([("a", "Bad"), ("b", "Bad")], True),
        ([("a", "Bad"), ("b", "Odd")], False),
    ],
)
def test_two_events_refused_alike_show_a_setting(refused, shows):
    """One event, however often, shows none."""
    assert Refusals().show_a_setting(refused) is shows


def test_the_oldest_of_4096_refused_events_is_forgotten_and_codes_past_50_are_one():
    """A service that makes up a code for each event."""
    refusals = Refusals()
    fates = refusals.judge(
        [(str(number), f"code {number}") for number in range(53)], delivered=False, alone=False
    )

    assert fates == [Fate.TRY_OTHERS] * 50 + [Fate.HOLD] * 3
    assert refusals._refused[OTHER] == {"50", "51"}
    assert len(refusals._refused) == 51
    for number in range(53, 4_096):
        refusals.judge([(str(number), "code 0")], delivered=False, alone=False)
    assert len(refusals._marks) == 4_096
    refusals.delivered()
    assert refusals.is_convicted("0", delivered=False)
    refusals.judge([("new", "Bad")], delivered=False, alone=False)
    assert len(refusals._marks) == 4_096
    assert not refusals.is_convicted("0", delivered=False)
    assert refusals.is_convicted("1", delivered=False)
    assert refusals.probe(["1", "2", "0", "new", "fresh"], 0.5) == 4


def in_flight_of(*ages: float, began: float = 100.0) -> tuple[InFlight, list[Lease], list[Payload]]:
    leases = [Lease(make_event(str(key)), key, 1, age) for key, age in enumerate(ages)]
    return InFlight(leases, began), leases, [Payload(lease.event, None, 1) for lease in leases]


def test_what_waits_in_flight_grows_old_and_only_the_unsettled_of_it_goes_on():
    """Ages count on from the lease; a request without events is none."""
    in_flight, leases, payloads = in_flight_of(1.0, 4.0, 5.0)
    in_flight.began = 103.0
    assert [lease.key for lease in in_flight.old(105.0, 10.0)] == [2]
    assert [lease.key for lease in in_flight.old(106.0, 10.0)] == [1, 2]

    in_flight.todo = [
        Batch(tuple(leases[:1]), tuple(payloads[:1])),
        Batch(tuple(leases[1:]), tuple(payloads[1:])),
    ]
    in_flight.refused = [(leases[0], "Bad", "x"), (leases[2], "Bad", "y")]
    assert in_flight.reasons() == [(leases[0].event.id, "Bad"), (leases[2].event.id, "Bad")]
    del in_flight.unsettled[0], in_flight.unsettled[1]
    in_flight.prune()

    assert in_flight.todo == [Batch((leases[2],), (payloads[2],))]
    assert in_flight.refused == [(leases[2], "Bad", "y")]
    assert not in_flight.has_delivered


@pytest.mark.parametrize(
    ("sizes", "requests"),
    [([50, 50], [2]), ([50, 51], [1, 1]), ([40, 30, 30, 60, 40], [3, 2]), ([1, 1, 1, 1], [3, 1])],
)
def test_a_request_is_filled_to_the_byte_and_to_the_event(sizes, requests):
    """The first one and each after it."""
    leases = [Lease(make_event(), key, 1, 0.0) for key in range(len(sizes))]
    payloads = [Payload(lease.event, None, size) for lease, size in zip(leases, sizes, strict=True)]

    assert [len(batch.leases) for batch in batches(leases, payloads, Limits(3, 100))] == requests


# --- planning ----------------------------------------------------------------------------------------------


def test_what_to_wait_for():
    """Nothing there, a batch to fill, the destination's rest, the rate limit: seconds and captures."""
    route = Route(FAILED, flush_interval=4.0, pacer=Pacer(0.125, 1))
    assert route.delivery.plan() == Idle(None, 1)
    route.log("a")
    assert route.send() == ["a"]
    assert route.delivery.plan() == Idle(0.5, 1_000)
    route.clock.advance(0.5)
    assert route.delivery.plan() == Idle(3.5, 9)
    route.log("b", "c")
    assert route.delivery.plan() == Idle(3.5, 7)
    route.clock.advance(3.5)
    assert route.delivery.plan() == Idle(4.0, 1_000)
    route.clock.advance(4.0)
    assert route.send() == ["a", "b", "c"]
    assert route.delivery.plan() == Idle(1.0, 10)
    route.clock.advance(4.0)
    assert route.delivery.plan() == Idle(None, 1)


@pytest.mark.parametrize(("options", "idle"), [({}, Idle(0.5, 10)), ({"spool": "/spool"}, Idle(None, 1))])
def test_a_capture_wakes_nobody_while_no_request_is_due(options, idle):
    """Unless there is a spool, in which its event is to outlive the process."""
    route = Route(flush_interval=0.5, **options)
    route.log("first")
    route.send()

    assert route.delivery.plan() == idle


def test_a_flush_or_a_full_batch_waits_for_no_interval():
    """Full by number or by bytes."""
    route = Route(max_events=3, request_bytes=6_000, flush_interval=60.0)
    route.log("first")
    route.send()
    route.log("a", "b")
    assert route.delivery.plan() == Idle(60.0, 1)
    route.log("c")
    assert route.send() == ["a", "b", "c"]
    route.log("x" * 5_500)
    assert len(route.send()) == 1
    route.log("last")
    assert isinstance(route.delivery.plan(), Idle)
    route.worker.start_flush(urgent=False)
    assert route.send() == ["last"]


def test_events_that_wait_for_another_try_are_waited_for():
    """To the moment."""
    route = Route(RETRY)
    route.log("a")
    route.send()

    assert route.delivery.plan() == Idle(0.5, 1)
    route.clock.advance(0.25)
    assert route.delivery.plan() == Idle(0.25, 1)
    route.clock.advance(0.25)
    assert route.send() == ["a"]


class OthersPacer(Pacer):
    """Another handler with the same rate limit takes the place first."""

    answer: float | Exception = 0.5

    def try_take(self, now: float) -> float:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_where_another_handler_was_quicker_the_events_wait_and_spend_nothing():
    """Also where the question itself fails."""
    pacer = OthersPacer(1.0)
    route = Route(pacer=pacer)
    route.log("a", "b")
    assert route.delivery.plan() == Idle(0.5, 1_000)
    assert route.attempts() == {"a": 0, "b": 0}
    pacer.answer = ValueError("no answer")
    with pytest.raises(ValueError, match="no answer"):
        route.delivery.plan()
    assert route.attempts() == {"a": 0, "b": 0}
    assert route.delivery.under_way() == 0

    pacer.answer = 0.0
    assert route.send() == ["a", "b"]


def test_a_held_destination_is_probed_with_one_event():
    """The first where its key is wrong; one by chance where it refuses events, and the others wait again."""
    route = Route(WRONG, rand=lambda: 0.75)
    route.log("a", "b", "c", "d")
    assert route.send() == ["a", "b", "c", "d"]
    route.clock.advance(300.0)
    assert route.send() == ["a"]

    route = Route(BAD, rand=lambda: 0.75)
    route.log("a", "b", "c", "d")
    assert route.send() == ["a", "b", "c", "d"]
    assert route.stats("state", "dropped") == ("held", {})
    assert route.delivery.plan() == Idle(4.75 + 1.0, 1)
    route.clock.advance(5.75)
    assert route.send() == ["d"]
    assert route.send() == ["a", "b", "c"]


def test_one_event_is_its_own_probe_whatever_the_dice_say():
    """Nothing is to be chosen."""
    route = Route([BAD, BAD], rand=lambda: 0.999)
    route.log("a", "b")
    route.send()
    route.clock.advance(60.0)
    with_one = route.delivery._planning._probe_of(route.worker._life.ledger.lease(1, max_age=999.0))

    assert [lease.event.message for lease in with_one] == ["a"]


@pytest.mark.parametrize(
    ("events", "alone", "busy", "wanted"),
    [
        (9, False, 0, False),
        (10, False, 0, True),
        (10, False, 4, False),
        (10, True, 4, True),
        (9, True, 0, False),
    ],
)
def test_another_thread_is_wanted_for_a_full_batch(events, alone, busy, wanted):
    """Where it could send, or could guard the only one."""
    route = Route(concurrency=4)
    route.log(*map(str, range(events)))
    for _ in range(busy):
        route.delivery._destination.begin(route.clock())

    assert route.delivery.wants_another_thread(alone=alone) is wanted


def test_a_rate_limit_that_processes_share_is_asked_for_when_a_request_could_go():
    """And once more for what a refusal made of it."""
    places = [Place(0.0, True), Place(0.0, True), Place(0.0, True), Place(9.0, False)]

    class Shared:
        def take(self):
            return places.pop(0)

        def answered(self): ...

    route = Route(RefusedError("Bad"), pacer=SharedPacer(Shared))
    assert route.delivery.plan() == Idle(None, 1)
    assert len(places) == 4
    route.log("a", "b", "c")
    assert route.send() == ["a", "b", "c"]
    assert route.requests() == [["a", "b", "c"], ["a"], ["b", "c"]]
    route.log("d")
    assert route.delivery.plan() == Idle(9.0, 1_000)


# --- requests ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deadline", "timeout"), [(None, 15.0), (1_099.0, 15.0), (1_002.5, 2.5), (1_000.0, 0.05), (999.0, 0.05)]
)
def test_a_deadline_shortens_a_requests_timeout(deadline, timeout):
    """Connecting and reading together; a twentieth of a second at least."""
    route = Route(timeout=(5.0, 10.0))
    route.log("a")
    route.send(deadline=deadline)

    assert route.sink.timeouts == [timeout]


def test_a_lease_larger_than_a_request_goes_in_several_in_order():
    """By bytes; each is one request."""
    size = len(ScriptedSink().encode(make_event("0")).body)
    route = Route(request_bytes=2 * size + 900)
    route.log("0", "1", "2", "3", "4")
    assert route.send() == ["0", "1", "2", "3", "4"]

    assert [message for request in route.requests() for message in request] == ["0", "1", "2", "3", "4"]
    assert len(route.requests()) > 1
    assert route.stats("requests", "delivered", "failed_requests") == (len(route.requests()), 5, 0)


def test_a_refused_request_is_halved_until_the_events_at_fault_stand_alone():
    """Depth first, in order; those at fault are dropped when others were taken."""

    def refuse_c(events):
        if any(event.message == "c" for event in events):
            raise RefusedError("Bad", "no such group")
        return [DELIVERED] * len(events)

    route = Route(*[refuse_c] * 9)
    route.log("a", "b", "c", "d", "e")
    route.send()

    assert route.requests() == [
        ["a", "b", "c", "d", "e"], ["a", "b"], ["c", "d", "e"], ["c"], ["d", "e"],
    ]  # fmt: skip
    assert route.stats("delivered", "dropped", "failed_requests", "pending", "state") == (
        4, {"rejected: Bad": 1}, 3, 0, "ok",
    )  # fmt: skip


def test_a_single_event_too_large_is_encoded_at_half_its_size_once():
    """Then it is given up."""
    sizes = []

    class Small(ScriptedSink):
        def encode(self, event, max_bytes=None):
            sizes.append(max_bytes)
            return super().encode(event, max_bytes)

        def send(self, payloads, *, timeout):
            super().send(payloads, timeout=timeout)
            raise TooLargeError("413", "too large")

    route = Route()
    route.delivery._sink = small = Small()
    route.log("x" * 4_000)
    route.send()

    whole = len(ScriptedSink().encode(small.requests[0][0]).body)
    assert sizes == [None, whole // 2]
    assert len(small.requests) == 2
    assert route.stats("dropped", "last_error") == ({"rejected: 413": 1}, "413: too large")


def test_an_event_that_cannot_be_encoded_costs_itself(capsys):
    """Its neighbours go, and it is said once."""

    class Picky(ScriptedSink):
        def encode(self, event, max_bytes=None):
            if event.message.startswith("bad"):
                raise ValueError("no form for it")
            return super().encode(event, max_bytes)

    route = Route()
    route.delivery._sink = picky = Picky()
    route.log("a", "bad 1", "b", "bad 2")
    route.send()
    route.worker._life.turns.tell()

    assert [event.message for event in picky.delivered][:2] == ["a", "b"]
    assert route.stats("dropped", "delivered") == ({"unencodable": 2}, 2)
    assert capsys.readouterr().err.count("an event can't be encoded: ValueError: no form for it") == 1


@pytest.mark.parametrize(
    ("answer", "attempts", "dropped"),
    [([DELIVERED], 5, {"given up: answer_length": 2}), (ZeroDivisionError("a bug"), 9, {})],
)
def test_an_answer_that_proves_nothing_may_have_been_stored(answer, attempts, dropped):
    """One of the wrong length is tried five times, a fault of ours for as long as the event lives."""
    route = Route(*[answer] * 20)
    route.log("a", "b")
    for number in range(1, attempts + 1):
        route.send()
        assert route.stats("failed_requests", "duplicates_possible") == (number, 2 * number)
        route.clock.advance(60.0)

    assert route.stats("dropped") == (dropped,)


def test_the_end_of_a_request_is_measured_and_its_sender_is_free_again():
    """Seconds by the clock, work by the processor's."""
    worked = ManualClock()

    class Working(ScriptedSink):
        def send(self, payloads, *, timeout):
            route.clock.advance(3.0)
            worked.advance(1.0)
            return super().send(payloads, timeout=timeout)

    route = Route(cpu_clock=worked, concurrency=7)
    route.delivery._sink = Working()
    route.log("a")
    route.send()

    assert route.delivery.under_way() == 0
    assert route.delivery._destination._useful_senders == pytest.approx(7 + 0.2 * (2 - 7))


def test_losses_are_told_a_minute_after_the_last_time_at_the_earliest():
    """Not while the destination fails: by the first request after that."""
    route = Route(*[None] * 5, FAILED)

    def lose_and_log(message: str) -> None:
        route.worker._intake.dropped.append(40)
        route.log(message)

    lose_and_log("a")
    assert [route.send(), route.send()] == [["a"], ["1 events lost: 1 ERROR (1 overflow)"]]
    route.clock.advance(59.0)
    lose_and_log("b")
    assert route.send() == ["b"]
    assert route.delivery.plan() == Idle(None, 1)
    route.clock.advance(1.0)
    lose_and_log("c")
    assert [route.send(), route.send()] == [["c"], ["2 events lost: 2 ERROR (2 overflow)"]]
    route.clock.advance(60.0)
    lose_and_log("d")
    assert route.send() == ["d"]
    assert route.delivery.plan() == Idle(0.5, 1_000)
    route.clock.advance(0.5)
    assert [route.send(), route.send()] == [["d"], ["1 events lost: 1 ERROR (1 overflow)"]]
    assert route.delivery.plan() == Idle(None, 1)


def test_a_request_that_is_broken_off_gives_its_events_back():
    """Ctrl-C, say: those not settled wait again, and the sender is free."""
    calls = []

    class Stopped(ScriptedSink):
        def send(self, payloads, *, timeout):
            calls.append(len(payloads))
            raise KeyboardInterrupt

    route = Route()
    route.delivery._sink = Stopped()
    route.log("a", "b")
    planned = route.delivery.plan()
    with pytest.raises(KeyboardInterrupt):
        route.delivery.deliver(planned)

    assert calls == [2]
    assert route.delivery.under_way() == 0
    assert route.attempts() == {"a": 0, "b": 0}


def test_events_and_outcomes_that_are_out_of_step_are_no_answer():
    """None of them is settled by another's outcome."""
    route = Route()
    route.log("a", "b")
    planned = route.delivery.plan()
    leases = list(planned.unsettled.values())

    with pytest.raises(ValueError, match="zip"):
        route.delivery._settling.settle(leases, [DELIVERED], planned)


# --- what an answer means ----------------------------------------------------------------------------------


def test_entries_of_one_answer_end_each_in_its_own_way(capsys):
    """Delivered, to be tried again after its delay, refused, given up: and the destination is well."""
    odd = Outcome(Disposition.RETRY, "odd", "", attempts_allowed=1)
    hinted = Outcome(Disposition.RETRY, "busy", "", retry_after=7.0)
    route = Route([DELIVERED, RETRY, BAD, odd, hinted])
    route.log("a", "b", "c", "d", "e")
    route.send()
    route.worker._life.turns.tell()

    assert route.stats("delivered", "dropped", "retried", "pending", "failed_requests", "state") == (
        1, {"given up: odd": 1, "rejected: Bad": 1}, 2, 3, 0, "ok",
    )  # fmt: skip
    assert route.stats("last_success", "last_error") == (1_000.0, "Bad: no such group")
    assert capsys.readouterr().err.splitlines() == [
        "eventlog_handlers: ScriptedSink: event dropped (given up: odd): odd",
        "eventlog_handlers: ScriptedSink: event dropped (rejected: Bad): no such group",
    ]
    assert route.send() == ["1 events lost: 1 ERROR (1 given up: odd)"]
    assert route.delivery.plan() == Idle(0.5, 1)
    route.clock.advance(0.5)
    assert route.attempts() == {"b": 1}
    assert route.send() == ["b"]
    assert route.delivery.plan() == Idle(6.5, 1)


def test_a_failed_request_gives_every_event_back_at_once_while_the_destination_rests(capsys):
    """Said once until something is delivered; the attempts count, for the request was made."""
    route = Route(FAILED, FAILED, None, FAILED)
    route.log("a", "b")
    route.send()
    assert route.stats("retried", "failed_requests", "duplicates_possible", "state", "last_error") == (
        2, 1, 0, "failing", "connect: refused",
    )  # fmt: skip
    assert route.attempts() == {"a": 1, "b": 1}
    route.clock.advance(0.5)
    route.send()
    route.clock.advance(1.0)
    route.send()
    route.log("c")
    route.send()

    failing = "not delivering, events are kept and tried again: connect: refused"
    assert [line.partition("Sink: ")[2] for line in capsys.readouterr().err.splitlines()] == [
        failing, "delivering again", failing,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "share", "wait"),
    [
        (ThrottledError("429", retry_after=20.0), 0.5, 20.0),
        (ThrottledError("429", retry_after=999.0), 0.5, 300.0),
        (ThrottledError("429"), 0.5, 0.0),
        (FAILED, 1.0, 0.0),
    ],
)
def test_a_throttled_request_slows_the_rate_limit_and_passes_the_hint_on(error, share, wait):
    """Other failures leave it alone."""
    pacer = Pacer(1_000.0, 5)
    route = Route(error, pacer=pacer)
    route.log("a")
    route.send()

    assert pacer._share == share
    assert pacer.wait(1_000.0) == wait


@pytest.mark.parametrize(
    ("answer", "share"),
    [(None, 0.55), ([Outcome(Disposition.RETRY, "x", throttled=True), DELIVERED], 0.25), (RETRY, 0.55)],
)
def test_an_answer_gives_a_part_of_the_rate_back_unless_an_entry_was_throttled(answer, share):
    """Whatever became of the events."""
    pacer = Pacer(1_000.0, 5)
    pacer.throttled()
    route = Route(answer, pacer=pacer)
    route.log("a", "b")
    route.send()

    assert pacer._share == share
    assert pacer.wait(1_001.0) == 0.0


def test_a_shared_rate_limit_is_told_the_hint_in_seconds():
    """Not a moment: the clocks of processes differ."""
    told = []

    class Shared:
        def take(self):
            return Place(0.0, True)

        def throttled(self, retry_after):
            told.append(retry_after)

    route = Route(ThrottledError("429", retry_after=20.0), pacer=SharedPacer(Shared))
    route.log("a")
    route.send()

    assert told == [20.0]


def test_a_refused_event_that_may_be_at_fault_waits_until_the_others_were_tried():
    """A second more than nothing; alone it is dropped, unless another waits."""
    route = Route(BAD, max_events=1)
    route.log("a", "b")
    assert route.send() == ["a"]
    assert route.stats("dropped", "retried", "state", "last_error") == (
        {}, 1, "failing", "Bad: no such group",
    )  # fmt: skip
    assert route.send() == ["b"]
    assert route.delivery.plan() == Idle(1.0, 1)
    route.clock.advance(1.0)
    assert route.attempts() == {"a": 0}

    route = Route(BAD)
    route.log("a")
    route.send()
    assert route.stats("dropped", "retried", "state") == ({"rejected: Bad": 1}, 0, "failing")


def test_a_refused_event_is_alone_where_the_only_other_one_cannot_go_yet():
    """No event tells now whose fault it was."""
    route = Route([BAD, RETRY])
    route.log("a", "b")
    route.send()

    assert route.stats("dropped", "pending", "retried") == ({"rejected: Bad": 1}, 1, 1)


def test_a_refused_event_is_not_alone_while_others_of_its_lease_are_untried():
    """A request that failed ended the turn before theirs."""
    odd = TransientError("odd", attempts_allowed=1)
    route = Route(*[RefusedError("Bad")] * 3, odd)
    route.log("a", "b", "c", "d")
    route.send()

    assert route.requests() == [["a", "b", "c", "d"], ["a", "b"], ["a"], ["b"]]
    assert route.stats("dropped", "pending", "retried") == ({"given up: odd": 1}, 3, 1)
    route.clock.advance(0.5)
    assert route.send() == ["c", "d"]


def test_two_events_refused_alike_end_the_turn_unless_another_was_taken():
    """Looking further would prove nothing; where one was taken the events are at fault."""
    route = Route(*[RefusedError("Bad")] * 4)
    route.log("a", "b", "c", "d")
    route.send()
    assert route.requests() == [["a", "b", "c", "d"], ["a", "b"], ["a"], ["b"]]
    assert route.stats("state", "pending", "dropped") == ("held", 4, {})

    def take_a(events):
        if [event.message for event in events] == ["a"]:
            return [DELIVERED]
        raise RefusedError("Bad")

    route = Route(*[take_a] * 9)
    route.log("a", "b", "c", "d")
    route.send()
    assert [len(request) for request in route.requests()] == [4, 2, 1, 1, 2, 1, 1]
    assert route.stats("state", "delivered", "dropped") == ("ok", 1, {"rejected: Bad": 3})


def test_an_observer_is_told_each_state_of_the_destination():
    """Failing, held, well again: with the error that made it so."""

    class Listener:
        def on_state(self, handler, state, error):
            states.append((state, error))

    states: list[tuple[str, str]] = []
    route = Route(FAILED, BAD, None, BAD, None, [BAD, BAD], max_events=1, observer=Listener())
    route.log("a", "b")
    for seconds in (0.5, 0.0, 1.0, 0.0):
        route.send()
        route.worker._life.turns.tell()
        states.append(("then", ""))
        route.clock.advance(seconds)
    route = Route([BAD, BAD], observer=Listener())
    route.log("c", "d")
    route.send()
    route.worker._life.turns.tell()

    assert states == [
        ("failing", "connect: refused"), ("then", ""),
        ("failing", "Bad: no such group"), ("then", ""),
        ("ok", ""), ("then", ""),
        ("failing", "Bad: no such group"), ("ok", ""), ("then", ""),
        ("failing", "Bad: no such group"), ("held", "Bad: no such group"),
    ]  # fmt: skip


def test_what_waits_for_a_place_is_given_back_when_the_destination_rests():
    """However short the rest is."""
    route = Route(RefusedError("Bad"), pacer=Pacer(1.0, 1))
    route.log("a", "b", "c", "d")
    route.send()
    planning = route.delivery._planning
    assert [len(batch.leases) for batch in planning._suspended[0].todo] == [2, 2]
    assert route.delivery.plan() == Idle(1.0, 1_000)
    route.delivery._destination.failed(FAILED, route.clock(), 0.5)
    assert route.delivery.plan() == Idle(0.5, 1_000)
    assert not planning._suspended
    assert route.attempts() == {"a": 0, "b": 0, "c": 0, "d": 0}


@pytest.mark.parametrize("is_broken_off", [False, True])
def test_a_refused_event_is_judged_when_the_rest_grew_too_old_to_be_sent(is_broken_off):
    """It is not too old itself; where that is broken off it waits again."""
    route = Route(RefusedError("Bad"), RefusedError("Bad"), pacer=Pacer(1 / 99, 2), max_age=100.0)
    route.log("b")
    route.clock.advance(50.0)
    route.log("a", level=logging.CRITICAL)
    assert route.send() == ["a", "b"]
    assert route.requests() == [["a", "b"], ["a"]]
    route.clock.advance(99.0)

    def broken(in_flight):
        raise KeyboardInterrupt

    if is_broken_off:
        route.delivery._settling.judge_refused = broken
        with pytest.raises(KeyboardInterrupt):
            route.delivery.plan()
        assert route.stats("dropped", "pending") == ({"expired": 1}, 1)
        assert route.attempts() == {"a": 0}
    else:
        assert route.delivery.plan() == Idle(None, 1)
        assert route.stats("dropped", "pending") == ({"expired": 1, "rejected: Bad": 1}, 0)
    assert not route.delivery._planning._suspended
    assert route.delivery.under_way() == 0


def test_events_that_are_all_too_old_leave_nothing_to_send():
    """They take no place in the rate limit."""
    pacer = Pacer(1.0, 1)
    route = Route(pacer=pacer, max_age=100.0)
    route.log("a", "b")
    route.clock.advance(100.0)

    assert route.delivery.plan() == Idle(None, 1)
    assert route.stats("dropped", "pending") == ({"expired": 2}, 0)
    assert pacer.wait(route.clock()) == 0.0


def test_one_of_two_is_the_probe():
    """The other one waits again."""
    route = Route(BAD)
    route.log("a", "b")
    route.send()
    route.clock.advance(60.0)

    assert route.send() == ["b"]


def test_events_that_are_all_refused_alike_are_held_and_probed(capsys):
    """Nothing is dropped; each waits a second longer than the destination rests."""
    route = Route(BAD, BAD)
    route.log("a", "b", "c")
    route.send()
    route.worker._life.turns.tell()

    assert route.stats("dropped", "pending", "retried", "state", "last_error") == (
        {}, 3, 3, "held", "Bad: no such group",
    )  # fmt: skip
    assert "refuses every event with the same code" in capsys.readouterr().err
    assert route.delivery._destination.resting(route.clock()) == pytest.approx(4.5)
    assert route.delivery.plan() == Idle(5.5, 1)
    route.clock.advance(5.5)
    assert route.attempts() == {"a": 0, "b": 0, "c": 0}


def test_a_connection_is_closed_only_where_one_was_made():
    """Closing makes none."""
    route = Route()
    route.delivery.close()
    assert route.sink.closed == 0
    route.log("a")
    route.send()
    route.delivery.close()
    assert route.sink.closed == 1
