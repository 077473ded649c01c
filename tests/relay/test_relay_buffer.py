"""A queue as the buffer of a relay's pipeline, against a real Redis."""

from __future__ import annotations

import pytest
from cut_link import CutLink
from queues import QUEUE, Held, address, dead, events, length, put

from eventlog_handlers.relay.stream import MOST_DELIVERIES
from eventlog_handlers.services.relay.scripts import GROUP
from eventlog_handlers.share.fleet_scripts import prefix
from eventlog_handlers.share.redis_link import RedisLink
from eventlog_handlers.testing import make_event

PREFIX = prefix(QUEUE)


def test_put_claim_lease_ack(server):
    """Each is handed out once; what is acked is out of the queue."""
    some = events(5)
    put(server, some)
    held = Held(server)

    assert held.turn() == 5
    assert (len(held.buffer), held.buffer.ready(), held.buffer.ready_in()) == (5, 5, 0.0)
    leases = held.buffer.lease(10)
    assert sorted(lease.event.id for lease in leases) == sorted(event.id for event in some)
    assert [lease.event for lease in leases if lease.event.id == some[0].id] == [some[0]]
    assert held.buffer.lease(10) == []
    held.buffer.ack(leases[:2])
    assert (len(held.buffer), length(server)) == (3, 3)
    held.buffer.ack(leases[2:])
    assert (len(held.buffer), length(server), held.turn()) == (0, 0, 0)
    assert server.client().hget(f"{PREFIX}stats", "delivered") == b"5"


def test_the_severest_go_first_also_where_they_came_last(server):
    """Of the queue, and of what is in hand."""
    put(server, events(3, level=20))
    put(server, events(3, level=40))
    held = Held(server, room=4)
    held.turn()
    put(server, events(1, level=50))

    first = held.buffer.lease(1)
    assert first[0].event.level == 40
    held.buffer.ack(first)
    held.turn()
    assert held.buffer.lease(1)[0].event.level == 50


def test_what_one_relay_has_another_does_not_get(server):
    """And the room of each is bounded: the rest is anybody's."""
    put(server, events(10))
    one, two = Held(server, "one", room=4, idle_seconds=60), Held(server, "two", room=4, idle_seconds=60)

    assert (one.turn(), two.turn(), one.turn(), two.turn()) == (4, 4, 0, 0)
    assert set(one.messages()) & set(two.messages()) == set()


def test_an_event_that_waits_is_handed_out_again_with_its_attempts_and_its_age(server):
    """nack with a delay; the age is that of the queue."""
    put(server, events(1))
    held = Held(server)
    held.turn()
    (lease,) = held.buffer.lease(1)
    held.buffer.nack(lease, 5.0)

    assert held.buffer.lease(1) == []
    assert held.buffer.ready_in() == 5.0
    held.turn(6.0)
    (again,) = held.buffer.lease(1)
    assert again.attempts == 2
    assert again.age >= 6.0
    assert held.buffer.oldest() == again.age


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("rejected: BadTitle", True), ("unencodable", True), ("given up: 500", True), ("expired", False)],
)
def test_what_is_given_up_is_kept_with_its_reason_where_somebody_should_look(server, reason, kept):
    """The service refused it, or nobody could send it; what is only too old is counted."""
    (event,) = events(1)
    put(server, [event])
    held = Held(server)
    held.turn()
    held.buffer.drop(held.buffer.lease(1), reason)

    assert (length(server), len(held.buffer)) == (0, 0)
    assert [one[b"reason"].decode() for one in dead(server)] == ([reason] if kept else [])
    assert server.client().hget(f"{PREFIX}stats", "dropped") == b"1"
    if kept:
        assert event.id.encode() in dead(server)[0][b"b"]


def test_f31_what_a_killed_relay_had_is_claimed_by_the_next(server):
    """Nothing was said at its end; the copies have the same ids."""
    some = events(4)
    put(server, some)
    gone = Held(server, "gone")
    gone.turn()
    sent = gone.buffer.lease(2)  # delivered, and killed before it could say so

    other = Held(server, "other", idle_seconds=0.0)

    assert other.turn() == 4
    leases = other.buffer.lease(10)
    assert {lease.event.id for lease in leases} == {event.id for event in some}
    assert {lease.event.id for lease in sent} < {lease.event.id for lease in leases}
    other.buffer.ack(leases)
    assert length(server) == 0


