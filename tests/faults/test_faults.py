"""Rows B1 to B9, B25 and B27: what can happen to a connection, through the real handlers and real sockets.

Each test ends with the law, by event id against what the server processed.
"""

from __future__ import annotations

import datetime
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from certificates import new_authority
from faults import (
    CLOUDWATCH,
    HASTY,
    SECRET,
    SERVICES,
    Backend,
    Service,
    assert_arrived,
    assert_held,
    assert_law,
    by_hand,
    deliver,
    deliver_but,
    free_port,
    log,
    names,
    running,
)
from faultserver import FaultServer, Reply

from eventlog_handlers import handler as handler_module
from eventlog_handlers.pipeline import retry
from eventlog_handlers.pipeline.gates import Idle

if TYPE_CHECKING:
    import trustme

HTTP_VARIABLES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)

each_service = pytest.mark.parametrize("service", SERVICES, ids=repr)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in HTTP_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture
def _short_rests(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A handler with its own clock rests a fiftieth of the longest time it might by chance."""
    drawn: list[float] = []

    def draw() -> float:
        drawn.append(0.02)
        return 0.02

    monkeypatch.setattr(handler_module, "random_fraction", draw)
    yield
    assert drawn, "no delay came from what this fixture replaced: it shortened nothing"


def url_of(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was said on stderr."""
    return capsys.readouterr().err.splitlines()


def wait_for(condition: Any, seconds: float = 30.0) -> None:
    """Until *condition* holds, which some other thread brings about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


# --- B1: refused -------------------------------------------------------------------------------------------


@each_service
@pytest.mark.usefixtures("_short_rests")
def test_b01_refused_until_somebody_listens(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """What was logged while nobody listened arrives once somebody does; a line for each change on stderr."""
    port = free_port()
    with running(service, url_of(port)) as handler:
        log(handler, names(7))
        wait_for(lambda: handler.stats()["failed_requests"] >= 2)
        assert handler.stats()["state"] == "failing"
        with Backend(service, port=port) as backend:
            assert handler.flush(30)

            assert_arrived(handler, backend, names(7))

    said = lines(capsys)
    assert [words in line for line, words in zip(said, ("not delivering", "again"), strict=True)] == [
        True,
        True,
    ]
    assert f"127.0.0.1:{port}: Connection refused" in said[0]


@each_service
def test_b01_rests_grow_to_a_minute_with_jitter_and_without_end(service: Service) -> None:
    """Full jitter: uniform below 1 s, 2 s, 4 s ... 60 s; no number of failures gives an event up."""
    for rand in (0.25, 0.999):
        with by_hand(service, url_of(free_port()), rand=rand, max_age=86_400) as stepped:
            stepped.log("event 0")
            rests = [stepped.send_once() for _ in range(12)]

            assert_held(stepped.handler, None, 1)
        assert rests == [pytest.approx(rand * min(60.0, 2.0**number)) for number in range(12)]


@each_service
def test_b01_the_queue_is_bounded_and_the_least_severe_goes_first(service: Service) -> None:
    """With room for 20, of 60 events the 20 errors stay; the others are counted by reason and level."""
    port = free_port()
    with by_hand(service, url_of(port), capacity=20) as stepped:
        for number in range(20):
            stepped.log(f"debug {number}", level=logging.DEBUG)
            stepped.log(f"error {number}", level=logging.ERROR)
            stepped.log(f"info {number}", level=logging.INFO)
            stepped.send_once()
        assert_law(stepped.handler.stats())
        with Backend(service, port=port) as backend:
            stats = stepped.settle()

    assert_law(stats)
    assert stats["dropped"] == {"overflow": 40}
    assert stats["dropped_by_level"] == {"DEBUG": 20, "INFO": 20}
    told = "40 events lost: 20 INFO, 20 DEBUG (40 overflow)"
    assert sorted(event.message for event in backend.processed) == sorted(
        [told, *(f"error {number}" for number in range(20))]
    )


def test_b01_the_thread_that_failed_leaves_its_rest_to_the_one_that_sleeps() -> None:
    """That one went to sleep while the request was under way, when there was no time yet to wait for."""
    with by_hand(CLOUDWATCH, url_of(free_port())) as stepped:
        worker = stepped.worker
        pool = worker._life.pool
        pool.threads, pool._is_sleeping = 2, True

        stays = pool.sleep(Idle(0.5, 1))

        assert not stays
        assert pool.threads == 1
        assert pool._tokens.get(timeout=1) is None
        pool.threads, pool._is_sleeping = 0, False


# --- B2: names ---------------------------------------------------------------------------------------------


@each_service
def test_b02_a_name_that_is_unknown_for_a_while(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost while it can't be resolved; the same backoff as for a refused connection."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def unknown(host: Any, *args: Any, **options: Any) -> Any:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with Backend(service) as backend, by_hand(service, f"http://localhost:{backend.port}") as stepped:
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        stepped.log(*names(3))
        rests = [stepped.send_once() for _ in range(3)]
        assert_held(stepped.handler, backend, 3)
        said = stepped.handler.stats()["last_error"]
        monkeypatch.setattr(socket, "getaddrinfo", real)
        stepped.settle()

        assert_arrived(stepped.handler, backend, names(3))
    assert asked == ["localhost"] * 3
    assert rests == [0.5, 1.0, 2.0]
    assert said.startswith("dns: ")


@each_service
@pytest.mark.usefixtures("_short_rests")
def test_b02_flush_returns_in_time_while_the_lookup_hangs(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """getaddrinfo knows no timeout, so the worker is stuck in it; ``flush(t)`` still returns at t."""
    entered, go_on = threading.Event(), threading.Event()
    real = socket.getaddrinfo

    def hanging(*args: Any, **options: Any) -> Any:
        entered.set()
        assert go_on.wait(60)
        return real(*args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    with Backend(service) as backend, running(service, f"http://localhost:{backend.port}") as handler:
        log(handler, names(4))
        assert entered.wait(30)
        started = time.monotonic()
        is_settled = handler.flush(0.3)
        took = time.monotonic() - started
        assert_held(handler, backend, 4)
        go_on.set()

        assert not is_settled
        assert 0.25 < took < 5.0
        assert handler.flush(30)
        assert_arrived(handler, backend, names(4))


# --- B3: TLS -----------------------------------------------------------------------------------------------

_YESTERDAY = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def authorities() -> tuple[trustme.CA, trustme.CA]:
    """The one that is trusted and another."""
    return new_authority(), new_authority()


@pytest.fixture
def bundle(authorities: tuple[trustme.CA, trustme.CA], tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authorities[0].cert_pem.write_to_path(str(path))
    return str(path)


def context_of(
    authority: trustme.CA, name: str, not_after: datetime.datetime | None = None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_after=not_after).configure_cert(context)
    return context


PLAIN = Reply(raw=b"HTTP/1.1 400 Bad\r\n\r\n", answers_anything=True, close=True)
TLS_FAULTS = {
    "unknown authority": lambda ours, other: {"tls": context_of(other, "127.0.0.1")},
    "another name": lambda ours, other: {"tls": context_of(ours, "other.example")},
    "expired": lambda ours, other: {"tls": context_of(ours, "127.0.0.1", _YESTERDAY)},
    "plain port": lambda ours, other: {"reply": PLAIN},
}


@each_service
@pytest.mark.parametrize("fault", TLS_FAULTS)
def test_b03_whoever_cannot_prove_who_it_is_gets_nothing(
    service: Service,
    fault: str,
    authorities: tuple[trustme.CA, trustme.CA],
    bundle: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Held, probed every minute to five, told once, never sent without TLS; delivered once it is mended."""
    wrong = TLS_FAULTS[fault](*authorities)
    with FaultServer(*filter(None, [wrong.get("reply")]), tls=wrong.get("tls")) as impostor:
        port = impostor.port
        with by_hand(service, f"https://127.0.0.1:{port}", ca_bundle=bundle, proxies={}) as stepped:
            stepped.log(*names(12))
            rests = [stepped.send_once() for _ in range(4)]

            assert_held(stepped.handler, None, 12)
            assert stepped.handler.stats()["state"] == "held"
            assert stepped.handler.stats()["last_error"].startswith("tls: ")
            impostor.__exit__(None, None, None)
            with Backend(service, tls=context_of(authorities[0], "127.0.0.1"), port=port) as backend:
                stepped.settle()

                assert_arrived(stepped.handler, backend, names(12))
    assert impostor.requests == []
    assert rests == [54.0, 108.0, 216.0, 270.0]
    said = lines(capsys)
    assert len(said) == 2, said
    assert "ca_bundle" in said[0]


@each_service
@pytest.mark.parametrize(
    "reply", [Reply(reset_after_reading=1), Reply(raw=b"", answers_anything=True, close=True)]
)
def test_b03_a_handshake_cut_off_is_tried_again_and_never_without_tls(
    service: Service, reply: Reply, authorities: tuple[trustme.CA, trustme.CA], bundle: str
) -> None:
    """A load balancer that restarts does this too, so the rests are those of any broken connection."""
    with FaultServer(reply) as cutter:
        port = cutter.port
        with by_hand(service, f"https://127.0.0.1:{port}", ca_bundle=bundle, proxies={}) as stepped:
            stepped.log(*names(3))
            rests = [stepped.send_once() for _ in range(8)]
            assert_held(stepped.handler, None, 3)
            cutter.__exit__(None, None, None)
            with Backend(service, tls=context_of(authorities[0], "127.0.0.1"), port=port) as backend:
                stepped.settle()

                assert_arrived(stepped.handler, backend, names(3))
    assert cutter.requests == []
    assert rests == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


# --- B4 to B6: time ----------------------------------------------------------------------------------------


@each_service
def test_b04_a_connection_that_is_never_accepted(service: Service) -> None:
    """A full backlog: the connect timeout ends the attempt, nothing was sent, all arrives once afterwards."""
    with Backend(service, backlog=0, is_accepting=False) as backend:
        waiting = [socket.socket() for _ in range(3)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", backend.port))
        with by_hand(service, backend.url, timeout=(0.2, 10.0)) as stepped:
            stepped.log(*names(3))
            started = time.monotonic()
            stepped.send_once()
            took = time.monotonic() - started
            assert_held(stepped.handler, backend, 3)
            said = stepped.handler.stats()["last_error"]
            for sock in waiting:
                sock.close()
            backend.accept()
            stepped.settle()

            assert_arrived(stepped.handler, backend, names(3))
    assert took < 8.0
    assert said.startswith("timeout: no connection in time")


@each_service
@pytest.mark.usefixtures("_short_rests")
def test_b05_silence_after_the_request_is_ambiguous(service: Service) -> None:
    """It was processed but never answered: the same events go again, under the same ids."""
    with (
        Backend(service, deliver_but(hang_at=0)) as backend,
        running(service, backend.url, **HASTY) as handler,
    ):
        log(handler, names(5))
        assert handler.flush(30)

        assert_arrived(handler, backend, names(5), copies=2)
        assert len(backend.processed) <= 5 + service.batch
        assert handler.stats()["retried"] >= 1


DRIPS = {
    "status line": {"drip_from": 0},
    "headers": {"drip_from": 20},
    "body": {"drip_from": 60},
    "endless headers": {"raw": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 9_000, "drip_from": 17},
    "endless 100": {"raw": b"HTTP/1.1 100 Continue\r\n\r\n" * 9_000, "drip_from": 0},
}


@each_service
@pytest.mark.parametrize("fault", DRIPS)
def test_b06_the_deadline_is_the_calls_however_slowly_the_answer_drips(service: Service, fault: str) -> None:
    """A byte now and then meets no timeout of a single recv; the sum of both timeouts ends the call."""
    drip = {"drip_seconds": 0.1, **DRIPS[fault]}
    with (
        Backend(service, deliver, deliver_but(**drip)) as backend,
        by_hand(service, backend.url, **HASTY) as stepped,
    ):
        stepped.log("event 0")  # imports and a client are no part of a call's time
        stepped.settle()
        stepped.log(*names(2, 1))
        started = time.monotonic()
        stepped.send_once()
        took = time.monotonic() - started
        said = stepped.handler.stats()["last_error"]
        stepped.settle()

        assert_arrived(stepped.handler, backend, names(3), copies=2)
        assert len(backend.processed) == 3 + min(2, service.batch)
    assert said.startswith("timeout: ")
    assert took < sum(HASTY["timeout"]) + 3.0


@each_service
@pytest.mark.usefixtures("_short_rests")
def test_b06_flush_and_close_keep_their_own_deadlines_during_a_drip(service: Service) -> None:
    """The call may go on to its own deadline of 15 s; who waits for it need not."""
    with (
        Backend(service, deliver_but(drip_from=0, drip_seconds=0.2)) as backend,
        running(service, backend.url, exit_timeout=0.3) as handler,
    ):
        log(handler, ["event 0"])
        wait_for(lambda: backend.processed)
        started = time.monotonic()
        is_settled = handler.flush(0.3)
        handler.close()
        took = time.monotonic() - started
        backend.close_connections()

        assert not is_settled
        assert took < 5.0
        assert handler.flush(30)
        assert_arrived(handler, backend, ["event 0"], copies=2)


# --- B7 to B9: connections that break ----------------------------------------------------------------------


@each_service
@pytest.mark.parametrize("read", [0, 1, 17, 300, 5_000])
def test_b07_reset_while_sending(service: Service, read: int) -> None:
    """However much the server had read, it did not act: each event arrives once, after a rest."""
    with (
        Backend(service, Reply(reset_after_reading=read)) as backend,
        by_hand(service, backend.url) as stepped,
    ):
        stepped.log("event 0 " + "x" * 20_000, *names(3, 1))
        rest = stepped.send_once()
        assert_law(stepped.handler.stats())
        assert (stepped.handler.stats()["failed_requests"], rest) == (1, 0.5)
        stepped.settle()

        stats = stepped.handler.stats()
        assert (stats["delivered"], stats["pending"]) == (4, 0)
        assert_law(stats)
        assert len(backend.processed) == len({event.id for event in backend.processed}) == 4


@each_service
@pytest.mark.parametrize("at", [0, 1, 15, 30, 60])
def test_b08_reset_after_request_before_the_whole_answer(service: Service, at: int) -> None:
    """Processed and not known to be: sent again under the same ids. No library in between repeats it too."""
    with Backend(service, deliver_but(reset_at=at)) as backend, by_hand(service, backend.url) as stepped:
        stepped.log(*names(4))
        stepped.send_once()
        sent = len(backend.requests)
        first = min(4, service.batch)
        assert len(backend.processed) == first
        stepped.settle()

        assert_arrived(stepped.handler, backend, names(4), copies=2)
        assert len(backend.processed) == 4 + first
        assert stepped.handler.stats()["retried"] == first
    assert sent == 1


@each_service
@pytest.mark.usefixtures("_short_rests")
def test_b08_every_reset_costs_one_batch_of_copies_at_most(service: Service) -> None:
    """With threads and real time: three answers are lost, three batches arrive twice, all under their ids."""
    lost = deliver_but(reset_at=0)
    with (
        Backend(service, lost, lost, lost) as backend,
        running(service, backend.url, concurrency=1) as handler,
    ):
        log(handler, names(20))
        assert handler.flush(60)

        assert_arrived(handler, backend, names(20), copies=4)
        assert len(backend.processed) <= 20 + 3 * service.batch


@each_service
def test_b09_a_connection_closed_while_idle_costs_nothing(service: Service) -> None:
    """The server ends the kept connection between two requests: the next goes on another, without a rest."""
    with Backend(service) as backend, by_hand(service, backend.url) as stepped:
        for number in range(4):
            stepped.log(f"event {number}")
            assert stepped.send_once() == 0.0
            backend.close_connections()

        assert_arrived(stepped.handler, backend, names(4))
        assert stepped.handler.stats()["failed_requests"] == 0
    assert backend.connections == 4


@each_service
def test_b09_a_kept_connection_that_dies_under_a_request_is_a_failure_that_is_counted(
    service: Service,
) -> None:
    """The race that closing in time can't exclude: the service may have stored it, so the copy is counted."""
    with (
        Backend(service, deliver_but(), deliver_but(reset_at=0)) as backend,
        by_hand(service, backend.url) as stepped,
    ):
        stepped.log("event 0")
        assert stepped.send_once() == 0.0
        stepped.log("event 1")
        assert stepped.send_once() > 0.0
        stats = stepped.settle(60)

        assert_arrived(stepped.handler, backend, names(2), copies=2)
    assert stats["requests"] == len(backend.requests) == 3
    assert (stats["failed_requests"], stats["retried"], stats["duplicates_possible"]) == (1, 1, 1)
    assert backend.connections == 2


# --- B25: what is no HTTP ----------------------------------------------------------------------------------

NO_HTTP = {
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "http 0.9": b"<html>welcome</html>",
    "no status": b"HTTP/1.1\r\n\r\n",
    "a word for a status": b"HTTP/1.1 fine OK\r\n\r\n",
    "status 99999": b"HTTP/1.1 99999 Much\r\n\r\n",
    "200 headers": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    "a header without end": b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\n\r\n",
    "chunks of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "binary": bytes(range(256)) * 4 + b"\r\n\r\n",
    "nothing": b"",
    "early hints only": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
}


@each_service
@pytest.mark.parametrize("fault", NO_HTTP)
def test_b25_what_is_no_http_is_tried_again(service: Service, fault: str) -> None:
    """Perhaps it acted on the request, perhaps not: kept, and sent again under the same ids."""
    with (
        Backend(service, deliver_but(raw=NO_HTTP[fault], close=True)) as backend,
        by_hand(service, backend.url) as stepped,
    ):
        stepped.log(*names(2))
        rest = stepped.send_once()
        state = stepped.handler.stats()["state"]
        stepped.settle()

        assert_arrived(stepped.handler, backend, names(2), copies=2)
    assert (rest, state) == (0.5, "failing")


@each_service
def test_b25_a_continue_before_the_answer_is_passed_over(service: Service) -> None:
    """100 is no answer; what follows it is."""

    def turn(backend: Backend, request: Any) -> Reply:
        backend.process(request)
        body = service.delivered(request).body
        head = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        return Reply(raw=head + body)

    with Backend(service, turn, ends_well=False) as backend, by_hand(service, backend.url) as stepped:
        stepped.log(*names(3))
        stepped.settle()

        assert_arrived(stepped.handler, backend, names(3))


# --- B27: proxies ------------------------------------------------------------------------------------------

PROXY_PASSWORD = "hush-of-the-proxy"


@contextmanager
def through_proxy(service: Service, port: int, **options: Any) -> Iterator[Any]:
    """A handler whose requests to a host of no address go through the proxy at *port*."""
    proxies = dict.fromkeys(("http", "https"), f"http://somebody:{PROXY_PASSWORD}@127.0.0.1:{port}")
    url = options.pop("url", "http://events.invalid")
    with by_hand(service, url, allow_insecure=True, proxies=proxies, **options) as stepped:
        yield stepped


def assert_proxy_stays_secret(stepped: Any, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = capsys.readouterr()
    assert PROXY_PASSWORD not in f"{out}{err}{stepped.handler.stats()}{stepped.handler!r}"
    assert SECRET not in f"{out}{err}{stepped.handler.stats()}{stepped.handler!r}"


@each_service
@pytest.mark.parametrize("url", ["http://events.invalid", "https://events.invalid"])
def test_b27_a_proxy_that_refuses_connections(
    service: Service, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a refused connection to the service itself."""
    with through_proxy(service, free_port(), url=url) as stepped:
        stepped.log(*names(2))
        rests = [stepped.send_once() for _ in range(3)]

        assert_held(stepped.handler, None, 2)
        assert stepped.handler.stats()["state"] == "failing"
        assert_proxy_stays_secret(stepped, capsys)
    assert rests == [0.5, 1.0, 2.0]


@each_service
@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (Reply(b"who are you", 407), "held"),
        (Reply(b"<html>bad gateway</html>", 502), "failing"),
        (Reply(b"", 504), "failing"),
        (Reply(reset_after_reading=10), "failing"),
        (Reply(reset_at=0), "failing"),
    ],
)
def test_b27_a_proxy_that_answers_itself_or_dies(
    service: Service, reply: Reply, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A proxy that wants another password is a setting to mend, an ailing one is not; both lose nothing."""
    with Backend(service, reply) as proxy, through_proxy(service, proxy.port) as stepped:
        stepped.log(*names(3))
        stepped.send_once()
        seen = stepped.handler.stats()["state"]
        assert_held(stepped.handler, proxy, 3)
        stepped.settle()

        assert_arrived(stepped.handler, proxy, names(3))
        assert_proxy_stays_secret(stepped, capsys)
    assert seen == state
    assert all(request.target.startswith("http://events.invalid") for request in proxy.requests)


@each_service
@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (b"HTTP/1.1 407 Who are you\r\n\r\n", "held"),
        (b"HTTP/1.1 403 Never\r\n\r\n", "held"),
        (b"HTTP/1.1 502 Not now\r\n\r\n", "failing"),
        (b"", "failing"),
    ],
)
def test_b27_a_proxy_that_makes_no_tunnel(
    service: Service, answer: bytes, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing of ours is sent to it, and neither password nor key is told."""
    with (
        FaultServer(Reply(raw=answer, close=True)) as proxy,
        through_proxy(service, proxy.port, url="https://events.invalid") as stepped,
    ):
        stepped.log(*names(3))
        stepped.send_once()

        assert_held(stepped.handler, None, 3)
        assert stepped.handler.stats()["state"] == state
        assert_proxy_stays_secret(stepped, capsys)
    assert all(request.method == "CONNECT" and not request.body for request in proxy.requests)
    assert all(SECRET not in str(request) for request in proxy.requests)


# --- What CloudWatch's client library would do by itself ---------------------------------------------------


def test_b06_all_addresses_of_aws_share_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore gives each address of a name the whole connect timeout; they share the call's deadline."""
    attempts: list[float] = []

    class Unreachable(socket.socket):
        def connect(self, address: Any) -> None:
            attempts.append(self.gettimeout() or 0.0)
            raise TimeoutError("timed out")

    address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443))
    with by_hand(CLOUDWATCH, "https://events.invalid", timeout=(3.0, 4.0), proxies={}) as stepped:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address] * 3)
        monkeypatch.setattr(socket, "socket", Unreachable)
        stepped.log("event 0")
        stepped.send_once()

        assert_held(stepped.handler, None, 1)
    assert len(attempts) == 3
    assert all(0 < seconds <= 3.0 for seconds in attempts)


