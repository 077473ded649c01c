"""The rate limit's rules: never faster than both of its bounds, and the same as a token bucket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog_handlers.pipeline.pacing import Pacer
from eventlog_handlers.share import pace
from eventlog_handlers.share.contract import Limits
from eventlog_handlers.share.pace import Pace, earliest

WINDOWS = st.one_of(st.none(), st.tuples(st.integers(1, 6), st.sampled_from([1.0, 2.5, 10.0])))
LIMITS = st.builds(Limits, st.sampled_from([0.5, 2.0, 10.0]), st.integers(1, 5), WINDOWS)


def oldest(moments: list[float], limits: Limits) -> float | None:
    """What ``earliest`` wants to know of the window."""
    if limits.window is None or len(moments) < limits.window[0]:
        return None
    return moments[-limits.window[0]]


def within_any_window(moments: list[float], seconds: float) -> int:
    """The most moments that any window of less than *seconds* holds."""
    return max(
        (sum(start <= other < start + seconds - 1e-6 for other in moments) for start in moments), default=0
    )


@given(LIMITS, st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0, 7.0]), max_size=60))
def test_no_window_ever_holds_more_than_the_limit(limits: Limits, pauses: list[float]) -> None:
    """One who always takes as soon as a place is free stays within burst, rate and window."""
    state, moments, now = Pace(), [], 100.0
    for pause in pauses:
        now = max(now + pause, earliest(state, limits, oldest(moments, limits), now + pause))
        state = pace.after(state, limits, now)
        moments.append(now)

    if limits.window is not None:
        assert within_any_window(moments, limits.window[1]) <= limits.window[0]
    for seconds in (0.5, 1.0, 4.0):
        assert within_any_window(moments, seconds) <= limits.burst + seconds * limits.rate


@given(
    LIMITS,
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.125, 0.5, 2.0]), st.sampled_from(["try", "throttled", "hint", "ok"])
        ),
        max_size=60,
    ),
)
def test_it_is_the_token_bucket(limits: Limits, steps: list[tuple[float, str]]) -> None:
    """The same waits as the bucket that one process's handlers share, whatever the service answers."""
    bucket = Pacer(limits.rate, limits.burst, limits.window)
    state, moments, now = Pace(), [], 100.0
    for pause, step in [(0.0, "try"), *steps]:
        now += pause
        if step == "try":
            at = earliest(state, limits, oldest(moments, limits), now)
            assert bucket.try_take(now) == pytest.approx(at - now, abs=1e-6)
            if at == now:
                state = pace.after(state, limits, now)
                moments.append(now)
            looked_at = now  # the bucket knows the time of the last try only
        elif step == "ok":
            bucket.taken()
            state = pace.answered(state, looked_at)
        else:
            bucket.throttled(now + 3.0 if step == "hint" else float("-inf"))
            state = pace.throttled(state, limits, looked_at, None)
            if step == "hint":
                state = state._replace(not_before=max(state.not_before, now + 3.0))


@given(LIMITS, st.integers(1, 5), st.lists(st.sampled_from([0.0, 0.3, 2.0]), min_size=1, max_size=20))
def test_several_that_decide_alone_stay_within_the_limit_together(
    limits: Limits, members: int, pauses: list[float]
) -> None:
    """Each of them counts every request of its own for all; none knows what the others do."""
    states = [(Pace(), []) for _ in range(members)]
    all_moments: list[float] = []
    now = 100.0
    for pause in pauses:
        now += pause
        for number, (state, moments) in enumerate(states):
            count = limits.window[0] if limits.window else 1
            given_moments, after = pace.several(state, limits, moments[-count:], now, members)
            if given_moments[-1] <= now:
                states[number] = after, moments + given_moments
                all_moments.append(now)

    if limits.window is not None and members <= limits.window[0]:
        assert within_any_window(all_moments, limits.window[1]) <= limits.window[0]


@given(st.integers(1, 6), st.integers(7, 12), st.floats(0, 100), st.floats(0, 3))
def test_members_that_take_turns_stay_within_the_window(
    count: int, members: int, start: float, late: float
) -> None:
    """Each sends as early in its turn as it gets to it, or a little later."""
    limits = Limits(1.0, 1, (count, 10.0))
    moments = []
    for rank in range(members):
        now = start
        for _ in range(8):
            now = pace.turn(pace.turn(now, limits, members, rank) + late * (rank % 2), limits, members, rank)
            moments.append(now)
            now += 11.0  # after a window

    assert within_any_window(moments, 10.0) <= count


def test_a_hint_is_obeyed_and_bounded() -> None:
    """Nothing before the service's word, which counts for five minutes at most."""
    limits = Limits(10.0, 5)

    soon = pace.throttled(Pace(), limits, 100.0, 7.0)
    never = pace.throttled(Pace(), limits, 100.0, 1e9)

    assert earliest(soon, limits, None, 100.0) == 107.0
    assert earliest(never, limits, None, 100.0) == 400.0


def test_a_window_too_large_to_remember_becomes_a_shorter_one() -> None:
    """Never faster: the same rate over a shorter time."""
    assert pace.fitting(Limits(100.0, 1, (6144, 60.0))).window == (1024, 10.0)


def test_another_clock_keeps_the_window_and_forgets_debts() -> None:
    """After a start of the machine, moments of the former clock can't hold requests up for days."""
    limits = Limits(1.0, 1, (2, 60.0))
    state = pace.on_another_clock(Pace(full_at=1e6, taken=2, not_before=1e6), 50.0)

    assert earliest(state, limits, 1e6, 50.0) <= 350.0