def test_f32_a_relay_that_stood_still_sends_nothing_that_another_has(server):
    """What it has in hand is leased only if it was heard a moment ago that it is still its own."""
    put(server, events(3))
    slow, quick = Held(server, "slow"), Held(server, "quick")
    slow.turn()
    in_flight = slow.buffer.lease(1)
    assert quick.turn() == 3
    slow.clock.advance(100)

    assert (slow.buffer.ready(), slow.buffer.lease(10)) == (0, [])
    assert slow.buffer.ready_in() > 0
    slow.stream.idle_seconds = 60
    assert slow.turn(0) == -2
    assert (len(slow.buffer), slow.messages()) == (1, [])
    slow.buffer.ack(in_flight)  # that one was delivered: it is out of the queue, and the other learns of it
    assert len(slow.buffer) == 0
    quick.stream.idle_seconds = 60
    assert quick.turn() == -1
    assert len(quick.messages()) == 2


def test_f32_a_request_of_a_relay_that_stood_still_fails_and_the_other_sends(server):
    """What comes back is not handed out here again."""
    put(server, events(1))
    slow, quick = Held(server, "slow"), Held(server, "quick", idle_seconds=0)
    slow.turn()
    (lease,) = slow.buffer.lease(1)
    quick.turn()
    slow.stream.idle_seconds = 60
    slow.turn()
    slow.buffer.nack(lease, 0.0)

    assert (len(slow.buffer), slow.messages(), slow.turn()) == (0, [], -1)
    assert len(quick.messages()) == 1
    quick.stream.hand_back((ref, 1) for refs in quick.buffer._entries.values() for ref in refs)
    assert slow.turn() == 1
    assert len(slow.messages()) == 1


def test_f33_what_is_handed_back_is_another_s_at_once_and_costs_no_delivery(server):
    """SIGTERM: what no request is under way with."""
    put(server, events(3))
    one, two = Held(server, "one", idle_seconds=60), Held(server, "two", idle_seconds=60)
    one.turn()
    in_flight = one.buffer.lease(1)
    one.buffer.stop()

    assert one.turn() == -2
    assert len(one.buffer) == 1
    assert two.turn() == 2
    assert all(list(refs.values()) == [1] for refs in two.buffer._entries.values())
    one.buffer.nack(in_flight[0], 0.0)
    assert one.turn() == -1
    assert two.turn() == 1
    assert one.turn() == 0, "a relay that stops claims nothing"


def test_f34_an_event_that_kills_relays_is_given_up(server):
    """After five of them; it is kept, counted and told."""
    put(server, events(1))
    for number in range(MOST_DELIVERIES):
        assert Held(server, f"relay {number}").turn() == 1
    last = Held(server, "last")

    assert last.turn() == 1
    assert last.buffer.lost() == [(None, 40, "relays killed")]
    assert (len(last.buffer), length(server)) == (0, 0)
    assert dead(server)[0][b"reason"] == b"every relay that had it was killed"


def test_f35_entries_of_another_version_wait_for_a_relay_that_can_read_them(server):
    """They are neither lost nor in the way; the age is kept."""
    put(server, events(1))
    body = b'{"a newer form": 1}'
    for version in (b"2", b"2", b""):
        server.client().xadd(f"{PREFIX}s1", {"v": version, "b": body})
    old = Held(server, "old")

    assert old.turn() == 1
    assert len(old.messages()) == 1
    assert server.client().xlen(f"{PREFIX}v2:s1") == 2
    assert server.client().xlen(f"{PREFIX}v:s1") == 1
    assert length(server) == 1
    newer = Held(server, "newer", readable=("1", "2"), idle_seconds=60)
    newer.turn()
    assert server.client().exists(f"{PREFIX}v2:s1") == 0
    assert [lost.reason for lost in newer.buffer.lost()] == ["damaged", "damaged"], "this test's body is none"
    assert server.client().xlen(f"{PREFIX}v:s1") == 1


def test_f36_an_entry_that_is_no_event_is_kept_and_counted(server):
    """Whatever put it there."""
    server.client().xadd(f"{PREFIX}s1", {"v": "1", "b": b"{"})
    server.client().xadd(f"{PREFIX}s2", {"v": "1"})
    held = Held(server)

    assert held.turn() == 2
    assert [lost.reason for lost in held.buffer.lost()] == ["damaged", "damaged"]
    assert (length(server), [one[b"reason"] for one in dead(server)]) == (0, [b"damaged", b"damaged"])


