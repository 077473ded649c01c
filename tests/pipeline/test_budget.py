"""Budgets: the pure rule by tables, and a worker that has spent one."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from law import assert_law, submit

from eventlog_handlers.buffers.spool.buffer import SpoolBuffer
from eventlog_handlers.errors import ThrottledError, TransientError
from eventlog_handlers.events import Disposition, Outcome
from eventlog_handlers.pipeline.budget import PERIODS, Budget
from eventlog_handlers.pipeline.pacing import Pacer
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_worker, settle

HOUR, DAY = PERIODS["hour"], PERIODS["day"]


def spend(budget, now, *, critical=False, at_most=1_000):
    """How many events go at *now*."""
    for number in range(at_most):
        if budget.lacking(now, critical=critical) is not None:
            return number
        budget.charge(now)
    return at_most


@pytest.mark.parametrize(
    ("limit", "reserve", "others", "critical"),
    [
        (100, 0.1, 90, 10),
        (100, 0.0, 100, 0),
        (100, 0.9, 10, 90),
        (5, 0.1, 4, 1),
        (2, 0.9, 1, 1),
        (1, 0.1, 1, 0),
    ],
)
def test_a_reserve_is_kept_for_critical_events(limit, reserve, others, critical):
    """Rounded up, but never all: one event at least is everybody's."""
    budget = Budget([(limit, "hour")], reserve)

    assert (spend(budget, 0.0), spend(budget, 0.0, critical=True)) == (others, critical)


def test_a_window_begins_with_its_first_event_and_is_fixed():
    """Half an hour later nothing is back yet, an hour later everything is."""
    budget = Budget([(10, "hour")], 0.0)

    assert spend(budget, 500.0, at_most=5) == 5
    assert spend(budget, 500.0 + HOUR / 2) == 5
    assert budget.lacking(500.0 + HOUR - 1, critical=False) == (10, "hour", 500.0, 500.0 + HOUR)
    assert spend(budget, 500.0 + HOUR) == 10


def test_of_two_budgets_the_one_renewed_last_is_named():
    """An event goes only if both have room, and is charged to both."""
    budget = Budget([(10, "hour"), (15, "day")], 0.0)

    assert spend(budget, 0.0) == 10
    assert budget.lacking(0.0, critical=False).period == "hour"
    assert spend(budget, HOUR) == 5
    assert budget.lacking(HOUR, critical=False).period == "day"
    assert spend(budget, 2 * HOUR) == 0
    assert spend(budget, DAY) == 10


@given(
    st.integers(1, 20),
    st.sampled_from([0.0, 0.1, 0.5, 0.9]),
    st.lists(st.tuples(st.floats(0, 2_000), st.booleans()), max_size=100),
)
def test_no_fixed_window_ever_holds_more_than_the_limit(limit, reserve, steps):
    """Whatever comes when."""
    budget, now, windows = Budget([(limit, "hour")], reserve), 0.0, {}
    for seconds, critical in steps:
        now += seconds
        if budget.lacking(now, critical=critical) is None:
            budget.charge(now)
            since = budget._allowances[0].since
            windows[since] = windows.get(since, 0) + 1

            assert since <= now < since + HOUR

    assert all(count <= limit for count in windows.values())


# --- a worker ----------------------------------------------------------------------------------------------


def spool(tmp_path, clock):
    return SpoolBuffer(
        tmp_path, capacity=10_000, capacity_bytes=1 << 26, policy="drop_lowest", clock=clock,
        wall_clock=clock, report=lambda key, text: None, identity="test",
    )  # fmt: skip


@pytest.fixture(params=["memory", "spool"])
def buffer(request, tmp_path):
    """What ``make_worker`` takes as its buffer, given a clock."""
    return lambda clock: None if request.param == "memory" else (lambda: spool(tmp_path, clock))


def budget_notices(sink):
    return [event for event in sink.delivered if event.message.startswith("budget spent")]


def test_what_no_budget_is_left_for_is_dropped_counted_and_told_once(buffer, capsys):
    """Nine of 30 errors go, then one event and one line; the law holds and no more requests are made."""
    sink, clock = ScriptedSink(max_events=1), ManualClock()
    worker = make_worker(sink, clock, buffer=buffer(clock), flush_interval=0, max_events_per_hour=10)
    for number in range(30):
        submit(worker, f"error {number}")

    settle(worker, clock)

    stats = worker.stats()
    assert_law(stats)
    assert (stats["accepted"], stats["delivered"], stats["dropped"]) == (31, 10, {"budget": 21})
    assert stats["dropped_by_level"] == {"ERROR": 21}
    assert len(sink.requests) == 10
    (notice,) = budget_notices(sink)
    assert (notice.level, notice.status) == (30, "warning")
    assert notice.attributes["limit"] == 10
    assert notice.attributes["until"] == "1970-01-01T01:16:40+00:00"
    (line,) = capsys.readouterr().err.splitlines()
    assert "budget spent: 10 events per hour; until 1970-01-01T01:16:40+00:00" in line


