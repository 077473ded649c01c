"""The stand-in of CMS: what official clients send is taken, everything else is refused by name."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import xml.etree.ElementTree as ElementTree
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest

from eventlog_handlers.console.cms import CMS, Credentials
from eventlog_handlers.console.exchange import Answer, Request
from eventlog_handlers.settings.local_console import CONSOLE_ACCESS_KEY_ID, CONSOLE_ACCESS_KEY_SECRET

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc).timestamp()
VECTORS = sorted((Path(__file__).parents[1] / "support" / "data" / "cms").glob("v*.json"))
NONCES = (f"nonce-{number}" for number in itertools.count())
ONE = {"EventInfo.1.EventName": "shop", "EventInfo.1.Content": "ERROR out of stock"}
FORM = "application/x-www-form-urlencoded"


def encoded(text: str) -> str:
    return quote(text, safe="-_.~")


def form_of(parameters: dict[str, str]) -> str:
    return "&".join(f"{encoded(name)}={encoded(value)}" for name, value in parameters.items())


def signed_v1(
    events: dict[str, str] = ONE,
    *,
    secret: str = CONSOLE_ACCESS_KEY_SECRET,
    method: str = "POST",
    at: float = NOW,
    without: str = "",
    **changed: str,
) -> Request:
    """A request as the RPC page describes it; written from the page, not from the client's code."""
    common = {
        "Action": "PutCustomEvent",
        "Version": "2019-01-01",
        "Format": "JSON",
        "AccessKeyId": CONSOLE_ACCESS_KEY_ID,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": next(NONCES),
        "Timestamp": f"{datetime.fromtimestamp(at, timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
    } | changed
    common.pop(without, None)
    canonical = "&".join(
        f"{encoded(name)}={encoded(value)}" for name, value in sorted((common | events).items())
    )
    text = f"{method}&%2F&{encoded(canonical)}"
    digest = hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()
    common["Signature"] = base64.b64encode(digest).decode()
    if method == "GET":
        return Request("GET", "/", form_of(common | events), (("host", "localhost"),), b"")
    headers = (("host", "localhost"), ("content-type", FORM))
    return Request("POST", "/", form_of(common), headers, form_of(events).encode())


def signed_v3(
    events: dict[str, str] = ONE,
    *,
    secret: str = CONSOLE_ACCESS_KEY_SECRET,
    in_query: bool = False,
    unsigned: str = "",
    **changed: str,
) -> Request:
    """A request as the page of the V3 signature describes it."""
    body = b"" if in_query else form_of(events).encode()
    query = form_of(dict(sorted(events.items()))) if in_query else ""
    headers = {
        "host": "localhost",
        "x-acs-action": "PutCustomEvent",
        "x-acs-version": "2019-01-01",
        "x-acs-date": f"{datetime.fromtimestamp(NOW, timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
        "x-acs-signature-nonce": next(NONCES),
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
        "content-type": FORM,
    } | {name.replace("_", "-"): value for name, value in changed.items()}
    names = sorted(name for name in headers if name != unsigned)
    sha256 = headers["x-acs-content-sha256"]
    canonical = "\n".join(
        ("POST", "/", query, *(f"{name}:{headers[name]}" for name in names), "", ";".join(names), sha256)
    )
    text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = (
        f"ACS3-HMAC-SHA256 Credential={CONSOLE_ACCESS_KEY_ID},"
        f"SignedHeaders={';'.join(names)},Signature={signature}"
    )
    headers["accept"] = "application/json"
    return Request("POST", "/", query, tuple(headers.items()), body)


def captured(path: Path) -> tuple[dict[str, Any], Request, CMS, float]:
    """A captured request, a stand-in that knows its key, and the time it was signed at."""
    vector = json.loads(path.read_text(encoding="utf-8"))
    sent, key = vector["request"], vector["credentials"]
    target, _, query = sent["target"].partition("?")
    headers = sent["headers"]
    request = Request(sent["method"], target, query, tuple(headers.items()), sent["body"].encode())
    date = headers.get("x-acs-date") or dict(parse_qsl(query))["Timestamp"]
    at = datetime.strptime(date, "%Y-%m-%dT%H:%M:%S%z").timestamp()
    known = {key["access_key_id"]: Credentials(key["access_key_secret"], key["security_token"])}
    return vector, request, CMS(credentials=known), at


