"""The rate limit to the request: what goes at once, when the next one goes, whose setting holds."""

from __future__ import annotations

import gc

import pytest

from eventlog_handlers.pipeline.open_pacer import joined_pacer
from eventlog_handlers.pipeline.pacing import Limit, Member, Pacer
from eventlog_handlers.pipeline.shared_pacer import SharedPacer
from eventlog_handlers.settings.values import PipelineSettings
from eventlog_handlers.share.contract import Place

NEVER = float("-inf")


def at_once(pacer, now: float) -> int:
    """How many requests go at *now*."""
    count = 0
    while pacer.try_take(now) == 0.0:
        count += 1
    return count


@pytest.mark.parametrize(
    ("limit", "first", "after_quarter", "after_long"),
    [((1.0,), 1, 0, 1), ((4.0, 3), 3, 1, 3), ((4.0, 3, (4, 10.0)), 3, 1, 3)],
)
def test_a_quiet_time_gives_the_burst_back_and_no_more(limit, first, after_quarter, after_long):
    """A token per 1/rate seconds, up to the burst; without a burst one request at a time."""
    pacer = Pacer(*limit)

    assert pacer.wait(0.0) == 0.0
    assert at_once(pacer, 0.0) == first
    assert pacer.wait(0.0) == pacer.try_take(0.0) > 0.0
    assert at_once(pacer, 0.25) == after_quarter
    assert at_once(pacer, 1_000.0) == after_long


def test_the_next_place_is_told_to_the_moment():
    """The rest of a token at the rate, or until the oldest of the window's requests is its length ago."""
    pacer = Pacer(2.0, 2, (3, 10.0))
    assert [pacer.try_take(now) for now in (0.0, 0.0, 0.125, 0.5, 0.5)] == [0, 0, 0.375, 0, 9.5]
    assert pacer.wait(9.75) == 0.25
    assert [pacer.try_take(10.0), pacer.try_take(10.0), pacer.try_take(10.0)] == [0, 0, 0.5]


def test_more_than_a_token_is_no_wait_of_less_than_nothing():
    """One and a half, after three quarters of a second at two a second."""
    pacer = Pacer(2.0, 3)
    assert at_once(pacer, 0.0) == 3

    assert (pacer.wait(0.75), pacer.try_take(0.75), pacer.try_take(0.75)) == (0.0, 0.0, 0.25)


def test_throttling_leaves_one_request_of_the_burst():
    """The probe of whether it is over."""
    pacer = Pacer(1.0, 5)
    pacer.throttled()
    assert at_once(pacer, 0.0) == 1

    pacer = Pacer(1.0, 5)
    assert at_once(pacer, 0.0) == 5
    pacer.throttled()
    assert pacer.try_take(0.0) == 2.0  # none is given for it


def test_the_later_of_two_hints_holds():
    """Also where the second one is none."""
    pacer = Pacer(10.0, 5)
    pacer.throttled(9.0)
    pacer.throttled(7.0)
    pacer.throttled()

    assert (pacer.wait(1.0), pacer.try_take(1.0)) == (8.0, 8.0)
    assert pacer.try_take(9.0) == 0.0


def test_only_a_clock_that_steps_back_shortens_a_hint():
    """The same moment again is no other clock."""
    pacer = Pacer(10.0, 5)
    assert pacer.try_take(10.0) == 0.0
    pacer.throttled(10_000.0)

    assert pacer.try_take(10.0) == 9_990.0
    assert pacer.try_take(9.0) == 300.0


WINDOWS = [((1, 10.0), (2, 4.0), 10.0), ((2, 4.0), (1, 10.0), 10.0), ((6, 4.0), (1, 3.0), 3.0)]


@pytest.mark.parametrize(("one", "other", "seconds"), WINDOWS)
def test_the_window_with_the_fewest_requests_a_second_is_the_slowest(one, other, seconds):
    """Not the one with the smallest number or the shortest time."""
    pacer = Pacer(1_000.0, 9)
    pacer.join(1, Limit(1_000.0, 9, one))
    pacer.join(2, Limit(1_000.0, 9, other))

    assert at_once(pacer, 0.0) == 1
    assert pacer.try_take(0.0) == seconds


def test_a_limit_counts_from_the_making_of_its_member_until_it_leaves_or_is_collected():
    """A wait asks and does not join again; a take does."""
    fast, slow = Limit(100.0, 1, None), Limit(1.0, 1, None)
    shared = Pacer(*fast)
    one = Member(shared, fast)
    other = Member(shared, slow)
    assert (one.try_take(0.0), one.try_take(0.0)) == (0.0, 1.0)

    other.leave()
    assert other.wait(0.0) == pytest.approx(0.01)
    assert other.try_take(0.0) == 1.0
    assert one.try_take(1.0) == 0.0
    assert one.try_take(1.0) == 1.0
    del other
    gc.collect()
    assert one.try_take(1.0) == pytest.approx(0.01)
    one.throttled(5.0)
    assert one.wait(1.0) == 4.0
    assert shared._share == 0.5
    one.taken()
    assert shared._share == 0.55


def test_a_member_that_leaves_without_having_joined_changes_nothing():
    """It was closed twice, say."""
    shared = Pacer(1.0, 2)
    shared.join(1, Limit(1.0, 2, None))
    shared._tokens = 0.25
    shared.leave(7)

    assert shared.try_take(0.0) == 0.75
    assert shared._members == {1: Limit(1.0, 2, None)}


def test_a_smaller_burst_takes_tokens_that_exceed_it():
    """And the burst that comes back begins with those left."""
    pacer = Pacer(1.0, 5)
    pacer.join(1, Limit(1.0, 2, None))
    pacer.join(2, Limit(1.0, 2, None))
    assert at_once(pacer, 0.0) == 2


