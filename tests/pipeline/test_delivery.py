"""What a worker makes of refusals, of a rate limit and of age."""

from __future__ import annotations

import logging
import random

import pytest
from law import assert_law, submit

from eventlog_handlers.buffers.spool.buffer import SpoolBuffer
from eventlog_handlers.errors import MisconfiguredError, RefusedError, TransientError
from eventlog_handlers.events import DELIVERED, Disposition, Outcome
from eventlog_handlers.pipeline.pacing import Pacer
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_worker, settle


@pytest.fixture(params=["memory", "spool"])
def buffer(request, tmp_path):
    """What ``make_worker`` takes as its buffer, given a clock."""

    def spool(clock):
        return SpoolBuffer(
            tmp_path, capacity=10_000, capacity_bytes=1 << 26, policy="drop_lowest", clock=clock,
            wall_clock=clock, report=lambda key, text: None, identity="test", max_age_seconds=10**6,
        )  # fmt: skip

    return lambda clock: None if request.param == "memory" else (lambda: spool(clock))


# --- age and rate limit ------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_age", [0.5, 3.0, 60.0])
@pytest.mark.parametrize("burst", [1, 5])
def test_under_overload_that_lasts_as_many_arrive_as_the_rate_limit_allows(buffer, max_age, burst):
    """Twenty distinct errors a second, ten requests a second: ten arrive, however old the others grow."""
    sink, clock = ScriptedSink(max_events=1), ManualClock()
    worker = make_worker(
        sink,
        clock,
        buffer=buffer(clock),
        pacer=Pacer(10.0, burst=burst),
        flush_interval=0,
        max_age=max_age,
        capacity=10_000,
    )
    arrived = []
    for second in range(12):
        before = len(sink.delivered)
        for tick in range(20):
            submit(worker, f"error {second} {tick}")
            end = clock() + 0.05
            while clock() < end - 1e-9:
                idle = worker.step()
                if idle is not None:
                    left = end - clock()
                    clock.advance(left if idle.seconds is None else min(left, max(idle.seconds, 0.001)))
        arrived.append(len(sink.delivered) - before)

    assert all(9 <= count <= 10 + burst for count in arrived), arrived
    assert all(count <= 11 for count in arrived[1:]), arrived
    assert_law(worker.stats())


def test_after_an_outage_longer_than_max_age_the_next_event_goes_at_once(buffer):
    """A thousand events past their age take no place in the rate limit, and are counted."""
    sink, clock = ScriptedSink(TransientError("connect"), max_events=1), ManualClock()
    worker = make_worker(
        sink, clock, buffer=buffer(clock), pacer=Pacer(20 / 60, burst=1), flush_interval=0, max_age=3_600
    )
    for number in range(1_000):
        submit(worker, f"old {number}", logging.CRITICAL)  # so that they would go first
    worker.step()
    while worker._life.turns.render_some():
        pass
    clock.advance(7_200)
    submit(worker, "new")
    started = clock()

    while "new" not in [event.message for event in sink.delivered]:
        worker.step()
        clock.advance(0.001)

    assert clock() - started < 1.0
    assert worker.stats()["dropped"] == {"expired": 1_000}
    assert len(sink.requests) == 2
    assert_law(worker.stats())


def test_looking_for_one_bad_event_keeps_to_the_rate_limit():
    """Halving a batch makes many requests: they are paced like any other, and go on where they left off."""
    sink, clock = ScriptedSink(max_events=50), ManualClock()
    sent_at = []

    def refuse_bad(events):
        sent_at.append(clock())
        if any(event.message == "bad" for event in events):
            raise RefusedError("ParameterInvalid")
        return [DELIVERED] * len(events)

    sink.answers.extend([refuse_bad] * 100)
    worker = make_worker(sink, clock, pacer=Pacer(2.0, burst=3), flush_interval=0)
    for number in range(50):
        submit(worker, "bad" if number == 33 else f"good {number}")
    settle(worker, clock)

    assert len(sink.delivered) == 49
    assert worker.stats()["dropped"] == {"rejected: ParameterInvalid": 1}
    assert 8 <= len(sent_at) <= 14
    for start in sent_at:
        assert sum(1 for at in sent_at if start <= at < start + 1.0) <= 3 + 2
    assert sent_at[-1] - sent_at[0] >= (len(sent_at) - 3) / 2.0 - 0.01
    assert_law(worker.stats())


