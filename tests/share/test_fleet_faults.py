"""Redis killed, slow, flushed, full, cut off: processes go on, and no count is lost."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from around import Said
from cut_link import CutLink
from fleets import PROBLEM, address, coordinator, fallback
from redis.exceptions import OutOfMemoryError
from redis_server import RedisServer

from eventlog_handlers.share.contract import Occurrence, Verdict
from eventlog_handlers.share.fleet_scripts import prefix


def test_f04_redis_killed_and_started_again_keeps_every_count(own, runtime: Path) -> None:
    """AOF: what was answered is there again; meanwhile the host shares, and says so once."""
    server = own(appendonly="yes", appendfsync="always")
    said = Said()
    member = fallback(server, runtime, said)
    assert member.take().is_taken
    member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)])
    member.fold([Occurrence(PROBLEM, 3, 0.0, 0.0)])
    server.kill()

    assert member.take().is_taken
    assert member.state()["scope"] == "host"
    assert member.state()["instead_of"] == "redis"
    assert member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)]) == [Verdict.OPENED]
    assert member.fold([Occurrence(PROBLEM, 2, 0.0, 0.0)]) == [Verdict.COUNTED]
    assert [text for text in said.texts if "does not answer" in text] == said.texts
    server.start()
    told = 0
    deadline = time.monotonic() + 60
    while told < 5:
        assert time.monotonic() < deadline, (told, member.state())
        tellings = member.due(everything=True)
        member.told(tellings)
        told += sum(telling.count for telling in tellings)
        time.sleep(0.05)

    assert told == 5
    assert member.state()["scope"] == "redis"
    assert "sharing with other processes again (scope redis)" in said.texts[-1]
    sums = member.sums()
    assert (sums.counted, sums.told, sums.open, sums.telling) == (3, 3, 0, 0)


def test_f05_a_slow_redis_costs_a_second_and_then_nothing(server: RedisServer, runtime: Path) -> None:
    """CLIENT PAUSE: one timeout, then the host's own scope answers at once."""
    member = fallback(server, runtime)
    member.take()
    server.client().client_pause(4_000)
    started = time.monotonic()
    first = member.take()
    once = time.monotonic() - started
    started = time.monotonic()
    for _ in range(5):
        member._reach.probe_at = time.monotonic() + 100
        member.take()
    after = time.monotonic() - started

    assert first.is_taken
    assert once >= 0.9
    assert after < once
    assert member.state()["why"].startswith(f"redis://127.0.0.1:{server.port}/0 does not answer")
    server.client().client_unpause()


def test_f06_a_flushed_redis_is_used_on(server: RedisServer) -> None:
    """FLUSHALL and SCRIPT FLUSH: keys and scripts are made again; only what was flushed is gone."""
    member = coordinator(server)
    member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)])
    member.fold([Occurrence(PROBLEM, 3, 0.0, 0.0)])
    server.client().flushall()
    server.client().script_flush()

    assert member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)]) == [Verdict.OPENED]
    assert member.fold([Occurrence(PROBLEM, 2, 0.0, 0.0)]) == [Verdict.COUNTED]
    assert member.take().is_taken
    assert member.sums().open == 2


def test_f07_a_full_redis_is_named_and_the_host_counts(own, runtime: Path) -> None:
    """maxmemory with noeviction: nothing is evicted, the events stay with their process."""
    server = own(maxmemory="100mb", maxmemory_policy="noeviction")
    said = Said()
    member = fallback(server, runtime, said)
    member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)])
    client = server.client()
    client.config_set("maxmemory", "1")
    with pytest.raises(OutOfMemoryError):
        client.set("another", "application")

    assert member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)]) == [Verdict.OPENED]
    assert member.fold([Occurrence(PROBLEM, 4, 0.0, 0.0)]) == [Verdict.COUNTED]
    assert "is full: raise its maxmemory" in said.texts[0]
    client.config_set("maxmemory", "100mb")
    client.flushall()
    member._reach.probe_at = 0.0
    assert member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)]) == [Verdict.OPENED]
    assert member.state()["scope"] == "redis"


def test_f08_cut_links_lose_no_count(server: RedisServer, runtime: Path) -> None:
    """The link breaks again and again; whatever Redis or the host counted is told."""
    link = CutLink(server.port)
    member = fallback(server, runtime, address=address(server, port=link.port), rand=random.random)
    opened = counted = 0
    for number in range(300):
        link.is_down = number % 50 > 35
        if number % 7 == 0:
            link.lose_answers_to = PROBLEM.hex().encode()
        if number % 50 == 0:
            member._reach.probe_at = 0.0
        verdict = member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)])[0]
        counted += verdict is Verdict.COUNTED
        opened += verdict is Verdict.OPENED
    link.is_down, link.lose_answers_to = False, None
    told = 0
    deadline = time.monotonic() + 60
    while told < counted:
        assert time.monotonic() < deadline, (told, counted)
        member._reach.probe_at = 0.0
        tellings = member.due(everything=True)
        member.told(tellings)
        told += sum(telling.count for telling in tellings)
        time.sleep(0.01)

    assert opened + counted == 300
    assert told == counted
    assert link.lost > 0
    link.close()


