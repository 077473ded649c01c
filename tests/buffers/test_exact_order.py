"""Exact tables of the order, of memory's bounds and of weights: each value of a table is one edge."""

from __future__ import annotations

import heapq
import sys
from typing import Any

import pytest
from test_buffers import BUFFERS, memory, names, of

from eventlog_handlers.buffers.memory import weight, weight_of
from eventlog_handlers.buffers.queues import Position, Queues, Rounds
from eventlog_handlers.events import MAX_VALUES, ExceptionText
from eventlog_handlers.testing import ManualClock, make_event


@pytest.fixture(params=BUFFERS, ids=lambda make: make.__name__)
def make_buffer(request: pytest.FixtureRequest) -> Any:
    return request.param


def at(
    key: int, fingerprint: str = "a", severity: int = 1, *, round: int | None = None, ready_at: float = 0.0
) -> Position:
    position = Position(key, severity, fingerprint, 10 + key)
    position.round, position.ready_at = round, ready_at
    return position


def popped(queues: Queues, severity: int = 1) -> list[int]:
    """Keys, in the order in which they go."""
    keys = []
    while (first := queues.first()) is not None:
        position = queues.pop(severity)
        assert first[2] == position.key
        keys.append(position.key)
    return keys


# --- every buffer ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("delay", "ready"), [(0.0, 1), (0.5, 0), (1.0, 0)])
def test_a_delay_of_half_a_second_is_one(make_buffer: Any, delay: float, ready: int) -> None:
    """Whatever is longer than nothing; an event given back without one can go at once."""
    clock = ManualClock()
    buffer = make_buffer(clock)
    buffer.put(of("a", 1))
    (lease,) = buffer.lease(1)

    buffer.nack(lease, delay)

    assert (buffer.ready_bytes() > 0) == bool(ready)
    assert buffer.ready_in() == delay
    assert buffer.ready() == ready
    assert (len(buffer), buffer.oldest()) == (1, 0.0)
    clock.advance(delay + 3.0)
    assert buffer.ready_in() == 0.0


def test_an_event_released_and_given_back_can_go_at_once(make_buffer: Any) -> None:
    """The delay it had is over for good."""
    clock = ManualClock()
    buffer = make_buffer(clock)
    buffer.put(of("a", 1))
    buffer.nack(buffer.lease(1)[0], 5.0)
    clock.advance(5.0)

    buffer.nack(buffer.lease(1)[0], 0.0)

    assert buffer.ready_bytes() == buffer.bytes() > 0


def test_a_new_event_has_no_age_and_a_key_of_its_own(make_buffer: Any) -> None:
    """Keys go up one by one: a gap costs the spool a second statement."""
    buffer = make_buffer(ManualClock())
    buffer.put(of("a", 3))

    keys = sorted(buffer.keys())

    assert [key - keys[0] for key in keys] == [0, 1, 2]
    assert [lease.age for lease in buffer.lease(3)] == [0.0] * 3
    assert (buffer.lost(), buffer.adopt(), buffer.ready_in()) == ([], 0, None)


def test_an_event_that_is_given_up_is_gone(make_buffer: Any) -> None:
    """As one that is acknowledged: no count, no byte and no age of it is left."""
    buffer = make_buffer(ManualClock())
    buffer.put(of("a", 3))
    first, *others = buffer.lease(3)

    buffer.drop([first], "rejected")

    assert (len(buffer), buffer.keys()) == (2, {lease.key for lease in others})
    buffer.drop(others, "expired")
    assert (len(buffer), buffer.bytes(), buffer.keys(), buffer.oldest()) == (0, 0, set(), None)
    assert buffer.lost() == []


def test_newcomers_and_a_storm_take_turns_in_rounds(make_buffer: Any) -> None:
    """A problem that was served comes again two rounds later, a new one in the next."""
    buffer = make_buffer(ManualClock())
    buffer.put(of("a", 9))
    order = []
    for number in range(9):
        buffer.put(of(f"n{number}-", 1))
        order += names(buffer.lease(1))

    assert order == ["a1", "n0-1", "n1-1", "n2-1", "a2", "n3-1", "n4-1", "n5-1", "n6-1"]


# --- memory alone ----------------------------------------------------------------------------------------


def test_memory_is_full_at_its_last_byte() -> None:
    """What fits exactly is held; one byte less and the oldest gives way."""
    size = weight(of("a", 1)[0])

    fitting = memory(ManualClock(), capacity_bytes=2 * size)
    tight = memory(ManualClock(), capacity_bytes=2 * size - 1)

    assert fitting.put(of("a", 2)) == []
    assert [lost.event.message for lost in tight.put(of("a", 2))] == ["a1"]
    assert (fitting.bytes(), tight.bytes()) == (2 * size, size)


