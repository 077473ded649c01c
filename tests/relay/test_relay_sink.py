"""Putting into a queue, against a real Redis: a verdict for each event, no copy, remedies."""

from __future__ import annotations

import threading
import time

import pytest
from cut_link import CutLink
from queues import QUEUE, address, events, length, put, sink
from redis_server import RedisServer

from eventlog_handlers.errors import MisconfiguredError, TransientError
from eventlog_handlers.events import Disposition
from eventlog_handlers.services.relay import scripts
from eventlog_handlers.services.relay.entry import entry_of
from eventlog_handlers.services.relay.sink import _MOST_DOUBTS, Calls
from eventlog_handlers.share.fleet_scripts import prefix
from eventlog_handlers.share.redis_link import RedisLink
from eventlog_handlers.testing import make_event

CANARY = "s3cret-canary"
PREFIX = prefix(QUEUE)


def send(sender, some, timeout=5.0):
    return sender.send([sender.encode(event) for event in some], timeout=timeout)


def test_f11_each_event_is_put_once_in_the_stream_of_its_severity(server):
    """A verdict for each, in order."""
    sender = sink(server)
    outcomes = send(sender, [*events(3), *events(2, level=50), *events(1, level=20)])

    assert [outcome.disposition for outcome in outcomes] == [Disposition.DELIVERED] * 6
    assert [server.client().xlen(f"{PREFIX}s{severity}") for severity in range(4)] == [2, 3, 0, 1]
    ((_, fields),) = server.client().xrange(f"{PREFIX}s3")
    assert fields[b"v"] == b"1"
    assert set(fields) == {b"v", b"fp", b"n", b"b"}
    sender.close()


def test_f12_repeats_of_all_processes_are_counted_when_they_are_put(server):
    """The first goes into the stream, the others into the count of its problem, whoever had them."""
    for _ in range(3):
        put(server, [make_event("it broke", count=5)])

    assert length(server) == 1
    problem = sink(server).encode(make_event("it broke")).body.problem
    assert server.client().hget(f"{PREFIX}f:{problem}", "count") == b"10"
    assert server.client().get(f"{PREFIX}f:{problem}:sample")
    put(server, [make_event("it broke"), make_event("it broke")], aggregate_seconds=None)
    assert length(server) == 3


@pytest.mark.parametrize("folded", [60.0, None])
def test_f13_a_lost_answer_makes_no_copy(server, folded):
    """The events come again in other batches, with others, from several threads; Redis knows the calls."""
    link = CutLink(server.port)
    sender = sink(server, url=f"redis://127.0.0.1:{link.port}/0", aggregate_seconds=folded)
    some, others = events(6), events(2)
    send(sender, events(1))  # the script is loaded
    link.lose_answers_to = some[0].id.encode()
    with pytest.raises(TransientError) as lost:
        send(sender, some)
    assert lost.value.ambiguous
    assert length(server) == 7

    for batch in ([some[0], others[0]], some[1:4], [*some[4:], others[1]]):
        assert {outcome.disposition for outcome in send(sender, batch)} == {Disposition.DELIVERED}

    assert length(server) == 9
    send(sender, events(1))
    assert len(server.client().keys(f"{PREFIX}put:*")) == 1, "what is settled is forgotten"
    sender.close()
    link.close()


def test_f13_a_lost_answer_counts_no_repeat_twice(server):
    """Counts are exact as well."""
    link = CutLink(server.port)
    sender = sink(server, url=f"redis://127.0.0.1:{link.port}/0")
    send(sender, [make_event("it broke")])
    repeat = make_event("it broke", count=7)
    link.lose_answers_to = repeat.id.encode()
    with pytest.raises(TransientError):
        send(sender, [repeat])
    send(sender, [repeat])

    problem = sender.encode(repeat).body.problem
    assert server.client().hget(f"{PREFIX}f:{problem}", "count") == b"7"
    sender.close()
    link.close()


def test_f14_a_slow_redis_that_carries_out_a_call_too_late_makes_no_copy(server):
    """CLIENT PAUSE: the call waits in Redis, its sender has given it up."""
    sender = sink(server, timeout=0.2)
    send(sender, events(1))
    some = events(3)
    server.client().client_pause(60_000, all=False)
    with pytest.raises(TransientError, match="does not answer"):
        send(sender, some)
    server.client().client_unpause()
    deadline = time.monotonic() + 30
    while True:
        try:
            send(sender, some)
            break
        except TransientError:
            assert time.monotonic() < deadline
    assert length(server) == 4

    # And one that comes after the call that took its place: it is void.
    late = RedisLink(address(server))
    body = sender.encode(some[0]).body
    words = [body.id, "", body.severity, body.problem, 1, "0", "0", body.fingerprint, body.body]
    caller = sender._calls.caller
    head = [caller, 900, "", 0, 1, 1_000, "1", 60]
    again = [body.id, "899", *words[2:]]
    assert late.run(scripts.PUT, PREFIX, [*head, *again]) == b"s"
    assert late.run(scripts.PUT, PREFIX, [caller, 899, *head[2:], *words]) == b""
    assert length(server) == 5
    sender.close()


