"""PutEvents through boto3 against a server on loopback that answers as told."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from certificates import new_authority
from cloudwatch_events import event
from faultserver import FaultServer, Reply
from unwatched import unwatched

from eventlog_handlers._version import __version__
from eventlog_handlers.errors import (
    MisconfiguredError,
    RefusedError,
    SinkError,
    ThrottledError,
    TooLargeError,
    TransientError,
)
from eventlog_handlers.events import DELIVERED, Disposition, Outcome
from eventlog_handlers.services.cloudwatch.options import CloudWatchSettings
from eventlog_handlers.services.cloudwatch.sink import CloudWatchEventsSink
from eventlog_handlers.settings.secret import Secret

SECRET = "wJalrXUtnFEMI-SECRET"
OVER_THE_LIMIT = "Total size of the entries in the request is over the limit."
STS_REFUSAL = b"<ErrorResponse><Error><Code>ValidationError</Code></Error></ErrorResponse>"
SESSION = unwatched()
"""One for all sinks with explicit keys: a session costs twenty times what a client does."""


@pytest.fixture(autouse=True)
def _no_aws_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither its files nor its proxies; the environment is clean already."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def environment_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those botocore finds by itself."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def sink(url: str, **changes: Any) -> CloudWatchEventsSink:
    options: dict[str, Any] = {
        "region_name": "us-east-1",
        "endpoint_url": url,
        "session": SESSION,
        "access_key_id": Secret("AKIAEXPLICIT"),
        "access_key_secret": Secret(SECRET),
        "timeout": (1.0, 2.0),
    }
    return CloudWatchEventsSink(CloudWatchSettings(**{**options, **changes}), clock=time.monotonic)


def without_keys(url: str, **changes: Any) -> CloudWatchEventsSink:
    """A sink that finds its credentials as botocore does, with a session of its own unless one is given."""
    return sink(url, **{"session": None, "access_key_id": None, "access_key_secret": None, **changes})


def send(sink: CloudWatchEventsSink, count: int = 1, *, timeout: float = 3.0) -> list[Outcome]:
    events = [event(message=f"number {number}") for number in range(count)]
    return sink.send([sink.encode(each) for each in events], timeout=timeout)


def delivered(count: int = 1) -> Reply:
    entries = [{"EventId": f"id-{number}"} for number in range(count)]
    return Reply(json.dumps({"FailedEntryCount": 0, "Entries": entries}).encode())


def failure(code: str, status: int = 400, message: str = "because", headers: Mapping[str, str] = {}) -> Reply:
    body = json.dumps({"__type": f"com.amazonaws.events#{code}", "message": message}).encode()
    return Reply(body, status, headers)


# --- what is sent -----------------------------------------------------------------------------------------


def test_ten_events_are_one_signed_request() -> None:
    """One POST with the target, our user agent, a signature by the given key, and the entries in order."""
    with FaultServer(delivered(10)) as server:
        outcomes = send(sink(server.url, event_bus_name="logs"), 10)

    (request,) = server.requests
    entries = json.loads(request.body)["Entries"]
    assert outcomes == [DELIVERED] * 10
    assert request.headers["x-amz-target"] == "AWSEvents.PutEvents"
    assert request.headers["user-agent"].startswith(f"eventlog-handlers/{__version__}")
    assert "Credential=AKIAEXPLICIT/" in request.headers["authorization"]
    assert [json.loads(entry["Detail"])["message"] for entry in entries] == [f"number {n}" for n in range(10)]
    assert entries[0]["EventBusName"] == "logs"
    assert entries[0]["Time"] == pytest.approx(1_795_175_064.988, abs=1)


def test_connections_are_kept_and_closed() -> None:
    """Two sends share a connection; after close the next one opens another."""
    with FaultServer(delivered()) as server:
        subject = sink(server.url)
        send(subject)
        send(subject)
        subject.close()
        send(subject)

    assert [request.connection for request in server.requests] == [1, 1, 2]


def test_nothing_is_imported_or_built_before_the_first_send() -> None:
    """Making a sink and encoding for it loads neither boto3 nor botocore."""
    code = (
        "import sys, time\n"
        "from cloudwatch_events import event\n"
        "from eventlog_handlers.services.cloudwatch.options import CloudWatchSettings\n"
        "from eventlog_handlers.services.cloudwatch.sink import CloudWatchEventsSink\n"
        "sink = CloudWatchEventsSink(CloudWatchSettings(), clock=time.monotonic)\n"
        "sink.encode(event()); sink.close()\n"
        "assert not {'boto3', 'botocore', 'requests', 'urllib3'} & set(sys.modules), sys.modules\n"
    )

    environment = {"PYTHONPATH": ":".join(sys.path)}
    finished = subprocess.run([sys.executable, "-c", code], env=environment, check=False)

    assert finished.returncode == 0


def test_many_threads_share_one_client() -> None:
    """The first sends of several threads at once wait for one client and each get their own answer."""
    with FaultServer(delivered()) as server:
        subject = sink(server.url)
        results: list[Any] = []
        threads = [threading.Thread(target=lambda: results.append(send(subject))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert results == [[DELIVERED]] * 8
    assert len(server.requests) == 8


# --- verdicts ---------------------------------------------------------------------------------------------


def test_each_entry_gets_its_own_outcome() -> None:
    """Failures inside a 200 stay with their entries, and nothing is repeated here."""
    answer = {
        "FailedEntryCount": 2,
        "Entries": [
            {"EventId": "a"},
            {"ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded"},
            {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."},
        ],
    }

    with FaultServer(Reply(json.dumps(answer).encode())) as server:
        outcomes = send(sink(server.url), 3)

    assert [outcome.disposition for outcome in outcomes] == [
        Disposition.DELIVERED,
        Disposition.RETRY,
        Disposition.REJECTED,
    ]
    assert len(server.requests) == 1


@pytest.mark.parametrize("way", ["through the client", "directly"])
@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        (failure("ThrottlingException"), ThrottledError, "ThrottlingException"),
        (Reply(b"", 429), ThrottledError, "http_429"),
        (failure("InternalException", 500), TransientError, "InternalException"),
        (failure("InternalFailure", 400), TransientError, "InternalFailure"),
        (Reply(b"<html>busy</html>", 503), TransientError, "http_503"),
        (Reply(b"", 502), TransientError, "http_502"),
        (Reply(b"", 413), TooLargeError, "http_413"),
        (
            failure("ValidationException", 400, OVER_THE_LIMIT),
            TooLargeError,
            "ValidationException",
        ),
        (failure("ValidationException"), RefusedError, "ValidationException"),
        (failure("AccessDeniedException"), MisconfiguredError, "AccessDeniedException"),
        (failure("InvalidSignatureException", 403), MisconfiguredError, "InvalidSignatureException"),
        (Reply(b"", 301, {"Location": "http://127.0.0.1:1/"}), MisconfiguredError, "http_301"),
        (Reply(b""), TransientError, "unreadable"),
        (Reply(b"<html>login</html>"), TransientError, "unreadable"),
        (Reply(b"[]"), TransientError, "unreadable"),
        (Reply(b'"fine"'), TransientError, "unreadable"),
        (Reply(b'{"Entries": 5}'), TransientError, "unreadable"),
        (Reply(b'{"Entries": {"EventId": "a"}}'), TransientError, "unreadable"),
        (Reply(b'{"Entries": [{"EventId": "a"}]}'), TransientError, "unreadable"),
        (Reply(reset_at=0), TransientError, "reset"),
        (Reply(reset_at=40), TransientError, "reset"),
        (Reply(raw=b"not http at all\r\n\r\n", close=True), TransientError, "http"),
    ],
)
def test_a_failed_request_is_translated_after_one_attempt(
    reply: Reply, kind: type[SinkError], code: str, way: str
) -> None:
    """Whatever happens to the request, one HTTP attempt is made and one SinkError says what it means."""
    before = [delivered(2)] if way == "directly" else []
    with FaultServer(*before, reply) as server:
        subject = sink(server.url)
        for _ in before:
            send(subject, 2)
        subject.close()  # on a kept connection a reset is repeated once
        with pytest.raises(SinkError) as caught:
            send(subject, 2)

    assert type(caught.value) is kind
    assert caught.value.code == code
    assert len(server.requests) == len(before) + 1
    assert ("amz-sdk-request" in server.requests[-1].headers) is (way == "through the client")
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None  # botocore's hold requests


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"x-amz-retry-after": "1500"}, 1.5), ({"Retry-After": "7"}, 7.0), ({"Retry-After": "-7"}, None)],
)
def test_the_services_hint_is_passed_on(headers: dict[str, str], seconds: float | None) -> None:
    """AWS's header in milliseconds and HTTP's in seconds reach the caller, and nobody sleeps here."""
    reply = failure("ThrottlingException", headers=headers)

    with FaultServer(reply) as server, pytest.raises(ThrottledError) as caught:
        send(sink(server.url))

    assert caught.value.retry_after == seconds


def test_an_entry_boto3_cannot_send_is_refused_not_retried() -> None:
    """What breaks before a byte is sent is the entry's fault, so that its neighbours can be told from it."""
    with FaultServer() as server:
        subject = sink(server.url)
        payload = subject.encode(event())
        payload.body["Time"] = object()

        with pytest.raises(RefusedError):
            subject.send([payload], timeout=3)

    assert server.requests == []


