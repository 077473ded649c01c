"""Pace: throttled and recovering, divided among processes, and against stand-ins that count the calls."""

from __future__ import annotations

import contextlib
import itertools
import logging
from urllib.parse import urlsplit

import pytest
from faults import CLOUDWATCH, CMS_, GUANCE, Stepped, assert_law, by_hand
from law import submit
from settings_of import SETTINGS_OF

from eventlog_handlers.console.cms import CMS
from eventlog_handlers.console.exchange import Request
from eventlog_handlers.console.guance import Guance
from eventlog_handlers.errors import ThrottledError
from eventlog_handlers.events import Disposition, Outcome
from eventlog_handlers.pipeline.pacing import Limit, Member, Pacer
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_worker, settle
from eventlog_handlers.transport.client import Answer

KEYS = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAItest",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s3cr3t",
    "DF_API_KEY": "wsak_test",
}


def gap(pacer: Pacer, now: float) -> float:
    """Seconds between two requests once the burst is used up."""
    while pacer.try_take(now) == 0:
        pass
    first = now + pacer.try_take(now)
    assert pacer.try_take(first) == 0
    return pacer.try_take(first)


@pytest.mark.parametrize(("throttled", "expected"), [(0, 1), (1, 2), (2, 4), (3, 8), (4, 16), (9, 16)])
def test_each_throttling_halves_the_rate_down_to_a_sixteenth(throttled, expected):
    """Multiplicative decrease, with a floor: something always goes."""
    pacer = Pacer(1.0, burst=5)
    for _ in range(throttled):
        pacer.throttled()

    assert gap(pacer, 0.0) == pytest.approx(expected)


def test_each_request_taken_gives_a_twentieth_back():
    """Additive recovery, up to the configured rate and no further."""
    pacer, gaps = Pacer(1.0), []
    for _ in range(4):
        pacer.throttled()
    for number in range(30):
        gaps.append(gap(pacer, 1_000.0 * number))
        pacer.taken()

    assert [1 / seconds for seconds in gaps[:4]] == pytest.approx([1 / 16 + n / 20 for n in range(4)])
    assert gaps[19:] == pytest.approx([1.0] * 11)


def test_nothing_goes_before_the_service_said():
    """A hint holds for whoever shares the pacer, however many tokens there are."""
    pacer = Pacer(10.0, burst=5)
    assert pacer.try_take(0.0) == 0

    pacer.throttled(not_before=7.0)

    assert pacer.try_take(1.0) == pytest.approx(6.0)
    assert pacer.try_take(7.0) == 0


def test_a_clock_that_steps_back_makes_no_hint_eternal():
    """Five minutes at most, as for any hint."""
    pacer = Pacer(10.0, burst=5)
    pacer.throttled(not_before=10_000.0)
    pacer.try_take(9_990.0)

    assert pacer.try_take(10.0) == pytest.approx(300.0)


def test_two_handlers_of_one_destination_obey_one_hint():
    """The second would find out by being throttled too."""
    clock, pacer = ManualClock(), Pacer(10.0, burst=5)
    sinks = ScriptedSink(ThrottledError("Throttling", retry_after=20)), ScriptedSink()
    workers = [make_worker(sink, clock, flush_interval=0, pacer=pacer) for sink in sinks]
    for worker in workers:
        submit(worker, "boom")
    workers[0].step()
    workers[1].step()
    idle = workers[1].step()

    assert idle is not None
    assert idle.seconds == pytest.approx(20.0)
    assert sinks[1].requests == []
    settle(workers[1], clock)
    assert len(sinks[1].delivered) == 1


def test_entries_throttled_within_an_answer_slow_the_pace_too():
    """A service that takes a part of a request has still found us too fast."""
    clock, pacer = ManualClock(), Pacer(1.0)
    sink = ScriptedSink(Outcome(Disposition.RETRY, "ThrottlingException", throttled=True))
    worker = make_worker(sink, clock, flush_interval=0, pacer=pacer)
    submit(worker, "boom")

    worker.step()

    assert pacer._share == 0.5
    settle(worker, clock)
    assert worker.stats()["delivered"] == 1


