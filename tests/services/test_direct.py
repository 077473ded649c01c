"""PutEvents without botocore's machinery: signed as botocore signs, and only where nobody would notice."""

from __future__ import annotations

import email.utils
import functools
import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.auth
import botocore.client
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cloudwatch_events import event
from faultserver import FaultServer, Reply, Request
from hypothesis import given
from hypothesis import strategies as st
from unwatched import unwatched

from eventlog_handlers.errors import MisconfiguredError, TransientError
from eventlog_handlers.events import DELIVERED
from eventlog_handlers.services.cloudwatch import clients
from eventlog_handlers.services.cloudwatch.direct import Direct, Keys, body_of, has_foreign_hooks, learned
from eventlog_handlers.services.cloudwatch.options import CloudWatchSettings
from eventlog_handlers.services.cloudwatch.sigv4 import Scope, authorization, signing_key
from eventlog_handlers.services.cloudwatch.sink import CloudWatchEventsSink

KEY_ID, SECRET = "AKIADIRECT", "a-secret/of+40-characters-that-is-no-key"
DATE = "20261120T114424Z"
SCOPE = Scope("20261120", "eu-west-1", "events")
TAKEN = Reply(b'{"FailedEntryCount":0,"Entries":[{"EventId":"a"}]}')
EARLY = (
    b'{"__type":"InvalidSignatureException",'
    b'"message":"Signature not yet current: 20261120T120000Z is still later than 20261120T110000Z"}'
)


@pytest.fixture(autouse=True)
def _no_aws_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("NO_PROXY", "*")


def session(token: str | None = None) -> boto3.Session:
    return unwatched(KEY_ID, SECRET, token, region_name="eu-west-1")


def sink(url: str, with_session: boto3.Session, **changes: Any) -> CloudWatchEventsSink:
    settings = CloudWatchSettings(endpoint_url=url, session=with_session, timeout=(2.0, 5.0))
    return CloudWatchEventsSink(settings, clock=time.monotonic, **changes)


def send(subject: CloudWatchEventsSink) -> Any:
    return subject.send([subject.encode(event())], timeout=7.0)


def is_direct(request: Request) -> bool:
    """botocore numbers its requests."""
    return "amz-sdk-request" not in request.headers


def botocores(request: Request, url: str, token: str | None, secret: str = SECRET) -> str:
    """The signature botocore makes of the headers that *request* had signed."""
    names = request.headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    again = AWSRequest("POST", f"{url}/", data=request.body)
    for name in names:
        again.headers[name] = request.headers[name]
    again.context["timestamp"] = request.headers["x-amz-date"]
    auth = botocore.auth.SigV4Auth(Credentials(KEY_ID, secret, token), "events", "eu-west-1")
    return auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)


# --- the signature ----------------------------------------------------------------------------------------


@given(st.binary(max_size=200), st.text("abcXYZ019+/=", min_size=1, max_size=40), st.booleans())
def test_a_signature_is_botocores(body: bytes, secret: str, has_token: bool) -> None:
    """Whatever body, key and token."""
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "AWSEvents.PutEvents"}
    headers |= {"host": "events.eu-west-1.amazonaws.com", "x-amz-date": DATE}
    if has_token:
        headers["x-amz-security-token"] = "IQoJ  two blanks"
    request = AWSRequest("POST", "https://events.eu-west-1.amazonaws.com/", headers=headers, data=body)
    request.context["timestamp"] = DATE
    theirs = botocore.auth.SigV4Auth(Credentials(KEY_ID, secret), "events", "eu-west-1")
    signature = theirs.signature(theirs.string_to_sign(request, theirs.canonical_request(request)), request)

    ours = authorization(KEY_ID, signing_key(secret, SCOPE), SCOPE, headers, body)

    assert ours.endswith(f"Signature={signature}")
    assert f"Credential={KEY_ID}/20261120/eu-west-1/events/aws4_request" in ours


@pytest.mark.parametrize("token", [None, "IQoJtoken+/="])
def test_after_the_first_request_calls_go_directly(token: str | None) -> None:
    """The second has botocore's signature, target, user agent and body, and none of its bookkeeping."""
    with FaultServer(TAKEN) as server:
        subject = sink(server.url, session(token))
        outcomes = [send(subject) for _ in range(3)]

    first, second, third = server.requests
    assert outcomes == [[DELIVERED]] * 3
    assert [is_direct(request) for request in server.requests] == [False, True, True]
    for request in (second, third):
        assert request.headers["authorization"].endswith(botocores(request, server.url, token))
        for name in ("user-agent", "x-amz-target", "content-type", "host", "x-amz-security-token"):
            assert request.headers.get(name) == first.headers.get(name)
        assert json.loads(request.body)["Entries"][0].keys() == json.loads(first.body)["Entries"][0].keys()