def test_a_replica_is_waited_for(own, tmp_path: Path) -> None:
    """wait_replicas=1: a count is answered when a replica has it, and one that is behind is counted."""
    primary = own()
    with_replica = coordinator(primary, address=address(primary, wait_replicas=1))
    with_replica.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)])
    assert with_replica.state()["replicas_behind"] >= 1
    (tmp_path / "replica").mkdir()
    replica = RedisServer(tmp_path / "replica", replicaof=f"127.0.0.1 {primary.port}")
    try:
        deadline = time.monotonic() + 30
        while replica.client().info("replication")["master_link_status"] != "up":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        counted = 0
        while True:  # the link is up before the replica confirms: the first answers may still be behind
            assert time.monotonic() < deadline
            before = with_replica.state()["replicas_behind"]
            assert with_replica.fold([Occurrence(PROBLEM, 2, 0.0, 0.0)]) == [Verdict.COUNTED]
            counted += 2
            if with_replica.state()["replicas_behind"] == before:
                break
        assert replica.client().hget(f"{prefix('q')}f:{PROBLEM.hex()}", "count") == str(counted).encode()
    finally:
        replica.stop()


def test_f40_a_replica_takes_over_with_every_count(own, tmp_path: Path, runtime: Path) -> None:
    """wait_replicas=1; what is counted while nobody answers is the host's, and told as well."""
    primary = own()
    (tmp_path / "replica").mkdir()
    replica = RedisServer(tmp_path / "replica", replicaof=f"127.0.0.1 {primary.port}")
    link = CutLink(primary.port)
    try:
        deadline = time.monotonic() + 60
        while replica.client().info("replication")["master_link_status"] != "up":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        member = fallback(primary, runtime, address=address(primary, port=link.port, wait_replicas=1))
        counted = 0
        for number in range(40):
            if number == 20:
                primary.kill()
            verdict = member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)])[0]
            counted += verdict is Verdict.COUNTED
        replica.client().replicaof("NO", "ONE")
        link.target = replica.port
        told = 0
        while told < counted or member.state()["scope"] != "redis":
            assert time.monotonic() < deadline, (told, counted)
            tellings = member.due(everything=True)
            member.told(tellings)
            told += sum(telling.count for telling in tellings)
            time.sleep(0.05)
    finally:
        link.close()
        replica.stop()

    assert counted == told == 38, "the first of each scope is an event of its own"


def test_f02_killed_processes_leave_exact_counts(server: RedisServer, tmp_path: Path) -> None:
    """Six processes count into Redis and tell; kill -9 at any moment; counted, told and open agree."""
    script = f"""
import sys, time, random
sys.path[:0] = {sys.path!r}
from eventlog_handlers.share.fleet import FleetCoordinator
from eventlog_handlers.share.fleet_url import fleet_address
from eventlog_handlers.share.redis_link import RedisLink
from eventlog_handlers.share.contract import Occurrence
member = FleetCoordinator(RedisLink(fleet_address({server.url!r}, {{}}, option="scope")), "q", limits=None,
    clock=time.monotonic, rand=random.random, window_seconds=0.1)
while True:
    member.fold([Occurrence(bytes([random.randrange(5)]) * 16, 1, 0.0, 0.0)])
    for telling in member.due(everything=random.random() < 0.05):
        member.told([telling])
"""
    running = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(6)]
    observer = coordinator(server)
    try:
        ended = 0
        deadline = time.monotonic() + 100
        while ended < 12:
            assert time.monotonic() < deadline
            before = observer.sums().counted
            while observer.sums().counted < before + 50:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            victim = running.pop(0)
            victim.kill()
            victim.wait(20)
            ended += 1
            running.append(subprocess.Popen([sys.executable, "-c", script]))
    finally:
        for process in running:
            process.kill()
            process.wait(20)

    sums = observer.sums()
    assert sums.counted - sums.told - sums.open - sums.telling == 0
    assert sums.counted > 500
    assert sums.told > 0


def test_a_forked_child_has_a_connection_of_its_own(server: RedisServer) -> None:
    """Nobody reads the answer to another one's question."""
    parent = coordinator(server, limits=None)
    parent.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)])
    child = os.fork()
    if child == 0:
        status = 1
        try:
            parent.after_fork_in_child()
            for _ in range(50):
                assert parent.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)]) == [Verdict.COUNTED]
            status = 0
        finally:
            os._exit(status)
    for _ in range(50):
        assert parent.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)]) == [Verdict.COUNTED]
    assert os.waitpid(child, 0)[1] == 0

    assert parent.sums().open == 100


def test_threads_share_one_member(server: RedisServer) -> None:
    """Calls have numbers of their own, also from eight threads."""
    member = coordinator(server, limits=None)
    member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)])
    threads = [
        threading.Thread(target=lambda: [member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)]) for _ in range(25)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert member.sums().open == 200
