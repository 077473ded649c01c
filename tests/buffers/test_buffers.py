"""The contract every buffer keeps, run over each of them."""

from __future__ import annotations

import shutil
import tempfile
import weakref

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eventlog_handlers.buffers.memory import MemoryBuffer, weight
from eventlog_handlers.buffers.spool.buffer import SpoolBuffer
from eventlog_handlers.events import Event
from eventlog_handlers.testing import ManualClock, make_event


def memory(clock, *, capacity=100, capacity_bytes=10_000_000, policy="drop_lowest"):
    return MemoryBuffer(capacity=capacity, capacity_bytes=capacity_bytes, policy=policy, clock=clock)


def spool(
    clock, *, capacity=100, capacity_bytes=10_000_000, policy="drop_lowest", usable=True, directory=None
):
    """A spool in a directory of its own, which goes when the buffer goes."""
    temporary = tempfile.mkdtemp() if directory is None else directory
    buffer = SpoolBuffer(
        temporary if usable else "/dev/null/nowhere",
        capacity=capacity,
        capacity_bytes=capacity_bytes,
        cap_bytes=capacity_bytes * 4 // 3,  # three quarters of it are content
        policy=policy,
        clock=clock,
        wall_clock=lambda: 1_790_000_000.0,
        report=lambda key, text: None,
        identity="test",
    )
    if directory is None:
        weakref.finalize(buffer, shutil.rmtree, temporary, ignore_errors=True)
    return buffer


def spool_without_disk(clock, **options):
    """The same where the directory is unusable, so that all stays in memory."""
    return spool(clock, usable=False, **options)


BUFFERS = [memory, spool, spool_without_disk]


@pytest.fixture(params=BUFFERS, ids=lambda make: make.__name__)
def make_buffer(request):
    return request.param


def names(leases):
    return [lease.event.message for lease in leases]


def test_what_is_put_is_leased_in_order_and_gone_once_acked(make_buffer):
    """First in, first out among equals; an ack is the end."""
    buffer = make_buffer(ManualClock())

    assert list(buffer.put([make_event("a"), make_event("b"), make_event("c")])) == []
    first = buffer.lease(2)
    second = buffer.lease(2)

    assert (names(first), names(second)) == (["a", "b"], ["c"])
    assert [lease.attempts for lease in first] == [1, 1]
    assert len(buffer) == 3

    buffer.ack([*first, *second])

    assert (len(buffer), buffer.bytes(), buffer.keys(), buffer.lease(9)) == (0, 0, set(), [])


def test_the_most_severe_are_leased_first(make_buffer):
    """By class of level, then by age."""
    buffer = make_buffer(ManualClock())
    buffer.put(
        [make_event("info", 20), make_event("error", 40), make_event("fatal", 60), make_event("error 2", 49)]
    )

    assert names(buffer.lease(9)) == ["fatal", "error", "error 2", "info"]


def test_a_nacked_event_comes_back_before_newer_ones_with_one_more_attempt(make_buffer):
    """A retry doesn't lose its place."""
    buffer = make_buffer(ManualClock())
    buffer.put([make_event("a"), make_event("b")])
    (lease,) = buffer.lease(1)

    buffer.nack(lease, 0.0)
    again = buffer.lease(2)

    assert names(again) == ["a", "b"]
    assert [lease.attempts for lease in again] == [2, 1]


def test_an_attempt_not_spent_is_not_counted(make_buffer):
    """Throttling costs no attempt."""
    buffer = make_buffer(ManualClock())
    buffer.put([make_event()])

    for _ in range(3):
        (lease,) = buffer.lease(1)
        buffer.nack(lease, 0.0, spent=False)

    assert [lease.attempts for lease in buffer.lease(1)] == [1]


def test_a_delayed_event_waits_and_others_pass_it(make_buffer):
    """Delays are relative, in seconds of the buffer's own clock."""
    clock = ManualClock()
    buffer = make_buffer(clock)
    buffer.put([make_event("a"), make_event("b")])
    (lease,) = buffer.lease(1)
    buffer.nack(lease, 10.0)

    assert names(buffer.lease(9)) == ["b"]
    assert (buffer.ready(), buffer.ready_in()) == (0, pytest.approx(10.0))

    clock.advance(10.0)

    assert (buffer.ready(), buffer.ready_in()) == (1, 0.0)
    (lease,) = buffer.lease(9)
    assert (lease.event.message, lease.age) == ("a", pytest.approx(10.0))


def test_an_empty_buffer_has_nothing_to_wait_for(make_buffer):
    """None means: not before something is put."""
    buffer = make_buffer(ManualClock())

    assert (buffer.ready_in(), buffer.ready(), buffer.ready_bytes(), len(buffer)) == (None, 0, 0, 0)
    buffer.close()
    buffer.close()