# --- time -------------------------------------------------------------------------------------------------


def test_a_silent_server_costs_the_read_timeout_only() -> None:
    """A read timeout is ambiguous: the service may have acted on the request."""
    with FaultServer(Reply(hang_at=0)) as server, pytest.raises(TransientError) as caught:
        send(sink(server.url, timeout=(1.0, 0.2)), timeout=2.0)

    assert (caught.value.code, caught.value.ambiguous) == ("timeout", True)
    assert len(server.requests) == 1


def test_a_shorter_deadline_than_the_timeouts_is_kept() -> None:
    """With 0.5 s left of a handler configured for 40 s, the call ends within about that."""
    with FaultServer(Reply(hang_at=0)) as server:
        subject = sink(server.url, timeout=(10.0, 30.0))
        with pytest.raises(TransientError):
            send(subject, timeout=0.6)  # builds the client too
        started = time.monotonic()
        with pytest.raises(TransientError):
            send(subject, timeout=0.6)
        took = time.monotonic() - started

    assert took < 2.0


def test_no_time_left_means_no_request() -> None:
    """A deadline that has passed is said at once."""
    with FaultServer() as server, pytest.raises(TransientError) as caught:
        send(sink(server.url), timeout=0.0)

    assert caught.value.code == "timeout"
    assert server.requests == []