@given(st.text(), st.text(max_size=20), st.lists(st.text(max_size=9), max_size=2))
def test_a_body_says_what_botocores_says(message: str, source: str, resources: list[str]) -> None:
    """Strict JSON with the same values, whatever stands in the texts."""
    from eventlog_handlers.services.cloudwatch.entry import encode

    payload = encode(
        event(message=message, logger=source),
        source="{logger}",
        detail_type=None,
        resources=resources,
        event_bus_name="logs",
        max_bytes=200_000,
    )

    (entry,) = json.loads(body_of([payload.body]))["Entries"]

    assert entry["Time"] == payload.body["Time"].timestamp()
    assert {**entry, "Time": payload.body["Time"]} == payload.body


# --- where calls are left to the client -------------------------------------------------------------------


def ways(with_session: boto3.Session) -> list[bool]:
    """Of three calls, which went directly."""
    with FaultServer(TAKEN) as server:
        subject = sink(server.url, with_session)
        for _ in range(3):
            assert send(subject) == [DELIVERED]
    return [is_direct(request) for request in server.requests]


def add_header(request: Any, **_: Any) -> None:
    request.headers["x-of-the-application"] = "yes"


class Stub:
    """As moto and placebo listen: an object of another package."""

    def __call__(self, **_: Any) -> None:
        """Nothing to say."""


@pytest.mark.parametrize(
    ("hook", "handler"),
    [
        ("before-sign.events.PutEvents", add_header),
        ("request-created.events", functools.partial(add_header)),
        ("before-send", Stub()),
        ("after-call.events.*", Stub()),
    ],
)
def test_where_somebody_listens_botocore_makes_all_calls(hook: str, handler: Callable[..., None]) -> None:
    """A hook of the application's, a tracer's or a stub's is called for each request."""
    watched = session()
    watched.events.register(hook, handler)

    assert ways(watched) == [False, False, False]


def test_a_botocore_made_otherwise_makes_all_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the private names that tell who listens, and without those that tell how it sends."""
    monkeypatch.setattr(clients, "has_foreign_hooks", lambda client: has_foreign_hooks(SimpleNamespace()))
    assert ways(session()) == [False, False, False]


def test_a_call_that_is_replaced_later_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Applications' tests patch botocore's ``_make_api_call``; from then on no request leaves."""
    with FaultServer(TAKEN) as server:
        subject = sink(server.url, session())
        send(subject)
        send(subject)
        with monkeypatch.context() as patch:
            patch.setattr(
                botocore.client.BaseClient, "_make_api_call", lambda *_: {"Entries": [{"EventId": "patched"}]}
            )
            assert send(subject) == [DELIVERED]
        assert send(subject) == [DELIVERED]

    assert [is_direct(request) for request in server.requests] == [False, True, True]


HEADERS = {
    "content-type": "application/x-amz-json-1.1",
    "user-agent": "eventlog-handlers",
    "x-amz-target": "AWSEvents.PutEvents",
    "x-amz-date": DATE,
}
KEYS = Keys(KEY_ID, SECRET, None)


def signed(url: str = "https://events.example/", **changes: str) -> dict[str, str]:
    headers = {**HEADERS, "host": url.split("/")[2]}
    covered = {name: value for name, value in headers.items() if name != "user-agent"}
    headers["authorization"] = authorization(KEY_ID, signing_key(SECRET, SCOPE), SCOPE, covered, b"{}")
    return {**headers, **{name.replace("_", "-"): value for name, value in changes.items()}}


def test_a_request_that_can_be_made_again_is_learned() -> None:
    """Its region and service come from its own signature."""
    direct = learned("https://events.example/", signed(), b"{}", KEYS)

    assert direct is not None
    again = direct.headers(KEYS, b"{}", 1_795_175_064.9)
    assert again == signed()


def test_a_new_day_has_a_signing_key_of_its_own() -> None:
    """What is kept of the day before would make a wrong signature."""
    kept = learned("https://events.example/", signed(), b"{}", KEYS)
    assert kept is not None
    kept.headers(KEYS, b"{}", 1_795_175_064.0)

    for seconds in (1_795_175_064.0 + 86_400, 1_795_175_064.0):
        fresh = learned("https://events.example/", signed(), b"{}", KEYS)
        assert fresh is not None
        assert kept.headers(KEYS, b"{}", seconds) == fresh.headers(KEYS, b"{}", seconds)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://events.example/", "events.example"),
        ("https://events.example:443/", "events.example"),
        ("http://events.example:80/", "events.example"),
        ("http://events.example:8080/", "events.example:8080"),
        ("https://events.example:80/", "events.example:80"),
        ("http://[::1]:4566/", "[::1]:4566"),
        ("http://[::1]/", "[::1]"),
    ],
)
def test_the_host_is_signed_as_it_is_sent(url: str, host: str) -> None:
    """Without a default port, with the brackets of an address of IPv6."""
    headers = {name: value for name, value in HEADERS.items() if name != "x-amz-date"}

    assert Direct(url, headers, "r", "events").headers(KEYS, b"{}", 0.0)["host"] == host


