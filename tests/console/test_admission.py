"""The door of the console: names, pages of other sites, tokens, bodies without an end."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from eventlog_handlers.cli import main
from eventlog_handlers.console.admission import Doors, denied
from eventlog_handlers.console.app import Console
from eventlog_handlers.console.exchange import Request
from eventlog_handlers.console.server import LocalConsole, doors_of
from eventlog_handlers.settings.local_console import CONSOLE_GUANCE_KEY

EVENT = {"date": 1_800_000_000_000, "status": "error", "title": "out of stock"}


@pytest.fixture(scope="module")
def port() -> Iterator[LocalConsole]:
    with LocalConsole() as console:
        yield console


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def asked(method: str = "GET", path: str = "/", query: str = "", **headers: str) -> Request:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Request(method, path, query, pairs, b"")


def status_of(request: Request, doors: Doors, *, is_call: bool = False) -> int:
    denial = denied(request, doors, is_call=is_call)
    return denial.status if denial else 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8799", 200),
        ("127.9.9.9", 200),
        ("[::1]:8799", 200),
        ("localhost:8799", 200),
        ("LOCALHOST", 200),
        ("shop.localhost:8799", 200),
        ("evil.example:8799", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("192.168.1.7:8799", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
@pytest.mark.parametrize("is_call", [False, True])
def test_answers_to_names_of_loopback_only(host: str, status: int, is_call: bool) -> None:
    """Page, API and services alike: a name that was made to point here is not one of ours."""
    assert status_of(asked(host=host), doors_of("127.0.0.1"), is_call=is_call) == status


@pytest.mark.parametrize(
    ("host", "status"),
    [("console:8799", 200), ("Shop.Example", 200), ("10.0.0.7:8799", 200), ("evil.example", 421)],
)
def test_answers_to_given_names_and_any_address_beyond_loopback(host: str, status: int) -> None:
    """The name listened on, each --name, and literal addresses, which cannot be rebound."""
    doors = doors_of("shop.example", names=["console"])

    assert status_of(asked(host=host), doors) == status


@pytest.mark.parametrize(
    ("headers", "method", "path", "is_call", "status"),
    [
        ({"origin": "http://localhost:8799"}, "POST", "/api/faults", False, 200),
        ({"origin": "https://evil.example"}, "POST", "/api/faults", False, 403),
        ({"origin": "http://localhost:8800"}, "DELETE", "/api/events", False, 403),
        ({"origin": "null"}, "DELETE", "/api/events", False, 403),
        ({"origin": "http://[::1"}, "DELETE", "/api/events", False, 403),
        ({"origin": "https://evil.example"}, "POST", "/", True, 403),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}, "GET", "/api/events", False, 403),
        ({"sec_fetch_site": "same-site", "sec_fetch_mode": "navigate"}, "GET", "/api/export", False, 403),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, "GET", "/", False, 200),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, "GET", "/", True, 403),
        ({"sec_fetch_site": "same-origin", "sec_fetch_mode": "cors"}, "GET", "/api/events", False, 200),
        ({}, "POST", "/", True, 200),
    ],
)
def test_refuses_what_other_sites_pages_send(
    headers: dict[str, str], method: str, path: str, is_call: bool, status: int
) -> None:
    """A link may open the page; nothing else from there reads, changes or sends."""
    request = asked(method, path, host="localhost:8799", **headers)

    assert status_of(request, doors_of("127.0.0.1"), is_call=is_call) == status


@pytest.mark.parametrize(
    ("request_", "is_call", "status"),
    [
        (asked(), False, 401),
        (asked(authorization="Bearer open-sesame"), False, 200),
        (asked(authorization="Bearer open-sesam"), False, 401),
        (asked(authorization="Basic open-sesame"), False, 401),
        (asked(cookie="a=b; eventlog_console=open-sesame"), False, 200),
        (asked(cookie="eventlog_console=other"), False, 401),
        (asked(query="token=open-sesame"), False, 200),
        (asked(path="/api/events", query="token=open-sesame"), False, 401),
        (asked(path="/api/health"), False, 200),
        (asked("POST"), True, 200),
    ],
)
def test_asks_for_the_token(request_: Request, is_call: bool, status: int) -> None:
    """Page and API do; the services' calls have keys of their own, and a probe learns nothing."""
    assert status_of(request_, Doors(token="open-sesame"), is_call=is_call) == status


def test_a_foreign_host_reads_and_changes_nothing(port: LocalConsole, http: requests.Session) -> None:
    """Over the socket: 421 for the page, the API and a service, and nothing is stored."""
    port.restore()
    body = {"json": EVENT, "headers": {"DF-API-KEY": CONSOLE_GUANCE_KEY, "Host": "evil.example"}}

    answers = [
        http.get(port.url, headers={"Host": "evil.example"}, timeout=5),
        http.get(f"{port.url}/api/events", headers={"Host": "evil.example:80"}, timeout=5),
        http.delete(f"{port.url}/api/events", headers={"Host": "evil.example"}, timeout=5),
        http.post(f"{port.url}/api/v1/events/create", timeout=5, **body),
    ]

    assert [answer.status_code for answer in answers] == [421] * 4
    assert port.requests() == []


