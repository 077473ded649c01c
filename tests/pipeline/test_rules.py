"""The pure rules: retry, rest, batches, pacing, own traffic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog_handlers.errors import MisconfiguredError, ThrottledError, TransientError
from eventlog_handlers.events import DELIVERED, Disposition, Lease, Limits, Outcome, Payload
from eventlog_handlers.pipeline.batching import batches, due_in, halves, useful_senders
from eventlog_handlers.pipeline.pacing import Limit, Pacer
from eventlog_handlers.pipeline.retry import ACKNOWLEDGE, Action, Decision, decide, outcome_of, rest
from eventlog_handlers.process import own_traffic
from eventlog_handlers.testing import make_event

RETRY = Disposition.RETRY


@pytest.mark.parametrize(
    ("outcome", "attempts", "age", "expected"),
    [
        (DELIVERED, 1, 0, ACKNOWLEDGE),
        (DELIVERED, 99, 9_999, ACKNOWLEDGE),
        (Outcome(Disposition.REJECTED, "Bad"), 1, 0, Decision(Action.DROP, reason="rejected: Bad")),
        (Outcome(Disposition.REJECTED), 1, 0, Decision(Action.DROP, reason="rejected")),
        (Outcome(RETRY), 1, 0, Decision(Action.RETRY, delay=0.5)),
        (Outcome(RETRY), 3, 0, Decision(Action.RETRY, delay=2.0)),
        (Outcome(RETRY), 50, 0, Decision(Action.RETRY, delay=30.0)),
        (Outcome(RETRY, retry_after=7), 1, 0, Decision(Action.RETRY, delay=7)),
        (Outcome(RETRY, retry_after=10**9), 1, 0, Decision(Action.RETRY, delay=300)),
        (Outcome(RETRY), 1, 3_600, Decision(Action.DROP, reason="expired")),
        (Outcome(RETRY, throttled=True), 1, 0, Decision(Action.RETRY, delay=1.0, spent=False)),
        (Outcome(RETRY, throttled=True), 1, 3_600, Decision(Action.DROP, reason="expired")),
        (Outcome(RETRY, "odd", attempts_allowed=3), 2, 0, Decision(Action.RETRY, delay=1.0)),
        (Outcome(RETRY, "odd", attempts_allowed=3), 3, 0, Decision(Action.DROP, reason="given up: odd")),
        (
            Outcome(RETRY, "odd", throttled=True, attempts_allowed=1),
            9,
            0,
            Decision(Action.RETRY, 30.0, False),
        ),
    ],
)
def test_what_becomes_of_an_event(outcome, attempts, age, expected):
    """One row per case; the jitter is in the middle."""
    assert decide(outcome, attempts=attempts, age=age, max_age=3_600, rand=0.5) == expected


@pytest.mark.parametrize(
    ("error", "failures", "rand", "expected"),
    [
        (TransientError("x"), 1, 0.5, 0.5),
        (TransientError("x"), 7, 0.5, 30),
        (TransientError("x", retry_after=20), 1, 0.5, 20),
        (ThrottledError("x"), 1, 0.5, 1),
        (ThrottledError("x", retry_after=3_600), 1, 0.5, 300),
        (MisconfiguredError("x"), 1, 1.0, 60),
        (MisconfiguredError("x"), 1, 0.0, 48),
        (MisconfiguredError("x"), 9, 1.0, 300),
    ],
)
def test_how_long_a_destination_rests(error, failures, rand, expected):
    """Trouble on the way grows to a minute, wrong settings are probed every one to five minutes."""
    assert rest(error, failures=failures, rand=rand) == pytest.approx(expected)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_no_rest_is_longer_than_its_ceiling(failures, rand):
    """However long an outage lasts."""
    assert 0 <= rest(TransientError("x"), failures=failures, rand=rand) <= 60
    assert 48 <= rest(MisconfiguredError("x"), failures=failures, rand=rand) <= 300


@pytest.mark.parametrize(
    ("error", "throttled", "allowed"),
    [
        (TransientError("x"), False, None),
        (TransientError("x", attempts_allowed=5), False, 5),
        (ThrottledError("x"), True, None),
        (MisconfiguredError("x"), True, None),
    ],
)
def test_a_failed_request_blames_no_event(error, throttled, allowed):
    """Its events go again; attempts are spent only where the destination might choke on one of them."""
    outcome = outcome_of(error)

    assert (outcome.disposition, outcome.throttled, outcome.attempts_allowed) == (RETRY, throttled, allowed)


def leases_of(sizes):
    leases = [Lease(make_event(str(number)), number, 1, 0.0) for number in range(len(sizes))]
    return leases, [Payload(lease.event, None, size) for lease, size in zip(leases, sizes, strict=True)]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([1], [[0]]),
        ([10] * 7, [[0, 1, 2], [3, 4, 5], [6]]),
        ([60, 50, 40, 10], [[0], [1, 2, 3]]),
        ([100, 1], [[0], [1]]),
        ([1, 200, 1], [[0], [1], [2]]),
    ],
)
def test_batches_fit_by_count_and_bytes(sizes, expected):
    """In order; what is too large by itself goes alone."""
    leases, payloads = leases_of(sizes)

    result = batches(leases, payloads, Limits(3, 100))

    assert [[lease.key for lease in batch.leases] for batch in result] == expected


@given(st.lists(st.integers(1, 120), max_size=60))
def test_batches_keep_every_event_once_and_in_order(sizes):
    """Whatever the sizes."""
    leases, payloads = leases_of(sizes)

    result = batches(leases, payloads, Limits(5, 100))

    assert [lease for batch in result for lease in batch.leases] == leases
    assert [payload for batch in result for payload in batch.payloads] == payloads
    assert all(sum(p.size for p in batch.payloads) <= 100 or len(batch.payloads) == 1 for batch in result)


def test_halves_are_both_smaller_and_together_the_whole():
    """Down to one event each."""
    (batch,) = batches(*leases_of([1] * 5), Limits(10, 100))

    first, second = halves(batch)

    assert [len(first.leases), len(second.leases)] == [2, 3]
    assert first.leases + second.leases == batch.leases
    assert first.payloads + second.payloads == batch.payloads


@pytest.mark.parametrize(
    ("waiting", "waiting_bytes", "since_last", "expected"),
    [(1, 10, 1.0, 0), (1, 10, 0.25, 0.75), (10, 10, 0.0, 0), (1, 1_000, 0.0, 0), (1, 10, 99, 0)],
)
def test_when_a_batch_is_due(waiting, waiting_bytes, since_last, expected):
    """At once when full by count or bytes, or when the last request is an interval ago."""
    due = due_in(
        waiting=waiting,
        waiting_bytes=waiting_bytes,
        batch_size=10,
        request_bytes=1_000,
        since_last=since_last,
        interval=1.0,
    )

    assert due == pytest.approx(expected)


def sent_at(pacer, count, *, start=0.0):
    """When *count* requests go if each asks as soon as it may."""
    now, times = start, []
    while len(times) < count:
        wait = pacer.try_take(now)
        if wait == 0:
            times.append(now)
        else:
            now += wait
    return times


def test_a_pacer_lets_a_burst_go_and_spaces_the_rest():
    """Five at once after a quiet time, then one every three seconds."""
    times = sent_at(Pacer(20 / 60, burst=5), 8)

    assert times == pytest.approx([0, 0, 0, 0, 0, 3, 6, 9])


@given(st.integers(1, 8), st.integers(1, 30), st.integers(20, 90))
def test_no_window_ever_holds_more_than_its_number(burst, limit, count):
    """Burst and rate together would exceed it in the first minute."""
    times = sent_at(Pacer(limit / 60, burst=burst, window=(limit, 61.0)), count)

    assert all(sum(1 for other in times if start <= other < start + 60.5) <= limit for start in times)


def test_a_window_doesnt_slow_the_long_run():
    """Over an hour the full quota of about twenty a minute is used."""
    times = sent_at(Pacer(20 / 60, burst=5, window=(20, 61.0)), 1_000)

    assert times[-1] < 1_000 * 3.1


def test_a_clock_that_steps_back_gives_no_tokens():
    """Suspend and resume, or a frozen clock, hurt nothing."""
    pacer = Pacer(1.0, burst=1)
    assert pacer.try_take(100.0) == 0

    assert pacer.try_take(50.0) == pytest.approx(1.0)


def test_a_clock_that_steps_back_lengthens_no_window():
    """A whole window at most passes before the next request."""
    pacer = Pacer(10.0, burst=5, window=(2, 61.0))
    assert pacer.try_take(9_000.0) == 0
    assert pacer.try_take(9_000.0) == 0

    assert pacer.try_take(50.0) == pytest.approx(61.0)


def test_the_slower_of_two_settings_holds():
    """Two handlers of one destination share the pacer."""
    pacer = Pacer(10.0, burst=5)
    pacer.join(1, Limit(1.0, 1, None))
    pacer.join(2, Limit(5.0, 5, None))

    assert sent_at(pacer, 3) == pytest.approx([0, 1, 2])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((1.0, 5, None), (1.0, 1, None), [0, 1, 2]),  # the smaller burst
        ((1.0, 1, None), (9.0, 9, (1, 4.0)), [0, 4, 8]),  # the narrower window
        ((1.0, 1, (1, 5.0)), (1.0, 1, (2, 4.0)), [0, 5, 10]),
        ((1.0, 1, (1, 5.0)), (1.0, 1, None), [0, 5, 10]),
    ],
)
def test_each_of_two_settings_holds_by_itself(first, second, expected):
    """Whichever of rate, burst and window is the slower."""
    pacer = Pacer(*first)
    pacer.join(1, Limit(*first))
    pacer.join(2, Limit(*second))

    assert sent_at(pacer, 3) == pytest.approx(expected)


def test_the_mark_nests_and_goes():
    """Blocks within blocks, exceptions included."""
    assert not own_traffic.mark.active
    with own_traffic.at_work():
        with pytest.raises(ZeroDivisionError), own_traffic.at_work():
            raise ZeroDivisionError
        assert own_traffic.mark.active

    assert not own_traffic.mark.active


@pytest.mark.parametrize(
    ("seconds", "busy_seconds", "count"),
    [
        (0.0010, 0.0010, 1),  # the service answers at once
        (0.0012, 0.0010, 1),
        (0.0040, 0.0010, 3),  # four at once that only wait for each other: one less is enough
        (0.0030, 0.0010, 2),
        (0.0020, 0.0010, 1),
        (0.0205, 0.0010, 20),  # 20 ms of network
        (0.0, 0.0010, 1),  # a clock that was put back
    ],
)
def test_senders_are_of_use_while_others_wait_for_the_service(seconds, busy_seconds, count):
    """Where a request is all work, a second thread adds nothing but turns at the interpreter."""
    assert useful_senders(seconds, busy_seconds) == count
