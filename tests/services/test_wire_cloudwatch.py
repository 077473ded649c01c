"""The entry of PutEvents, its Detail and its size; what the service's answers mean."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import Any

import jsonschema
import pytest
from cloudwatch_events import TRACEBACK, event, events
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk._logs._internal import std_to_otel

from eventlog_handlers import schemas
from eventlog_handlers.errors import (
    MisconfiguredError,
    RefusedError,
    SinkError,
    ThrottledError,
    TooLargeError,
    TransientError,
)
from eventlog_handlers.events import Disposition, Event, ExceptionText, Payload
from eventlog_handlers.services.cloudwatch import answers as cloudwatch_answers
from eventlog_handlers.services.cloudwatch import entry as wire
from eventlog_handlers.services.cloudwatch.detail import severity_number

SCHEMA = schemas.load("detail-1")
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
WIDE = 262_144


def encode(subject: Event, **changes: Any) -> Payload:
    options: dict[str, Any] = {
        "source": "{logger}",
        "detail_type": None,
        "resources": (),
        "event_bus_name": None,
        "max_bytes": WIDE,
    }
    return wire.encode(subject, **{**options, **changes})


def detail(payload: Payload) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    decoded: dict[str, Any] = json.loads(payload.body["Detail"], parse_constant=refuse)
    return decoded


def documented_size(entry: dict[str, Any]) -> int:
    """Word for word the example of "Calculating PutEvents event entry size"."""
    size = 0
    if entry.get("Time") is not None:
        size += 14
    size += len(entry["Source"].encode("utf-8"))
    size += len(entry["DetailType"].encode("utf-8"))
    if entry.get("Detail") is not None:
        size += len(entry["Detail"].encode("utf-8"))
    for resource in entry.get("Resources", []):
        if resource is not None:
            size += len(resource.encode("utf-8"))
    return size


# --- the entry --------------------------------------------------------------------------------------------


def test_an_event_becomes_this_entry() -> None:
    """Every field stands where a rule or a target looks for it."""
    subject = event(
        event_name="OrderFailed",
        count=3,
        first_time=1_795_175_000.0,
        trace_id="a" * 32,
        span_id="b" * 16,
        stack="Stack (most recent call last):",
        defects=("argument 2 raised",),
    )

    entry = encode(subject, event_bus_name="logs", resources=["arn:aws:s3:::x"]).body

    content = json.loads(entry.pop("Detail"))
    assert entry == {
        "Time": datetime(2026, 11, 20, 11, 44, 24, 988_000, timezone.utc),
        "Source": "shop.orders",
        "DetailType": "Log Exception",
        "Resources": ["arn:aws:s3:::x"],
        "EventBusName": "logs",
    }
    assert content == {
        "schema": "urn:eventlog-handlers:detail-1",
        "event": {"id": subject.id, "name": "OrderFailed"},
        "time": "2026-11-20T11:44:24.988Z",
        "level": "ERROR",
        "severity_number": 17,
        "status": "error",
        "message": "order 7 failed: “no stock” ✗",
        "message_template": "order %s failed: %s",
        "logger": "shop.orders",
        "exception": {
            "type": "KeyError",
            "message": "'id'",
            "stacktrace": TRACEBACK + "KeyError: 'id'",
            "chain": ["KeyError", "OSError"],
        },
        "stack": "Stack (most recent call last):",
        "code": {
            "file": {"path": "/srv/shop/orders/pay.py"},
            "line": {"number": 31},
            "function": {"name": "pay"},
            "module": {"name": "pay"},
        },
        "thread": {"id": 140_000_000_000_000, "name": "MainThread"},
        "process": {"pid": 4711},
        "host": {"name": "web-1"},
        "service": {"name": "shop"},
        "deployment": {"environment": "prod"},
        "trace_id": "a" * 32,
        "span_id": "b" * 16,
        "fingerprint": "00112233aabbccdd",
        "count": 3,
        "tags": {"team": "checkout"},
        "extra": {"order": 7, "cart": {"items": [1, 2.5, None, True, "héron"]}},
        "defects": ["argument 2 raised"],
        "first_time": "2026-11-20T11:43:20.000Z",
        "last_time": "2026-11-20T11:44:24.988Z",
    }


def test_keys_without_a_value_are_left_out() -> None:
    """A plain record carries no empty keys, no bus and no resources."""
    subject = event(exception=None, template="", attributes={}, tags={}, env=None)

    payload = encode(subject)

    assert sorted(payload.body) == ["Detail", "DetailType", "Source", "Time"]
    assert not {"exception", "message_template", "extra", "tags", "deployment", "stack", "defects"} & set(
        detail(payload)
    )
    assert payload.body["DetailType"] == "Log Record"


def test_text_is_sent_unescaped() -> None:
    """The size formula counts Detail's bytes, and an escaped character takes two to three times as many."""
    payload = encode(event(message="漢" * 400))

    assert "漢" * 400 in payload.body["Detail"]