def test_nobody_listening_is_transient_and_certain() -> None:
    """A refused connection can't have delivered anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(TransientError) as caught:
        send(sink(f"http://127.0.0.1:{port}"))

    assert (caught.value.code, caught.value.ambiguous) == ("connect", False)


# --- credentials and clients ------------------------------------------------------------------------------


@pytest.mark.usefixtures("environment_credentials")
@pytest.mark.parametrize("code", ["ExpiredTokenException", "ExpiredToken"])
def test_an_expired_token_is_renewed_within_the_call(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new client reads the credentials again and the same events go out once more."""
    with FaultServer(delivered(), failure(code), delivered()) as server:
        subject = without_keys(server.url)
        send(subject)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAROTATED")
        outcomes = send(subject)

    assert outcomes == [DELIVERED]
    assert ["AKIAROTATED" in request.headers["authorization"] for request in server.requests] == [
        False,
        False,
        True,
    ]


@pytest.mark.usefixtures("environment_credentials")
def test_a_token_that_stays_expired_is_tried_once_more_only() -> None:
    """Two requests, then somebody has to mend it."""
    with FaultServer(failure("ExpiredTokenException")) as server, pytest.raises(MisconfiguredError) as caught:
        send(without_keys(server.url))

    assert "expired" in caught.value.detail
    assert len(server.requests) == 2


def test_missing_credentials_are_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any the remedy is named; once they are there the next send finds them."""
    with FaultServer(delivered()) as server:
        subject = without_keys(server.url)
        with pytest.raises(MisconfiguredError, match="AWS_ACCESS_KEY_ID"):
            send(subject)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIALATE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)

        outcomes = send(subject)

    assert outcomes == [DELIVERED]
    assert len(server.requests) == 1


@pytest.mark.usefixtures("environment_credentials")
def test_changed_credentials_are_read_after_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that AWS doesn't know is looked up anew for the next attempt."""
    with FaultServer(failure("UnrecognizedClientException"), delivered()) as server:
        subject = without_keys(server.url)
        with pytest.raises(MisconfiguredError):
            send(subject)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMENDED")

        send(subject)

    assert "AKIAMENDED" in server.requests[1].headers["authorization"]


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"region_name": None}, "region_name"),
        ({"region_name": "no such region!"}, "region_name"),
        ({"endpoint_url": "nonsense"}, "endpoint_url"),
    ],
)
def test_a_client_that_cannot_be_built_names_the_remedy(changes: dict[str, Any], remedy: str) -> None:
    """Every event is held until the setting is mended; none is dropped for it."""
    with pytest.raises(MisconfiguredError, match=remedy):
        send(sink("http://127.0.0.1:9", **changes))