def test_f15_a_full_queue_takes_repeats_and_no_more_events(server):
    """They stay with their process, whose policy decides; nothing in the queue is trimmed."""
    sender = sink(server, queue_capacity=3)
    first = [make_event("it broke"), *events(1)]
    send(sender, first)

    outcomes = send(sender, [make_event("it broke"), *events(3)])

    assert [outcome.code for outcome in outcomes] == ["", "", "queue_full", "queue_full"]
    with pytest.raises(TransientError, match=r"holds 3 events: look at the relay .*queue_capacity") as full:
        send(sender, events(2))
    assert not full.value.ambiguous
    assert length(server) == 3
    server.client().delete(f"{PREFIX}s1")
    assert send(sender, events(1))[0].disposition is Disposition.DELIVERED
    sender.close()


def test_f16_a_full_redis_is_named_and_tried_again(own):
    """maxmemory with noeviction; as soon as there is room the events go."""
    server = own(maxmemory="100mb", maxmemory_policy="noeviction")
    sender = sink(server)
    send(sender, events(1))
    server.client().config_set("maxmemory", "1")

    with pytest.raises(TransientError, match="is full: raise its maxmemory") as full:
        send(sender, events(2))

    assert not full.value.ambiguous
    server.client().config_set("maxmemory", "100mb")
    send(sender, events(2))
    assert length(server) == 3


def test_f17_a_redis_that_will_not_do_is_refused_with_the_remedy(own):
    """Evicting, NOAUTH, a replica; all events wait, one probes now and then."""
    server = own(maxmemory="100mb", maxmemory_policy="allkeys-lru")
    with pytest.raises(MisconfiguredError, match=r"evicts keys .*set maxmemory-policy noeviction"):
        send(sink(server), events(1))
    client = server.client()
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("requirepass", CANARY)
    with pytest.raises(MisconfiguredError, match="wants a password: set EVENTLOG_REDIS_PASSWORD"):
        send(sink(server), events(1))
    with pytest.raises(MisconfiguredError, match="refuses user and password") as refused:
        send(sink(server, url=f"redis://:not{CANARY}@127.0.0.1:{server.port}/0"), events(1))
    assert CANARY not in str(refused.value)
    right = sink(server, url=f"redis://:{CANARY}@127.0.0.1:{server.port}/0")
    assert send(right, events(1))[0].disposition is Disposition.DELIVERED
    assert CANARY not in repr(vars(right))
    server.client(password=CANARY).execute_command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(MisconfiguredError, match="read-only: give the address of the primary"):
        send(right, events(1))


def test_f17_a_cluster_and_an_old_redis_are_refused(own, monkeypatch):
    """At the first use."""
    server = own(cluster_enabled="yes")
    with pytest.raises(MisconfiguredError, match="is a cluster: give a single Redis"):
        send(sink(server), events(1))
    checked = RedisLink._check
    monkeypatch.setattr(RedisLink, "_check", lambda self, info: checked(self, {"redis_version": "6.0.16"}))
    with pytest.raises(MisconfiguredError, match=r"Redis 6\.0\.16 is too old: use Redis 6\.2"):
        send(sink(server), events(1))


def test_f18_a_flushed_redis_is_used_on(server):
    """FLUSHALL and SCRIPT FLUSH."""
    sender = sink(server)
    send(sender, events(2))
    server.client().flushall()
    server.client().script_flush()

    send(sender, events(3))

    assert length(server) == 3
    sender.close()


def test_threads_of_one_sender_put_side_by_side(server):
    """Nothing is lost and nothing is there twice, also where answers get lost."""
    link = CutLink(server.port)
    sender = sink(server, url=f"redis://127.0.0.1:{link.port}/0", aggregate_seconds=None)
    batches = [events(10) for _ in range(16)]

    def work(mine) -> None:
        for batch in mine:
            left = batch
            while left:
                try:
                    send(sender, left)
                    left = []
                except TransientError:
                    left = left[::-1]

    link.lose_answers_to = batches[3][4].id.encode()
    threads = [threading.Thread(target=work, args=(batches[number::4],)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    ids = [fields[b"b"] for _, fields in server.client().xrange(f"{PREFIX}s1")]
    assert len(ids) == len(set(ids)) == 160
    sender.close()
    link.close()


def test_doubts_are_bounded():
    """Events that never come again are forgotten, the oldest calls first."""
    calls = Calls()
    entry = entry_of(events(1)[0])
    for number in range(_MOST_DOUBTS + 10):
        entries = [entry._replace(id=str(number))]
        call, settled, _ = calls.begin(entries)
        calls.failed(call, settled, entries, is_doubtful=True)

    assert len(calls._doubts) == _MOST_DOUBTS
    assert len(calls._waiting) == _MOST_DOUBTS
    assert calls.begin([entry._replace(id="5")])[1:] == (list(range(1, 11)), [[]])
    assert calls.begin([entry._replace(id="500")])[2] == [[501]]


def test_a_replica_is_waited_for(own):
    """wait_replicas=1: nobody is there, so it waits for half a second, and goes on."""
    server: RedisServer = own()
    sender = sink(server, wait_replicas=1, timeout=5)
    send(sender, events(1))

    assert sender._link.replicas_behind == 1