@pytest.mark.parametrize(
    ("template", "logger", "source"),
    [
        ("{logger}", "shop", "shop"),
        ("{service}/{env}", "x", "shop/prod"),
        ("{logger}", "aws.s3", "app.aws.s3"),
        ("{logger}", "AWS.s3", "app.AWS.s3"),
        ("{logger}", " aws.s3", "app.aws.s3"),
        ("{logger}", "awsome", "awsome"),
        ("{logger}", "", "app"),
        ("{logger}", " \n", "app"),
        ("{logger}", "a\nb\ud800", "a b\ufffd"),
        ("{logger}", "x" * 256, "x" * 256),
        ("{logger}", "x" * 257, "x" * 255 + "…"),
        ("{logger}", "aws." + "x" * 300, "app.aws." + "x" * 247 + "…"),
    ],
)
def test_source_is_legal(template: str, logger: str, source: str) -> None:
    """One line of 1 to 256 characters that never claims to be one of AWS's own."""
    assert encode(event(logger=logger), source=template).body["Source"] == source


@pytest.mark.parametrize(
    ("steering", "option", "detail_type"),
    [
        (None, None, "Log Exception"),
        (None, "{level}: {exception}", "ERROR: KeyError"),
        ("Order Failed", "{level}", "Order Failed"),
        ("", None, "Log Exception"),
        ("x" * 128, None, "x" * 128),
        ("é" * 129, None, "é" * 127 + "…"),
    ],
)
def test_detail_type_is_legal(steering: str | None, option: str | None, detail_type: str) -> None:
    """The log call's word, else the option's, else one that tells exceptions apart; 128 characters."""
    payload = encode(event(detail_type=steering), detail_type=option)

    assert payload.body["DetailType"] == detail_type


def test_a_resource_that_cannot_be_sent_is_left_out_and_noted() -> None:
    """Half an ARN would name nothing; the defect says why it is missing."""
    payload = encode(event(resources=("arn:aws:s3:::ok", "r" * 2049, "")), resources=("unused",))

    assert payload.body["Resources"] == ["arn:aws:s3:::ok"]
    assert [text.split(":")[0] for text in detail(payload)["defects"]] == ["resource left out"] * 2


@pytest.mark.parametrize("level", [*range(-1, 60), logging.CRITICAL, 1000])
def test_severity_is_opentelemetrys(level: int) -> None:
    """The number is the one OpenTelemetry's own logging handler gives."""
    assert severity_number(level) == std_to_otel(level).value


def test_a_lone_surrogate_in_an_attribute_is_replaced() -> None:
    """It has no UTF-8; the size sums count what is sent."""
    assert detail(encode(event(attributes={"value": "\ud83d lone"})))["extra"] == {"value": "\ufffd lone"}