def test_an_unknown_profile_is_a_misconfiguration(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_PROFILE that names nothing is said so."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(MisconfiguredError, match="AWS_PROFILE"):
        send(without_keys("http://127.0.0.1:9"))


def test_a_refusal_while_fetching_credentials_blames_no_event() -> None:
    """STS calls a wrong role a ValidationError; whatever that means elsewhere, here it is configuration."""
    with FaultServer(Reply(STS_REFUSAL, 400)) as sts:
        client = boto3.client(
            "sts",
            region_name="us-east-1",
            endpoint_url=sts.url,
            aws_access_key_id="AKIABASE",
            aws_secret_access_key=SECRET,
        )

        class Refreshing:
            def close(self) -> None: ...

            def put_events(self, **_: Any) -> Any:
                return client.assume_role(RoleArn="arn:aws:iam::1:role/x-long-enough", RoleSessionName="logs")

        with pytest.raises(MisconfiguredError, match="AssumeRole"):
            send(sink("http://unused", client=Refreshing()))


def test_a_given_session_is_used() -> None:
    """Its credentials and region sign the request."""
    session = boto3.Session("AKIASESSION", SECRET, region_name="eu-west-1")

    with FaultServer(delivered()) as server:
        send(without_keys(server.url, session=session, region_name=None))

    assert "Credential=AKIASESSION/" in server.requests[0].headers["authorization"]
    assert "/eu-west-1/events/" in server.requests[0].headers["authorization"]


def test_a_given_client_is_used_as_it_is() -> None:
    """Its own user agent and credentials; it is neither rebuilt for an expired token nor closed for good."""
    with FaultServer(delivered(), failure("ExpiredTokenException"), delivered()) as server:
        client = boto3.Session("AKIACLIENT", SECRET, region_name="eu-west-1").client(
            "events", endpoint_url=server.url
        )
        subject = without_keys("http://127.0.0.1:9", client=client)
        send(subject)
        with pytest.raises(MisconfiguredError):
            send(subject)
        subject.close()
        outcomes = send(subject)

    assert outcomes == [DELIVERED]
    assert len(server.requests) == 3
    assert all("Credential=AKIACLIENT/" in request.headers["authorization"] for request in server.requests)
    assert "Boto3" in server.requests[0].headers["user-agent"]


def test_a_given_client_leaves_the_connections_it_came_with() -> None:
    """It may have come over a fork, where the other process uses the same connection."""
    with FaultServer(delivered()) as server:
        client = boto3.Session("AKIACLIENT", SECRET, region_name="eu-west-1").client(
            "events", endpoint_url=server.url
        )
        client.put_events(Entries=[{"Source": "s", "DetailType": "t", "Detail": "{}"}])
        subject = without_keys("http://127.0.0.1:9", client=client)
        send(subject)
        send(subject)

    assert [request.connection for request in server.requests] == [1, 2, 2]


def test_an_untrusted_certificate_is_a_misconfiguration() -> None:
    """No waiting mends it; ca_bundle does."""
    import ssl

    authority = new_authority()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    with FaultServer(delivered(), tls=context) as server:
        with pytest.raises(MisconfiguredError, match="ca_bundle"):
            send(sink(server.url))
        with authority.cert_pem.tempfile() as path:
            outcomes = send(sink(server.url, ca_bundle=path))

    assert outcomes == [DELIVERED]


def test_a_missing_ca_bundle_is_a_misconfiguration() -> None:
    """A path that leads nowhere is no broken network."""
    with FaultServer(delivered()) as server, pytest.raises(MisconfiguredError, match="ca_bundle"):
        send(sink(server.url.replace("http:", "https:"), ca_bundle="/nowhere/ca.pem"))
