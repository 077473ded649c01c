"""The port of the stand-in: three protocols told apart, faults on demand, the API, the page, the fixture."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from eventlog_handlers.console.server import LocalConsole
from eventlog_handlers.settings.local_console import (
    CONSOLE_AWS_ACCESS_KEY_ID,
    CONSOLE_AWS_SECRET_ACCESS_KEY,
    CONSOLE_GUANCE_KEY,
)

EVENT = {"date": 1_800_000_000_000, "status": "error", "title": "out of stock"}


@pytest.fixture(scope="module")
def port() -> Iterator[LocalConsole]:
    with LocalConsole() as console:
        yield console


@pytest.fixture
def console(port: LocalConsole) -> LocalConsole:
    port.restore()
    return port


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def send(http: requests.Session, console: LocalConsole, **changes: Any) -> requests.Response:
    """One Guance event over *http*."""
    return http.post(
        f"{console.url}/api/v1/events/create",
        json=EVENT | changes,
        headers={"DF-API-KEY": CONSOLE_GUANCE_KEY},
        timeout=5,
    )


def put(console: LocalConsole, *messages: str) -> dict[str, Any]:
    """One PutEvents request of boto3, an entry for each message."""
    client = boto3.session.Session().client(
        "events",
        region_name="us-east-1",
        endpoint_url=console.url,
        aws_access_key_id=CONSOLE_AWS_ACCESS_KEY_ID,
        aws_secret_access_key=CONSOLE_AWS_SECRET_ACCESS_KEY,
        config=Config(retries={"mode": "standard", "total_max_attempts": 1}, proxies={}),
    )
    details = [json.dumps({"message": message}) for message in messages]
    answer: dict[str, Any] = client.put_events(
        Entries=[{"Source": "shop", "DetailType": "Log Record", "Detail": detail} for detail in details]
    )
    return answer


# --- protocols -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "service"),
    [
        ("POST", "/", {"X-Amz-Target": "AWSEvents.PutEvents"}, "{}", "cloudwatch"),
        ("POST", "/", {"X-Amz-Target": "Logs.PutLogEvents"}, "{}", "cloudwatch"),
        ("POST", "/api/v1/events/create", {}, "{}", "guance"),
        ("GET", "/api/v1/workspace/get", {}, "", "guance"),
        ("POST", "/", {"x-acs-action": "PutCustomEvent"}, "", "cms"),
        ("POST", "/?Action=PutCustomEvent", {}, "", "cms"),
        ("GET", "/?Action=PutCustomEvent", {}, "", "cms"),
        (
            "POST",
            "/",
            {"Content-Type": "application/x-www-form-urlencoded"},
            "Action=PutCustomEvent",
            "cms",
        ),
    ],
)
def test_tells_protocols_apart(
    console: LocalConsole,
    http: requests.Session,
    method: str,
    path: str,
    headers: dict[str, str],
    body: str,
    service: str,
) -> None:
    """By path, header and parameter; each is refused by its own service, for want of a key."""
    answer = http.request(method, console.url + path, headers=headers, data=body, timeout=5)

    assert answer.status_code >= 400
    (request,) = console.requests()
    assert (request.service, request.method, request.http_status) == (service, method, answer.status_code)
    assert [refusal.service for refusal in console.refused()] == [service]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/", 405), ("PUT", "/api/events", 405), ("GET", "/nowhere", 404), ("GET", "/favicon.ico", 404)],
)
def test_what_is_none_of_them_is_said_to_be(
    console: LocalConsole, http: requests.Session, method: str, path: str, status: int
) -> None:
    """And counts for no service."""
    answer = http.request(method, console.url + path, timeout=5)

    assert answer.status_code == status
    assert "no call of CMS" in answer.json()["error"]
    assert console.requests() == []


def test_counts_connections(console: LocalConsole, http: requests.Session) -> None:
    """Kept alive, or new for each request."""
    for _ in range(3):
        send(http, console)
    kept = console.stats()["guance"]["connections"]
    with requests.Session() as other:
        other.trust_env = False
        send(other, console)

    assert kept == 1
    assert console.stats()["guance"]["connections"] == 2


def test_sees_parallel_requests(console: LocalConsole) -> None:
    """Two at once are seen as two."""
    console.script.delay("guance", 0.2, times=2)
    threads = [
        threading.Thread(target=lambda: send(requests.Session(), console)) for _ in range(2)
    ]  # a Session each: none is shared between threads

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert console.stats()["guance"]["most_parallel"] == 2


# --- faults on demand ------------------------------------------------------------------------------------


def test_throttles_as_the_service_would(console: LocalConsole, http: requests.Session) -> None:
    """So many requests, each in the service's own words; then it works again."""
    console.script.throttle("guance", times=2)
    console.script.throttle("cloudwatch")

    answers = [send(http, console) for _ in range(3)]
    with pytest.raises(ClientError) as caught:
        put(console, "x")

    assert [answer.status_code for answer in answers] == [401, 401, 200]
    assert answers[0].json()["errorCode"] == "ft.TriggerApiAkCurrentLimiting"
    assert caught.value.response["Error"]["Code"] == "ThrottlingException"
    assert len(console.events("guance")) == 1