def test_b06_another_botocore_keeps_its_own_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where botocore is made otherwise inside, requests go through it as it is, and nothing breaks."""
    from botocore.httpsession import URLLib3Session

    real = URLLib3Session.__init__

    def renamed(self: Any, *args: Any, **options: Any) -> None:
        real(self, *args, **options)
        self._cert_file_of_another_release = self.__dict__.pop("_cert_file")

    monkeypatch.setattr(URLLib3Session, "__init__", renamed)
    monkeypatch.setattr(URLLib3Session, "_get_pool_manager_kwargs", _kwargs_without_certificate)
    with Backend(CLOUDWATCH, Reply(b"", 503)) as backend, by_hand(CLOUDWATCH, backend.url) as stepped:
        stepped.log(*names(3))
        stepped.settle()

        assert_arrived(stepped.handler, backend, names(3))
        assert stepped.worker._life.delivery.sink._clients.current(1.0).http is None
    assert all("amz-sdk-request" in request.headers for request in backend.requests)


def _kwargs_without_certificate(self: Any, **more: Any) -> dict[str, Any]:
    return {"timeout": self._timeout, "maxsize": 4, "ssl_context": self._get_ssl_context(), **more}


def test_the_rests_expected_here_are_those_of_the_rules() -> None:
    """The numbers above are the documented ones."""
    assert (retry.RETRY_BASE_SECONDS, retry.RETRY_CEILING_SECONDS) == (1.0, 60.0)
    assert (retry.PROBE_BASE_SECONDS, retry.PROBE_CEILING_SECONDS) == (60.0, 300.0)