@pytest.mark.parametrize("late", [(), range(4), range(8)], ids=["none", "half of them", "all"])
def test_what_comes_past_its_age_while_it_waits_for_the_rate_limit_is_dropped(late):
    """Half a batch is refused and waits for its next request: what is too old then takes no place in one."""
    sink, clock = ScriptedSink(RefusedError("Bad"), max_events=8), ManualClock()
    worker = make_worker(sink, clock, pacer=Pacer(1 / 30, burst=1), flush_interval=0, max_age=100)
    for number in range(8):
        submit(worker, f"event {number}")
        while worker._life.turns.render_some():
            pass
        if number == max(late, default=-1):
            clock.advance(50)
    worker.step()
    assert len(worker._life.delivery._planning._suspended) == 1

    clock.advance(60)
    worker.step()
    settle(worker, clock, seconds=3_600)

    arrived = [event.message for event in sink.delivered if event.message.startswith("event")]
    assert arrived == [f"event {number}" for number in range(8) if number not in late]
    assert worker.stats()["dropped"] == ({"expired": len(late)} if late else {})
    assert_law(worker.stats())


def test_a_batch_half_sent_is_given_back_when_the_destination_fails():
    """Its rest waits for the rate limit; another sender's failure makes it wait like all others."""
    sink, clock = ScriptedSink(RefusedError("Bad"), max_events=8), ManualClock()
    worker = make_worker(sink, clock, pacer=Pacer(1.0, burst=1), flush_interval=0)
    for number in range(8):
        submit(worker, f"event {number}")
    worker.step()
    delivery = worker._life.delivery
    assert len(delivery._planning._suspended) == 1

    delivery._destination.failed(MisconfiguredError("AccessDenied"), clock(), 0.5)
    worker.step()

    assert not delivery._planning._suspended
    settle(worker, clock, seconds=3_600)
    assert sorted(event.message for event in sink.delivered) == [f"event {number}" for number in range(8)]
    assert len(sink.requests[1]) == 1  # a probe
    assert_law(worker.stats())


# --- refusals ----------------------------------------------------------------------------------------------

REJECTED = Outcome(Disposition.REJECTED, "AccessDenied", "no such group")


def refusing(how, is_wrong):
    """A service whose setting is wrong while *is_wrong* holds: it refuses each event, or the request."""

    def answer(events):
        if not is_wrong[0]:
            return [DELIVERED] * len(events)
        if how == "entries":
            return [REJECTED] * len(events)
        raise RefusedError("AccessDenied", "no such group")

    return answer


@pytest.mark.parametrize("how", ["entries", "requests"])
@pytest.mark.parametrize(("batch", "lost"), [(1, 0), (10, 0)])
def test_b28_a_wrong_setting_that_refuses_every_event_loses_none(buffer, how, batch, lost):
    """It is held, says so, is probed with one event, and goes on by itself when the setting is mended."""
    sink, clock, is_wrong = ScriptedSink(max_events=batch), ManualClock(), [True]
    sink.answers.extend([refusing(how, is_wrong)] * 1_000)
    worker = make_worker(sink, clock, buffer=buffer(clock), flush_interval=0)
    for number in range(60):
        submit(worker, f"event {number}")

    settle(worker, clock, seconds=900)
    wrong = worker.stats()
    requests = len(sink.requests)
    is_wrong[0] = False
    settle(worker, clock, seconds=200)

    assert wrong["state"] == "held"
    assert wrong["last_success"] is None
    assert "AccessDenied: no such group" in wrong["last_error"]
    assert wrong["failed_requests"] == requests
    assert sum(wrong["dropped"].values()) == lost
    assert requests < 40
    assert all(len(request) == 1 for request in sink.requests[8:requests])
    mended = worker.stats()
    assert (mended["state"], mended["delivered"], mended["pending"]) == ("ok", 60 - lost, 0)
    assert_law(mended)


