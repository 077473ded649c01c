"""Faults that people choose: what each does to a request of a real client or handler, and for how long."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from eventlog_handlers import GuanceHandler
from eventlog_handlers.console.faults import KINDS, Fault, checked, from_json, parsed, step_of
from eventlog_handlers.console.script import Script
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
    port.relax()
    return port


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def send(http: requests.Session, console: LocalConsole) -> requests.Response:
    headers = {"DF-API-KEY": CONSOLE_GUANCE_KEY}
    return http.post(f"{console.url}/api/v1/events/create", json=EVENT, headers=headers, timeout=5)


def put(console: LocalConsole, entries: int = 1) -> dict[str, Any]:
    client = boto3.session.Session().client(
        "events",
        region_name="us-east-1",
        endpoint_url=console.url,
        aws_access_key_id=CONSOLE_AWS_ACCESS_KEY_ID,
        aws_secret_access_key=CONSOLE_AWS_SECRET_ACCESS_KEY,
        config=Config(retries={"mode": "standard", "total_max_attempts": 1}, proxies={}),
    )
    detail = json.dumps({"message": "x"})
    answer: dict[str, Any] = client.put_events(
        Entries=[{"Source": "shop", "DetailType": "Log Record", "Detail": detail}] * entries
    )
    return answer


# --- what each does --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "kind", "status", "code"),
    [
        ("guance", "throttle", 401, "ft.TriggerApiAkCurrentLimiting"),
        ("guance", "500", 500, "ft.EmuInternalError"),
        ("guance", "garbage", 200, "scripted"),
        ("guance", "slow", 200, ""),
        ("guance", "cut", None, "scripted"),
        ("cms", "throttle", 400, "Throttling.User"),
        ("cms", "500", 500, "InternalError"),
        ("cms", "garbage", 200, "scripted"),
        ("cms", "cut", None, "scripted"),
    ],
)
def test_each_fault_over_http(
    console: LocalConsole, http: requests.Session, service: str, kind: str, status: int | None, code: str
) -> None:
    """One request is hit, the next is not; the request's row tells which fault it met."""
    console.start_fault(Fault(service, kind, count=1, delay=0.05))
    call = f"{console.url}/?Action=PutCustomEvent" if service == "cms" else ""

    def ask() -> int | None:
        try:
            answer = http.post(call, timeout=5) if call else send(http, console)
        except requests.ConnectionError:
            return None
        return answer.status_code

    first, _ = ask(), ask()

    met, after = console.requests()
    assert first == met.http_status == status
    assert (met.fault, met.code, after.fault) == (kind, code, "")
    assert len(console.events()) == {"slow": 2, "cms": 0}.get(kind if kind == "slow" else service, 1)


@pytest.mark.parametrize(("kind", "code"), [("throttle", "ThrottlingException"), ("500", "InternalFailure")])
def test_a_client_of_aws_gets_the_errors_of_aws(console: LocalConsole, kind: str, code: str) -> None:
    """In the shape that botocore reads."""
    console.start_fault(Fault("cloudwatch", kind, count=1))

    with pytest.raises(ClientError) as caught:
        put(console)

    assert caught.value.response["Error"]["Code"] == code


def test_a_cut_connection_keeps_nothing(console: LocalConsole) -> None:
    """The client can't know."""
    console.start_fault(Fault("cloudwatch", "cut", count=1))

    with pytest.raises(ConnectionClosedError):
        put(console)

    assert console.events() == []


def test_half_the_entries_fail(console: LocalConsole) -> None:
    """The second, the fourth, and so on; their neighbours are accepted."""
    console.start_fault(Fault("cloudwatch", "half", count=1))

    answers = [put(console, 5), put(console, 2)]

    codes = [[entry.get("ErrorCode") for entry in answer["Entries"]] for answer in answers]
    assert codes == [[None, "InternalFailure", None, "InternalFailure", None], [None, None]]


