"""The whole way: applications → Redis → relays → the stand-in, while processes and Redis are killed."""

from __future__ import annotations

import signal

import pytest
from cut_link import CutLink
from law import assert_law
from redis_server import RedisServer
from relays import FAST_CMS, FAST_GUANCE, App, RelayProcess, dsn, log_calls, look, uids, until, waits

from eventlog_handlers.console.script import Step
from eventlog_handlers.console.server import LocalConsole

pytestmark = pytest.mark.timeout(400)  # of several processes, on a machine that has other things to do
SLOW_GUANCE = "guance=guance://cn1?requests_per_minute=6&timeout=1"
"""One at once, then one in ten seconds: what a relay has in hand stays there."""


@pytest.fixture
def console():
    """Without quotas: what a test waits for does not depend on them."""
    with LocalConsole() as one:
        one.lift_quotas()
        yield one


def titles(console: LocalConsole) -> list[str]:
    return [event.title for event in console.events("guance")]


def test_f21_all_events_arrive_and_none_twice(server, console):
    """Three applications without any credential, two queues, two relays for each."""
    both = f"{dsn(server, 'guance')} {dsn(server, 'cms')}"
    apps = [App(both, name, 40) for name in ("one ", "two ", "three ")]
    with (
        RelayProcess(server, console.url, FAST_GUANCE, FAST_CMS) as first,
        RelayProcess(server, console.url, FAST_CMS, FAST_GUANCE) as second,
    ):
        ended = [app.end() for app in apps]
        until(lambda: len(uids(console, "guance")) >= 120 and len(uids(console, "cms")) >= 120, "all events")
        until(lambda: waits(server, "guance") == waits(server, "cms") == 0, "all is settled")
        seen = look(server)
        assert (first.stop(), second.stop()) == (0, 0), first.output() + second.output()

    for said in ended:
        assert said["settled"]
        for stats in said["stats"].values():
            assert_law(stats)
            assert stats["delivered"] == 40
    for service in ("guance", "cms"):
        assert len(uids(console, service)) == len(set(uids(console, service))) == 120
        assert len(seen[service].relays) == 2
        assert seen[service].totals == {"put": 120, "folded": 0, "delivered": 120, "dropped": 0, "dead": 0}
    assert all(one.relays == [] and one.problem() == "" for one in look(server).values())
    assert not console.refused()


def test_f22_repeats_of_all_processes_are_one_event_and_one_summary(server, console):
    """The counts add up to the number of log calls."""
    short = dsn(server, "guance", "&aggregate_seconds=30")
    with RelayProcess(server, console.url, FAST_GUANCE) as relay:
        relay.wait_until_it_serves()
        apps = [App(short, "", 1) for _ in range(6)]
        for app in apps:
            assert app.end()["settled"]

        until(lambda: log_calls(console, "guance") == 6, "all log calls are told of")
        assert relay.stop() == 0

    assert len(titles(console)) < 6
    assert log_calls(console, "guance") == 6
    totals = look(server)["guance"].totals
    assert totals["put"] + totals["folded"] == 6


def test_f23_sigterm_hands_back_what_is_in_hand(server, console):
    """The next relay has it at once, not after the time that a killed one costs."""
    assert App(dsn(server, "guance"), "", 12).end()["settled"]
    with RelayProcess(server, console.url, SLOW_GUANCE) as relay:
        until(lambda: console.events("guance"), "the first event")
        until(lambda: 0 < look(server)["guance"].in_hand < 12, "the rest in its hands")
        assert relay.stop(signal.SIGTERM) == 0, relay.output()

    one = look(server)["guance"]
    assert one.relays == []
    assert set(one.holders) == {"returned"}
    left = 12 - len(titles(console))
    assert one.holders["returned"] == one.in_hand == left
    with RelayProcess(server, console.url, FAST_GUANCE) as relay:
        until(lambda: len(titles(console)) == 12, "all events")
        assert relay.stop(signal.SIGINT) == 0
    assert len(set(uids(console, "guance"))) == 12
    assert waits(server, "guance") == 0


def test_f24_what_a_killed_relay_had_is_sent_by_another(server, console):
    """SIGKILL: after a while its entries are claimed; copies have the same ids."""
    assert App(dsn(server, "guance"), "", 12).end()["settled"]
    with RelayProcess(server, console.url, SLOW_GUANCE) as relay:
        until(lambda: look(server)["guance"].in_hand > 6, "some in its hands")
        relay.kill()
    with RelayProcess(server, console.url, FAST_GUANCE) as relay:
        until(lambda: len(set(uids(console, "guance"))) == 12, "all events")
        until(lambda: waits(server, "guance") == 0, "all is settled")
        assert relay.stop() == 0

    assert len(uids(console, "guance")) <= 13


def test_f25_redis_killed_and_started_again_loses_nothing(own, console):
    """AOF; applications keep what they can't put, the relay what it can't settle."""
    server = own(appendonly="yes", appendfsync="always")
    app = App(dsn(server, "cms", "&max_age=600"), "", 1_200)
    with RelayProcess(server, console.url, FAST_CMS) as relay:
        for number in (200, 700):
            app.wait_for(number)
            until(lambda: uids(console, "cms"), "some events")
            server.kill()
            server.start()
        said = app.end()
        assert said["settled"], said
        until(lambda: len(set(uids(console, "cms"))) == 1_200, "all events")
        until(lambda: waits(server, "cms") == 0, "all is settled")
        assert relay.stop() == 0, relay.output()

    copies = len(uids(console, "cms")) - 1_200
    assert copies <= 2 * 4 * 50, "what was under way, at each of two kills"


