"""The stand-in of CloudWatch Events: boto3 itself talks to it, and each way to be wrong has its answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import boto3
import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as BotoCredentials
from botocore.exceptions import ClientError
from freezegun import freeze_time

from eventlog_handlers.console.cloudwatch import CloudWatch, Credentials
from eventlog_handlers.console.cloudwatch_entries import entry_size
from eventlog_handlers.console.exchange import Answer, Request
from eventlog_handlers.console.server import LocalConsole
from eventlog_handlers.settings.local_console import CONSOLE_AWS_ACCESS_KEY_ID, CONSOLE_AWS_SECRET_ACCESS_KEY

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)
ENTRY = {
    "Source": "shop",
    "DetailType": "Log Record",
    "Detail": '{"status": "error", "message": "no teapots"}',
}


@pytest.fixture(scope="module")
def port() -> Iterator[LocalConsole]:
    with LocalConsole() as console:
        yield console


@pytest.fixture
def console(port: LocalConsole) -> LocalConsole:
    port.restore()
    return port


def client_of(console: LocalConsole, **options: Any) -> Any:
    settings = {
        "aws_access_key_id": CONSOLE_AWS_ACCESS_KEY_ID,
        "aws_secret_access_key": CONSOLE_AWS_SECRET_ACCESS_KEY,
        "region_name": "us-east-1",
        "endpoint_url": console.url,
        "config": Config(retries={"mode": "standard", "total_max_attempts": 1}, proxies={}),
    }
    return boto3.session.Session().client("events", **settings | options)


def call(
    sent: Any,
    *,
    secret: str = CONSOLE_AWS_SECRET_ACCESS_KEY,
    key_id: str = CONSOLE_AWS_ACCESS_KEY_ID,
    token: str | None = None,
    service: str = "events",
    target: str = "AWSEvents.PutEvents",
    media_type: str = "application/x-amz-json-1.1",
) -> Request:
    """A signed call at NOW with any body; *sent* is JSON unless it is bytes already."""
    body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    signed = AWSRequest("POST", "http://localhost/", data=body)
    signed.headers["Content-Type"] = media_type
    signed.headers["X-Amz-Target"] = target
    with freeze_time(NOW):
        SigV4Auth(BotoCredentials(key_id, secret, token), service, "us-east-1").add_auth(signed)
    headers = tuple((name.lower(), value) for name, value in signed.headers.items())
    return Request("POST", "/", "", (("host", "localhost"), *headers), body)


def with_header(request: Request, name: str, value: str | None) -> Request:
    """*request* with one header replaced, added or (None) taken away."""
    kept = tuple(pair for pair in request.headers if pair[0] != name)
    return request._replace(headers=kept if value is None else (*kept, (name, value)))


def answered(request: Request, **options: Any) -> Answer:
    return CloudWatch(**options).answer(request, NOW.timestamp())


def entries(*changes: dict[str, Any]) -> dict[str, Any]:
    return {"Entries": [{**ENTRY, **change} for change in changes]}


# --- boto3 -----------------------------------------------------------------------------------------------


def test_boto3_puts_events(console: LocalConsole) -> None:
    """A signed request of the real client: an id for each entry, the envelope a rule would match."""
    client = client_of(console, region_name="eu-central-1")
    when = datetime(2026, 11, 20, 11, 37, 44, 987_654, tzinfo=timezone.utc)

    answer = client.put_events(
        Entries=[{**ENTRY, "Time": when, "Resources": ["arn:a"], "EventBusName": "shop"}, ENTRY]
    )

    assert answer["FailedEntryCount"] == 0
    first, second = console.events("cloudwatch")
    assert [first.stored["id"], second.stored["id"]] == [entry["EventId"] for entry in answer["Entries"]]
    assert first.stored == {
        "version": "0",
        "id": first.stored["id"],
        "detail-type": "Log Record",
        "source": "shop",
        "account": "000000000000",
        "time": "2026-11-20T11:37:44Z",
        "region": "eu-central-1",
        "resources": ["arn:a"],
        "detail": {"status": "error", "message": "no teapots"},
    }
    assert (first.status, first.title, first.time) == ("error", "Log Record", when.timestamp())
    assert first.body["EventBusName"] == "shop"


def test_boto3_gets_a_verdict_for_each_entry(console: LocalConsole) -> None:
    """HTTP 200, two failures between two successes, in the order of the request."""
    answer = client_of(console).put_events(
        Entries=[ENTRY, {**ENTRY, "Source": "aws.shop"}, {**ENTRY, "Detail": "[]"}, ENTRY]
    )

    assert answer["FailedEntryCount"] == 2
    assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [
        None,
        "NotAuthorizedForSourceException",
        "MalformedDetail",
        None,
    ]
    assert len(console.events()) == 2
    assert [refusal.body["Detail"] for refusal in console.refused()] == [ENTRY["Detail"], "[]"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
        ({"aws_access_key_id": "AKIASTRANGER"}, "UnrecognizedClientException"),
        ({"aws_session_token": "made-up"}, "UnrecognizedClientException"),
    ],
)
def test_boto3_with_wrong_keys_is_refused(console: LocalConsole, options: dict[str, Any], code: str) -> None:
    """As AWS names it, in a form the client understands."""
    with pytest.raises(ClientError) as caught:
        client_of(console, **options).put_events(Entries=[ENTRY])

    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert console.events() == []


def test_boto3_with_eleven_entries_is_refused(console: LocalConsole) -> None:
    """The client lets them pass, the service doesn't."""
    with pytest.raises(ClientError, match="less than or equal to 10") as caught:
        client_of(console).put_events(Entries=[ENTRY] * 11)

    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_boto3_survives_an_answer_without_a_body(console: LocalConsole) -> None:
    """What is far too large never reaches the service itself."""
    console.cloudwatch.max_body_bytes = 1000

    with pytest.raises(ClientError) as caught:
        client_of(console).put_events(Entries=[{**ENTRY, "Detail": json.dumps({"x": "y" * 1000})}])

    assert caught.value.response["Error"]["Code"] == "413"