def test_a_wrong_clock_refuses_and_tells_its_time(console: LocalConsole, http: requests.Session) -> None:
    """Even where clocks are not compared otherwise; the answer's Date is that of the wrong clock."""
    console.start_fault(Fault("cloudwatch", "wrong_clock", count=1))
    console.start_fault(Fault("cms", "wrong_clock", count=1))

    with pytest.raises(ClientError, match="Signature expired") as caught:
        put(console)
    parameters = {
        "Action": "PutCustomEvent", "Version": "2019-01-01", "AccessKeyId": "x", "Signature": "x",
        "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "SignatureNonce": "x", "Format": "JSON",
        "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }  # fmt: skip
    answer = http.post(console.url, params=parameters, timeout=5)

    told = caught.value.response["ResponseMetadata"]["HTTPHeaders"]["date"]
    assert parsedate_to_datetime(told).timestamp() - time.time() == pytest.approx(3600, abs=30)
    assert answer.json()["Code"] == "InvalidTimeStamp.Expired"
    assert put(console)["FailedEntryCount"] == 0


def test_a_handler_gets_through_a_fault(console: LocalConsole, monkeypatch: pytest.MonkeyPatch) -> None:
    """It tries again, and the tries of the event can be told from its id."""
    monkeypatch.setenv("EVENTLOG_CONSOLE", console.url)
    console.start_fault(Fault("guance", "500", count=1))
    handler, logger = GuanceHandler(), logging.getLogger("shop.faults")
    logger.addHandler(handler)
    try:
        logger.error("out of stock")
        assert handler.flush(30)
    finally:
        logger.removeHandler(handler)
        handler.close()

    assert [request.http_status for request in console.requests()] == [500, 200]
    assert len(console.events()) == 1


# --- for how long ----------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_fault_lasts_for_a_count_or_a_while() -> None:
    """Whichever ends first; of two the older goes first, and the queue of a test before both."""
    clock = Clock()
    script = Script(clock)
    cut, throttle = step_of(Fault("cms", "cut")), step_of(Fault("cms", "throttle"))
    script.start("cms", cut, count=2, seconds=None)
    script.start("cms", throttle, count=None, seconds=10.0)
    script.delay("cms", 0.5)

    kinds = [step.fault if (step := script.next_step("cms")) else None for _ in range(4)]
    clock.now += 9.9
    before = script.next_step("cms")
    clock.now += 0.2
    after = script.next_step("cms")

    assert kinds == ["", "cut", "cut", "throttle"]
    assert before == throttle
    assert after is None
    assert script.lasting() == []
    assert script.next_step("guance") is None


def test_a_fault_is_ended_by_hand() -> None:
    """By its number; its rest is told until then."""
    clock, told = Clock(), []
    script = Script(clock)
    script.on_change = lambda: told.append(1)
    first = script.start("cms", step_of(Fault("cms", "cut")), count=3, seconds=60.0)
    script.next_step("cms")
    clock.now += 20

    ((lasting, seconds),) = script.lasting()

    assert (lasting.left, seconds) == (2, 40.0)
    assert script.stop(first.number)
    assert not script.stop(first.number)
    assert script.lasting() == []
    assert len(told) >= 3


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("cms:throttle", Fault("cms", "throttle", count=1)),
        ("cms:throttle:3", Fault("cms", "throttle", count=3)),
        ("guance:cut:60s", Fault("guance", "cut", seconds=60.0)),
        ("cloudwatch:slow=2.5:forever", Fault("cloudwatch", "slow", delay=2.5)),
        ("cloudwatch:500:0.5s", Fault("cloudwatch", "500", seconds=0.5)),
    ],
)
def test_a_fault_is_typed(text: str, fault: Fault) -> None:
    """Service, fault, and how long."""
    assert parsed(text) == fault


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ([], "is an object"),
        ({"service": "cms"}, "service and kind"),
        ({"service": "cms", "kind": "cut", "often": 1}, "no field 'often'"),
        ({"service": "aws", "kind": "cut"}, "no service"),
        ({"service": "cms", "kind": "melt"}, "no fault"),
        ({"service": "guance", "kind": "wrong_clock"}, "compares no clocks"),
        ({"service": "cms", "kind": "cut", "count": 0}, "count is"),
        ({"service": "cms", "kind": "cut", "count": True}, "count is"),
        ({"service": "cms", "kind": "cut", "seconds": 1e9}, "seconds is"),
        ({"service": "cms", "kind": "slow", "delay": "5"}, "delay is"),
    ],
)
def test_refuses_what_is_no_fault(wanted: Any, words: str) -> None:
    """In words, with what there is."""
    with pytest.raises(ValueError, match=words):
        from_json(wanted)


def test_there_is_a_step_for_each_kind() -> None:
    """A fault that does nothing would be a lie."""
    for kind in KINDS:
        step = step_of(checked(Fault("cloudwatch", kind)))
        assert step.fault == kind
        assert step._replace(fault="") != step_of(Fault("cloudwatch", "cut"))._replace(cut=False, fault="")


# --- over HTTP -------------------------------------------------------------------------------------------


def test_faults_over_http(console: LocalConsole, http: requests.Session) -> None:
    """Started, listed, ended one by one or all at once."""
    url = f"{console.url}/api/faults"

    started = http.post(url, json={"service": "guance", "kind": "throttle", "count": 2}, timeout=5)
    answers = [send(http, console).status_code]
    listed = http.get(url, timeout=5).json()
    number = listed["faults"][0]["id"]
    ended = http.delete(f"{url}/{number}", timeout=5)
    answers.append(send(http, console).status_code)
    http.post(url, json={"service": "cms", "kind": "cut", "seconds": 60}, timeout=5)
    cleared = http.delete(url, timeout=5)

    assert started.status_code == 201
    assert listed["faults"] == [
        {"id": number, "service": "guance", "kind": "throttle", "left": 1, "seconds": None}
    ]
    assert {one["kind"] for one in listed["kinds"]} == set(KINDS)
    assert (ended.status_code, ended.json()["faults"]) == (200, [])
    assert http.delete(f"{url}/{number}", timeout=5).status_code == 404
    assert answers == [401, 200]
    assert cleared.json()["faults"] == []
    assert http.post(url, data="{", timeout=5).status_code == 400
    assert http.post(url, json={"service": "x", "kind": "cut"}, timeout=5).status_code == 400