def test_throttles_cms_calls(console: LocalConsole, http: requests.Session) -> None:
    """Before anything about the call is looked at."""
    console.script.throttle("cms")

    answer = http.post(f"{console.url}/?Action=PutCustomEvent", timeout=5)

    assert (answer.status_code, answer.json()["Code"]) == (400, "Throttling.User")


@pytest.mark.parametrize("stored", [False, True])
def test_replies_as_told(console: LocalConsole, http: requests.Session, stored: bool) -> None:
    """Whether the event was stored before, is told apart."""
    console.script.reply("guance", 502, "<html>bad gateway</html>", after_storing=stored)

    answer = send(http, console)

    assert (answer.status_code, answer.text) == (502, "<html>bad gateway</html>")
    assert answer.headers["content-type"] == "text/html"
    assert len(console.events()) == stored
    assert [request.http_status for request in console.requests()] == [502]


def test_replies_with_json_and_headers(console: LocalConsole, http: requests.Session) -> None:
    """A redirect, or an answer of the service's shape that says no."""
    console.script.reply("guance", 302, headers={"location": "http://elsewhere.invalid/"})
    console.script.reply("guance", 200, {"success": False})

    redirect = http.post(f"{console.url}/api/v1/events/create", timeout=5, allow_redirects=False)
    refusal = send(http, console)

    assert redirect.headers["location"] == "http://elsewhere.invalid/"
    assert refusal.json() == {"success": False}


@pytest.mark.parametrize("stored", [False, True])
def test_cuts_the_connection(console: LocalConsole, http: requests.Session, stored: bool) -> None:
    """Before or after the event is stored; the client can't tell which."""
    console.script.cut("guance", after_storing=stored)
    console.script.cut("cloudwatch")

    with pytest.raises(requests.ConnectionError):
        send(http, console)
    with pytest.raises(ConnectionClosedError):
        put(console, "x")

    assert len(console.events("guance")) == stored
    assert [request.http_status for request in console.requests()] == [None, None]
    assert send(http, console).status_code == 200


def test_hangs_longer_than_the_client_waits(console: LocalConsole, http: requests.Session) -> None:
    """The event is stored all the same."""
    console.script.delay("guance", 30.0)

    with pytest.raises(requests.ReadTimeout):
        http.post(
            f"{console.url}/api/v1/events/create",
            json=EVENT,
            headers={"DF-API-KEY": CONSOLE_GUANCE_KEY},
            timeout=0.2,
        )

    assert len(console.events()) == 1


def test_fails_marked_entries(console: LocalConsole) -> None:
    """One entry of three, twice; its neighbours are accepted."""
    console.script.fail_entries("poison", code="ThrottlingException", times=2)

    answers = [put(console, "a", "poison", "b"), put(console, "poison"), put(console, "poison")]

    assert [answer["FailedEntryCount"] for answer in answers] == [1, 1, 0]
    assert answers[0]["Entries"][1]["ErrorCode"] == "ThrottlingException"
    assert len(console.events()) == 3


