"""When a process asks a shared coordinator that gave no answer: by values, without clock or file."""

from __future__ import annotations

import pytest

from eventlog_handlers.share.reach import (
    FIRST_PROBE_SECONDS,
    LAST_PROBE_SECONDS,
    REMEDY_PROBE_SECONDS,
    TOLERANCE_SECONDS,
    Reach,
)


def away(
    reach: Reach, now: float, *, rand: float = 0.5, is_busy: bool = False, has_remedy: bool = False
) -> float:
    """Have *reach* note a failure; returns the seconds until the next look."""
    reach.went_away("why", now, rand, is_busy=is_busy, has_remedy=has_remedy)
    return reach.probe_at - now


def test_a_lock_held_for_a_moment_is_waited_for_and_one_held_longer_is_not() -> None:
    """The time counts from the first failure on, and begins anew after an answer."""
    reach = Reach()

    answers = [reach.is_busy_for_a_moment(now) for now in (10.0, 10.2, 10.0 + TOLERANCE_SECONDS, 11.0)]
    assert answers == [True, True, False, False]
    reach.answered()
    assert reach.is_busy_for_a_moment(12.0)


def test_the_distances_between_two_looks_double_up_to_the_longest() -> None:
    """A failure that a human must mend is looked at less often; a held lock always soon."""
    reach, remedy, busy = Reach(), Reach(), Reach()

    distances = [away(reach, now) for now in range(9)]
    assert distances[:3] == pytest.approx(
        [FIRST_PROBE_SECONDS, 2 * FIRST_PROBE_SECONDS, 4 * FIRST_PROBE_SECONDS]
    )
    assert distances[-1] == pytest.approx(LAST_PROBE_SECONDS)
    assert [away(remedy, now, has_remedy=True) for now in range(9)][-1] == pytest.approx(REMEDY_PROBE_SECONDS)
    assert [away(busy, now, is_busy=True) for now in range(9)][-1] == pytest.approx(FIRST_PROBE_SECONDS)


@pytest.mark.parametrize(("rand", "factor"), [(0.0, 0.5), (0.999, 1.499)])
def test_chance_spreads_the_looks_of_many_processes(rand: float, factor: float) -> None:
    """From half of the distance to one and a half."""
    assert away(Reach(), 0.0, rand=rand) == pytest.approx(FIRST_PROBE_SECONDS * factor)


def test_it_is_asked_again_at_its_time_and_an_answer_ends_all_of_it() -> None:
    """The first failure after an answer is probed as soon as the very first one."""
    reach = Reach()
    assert reach.is_steady()
    assert reach.may_ask(0.0)
    for now in range(5):
        away(reach, float(now))

    before, after = reach.probe_at - 0.001, reach.probe_at
    assert (reach.may_ask(before), reach.may_ask(after), reach.is_steady()) == (False, True, False)
    reach.answered()
    assert (reach.is_away, reach.why, reach.is_steady(), reach.may_ask(before)) == (False, "", True, True)
    assert away(reach, 100.0) == pytest.approx(FIRST_PROBE_SECONDS)
