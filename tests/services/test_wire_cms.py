"""PutCustomEvent: events become parameters and requests, answers become outcomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import acs_signatures as official
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog_handlers.errors import (
    MisconfiguredError,
    RefusedError,
    SinkError,
    ThrottledError,
    TooLargeError,
    TransientError,
)
from eventlog_handlers.events import DELIVERED, Code, Event, ExceptionText, Payload
from eventlog_handlers.services.cms import answers as cms_answers
from eventlog_handlers.services.cms import request as cms
from eventlog_handlers.services.cms import signing
from eventlog_handlers.services.cms.content import clock_text, encoded_size, json_content, text_content
from eventlog_handlers.services.cms.credentials import Credentials
from eventlog_handlers.services.verdict import Kind, Mend
from eventlog_handlers.testing import make_event
from eventlog_handlers.text.fit import clean
from eventlog_handlers.text.shares import fair_shares

KEY = Credentials("LTAI5tDummyKeyForTests00", "DummySecretForTestVectors000000")
TOKEN_KEY = Credentials("STS.NTDummyKey", "DummySecret", "CAIS+dummy/token==")
STACKTRACE = "\n".join(
    ["Traceback (most recent call last):"]
    + [f'  File "/srv/shop/pay.py", line {line}, in charge' for line in range(200)]
    + ["ValueError: bad card"]
)
EVENT = Event(
    id="0123456789abcdef0123456789abcdef",
    time=1_700_000_000.25,
    level=40,
    level_name="ERROR",
    status="error",
    logger="shop.pay",
    message="payment 7 failed",
    template="payment %d failed",
    fingerprint="00112233445566ff",
    exception=ExceptionText("ValueError", "bad card", STACKTRACE[-90:], ("ValueError",)),
    stack="",
    attributes={"order": 7, "cart": {"items": [1, None]}, "note": "two\nlines"},
    code=Code("/srv/shop/pay.py", 42, "charge", "pay"),
    thread_id=1,
    thread_name="MainThread",
    process_id=12,
    host="web-1",
    service="shop",
    env="prod",
    tags={"team": "pay"},
    trace_id="a" * 32,
    span_id="b" * 16,
)


def _encode(event: Event = EVENT, **options: Any) -> Payload:
    return cms.encode(
        event,
        **{
            "event_name": cms.name_of(event, "{logger}"),
            "group_id": None,
            "content_format": "text",
            "max_content_bytes": 32_768,
            **options,
        },
    )


def _fields(payload: Payload) -> dict[str, str]:
    return dict(parse_qsl("&".join(payload.body), keep_blank_values=True, strict_parsing=True))


def _content(event: Event = EVENT, **options: Any) -> str:
    return _fields(_encode(event, **options))["Content"]


# --- Content ---------------------------------------------------------------------------------------------


def test_content_reads_from_level_and_message_down_to_the_id() -> None:
    """First line level and message, then the exception, the attributes, the circumstances, the id."""
    lines = _content(EVENT._replace(count=3, first_time=1_699_999_999.0)).splitlines()

    assert lines[0] == "ERROR payment 7 failed"
    assert lines[3] == "ValueError: bad card"
    assert lines[4:7] == ["order: 7", 'cart: {"items":[1,null]}', 'note: "two\\nlines"']
    assert lines[7:] == [
        "logger: shop.pay",
        "code: /srv/shop/pay.py:42 in charge",
        "status: error",
        "service: shop",
        "env: prod",
        "host: web-1",
        "pid: 12",
        "thread: MainThread",
        f"trace_id: {'a' * 32}",
        f"span_id: {'b' * 16}",
        "fingerprint: 00112233445566ff",
        'tags: {"team":"pay"}',
        "count: 3",
        "first_time: 20231114T221319.000+0000",
        "last_time: 20231114T221320.250+0000",
        "event_id: 0123456789abcdef0123456789abcdef",
    ]


def test_content_of_a_plain_event_names_nothing_it_lacks() -> None:
    """No exception, no count of one, no empty environment."""
    event = EVENT._replace(exception=None, attributes={}, env=None, tags={}, trace_id=None, span_id=None)

    content = _content(event)

    for absent in ("Traceback", "count", "env:", "tags", "trace_id", "None", "notes", "defects"):
        assert absent not in content


def test_content_as_json_is_one_object_with_the_same_parts() -> None:
    """The option "json" gives an object; nested attributes stay nested."""
    content = json.loads(_content(EVENT._replace(defects=("bad format",)), content_format="json"))

    assert content["level"] == "ERROR"
    assert content["message"] == "payment 7 failed"
    assert content["exception"] == {"type": "ValueError", "message": "bad card"}
    assert content["stacktrace"].endswith("ValueError: bad card")
    assert content["attributes"] == dict(EVENT.attributes)
    assert content["tags"] == {"team": "pay"}
    assert content["defects"] == ["bad format"]
    assert list(content)[-1] == "event_id"


@pytest.mark.parametrize("content_format", ["text", "json"])
def test_a_long_traceback_keeps_head_tail_message_and_id(content_format: str) -> None:
    """What is cut says so; what is small stays whole."""
    exception = EVENT.exception._replace(stacktrace=STACKTRACE)  # type: ignore[union-attr]
    event = EVENT._replace(exception=exception)

    content = _content(event, content_format=content_format, max_content_bytes=4000)

    if content_format == "json":
        stacktrace = json.loads(content)["stacktrace"]
        assert json.loads(content)["attributes"] == dict(EVENT.attributes)
    else:
        stacktrace = content
        assert 'cart: {"items":[1,null]}' in content
    assert "ERROR" in content[:20]
    assert "Traceback (most recent call last):" in stacktrace
    assert "ValueError: bad card" in stacktrace
    assert "… [cut: " in stacktrace
    assert "0123456789abcdef0123456789abcdef" in content
    assert encoded_size(content) <= 4000


@pytest.mark.parametrize("max_bytes", [600, 601, 1_000])
def test_a_text_that_is_cut_fills_its_room(max_bytes: int) -> None:
    """To the byte: what is cut away is lost."""
    event = make_event("x" * 2_000, attributes={"order": "A-1"}, stack="frame")

    assert len(text_content(event, ["a note"], max_bytes)) == max_bytes


def test_of_a_long_message_in_json_the_head_is_kept() -> None:
    """Only a traceback says most at its end."""
    content = unquote(json_content(make_event("a" * 1_000 + "z" * 1_000), [], 900))

    message = json.loads(content)["message"]
    assert message.startswith("aaa")
    assert message.endswith("aaa… [cut: 2000 bytes in all]")


@pytest.mark.parametrize("content_format", ["text", "json"])
def test_characters_no_service_can_take_are_shown_as_escapes(content_format: str) -> None:
    """NUL and other controls become visible, half a surrogate pair becomes U+FFFD, and nothing raises."""
    event = EVENT._replace(
        message="nul \x00 bell \x07 half \ud800 c1 \x85", attributes={"k\x00\ud800": "v\ud83d\x00\x9f"}
    )

    content = _content(event, content_format=content_format)

    message = json.loads(content)["message"] if content_format == "json" else content.splitlines()[0]
    assert message.removeprefix("ERROR ") == "nul \\x00 bell \\x07 half \ufffd c1 \\x85"
    assert clean(content) == content


# --- EventName, GroupId, Time ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "template", "logger", "expected"),
    [
        (None, "{logger}", "shop.pay", "shop.pay"),
        (None, "{service}:{exception}", "shop.pay", "shop:ValueError"),
        ("order.failed", "{logger}", "shop.pay", "order.failed"),
        ("  two\r\n\tlines ", "{logger}", "shop.pay", "two lines"),
        ("支付失败 🚀", "{logger}", "shop.pay", "支付失败 🚀"),
        ("", "{logger}", "shop.pay", "shop.pay"),
        (" \n ", "{logger}", "shop.pay", "shop.pay"),
        (None, "", "shop.pay", "shop.pay"),
        (None, "{logger}", "", "log"),
        ("x" * 500, "{logger}", "shop.pay", "x" * 127 + "…"),
        ("nul\x00", "{logger}", "shop.pay", "nul\\x00"),
    ],
)
def test_the_event_name_is_one_short_line(
    asked: str | None, template: str, logger: str, expected: str
) -> None:
    """What the log call asked for, else the template, else the logger; never empty."""
    event = EVENT._replace(event_name=asked, logger=logger)

    name = cms.name_of(event, template)

    assert name == expected
    assert _fields(_encode(event, event_name=name))["EventName"] == expected


@pytest.mark.parametrize(
    ("steering", "setting", "expected"),
    [
        (None, None, None),
        (None, "42", "42"),
        ("7", "42", "7"),
        ("", "42", "42"),
        (" 7 ", None, "7"),
        ("team-a", "42", None),
        ("٣", None, None),
        ("9" * 21, None, None),
    ],
)
def test_the_group_id_is_digits_or_absent(
    steering: str | None, setting: str | None, expected: str | None
) -> None:
    """The log call's before the handler's; what is no number is left out, and Content says so."""
    payload = _encode(EVENT._replace(group_id=steering), group_id=setting)

    fields = _fields(payload)
    assert fields.get("GroupId") == expected
    assert ("was left out" in fields["Content"]) == (expected is None and bool(steering))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "19700101T000000.000+0000"),
        (1_700_000_000.0, "20231114T221320.000+0000"),
        (1_700_000_000.001, "20231114T221320.001+0000"),
        (1_700_000_000.9994, "20231114T221320.999+0000"),
        (1_700_000_000.9996, "20231114T221321.000+0000"),
        (1_700_000_059.9999, "20231114T221420.000+0000"),
        (951_782_399.9999, "20000229T000000.000+0000"),
        (1_709_164_800.5, "20240229T000000.500+0000"),
        (1_735_689_599.9999, "20250101T000000.000+0000"),
    ],
)
def test_time_has_three_digits_and_rounds_over_boundaries(seconds: float, expected: str) -> None:
    """A fraction that rounds up carries into the second, the day and the year."""
    assert clock_text(seconds) == (expected, True)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5.0, "19700101T000000.000+0000"),
        (1e18, "99991231T235959.999+0000"),
        (float("inf"), "99991231T235959.999+0000"),
        (float("-inf"), "19700101T000000.000+0000"),
        (float("nan"), "19700101T000000.000+0000"),
    ],
)
def test_an_impossible_time_is_sent_as_the_nearest_and_told(seconds: float, expected: str) -> None:
    """The service gets a valid Time, the reader the original in words."""
    fields = _fields(_encode(EVENT._replace(time=seconds)))

    assert fields["Time"] == expected
    assert f"the event's time {seconds!r} was sent as {expected}" in fields["Content"]


# --- sizes -----------------------------------------------------------------------------------------------

_texts = st.text(st.characters(codec=None), max_size=300)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_events = st.builds(
    lambda message, logger, attributes, stacktrace, name, group, time, stack: EVENT._replace(
        message=message,
        logger=logger,
        attributes=attributes,
        exception=None if stacktrace is None else ExceptionText("E", message, stacktrace, ("E",)),
        event_name=name,
        group_id=group,
        time=time,
        stack=stack,
    ),
    _texts,
    _texts,
    st.dictionaries(_texts, _json, max_size=4),
    st.none() | _texts.map(lambda text: text * 20),
    st.none() | _texts,
    st.none() | _texts,
    st.floats(),
    _texts,
)


@settings(deadline=None)
@given(
    event=_events,
    content_format=st.sampled_from(["text", "json"]),
    max_content_bytes=st.integers(200, 5000),
    max_bytes=st.none() | st.integers(500, 3000),
)
def test_sizes_are_true_and_limits_kept(
    event: Event, content_format: str, max_content_bytes: int, max_bytes: int | None
) -> None:
    """Whatever the event holds: exact size, kept limits, no empty value, and it decodes to clean text."""
    payload = _encode(
        event, content_format=content_format, max_content_bytes=max_content_bytes, max_bytes=max_bytes
    )

    fields = _fields(payload)
    form = "&".join(f"EventInfo.50.{field}" for field in payload.body)
    assert payload.size == len(form) + 1  # and the separator before it
    assert payload.size <= (max_bytes or cms.LIMITS.request_bytes)
    assert len(payload.body[0]) <= len("Content=") + max_content_bytes
    assert all(fields.values())
    assert list(fields) == sorted(fields)
    assert all(clean(value) == value for value in fields.values())
    if content_format == "json" and max_content_bytes >= 1000 and (max_bytes or 3000) >= 2000:
        assert isinstance(json.loads(fields["Content"]), dict)


@settings(deadline=None)
@given(message=_texts, stacktrace=_texts)
def test_what_fits_arrives_whole(message: str, stacktrace: str) -> None:
    """Decoding gives the cleaned text back, character by character."""
    event = EVENT._replace(message=message, exception=ExceptionText("E", "", stacktrace or "E", ("E",)))

    content = _content(event, max_content_bytes=200_000)

    start = clean(f"ERROR {message}".strip(" ") + "\n" + (stacktrace or "E"))
    assert content.startswith(start)


def test_a_small_limit_shortens_even_the_name() -> None:
    """An event that was too large for the service is made to fit half the bytes."""
    event = EVENT._replace(event_name="名" * 128)

    payload = _encode(event, max_bytes=500)

    assert payload.size <= 500
    assert _fields(payload)["EventName"].startswith("名")


@given(st.lists(st.integers(0, 100), min_size=1), st.integers(-10, 500))
def test_room_is_shared_fairly(sizes: list[int], room: int) -> None:
    """No share exceeds its need or all of them the room, and nobody gets less than a larger one."""
    shares = fair_shares(sizes, room)

    assert sum(shares) <= max(room, 0)
    assert all(0 <= share <= size for share, size in zip(shares, sizes, strict=True))
    if sum(sizes) <= room:
        assert shares == sizes


# --- requests --------------------------------------------------------------------------------------------


def _sign(scheme: cms.Scheme, payloads: list[Payload], credentials: Credentials = KEY) -> cms.SignedRequest:
    return cms.sign(
        scheme,
        payloads,
        credentials=credentials,
        host="metrics.cn-hangzhou.aliyuncs.com",
        nonce="c8b33bc5923040a41ec61981520dbfe8",
        timestamp=1_700_000_000.9,
    )


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 50])
@pytest.mark.parametrize("credentials", [KEY, TOKEN_KEY])
def test_a_v1_request_verifies_and_keeps_the_order(count: int, credentials: Credentials) -> None:
    """Everything is in the form, events numbered from 1 in their order, and the signature is right."""
    payloads = [_encode(EVENT._replace(message=f"n° {number} ~*+/=&%")) for number in range(1, count + 1)]

    request = _sign("v1", payloads, credentials)

    parameters = parse_qsl(request.body.decode(), strict_parsing=True)
    assert official.verify_v1("POST", parameters, credentials.access_key_secret)
    form = [item for item in parameters if item[0].startswith("EventInfo.")]
    common = dict(item for item in parameters if item not in form)
    assert common.pop("Signature")
    assert common == {
        "Action": "PutCustomEvent",
        "Version": "2019-01-01",
        "Format": "JSON",
        "Timestamp": "2023-11-14T22:13:20Z",
        "SignatureNonce": "c8b33bc5923040a41ec61981520dbfe8",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "AccessKeyId": credentials.access_key_id,
        **({"SecurityToken": credentials.security_token} if credentials.security_token else {}),
    }
    assert [name for name, _ in form] == [
        f"EventInfo.{number}.{field}"
        for number in range(1, count + 1)
        for field in ("Content", "EventName", "Time")
    ]
    assert f"n° {count} ~*+/=&%" in dict(form)[f"EventInfo.{count}.Content"]


@pytest.mark.parametrize("count", [1, 50])
@pytest.mark.parametrize("credentials", [KEY, TOKEN_KEY])
def test_a_v3_request_verifies(count: int, credentials: Credentials) -> None:
    """All that must be signed is, and the body holds the same events as with v1 and nothing else."""
    payloads = [_encode()] * count

    request = _sign("v3", payloads, credentials)

    assert _sign("v1", payloads).body.endswith(request.body)
    assert official.verify_v3("POST", "/", (), request.headers, request.body, credentials.access_key_secret)
    assert request.headers["x-acs-date"] == "2023-11-14T22:13:20Z"
    assert request.headers.get("x-acs-security-token") == credentials.security_token
    assert request.headers["accept"] == "application/json"


@pytest.mark.parametrize("name", ["v1-body-single", "v1-body-special", "v1-body-50", "v1-body-sts"])
def test_the_parameters_are_those_of_the_official_client(name: str) -> None:
    """Names, events and encoding as captured; the client splits them over query and form, we use the form."""
    vector = json.loads(
        (Path(__file__).parents[1] / "support" / "data" / "cms" / f"{name}.json").read_text("utf-8")
    )
    payloads = [
        Payload(EVENT, tuple(f"{key}={signing.percent(event[key])}" for key in sorted(event)), 0)
        for event in vector["events"]
    ]

    request = _sign("v1", payloads, Credentials(**vector["credentials"]))

    captured = vector["request"]
    parameters = parse_qsl(request.body.decode())
    sent = parse_qsl(captured["target"].partition("?")[2]) + parse_qsl(captured["body"])
    assert sorted(name for name, _ in parameters) == sorted(name for name, _ in sent)
    assert [item for item in sorted(parameters) if item[0].startswith("EventInfo.")] == sorted(
        parse_qsl(captured["body"])
    )
    assert request.headers["content-type"] == captured["headers"]["content-type"]


# --- answers ---------------------------------------------------------------------------------------------


def _answer(code: object, message: str = "m", **more: object) -> bytes:
    return json.dumps({"RequestId": "R-1", "Code": code, "Message": message, **more}).encode()


@pytest.mark.parametrize(
    "body",
    [
        _answer("200", "success"),
        _answer(200),
        _answer("OK"),
        _answer("Success"),
        _answer("success"),
        _answer("0"),
        _answer("SUCCESS"),
        b'{"code":"200"}',
        b'{"CODE":200}',
        b'{"Success":true,"RequestId":"R"}',
        b'{"success":"true"}',
        b"\xef\xbb\xbf" + _answer("200"),
        b'<?xml version="1.0" encoding="UTF-8"?><PutCustomEventResponse><Message>success</Message>'
        b"<RequestId>R</RequestId><Code>200</Code></PutCustomEventResponse>",
    ],
)
def test_delivered_is_only_what_the_body_says(body: bytes) -> None:
    """A 2xx status and a Code of success: every event of the call is delivered."""
    assert cms_answers.decode(200, {}, body, 3) == [DELIVERED] * 3


@pytest.mark.parametrize(
    ("status", "body", "error", "code"),
    [
        # what proves nothing is tried again
        (200, b"", TransientError, "http_200"),
        (200, b"[]", TransientError, "http_200"),
        (200, b"{}", TransientError, "http_200"),
        (200, b'{"Code":"20', TransientError, "http_200"),
        (200, b"[" * 50_000, TransientError, "http_200"),
        (200, b"<html>welcome</html>", TransientError, "http_200"),
        (200, b"\xff\xfe\x00", TransientError, "http_200"),
        (200, _answer(True), TransientError, "http_200"),
        (200, _answer("Whatever"), TransientError, "Whatever"),
        (204, b"", TransientError, "http_204"),
        (200, b'{"Success":false}', TransientError, "http_200"),
        (200, b'{"Code":"200","Success":false}', TransientError, "http_200"),
        (200, b'{"Code":"Whatever","Success":true}', TransientError, "Whatever"),
        (200, b"<html><code>200</code></html>", TransientError, "http_200"),
        (500, _answer("200", "success"), TransientError, "http_500"),
        (500, b'{"Success":true}', TransientError, "http_500"),
        (404, _answer("200", "success"), MisconfiguredError, "http_404"),
        # the body's code goes before the status
        (200, _answer("Throttling.User"), ThrottledError, "Throttling.User"),
        (200, _answer("400"), RefusedError, "400"),
        (200, _answer("ServiceUnavailable"), TransientError, "ServiceUnavailable"),
        # throttling
        (400, _answer("Throttling.User"), ThrottledError, "Throttling.User"),
        (400, _answer("Throttling"), ThrottledError, "Throttling"),
        (400, _answer("Throttling.Api"), ThrottledError, "Throttling.Api"),
        (503, _answer("Rejected.Throttling"), ThrottledError, "Rejected.Throttling"),
        (400, _answer("QPS Limit Exceeded"), ThrottledError, "QPS Limit Exceeded"),
        (429, b"<html>slow down</html>", ThrottledError, "http_429"),
        # trouble of the service
        (503, _answer("ServiceUnavailable"), TransientError, "ServiceUnavailable"),
        (500, _answer("InternalError"), TransientError, "InternalError"),
        (400, _answer("InternalError"), TransientError, "InternalError"),
        (500, _answer("DatabaseError"), TransientError, "DatabaseError"),
        (500, _answer("UnknownError"), TransientError, "UnknownError"),
        (500, _answer("NeverSeen"), TransientError, "NeverSeen"),
        (502, b"<html><body><h1>502 Bad Gateway</h1></body></html>", TransientError, "http_502"),
        (503, b"", TransientError, "http_503"),
        (408, b"", TransientError, "http_408"),
        # size
        (413, b"<html>Request Entity Too Large</html>", TooLargeError, "http_413"),
        (414, b"<html>Request-URI Too Large</html>", MisconfiguredError, "http_414"),
        # signature, clock and keys, once their second try has failed
        (400, _answer("SignatureNonceUsed"), TransientError, "SignatureNonceUsed"),
        (400, _answer("InvalidTimeStamp.Expired"), MisconfiguredError, "InvalidTimeStamp.Expired"),
        (400, _answer("InvalidTimeStamp.Format"), MisconfiguredError, "InvalidTimeStamp.Format"),
        (400, _answer("IllegalTimestamp"), MisconfiguredError, "IllegalTimestamp"),
        (400, _answer("InvalidSecurityToken.Expired"), MisconfiguredError, "InvalidSecurityToken.Expired"),
        (400, _answer("MissingSecurityToken"), MisconfiguredError, "MissingSecurityToken"),
        (404, _answer("InvalidAccessKeyId.NotFound"), MisconfiguredError, "InvalidAccessKeyId.NotFound"),
        (400, _answer("InvalidAccessKeyId.Inactive"), MisconfiguredError, "InvalidAccessKeyId.Inactive"),
        (400, _answer("SignatureDoesNotMatch"), MisconfiguredError, "SignatureDoesNotMatch"),
        (400, _answer("IncompleteSignature"), MisconfiguredError, "IncompleteSignature"),
        # permission, quota, address
        (403, _answer("Forbidden.RAM"), MisconfiguredError, "Forbidden.RAM"),
        (403, _answer("NoPermission"), MisconfiguredError, "NoPermission"),
        (401, _answer("AccessForbidden"), MisconfiguredError, "AccessForbidden"),
        (403, _answer("AccessDenied.Whatever"), MisconfiguredError, "AccessDenied.Whatever"),
        (403, _answer("NeverSeen"), MisconfiguredError, "NeverSeen"),
        (406, _answer("ExceedingQuota"), MisconfiguredError, "ExceedingQuota"),
        (400, _answer("Account.Arrearage"), MisconfiguredError, "Account.Arrearage"),
        (404, _answer("InvalidAction.NotFound"), MisconfiguredError, "InvalidAction.NotFound"),
        (404, _answer("InvalidProduct.NotFound"), MisconfiguredError, "InvalidProduct.NotFound"),
        (400, _answer("InvalidProtocol.NeedSsl"), MisconfiguredError, "InvalidProtocol.NeedSsl"),
        (400, _answer("InvalidSignatureMethod"), MisconfiguredError, "InvalidSignatureMethod"),
        (302, b"", MisconfiguredError, "http_302"),
        (400, b"<html>The plain HTTP request was sent to HTTPS port</html>", MisconfiguredError, "http_400"),
        (404, b"not found", MisconfiguredError, "http_404"),
        (407, b"", MisconfiguredError, "http_407"),
        # the data
        (400, _answer("ParameterInvalid"), RefusedError, "ParameterInvalid"),
        (400, _answer("InvalidParameter.Content"), RefusedError, "InvalidParameter.Content"),
        (400, _answer("MissingContent"), RefusedError, "MissingContent"),
        (400, _answer("MissingEventInfo"), RefusedError, "MissingEventInfo"),
        (400, _answer("BadRequest"), RefusedError, "BadRequest"),
        (400, _answer("NeverSeen"), RefusedError, "NeverSeen"),
        # the group, which is the handler's where no event names its own
        (404, _answer("ResourceNotFound"), MisconfiguredError, "ResourceNotFound"),
        (404, _answer("404"), MisconfiguredError, "404"),
        (
            400,
            b"<?xml version='1.0' encoding='UTF-8'?><Error><RequestId>R</RequestId><HostId>h</HostId>"
            b"<Code>ParameterInvalid</Code><Message>a &lt;b&gt;</Message></Error>",
            RefusedError,
            "ParameterInvalid",
        ),
    ],
)
def test_an_answer_is_judged_by_code_then_status(
    status: int, body: bytes, error: type[SinkError], code: str
) -> None:
    """One row per rule: what is raised for all events of the call, and under which name it is counted."""
    with pytest.raises(SinkError) as raised:
        cms_answers.decode(status, {}, body, 5)

    assert type(raised.value) is error
    assert raised.value.code == code
    assert raised.value.detail.isprintable()
    assert len(raised.value.detail) < 400


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"<html>hi</html>", _answer("Whatever"), b'{"Code":"200","Success":false}'],
)
def test_an_answer_without_proof_is_met_a_limited_number_of_times(body: bytes) -> None:
    """What says 200 and not what became of the events may have stored them: ten copies, then enough."""
    with pytest.raises(TransientError) as raised:
        cms_answers.decode(200, {}, body, 1)

    assert raised.value.ambiguous
    assert raised.value.attempts_allowed == 10


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"x-acs-retry-after": "1500"}, 1.5),
        ({"x-acs-retry-after": "0"}, None),
        ({"x-acs-retry-after": "-5"}, None),
        ({"x-acs-retry-after": "soon"}, None),
        ({"x-ratelimit-user-api": "Limit:20,Remain:0,TimeLeft:2500"}, 2.5),
        ({"x-ratelimit-user": "Limit:20,Remain:0,TimeLeft:800"}, 0.8),
        ({"retry-after": "1", "x-acs-retry-after": "3000", "x-ratelimit-user": "TimeLeft:2000"}, 3.0),
        ({"retry-after": "100000"}, 300.0),
        ({"x-acs-retry-after": "999999999"}, 300.0),
        ({"x-acs-retry-after": "9" * 5000}, None),
        ({"x-ratelimit-user-api": "TimeLeft:" + "9" * 5000}, 300.0),
    ],
)
def test_hints_of_a_throttling_answer_are_honoured(headers: dict[str, str], expected: float | None) -> None:
    """The longest of them, milliseconds where the service counts so, at most five minutes."""
    with pytest.raises(ThrottledError) as raised:
        cms_answers.decode(400, headers, _answer("Throttling.User"), 1)

    assert raised.value.retry_after == expected


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("MissingEventInfo", "EventInfo is mandatory for this action."),
        ("MissingParameter", "The input parameter EventInfo that is mandatory is not supplied."),
        ("400", "EventInfo is mandatory for this action."),
    ],
)
def test_under_v3_a_missing_event_list_means_the_body_was_not_read(code: str, message: str) -> None:
    """The events were there, so the layout is at fault, not the data."""
    body = _answer(code, message)

    judged = cms_answers.verdict(400, {}, body, scheme="v3")

    assert judged.mend is Mend.FORM
    assert cms_answers.verdict(400, {}, body, scheme="v1").kind is Kind.REFUSED
    with pytest.raises(MisconfiguredError, match="v1"):
        cms_answers.decode(400, {}, body, 1, "v3")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("MissingContent", "EventInfo.3.Content is mandatory for this action."),
        ("MissingContent", "Content of EventInfo is mandatory for this action."),
        ("MissingParameter", "The input parameter EventInfo.3.Content that is mandatory is not supplied."),
        ("InvalidParameter", "EventInfo.12.Time is not valid."),
    ],
)
def test_a_field_missing_from_one_event_is_no_unread_body(code: str, message: str) -> None:
    """The data is at fault: the event is looked for, and the signature stays as it is."""
    assert cms_answers.verdict(400, {}, _answer(code, message), scheme="v3").kind is Kind.REFUSED


@pytest.mark.parametrize(
    "message",
    [
        "Specified signature is not matched with our calculation. server string to sign is:"
        "POST&%2F&AccessKeyId%3DLTAI%26SecurityToken%3DCAIS%252Btoken",
        "Signature mismatch, Server StringToSign is POST&%2F&SecurityToken%3DCAIS%252Btoken",
    ],
)
def test_what_the_server_quotes_of_the_request_stays_out_of_the_error(message: str) -> None:
    """The text that was signed holds the token."""
    with pytest.raises(MisconfiguredError) as raised:
        cms_answers.decode(400, {}, _answer("SignatureDoesNotMatch", message), 1)

    assert "CAIS" not in str(raised.value)
    assert "ignature" in raised.value.detail


def test_a_wrong_secret_is_told_from_a_changed_request() -> None:
    """V3 quotes the hash of what arrived: ours means the secret is wrong, another that something changed."""
    hash_seen = "ab" * 32
    message = f"Specified signature does not match. server StringToSign is [ACS3-HMAC-SHA256 {hash_seen}]"
    body = _answer("SignatureDoesNotMatch", message)

    same = cms_answers.verdict(400, {}, body, scheme="v3", canonical_sha256=hash_seen)
    other = cms_answers.verdict(400, {}, body, scheme="v3", canonical_sha256="cd" * 32)

    assert "secret is probably wrong" in same.detail
    assert "changed on its way" in other.detail


@settings(deadline=None)
@given(status=st.integers(100, 599), body=st.binary(max_size=300), scheme=st.sampled_from(["v1", "v3"]))
def test_no_answer_breaks_the_judge(status: int, body: bytes, scheme: str) -> None:
    """Whatever comes back is a verdict, and never one of delivery without its proof."""
    judged = cms_answers.verdict(status, {}, body, scheme=scheme)

    assert judged.kind is not Kind.DELIVERED
    assert judged.code