def code_of(answer: Answer) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["Code"]


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_takes_what_official_clients_send(path: Path) -> None:
    """Both signatures, body and query, with and without a security token, 1 and 50 events."""
    vector, request, cms, at = captured(path)

    answer = cms.answer(request, at)

    assert code_of(answer) == (200, "200")
    assert [dict(event.body) for event in answer.accepted] == vector["events"]
    assert answer.refused == ()


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_refuses_what_was_changed_on_its_way(path: Path) -> None:
    """One more character in the last value, in body or query, and the signature no longer holds."""
    _, request, cms, at = captured(path)
    changed = request._replace(body=request.body + b"x") if request.body else None
    changed = changed or request._replace(query=request.query + "x")

    answer = cms.answer(changed, at)

    assert code_of(answer) == (400, "SignatureDoesNotMatch")
    assert answer.accepted == ()


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_refuses_a_resent_request(path: Path) -> None:
    """A nonce is good once."""
    _, request, cms, at = captured(path)
    cms.answer(request, at)

    answer = cms.answer(request, at + 1)

    assert code_of(answer) == (400, "SignatureNonceUsed")


@pytest.mark.parametrize("build", [signed_v1, signed_v3], ids=["v1", "v3"])
def test_a_nonce_is_remembered_for_fifteen_minutes(build: Any) -> None:
    """After that only the date keeps a copy out."""
    cms = CMS(skew_seconds=None)
    request = build()
    cms.answer(request, NOW)

    assert code_of(cms.answer(request, NOW + 899)) == (400, "SignatureNonceUsed")
    assert code_of(cms.answer(request, NOW + 901)) == (200, "200")


def test_a_wrong_signature_spends_no_nonce() -> None:
    """Otherwise a stranger could use up a client's nonces."""
    cms = CMS()
    cms.answer(signed_v1(secret="wrong", SignatureNonce="same"), NOW)

    assert code_of(cms.answer(signed_v1(SignatureNonce="same"), NOW)) == (200, "200")


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (signed_v1(secret="wrong"), 400, "SignatureDoesNotMatch"),
        (signed_v1(AccessKeyId="LTAIstranger"), 404, "InvalidAccessKeyId.NotFound"),
        (signed_v1(SecurityToken="made-up"), 400, "InvalidSecurityToken.MismatchWithAccessKey"),
        (signed_v1(at=NOW - 901), 400, "InvalidTimeStamp.Expired"),
        (signed_v1(at=NOW + 901), 400, "InvalidTimeStamp.Expired"),
        (signed_v1(Timestamp="2026-11-20 12:00:00"), 400, "InvalidTimeStamp.Format"),
        (signed_v1(Timestamp="2026-11-20T12:00:00+0000"), 400, "InvalidTimeStamp.Format"),
        (signed_v1(SignatureMethod="HMAC-SHA256"), 400, "InvalidSignatureMethod"),
        (signed_v1(Version="2018-03-08"), 400, "NoSuchVersion"),
        (signed_v1(Action="PutCustomMetric"), 404, "InvalidAction.NotFound"),
        (signed_v1(without="SignatureNonce"), 400, "MissingSignatureNonce"),
        (signed_v1(without="AccessKeyId"), 400, "MissingAccessKeyId"),
        (signed_v1(without="Timestamp"), 400, "MissingTimestamp"),
        (signed_v1()._replace(method="PUT"), 405, "UnsupportedHTTPMethod"),
        (signed_v3(secret="wrong"), 400, "SignatureDoesNotMatch"),
        (signed_v3(unsigned="x-acs-action"), 400, "SignatureDoesNotMatch"),
        (signed_v3(unsigned="content-type"), 400, "SignatureDoesNotMatch"),
        (signed_v3(unsigned="host"), 400, "SignatureDoesNotMatch"),
        (signed_v3(x_acs_content_sha256="0" * 64), 400, "SignatureDoesNotMatch"),
        (signed_v3(x_acs_action="PutCustomMetric"), 404, "InvalidAction.NotFound"),
        (signed_v3(x_acs_date="20 November"), 400, "InvalidTimeStamp.Format"),
        (signed_v3(x_acs_signature_nonce=""), 400, "MissingSignatureNonce"),
    ],
)
def test_refuses_callers(request_: Request, status: int, code: str) -> None:
    """Whoever is not who they say, or says it wrongly, gets the gateway's code for it."""
    answer = CMS().answer(request_, NOW)

    assert code_of(answer) == (status, code)
    assert set(json.loads(answer.body)) == {"RequestId", "HostId", "Code", "Message", "Recommend"}
    assert answer.accepted == ()


