"""The HTTP client against servers that misbehave, on loopback; and Guance's sink on top of it."""

from __future__ import annotations

import datetime
import gzip
import logging
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from certificates import new_authority
from faultserver import FaultServer, Reply, Request
from processes import environment
from urllib3.util.wait import wait_for_read

from eventlog_handlers import GuanceHandler
from eventlog_handlers.errors import MisconfiguredError, SinkError, TransientError
from eventlog_handlers.events import DELIVERED, Code, Event
from eventlog_handlers.services.guance.options import GuanceSettings
from eventlog_handlers.services.guance.sink import GuanceSink
from eventlog_handlers.settings.secret import Secret
from eventlog_handlers.transport import network  # now, so that no call has less time for its import
from eventlog_handlers.transport.client import MAX_ANSWER_BYTES, Answer, HttpClient

if TYPE_CHECKING:
    import trustme

KEY = "s3cret-key"
CREATED = b'{"code":200,"content":true,"errorCode":"","message":"","success":true,"traceId":"1"}'
PROXY_VARIABLES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class SteppingClock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def a_client(**options: Any) -> HttpClient:
    return HttpClient(**{"connect_timeout": 3.0, "read_timeout": 10.0, "clock": time.monotonic, **options})


def post(
    client: HttpClient, url: str, *, body: bytes = b"{}", timeout: float = 5.0, **headers: str
) -> Answer:
    return client.post(url, headers={"DF-API-KEY": KEY, **headers}, body=body, timeout=timeout)


def failure_of(client: HttpClient, url: str, **options: Any) -> SinkError:
    """What a post raises; it must tell nothing of the key, the query or the request."""
    with pytest.raises(SinkError) as caught:
        post(client, f"{url}/path?query=hidden", **options)
    error = caught.value
    assert KEY not in repr(error)
    assert "hidden" not in repr(error)
    assert error.__context__ is None
    return error


# --- What is sent and what comes back


def test_a_post_arrives_and_is_answered() -> None:
    """Body and headers arrive as given, with our own name; any status comes back with lower-case headers."""
    with FaultServer(Reply(b"no", status=418, headers={"X-Trace": "7"})) as server:
        answer = post(a_client(), f"{server.url}/events?x=1", body="é".encode(), **{"Content-Type": "text/x"})

    (request,) = server.requests
    assert answer == Answer(418, {"x-trace": "7", "content-length": "2"}, b"no")
    assert (request.method, request.target, request.body) == ("POST", "/events?x=1", "é".encode())
    assert request.headers["df-api-key"] == KEY
    assert request.headers["content-type"] == "text/x"
    assert request.headers["user-agent"].startswith("eventlog-handlers/")
    assert request.headers["accept-encoding"] == "identity"


def test_a_redirect_is_handed_back_and_not_followed() -> None:
    """The key never reaches the host a redirect names."""
    with FaultServer() as other, FaultServer(Reply(status=307, headers={"Location": other.url})) as server:
        answer = post(a_client(), server.url)

        assert answer.status == 307
        assert other.connections == 0


def test_netrc_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials for the host in ~/.netrc are none of ours."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password elses\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with FaultServer() as server:
        post(a_client(), server.url)

    assert "authorization" not in server.requests[0].headers


def test_a_cookie_is_not_kept() -> None:
    """What a server sets in one answer does not come back in the next request."""
    with FaultServer(Reply(headers={"Set-Cookie": "a=b"})) as server:
        client = a_client()
        post(client, server.url)
        post(client, server.url)

    assert "cookie" not in server.requests[1].headers


@pytest.mark.parametrize("framing", [{}, {"Content-Length": "10000000"}])
def test_a_huge_answer_is_read_up_to_its_cap(framing: dict[str, str]) -> None:
    """Of ten megabytes 64 KiB are read, and what is left does not get into the next answer."""
    with FaultServer(Reply(b"a" * 10_000_000, headers=framing), Reply(b"next")) as server:
        client = a_client()
        first = post(client, server.url)
        second = post(client, server.url)

    assert first.body == b"a" * MAX_ANSWER_BYTES
    assert second.body == b"next"
    assert server.connections == 2