def test_the_reserve_takes_critical_events_until_it_is_spent_too(buffer):
    """They go first and last: ten in all, whatever comes."""
    sink, clock = ScriptedSink(max_events=1), ManualClock()
    worker = make_worker(
        sink, clock, buffer=buffer(clock), flush_interval=0, max_events_per_hour=10, budget_reserve=0.3
    )
    for number in range(20):
        submit(worker, f"error {number}")
    settle(worker, clock)
    for number in range(5):
        submit(worker, f"critical {number}", logging.CRITICAL)

    settle(worker, clock)

    sent = [event.message.split()[0] for event in sink.delivered]
    assert sent == ["error"] * 7 + ["budget"] + ["critical"] * 3
    assert worker.stats()["dropped_by_level"] == {"ERROR": 13, "CRITICAL": 2}
    assert_law(worker.stats())


def test_with_the_next_window_events_go_again_and_a_spent_budget_is_told_again(capsys):
    """Once per period: an event and a line."""
    sink, clock = ScriptedSink(), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0, max_events_per_hour=10, budget_reserve=0)
    for _ in range(3):
        for _ in range(2):
            for number in range(15):
                submit(worker, f"error {number}")
            settle(worker, clock)
        clock.advance(HOUR)

    stats = worker.stats()
    assert_law(stats)
    assert (stats["delivered"], stats["dropped"]) == (33, {"budget": 60})
    assert len(budget_notices(sink)) == 3
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_a_spent_budget_costs_no_place_in_the_pace():
    """A thousand events without a budget are gone at once; a critical one then waits for nobody."""
    sink, clock = ScriptedSink(max_events=1), ManualClock()
    worker = make_worker(
        sink,
        clock,
        pacer=Pacer(20 / 60, burst=5, window=(20, 61.0)),
        flush_interval=0,
        max_events_per_hour=5,
        max_events_per_day=100,
        budget_reserve=0.5,
    )
    for number in range(1_000):
        submit(worker, f"error {number}")
    settle(worker, clock)
    clock.advance(61.0)
    started = clock()
    for number in range(1_000):
        submit(worker, f"error {number}")
    submit(worker, "critical", logging.CRITICAL)

    while worker.stats()["pending"]:
        worker.step()
        clock.advance(0.001)

    assert clock() - started < 1.0
    assert sink.delivered[-1].message == "critical"
    assert worker.stats()["requests"] == 2 + 1 + 1
    assert_law(worker.stats())


@pytest.mark.parametrize(
    "failures",
    [
        [TransientError("connect")] * 3,
        [ThrottledError("Throttling", retry_after=5)] * 3,
        [Outcome(Disposition.RETRY, "odd")] * 3,
        [Outcome(Disposition.RETRY, "Throttled", throttled=True)] * 3,
    ],
    ids=["request failed", "request throttled", "entries failed", "entries throttled"],
)
def test_an_event_is_charged_once_however_often_it_is_tried(buffer, failures):
    """Ten events, ten places, four attempts each."""
    sink, clock = ScriptedSink(*failures), ManualClock()
    worker = make_worker(
        sink, clock, buffer=buffer(clock), flush_interval=0, max_events_per_hour=10, budget_reserve=0
    )
    for number in range(10):
        submit(worker, f"error {number}")

    settle(worker, clock)
    submit(worker, "one too many")
    settle(worker, clock)

    stats = worker.stats()
    assert_law(stats)
    assert (stats["delivered"], stats["dropped"]) == (11, {"budget": 1})
    assert len(budget_notices(sink)) == 1


def test_paid_events_waiting_for_another_try_do_not_let_others_through():
    """While they rest, what has no budget is dropped; they go when their time comes."""
    sink, clock = ScriptedSink(Outcome(Disposition.RETRY, "odd")), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0, max_events_per_hour=3, budget_reserve=0)
    for number in range(3):
        submit(worker, f"first {number}")
    worker.step()
    for number in range(5):
        submit(worker, f"later {number}")
    settle(worker, clock)

    assert sorted(event.message for event in sink.delivered if "first" in event.message) == [
        "first 0", "first 1", "first 2",
    ]  # fmt: skip
    assert not [event for event in sink.delivered if "later" in event.message]
    assert worker.stats()["dropped"] == {"budget": 5}
    assert_law(worker.stats())


def test_events_too_old_are_expired_whether_there_is_a_budget_or_not(buffer):
    """They were never sent, so no budget is charged; each is settled for one reason."""
    sink, clock = ScriptedSink(TransientError("connect", retry_after=300)), ManualClock()
    worker = make_worker(
        sink, clock, buffer=buffer(clock), flush_interval=0, max_age=200, max_events_per_hour=2
    )
    for number in range(30):
        submit(worker, f"old {number}")
    worker.step()
    clock.advance(301.0)
    for number in range(5):
        submit(worker, f"new {number}")
    settle(worker, clock)

    stats = worker.stats()
    assert_law(stats)
    assert stats["pending"] == 0
    assert stats["dropped"]["expired"] >= 1


def test_a_flush_is_not_held_up_by_events_without_a_budget():
    """They are settled: dropped, and counted."""
    from eventlog_handlers.process.clock import monotonic

    sink = ScriptedSink()
    worker = make_worker(sink, monotonic, max_events_per_day=1)
    for number in range(1_000):
        submit(worker, f"error {number}")

    assert worker.flush(10.0)
    assert worker.stats()["dropped"] == {"budget": 999}
    assert_law(worker.stats())