def test_f39_a_replica_takes_over_and_nothing_is_lost(own, console, tmp_path):
    """wait_replicas: what was put is at the replica; what only the dead primary knew is put or sent again."""
    primary = own()
    (tmp_path / "replica").mkdir()
    replica = RedisServer(tmp_path / "replica", replicaof=f"127.0.0.1 {primary.port}")
    link = CutLink(primary.port)
    try:
        until(lambda: replica.client().info("replication")["master_link_status"] == "up", "the replica")
        app = App(dsn(link, "cms", "&max_age=600&wait_replicas=1"), "", 1_200)
        with RelayProcess(link, console.url, FAST_CMS) as relay:
            app.wait_for(500)
            until(lambda: uids(console, "cms"), "some events")
            primary.kill()
            replica.client().replicaof("NO", "ONE")
            link.target = replica.port
            said = app.end()
            assert said["settled"], said
            until(lambda: len(set(uids(console, "cms"))) == 1_200, "all events")
            until(lambda: waits(replica, "cms") == 0, "all is settled")
            assert relay.stop() == 0, relay.output()
    finally:
        link.close()
        replica.stop()

    assert len(uids(console, "cms")) - 1_200 <= 4 * 50, "what was under way when the primary died"


def test_f26_a_slow_redis_delays_and_loses_nothing(server, console):
    """CLIENT PAUSE for writes while both sides work."""
    app = App(dsn(server, "cms"), "", 600)
    with RelayProcess(server, console.url, FAST_CMS) as relay:
        app.wait_for(200)
        server.client().client_pause(3_000, all=False)
        assert app.end()["settled"]
        until(lambda: len(set(uids(console, "cms"))) == 600, "all events")
        until(lambda: waits(server, "cms") == 0, "all is settled")
        assert relay.stop() == 0

    assert len(uids(console, "cms")) == 600


def test_f27_a_full_redis_keeps_events_with_their_processes_and_still_drains(own, console):
    """maxmemory: nothing more is put; relays go on, and with room all arrives."""
    server = own(maxmemory="100mb", maxmemory_policy="noeviction")
    assert App(dsn(server, "guance"), "before ", 10).end()["settled"]
    server.client().config_set("maxmemory", "1")
    late = App(dsn(server, "guance"), "late ", 5, timeout=60)
    with RelayProcess(server, console.url, FAST_GUANCE) as relay:
        until(lambda: len(titles(console)) == 10, "what was in the queue")
        assert late.process.poll() is None
        server.client().config_set("maxmemory", "100mb")
        assert late.end()["settled"]
        until(lambda: len(titles(console)) == 15, "the rest")
        until(lambda: waits(server, "guance") == 0, "all is settled")
        assert relay.stop() == 0
    assert len(set(uids(console, "guance"))) == 15


def test_f28_a_destination_that_is_down_fills_only_its_own_queue(server, console):
    """The other one's events arrive; the first's wait and arrive later."""
    fault = console.script.start("guance", Step(handled=False, cut=True), count=None, seconds=None)
    both = f"{dsn(server, 'guance')} {dsn(server, 'cms')}"
    with RelayProcess(server, console.url, FAST_GUANCE, FAST_CMS) as relay:
        assert App(both, "", 60).end()["settled"]
        until(lambda: len(uids(console, "cms")) == 60, "all of the other queue")
        assert (waits(server, "guance"), uids(console, "guance")) == (60, [])
        assert waits(server, "cms") == 0
        console.script.stop(fault.number)
        until(lambda: len(set(uids(console, "guance"))) == 60, "all events")
        until(lambda: waits(server, "guance") == 0, "all is settled")
        assert relay.stop() == 0


def test_f29_one_event_that_is_refused_costs_none_of_its_neighbours(server, console):
    """It is kept with the reason, and told."""
    console.script.refuse("cms", "problem bad", code="InvalidContent")
    with RelayProcess(server, console.url, FAST_CMS) as relay:
        for name, count in (("", 40), ("bad ", 1), ("more ", 40)):
            assert App(dsn(server, "cms"), name, count).end()["settled"]
        until(lambda: len(set(uids(console, "cms"))) >= 80, "its neighbours")
        until(lambda: look(server)["cms"].dead == 1, "the refused one is kept")
        until(lambda: waits(server, "cms") == 0, "all is settled")
        assert relay.stop() == 0

    one = look(server)["cms"]
    assert one.totals["dropped"] == 1
    assert "1 events were given up" in one.problem()
    ((_, fields),) = server.client().xrange("evh:1:{cms}:dead")
    assert fields[b"reason"] == b"rejected: InvalidContent"
    assert b"problem bad" in fields[b"b"]


def test_the_rate_limit_is_one_for_all_relays_of_an_account(server):
    """Two queues lead to one account, two relays serve both; the stand-in has its real limit."""
    queues = [f"{name}=cms://cn-hangzhou?batch_size=1&concurrency=1" for name in ("one", "two")]
    with (
        LocalConsole() as console,
        RelayProcess(server, console.url, *queues) as first,
        RelayProcess(server, console.url, *queues) as second,
    ):
        first.wait_until_it_serves()
        second.wait_until_it_serves()
        apps = [App(dsn(server, queue), f"{queue} ", 40) for queue in ("one", "two")]
        assert all(app.end()["settled"] for app in apps)
        until(lambda: len(set(uids(console, "cms"))) == 80, "all events")
        assert (first.stop(), second.stop()) == (0, 0)
        assert not console.refused()
        received = sorted(event.received for event in console.events("cms"))
        assert received[-1] - received[0] > (80 - 5) / 10 * 0.8
