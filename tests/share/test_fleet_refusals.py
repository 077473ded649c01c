"""A Redis that will not do is refused with the remedy, at the first use, and no secret is shown."""

from __future__ import annotations

import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from fleets import CANARY, PROBLEM, address, coordinator, fallback
from redis_server import RedisServer

from eventlog_handlers.errors import MissingExtraError
from eventlog_handlers.settings.secret import Secret
from eventlog_handlers.share import redis_link
from eventlog_handlers.share.allowance import Allowances
from eventlog_handlers.share.contract import Occurrence, UnavailableError, Verdict
from eventlog_handlers.share.fleet_url import fleet_address
from eventlog_handlers.share.redis_link import RedisLink


def refusal(server: RedisServer, **changes) -> str:
    """The sentence at the first use; it shows no secret, and a fallback would go on."""
    member = coordinator(server, address=address(server, **changes))
    with pytest.raises(UnavailableError) as caught:
        member.take()
    assert caught.value.remedy
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(member.__dict__)
    return str(caught.value)


def test_f09_a_redis_that_wants_a_password_is_told_where_to_put_it(own) -> None:
    """No password, a wrong one, one too many, a user without rights."""
    server = own(requirepass=CANARY)
    assert "wants a password: set EVENTLOG_REDIS_PASSWORD" in refusal(server)
    assert "refuses user and password" in refusal(server, password=Secret(f"not {CANARY}"))
    assert coordinator(server, address=address(server, password=Secret(CANARY))).take().is_taken
    server.client().execute_command("ACL", "SETUSER", "poor", "on", f">{CANARY}", "+ping", "+info", "~*")
    poor = refusal(server, username=Secret("poor"), password=Secret(CANARY))
    assert "lacks rights: give it +@read" in poor
    server.client().execute_command(
        "ACL", "SETUSER", "rich", "on", f">{CANARY}", *redis_link._RIGHTS.split(" ")
    )
    rich = address(server, username=Secret("rich"), password=Secret(CANARY))
    member = coordinator(server, address=rich, allowances=Allowances(((9, "day"),)))
    assert member.take().is_taken
    assert member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)]) == [Verdict.OPENED]
    assert member.charge([True]) == [None]
    member.publish({})
    member.leave_sample(PROBLEM, b"{}")


def test_f09_a_redis_that_would_lose_counts_is_refused(own) -> None:
    """It evicts keys; without a memory limit it never does."""
    server = own(maxmemory="100mb", maxmemory_policy="allkeys-lru")
    assert "evicts keys (maxmemory-policy allkeys-lru)" in refusal(server)
    assert "set maxmemory-policy noeviction" in refusal(server)
    server.client().config_set("maxmemory", "0")
    assert coordinator(server).take().is_taken


def test_f09_a_cluster_is_refused(own) -> None:
    """With the remedy."""
    server = own(cluster_enabled="yes")

    assert "is a cluster: give a single Redis" in refusal(server)


def test_f09_a_replica_is_refused_and_one_that_becomes_one(own, tmp_path: Path) -> None:
    """Before the first script, and at any later one."""
    server = own()
    member = coordinator(server)
    member.take()
    server.client().execute_command("REPLICAOF", "127.0.0.1", "1")

    with pytest.raises(UnavailableError, match="read-only: give the address of the primary"):
        member.take()
    assert "read-only" in refusal(server)


def test_f09_an_old_redis_is_refused(server: RedisServer, monkeypatch) -> None:
    """6.2 has what the scripts use; Valkey's number is another."""
    link = RedisLink(address(server))
    with pytest.raises(UnavailableError, match=r"Redis 6\.0\.16 is too old: use Redis 6\.2"):
        link._check({"redis_version": "6.0.16"})
    link._check({"redis_version": "6.2.0"})
    link._check({"redis_version": "7.2.4", "valkey_version": "8.0.1"})


def test_a_database_that_is_not_there_is_refused(server: RedisServer) -> None:
    """Servers have sixteen unless told otherwise."""
    assert "has no database 99" in refusal(server, database=99)


def test_what_is_no_redis_is_refused() -> None:
    """A web server's answer, TLS where there is none, and nobody at all."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    threading.Thread(target=answer, daemon=True).start()
    web = fleet_address(f"redis://127.0.0.1:{port}", {}, option="scope")
    with pytest.raises(UnavailableError, match="does not answer as Redis does: look at host and port"):
        RedisLink(web).command("PING")
    with pytest.raises(UnavailableError, match="does not answer"):
        RedisLink(web._replace(is_tls=True)).command("PING")
    listener.close()
    with pytest.raises(UnavailableError, match="does not answer"):
        RedisLink(web).command("PING")


def test_f05_a_stopped_redis_holds_up_for_its_timeouts_only(own, runtime: Path) -> None:
    """SIGSTOP: connections are accepted by the kernel, and nobody answers."""
    server = own()
    member = fallback(server, runtime)
    server._process.send_signal(signal.SIGSTOP)
    started = time.monotonic()

    place = member.take()

    assert place.is_taken
    assert time.monotonic() - started < 30
    server._process.send_signal(signal.SIGCONT)


def test_without_redis_py_the_pip_line_is_named(monkeypatch) -> None:
    """At construction."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(MissingExtraError, match=r"pip install 'eventlog-handlers\[redis\]'"):
        redis_link.require_redis()