# --- size -------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(subject=events, cap=st.one_of(st.just(WIDE), st.integers(4096, 16_384), st.integers(700, 4096)))
@example(subject=event(), cap=700)
def test_every_event_becomes_a_legal_entry(subject: Event, cap: int) -> None:
    """Whatever was logged: within the cap by the documented count, valid by the schema, legal throughout."""
    payload = encode(subject, max_bytes=cap, source="{logger}{message}", resources=["arn:aws:s3:::x"])

    content = detail(payload)
    assert payload.size == documented_size(payload.body) == wire.entry_size(payload.body) <= cap
    VALIDATOR.validate(content)
    assert content["event"]["id"] == subject.id
    assert 1 <= len(payload.body["Source"]) <= 256
    assert not payload.body["Source"].lower().startswith("aws.")
    assert 1 <= len(payload.body["DetailType"]) <= 128
    assert all(1 <= len(resource) <= 2048 for resource in payload.body.get("Resources", []))


def test_the_schema_is_a_schema() -> None:
    """Draft 2020-12 accepts it, and it refuses what isn't a Detail."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    assert not VALIDATOR.is_valid({"schema": SCHEMA["$id"]})


@pytest.mark.parametrize("cap", [1200, 2000, 4096, 10_000])
def test_a_long_traceback_keeps_its_head_and_its_tail(cap: int) -> None:
    """First line and exception stay, the middle goes, a mark tells, and short texts stay whole."""
    lines = "".join(f'  File "x.py", line {number}\n    "\\quoted\\"\n' for number in range(2000))
    long = ExceptionText("KeyError", "'id'", f"Traceback (most recent\n{lines}KeyError: 'id'", ("KeyError",))

    payload = encode(event(exception=long, attributes={"order": 7}), max_bytes=cap)

    content = detail(payload)
    stacktrace = content["exception"]["stacktrace"]
    assert stacktrace.startswith("Traceb")
    assert stacktrace.endswith("KeyError: 'id'")
    assert "… [cut: " in stacktrace
    assert content["truncated"] is True
    assert (content["message"], content["extra"]) == ("order 7 failed: “no stock” ✗", {"order": 7})
    assert cap - 30 < payload.size <= cap


def test_a_huge_extra_costs_the_traceback_nothing() -> None:
    """What is short stays whole; only the giant is cut, and its small neighbours stay too."""
    attributes: dict[str, Any] = {
        "dump": "x" * 1_000_000,
        "order": 7,
        "rows": [{"n": n, "text": "y" * 50} for n in range(9999)],
    }

    payload = encode(event(attributes=attributes))

    content = detail(payload)
    assert content["exception"]["stacktrace"].endswith("KeyError: 'id'")
    assert "cut" not in content["exception"]["stacktrace"]
    assert content["extra"]["order"] == 7
    assert content["extra"]["dump"].endswith("… [cut: 1000000 bytes in all]")
    assert content["extra"]["rows"][0] == attributes["rows"][0]
    assert "left out" in content["extra"]["rows"][-1]
    assert payload.size <= WIDE


def test_a_dict_of_too_many_keys_says_how_many_are_missing() -> None:
    """Attributes that can't be shortened one by one are left out by number."""
    payload = encode(event(attributes={f"key{n}": n for n in range(100_000)}), max_bytes=8192)

    kept = detail(payload)["extra"]
    assert kept["…"] == f"[cut: {100_001 - len(kept)} of 100000 left out]"
    assert kept["key0"] == 0


def test_a_cap_below_all_reason_still_gives_an_event() -> None:
    """The smallest form is larger than asked, but it is valid and has the id."""
    payload = encode(event(), max_bytes=10)

    VALIDATOR.validate(detail(payload))
    assert detail(payload)["event"]["id"] == event().id
    assert payload.size < 450


# --- the answer -------------------------------------------------------------------------------------------

RETRY, REJECTED = Disposition.RETRY, Disposition.REJECTED