def test_the_token_becomes_a_cookie(http: requests.Session) -> None:
    """The address is opened once; then the page works, without the token in its address."""
    with LocalConsole(doors=Doors(token="open-sesame")) as console:
        refused = http.get(f"{console.url}/api/events", timeout=5)
        opened = http.get(f"{console.url}/?token=open-sesame", timeout=5)
        events = http.get(f"{console.url}/api/events", timeout=5)

    assert refused.status_code == 401
    assert (opened.status_code, opened.url) == (200, f"{console.url}/")
    assert "httponly" in opened.history[0].headers["set-cookie"].lower()
    assert events.json()["events"] == []


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (["--host", "0.0.0.0"], r"/\?token=[\w-]{16,} "),
        (["--host", "0.0.0.0", "--token", "open-sesame"], r"/\?token=open-sesame "),
        (["--token", "open-sesame"], r"/\?token=open-sesame "),
        ([], r":\d+/ "),
    ],
)
def test_the_command_has_a_token_beyond_loopback(arguments: list[str], pattern: str) -> None:
    """Made and printed where none is given."""
    command = [sys.executable, "-m", "eventlog_handlers", "console", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
    finally:
        process.kill()
        process.communicate()

    assert re.search(pattern, line)


@pytest.mark.parametrize("token", ["", "short", "with blank", "ümläute-dabei"])
def test_refuses_tokens_that_are_none(token: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty one would let everybody in."""
    with pytest.raises(SystemExit) as caught:
        main(["console", f"--token={token}"])

    assert caught.value.code == 2
    assert "8 or more" in capsys.readouterr().err


# --- bodies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", [(b"x-amz-target", b"AWSEvents.PutEvents")], 413),
        (
            "/api/v1/events/create",
            [(b"df-api-key", CONSOLE_GUANCE_KEY.encode()), (b"content-type", b"application/json")],
            413,
        ),
        ("/", [(b"x-acs-action", b"PutCustomEvent")], 413),
        ("/nowhere", [], 404),
    ],
)
def test_a_body_without_an_end_is_read_to_the_limit_only(
    path: str, headers: list[tuple[bytes, bytes]], status: int
) -> None:
    """Then each service answers as for any body that is too large."""
    console, chunk, read, sent = Console(), b"x" * 65_536, [0], []

    async def receive() -> dict[str, Any]:
        read[0] += len(chunk)
        return {"type": "http.request", "body": chunk, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost"), *headers],
        "state": {"wire": type("Wire", (), {"number": 1})},
    }
    asyncio.run(console(scope, receive, send))

    assert sent[0]["status"] == status
    assert read[0] <= console.cloudwatch.max_body_bytes + len(chunk)
    assert all(request.size <= console.cloudwatch.max_body_bytes + 1 for request in console.requests())


def test_a_huge_body_is_answered_over_the_socket(port: LocalConsole, http: requests.Session) -> None:
    """The client may send it to its end; the same connection then goes on."""
    port.restore()
    chunks = (b"x" * 65_536 for _ in range(1024))

    answer = http.post(
        f"{port.url}/api/v1/events/create",
        data=chunks,
        headers={"DF-API-KEY": CONSOLE_GUANCE_KEY, "Content-Type": "application/json"},
        timeout=30,
    )

    assert answer.status_code == 413
    assert [request.size for request in port.requests()] == [port.cloudwatch.max_body_bytes + 1]
    assert http.get(f"{port.url}/api/health", timeout=5).json()["status"] == "ok"


def test_half_a_surrogate_pair_anywhere_breaks_nothing(port: LocalConsole, http: requests.Session) -> None:
    """In the name of a tag, in a field nobody knows, in a refused event."""
    port.restore()
    headers = {"DF-API-KEY": CONSOLE_GUANCE_KEY, "Content-Type": "application/json"}
    odd = {"customTags": {"\ud800": "\udfff"}, "\ud800": 1}
    for body in (EVENT | odd, EVENT | odd | {"status": "\ud800"}, EVENT | {"title": "\ud800"}):
        http.post(f"{port.url}/api/v1/events/create", data=json.dumps(body), headers=headers, timeout=5)

    pages = [http.get(f"{port.url}{path}", timeout=5) for path in ("/", "/api/events", "/api/refused")]

    assert [page.status_code for page in pages] == [200, 200, 200]
    assert (len(port.events()), len(port.refused())) == (1, 2)
