"""A kept connection, spoken to without requests and urllib3, behaves as a new one that they speak to."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3
from faultserver import FaultServer, Reply
from requests.adapters import HTTPAdapter

from eventlog_handlers.errors import MisconfiguredError, SinkError, TransientError
from eventlog_handlers.transport import kept, network
from eventlog_handlers.transport.client import MAX_ANSWER_BYTES, Answer, HttpClient

FINE = Reply(b"fine")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What this thread sent over kept connections; a handler of an earlier test may still send."""
    seen: list[object] = []
    real = kept.exchange
    test_thread = threading.get_ident()

    def exchange(*given: Any) -> Any:
        read = real(*given)
        if threading.get_ident() == test_thread:
            seen.append(read)
        return read

    monkeypatch.setattr(network.kept, "exchange", exchange)
    return seen


def a_client(**options: Any) -> HttpClient:
    return HttpClient(
        **{"connect_timeout": 3.0, "read_timeout": 10.0, "clock": time.monotonic, "proxies": {}, **options}
    )


def post(client: HttpClient, url: str, body: bytes = b"{}", **headers: str) -> Answer:
    return client.post(url, headers={"X-Key": "k", **headers}, body=body, timeout=8.0)


def outcome(client: HttpClient, url: str) -> object:
    """The answer, or what the failure is to the worker."""
    try:
        return post(client, url)
    except SinkError as error:
        return type(error), error.code, getattr(error, "ambiguous", None)


def raw(text: str, *, close: bool = False, **more: Any) -> Reply:
    return Reply(raw=text.replace("\n", "\r\n").encode("latin-1"), close=close, **more)


CHUNKED = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n"