@pytest.mark.parametrize(
    ("url", "headers", "keys"),
    [
        ("https://events.example/", signed(x_amzn_trace_id="Root=1"), KEYS),
        ("https://events.example/", signed(x_amz_content_sha256="UNSIGNED-PAYLOAD"), KEYS),
        ("https://events.example/", signed(authorization="Bearer token"), KEYS),
        ("https://events.example/", signed(authorization="AWS4-ECDSA-P256-SHA256 Credential=x"), KEYS),
        ("https://events.example/", signed(x_amz_target="AWSEvents.Other"), KEYS),
        ("https://events.example/", signed(x_amz_security_token="of another session"), KEYS),
        ("https://events.example/", signed(), KEYS._replace(secret="renewed meanwhile")),
        ("https://events.example/", signed(), KEYS._replace(token="renewed meanwhile")),
        ("https://events.example/prefix", signed(), KEYS),
        ("https://events.example/?a=b", signed(), KEYS),
        ("https://events.example/", {**HEADERS}, KEYS),
    ],
)
def test_a_request_that_is_not_as_expected_is_not_learned(
    url: str, headers: dict[str, str], keys: Keys
) -> None:
    """Another signature, a header of unknown purpose, other keys: the client goes on making the calls."""
    assert learned(url, headers, b"{}", keys) is None


# --- credentials and clock --------------------------------------------------------------------------------


def test_credentials_renewed_by_botocore_are_used_at_once() -> None:
    """Its own object is asked for each call."""
    held = session()
    with FaultServer(TAKEN) as server:
        subject = sink(server.url, held)
        send(subject)
        send(subject)
        credentials = held.get_credentials()
        assert credentials is not None
        credentials.access_key, credentials.secret_key = "AKIARENEWED", "another-secret"
        send(subject)

    used = [request.headers["authorization"].split("/")[0].split("=")[1] for request in server.requests]
    assert used == [KEY_ID, KEY_ID, "AKIARENEWED"]
    last = server.requests[-1]
    signature = botocores(last, server.url, None, secret="another-secret")
    assert last.headers["authorization"].endswith(signature)


@pytest.mark.parametrize("since", ["before the first call", "afterwards"])
def test_credentials_that_cannot_be_read_are_no_events_fault(
    since: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider of the application's may raise anything: the events are kept and sent later."""
    held = session()
    credentials = held.get_credentials()
    assert credentials is not None
    with FaultServer(TAKEN) as server:
        subject = sink(server.url, held)
        if since == "afterwards":
            send(subject)
        with monkeypatch.context() as patch:
            patch.setattr(type(credentials), "get_frozen_credentials", lambda self: int("no number"))
            with pytest.raises(TransientError):
                send(subject)
        assert send(subject) == [DELIVERED]


def early(ahead: float) -> Reply:
    return Reply(EARLY, 400, {"Date": email.utils.formatdate(NOW + ahead, usegmt=True)})


NOW = 1_795_175_064.0


@pytest.mark.parametrize("before", [0, 1], ids=["first call", "later call"])
def test_a_wrong_clock_is_corrected_from_the_answer(before: int) -> None:
    """Signed again with the service's time, later requests too; a second correction replaces the first."""
    with FaultServer(*[TAKEN] * before, early(3600), TAKEN, TAKEN, early(7200), TAKEN) as server:
        subject = sink(server.url, session(), wall_clock=lambda: NOW)
        for _ in range(before + 3):
            assert send(subject) == [DELIVERED]

    stamps = [request.headers["x-amz-date"] for request in server.requests[before:]]
    assert stamps[1:] == ["20261120T124424Z"] * 3 + ["20261120T134424Z"]
    assert all(is_direct(request) for request in server.requests[1:])


def test_a_clock_that_cannot_be_corrected_is_named() -> None:
    """Refused again with the service's own time, or without a Date to go by: the user has to look."""
    with FaultServer(TAKEN, early(3600)) as server:
        subject = sink(server.url, session(), wall_clock=lambda: NOW)
        send(subject)
        with pytest.raises(MisconfiguredError, match="clock"):
            send(subject)

    assert len(server.requests) == 3