@pytest.mark.parametrize(
    ("policy", "newcomer", "lost"),
    [
        ("drop_lowest", 40, "info"),
        ("drop_lowest", 20, "info"),
        ("drop_lowest", 10, "new"),
        ("drop_newest", 50, "new"),
    ],
)
def test_a_full_buffer_says_what_it_lost(make_buffer, policy, newcomer, lost):
    """The evicted event is handed back with its key, a refused newcomer without one."""
    buffer = make_buffer(ManualClock(), capacity=3, policy=policy)
    buffer.put([make_event("error", 40), make_event("info", 20), make_event("fatal", 50)])

    (evicted,) = buffer.put([make_event("new", newcomer)])

    assert evicted.event.message == lost
    assert (evicted.key is None) == (lost == "new")
    assert len(buffer) == 3


def test_leased_events_are_never_evicted(make_buffer):
    """What is on its way can't give way; then the newcomer does, however severe."""
    buffer = make_buffer(ManualClock(), capacity=2)
    buffer.put([make_event("a", 20), make_event("b", 20)])
    leases = buffer.lease(2)

    (evicted,) = buffer.put([make_event("fatal", 50)])

    assert (evicted.event.message, evicted.key) == ("fatal", None)
    buffer.ack(leases)
    assert len(buffer) == 0


def test_bytes_bound_the_buffer_too(make_buffer):
    """A few large events fill it as many small ones do."""
    large = make_event("x" * 100_000, 20)
    buffer = make_buffer(ManualClock(), capacity_bytes=3 * weight(large))

    lost = buffer.put([large] * 5)

    assert (len(lost), len(buffer)) == (2, 3)
    assert buffer.bytes() <= 3 * weight(large)


def test_an_evicted_event_is_let_go(make_buffer):
    """A long storm through a full buffer holds no more than the buffer."""
    import sys

    buffer = make_buffer(ManualClock(), capacity=10)
    event = make_event("x", 20)
    before = sys.getrefcount(event)

    buffer.put([event] * 5_000)

    assert sys.getrefcount(event) - before < 200


# --- fair among fingerprints -------------------------------------------------------------------------------


def of(fingerprint, count, level=40):
    """*count* events of one problem, named after it."""
    return [make_event(f"{fingerprint}{n}", level, fingerprint=fingerprint) for n in range(1, count + 1)]


def test_within_a_class_the_fingerprints_take_turns_each_with_its_oldest(make_buffer):
    """A storm that came first doesn't make the others wait for its end; severity still goes first."""
    buffer = make_buffer(ManualClock())
    buffer.put([*of("a", 4), *of("b", 2), *of("c", 1), *of("d", 1, level=50), *of("e", 1, level=20)])

    order = names(buffer.lease(99))

    assert order == ["d1", "a1", "b1", "c1", "a2", "b2", "a3", "a4", "e1"]


def test_a_newcomer_goes_before_the_rest_of_a_storm(make_buffer):
    """The one other error of that minute is the next to leave."""
    buffer = make_buffer(ManualClock())
    buffer.put(of("a", 9))
    buffer.lease(2)
    buffer.put(of("b", 2))

    assert names(buffer.lease(4)) == ["b1", "a3", "b2", "a4"]


def test_endless_newcomers_do_not_starve_a_storm(make_buffer):
    """A new problem for every event that leaves, and still the storm has its part."""
    buffer = make_buffer(ManualClock())
    buffer.put(of("a", 20))
    order = []
    for number in range(20):
        buffer.put(of(f"new {number} ", 1))
        leases = buffer.lease(1)
        order += names(leases)
        buffer.ack(leases)

    assert len([name for name in order if name.startswith("a")]) >= 4


@pytest.mark.parametrize("delay", [0.0, 5.0])
def test_events_given_back_keep_their_places(make_buffer, delay):
    """What a failed request held goes again in the same order, before what came meanwhile."""
    clock = ManualClock()
    buffer = make_buffer(clock)
    buffer.put([*of("a", 4), *of("b", 2), *of("c", 1)])
    first = buffer.lease(5)
    for lease in reversed(first):
        buffer.nack(lease, delay)
    buffer.put(of("new", 3))
    clock.advance(delay)

    again = buffer.lease(99)

    assert names(again)[:5] == names(first)
    assert sorted(names(again)[5:]) == ["a3", "a4", "new1", "new2", "new3"]


def test_the_largest_problem_of_the_lowest_class_gives_way(make_buffer):
    """A storm evicts its own, oldest first, until it is no larger than the others."""
    buffer = make_buffer(ManualClock(), capacity=8)
    buffer.put([*of("b", 2, level=20), *of("a", 4, level=20), *of("c", 1, level=20), *of("z", 1, level=50)])

    evicted = buffer.put([*of("d", 2, level=20), *of("y", 2)])

    assert [lost.event.message for lost in evicted] == ["a1", "a2", "b1", "a3"]
    assert sorted(names(buffer.lease(99))) == ["a4", "b2", "c1", "d1", "d2", "y1", "y2", "z1"]