def test_another_operation_is_not_known(console: LocalConsole) -> None:
    """Only PutEvents is stood in for."""
    with pytest.raises(ClientError) as caught:
        client_of(console).list_rules()

    assert caught.value.response["Error"]["Code"] == "UnknownOperationException"


# --- who calls -------------------------------------------------------------------------------------------

FINE = call(entries({}))
AUTHORIZATION = FINE.header("authorization") or ""


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (with_header(FINE, "authorization", None), "MissingAuthenticationTokenException"),
        (with_header(FINE, "authorization", "Basic eDp5"), "IncompleteSignatureException"),
        (with_header(FINE, "x-amz-date", None), "IncompleteSignatureException"),
        (with_header(FINE, "x-amz-date", "20261120"), "IncompleteSignatureException"),
        (with_header(FINE, "x-amz-date", "20261121T120000Z"), "InvalidSignatureException"),
        (with_header(FINE, "x-amz-date", "20261120T120001Z"), "InvalidSignatureException"),
        (with_header(FINE, "x-amz-target", "AWSEvents.Put"), "InvalidSignatureException"),
        (with_header(FINE, "x-amz-extra", "unsigned"), "InvalidSignatureException"),
        (with_header(FINE, "host", "elsewhere"), "InvalidSignatureException"),
        (with_header(FINE, "authorization", AUTHORIZATION.replace("host;", "")), "InvalidSignatureException"),
        (FINE._replace(body=FINE.body + b" "), "InvalidSignatureException"),
        (FINE._replace(query="a=b"), "InvalidSignatureException"),
        (call(entries({}), service="logs"), "InvalidSignatureException"),
        (call(entries({}), secret="wrong"), "InvalidSignatureException"),
        (call(entries({}), key_id="AKIASTRANGER"), "UnrecognizedClientException"),
        (call(entries({}), target="AWSEvents.PutRule"), "UnknownOperationException"),
        (call(entries({}), media_type="application/json"), "UnknownOperationException"),
    ],
)
def test_refuses_callers(request_: Request, code: str) -> None:
    """The signature covers body, query, host and every x-amz header, or it is none."""
    answer = answered(request_)

    assert answer.status == 400
    assert json.loads(answer.body)["__type"] == code
    assert answer.accepted == ()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (301, "Signature expired: 20261120T120000Z is now earlier"),
        (-301, "Signature not yet current"),
        (299, ""),
    ],
)
def test_compares_clocks(seconds: int, words: str) -> None:
    """Five minutes either way; the refusal says which."""
    answer = CloudWatch().answer(FINE, NOW.timestamp() + seconds)

    assert answer.status == (400 if words else 200)
    assert not words or json.loads(answer.body)["message"].startswith(words)