def test_b28_a_setting_that_becomes_wrong_costs_one_event_where_events_come_alone(capsys):
    """The first is dropped, for no other event is there to tell; the second is kept, and all others too."""
    sink, clock, is_wrong = ScriptedSink(max_events=1), ManualClock(), [False]
    sink.answers.extend([refusing("entries", is_wrong)] * 1_000)
    worker = make_worker(sink, clock, flush_interval=0)
    submit(worker, "fine")
    settle(worker, clock)
    is_wrong[0] = True
    for number in range(20):
        submit(worker, f"event {number}")
        worker.step()
        clock.advance(30.0)

    stats = worker.stats()
    assert stats["dropped"] == {"rejected: AccessDenied": 1}
    assert stats["state"] == "held"
    assert stats["pending"] == 19
    assert capsys.readouterr().err.count("refuses every event with the same code") == 1
    is_wrong[0] = False
    settle(worker, clock)
    assert worker.stats()["delivered"] == 20


@pytest.mark.parametrize("how", ["entries", "requests"])
@pytest.mark.parametrize("batch", [1, 10])
@pytest.mark.parametrize("poison", [1, 2])
def test_poison_events_are_dropped_and_their_neighbours_delivered(buffer, how, batch, poison):
    """Wherever they stand: first, in the midst, last; alone in the end, too."""
    for seed in range(6):
        dice = random.Random(seed)
        bad = set(dice.sample(range(30), poison))
        sink, clock = ScriptedSink(max_events=batch), ManualClock()

        def answer(events):
            found = ["poison" in event.message for event in events]
            if how == "requests" and any(found):
                raise RefusedError("Malformed")
            return [Outcome(Disposition.REJECTED, "Malformed") if one else DELIVERED for one in found]

        sink.answers.extend([answer] * 1_000)
        worker = make_worker(sink, clock, buffer=buffer(clock), flush_interval=0)
        for number in range(30):
            submit(worker, f"poison {number}" if number in bad else f"good {number}")
        started = clock()
        settle(worker, clock, seconds=600)

        stats = worker.stats()
        assert stats["delivered"] == 30 - poison
        assert stats["dropped"] == {"rejected: Malformed": poison}
        assert stats["pending"] == 0
        assert clock() - started < 60
        assert_law(stats)


def test_one_poison_event_alone_is_dropped_at_once():
    """Nothing else is in hand, nothing was taken before: still it does not stay for an hour."""
    sink, clock = ScriptedSink(Outcome(Disposition.REJECTED, "Malformed")), ManualClock()
    worker = make_worker(sink, clock)
    submit(worker, "poison")

    worker.step()

    stats = worker.stats()
    assert stats["dropped"] == {"rejected: Malformed": 1}
    assert (stats["failed_requests"], stats["last_success"], stats["state"]) == (1, None, "failing")


def test_a_poison_event_that_repeats_with_no_other_is_kept_until_another_is_taken():
    """It looks like a wrong setting, and a wrong setting must lose nothing; one good event tells."""
    sink, clock = ScriptedSink(max_events=10), ManualClock()
    sink.answers.extend(
        [lambda events: [REJECTED if e.message == "poison" else DELIVERED for e in events]] * 1_000
    )
    worker = make_worker(sink, clock, flush_interval=0)
    for _ in range(5):
        submit(worker, "poison")
    settle(worker, clock, seconds=900)
    alone = worker.stats()
    submit(worker, "good")
    settle(worker, clock, seconds=900)

    assert (alone["state"], alone["pending"], alone["dropped"]) == ("held", 5, {})
    assert "good" in [event.message for event in sink.delivered]
    stats = worker.stats()
    assert (stats["state"], stats["pending"], sum(stats["dropped"].values())) == ("ok", 0, 5)
    assert_law(stats)


def test_an_answer_that_takes_no_event_is_no_success():
    """Every entry to be sent again: the request failed, whatever its status."""
    sink, clock = ScriptedSink(Outcome(Disposition.RETRY, "InternalFailure", "try later")), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0)
    submit(worker, "event")

    worker.step()
    failed = worker.stats()
    settle(worker, clock)

    assert (failed["failed_requests"], failed["last_success"], failed["state"]) == (1, None, "failing")
    assert failed["last_error"] == "InternalFailure: try later"
    assert worker.stats()["state"] == "ok"
