"""Edges of the pipeline's rules that only an exact test tells from their neighbours."""

from __future__ import annotations

import pytest

from eventlog_handlers.errors import TransientError
from eventlog_handlers.events import Disposition, Outcome
from eventlog_handlers.pipeline.destination import Destination
from eventlog_handlers.pipeline.refusals import Refusals
from eventlog_handlers.pipeline.retry import Action, Decision, decide
from eventlog_handlers.share.fold_windows import MAX_WINDOW_SECONDS, next_window, window_after_quiet

RETRY = Outcome(Disposition.RETRY, "InternalFailure")


@pytest.mark.parametrize(
    ("outcome", "attempts", "age", "decision"),
    [
        (RETRY, 1, 0.0, Decision(Action.RETRY, delay=0.5, spent=True, reason="")),
        (RETRY._replace(throttled=True), 1, 0.0, Decision(Action.RETRY, delay=1.0, spent=False, reason="")),
        (RETRY, 1, 10.0, Decision(Action.DROP, delay=0.0, spent=True, reason="expired")),
        (RETRY._replace(attempts_allowed=3), 2, 0.0, Decision(Action.RETRY, 1.0, True, "")),
        (
            RETRY._replace(attempts_allowed=3),
            3,
            0.0,
            Decision(Action.DROP, 0.0, True, "given up: InternalFailure"),
        ),
        (Outcome(Disposition.REJECTED, "Bad"), 1, 0.0, Decision(Action.DROP, 0.0, True, "rejected: Bad")),
        (Outcome(Disposition.DELIVERED), 1, 99.0, Decision(Action.ACKNOWLEDGE, 0.0, True, "")),
    ],
)
def test_each_decision_is_whole(outcome, attempts, age, decision):
    """Delay, whether the attempt counts, and the reason: an ordinary retry spends its attempt."""
    assert decide(outcome, attempts=attempts, age=age, max_age=10.0, rand=0.5) == decision


@pytest.mark.parametrize(
    ("window", "quiet", "first", "expected"),
    [
        (4.0, 1.9, 1.0, 2.0),
        (4.0, 2.0, 1.0, 1.0),
        (4.0, 0.0, 4.0, 4.0),
        (8.0, 100.0, 2.0, 2.0),
        (2.0, 9.0, 1.0, 1.0),
    ],
)
def test_a_window_shrinks_at_the_moment_it_would_have_ended(window, quiet, first, expected):
    """Halves for each half-window that passed without a repeat, and never below the setting."""
    assert window_after_quiet(window, quiet, first) == expected


@pytest.mark.parametrize(
    ("window", "first", "expected"),
    [(60.0, 60.0, 120.0), (600.0, 60.0, MAX_WINDOW_SECONDS), (1_000.0, 1_000.0, 1_000.0)],
)
def test_a_window_doubles_up_to_fifteen_minutes(window, first, expected):
    """Or up to the setting, where that is longer."""
    assert next_window(window, first) == expected


def test_nothing_is_remembered_of_an_event_that_is_dropped():
    """A million poison events, one after the other, leave nothing behind."""
    refusals = Refusals()
    for number in range(100):
        refusals.judge([(f"poison {number}", "Bad")], delivered=False, alone=True)
        refusals.delivered()
        refusals.judge([(f"poison {number}", "Bad")], delivered=True, alone=False)

    assert not refusals._marks


def test_one_probe_is_enough_to_look_for_another_event():
    """From the first time on that every event was refused, until one is taken."""
    destination = Destination(concurrency=4)
    assert (destination.refuses_events(), destination.is_held(), destination.is_failing()) == (False,) * 3

    destination.refuses_all("Bad: all of them", now=100.0, rand=0.5)

    assert (destination.refuses_events(), destination.is_held(), destination.is_failing()) == (True,) * 3
    destination.answered(1.0)
    assert (destination.refuses_events(), destination.is_held(), destination.is_failing()) == (False,) * 3


def test_one_failure_is_a_failing_destination():
    """And one answer makes it well."""
    destination = Destination(concurrency=4)

    destination.failed(TransientError("timeout"), 100.0, 0.5)

    assert destination.is_failing()
    assert not destination.is_held()
    destination.answered(1.0)
    assert not destination.is_failing()