def test_a_child_does_not_wait_for_a_lock_that_the_parent_held():
    """Through a member, too."""
    shared = Pacer(1.0)
    member = Member(shared, Limit(1.0, 1, None))
    shared._lock.acquire()

    member.after_fork_in_child()

    assert member.try_take(0.0) == 0.0


def test_handlers_of_one_endpoint_and_key_share_one_pacer():
    """Another key, endpoint or service has its own; without a limit, or with nothing to send, none."""
    limited = PipelineSettings(requests_per_second=2.0, burst=3, window=(7, 60.0))
    where = {"service": "cms", "endpoint": "https://one", "key": "k"}
    one, same = (joined_pacer(limited, **where) for _ in range(2))

    assert one is not None
    assert same is not None
    assert one.shared is same.shared
    assert (one.shared._rate, one.shared._burst, one.shared._window) == (2.0, 3.0, (7, 60.0))
    for other in ({"service": "guance"}, {"endpoint": "https://two"}, {"key": "l"}):
        another = joined_pacer(limited, **{**where, **other})
        assert another is not None
        assert another.shared is not one.shared
    assert joined_pacer(PipelineSettings(requests_per_second=None), **where) is None
    assert joined_pacer(PipelineSettings(requests_per_second=2.0, dry_run=True), **where) is None


# --- a rate limit that processes share ---------------------------------------------------------------------


class Places:
    """A coordinator that gives the places it was told to, and keeps what it was told."""

    def __init__(self, *places: Place | Exception) -> None:
        self.places = list(places)
        self.told: list[object] = []
        self.on_take = lambda: None

    def take(self) -> Place:
        self.on_take()
        place = self.places.pop(0)
        if isinstance(place, Exception):
            raise place
        return place

    def throttled(self, retry_after: float | None) -> None:
        self.told.append(retry_after)

    def answered(self) -> None:
        self.told.append("answered")


def shared(*places: Place | Exception) -> tuple[SharedPacer, Places]:
    coordinator = Places(*places)
    return SharedPacer(lambda: coordinator), coordinator


def test_a_place_must_be_asked_for_and_is_taken_once():
    """Without one in hand a request waits; with one, a second question is not asked."""
    pacer, coordinator = shared(Place(0.0, True), Place(0.0, True))
    assert pacer.wait(10.0) is None
    assert pacer.try_take(10.0) == 0.001

    pacer.ask(10.0)
    pacer.ask(10.0)

    assert len(coordinator.places) == 1
    assert pacer.wait(10.0) == 0.0
    assert pacer.try_take(10.0) == 0.0
    assert pacer.wait(10.0) is None


def test_a_place_to_come_is_waited_for_and_void_half_a_second_after_its_moment():
    """At half a second exactly it still holds."""
    pacer, _ = shared(Place(2.0, True), Place(2.0, True))
    pacer.ask(10.0)
    assert (pacer.wait(10.5), pacer.try_take(10.5)) == (1.5, 1.5)
    assert pacer.try_take(11.5) == 0.5
    assert pacer.wait(12.25) == 0.0
    assert pacer.wait(12.5) == 0.0
    assert pacer.try_take(12.5) == 0.0

    pacer.ask(20.0)
    assert pacer.wait(22.75) is None
    assert pacer._places == []


def test_where_there_is_no_place_the_next_question_waits_as_long_as_told():
    """A thousandth of a second at least; at the moment itself it may be asked again."""
    pacer, coordinator = shared(Place(3.0, False), Place(0.0, False), Place(0.0, True))
    pacer.ask(10.0)
    assert (pacer.wait(11.0), pacer.try_take(11.0)) == (2.0, 2.0)
    pacer.ask(12.0)
    assert len(coordinator.places) == 2
    assert pacer.wait(13.0) is None

    pacer.ask(13.0)
    assert pacer.wait(13.0) == pytest.approx(0.001)
    pacer.ask(13.5)
    assert pacer.try_take(13.5) == 0.0


def test_while_one_thread_asks_others_wait_a_moment_and_do_not_ask():
    """The answer may come from the network."""
    pacer, coordinator = shared(Place(0.0, True), Place(0.0, True))
    seen = []

    def look() -> None:
        coordinator.on_take = lambda: None
        seen.append(pacer.wait(10.0))
        pacer.ask(10.0)

    coordinator.on_take = look
    pacer.ask(10.0)

    assert seen == [0.001]
    assert len(coordinator.places) == 1


def test_a_question_that_fails_is_asked_again_a_moment_later():
    """It leaves nobody waiting for an answer that never comes."""
    pacer, _ = shared(OSError("no answer"), Place(0.0, True))
    with pytest.raises(OSError, match="no answer"):
        pacer.ask(10.0)
    assert pacer.wait(10.0) == pytest.approx(0.001)
    assert pacer.try_take(10.25) == 0.001

    pacer.ask(10.5)
    assert pacer.try_take(10.5) == 0.0


def test_throttling_voids_the_places_in_hand_and_is_passed_on():
    """So is each request that was taken."""
    pacer, coordinator = shared(Place(0.0, True))
    pacer.ask(10.0)

    pacer.throttled(7.0)
    pacer.throttled()
    pacer.taken()
    pacer.leave()

    assert pacer.wait(10.0) is None
    assert coordinator.told == [7.0, None, "answered"]


def test_a_forked_child_has_none_of_the_parents_places():
    """Nor its locks, nor its question under way."""
    pacer, _ = shared(Place(0.0, True))
    pacer.ask(10.0)
    pacer._lock.acquire()
    pacer._is_asking = True
    pacer._ask_at = 99.0

    pacer.after_fork_in_child()

    assert pacer.wait(10.0) is None