def test_a_compressed_answer_is_not_inflated() -> None:
    """A bomb stays as small as it came."""
    bomb = gzip.compress(b"\0" * 50_000_000)
    with FaultServer(Reply(bomb, headers={"Content-Encoding": "gzip"})) as server:
        answer = post(a_client(), server.url)

    assert answer.body == bomb[:MAX_ANSWER_BYTES]


def test_a_chunked_answer_is_put_together() -> None:
    """Chunks are joined, and the connection serves the next post."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with FaultServer(Reply(raw=chunked)) as server:
        client = a_client()
        answers = [post(client, server.url).body for _ in range(2)]

    assert answers == [b"abcde", b"abcde"]
    assert server.connections == 1


# --- Time


@pytest.mark.parametrize(
    "reply",
    [
        Reply(drip_from=0, drip_seconds=0.05),
        Reply(drip_from=10, drip_seconds=0.05),
        Reply(b"b" * 1000, drip_from=50, drip_seconds=0.05),
        Reply(raw=b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, drip_from=0, drip_seconds=0.05),
        Reply(hang_at=0),
        Reply(hang_at=20),
        Reply(b"b" * 1000, hang_at=500),
    ],
)
def test_the_deadline_holds_whatever_the_server_does(reply: Reply) -> None:
    """Dripped or withheld, in headers or body: the call ends with its time, ambiguous."""
    with FaultServer(reply) as server:
        started = time.monotonic()
        error = failure_of(a_client(), server.url, timeout=0.4)
        took = time.monotonic() - started

    assert isinstance(error, TransientError)
    assert (error.code, error.ambiguous) == ("timeout", True)
    assert 0.3 < took < 2.5
    assert len(server.requests) == 1


def test_a_silent_server_is_left_after_the_read_timeout() -> None:
    """The wait for a single byte is bounded by itself too."""
    with FaultServer(Reply(hang_at=0)) as server:
        started = time.monotonic()
        error = failure_of(a_client(read_timeout=0.2), server.url, timeout=20.0)

    assert error.code == "timeout"
    assert time.monotonic() - started < 3.0


def test_a_server_that_does_not_read_is_left_in_time() -> None:
    """Sending is bounded as well: the peer's window fills up and nobody empties it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        started = time.monotonic()
        error = failure_of(a_client(), url, body=b"x" * 50_000_000, timeout=0.4)

    assert error.code == "timeout"
    assert time.monotonic() - started < 2.5


def test_a_connect_that_hangs_is_left_after_its_timeout() -> None:
    """A listener whose queue is full does not answer; nothing was sent, so nothing is ambiguous."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(address)
        started = time.monotonic()
        error = failure_of(a_client(connect_timeout=0.3), f"http://127.0.0.1:{address[1]}")
        took = time.monotonic() - started
        for sock in waiting:
            sock.close()

    assert isinstance(error, TransientError)
    assert (error.code, error.ambiguous) == ("timeout", False)
    assert took < 2.5


def test_all_addresses_of_a_host_share_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time spent on the first addresses is missing for the others: none gets a timeout of its own."""
    clock = SteppingClock()
    timeouts: list[float] = []

    class Unreachable(socket.socket):
        def connect(self, address: Any) -> None:
            timeouts.append(self.gettimeout() or 0.0)
            clock.now += self.gettimeout() or 0.0
            raise TimeoutError("timed out")

    address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address] * 9)
    monkeypatch.setattr(socket, "socket", Unreachable)

    error = failure_of(a_client(clock=clock), "http://many.example", timeout=7.0)

    assert error.code == "timeout"
    assert timeouts == [3.0, 3.0, 1.0]


@pytest.mark.parametrize("timeout", [0.0, -1.0])
def test_a_call_without_time_sends_nothing(timeout: float) -> None:
    """A deadline that has passed already is a timeout, and no connection is made."""
    with FaultServer() as server:
        error = failure_of(a_client(), server.url, timeout=timeout)

        assert error.code == "timeout"
        assert server.connections == 0


# --- Connections


def test_a_connection_is_kept() -> None:
    """Posts one after the other go over one connection."""
    with FaultServer() as server:
        client = a_client()
        for _ in range(5):
            post(client, server.url)

    assert server.connections == 1
    assert len(server.requests) == 5


