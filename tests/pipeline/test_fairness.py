"""Queues against a plain model, and a worker in a storm: no problem waits for another one's end."""

from __future__ import annotations

from operator import attrgetter

import pytest
from captures import capture
from hypothesis import given
from hypothesis import strategies as st
from law import assert_law

from eventlog_handlers.buffers.queues import Position, Queues, Rounds
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_event, make_worker, settle

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 4), st.sampled_from("abcdef")),
        st.tuples(st.just("lease"), st.integers(1, 4)),
        st.tuples(st.just("give back"), st.integers(0, 9), st.sampled_from([0.0, 3.0])),
        st.tuples(st.just("evict")),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 5.0])),
        st.tuples(st.just("pour"), st.booleans()),
    ),
    max_size=80,
)


class Model:
    """The same rules in lists, each asked for by looking at everything."""

    def __init__(self):
        self.ready: list[Position] = []
        self.delayed: list[Position] = []

    def of(self, severity, fingerprint=None):
        some = [one for one in self.ready if one.severity == severity]
        same = [one for one in some if fingerprint in (None, one.fingerprint)]
        return sorted(same, key=attrgetter("key"))

    def may_go(self):
        """The most severe class; of each fingerprint its oldest."""
        severity = min((one.severity for one in self.ready), default=None)
        return {self.of(severity, one.fingerprint)[0].key for one in self.of(severity)}

    def may_give_way(self):
        """The least severe class; of the fingerprints with most, the oldest; else the first delayed."""
        severity = max(one.severity for one in [*self.ready, *self.delayed])
        counts = {one.fingerprint: len(self.of(severity, one.fingerprint)) for one in self.of(severity)}
        if not counts:
            return {next(one.key for one in self.delayed if one.severity == severity)}
        most = max(counts.values())
        return {self.of(severity, name)[0].key for name, count in counts.items() if count == most}

    def drop(self, key):
        self.ready = [one for one in self.ready if one.key != key]
        self.delayed = [one for one in self.delayed if one.key != key]


@given(OPERATIONS)
def test_queues_agree_with_the_plain_model(operations):
    """Who goes and who gives way is always one of those who may, and every number is right."""
    model, rounds, now, made = Model(), Rounds(), 0.0, 0
    queues, leased = Queues(rounds), []
    for name, *arguments in operations:
        if name == "put":
            place = Position(made, arguments[0], arguments[1], 10)
            made += 1
            queues.add(place)
            model.ready.append(place)
        elif name == "lease":
            for _ in range(arguments[0]):
                if (first := queues.first()) is not None:
                    assert first[2] in model.may_go()
                    place = queues.pop(first[0])
                    assert place.key == first[2]
                    model.drop(place.key)
                    leased.append(place)
        elif name == "give back" and leased:
            place = leased.pop(arguments[0] % len(leased))
            if arguments[1]:
                place.ready_at = now + arguments[1]
                queues.delay(place)
                model.delayed.append(place)
            else:
                queues.add(place)
                model.ready.append(place)
        elif name == "evict" and queues:
            allowed = model.may_give_way()
            place = queues.pop_weakest(queues.weakest()[0])
            assert place.key in allowed
            model.drop(place.key)
        elif name == "wait":
            now += arguments[0]
            model.ready += [one for one in model.delayed if one.ready_at <= now]
            model.delayed = [one for one in model.delayed if one.ready_at > now]
            queues.release(now)  # and their ``ready_at`` is forgotten
        elif name == "pour":
            target = Queues(rounds)
            keys = None if arguments[0] else {key for key in range(made) if key % 2}
            queues.pour(target, keys)
            assert all(keys is None or place.key in keys for place in target)
            target.pour(queues)
            assert not target
        assert queues.ready == len(model.ready)
        assert queues.ready_bytes == 10 * len(model.ready)
        assert sorted(place.key for place in queues) == sorted(
            one.key for one in [*model.ready, *model.delayed]
        )
        assert queues.due_at() == min((one.ready_at for one in model.delayed), default=None)
        oldest = min((one.key for one in [*model.ready, *model.delayed]), default=None)
        assert oldest == (queues.oldest().key if queues else None)


@given(st.lists(st.sampled_from("aaaaaaaabbc"), min_size=1, max_size=200), st.integers(1, 7))
def test_no_problem_waits_for_more_than_two_events_of_each_other(names, per_put):
    """While an event is the oldest of its problem, each other one is served at most twice before it."""
    queues, waited, made = Queues(), {}, 0
    pending = list(names)
    while pending or queues:
        for name in pending[:per_put]:
            queues.add(Position(made, 1, name, 1))
            made += 1
        del pending[:per_put]
        first = queues.first()
        place = queues.pop(first[0])
        waited.pop(place.fingerprint, None)
        for name in {one.fingerprint for one in queues} - {place.fingerprint}:
            passed = waited.setdefault(name, {})
            passed[place.fingerprint] = passed.get(place.fingerprint, 0) + 1

            assert passed[place.fingerprint] <= 2


def put(worker, message, fingerprint, level=40):
    import logging

    record = logging.LogRecord("shop", level, "shop.py", 1, message, (), None)
    record.fingerprint = fingerprint
    worker.submit(capture(record, id_bits=hash((message, fingerprint)) & (2**128 - 1)))


def test_an_error_in_the_middle_of_a_storm_takes_the_next_place():
    """500 alike wait, one event goes per request: the other error is the very next, not the 501st."""
    sink, clock = ScriptedSink(max_events=1), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0)
    for number in range(250):
        put(worker, f"storm {number}", "storm")
    for _ in range(4):
        worker.step()
    put(worker, "the other", "other")
    for number in range(250, 500):
        put(worker, f"storm {number}", "storm")
    sent = len(sink.delivered)

    settle(worker, clock)

    assert sink.delivered[sent].message == "the other"
    assert len(sink.delivered) == 501
    assert_law(worker.stats())


@pytest.mark.parametrize("capacity", [20, 100])
def test_a_storm_larger_than_the_buffer_costs_only_itself(capacity):
    """What overflows is the storm's; the nine other problems arrive whole."""
    sink, clock = ScriptedSink(), ManualClock()
    worker = make_worker(sink, clock, flush_interval=0, capacity=capacity)
    for number in range(9):
        put(worker, f"other {number}", f"other {number}")
    worker._life.turns.render_some()
    for number in range(1_000):
        put(worker, f"storm {number}", "storm")
        worker._life.turns.render_some()

    settle(worker, clock)

    assert {f"other {number}" for number in range(9)} <= {event.message for event in sink.delivered}
    assert worker.stats()["dropped"] == {"overflow": 1_009 - capacity}
    assert_law(worker.stats())


def test_make_event_gives_all_the_same_fingerprint_unless_told():
    """What the tests of order stand on."""
    assert make_event("a").fingerprint == make_event("b").fingerprint