@pytest.mark.parametrize("processes", [1, 2, 3, 7, 20, 50])
@pytest.mark.parametrize(
    ("service", "option", "limit", "seconds"),
    [("guance", "requests_per_minute", 20, 60.0), ("cms", "requests_per_second", 10, 1.0)],
)
def test_shares_together_keep_within_the_quota(service, option, limit, seconds, processes):
    """Over an hour N processes send no more than one would, and each of them something."""
    _, pipeline = SETTINGS_OF[service]({option: limit, "share": processes}, KEYS)
    pacer = Pacer(pipeline.requests_per_second, pipeline.burst, pipeline.window)
    now, sent = 0.0, 0
    while now <= 60 * seconds:
        wait = pacer.try_take(now)
        now += wait
        sent += wait == 0

    assert sent * processes <= 60 * limit + processes * (pipeline.burst + 1)
    assert sent >= max(1, 0.6 * 60 * limit // processes)


PROBLEMS = [(f"problem {number}", (50, 40, 30, 20)[number % 4]) for number in range(30)]


ADDRESSES = (f"http://127.0.0.1:{number}" for number in itertools.count(1))
"""Nobody listens there. One for each handler: those of one destination share a pacer."""


class StandIn:
    """A sink's HTTP client that asks a stand-in directly: its quotas count by the test's clock."""

    def __init__(self, service, stepped: Stepped) -> None:
        self.service, self.clock = service, stepped.clock
        self.accepted, self.refused = [], []
        stepped.worker._life.delivery.sink._http = self

    def post(self, url, *, headers, body, timeout):
        parts = urlsplit(url)
        pairs = tuple((name.lower(), value) for name, value in {"Host": parts.netloc, **headers}.items())
        request = Request("POST", parts.path or "/", parts.query, pairs, body)
        answer = self.service.answer(request, 1_790_000_000.0 + self.clock())
        self.accepted += answer.accepted
        self.refused += answer.refused
        return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.body)

    def close(self) -> None: ...


def log_mixed(stepped: Stepped, count: int) -> None:
    """*count* records of 30 problems of four levels, mixed."""
    for number in range(count):
        message, level = PROBLEMS[number * 7 % 30]
        record = logging.LogRecord("shop", level, "shop.py", 7, f"{message}, time %d", (number,), None)
        stepped.handler.handle(record)


@pytest.mark.parametrize(
    ("service", "stand_in", "options"),
    [
        pytest.param(GUANCE, Guance(), {"requests_per_minute": 20}, id="guance"),
        pytest.param(GUANCE, Guance(fixed_window=True), {"requests_per_minute": 20}, id="guance, fixed"),
        pytest.param(
            CMS_, CMS(skew_seconds=None), {"requests_per_second": 10, "batch_size": 1}, id="cms one by one"
        ),
        pytest.param(CMS_, CMS(skew_seconds=None), {"requests_per_second": 10}, id="cms in batches"),
    ],
)
def test_a_thousand_mixed_records_meet_no_throttling_and_all_arrive(service, stand_in, options, monkeypatch):
    """The stand-in has its quotas on and counts by the worker's clock; the critical events are first."""
    monkeypatch.setenv("EVENTLOG_CONSOLE", next(ADDRESSES))
    with by_hand(service, "", aggregate_seconds=None, **options) as stepped:
        received = StandIn(stand_in, stepped)
        log_mixed(stepped, 1_000)
        stats = stepped.settle(4_000.0)

    assert_law(stats)
    assert (stats["accepted"], stats["delivered"], stats["pending"]) == (1_000, 1_000, 0)
    assert (stats["failed_requests"], stats["retried"], received.refused) == (0, 0, [])
    statuses = [event.status for event in received.accepted]
    assert len(statuses) == 1_000
    ranks = [("critical", "error", "warning", "info").index(status) for status in statuses]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_processes_that_share_a_quota_are_not_throttled(processes, monkeypatch):
    """Each has its share, and all of them together stay within what one key may."""
    stand_in = Guance()
    with contextlib.ExitStack() as stack:
        all_of_them = []
        for _ in range(processes):
            monkeypatch.setenv("EVENTLOG_CONSOLE", next(ADDRESSES))
            own = by_hand(GUANCE, "", aggregate_seconds=None, requests_per_minute=20, share=processes)
            one = stack.enter_context(own)
            all_of_them.append((one, StandIn(stand_in, one)))
            log_mixed(one, 60)
        while any(one.handler.stats()["pending"] for one, _ in all_of_them):
            waits = [one.worker.step() for one, _ in all_of_them]
            if all(waits):
                seconds = min(idle.seconds for idle in waits if idle.seconds is not None)
                for one, _ in all_of_them:
                    one.clock.advance(max(0.001, seconds))
            assert all_of_them[0][0].clock() < 3_600

        for one, received in all_of_them:
            assert_law(one.handler.stats())
            assert one.handler.stats()["delivered"] == 60
            assert received.refused == []