def test_refuses_requests_that_hold_a_marked_event(console: LocalConsole, http: requests.Session) -> None:
    """The whole request, in the service's shape, as often as told."""
    console.script.refuse("guance", "poison", code="ft.Poison", times=1)
    console.script.refuse("cloudwatch", "poison", code="InternalFailure", status=500)

    answers = [send(http, console, customTags={"a": "poison"}) for _ in range(2)]
    with pytest.raises(ClientError) as caught:
        put(console, "fine", "poison")

    assert [(answer.status_code, answer.json()["errorCode"]) for answer in answers] == [
        (400, "ft.Poison"),
        (200, ""),
    ]
    assert caught.value.response["Error"]["Code"] == "InternalFailure"
    assert [refusal.code for refusal in console.refused()] == ["ft.Poison", "InternalFailure"]
    assert console.events("cloudwatch") == []


def test_knows_no_other_service(console: LocalConsole) -> None:
    """A slip in a test's script is said at once."""
    with pytest.raises(ValueError, match="no service 'aws': there are cms, guance, cloudwatch"):
        console.script.throttle("aws")


def test_restore_sets_everything_back(console: LocalConsole, http: requests.Session) -> None:
    """Events, faults, and options."""
    send(http, console)
    console.script.throttle("guance")
    console.guance.keys.clear()

    console.restore()

    assert (console.events(), console.requests()) == ([], [])
    assert send(http, console).status_code == 200


# --- waiting ---------------------------------------------------------------------------------------------


def test_waits_for_events(console: LocalConsole, http: requests.Session) -> None:
    """Until there are enough, from whatever thread they come."""
    sender = threading.Thread(target=lambda: [send(http, console) for _ in range(3)])

    sender.start()
    events = console.wait_for(3)
    sender.join()

    assert [event.title for event in events] == ["out of stock"] * 3


def test_says_what_came_instead(console: LocalConsole, http: requests.Session) -> None:
    """How many, and why the others were refused."""
    send(http, console)
    send(http, console, status="fatal")

    with pytest.raises(TimeoutError, match=r"1 of 2 events .* refused: \{'ft.EmuInvalidParameter': 1\}"):
        console.wait_for(2, timeout=0.01)


# --- API -------------------------------------------------------------------------------------------------


def test_lists_events_newest_first(console: LocalConsole, http: requests.Session) -> None:
    """With filters, a limit and a place to go on from."""
    for title in ("first 100%", "second", "third Ä"):
        send(http, console, title=title, message="line\nwith 'quotes'")
    put(console, "second of another service")

    def titles(query: str) -> list[str]:
        events = http.get(f"{console.url}/api/events?{query}", timeout=5).json()["events"]
        return [event["title"] for event in events]

    assert titles("") == ["Log Record", "third Ä", "second", "first 100%"]
    assert titles("service=guance&limit=2") == ["third Ä", "second"]
    assert titles("q=SECOND") == ["Log Record", "second"]
    assert titles("q=Ä") == ["third Ä"]
    assert titles("q=0%25") == ["first 100%"]
    assert titles("q=_") == []
    assert titles(f"after={console.events('guance')[-1].id}") == ["Log Record"]


@pytest.mark.parametrize("query", ["limit=all", "after=-1", "service=aws"])
def test_refuses_wrong_filters(console: LocalConsole, http: requests.Session, query: str) -> None:
    """Rather than answering something else than was asked."""
    assert http.get(f"{console.url}/api/events?{query}", timeout=5).status_code == 400


def test_shows_requests_refusals_and_counts(console: LocalConsole, http: requests.Session) -> None:
    """What the counts promise is what the lists hold."""
    send(http, console)
    send(http, console, status="fatal")

    def get(name: str) -> Any:
        return http.get(f"{console.url}/api/{name}", timeout=5).json()

    assert [request["http_status"] for request in get("requests?service=guance")["requests"]] == [400, 200]
    assert [refusal["body"]["status"] for refusal in get("refused")["refused"]] == ["fatal"]
    counts = get("stats")["guance"]
    assert (counts["requests"], counts["accepted"]) == (2, 1)
    assert counts["refused"] == {"ft.EmuInvalidParameter": 1}
    assert get("health")["status"] == "ok"