@pytest.mark.parametrize(("idle_seconds", "connections"), [(4.9, 1), (5.1, 2)])
def test_a_connection_idle_for_over_five_seconds_is_not_used_again(
    idle_seconds: float, connections: int
) -> None:
    """The services close idle connections without notice, so it is better not to try."""
    clock = SteppingClock()
    with FaultServer() as server:
        client = a_client(clock=clock)
        post(client, server.url)
        clock.now += idle_seconds
        post(client, server.url)

    assert server.connections == connections


LONG = b"x" * 16_000_000
"""Longer than what the system takes at once: a reset while it is read breaks off the sending."""


@pytest.mark.parametrize("read", [1, 30_000])
def test_a_kept_connection_that_died_before_the_request_left_whole_is_replaced_at_once(read: int) -> None:
    """The service can't have acted on half a request: it is sent again, on a new connection."""
    with FaultServer(Reply(), Reply(reset_after_reading=read), Reply(b"again")) as server:
        client = a_client()
        post(client, server.url)
        answer = post(client, server.url, body=LONG, timeout=60.0)

    assert answer.body == b"again"
    assert server.connections == 2
    assert len(server.requests) == 2


def test_a_kept_connection_closed_while_it_was_idle_is_replaced_at_once() -> None:
    """urllib3 looks before it sends, so that nothing has left."""
    with FaultServer(Reply(close=True), Reply(b"again")) as server:
        client = a_client()
        post(client, server.url)
        pools = client._adapters["adapter"].poolmanager.pools
        kept = pools[next(iter(pools.keys()))].pool.queue[-1]
        assert wait_for_read(kept.sock, 10)  # the end of the connection has come
        answer = post(client, server.url)

    assert answer.body == b"again"
    assert (server.connections, len(server.requests)) == (2, 2)


def test_a_kept_connection_is_replaced_once_only() -> None:
    """If the new connection dies as well, that is a failure like any other, and nothing is ambiguous."""
    with FaultServer(Reply(), Reply(reset_after_reading=1)) as server:
        client = a_client()
        post(client, server.url)
        error = failure_of(client, server.url, body=LONG, timeout=60.0)

    assert isinstance(error, TransientError)
    assert (error.code, error.ambiguous) == ("reset", False)
    assert server.connections == 3 - 1
    assert len(server.requests) == 1


def test_a_request_that_was_sent_whole_is_not_repeated() -> None:
    """The kept connection is cut after the service stored it: whether to repeat is the caller's to count."""
    with FaultServer(Reply(), Reply(reset_at=0), Reply(b"again")) as server:
        client = a_client()
        post(client, server.url)
        error = failure_of(client, server.url)

        assert isinstance(error, TransientError)
        assert (error.code, error.ambiguous) == ("reset", True)
        assert (server.connections, len(server.requests)) == (1, 2)
        assert post(client, server.url).body == b"again"


def test_a_repeat_after_a_cut_connection_is_counted_and_waits(capfd: pytest.CaptureFixture[str]) -> None:
    """As any retry: the service may have stored the first copy."""
    with FaultServer(Reply(CREATED), Reply(reset_at=0), Reply(CREATED)) as server:
        handler = GuanceHandler(
            endpoint=server.url, api_key=KEY, requests_per_minute=None, aggregate_seconds=None, concurrency=1
        )
        times = []
        for number in range(3):
            handler.handle(logging.LogRecord("shop", 40, __file__, 1, f"record {number}", None, None))
            assert handler.flush(30)
            times.append(time.monotonic())
        stats = handler.stats()
        handler.close()

    assert len(server.requests) == stats["requests"] == 4
    assert (stats["delivered"], stats["retried"], stats["failed_requests"]) == (3, 1, 1)
    assert stats["duplicates_possible"] == 1
    assert "reset" in capfd.readouterr().err


@pytest.mark.parametrize(
    "second",
    [Reply(reset_at=1), Reply(b"b" * 100, reset_at=80), Reply(hang_at=0), Reply(raw=b"nonsense\r\n\r\n")],
)
def test_a_kept_connection_that_answered_or_hangs_is_not_replaced(second: Reply) -> None:
    """One byte of an answer, or plain silence, is no sign of a stale connection: the post is not repeated."""
    with FaultServer(Reply(), second) as server:
        client = a_client()
        post(client, server.url)
        failure_of(client, server.url, timeout=0.5)

    assert len(server.requests) == 2
    assert server.connections == 1