def test_throttled_by_others_the_pace_gives_way_and_comes_back(monkeypatch):
    """Half the key's quota is used up by somebody else: a few throttling answers, no loss, then none."""
    monkeypatch.setenv("EVENTLOG_CONSOLE", next(ADDRESSES))
    with by_hand(GUANCE, "", aggregate_seconds=None, requests_per_minute=20) as stepped:
        stand_in = Guance(key_limit=10)
        received = StandIn(stand_in, stepped)
        log_mixed(stepped, 200)
        stepped.run(600.0)
        throttled = len(received.refused)
        stand_in.key_limit = 20
        stats = stepped.settle()

    assert_law(stats)
    assert stats["delivered"] == 200
    assert 1 <= throttled <= 40
    assert len(received.refused) == stats["failed_requests"] == throttled


def test_cloudwatch_keeps_a_pace_if_it_is_given_one():
    """It has none of its own; with one, requests are that far apart."""
    with by_hand(CLOUDWATCH, "http://127.0.0.1:1", requests_per_minute=12, burst=1) as stepped:
        assert stepped.worker._parts.pacer is not None
        stepped.worker._life.delivery._sink = sink = ScriptedSink()
        stepped.log(*(str(number) for number in range(30)))
        started = stepped.clock()
        stats = stepped.settle()

    assert_law(stats)
    assert len(sink.requests) == 3
    assert stepped.clock() - started == pytest.approx(10.0, abs=0.1)


# --- several handlers of one destination -------------------------------------------------------------------


def sent_in(pacer, seconds: float, start: float = 0.0) -> int:
    """Requests that go in *seconds*, asked for as fast as *pacer* lets them."""
    now, count = start, 0
    while now < start + seconds:
        wait = pacer.try_take(now)
        count += wait == 0
        now += wait
    return count


SLOW, FAST = Limit(1 / 60, 1, (1, 61.0)), Limit(100.0, 5, (6_000, 61.0))


def test_the_least_of_the_living_holds():
    """A handler that left binds no other; one that comes back binds them again."""
    shared = Pacer(*SLOW)
    slow, fast = Member(shared, SLOW), Member(shared, FAST)
    together = sent_in(fast, 61.0)

    slow.leave()
    alone = sent_in(fast, 10.0, start=1_000.0)
    assert slow.try_take(2_000.0) == 0
    again = sent_in(fast, 60.0, start=2_000.0)

    assert together == 1
    assert 900 <= alone <= 1_010
    assert again == 0


def test_a_member_that_is_collected_has_left():
    """A worker that is gone sends no more, whether its handler was closed or not."""
    shared = Pacer(*SLOW)
    slow, fast = Member(shared, SLOW), Member(shared, FAST)

    del slow

    assert sent_in(fast, 10.0) >= 900


def test_the_limit_of_the_last_member_holds_until_another_joins():
    """Nothing is sent without a limit in between."""
    shared = Pacer(*SLOW)
    only = Member(shared, SLOW)
    assert shared.try_take(0.0) == 0

    only.leave()

    assert shared.try_take(1.0) == pytest.approx(60.0)


def test_a_window_that_comes_back_counts_what_was_sent_without_it():
    """Twenty in any 61 s are twenty, also where a member with a smaller window came and left in between."""
    wide, narrow = Limit(1_000.0, 1_000, (20, 61.0)), Limit(1_000.0, 1_000, (2, 61.0))
    shared = Pacer(*wide)
    keeps = Member(shared, wide)
    assert sent_in(keeps, 1.0) == 20

    visitor = Member(shared, narrow)
    visitor.leave()

    assert keeps.try_take(2.0) == pytest.approx(59.0)


def test_leaving_takes_no_lock():
    """The garbage collector may run it in a thread that is inside the pacer."""
    shared = Pacer(*SLOW)
    member = Member(shared, SLOW)

    with shared._lock:
        member.leave()
        del member

    assert shared.try_take(0.0) == 0