def test_a_storm_can_not_push_others_out(make_buffer):
    """However long it lasts: the one other event is still there."""
    buffer = make_buffer(ManualClock(), capacity=50)
    buffer.put(of("b", 1))

    evicted = buffer.put(of("a", 500))

    assert {lost.event.fingerprint for lost in evicted} == {"a"}
    assert names(buffer.lease(2)) == ["b1", "a452"]


def test_delayed_events_give_way_last_within_their_class(make_buffer):
    """They were handed out already: they go only where nothing else of the class is left."""
    buffer = make_buffer(ManualClock(), capacity=4)
    buffer.put(of("a", 3))
    for lease in buffer.lease(2):
        buffer.nack(lease, 60.0)
    buffer.put(of("b", 1))

    evicted = buffer.put(of("c", 4, level=50))

    assert [lost.event.message for lost in evicted] == ["a3", "b1", "a1", "a2"]


def test_fingerprints_that_are_gone_are_forgotten():
    """A million problems, one after the other, leave nothing behind."""
    buffer = memory(ManualClock(), capacity=10, policy="drop_lowest")

    for number in range(3_000):
        buffer.put([make_event(fingerprint=str(number), level=20 + number % 3 * 10)])
    buffer.ack(buffer.lease(99))

    held = [
        one for queue in buffer._queues._classes for one in (queue._groups, queue._rounds, queue._by_count)
    ]
    assert len(buffer) == 0
    assert max(map(len, held)) == 0


class BufferMachine(RuleBasedStateMachine):
    """Any order of operations: nothing is lost, nothing is given twice, sizes are right."""

    @initialize(
        make=st.sampled_from(BUFFERS),
        capacity=st.integers(1, 6),
        policy=st.sampled_from(["drop_lowest", "drop_newest"]),
    )
    def start(self, make, capacity, policy):
        self.clock = ManualClock()
        self.capacity = capacity
        self.buffer = make(self.clock, capacity=capacity, policy=policy)
        self.held: dict[str, Event] = {}
        self.leased = {}
        self.made = 0

    @rule(
        kinds=st.lists(
            st.tuples(st.sampled_from([10, 20, 30, 40, 50]), st.sampled_from(["a", "b", "c"])), max_size=4
        )
    )
    def put(self, kinds):
        events = []
        for level, fingerprint in kinds:
            self.made += 1
            events.append(make_event(level=level, fingerprint=fingerprint, id=f"{self.made:032x}"))
        next_key = self.buffer.next_key()
        evicted = self.buffer.put(events)
        self.held.update((event.id, event) for event in events)
        refused = sum(lost.key is None for lost in evicted)
        assert self.buffer.next_key() == next_key + len(events) - refused
        for lost in evicted:
            assert lost.event.id not in self.leased
            del self.held[lost.event.id]

    @rule(count=st.integers(1, 4))
    def lease(self, count):
        ready = self.buffer.ready()
        leases = self.buffer.lease(count)
        assert len(leases) == min(count, ready)
        for lease in leases:
            assert lease.event.id in self.held
            assert lease.event.id not in self.leased
            self.leased[lease.event.id] = lease

    @precondition(lambda self: self.leased)
    @rule(data=st.data())
    def ack(self, data):
        lease = self.leased.pop(data.draw(st.sampled_from(list(self.leased))))
        self.buffer.ack([lease])
        del self.held[lease.event.id]

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), delay=st.sampled_from([0.0, 0.5, 3.0]))
    def nack(self, data, delay):
        self.buffer.nack(self.leased.pop(data.draw(st.sampled_from(list(self.leased)))), delay)

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0]))
    def wait(self, seconds):
        self.clock.advance(seconds)

    @invariant()
    def adds_up(self):
        if not hasattr(self, "buffer"):
            return
        assert len(self.buffer) == len(self.held) == len(self.buffer.keys())
        assert max(self.buffer.keys(), default=-1) < self.buffer.next_key()
        assert len(self.buffer) <= self.capacity
        assert bool(self.buffer.bytes()) == bool(self.held)
        if isinstance(self.buffer, MemoryBuffer):
            assert self.buffer.bytes() == sum(map(weight, self.held.values()))
        ready_in = self.buffer.ready_in()
        assert (ready_in is None) == (len(self.held) == len(self.leased))
        assert (ready_in == 0.0) == bool(self.buffer.ready())
        assert bool(self.buffer.ready_bytes()) == bool(self.buffer.ready())


TestBufferMachine = BufferMachine.TestCase