@pytest.mark.parametrize(
    ("reply", "body", "ambiguous"),
    [
        (Reply(reset_at=0), b"x" * 200_000, True),
        (Reply(reset_after_reading=1), LONG, False),
        (Reply(reset_after_reading=30_000), LONG, False),
    ],
    ids=["answering", "the first byte", "later"],
)
def test_a_new_connection_that_dies_is_not_replaced(reply: Reply, body: bytes, ambiguous: bool) -> None:
    """Reset while or after sending: left to the caller, ambiguous if the request had left whole."""
    with FaultServer(reply) as server:
        error = failure_of(a_client(), server.url, body=body, timeout=60.0)

    assert isinstance(error, TransientError)
    assert (error.code, error.ambiguous) == ("reset", ambiguous)
    assert server.connections == 1


def test_a_connection_that_is_announced_to_close_is_not_kept() -> None:
    """``Connection: close`` is obeyed without a failure in between."""
    with FaultServer(Reply(headers={"Connection": "close"}, close=True)) as server:
        client = a_client()
        answers = [post(client, server.url).status for _ in range(3)]

    assert answers == [200, 200, 200]
    assert (server.connections, len(server.requests)) == (3, 3)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(b"abc", headers={"Content-Length": "10"}, close=True), "reset"),
        (Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", close=True), "reset"),
        (Reply(raw=b"SSH-2.0-OpenSSH_9.6\r\n", close=True), "http"),
        (Reply(raw=b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", close=True), "http"),
        (Reply(raw=b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", close=True), "http"),
        (Reply(raw=b"", close=True), "reset"),
    ],
)
def test_half_an_answer_is_no_answer(reply: Reply, code: str) -> None:
    """A body shorter than announced, or what is not HTTP, is ambiguous."""
    with FaultServer(reply) as server:
        error = failure_of(a_client(), server.url)

    assert isinstance(error, TransientError)
    assert (error.code, error.ambiguous) == (code, True)


def test_many_threads_share_one_client() -> None:
    """Each thread gets its own answer, and they keep no more connections than there are threads."""
    with FaultServer() as server:
        client = a_client()

        def echoed(number: int) -> bool:
            return post(client, f"{server.url}/{number}", body=str(number).encode()).status == 200

        with ThreadPoolExecutor(8) as threads:
            fine = list(threads.map(echoed, range(200)))

    assert all(fine)
    assert sorted(int(request.body) for request in server.requests) == list(range(200))
    assert all(request.target == f"/{request.body.decode()}" for request in server.requests)
    assert server.connections <= 8


def test_two_first_calls_at_once_share_one_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each may make one; both use the same, so that ``close`` reaches every connection."""
    both, make = threading.Barrier(2, timeout=30), network.new_adapter

    def make_together() -> Any:
        made = make()
        both.wait()
        return made

    monkeypatch.setattr(network, "new_adapter", make_together)
    client = a_client()
    with FaultServer() as server, ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda _: client._connected(network), range(2)))
        monkeypatch.undo()
        post(client, server.url)

    assert found[0] is found[1] is client._adapters["adapter"]


GREEN = """
import sys, threading, time
from eventlog_handlers.process.clock import monotonic
from eventlog_handlers.process.green import start_native
from eventlog_handlers.transport.client import HttpClient
from gevent import monkey
monkey.patch_all()
client = HttpClient(connect_timeout=3, read_timeout=3, clock=monotonic)
for _ in range(4):
    answers, ended = [], []
    def run():
        try:
            answers.append(client.post(sys.argv[1], headers={}, body=b"{}", timeout=5).status)
        except BaseException as error:
            answers.append(repr(error))
        ended.append(threading.get_native_id())
    start_native(run)
    deadline = monotonic() + 30
    while not ended and monotonic() < deadline:
        time.sleep(0.001)
    print(*answers)
"""


def test_p22_a_green_socket_is_used_by_the_thread_that_opened_it() -> None:
    """It waits in the loop of that thread, which ends with it: another thread opens one of its own."""
    pytest.importorskip("gevent", reason="gevent is not installed")

    def slowly(request: Request) -> Reply:
        time.sleep(0.1)  # an answer that has to be waited for
        return Reply()

    with FaultServer(slowly) as server:
        done = subprocess.run(
            [sys.executable, "-c", GREEN, server.url],
            capture_output=True,
            text=True,
            timeout=100,
            env=environment(),
        )

    assert done.stdout.split() == ["200"] * 4, done.stderr
    assert (server.connections, len(server.requests)) == (4, 4)


def test_a_closed_client_opens_again() -> None:
    """Closing drops the connection; the next post makes one."""
    with FaultServer() as server:
        client = a_client()
        client.close()
        post(client, server.url)
        client.close()
        post(client, server.url)

    assert server.connections == 2


def test_a_refused_connection_is_transient() -> None:
    """Nothing listens there: nothing was sent, and the text names the place."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    error = failure_of(a_client(), f"http://user:pass@127.0.0.1:{port}")

    assert isinstance(error, TransientError)
    assert (error.code, error.ambiguous) == ("connect", False)
    assert error.detail == f"no connection to 127.0.0.1:{port}: Connection refused"


def test_an_unknown_host_is_transient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that can't be resolved today may be tomorrow."""

    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    error = failure_of(a_client(), "https://nowhere.example")

    assert isinstance(error, TransientError)
    assert (error.code, error.ambiguous) == ("dns", False)


@pytest.mark.parametrize("value", ["€", f"{KEY}\nX-Evil: 1", f"{KEY}\r\n"])
def test_a_header_that_cannot_be_sent_is_a_setting_to_mend(value: str) -> None:
    """It will not get better by itself, and its value, maybe a key, is not shown."""
    with FaultServer() as server:
        error = failure_of(a_client(), server.url, **{"X-Key": value})

    assert isinstance(error, MisconfiguredError)
    assert error.code == "request"
    assert server.requests == []


@pytest.mark.parametrize("url", ["https://", "no-scheme", "http://[bad", "ftp://127.0.0.1"])
def test_a_url_that_is_none_is_a_setting_to_mend(url: str) -> None:
    """Waiting would not help."""
    assert isinstance(failure_of(a_client(), url), MisconfiguredError)


def test_our_own_faults_are_not_taken_for_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw is held and retried under a name that says so."""

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError(KEY)

    monkeypatch.setattr(socket, "getaddrinfo", broken)

    error = failure_of(a_client(), "http://somewhere.example")

    assert isinstance(error, TransientError)
    assert error.code == "unexpected"
    assert "ZeroDivisionError" in error.detail


# --- Proxies


def test_the_environments_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY carries a post to a host that only the proxy can reach."""
    with FaultServer(Reply(b"by proxy")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        answer = post(a_client(), "http://events.example/x")

    assert answer.body == b"by proxy"
    assert proxy.requests[0].target == "http://events.example/x"


def test_the_option_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies given explicitly are the only ones; their password goes to the proxy alone, as it should."""
    with FaultServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        client = a_client(proxies={"http": f"http://somebody:hush@127.0.0.1:{proxy.port}"})
        post(client, "http://events.example/x")

    assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("variables", "options"),
    [
        ({"HTTP_PROXY": "http://127.0.0.1:1"}, {}),
        ({"ALL_PROXY": "http://127.0.0.1:1"}, {}),
        ({"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "example.org"}, {}),
        ({"HTTP_PROXY": "http://127.0.0.1:1"}, {"proxies": {}}),
    ],
)
def test_loopback_is_reached_directly(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], options: dict[str, Any]
) -> None:
    """A proxy elsewhere could not reach our own host."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with FaultServer() as server:
        answer = post(a_client(**options), server.url)

    assert answer.status == 200


def test_no_proxy_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host named in NO_PROXY is tried directly."""
    asked: list[str] = []

    def unknown(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", ".internal.example")

    failure_of(a_client(), "http://events.internal.example")
    failure_of(a_client(), "http://events.example")

    assert asked == ["events.internal.example", "proxy.example"]


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        (Reply(raw=b"HTTP/1.1 407 Who are you\r\n\r\n", close=True), MisconfiguredError, "proxy"),
        (Reply(raw=b"HTTP/1.1 403 Never\r\n\r\n", close=True), MisconfiguredError, "proxy"),
        (Reply(raw=b"HTTP/1.1 502 Not now\r\n\r\n", close=True), TransientError, "proxy"),
        (Reply(drip_from=0, drip_seconds=0.05), TransientError, "timeout"),
        (Reply(hang_at=0), TransientError, "timeout"),
    ],
)
def test_a_proxy_that_lets_nothing_through(reply: Reply, kind: type[SinkError], code: str) -> None:
    """A refused CONNECT is told apart from an ailing one, obeys the deadline, and is sent nothing of ours."""
    with FaultServer(reply) as proxy:
        started = time.monotonic()
        error = failure_of(a_client(proxies={"https": proxy.url}), "https://events.example", timeout=0.5)

    assert type(error) is kind
    assert error.code == code
    assert not getattr(error, "ambiguous", False)
    assert time.monotonic() - started < 2.5
    assert all("df-api-key" not in request.headers for request in proxy.requests)


@pytest.mark.parametrize("proxy", ["http://", "gopher://127.0.0.1:1", "http://127.0.0.1:port"])
def test_a_proxy_that_is_none_is_a_setting_to_mend(proxy: str) -> None:
    """The text says where to look."""
    error = failure_of(a_client(proxies={"all": proxy}), "http://events.example")

    assert isinstance(error, MisconfiguredError)


# --- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return new_authority()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def context_for(authority: trustme.CA, name: str, *, expired: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    authority.issue_cert(name, not_after=yesterday if expired else None).configure_cert(context)
    return context


@pytest.mark.parametrize("by", ["option", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_private_authority_can_be_trusted(
    authority: trustme.CA, bundle: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the option or the usual variables; the connection is kept as without TLS."""
    if by != "option":
        monkeypatch.setenv(by, bundle)
    with FaultServer(Reply(b"fine"), tls=context_for(authority, "127.0.0.1")) as server:
        client = a_client(ca_bundle=bundle if by == "option" else None)
        answers = [post(client, server.url).body for _ in range(2)]

    assert answers == [b"fine", b"fine"]
    assert server.connections == 1


@pytest.mark.parametrize(
    ("name", "expired", "trusted", "said"),
    [
        ("127.0.0.1", False, False, "issuer"),
        ("other.example", False, True, "match|not valid for"),
        ("127.0.0.1", True, True, "expired"),
    ],
)
def test_a_server_that_cannot_prove_itself_gets_nothing(
    authority: trustme.CA, bundle: str, name: str, expired: bool, trusted: bool, said: str
) -> None:
    """Unknown authority, wrong name, past its date: a setting to mend, with the reason, and no request."""
    with FaultServer(tls=context_for(authority, name, expired=expired)) as server:
        error = failure_of(a_client(ca_bundle=bundle if trusted else None), server.url)

    assert isinstance(error, MisconfiguredError)
    assert error.code == "tls"
    assert re.search(said, error.detail)
    assert server.requests == []


def test_a_server_without_tls_is_a_setting_to_mend() -> None:
    """https to a plain port will not get better by waiting."""
    with FaultServer(Reply(raw=b"HTTP/1.1 400 Bad\r\n\r\n", answers_anything=True, close=True)) as server:
        error = failure_of(a_client(), server.url.replace("http:", "https:"))

    assert isinstance(error, MisconfiguredError)
    assert error.code == "tls"


def test_a_missing_bundle_is_a_setting_to_mend(tmp_path: Path) -> None:
    """The text names the file and where its name may come from."""
    error = failure_of(a_client(ca_bundle=str(tmp_path / "gone.pem")), "https://events.example")

    assert isinstance(error, MisconfiguredError)
    assert "gone.pem" in error.detail


def test_the_deadline_holds_through_tls(authority: trustme.CA, bundle: str) -> None:
    """Dripped bytes inside TLS are bounded as well."""
    with FaultServer(
        Reply(drip_from=3, drip_seconds=0.05), tls=context_for(authority, "127.0.0.1")
    ) as server:
        started = time.monotonic()
        error = failure_of(a_client(ca_bundle=bundle), server.url, timeout=0.6)

    assert error.code == "timeout"
    assert time.monotonic() - started < 2.5


def test_a_handshake_that_never_comes_is_left_in_time(bundle: str) -> None:
    """The port accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        error = failure_of(a_client(ca_bundle=bundle), url, timeout=0.4)

    assert isinstance(error, TransientError)
    assert (error.code, error.ambiguous) == ("timeout", False)
    assert time.monotonic() - started < 2.5


def test_a_kept_tls_connection_that_died_is_replaced_only_if_the_request_had_not_left_whole(
    authority: trustme.CA, bundle: str
) -> None:
    """The same as without TLS."""
    script = (Reply(), Reply(reset_after_reading=1), Reply(b"again"), Reply(reset_at=0))
    with FaultServer(*script, tls=context_for(authority, "127.0.0.1")) as server:
        client = a_client(ca_bundle=bundle)
        post(client, server.url)
        answer = post(client, server.url, body=LONG, timeout=60.0)
        error = failure_of(client, server.url)

    assert answer.body == b"again"
    assert (error.code, error.ambiguous) == ("reset", True)  # type: ignore[attr-defined]
    assert (server.connections, len(server.requests)) == (2, 3)


# --- Guance's sink


def an_event() -> Event:
    return Event(
        id="0" * 32,
        time=1_700_000_000.0,
        level=40,
        level_name="ERROR",
        status="error",
        logger="shop",
        message="sold out",
        template="sold out",
        fingerprint="0" * 16,
        exception=None,
        stack="",
        attributes={},
        code=Code("shop.py", 1, "sell", "shop"),
        thread_id=1,
        thread_name="MainThread",
        process_id=1,
        host="web",
        service="shop",
        env=None,
        tags={},
        trace_id=None,
        span_id=None,
    )


def a_sink(url: str, key: str | None = KEY) -> GuanceSink:
    return GuanceSink(GuanceSettings(endpoint=url, api_key=Secret(key) if key else None), time.monotonic)


def test_an_event_is_created_at_guance() -> None:
    """One call, one event, with the key in its header and what ``encode`` made as its body."""
    with FaultServer(Reply(CREATED)) as server:
        sink = a_sink(server.url)
        payload = sink.encode(an_event())
        outcomes = sink.send([payload], timeout=5.0)
        sink.close()

    (request,) = server.requests
    assert outcomes == [DELIVERED]
    assert request.target == "/api/v1/events/create"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["df-api-key"] == KEY
    assert request.body == payload.body
    assert sink.limits.max_events == 1


def test_guances_key_is_taken_from_the_environment_when_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may come after the handler was made, and change."""
    monkeypatch.delenv("DF_API_KEY", raising=False)
    with FaultServer(Reply(CREATED)) as server:
        sink = a_sink(server.url, key=None)
        payload = sink.encode(an_event())
        with pytest.raises(MisconfiguredError, match="DF_API_KEY"):
            sink.send([payload], timeout=5.0)
        for key in ("first", " second\n"):
            monkeypatch.setenv("DF_API_KEY", key)
            sink.send([payload], timeout=5.0)

    assert [request.headers["df-api-key"] for request in server.requests] == ["first", "second"]


def test_a_key_that_is_none_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters no key has are reported without the key."""
    monkeypatch.setenv("DF_API_KEY", f"{KEY} and more")
    with FaultServer(Reply(CREATED)) as server:
        sink = a_sink(server.url, key=None)
        with pytest.raises(MisconfiguredError) as caught:
            sink.send([sink.encode(an_event())], timeout=5.0)

    assert KEY not in str(caught.value)
    assert server.requests == []


def test_an_answer_that_quotes_the_key_does_not_spread_it() -> None:
    """The server's words go into error texts, the key does not."""
    with FaultServer(Reply(f"no such key: {KEY}".encode(), status=403)) as server:
        sink = a_sink(server.url)
        with pytest.raises(MisconfiguredError) as caught:
            sink.send([sink.encode(an_event())], timeout=5.0)

    assert "no such key: ***" in str(caught.value)
