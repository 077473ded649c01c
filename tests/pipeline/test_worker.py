"""The worker, turn by turn, without a thread."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest
from captures import capture

from eventlog_handlers.errors import (
    MisconfiguredError,
    RefusedError,
    ThrottledError,
    TooLargeError,
    TransientError,
)
from eventlog_handlers.events import DELIVERED, Disposition, Event, Outcome
from eventlog_handlers.process import clock
from eventlog_handlers.record.captured import Capture
from eventlog_handlers.record.fields import ARGS
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_event, make_worker, settle

RETRY = Outcome(Disposition.RETRY, "InternalFailure")
REJECTED = Outcome(Disposition.REJECTED, "MalformedDetail", "Detail is malformed.")


def captured(message: str = "boom", level: int = logging.ERROR) -> Capture:
    record = logging.LogRecord("shop", level, "shop.py", 1, "%s", (message,), None)
    return capture(record, id_bits=hash(message) & (2**128 - 1))


def messages(events: list[Event]) -> list[str]:
    return [event.message for event in events]


def assert_law(stats: dict) -> None:
    assert stats["accepted"] == (
        stats["delivered"] + sum(stats["dropped"].values()) + stats["aggregated"] + stats["pending"]
    )
    assert sum(stats["dropped"].values()) == sum(stats["dropped_by_level"].values())


def test_the_first_event_at_an_idle_worker_goes_at_once():
    """Nobody waits for a batch to fill when nothing else is going on."""
    sink, clock = ScriptedSink(), ManualClock()
    worker = make_worker(sink, clock)

    worker.submit(captured())
    worker.step()

    assert messages(sink.delivered) == ["boom"]
    assert_law(worker.stats())


def test_events_after_the_first_wait_for_the_interval_or_a_full_batch():
    """A batch goes when it is full, or when the last request is flush_interval ago."""
    sink, clock = ScriptedSink(max_events=3), ManualClock()
    worker = make_worker(sink, clock, flush_interval=1.0)
    worker.submit(captured("0"))
    worker.step()

    worker.submit(captured("1"))
    first = worker.step(), worker.step()
    worker.submit(captured("2"))
    worker.submit(captured("3"))
    worker.step()

    assert first[1] is not None
    assert first[1].seconds == pytest.approx(1.0)
    assert first[1].records == 2
    assert [len(request) for request in sink.requests] == [1, 3]

    worker.submit(captured("4"))
    worker.step()
    clock.advance(1.0)
    worker.step()

    assert [len(request) for request in sink.requests] == [1, 3, 1]


def test_the_most_severe_waiting_event_goes_first():
    """Severity orders what waits; age orders within a severity."""
    sink, clock = ScriptedSink(max_events=1), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0)

    for message, level in [("info", 20), ("error 1", 40), ("critical", 50), ("error 2", 40), ("debug", 10)]:
        worker.submit(captured(message, level))
    settle(worker, clock)

    assert messages(sink.delivered) == ["critical", "error 1", "error 2", "info", "debug"]


def test_another_renders_while_captures_are_in_hand():
    """And no more once their events are in the buffer: then what waits is for whoever looks."""
    seen = []

    def render(one):
        seen.append(worker._life.turns.another_renders())
        return make_event(one.message)

    worker = make_worker(ScriptedSink(), ManualClock(), render_capture=render)
    assert not worker._life.turns.another_renders()
    worker.submit(captured("one"))
    worker.step()

    assert seen == [True]
    assert not worker._life.turns.another_renders()


def test_only_the_failed_entries_of_a_request_go_again():
    """Delivered neighbours are not sent twice, rejected ones not at all; the failed one keeps its id."""
    sink, clock = ScriptedSink([DELIVERED, RETRY, REJECTED]), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0)
    for message in "abc":
        worker.submit(captured(message))

    settle(worker, clock)

    assert [messages(request) for request in sink.requests] == [["a", "b", "c"], ["b"]]
    assert sink.requests[0][1].id == sink.requests[1][0].id
    stats = worker.stats()
    assert stats["delivered"] == 2
    assert stats["dropped"] == {"rejected: MalformedDetail": 1}
    assert stats["retried"] == 1
    assert_law(stats)


def test_one_bad_event_among_fifty_costs_exactly_itself():
    """A refused batch is halved until the culprit stands alone; its 49 neighbours arrive once each."""
    sink, clock = ScriptedSink(max_events=50), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0)

    def refuse_bad(events):
        if any(event.message == "bad" for event in events):
            raise RefusedError("ParameterInvalid")
        return [DELIVERED] * len(events)

    sink.answers.extend([refuse_bad] * 100)
    for number in range(50):
        worker.submit(captured("bad" if number == 33 else f"good {number}"))
    settle(worker, clock)

    assert sorted(messages(sink.delivered)) == sorted(
        f"good {number}" for number in range(50) if number != 33
    )
    assert worker.stats()["dropped"] == {"rejected: ParameterInvalid": 1}
    assert len(sink.requests) <= 14
    assert_law(worker.stats())


def test_a_request_too_large_is_split_and_a_single_event_shortened_once():
    """413 halves the batch; an event alone is encoded anew at half its size, then given up."""
    sink, clock = ScriptedSink(max_events=4), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0)

    def at_most_2_kb(events):
        if sum(len(event.message) for event in events) > 2_000:
            raise TooLargeError("413")
        return [DELIVERED] * len(events)

    sink.answers.extend([at_most_2_kb] * 100)
    for size in (100, 2_900, 90_000, 200):
        worker.submit(captured("x" * size))
    settle(worker, clock)

    assert sorted(len(event.message) for event in sink.delivered)[:2] == [100, 200]
    assert 900 < sorted(len(event.message) for event in sink.delivered)[2] < 2_000
    assert worker.stats()["dropped"] == {"rejected: 413": 1}
    assert_law(worker.stats())


@pytest.mark.parametrize(
    "error",
    [
        TransientError("connect", "refused"),
        TransientError("timeout", ambiguous=True),
        ThrottledError("Throttling.User", retry_after=7),
        MisconfiguredError("InvalidAccessKeyId.NotFound", "wrong key"),
    ],
    ids=lambda error: type(error).__name__ + error.code,
)
def test_a_failed_request_keeps_every_event(error):
    """Whatever is wrong with the destination, its events wait and arrive once it is mended."""
    sink, clock = ScriptedSink(*[error] * 5), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0, max_age=86_400)
    for number in range(25):
        worker.submit(captured(str(number)))

    settle(worker, clock, seconds=7_200)

    assert messages(sink.delivered) == [str(number) for number in range(25)]
    assert worker.stats()["failed_requests"] == 5
    assert_law(worker.stats())


def test_a_destination_rests_after_a_failure_and_obeys_its_hint():
    """No request goes before the rest is over, however many records come."""
    sink, clock = ScriptedSink(ThrottledError("Throttling", retry_after=7)), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0)
    worker.submit(captured("a"))
    worker.step()

    worker.submit(captured("b"))
    worker.step()
    idle = worker.step()

    assert idle is not None
    assert idle.seconds == pytest.approx(7.0)
    assert len(sink.requests) == 1

    clock.advance(7.0)
    worker.step()

    assert messages(sink.delivered) == ["a", "b"]


def test_wrong_credentials_are_probed_slowly_and_with_one_event():
    """A destination that refuses us sees one small request a minute, not the backlog."""
    sink, clock = ScriptedSink(*[MisconfiguredError("AccessDenied")] * 4), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0)
    for number in range(30):
        worker.submit(captured(str(number)))
    started = clock()

    settle(worker, clock, seconds=1_200)

    assert [len(request) for request in sink.requests][:5] == [10, 1, 1, 1, 1]
    assert clock() - started > 60 + 120 + 240
    assert worker.stats()["delivered"] == 30


def test_an_event_too_old_is_dropped_and_counted():
    """max_age ends what an outage began."""
    sink, clock = ScriptedSink(*[TransientError("connect")] * 1_000), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0, max_age=300)
    worker.submit(captured())

    settle(worker, clock, seconds=900)

    assert worker.stats()["dropped"] == {"expired": 1}
    assert_law(worker.stats())


def test_an_answer_of_the_wrong_length_proves_nothing():
    """Fewer verdicts than events: all go again, five times at most."""
    sink, clock = ScriptedSink([DELIVERED]), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0)
    worker.submit(captured("a"))
    worker.submit(captured("b"))

    settle(worker, clock)

    assert [messages(request) for request in sink.requests] == [["a", "b"], ["a", "b"]]
    assert worker.stats()["delivered"] == 2


def test_a_fault_inside_a_sink_costs_no_event():
    """An exception nobody foresaw is treated as trouble on the way."""
    sink, clock = ScriptedSink(ZeroDivisionError("a bug")), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0)
    worker.submit(captured())

    settle(worker, clock)

    assert len(sink.delivered) == 1
    assert "ZeroDivisionError" in worker.stats()["last_error"]


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("drop_lowest", ["critical 1", "error 2", "error 4"]),
        ("drop_newest", ["critical 1", "error 2", "info 0"]),
    ],
)
def test_a_full_buffer_sheds_by_policy_and_counts(policy, kept):
    """Whatever gives way is counted by reason and level."""
    sink, clock = ScriptedSink(), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0, capacity=3, when_full=policy)
    names = [
        ("info 0", 20),
        ("critical 1", 50),
        ("error 2", 40),
        ("info 3", 20),
        ("error 4", 40),
        ("info 5", 20),
    ]

    for name, level in names:
        worker.submit(captured(name, level))
        worker._life.turns.render_some()
    settle(worker, clock)

    assert sorted(messages(sink.delivered[:3])) == sorted(kept)
    assert worker.stats()["dropped"] == {"overflow": 3}
    assert_law(worker.stats())


def test_an_intake_that_nobody_empties_is_bounded_and_keeps_the_severe():
    """Even with the worker stuck, a storm of INFO pushes no ERROR out, and all that is shed is counted."""
    sink, clock = ScriptedSink(), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0, capacity=100)

    for number in range(50):
        worker.submit(captured(f"error {number}", 40))
    for number in range(1_000):
        worker.submit(captured(f"info {number}", 20))
    pending = worker.stats()["pending"]
    settle(worker, clock)

    assert pending == 100
    assert len([event for event in sink.delivered if event.level == 40]) == 50
    assert "950 events lost: 950 INFO (950 overflow)" in messages(sink.delivered)
    assert worker.stats()["accepted"] == 1_050 + 1
    assert worker.stats()["dropped_by_level"] == {"INFO": 950}
    assert_law(worker.stats())


def test_flush_without_a_thread_does_the_work_itself():
    """Where no thread can be started (the interpreter is ending, a limit is reached) flush sends inline."""
    sink = ScriptedSink(max_events=4)
    from eventlog_handlers.process.clock import monotonic

    worker = make_worker(sink, monotonic)
    for number in range(10):
        worker.submit(captured(str(number)))

    settled = worker.flush(5.0)

    assert settled
    assert messages(sink.delivered) == [str(number) for number in range(10)]
    assert all(timeout <= 5.0 for timeout in sink.timeouts)


def test_flush_gives_up_on_time_and_says_so():
    """False, not an exception, and nothing lost: the events stay for later."""
    from eventlog_handlers.process.clock import monotonic

    sink = ScriptedSink(*[TransientError("connect")] * 1_000)
    worker = make_worker(sink, monotonic, rand=lambda: 0.99)
    worker.submit(captured())

    started = monotonic()
    settled = worker.flush(0.3)

    assert not settled
    assert 0.29 < monotonic() - started < 2.0
    assert worker.stats()["pending"] == 1


def test_flush_with_nothing_pending_is_true_at_once():
    """No thread, no request, no wait."""
    worker = make_worker(ScriptedSink(), ManualClock())

    assert worker.flush(0.0) is True


def test_render_to_none_is_a_counted_drop():
    """before_send may refuse an event; the law still adds up."""
    sink, clock = ScriptedSink(), ManualClock()
    worker = make_worker(sink, clock, render_capture=lambda captured: None)
    worker.submit(captured())

    worker.step()

    assert worker.stats()["dropped"] == {"before_send": 1}
    assert sink.requests == []
    assert_law(worker.stats())


@pytest.mark.parametrize("error", [MemoryError, ZeroDivisionError, asyncio.CancelledError])
def test_an_event_that_can_not_be_made_costs_itself_alone(error):
    """A moment without memory or a fault of ours: counted as unencodable, the neighbours are delivered."""

    def fail(capture: Capture) -> Event:
        if capture.fields[ARGS] == ("bad",):
            raise error
        return make_event(capture.fields[ARGS][0])

    sink = ScriptedSink()
    worker = make_worker(sink, ManualClock(), render_capture=fail)
    for message in ("before", "bad", "after"):
        worker.submit(captured(message))

    worker.step()

    assert messages(sink.delivered) == ["before", "after"]
    assert worker.stats()["dropped"] == {"unencodable": 1}
    assert_law(worker.stats())


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_stops_a_program_in_a_render_costs_one_event(error):
    """The one it came in is counted; those not looked at wait again, in order."""
    sink, errors = ScriptedSink(), [error]

    def stop(capture: Capture) -> Event:
        if capture.fields[ARGS] == ("second",) and errors:
            raise errors.pop()
        return make_event(capture.fields[ARGS][0])

    worker = make_worker(sink, ManualClock(), render_capture=stop)
    for message in ("first", "second", "third", "fourth"):
        worker.submit(captured(message))

    with pytest.raises(error):
        worker.step()
    assert_law(worker.stats())
    worker.step()

    assert messages(sink.delivered) == ["first", "third", "fourth"]
    assert worker.stats()["dropped"] == {"worker_died": 1}
    assert_law(worker.stats())


def test_what_an_outage_cost_is_told_by_one_event_when_the_service_is_back():
    """How many, of which level, why: one event, as severe as the worst that was lost, and counted itself."""
    sink, clock = ScriptedSink(*[TransientError("connect")] * 5, max_events=4), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0, capacity=4)
    for number in range(3):
        worker.submit(captured(f"info {number}", 20))
    for number in range(6):
        worker.submit(captured(f"error {number}", 40))

    settle(worker, clock)

    (report,) = [event for event in sink.delivered if "lost" in event.message]
    assert report.message == "5 events lost: 2 ERROR, 3 INFO (5 overflow)"
    assert report.level == 40
    stats = worker.stats()
    assert (stats["accepted"], stats["delivered"], stats["dropped"]) == (10, 5, {"overflow": 5})
    assert_law(stats)


def test_losses_are_told_once_a_minute_at_most():
    """A storm that goes on must not breed another of reports."""
    sink, clock = ScriptedSink(max_events=1), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0, capacity=2)

    for _ in range(20):
        for number in range(5):
            worker.submit(captured(str(number), 20))
        settle(worker, clock)
        clock.advance(10)

    reports = [event for event in sink.delivered if "lost" in event.message]
    assert 2 <= len(reports) <= 4
    assert_law(worker.stats())


def test_a_resent_event_whose_fate_was_unknown_is_counted_as_possibly_double():
    """A reset after the request may have come after the service stored it."""
    sink = ScriptedSink(TransientError("reset", ambiguous=True), TransientError("connect"))
    clock = ManualClock()
    worker = make_worker(sink, clock, flush_interval=0)
    for number in range(3):
        worker.submit(captured(str(number)))

    settle(worker, clock)

    assert worker.stats()["duplicates_possible"] == 3
    assert worker.stats()["retried"] == 6


@pytest.mark.parametrize("error", [MemoryError, SystemExit, KeyboardInterrupt, ZeroDivisionError])
def test_p17_a_worker_thread_that_is_broken_off_goes_on(error, monkeypatch):
    """Whatever is thrown into it: what it had in hand is given back or counted, and the rest arrives."""
    import threading

    from eventlog_handlers.pipeline import thread_pool as module
    from eventlog_handlers.process.clock import monotonic

    monkeypatch.setattr(module, "_RESTART_SECONDS", 0.01)
    thrown = [error("thrown"), error("again")]

    class Breaking(ScriptedSink):
        def send(self, payloads, *, timeout):
            if thrown:
                raise thrown.pop()
            return super().send(payloads, timeout=timeout)

    sink = Breaking(max_events=5)

    def start(run, name):
        threading.Thread(target=run, name=name, daemon=True).start()

    worker = make_worker(sink, monotonic, start_thread=start, rand=lambda: 0.0)
    for number in range(20):
        worker.submit(captured(str(number)))

    settled = worker.flush(20)

    assert settled
    assert sorted(messages(sink.delivered), key=int) == [str(number) for number in range(20)]
    assert_law(worker.stats())


@pytest.mark.parametrize(("wait", "another"), [(0.0, False), (0.020, True)])
def test_another_sender_comes_only_where_the_service_is_waited_for(wait, another):
    """Learnt from requests: each of these is 1 ms of work and *wait* seconds of the service."""
    clock, worked = ManualClock(), ManualClock()
    wanted = []

    class Working(ScriptedSink):
        def send(self, payloads, *, timeout):
            wanted.append(worker._life.delivery.wants_another_thread(alone=False))
            clock.advance(0.001 + wait)
            worked.advance(0.001)
            return super().send(payloads, timeout=timeout)

    worker = make_worker(Working(), clock, cpu_clock=worked, concurrency=4)
    for number in range(300):
        worker.submit(captured(f"record {number}"))
    for _ in range(20):
        worker.step()

    assert wanted[0]  # nothing is known yet: a service that hangs must not hold up the rest
    assert wanted[-1] is another


def test_a_request_that_hangs_after_quick_ones_does_not_hold_up_the_others():
    """One sender was enough until now; a guard sees that it is stuck, and sends what waits."""
    hangs, goes_on = threading.Event(), threading.Event()

    class Hanging(ScriptedSink):
        def send(self, payloads, *, timeout):
            if len(self.requests) == 30:
                outcomes = super().send(payloads, timeout=timeout)
                hangs.set()
                goes_on.wait(60)
                return outcomes
            return super().send(payloads, timeout=timeout)

    def start(run, name):
        threading.Thread(target=run, name=name, daemon=True).start()

    sink = Hanging()
    worker = make_worker(sink, clock.monotonic, cpu_clock=time.thread_time, start_thread=start, concurrency=4)
    for number in range(600):
        worker.submit(captured(f"record {number}"))
    try:
        assert hangs.wait(60)
        deadline = clock.monotonic() + 60
        while worker.stats()["delivered"] < 590 and clock.monotonic() < deadline:
            time.sleep(0.01)
        assert worker.stats()["delivered"] == 590
    finally:
        goes_on.set()
    assert worker.flush(60)
    assert_law(worker.stats())