def test_asks_for_the_token_of_a_temporary_key() -> None:
    """Its key alone is not recognised."""
    known = {CONSOLE_AWS_ACCESS_KEY_ID: Credentials(CONSOLE_AWS_SECRET_ACCESS_KEY, "token")}

    assert answered(FINE, credentials=known).status == 400
    assert answered(call(entries({}), token="token"), credentials=known).status == 200


# --- what is sent ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"{", "SerializationException"),
        (b'{"Entries": [{"Source": "\xff"}]}', "SerializationException"),
        ([], "SerializationException"),
        ({"Entries": {}}, "SerializationException"),
        ({"Entries": ["x"]}, "SerializationException"),
        (entries({"Detail": {"a": 1}}), "SerializationException"),
        (entries({"Resources": "arn:a"}), "SerializationException"),
        (entries({"Resources": [1]}), "SerializationException"),
        (entries({"Time": True}), "SerializationException"),
        (entries({"Time": "yesterday"}), "SerializationException"),
        ({}, "ValidationException"),
        ({"Entries": []}, "ValidationException"),
        (entries(*[{}] * 11), "ValidationException"),
        (entries({"EventBusName": ""}), "ValidationException"),
        (entries({"EventBusName": "my bus"}), "ValidationException"),
        (entries({"EventBusName": "b" * 1601}), "ValidationException"),
        (entries({"TraceHeader": "t" * 501}), "ValidationException"),
        (entries({"Resources": ["r" * 2049]}), "ValidationException"),
        (entries({}) | {"EndpointId": "no dot"}, "ValidationException"),
    ],
)
def test_refuses_whole_requests(sent: Any, code: str) -> None:
    """What the service's own model forbids fails all entries at once."""
    answer = answered(call(sent))

    assert answer.status == 400
    assert json.loads(answer.body)["__type"] == code
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert answer.accepted == ()


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Source": None}, "InvalidArgument"),
        ({"Source": ""}, "InvalidArgument"),
        ({"DetailType": None}, "InvalidArgument"),
        ({"Detail": None}, "InvalidArgument"),
        ({"Source": "aws.events"}, "NotAuthorizedForSourceException"),
        ({"DetailType": "t" * 129}, "InvalidArgument"),
        ({"Detail": "no json"}, "MalformedDetail"),
        ({"Detail": "[]"}, "MalformedDetail"),
        ({"Detail": '"text"'}, "MalformedDetail"),
        ({"Detail": '{"a": NaN}'}, "MalformedDetail"),
        ({"Detail": '{"a": -Infinity}'}, "MalformedDetail"),
        ({"Detail": '{"a": 1e999}'}, "MalformedDetail"),
        ({"Detail": '{"a": [9223372036854775808]}'}, "MalformedDetail"),
        ({"Detail": nested(1001)}, "MalformedDetail"),
        ({"Detail": nested(100_000)}, "MalformedDetail"),
        ({"Detail": '{"a": 9223372036854775807}'}, None),
        ({"Detail": nested(1000)}, None),
        ({"Detail": nested(980)}, None),
        ({"DetailType": "t" * 128, "Resources": ["r" * 2048], "Source": "awsome"}, None),
        ({"Time": 1795175064.987654, "TraceHeader": "Root=1", "EventBusName": "b" * 1600}, None),
        ({"Time": "2026-11-20T11:37:44Z"}, None),
        ({"Time": -1.5}, None),
        ({"Time": -62_135_596_800}, None),
        ({"Time": "1970-01-01T00:00:00Z"}, None),
        ({"EventBusName": "arn:aws:events:us-east-1:123456789012:event-bus/shop"}, None),
    ],
)
@pytest.mark.usefixtures("no_collection")
def test_judges_each_entry_by_itself(change: dict[str, Any], code: str | None) -> None:
    """The neighbours of a bad entry are accepted."""
    answer = answered(call(entries({}, change, {})))

    body = json.loads(answer.body)
    assert [entry.get("ErrorCode") for entry in body["Entries"]] == [None, code, None]
    assert body["FailedEntryCount"] == (code is not None)
    assert len(answer.accepted) == 3 - (code is not None)


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 400)])
def test_takes_a_mebibyte_by_the_documented_formula(extra: int, status: int) -> None:
    """Counted over all entries: 14 for a Time, and the UTF-8 of Source, DetailType, Detail and Resources."""
    small = {**ENTRY, "Time": 1, "Resources": ["é"], "EventBusName": "uncounted"}
    rest = {"Source": "s", "DetailType": "t", "Detail": '{"x":""}'}
    fill = 1_048_576 - entry_size(small) - entry_size(rest) + extra
    sent = {"Entries": [small, {**rest, "Detail": f'{{"x":"{"y" * fill}"}}'}]}

    answer = answered(call(sent))

    assert entry_size(small) == 14 + len("shop") + len("Log Record") + len(ENTRY["Detail"]) + 2
    assert answer.status == status
    assert status == 200 or json.loads(answer.body)["message"].startswith("Total size of the entries")