_TEXTS = ("m", "s", "", "é" * 9)
_SIZES = dict(zip(_TEXTS, map(sys.getsizeof, _TEXTS), strict=True))


def test_a_weight_is_the_sum_of_its_parts() -> None:
    """1,200 bytes for an event without texts, and each text once."""
    bare = make_event("m")
    failed = ExceptionText("KeyError", "é" * 9, "s", ())

    assert weight(bare) == 900 + _SIZES["m"] + _SIZES[""]
    assert weight(bare._replace(exception=failed)) == weight(bare) + _SIZES["s"] + _SIZES["é" * 9]
    assert weight(bare._replace(attributes={"s": "m"})) == weight(bare) + _SIZES["s"] + _SIZES["m"]
    assert weight(bare._replace(attributes={"s": []})) == weight(bare) + _SIZES["s"] + 56
    assert weight(bare._replace(attributes={"s": {}})) == weight(bare) + _SIZES["s"] + 64


def test_a_value_is_weighed_up_to_its_bound() -> None:
    """As many values as an event may have, and not one more."""
    one = sys.getsizeof(1)

    assert weight_of([1] * MAX_VALUES) == 56 + MAX_VALUES * one
    assert weight_of([1] * (MAX_VALUES + 1)) == 56
    assert weight_of("s") == _SIZES["s"]


# --- the queues ------------------------------------------------------------------------------------------


def test_an_older_event_that_comes_back_in_its_round_keeps_its_problem_in_place() -> None:
    """Its problem stands in that round already: it does not go to the round's end."""
    queues = Queues()
    for key, fingerprint in ((5, "a"), (3, "b"), (6, "c"), (4, "a")):
        queues.add(at(key, fingerprint, round=1))

    assert popped(queues) == [3, 4, 5, 6]


def test_most_is_that_of_the_largest_problem_whichever_grows() -> None:
    """Another that grows, or leaves its count behind, does not become the largest."""
    queues = Queues()
    seen = []
    for key, fingerprint in enumerate("aaaaabbcbb"):
        queues.add(at(key, fingerprint))
        seen.append(queues.weakest())

    assert seen == [(1, count) for count in (1, 2, 3, 4, 5, 5, 5, 5, 5, 5)]
    assert [queues.pop_weakest(1).key for _ in range(6)] == [0, 5, 1, 6, 2, 8]
    assert queues.weakest() == (1, 2)


def test_the_weakest_is_named_with_its_class() -> None:
    """The delayed count for their class, and not for its largest problem."""
    queues = Queues()
    assert queues.weakest() == (-1, 0)

    queues.delay(at(1, severity=3, ready_at=5.0))
    queues.add(at(2, severity=2))

    assert queues.weakest() == (3, 0)
    assert (len(queues), queues.ready, queues.ready_bytes) == (2, 1, 12)
    assert queues.pop_weakest(3).key == 1
    assert queues.weakest() == (2, 1)
    assert queues.first() == (2, 1, 2)


@pytest.mark.parametrize("keys", [None, {2, 4}, {1, 3}, set()])
def test_what_is_poured_is_there_and_no_longer_here(keys: set[int] | None) -> None:
    """Ready and delayed alike, in number and bytes."""
    rounds = Rounds()
    here, there = Queues(rounds), Queues(rounds)
    for key in (1, 2):
        here.add(at(key))
    for key in (3, 4):
        here.delay(at(key, ready_at=float(key)))

    here.pour(there, keys)

    moved = {1, 2, 3, 4} if keys is None else keys
    for queues, held in ((there, moved), (here, {1, 2, 3, 4} - moved)):
        assert {position.key for position in queues} == held
        assert (len(queues), queues.ready) == (len(held), len(held & {1, 2}))
        assert queues.ready_bytes == sum(10 + key for key in held & {1, 2})
        assert queues.due_at() == min((float(key) for key in held & {3, 4}), default=None)
        queues.release(9.0)
        assert set(popped(queues)) == held
        assert (len(queues), queues.ready_bytes) == (0, 0)


def test_a_delay_counts_from_when_it_was_last_set() -> None:
    """What an event that was dropped has left behind wakes nobody."""
    queues = Queues()
    queues.delay(at(1, ready_at=10.0))
    queues.pop_weakest(1)
    queues.delay(at(1, ready_at=50.0))

    assert queues.due_at() == 50.0
    queues.release(49.0)
    assert (queues.ready, len(queues)) == (0, 1)
    queues.release(50.0)
    position = queues.pop(1)
    assert (position.key, position.round, position.ready_at) == (1, 1, 0.0)


def test_the_heap_of_delays_is_not_made_anew_while_all_of_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each delay would cost as much as all before it."""
    made: list[int] = []
    monkeypatch.setattr(heapq, "heapify", lambda heap: made.append(len(heap)))
    queues = Queues()

    for key in range(300):
        queues.delay(at(key, ready_at=1.0))

    assert made == []