@pytest.mark.parametrize(
    ("entry", "disposition", "code", "throttled", "attempts_allowed"),
    [
        ({"EventId": "11710aed"}, Disposition.DELIVERED, "", False, None),
        ({"ErrorCode": "ThrottlingException"}, RETRY, "ThrottlingException", True, None),
        ({"ErrorCode": "InternalFailure"}, RETRY, "InternalFailure", False, None),
        ({"ErrorCode": "InternalException"}, RETRY, "InternalException", False, None),
        ({"ErrorCode": "ServiceUnavailable"}, RETRY, "ServiceUnavailable", False, None),
        ({"ErrorCode": "InvalidArgument"}, REJECTED, "InvalidArgument", False, None),
        ({"ErrorCode": "MalformedDetail"}, REJECTED, "MalformedDetail", False, None),
        ({"ErrorCode": "RedactionFailure"}, REJECTED, "RedactionFailure", False, None),
        (
            {"ErrorCode": "NotAuthorizedForSourceException"},
            REJECTED,
            "NotAuthorizedForSourceException",
            False,
            None,
        ),
        (
            {"ErrorCode": "NotAuthorizedForDetailTypeException"},
            REJECTED,
            "NotAuthorizedForDetailTypeException",
            False,
            None,
        ),
        ({"ErrorCode": "SomethingNew"}, RETRY, "SomethingNew", False, 3),
        ({"EventId": "x", "ErrorCode": "SomethingNew"}, RETRY, "SomethingNew", False, 3),
        ({"EventId": ""}, RETRY, "unproven", False, 3),
        ({}, RETRY, "unproven", False, 3),
        (None, RETRY, "unproven", False, 3),
    ],
)
def test_each_entry_has_its_own_verdict(
    entry: Any, disposition: Disposition, code: str, throttled: bool, attempts_allowed: int | None
) -> None:
    """Only an EventId without an error is a delivery; what is unknown is tried again, three times in all."""
    answer = {"Entries": [entry, {"EventId": "of another"}], "FailedEntryCount": 0}

    outcome, _ = cloudwatch_answers.outcomes(answer, 2, {})

    assert outcome[:2] == (disposition, code)
    assert (outcome.throttled, outcome.attempts_allowed) == (throttled, attempts_allowed)


def test_outcomes_are_in_request_order() -> None:
    """Entry i of the answer is about entry i of the request; the service's words and hint are kept."""
    response = {
        "FailedEntryCount": 2,
        "Entries": [
            {"EventId": "a"},
            {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is\nmalformed."},
            {"ErrorCode": "ThrottlingException", "ErrorMessage": "x" * 999},
        ],
    }

    outcomes = cloudwatch_answers.outcomes(response, 3, {"x-amz-retry-after": "1500"})

    assert [outcome.disposition for outcome in outcomes] == [Disposition.DELIVERED, REJECTED, RETRY]
    assert outcomes[1].detail == "Detail is malformed."
    assert [outcome.retry_after for outcome in outcomes] == [None, None, 1.5]
    assert len(outcomes[2].detail) <= 201


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"Entries": None},
        {"Entries": []},
        {"Entries": [{"EventId": "a"}]},
        {"Entries": [{"EventId": "a"}] * 3},
    ],
)
def test_an_answer_of_the_wrong_length_proves_nothing(response: dict[str, Any]) -> None:
    """Nobody can say which answer is whose: all go again, as possible duplicates, and not for ever."""
    with pytest.raises(TransientError) as caught:
        cloudwatch_answers.outcomes(response, 2, {})

    answered = isinstance(response.get("Entries"), list)
    assert (caught.value.ambiguous, caught.value.attempts_allowed) == (True, 3 if answered else 10)