def test_asks_for_the_token_of_a_temporary_key() -> None:
    """A key that belongs to a role is worth nothing alone."""
    cms = CMS(credentials={CONSOLE_ACCESS_KEY_ID: Credentials(CONSOLE_ACCESS_KEY_SECRET, "token")})

    assert code_of(cms.answer(signed_v1(), NOW)) == (400, "MissingSecurityToken")
    assert code_of(cms.answer(signed_v1(SecurityToken="token"), NOW)) == (200, "200")


def test_quotes_the_hash_it_expected_under_v3() -> None:
    """With it a client can tell a wrong secret from a request changed on its way."""
    request = signed_v3(secret="wrong")
    names = (
        "content-type;host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
    )
    headers = dict(request.headers)
    sha256 = headers["x-acs-content-sha256"]
    canonical = "\n".join(
        ("POST", "/", "", *(f"{name}:{headers[name]}" for name in names.split(";")), "", names, sha256)
    )

    message = json.loads(CMS().answer(request, NOW).body)["Message"]

    assert message.endswith(f"[ACS3-HMAC-SHA256 {hashlib.sha256(canonical.encode()).hexdigest()}]")


def test_quotes_the_string_it_expected_under_v1() -> None:
    """As the gateway does, behind the only colon of the message."""
    request = signed_v1(secret="wrong")
    pairs = sorted(parse_qsl(request.query) + parse_qsl(request.body.decode()))
    canonical = "&".join(f"{encoded(name)}={encoded(value)}" for name, value in pairs if name != "Signature")

    answer = CMS().answer(request, NOW)

    expected = f"POST&%2F&{encoded(canonical)}"
    assert json.loads(answer.body)["Message"].split(":")[1] == expected
    assert answer.refused[0].signing is not None
    assert answer.refused[0].signing[:2] == (expected, expected)


def test_shows_what_was_signed_under_v3() -> None:
    """The header that was left out, and a hash that isn't the body's, stand on one side only."""
    request = signed_v3(unsigned="content-type", x_acs_content_sha256="0" * 64)
    (refused,) = CMS().answer(request, NOW).refused

    assert refused.signing is not None
    expected, received = (side.splitlines() for side in refused.signing[:2])
    assert f"content-type:{FORM}" in set(expected) - set(received)
    assert hashlib.sha256(request.body).hexdigest() in set(expected) - set(received)


def test_an_answer_in_xml_is_well_formed_whatever_it_quotes() -> None:
    """A control character in a parameter's name is none that XML can hold."""
    answer = CMS().answer(signed_v1({"EventInfo.1.\x01": "x"}, without="Format"), NOW)

    assert "\ufffd" in ElementTree.fromstring(answer.body).findtext("Message", "")


def event(**fields: str) -> dict[str, str]:
    """One event's parameters; an empty value takes the field away."""
    values = {"EventName": "shop", "Content": "ERROR"} | fields
    return {f"EventInfo.1.{name}": value for name, value in values.items() if value != "-"}


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ({}, "MissingEventInfo"),
        (event(Content="-"), "MissingContent"),
        (event(Content=""), "MissingContent"),
        (event(EventName="-"), "MissingEventName"),
        (event(EventName=""), "MissingEventName"),
        (event(GroupId="seven"), "ParameterInvalid"),
        (event(GroupId=""), "ParameterInvalid"),
        (event(GroupId="٧"), "ParameterInvalid"),
        (event(Time="20171013T170923.456Z"), "ParameterInvalid"),
        (event(Time="20171013T170923.456 0800"), "ParameterInvalid"),
        (event(Time="20171013T170923.456789+0800"), "ParameterInvalid"),
        (event(Time="20171313T170923.456+0800"), "ParameterInvalid"),
        (event(Time="2017-10-13T17:09:23.456+08:00"), "ParameterInvalid"),
        (event(Time="1552199984"), "ParameterInvalid"),
        (event(Time=""), "ParameterInvalid"),
        (event(Level="CRITICAL"), "ParameterInvalid"),
        ({"EventInfo.0.EventName": "a", "EventInfo.0.Content": "b"}, "ParameterInvalid"),
        ({"EventInfo.2.EventName": "a", "EventInfo.2.Content": "b"}, "ParameterInvalid"),
        ({**ONE, "EventInfo.3.EventName": "a", "EventInfo.3.Content": "b"}, "ParameterInvalid"),
        ({"EventInfo": "[]"}, "ParameterInvalid"),
    ],
)
@pytest.mark.parametrize("build", [signed_v1, signed_v3], ids=["v1", "v3"])
def test_refuses_event_lists(build: Any, events: dict[str, str], code: str) -> None:
    """One fault in one event refuses the whole call, as there is no verdict per event."""
    answer = CMS().answer(build(events), NOW)

    assert code_of(answer) == (400, code)
    assert answer.accepted == ()


