"""A fleet over Redis: places booked ahead, and no occurrence counted twice."""

from __future__ import annotations

import itertools
import os
import time

import pytest
from cut_link import CutLink
from fleets import LIMITS, PROBLEM, address, coordinator
from redis_server import RedisServer

from eventlog_handlers.share.allowance import Allowances
from eventlog_handlers.share.contract import Occurrence, Telling, Verdict
from eventlog_handlers.share.fleet import FleetCoordinator
from eventlog_handlers.share.fleet_scripts import prefix
from eventlog_handlers.share.redis_link import RedisLink


def test_places_are_booked_five_seconds_ahead(server: RedisServer) -> None:
    """Six members, one a second: each has a second of its own; the seventh asks again in 5 to 10 s."""
    places = [coordinator(server).take() for _ in range(7)]

    assert all(place.is_taken for place in places[:6])
    assert [round(place.wait) for place in places[:6]] == [0, 1, 2, 3, 4, 5]
    moments = [place.at for place in places[:6]]
    assert [round(later - earlier, 2) for earlier, later in itertools.pairwise(moments)] == [1.0] * 5
    assert (places[6].is_taken, places[6].wait) == (False, 7.5)


def test_a_hint_of_the_service_holds_for_all(server: RedisServer) -> None:
    """One member is throttled, the others wait as well and are slower afterwards."""
    one, other = coordinator(server), coordinator(server)
    one.take()
    one.throttled(3.0)

    place = other.take()

    assert place.is_taken
    assert 2.5 < place.wait <= 3.0
    other.answered()
    assert float(server.client().hget(f"{prefix('q')}pace", "slowdown")) == pytest.approx(0.55)


def test_waiting_members_hardly_ask(server: RedisServer) -> None:
    """A place that is not near costs one question in 5 to 10 s, and no fraction of a second."""
    members = [coordinator(server) for _ in range(40)]
    before = server.client().info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
    waits = [member.take().wait for member in members]

    assert sum(wait >= 5.0 for wait in waits) >= 34
    assert server.client().info("commandstats")["cmdstat_evalsha"]["calls"] - before == 40


def test_clocks_of_hosts_do_not_matter(server: RedisServer) -> None:
    """All moments are the server's: a host whose clock is a day ahead gets the next place as any other."""
    coordinator(server).take()
    ahead = FleetCoordinator(
        RedisLink(address(server)),
        "q",
        limits=LIMITS,
        clock=lambda: time.monotonic() + 86_400,
        rand=lambda: 0.0,
    )

    place = ahead.take()

    assert place.is_taken
    assert 0 < place.wait <= 1.0


def test_accounts_do_not_meet(server: RedisServer) -> None:
    """Each queue has its own keys, all with one hash tag and the schema in front."""
    one = coordinator(server)
    one.take()
    one.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)])
    other = FleetCoordinator(
        RedisLink(address(server)), "other", limits=LIMITS, clock=time.monotonic, rand=lambda: 0.0
    )

    assert other.take().wait == 0.0
    assert all(key.startswith((b"evh:1:{q}:", b"evh:1:{other}:")) for key in server.client().scan_iter())


def test_a_lost_answer_is_asked_for_again_and_counted_once(server: RedisServer) -> None:
    """The script ran, the link broke: the same call gets the same verdicts."""
    link = CutLink(server.port)
    member = coordinator(server, address=address(server, port=link.port))
    member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)])
    link.lose_answers_to = PROBLEM.hex().encode()

    verdicts = member.fold([Occurrence(PROBLEM, 5, 1.0, 2.0)])

    assert link.lost == 1
    assert verdicts == [Verdict.COUNTED]
    assert member.sums().open == 5
    assert member.sums().counted == 5
    link.close()


def test_a_member_looks_again_where_it_could_not_tell_everything_at_once(server: RedisServer) -> None:
    """A hundred summaries come with one answer; a flush goes on until the last is told."""
    member = coordinator(server)
    many = [Occurrence(bytes([number]) * 16, 1, 0.0, 0.0) for number in range(101)]
    member.fold(many)
    member.fold(many)

    first = member.due(everything=True)
    member.told(first)
    assert member.next_look() is not None
    rest = member.due(everything=True)
    member.told(rest)

    assert (len(first), len(rest)) == (100, 1)
    assert member.next_look() is None


def test_a_summary_whose_teller_never_heard_of_it_is_told_by_another(
    server: RedisServer, monkeypatch
) -> None:
    """Its lease runs out, and the next look gives the same id and count."""
    member = coordinator(server, window_seconds=0.1)
    monkeypatch.setattr("eventlog_handlers.share.fleet.TELL_SECONDS", 0.2)
    member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)])
    member.fold([Occurrence(PROBLEM, 3, 1.0, 2.0)])
    first = member.due(everything=True)
    other = coordinator(server, window_seconds=0.1)
    assert other.due(everything=True) == []
    deadline = time.monotonic() + 20
    again: list[Telling] = []
    while not again and time.monotonic() < deadline:
        time.sleep(0.05)
        again = other.due(everything=True)

    assert again == first
    assert again[0].id == first[0].id
    other.told(again)
    member.told(first)
    assert (other.sums().told, other.sums().telling) == (3, 0)


def test_a_full_table_sends_and_forgets_nothing(server: RedisServer, monkeypatch) -> None:
    """A new problem is sent uncounted; one that is quiet gives way."""
    monkeypatch.setattr("eventlog_handlers.share.fleet.MAX_PROBLEMS", 2)
    member = coordinator(server, window_seconds=0.1)
    problems = [bytes([number]) * 16 for number in range(3)]
    for problem in problems[:2]:
        member.fold([Occurrence(problem, 1, 0.0, 0.0)])
    member.fold([Occurrence(problems[0], 4, 0.0, 0.0)])

    assert member.fold([Occurrence(problems[2], 1, 0.0, 0.0)]) == [Verdict.SEND]
    time.sleep(0.15)
    assert member.fold([Occurrence(problems[2], 1, 0.0, 0.0)]) == [Verdict.OPENED]
    assert member.sums().open == 4


def test_members_and_their_counters_are_listed(server: RedisServer) -> None:
    """For whoever looks at the fleet; a sample is kept for another process's summary."""
    one, other = coordinator(server), coordinator(server)
    one.publish({"accepted": 7})
    other.publish({"accepted": 8})
    one.leave_sample(PROBLEM, b"{}")
    one.leave_sample(PROBLEM, b"x" * 65_537)

    assert sorted(member.counters["accepted"] for member in other.members()) == [7, 8]
    assert {member.pid for member in other.members()} == {os.getpid()}
    assert all(member.is_here for member in other.members())
    assert other.sample(PROBLEM) == b"{}"


def test_what_nobody_uses_any_more_expires_and_counts_never_do(server: RedisServer) -> None:
    """Every key has an end but an untold count, its place in the table, and the sums."""
    member = coordinator(server, allowances=Allowances(((5, "hour"),)))
    member.take()
    member.charge([True])
    member.publish({})
    member.leave_sample(PROBLEM, b"{}")
    member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0), Occurrence(b"q" * 16, 1, 0.0, 0.0)])
    member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)])
    client = server.client()

    lasting = {key.decode().rpartition("}:")[2] for key in client.scan_iter() if client.ttl(key) == -1}

    assert lasting == {f"f:{PROBLEM.hex()}", "folds", "stats"}
