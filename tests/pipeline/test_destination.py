"""The destination's state and the gates, by tables; whose fault a refusal is."""

from __future__ import annotations

import pytest

from eventlog_handlers.errors import MisconfiguredError, ThrottledError, TransientError
from eventlog_handlers.pipeline.destination import STUCK_SECONDS, Destination
from eventlog_handlers.pipeline.gates import Idle, Situation, first_wait
from eventlog_handlers.pipeline.refusals import Fate, Refusals
from eventlog_handlers.pipeline.retry import probe_after_refusal

FAILED = TransientError("connect", "refused")
THROTTLED = ThrottledError("429")
WRONG = MisconfiguredError("AccessDenied")


@pytest.mark.parametrize(
    ("errors", "word", "rest", "error"),
    [
        ([], "ok", 0.0, ""),
        ([FAILED], "failing", 0.5, "connect: refused"),
        ([FAILED] * 3, "failing", 2.0, "connect: refused"),
        ([THROTTLED], "failing", 1.0, "429"),
        ([WRONG], "held", 54.0, "AccessDenied"),
        ([WRONG, FAILED], "failing", 1.0, "connect: refused"),
    ],
)
def test_a_destination_that_failed_rests_and_says_why(errors, word, rest, error):
    """The longer the oftener; wrong settings are held."""
    destination = Destination(4)
    for one in errors:
        destination.failed(one, 100.0, 0.5)

    assert destination.word() == word
    assert destination.resting(100.0) == pytest.approx(rest)
    assert destination.resting(100.0 + rest) == 0
    assert destination.state() == {"state": word, "last_success": None, "last_error": error}


def test_a_delivery_mends_everything():
    """Whatever it was: a failure, a wrong setting, refusals."""
    destination = Destination(4)
    destination.failed(WRONG, 0.0, 0.5)
    destination.took_none("Bad: x")
    destination.refuses_all("Bad: x", 0.0, 0.5)

    destination.answered(1_790_000_000.0)

    assert destination.state() == {"state": "ok", "last_success": 1_790_000_000.0, "last_error": "Bad: x"}
    assert not destination.is_failing()
    assert not destination.is_held()


def test_while_it_fails_one_sender_at_a_time():
    """All of them would hammer a service that is down."""
    destination = Destination(4)
    allowed = []
    for _ in range(2):
        while destination.may_send(0.0):
            destination.begin(0.0)
        allowed.append(destination.under_way())
        while destination.under_way():
            destination.end(0.0, seconds=1.0, busy_seconds=0.0)
        destination.failed(FAILED, 0.0, 0.5)

    assert allowed == [4, 1]


def test_a_sender_that_is_stuck_does_not_hold_up_another():
    """Quick requests taught that one sender is enough; a stuck one counts only for the setting."""
    destination = Destination(2)
    for _ in range(30):
        destination.begin(0.0)
        destination.end(0.0, seconds=0.001, busy_seconds=0.001)
    destination.begin(0.0)

    assert not destination.may_send(STUCK_SECONDS / 2)
    assert destination.may_send(STUCK_SECONDS)


@pytest.mark.parametrize(("error", "rests"), [(FAILED, False), (THROTTLED, False), (WRONG, True)])
def test_at_the_end_of_the_process_it_is_tried_at_once_unless_a_setting_is_known_to_be_wrong(error, rests):
    """Asking again with a key that was refused proves nothing."""
    destination = Destination(1)
    destination.failed(error, 0.0, 0.5)

    destination.hurry()

    assert (destination.resting(0.0) > 0) is rests


def test_a_destination_that_refuses_all_is_probed_even_in_a_hurry():
    """It may be a few bad events that look like a bad setting."""
    destination = Destination(1)
    destination.refuses_all("Bad: x", 0.0, 0.5)

    destination.hurry()

    assert destination.resting(0.0) == 0
    assert destination.word() == "held"


@pytest.mark.parametrize(
    ("probes", "rand", "seconds"), [(1, 1.0, 5), (1, 0.0, 4), (3, 1.0, 20), (99, 1.0, 60)]
)
def test_probes_after_refusals_come_slower_each_time(probes, rand, seconds):
    """From five seconds to a minute."""
    assert probe_after_refusal(probes=probes, rand=rand) == pytest.approx(seconds)


# --- gates -------------------------------------------------------------------------------------------------

OPEN = Situation(
    ready_in=0.0,
    may_gather=True,
    waiting=3,
    waiting_bytes=300,
    waits_for_a_batch=True,
    may_send=True,
    resting=0.0,
    since_last=1.0,
    batch_size=10,
    request_bytes=1_000,
    flush_interval=1.0,
    pace=0.0,
    many=500,
)