def test_clears(console: LocalConsole, http: requests.Session) -> None:
    """Ids go on, so that whoever follows the list misses nothing."""
    send(http, console)
    before = console.events()[-1].id

    answer = http.delete(f"{console.url}/api/events", timeout=5)
    send(http, console)

    assert answer.status_code == 204
    (event,) = console.events()
    assert event.id > before


# --- around it -------------------------------------------------------------------------------------------


def test_stays_out_of_the_applications_logging(caplog: pytest.LogCaptureFixture) -> None:
    """A root handler at DEBUG sees nothing of the server: its records would come back as events."""
    caplog.set_level(logging.DEBUG)

    with LocalConsole() as console, requests.Session() as http:
        http.trust_env = False
        send(http, console)

    names = {record.name for record in caplog.records}
    assert not {name for name in names if name.startswith(("uvicorn", "asyncio", "starlette"))}


def test_stops_and_starts_again(http: requests.Session) -> None:
    """The port is free once it has stopped, and what arrived can still be read."""
    threads = set(threading.enumerate())
    console = LocalConsole().start()
    url = console.url
    send(http, console)
    console.stop()

    with pytest.raises(requests.ConnectionError):
        http.get(url, timeout=5)
    assert len(console.events()) == 1
    assert set(threading.enumerate()) == threads
    with console:
        assert send(http, console).status_code == 200


def test_a_taken_port_is_said_to_be(console: LocalConsole) -> None:
    """In the caller's thread, as an OSError."""
    taken = int(console.url.rpartition(":")[2])

    with pytest.raises(OSError, match="in use"):
        LocalConsole(port=taken).start()


def test_keeps_what_arrives_in_a_file(tmp_path: Path, http: requests.Session) -> None:
    """Another console on the same file still has it."""
    path = str(tmp_path / "events.sqlite")
    with LocalConsole(path=path) as console:
        send(http, console)
    console.store.close()

    (event,) = LocalConsole(path=path).events()

    assert event.body == EVENT


FIXTURE_TEST = """
import json, logging, os, urllib.request

def send(console, status="error"):
    body = json.dumps({"date": 1800000000000, "status": status, "title": "t"}).encode()
    headers = {"DF-API-KEY": "eventlog-console-key", "Content-Type": "application/json"}
    request = urllib.request.Request(console.url + "/api/v1/events/create", body, headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(request, timeout=5)

def test_one(eventlog_console):
    assert os.environ["EVENTLOG_CONSOLE"] == eventlog_console.url
    for _ in range(30):
        send(eventlog_console)
    eventlog_console.script.throttle("guance")
    assert len(eventlog_console.wait_for(30, timeout=5)) == 30

def test_two(eventlog_console):
    assert eventlog_console.events() == []
    assert send(eventlog_console).status == 200

def test_three():
    assert "EVENTLOG_CONSOLE" not in os.environ
"""


def test_the_fixture_is_fresh_for_each_test(tmp_path: Path) -> None:
    """One server for the session, cleared per test; quotas off; the environment set and set back."""
    (tmp_path / "test_user.py").write_text(FIXTURE_TEST)
    not_theirs = {"EVENTLOG_CONSOLE", "PYTEST_ADDOPTS"}  # the options may be of plugins that are off below
    environ = {name: value for name, value in os.environ.items() if name not in not_theirs}
    environ |= {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": os.pathsep.join(path for path in (str(Path.cwd()), environ.get("PYTHONPATH")) if path),
    }

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "eventlog_handlers.pytest_plugin", str(tmp_path)],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "3 passed" in run.stdout, run.stdout + run.stderr


def test_the_plugin_imports_no_server() -> None:
    """Every pytest run of every project that has the package loads it."""
    code = (
        "import sys, eventlog_handlers.pytest_plugin;"
        "print([name for name in ('starlette', 'uvicorn', 'botocore', 'requests') if name in sys.modules])"
    )

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert run.stdout.strip() == "[]"