@pytest.mark.parametrize(
    ("code", "status", "message", "kind"),
    [
        ("ThrottlingException", 400, "Rate exceeded", ThrottledError),
        ("429", 429, "", ThrottledError),
        ("InternalException", 500, "", TransientError),
        ("InternalFailure", 400, "", TransientError),
        ("ServiceUnavailable", 503, "", TransientError),
        ("502", 502, "", TransientError),
        ("SomethingNew", 400, "", RefusedError),
        ("SomethingNew", 500, "", TransientError),
        ("400", 400, "", MisconfiguredError),
        ("", 0, "", TransientError),
        (
            "ValidationException",
            400,
            "Total size of the entries in the request is over the limit.",
            TooLargeError,
        ),
        ("RequestEntityTooLargeException", 413, "", TooLargeError),
        ("413", 413, "Request Entity Too Large", TooLargeError),
        ("ValidationException", 400, "1 validation error detected", RefusedError),
        ("SerializationException", 400, "", RefusedError),
        ("MalformedDetail", 400, "", RefusedError),
        ("AccessDeniedException", 400, "", MisconfiguredError),
        ("ResourceNotFoundException", 400, "", MisconfiguredError),
        ("OptInRequired", 403, "", MisconfiguredError),
        ("UnrecognizedClientException", 400, "", MisconfiguredError),
        ("InvalidSignatureException", 403, "", MisconfiguredError),
        ("IncompleteSignature", 400, "", MisconfiguredError),
        ("MissingAuthenticationToken", 403, "", MisconfiguredError),
        ("ExpiredTokenException", 400, "", MisconfiguredError),
        ("RequestExpired", 400, "", MisconfiguredError),
        ("301", 301, "", MisconfiguredError),
        ("403", 403, "", MisconfiguredError),
        ("404", 404, "", MisconfiguredError),
    ],
)
def test_a_failed_request_is_judged_by_code_then_status(
    code: str, status: int, message: str, kind: type[SinkError]
) -> None:
    """The service's word first, the HTTP status where it has none; what no table knows may be the data's."""
    error = cloudwatch_answers.verdict(code, status, message, {}).error()

    assert type(error) is kind


@pytest.mark.parametrize(
    ("status", "ambiguous"), [(500, True), (502, True), (503, False), (504, True), (400, False)]
)
def test_a_server_error_may_have_been_a_delivery(status: int, ambiguous: bool) -> None:
    """503 is said before the work; after another 5xx an event may be there already."""
    error = cloudwatch_answers.verdict("InternalFailure", status, "", {}).error()

    assert isinstance(error, TransientError)
    assert error.ambiguous is ambiguous


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"x-amz-retry-after": "1500"}, 1.5),
        ({"x-amz-retry-after": "1500", "retry-after": "9"}, 1.5),
        ({"x-amz-retry-after": "-1", "retry-after": "9"}, 9.0),
        ({"x-amz-retry-after": "9" * 50}, 300.0),
        ({"retry-after": "soon"}, None),
    ],
)
def test_hints_are_obeyed_within_reason(headers: dict[str, str], seconds: float | None) -> None:
    """Milliseconds in AWS's own header, seconds in HTTP's; 300 s at most."""
    assert cloudwatch_answers.verdict("ThrottlingException", 400, "", headers).retry_after == seconds


def test_a_wrong_clock_is_named() -> None:
    """A skewed signature is told apart from a wrong secret."""
    message = "Signature expired: 20261120T000000Z is now earlier than 20261120T114424Z"

    error = cloudwatch_answers.verdict("InvalidSignatureException", 400, message, {}).error()

    assert "clock" in error.detail


def test_a_quoted_token_is_not_repeated() -> None:
    """About signatures the service quotes the request's headers; its message stays out of ours."""
    message = "The Canonical String should have been 'POST / x-amz-security-token:IQoJb3JpZ2luX2VjE'"

    error = cloudwatch_answers.verdict("InvalidSignatureException", 403, message, {}).error()

    assert "IQoJ" not in str(error)
    assert "secret access key" in error.detail