@pytest.mark.parametrize(("count", "status"), [(1, 200), (50, 200), (51, 400)])
def test_takes_one_to_fifty_events(count: int, status: int) -> None:
    """Fifty in one call, in order, and not one more."""
    events = {}
    for number in range(1, count + 1):
        events |= {f"EventInfo.{number}.EventName": f"name {number}", f"EventInfo.{number}.Content": "x"}

    answer = CMS().answer(signed_v1(events), NOW)

    assert answer.status == status
    names = [accepted.title for accepted in answer.accepted]
    assert names == ([f"name {number}" for number in range(1, count + 1)] if status == 200 else [])


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("20171013T170923.456+0800", 1507885763.456),
        ("19690720T201740.250+0000", -14182939.75),
        ("00010101T000000.000+0000", -62135596800.0),
        ("1552199984000", 1552199984.0),
        ("-", None),
    ],
)
def test_reads_time_in_both_forms(time: str, seconds: float | None) -> None:
    """With an offset, in milliseconds, or not given at all."""
    (accepted,) = CMS().answer(signed_v1(event(Time=time)), NOW).accepted

    assert accepted.time == seconds


@pytest.mark.parametrize(("size", "status"), [(499_999, 200), (500_000, 413)])
def test_takes_less_than_500_kilobytes(size: int, status: int) -> None:
    """Counted in the encoded form; the answer to more is no answer of the service's own."""
    head = form_of({"EventInfo.1.EventName": "shop", "EventInfo.1.Content": ""})
    request = signed_v1({"EventInfo.1.EventName": "shop", "EventInfo.1.Content": "x" * (size - len(head))})

    answer = CMS().answer(request, NOW)

    assert len(request.body) == size
    assert answer.status == status
    assert answer.headers["content-type"].startswith("application/json" if status == 200 else "text/html")


def test_answers_an_endless_url_with_414() -> None:
    """As the gateway does to whoever puts a large batch into the query."""
    answer = CMS().answer(signed_v1(event(Content="x" * 20_000), method="GET"), NOW)

    assert answer.status == 414
    assert answer.body.startswith(b"<html>")


def test_takes_a_get() -> None:
    """Everything in the query, signed as a GET."""
    assert code_of(CMS().answer(signed_v1(method="GET"), NOW)) == (200, "200")


def test_may_leave_a_form_body_under_v3_unread() -> None:
    """No document says that V3 reads it; the query it does read."""
    cms = CMS(v3_form_body=False)

    assert code_of(cms.answer(signed_v3(), NOW)) == (400, "MissingEventInfo")
    assert code_of(cms.answer(signed_v3(in_query=True), NOW)) == (200, "200")


def test_takes_twenty_calls_a_second() -> None:
    """The next is throttled, and a second later all is well."""
    cms = CMS()
    codes = [code_of(cms.answer(signed_v1(), NOW + number / 1000)) for number in range(21)]

    assert codes == [(200, "200")] * 20 + [(400, "Throttling.User")]
    assert code_of(cms.answer(signed_v1(), NOW + 1.001)) == (200, "200")


@pytest.mark.parametrize(
    ("request_", "root"),
    [
        (signed_v1(Format="XML"), "PutCustomEventResponse"),
        (signed_v1(without="Format"), "PutCustomEventResponse"),
        (signed_v1({}, without="Format"), "Error"),
    ],
)
def test_answers_in_xml_unless_asked_for_json(request_: Request, root: str) -> None:
    """The gateway's default."""
    answer = CMS().answer(request_, NOW)

    assert answer.headers["content-type"] == "text/xml;charset=utf-8"
    tree = ElementTree.fromstring(answer.body)
    assert tree.tag == root
    assert {"Code", "Message", "RequestId"} <= {child.tag for child in tree}


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ("CRITICAL the till is on fire", "critical"),
        ("WARNING late\nservice: shop", "warning"),
        ("NOTICE hello\nstatus: ok", "ok"),
        ('{"level": "ERROR", "message": "x"}', "error"),
        ("IOException", ""),
        ("[1, 2]", ""),
    ],
)
def test_reads_a_status_out_of_the_content(content: str, status: str) -> None:
    """The service has no field for it; the page shows it all the same."""
    (accepted,) = CMS().answer(signed_v1(event(Content=content)), NOW).accepted

    assert accepted.status == status


def test_flags_control_characters() -> None:
    """Nobody knows what becomes of them."""
    (accepted,) = CMS().answer(signed_v1(event(Content="a\x00b")), NOW).accepted

    assert accepted.flags == ("control_character:Content",)