@pytest.mark.parametrize(
    ("time", "seconds", "shown"),
    [
        (-0.5, -0.5, "1969-12-31T23:59:59Z"),
        (0, 0.0, "1970-01-01T00:00:00Z"),
        (-62_135_596_800, -62_135_596_800.0, "0001-01-01T00:00:00Z"),
        (253_402_300_799.5, 253_402_300_799.5, "9999-12-31T23:59:59Z"),
        ("1970-01-01T00:00:00Z", 0.0, "1970-01-01T00:00:00Z"),
        ("1969-07-20T20:17:40.25+00:00", -14182939.75, "1969-07-20T20:17:40Z"),
        ("2026-11-20t12:37:44.987654321+01:00", 1795174664.987654321, "2026-11-20T11:37:44Z"),
        ("2026-11-20T06:37:44-05:00", 1795174664.0, "2026-11-20T11:37:44Z"),
    ],
)
def test_reads_times_of_every_year(time: Any, seconds: float, shown: str) -> None:
    """Before 1970 too, as a number and as text; the envelope has whole seconds, rounded down."""
    (accepted,) = answered(call(entries({"Time": time}))).accepted

    assert (accepted.time, accepted.stored["time"]) == (seconds, shown)


@pytest.mark.parametrize(
    "time",
    [
        -62_135_596_801,
        253_402_300_800,
        "2026-11-20",
        "2026-13-20T00:00:00Z",
        "2026-11-20T11:37:44",
        "٢٠٢٦-11-20T11:37:44Z",
    ],
)
def test_refuses_times_of_no_calendar(time: Any) -> None:
    """The whole request: its JSON doesn't fit the service's types."""
    assert json.loads(answered(call(entries({"Time": time}))).body)["__type"] == "SerializationException"


@pytest.mark.usefixtures("no_collection")
def test_a_detail_of_a_thousand_levels_is_kept_and_shown(console: LocalConsole) -> None:
    """From the socket into the store and out of the API again."""
    client_of(console).put_events(Entries=[{**ENTRY, "Detail": nested(1000)}])

    (event,) = console.events()
    listed = requests.get(f"{console.url}/api/events", timeout=5, proxies={"http": ""})
    detail, levels = event.stored["detail"], 0
    while isinstance(detail, dict):
        detail, levels = detail["a"], levels + 1
    assert (levels, detail) == (1000, 1)
    assert '{"a": ' * 1000 in listed.text


def test_shows_what_was_signed_where_a_signature_is_wrong() -> None:
    """What the service signs, and what the client says it signed: they differ in the header left out."""
    unsigned = with_header(FINE, "x-amz-extra", "1")
    (refused,) = answered(unsigned).refused

    assert refused.signing is not None
    expected, received = (side.splitlines() for side in refused.signing[:2])
    assert "x-amz-extra:1" in expected
    assert "x-amz-extra:1" not in received
    assert expected[-4] == received[-4] == "AWS4-HMAC-SHA256"


def test_an_unknown_bus_swallows_events() -> None:
    """As AWS does: an id, no failure, and nothing delivered."""
    answer = answered(call(entries({}, {"EventBusName": "typo"})), buses={"default"})

    assert json.loads(answer.body)["FailedEntryCount"] == 0
    assert len(answer.accepted) == 1
    assert [refusal.code for refusal in answer.refused] == ["NoSuchBus"]


def test_flags_half_a_surrogate_pair() -> None:
    """JSON can escape it, UTF-8 can't hold it."""
    (accepted,) = answered(call(entries({"Detail": '{"a": "\ud800"}'}))).accepted

    assert accepted.flags == ("half_pair",)