def test_f37_a_flushed_queue_loses_what_waited_in_it_and_nothing_in_hand(server):
    """FLUSHALL: the group is made again, and what is in hand is sent from memory."""
    put(server, events(6))
    one, two = Held(server, "one", room=3, idle_seconds=60), Held(server, "two", room=2, idle_seconds=60)
    one.turn()
    two.turn()
    in_flight = one.buffer.lease(1)
    server.client().flushall()
    put(server, events(1))

    assert two.turn() == 1  # its room is free again: nothing of what it has is in the queue
    assert one.turn() == 0
    assert len(one.messages()) + len(in_flight) == 3
    assert len(two.messages()) == 3
    assert "was flushed" in one.said[0]


def test_an_event_that_was_put_twice_goes_once_if_it_is_in_hand(server):
    """A process with a spool was killed between the put and its note of it."""
    (event,) = events(1)
    put(server, [event], aggregate_seconds=None)
    put(server, [event], aggregate_seconds=None)
    held = Held(server)

    assert held.turn() == 1
    held.buffer.ack(held.buffer.lease(10))
    assert length(server) == 0


def test_events_without_budget_are_dropped_and_counted(server):
    """A new one is charged; one that another relay had was charged there."""
    put(server, events(5))
    gone = Held(server, "gone", room=2)
    gone.turn()
    held = Held(server, budget=1)

    assert held.turn() == 5
    assert [lost.reason for lost in held.buffer.lost()] == ["budget", "budget"]
    assert (len(held.messages()), length(server), dead(server)) == (3, 3, [])


def test_f38_without_redis_nothing_is_sent_twice_and_acks_are_made_up_for(server):
    """The link is cut between sending and saying so; it is said as soon as there is a link again."""
    put(server, events(4))
    link = CutLink(server.port)
    held = Held(server, idle_seconds=60, link=RedisLink(address(server, port=link.port)))
    held.turn()
    leases = held.buffer.lease(2)
    link.is_down = True
    held.clock.advance(3)
    held.buffer.ack(leases)

    assert (len(held.buffer), held.buffer.state()["to_settle"]) == (2, 2)
    assert held.turn(10) == 0
    assert held.messages() == [], "nothing says that it is still this relay's"
    assert held.buffer.ready_in() > 0
    link.is_down = False
    assert held.turn() == 0
    assert (held.buffer.state()["to_settle"], held.buffer.state()["trouble"], length(server)) == (0, None, 2)
    assert len(held.messages()) == 2
    assert held.said[0].startswith("the queue q gives no answer; what waits stays there: redis://")
    assert held.said[1:] == ["the queue q answers again"]
    link.close()


def test_consumers_of_relays_that_ended_leave_no_trace(server):
    """One that goes in order takes its name with it."""
    put(server, events(1))
    held = Held(server)
    held.turn()
    held.buffer.stop()
    held.turn()
    assert held.stream.register("guance", "{}") == ""
    assert held.stream.register("guance", "{}", leaves=True) == ""

    names = [one["name"] for one in server.client().xinfo_consumers(f"{PREFIX}s1", GROUP)]
    assert names == [b"returned"]
    assert server.client().zcard(f"{PREFIX}relays") == 0


def test_a_queue_has_one_destination(server):
    """A relay with another one is told which; when nobody serves it any more it may change."""
    one, two = Held(server, "one"), Held(server, "two")

    assert one.stream.register("guance https://a", "{}") == ""
    assert two.stream.register("cms https://b", "{}") == "guance https://a"
    assert two.stream.register("guance https://a", "{}") == ""
    one.stream.register("guance https://a", "{}", leaves=True)
    two.stream.register("guance https://a", "{}", leaves=True)
    assert two.stream.register("cms https://b", "{}") == ""


def test_what_the_pipeline_puts_itself_is_held_in_memory(server):
    """Summaries and notices; they are acked as any."""
    held = Held(server)
    held.turn()
    assert held.buffer.put([make_event("a summary")]) == []

    assert held.messages() == ["a summary"]
    assert length(server) == 0