@pytest.mark.parametrize(
    "reply",
    [
        FINE,
        Reply(b"", 200),
        Reply(b"no", 429, {"Retry-After": "7", "Date": "Fri, 20 Nov 2026 12:00:00 GMT"}),
        Reply(b"", 302, {"Location": "http://127.0.0.1:1/"}),
        Reply(b"caf\xc3\xa9", 500, {"X-Name": "caf\xe9"}),
        Reply(b"x" * MAX_ANSWER_BYTES),
        Reply(b"x" * (MAX_ANSWER_BYTES + 1)),
        Reply(b"x" * 300_000),
        Reply(b"bye", 200, {"Connection": "close"}, close=True),
        Reply(b"dripping", drip_from=0, drip_seconds=0.001),
        raw("HTTP/1.1 200 OK\nA: 1\nB: 2\nA: 3\ncontent-length: 2\n\nhi"),
        raw("HTTP/1.1 200 OK\nA:1\nB:   two words   \nContent-Length:2\n\nhi"),
        raw("HTTP/1.1 200\nContent-Length: 2\n\nhi"),
        raw("HTTP/1.1 204 No Content\n\n"),
        raw("HTTP/1.1 304 Not Modified\n\n"),
        raw(f"{CHUNKED}2\nhi\n3\n ho\n0\n\n"),
        raw(f"{CHUNKED}2\nhi\n0\nTrailer: late\n\n"),
        raw("HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nhi"),
        raw("HTTP/1.1 200 OK\nA: folded\n and more\nContent-Length: 2\n\nhi"),
        raw("HTTP/1.0 200 OK\nContent-Length: 2\n\nhi", close=True),
        raw("HTTP/1.0 200 OK\n\nuntil the end", close=True),
        raw("HTTP/1.1 200 OK\n\nuntil the end", close=True),
        Reply(raw=b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi"),
        # what is no answer
        Reply(b"cut short", 200, {"Content-Length": "99"}, close=True),
        Reply(b"cut short", 200, {"Content-Length": "99"}, reset_at=44),  # within the body
        raw(f"{CHUNKED}5\nhi", close=True),
        Reply(raw=b"SSH-2.0-OpenSSH_9.6\r\n", close=True),
        Reply(raw=b"garbage without an end of line", close=True),
        Reply(raw=b"", close=True),
        raw("HTTP/1.1 OK\nContent-Length: 2\n\nhi", close=True),
        raw("HTTP/2.0 200 OK\nContent-Length: 2\n\nhi", close=True),
        raw("HTTP/1.1 200 OK\nContent-Length: -2\n\nhi", close=True),
        raw("HTTP/1.1 200 OK\nContent-Length: 2, 2\n\nhi", close=True),
        Reply(reset_at=0),
        Reply(reset_at=20),
    ],
)
def test_an_answer_is_read_as_on_a_new_connection(reply: Reply, counted: list[object]) -> None:
    """Status, headers, body, or the failure it stands for; and the post after it finds all well."""
    with FaultServer(reply, FINE) as server:
        client = a_client()
        on_a_new_one = outcome(client, f"{server.url}/path?a=b")
    assert counted == []

    with FaultServer(FINE, reply, FINE) as server:
        client = a_client()
        post(client, server.url)
        on_a_kept_one = outcome(client, server.url)
        after = post(client, server.url)

    assert on_a_kept_one == on_a_new_one
    assert after.body == b"fine"
    assert counted


def test_a_request_is_the_same_on_a_new_and_a_kept_connection(counted: list[object]) -> None:
    """Line, headers and body, a given Host or the URL's, whatever is in the query."""
    with FaultServer(FINE) as server:
        client = a_client()
        for headers in ({}, {"Host": "elsewhere.example"}):
            for _ in range(2):
                post(client, f"{server.url}/a/b%20c?d=e&f=%2F", b"\x00\xff" * 40_000, **headers)

    first, second, third, fourth = server.requests
    assert first[:4] == second[:4]
    assert third[:4] == fourth[:4]
    assert third.headers["host"] == "elsewhere.example"
    assert [request.connection for request in server.requests] == [1, 1, 1, 1]
    assert len(counted) == 3


@pytest.mark.parametrize(
    "headers", [{"X": "a\r\nInjected: b"}, {"X": "a\nb"}, {"X": "\u4e2d"}, {"X\r\n": "a"}]
)
def test_a_header_that_cannot_be_sent_is_refused_on_a_kept_connection_too(headers: dict[str, str]) -> None:
    """Nothing of such a request leaves."""
    with FaultServer(FINE) as server:
        client = a_client()
        post(client, server.url)
        with pytest.raises(SinkError) as raised:
            client.post(server.url, headers=headers, body=b"", timeout=5.0)
        post(client, server.url)

    assert type(raised.value) is MisconfiguredError
    assert len(server.requests) == 2


def test_silence_on_a_kept_connection_ends_with_the_deadline(counted: list[object]) -> None:
    """In the middle of an answer's head and of its body."""
    for at in (10, 45):
        with FaultServer(FINE, Reply(b"x" * 50, hang_at=at)) as server:
            client = a_client(read_timeout=0.3)
            post(client, server.url)
            with pytest.raises(TransientError) as raised:
                client.post(server.url, headers={}, body=b"", timeout=5.0)

        assert (raised.value.code, raised.value.ambiguous) == ("timeout", True)
    assert counted == []  # both began, none came to its end


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_an_answer_that_drips_ends_with_the_deadline(framing: str) -> None:
    """Each byte comes in time, all of them would take 10 s."""
    dripping = Reply(b"x" * 200, drip_from=45, drip_seconds=0.05)
    if framing == "chunks":
        dripping = raw(f"{CHUNKED}c8\n{'x' * 200}\n0\n\n", drip_from=50, drip_seconds=0.05)
    with FaultServer(FINE, dripping) as server:
        client = a_client()
        post(client, server.url)
        with pytest.raises(TransientError) as raised:
            client.post(server.url, headers={}, body=b"", timeout=0.5)

    assert (raised.value.code, raised.value.ambiguous) == ("timeout", True)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(HTTPAdapter, "send"), (urllib3.HTTPConnectionPool, "urlopen")],
    ids=["send", "urlopen"],
)
def test_what_stands_in_the_place_of_requests_is_not_passed_by(
    owner: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests replace requests or urllib3; that a connection was kept before changes nothing."""
    asked: list[str] = []
    real = getattr(owner, name)

    def replaced(*given: Any, **options: Any) -> Any:
        asked.append(name)
        return real(*given, **options)

    with FaultServer(FINE) as server:
        client = a_client()
        post(client, server.url)
        monkeypatch.setattr(owner, name, replaced)
        post(client, server.url)

    assert asked == [name]


def test_half_a_head_is_no_answer() -> None:
    """The connection ended among the headers: what they would have said is not known."""
    with FaultServer(FINE, raw("HTTP/1.1 200 OK\nContent-Le", close=True)) as server:
        client = a_client()
        post(client, server.url)

        assert outcome(client, server.url) == (TransientError, "reset", True)


def test_a_proxy_sees_every_request() -> None:
    """Its requests name the whole URL, which is left to requests."""
    with FaultServer(FINE) as proxy:
        client = a_client(proxies={"http": proxy.url})
        for _ in range(2):
            post(client, "http://service.example/path")

    assert [request.target for request in proxy.requests] == ["http://service.example/path"] * 2


def test_a_pool_that_is_made_otherwise_is_left_alone() -> None:
    """Whatever goes wrong before a byte is sent, requests makes the post."""
    call: Any = SimpleNamespace(is_reused=True)

    assert kept.exchange(SimpleNamespace(), "http://127.0.0.1/", {}, b"", call, 10) is None