@pytest.mark.parametrize(
    ("changed", "idle"),
    [
        ({}, None),
        ({"ready_in": None}, Idle(None, 1)),
        ({"ready_in": None, "since_last": 0.25}, Idle(0.75, 10)),
        ({"ready_in": None, "since_last": 0.25, "flush_interval": 60.0}, Idle(1.0, 10)),
        ({"ready_in": None, "since_last": 0.25, "may_gather": False}, Idle(None, 1)),
        ({"ready_in": None, "since_last": 0.25, "waits_for_a_batch": False}, Idle(None, 1)),
        ({"ready_in": 2.5, "since_last": 0.25}, Idle(2.5, 1)),
        ({"ready_in": 2.5}, Idle(2.5, 1)),
        ({"may_send": False}, Idle(STUCK_SECONDS, 500)),
        ({"ready_in": 0.5}, Idle(0.5, 1)),
        ({"resting": 7.0}, Idle(7.0, 500)),
        ({"resting": 0.5}, Idle(0.5, 500)),
        ({"since_last": 0.25}, Idle(0.75, 7)),
        ({"since_last": 0.25, "waiting": 9}, Idle(0.75, 1)),
        ({"since_last": 0.25, "waiting": 10}, None),
        ({"since_last": 0.25, "waiting_bytes": 1_000}, None),
        ({"since_last": 0.25, "waits_for_a_batch": False}, None),
        ({"pace": 3.0}, Idle(3.0, 500)),
        ({"pace": 0.5}, Idle(0.5, 500)),
        ({"ready_in": 1.0, "pace": 3.0, "resting": 2.0}, Idle(1.0, 1)),
        ({"pace": 3.0, "resting": 2.0}, Idle(2.0, 500)),
    ],
)
def test_the_first_closed_gate_says_what_to_wait_for(changed, idle):
    """One row per gate, and the order of two."""
    assert first_wait(OPEN._replace(**changed)) == idle


# --- refusals ----------------------------------------------------------------------------------------------

DROP, OTHERS, HOLD = Fate.DROP, Fate.TRY_OTHERS, Fate.HOLD


@pytest.mark.parametrize(
    ("turns", "fates"),
    [
        # Each turn: ids refused, whether another event of the turn was delivered, whether it was alone.
        ([("a", False, True)], [DROP]),  # the only event there is
        ([("a", True, False)], [DROP]),  # its neighbours were taken
        ([("a", False, False)], [OTHERS]),  # no telling yet
        ([("a", False, False), "taken", ("a", False, False)], [OTHERS, DROP]),
        ([("a", False, False), ("a", False, True)], [OTHERS, DROP]),  # the others are gone meanwhile
        ([("a", False, False), ("b", False, False)], [OTHERS, HOLD]),
        ([("a", False, True), ("b", False, True)], [DROP, HOLD]),  # one after the other: one is lost
        ([("ab", False, False)], [HOLD, HOLD]),
        ([("ab", True, False)], [DROP, DROP]),
        ([("ab", False, False), "taken", ("a", False, False)], [HOLD, HOLD, DROP]),  # two poison events
        ([("a", False, True), "taken", ("b", False, True)], [DROP, DROP]),  # in a day, say
        ([("a", False, False), ("a", False, False)], [OTHERS, OTHERS]),  # the same one twice is no proof
        ([("ab", False, False), ("c", False, True)], [HOLD, HOLD, HOLD]),  # a probe
    ],
)
def test_whose_fault_a_refusal_is(turns, fates):
    """The event's if the service took others, a setting's if it refuses them all alike."""
    refusals, found = Refusals(), []
    for turn in turns:
        if turn == "taken":
            refusals.delivered()
        else:
            ids, delivered, alone = turn
            found += refusals.judge([(one, "Bad") for one in ids], delivered=delivered, alone=alone)

    assert found == fates


def test_refusals_with_different_codes_are_the_events_own():
    """Two events, two reasons: no setting is behind both."""
    refusals = Refusals()

    assert refusals.judge([("a", "Malformed"), ("b", "TooOld")], delivered=False, alone=False) == [OTHERS] * 2
    assert not refusals.show_a_setting([("a", "Malformed"), ("b", "TooOld")])
    assert refusals.show_a_setting([("a", "Malformed"), ("b", "Malformed")])


def test_what_is_remembered_of_refusals_is_bounded():
    """A service that makes up a new code for each event, for a month."""
    refusals = Refusals()
    for number in range(10_000):
        refusals.judge([(f"id {number}", f"code {number}")], delivered=False, alone=False)

    assert len(refusals._marks) <= 4_096
    assert len(refusals._refused) <= 51
    assert all(len(ids) <= 2 for ids in refusals._refused.values())


def test_what_refused_events_that_are_at_fault_is_well():
    """It took others beside them; a wrong setting is another matter."""
    destination = Destination(4)
    destination.took_none("Bad: x")

    destination.blames_events()

    assert destination.word() == "ok"
    destination.refuses_all("Bad: x", 0.0, 0.5)
    destination.blames_events()
    assert destination.word() == "held"


@pytest.mark.parametrize(
    ("refused", "waiting", "rand", "probe"),
    [
        ([], "abc", 0.0, "a"),
        ([], "abc", 0.99, "c"),
        (["a"], "abc", 0.0, "b"),
        (["a", "b"], "abc", 0.0, "c"),
        (["a", "b"], "abc", 0.99, "c"),
        (["a", "b", "c"], "abc", 0.0, "a"),
        (["a", "b", "c"], "abc", 0.5, "b"),
        (["a", "b", "c"], "abc", 0.99, "c"),
        (["a"], "a", 0.99, "a"),
    ],
)
def test_a_probe_is_an_event_that_was_never_refused_where_there_is_one(refused, waiting, rand, probe):
    """One of them by chance: those that come first may all be poison."""
    refusals = Refusals()
    refusals.judge([(event_id, "Bad") for event_id in refused], delivered=False, alone=False)

    assert waiting[refusals.probe(list(waiting), rand)] == probe
