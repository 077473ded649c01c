"""Why a signature is wrong: the mistake is named, and what was signed is laid beside what is right."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from eventlog_handlers.console import sigv4
from eventlog_handlers.console.cloudwatch import CloudWatch
from eventlog_handlers.console.cms import CMS
from eventlog_handlers.console.exchange import Answer, Request, Signing
from eventlog_handlers.settings.local_console import (
    CONSOLE_ACCESS_KEY_ID,
    CONSOLE_ACCESS_KEY_SECRET,
    CONSOLE_AWS_ACCESS_KEY_ID,
    CONSOLE_AWS_SECRET_ACCESS_KEY,
)

NOW = 1_795_000_000.0
STAMP = "2026-11-18T11:06:40Z"
SECRET = CONSOLE_ACCESS_KEY_SECRET
FORM = "application/x-www-form-urlencoded"
COMMON = {
    "Action": "PutCustomEvent", "Version": "2019-01-01", "Format": "JSON",
    "AccessKeyId": CONSOLE_ACCESS_KEY_ID, "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
    "SignatureNonce": "n", "Timestamp": STAMP,
}  # fmt: skip
EVENT = {"EventInfo.1.EventName": "shop", "EventInfo.1.Content": "a b*c~d/e", "EventInfo.1.GroupId": "7"}


def strict(text: str) -> str:
    return quote(text, safe="-_.~")


def joined(pairs: Any, encode: Callable[[str], str] = strict) -> str:
    return "&".join(f"{encode(name)}={encode(value)}" for name, value in pairs)


def sha1(text: str, key: str = f"{SECRET}&", algorithm: str = "sha1") -> str:
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), algorithm)).decode()


def v1(signature: str) -> Request:
    query = joined((COMMON | {"Signature": signature}).items())
    headers = (("host", "localhost"), ("content-type", FORM))
    return Request("POST", "/", query, headers, joined(EVENT.items()).encode())


ALL = sorted((COMMON | EVENT).items())
RIGHT = f"POST&%2F&{strict(joined(ALL))}"


def explained(answer: Answer) -> Signing:
    (refused,) = answer.refused
    assert refused.signing is not None, refused
    return refused.signing


def test_the_right_signature_is_taken() -> None:
    """So that each of the others differs from it by its one mistake."""
    assert CMS().answer(v1(sha1(RIGHT)), NOW).status == 200


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        (sha1(RIGHT, f"{SECRET}\n&"), "line break"),
        (sha1(RIGHT, f"{SECRET} &"), "followed by a blank"),
        (sha1(RIGHT, "&"), "secret is empty"),
        (sha1(RIGHT, SECRET), '"&" has to follow'),
        (sha1(RIGHT, algorithm="sha256"), "SHA-256"),
        (sha1(RIGHT.replace("POST", "GET", 1)), "GET was signed and POST was sent"),
        (sha1(f"POST&%2F&{strict(joined(sorted(COMMON.items())))}"), "only the query was signed"),
        (sha1(f"POST&%2F&{strict(joined((COMMON | EVENT).items()))}"), "not sorted by name"),
        (sha1(f"POST&%2F&{strict(joined(ALL, quote_plus))}"), '"+" instead of "%20"'),
        (sha1(f"POST&%2F&{strict(joined(ALL, lambda text: quote(text, safe='*')))}"), '"*" was left'),
        (sha1(f"POST&%2F&{strict(joined(ALL, quote))}"), '"/" was left'),
        (sha1(f"POST&%2F&{joined(ALL)}"), "not encoded a second time"),
        (sha1(RIGHT.replace("&%2F&", "&/&", 1)), "the path is not encoded"),
        (
            sha1(f"POST&%2F&{strict(joined(ALL, lambda text: strict(text).replace('~', '%7E')))}"),
            '"~" became "%7E"',
        ),
    ],
)
def test_mistakes_of_rpc_v1(signature: str, words: str) -> None:
    """Each known one is found, and the string that was really signed is shown."""
    signing = explained(CMS().answer(v1(signature), NOW))

    assert signing.note.startswith("Found: ")
    assert words in signing.note
    assert signing.expected == RIGHT
    assert SECRET not in "".join(signing)


def test_a_wrong_secret_is_what_is_left() -> None:
    """The strings agree then."""
    signing = explained(CMS().answer(v1(sha1(RIGHT, "another&")), NOW))

    assert signing.expected == signing.received == RIGHT
    assert "secret is another one" in signing.note


# --- V3 --------------------------------------------------------------------------------------------------


def v3(
    *, key: str = SECRET, host: str = "localhost", payload: str | None = None, method: str = "POST"
) -> Request:
    body = joined(EVENT.items()).encode()
    headers = {
        "host": "localhost",
        "x-acs-action": "PutCustomEvent",
        "x-acs-version": "2019-01-01",
        "x-acs-date": STAMP,
        "x-acs-signature-nonce": "n",
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
        "content-type": FORM,
    }
    names = sorted(headers)
    lines = (f"{name}:{host if name == 'host' else headers[name]}" for name in names)
    signed = payload or headers["x-acs-content-sha256"]
    canonical = "\n".join((method, "/", "", *lines, "", ";".join(names), signed))
    text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(key.encode(), text.encode(), "sha256").hex()
    authorization = (
        f"ACS3-HMAC-SHA256 Credential={CONSOLE_ACCESS_KEY_ID},SignedHeaders={';'.join(names)},"
        f"Signature={signature}"
    )
    pairs = (*headers.items(), ("authorization", authorization), ("accept", "application/json"))
    return Request("POST", "/", "", pairs, body)


EMPTY = hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (v3(key=f"{SECRET}&"), 'the secret and "&"'),
        (v3(key=f"{SECRET}\n"), "line break"),
        (v3(payload=EMPTY), "an empty body was signed"),
        (v3(host="127.0.0.1"), "another host was signed: 127.0.0.1"),
        (v3(method="GET"), "GET was signed and POST was sent"),
    ],
)
def test_mistakes_of_v3(request_: Request, words: str) -> None:
    """The canonical request that was really signed differs in one line."""
    assert CMS().answer(v3(), NOW).status == 200

    signing = explained(CMS().answer(request_, NOW))

    assert words in signing.note
    different = [
        pair
        for pair in zip(signing.expected.splitlines(), signing.received.splitlines(), strict=True)
        if pair[0] != pair[1]
    ]
    assert len(different) in (0, 2)  # a line, and the hash over all of them; or the key alone


# --- SigV4 -----------------------------------------------------------------------------------------------

ENTRIES = json.dumps({"Entries": [{"Source": "s", "DetailType": "t", "Detail": "{}"}]}).encode()


def v4(*, key: str = CONSOLE_AWS_SECRET_ACCESS_KEY, host: str = "localhost:80", payload: str = "") -> Request:
    date = "20261118T110640Z"
    names = ("content-type", "host", "x-amz-date", "x-amz-target")
    headers = (
        ("host", "localhost:80"),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-date", date),
        ("x-amz-target", "AWSEvents.PutEvents"),
    )
    request = Request("POST", "/", "", headers, ENTRIES)
    seen = request._replace(headers=(("host", host), *headers[1:]))
    claim = sigv4.Claim(CONSOLE_AWS_ACCESS_KEY_ID, date[:8], "us-east-1", "events", names, "")
    signed = sigv4.signed(seen, claim, names, date, payload or hashlib.sha256(ENTRIES).hexdigest())
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={claim.key_id}/{date[:8]}/us-east-1/events/aws4_request, "
        f"SignedHeaders={';'.join(names)}, Signature={sigv4.signature(signed.text, claim, key, date)}"
    )
    return request._replace(headers=(*headers, ("authorization", authorization)))


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (v4(key=f"{CONSOLE_AWS_SECRET_ACCESS_KEY}\n"), "line break"),
        (v4(host="localhost"), "without its port"),
        (v4(host="127.0.0.1:80"), "another host was signed: 127.0.0.1:80"),
        (v4(payload=EMPTY), "an empty body was signed"),
        (v4(payload="UNSIGNED-PAYLOAD"), "the body is not signed"),
        (v4(payload=hashlib.sha256(ENTRIES + b"x").hexdigest()), "The strings agree"),
    ],
)
def test_mistakes_of_sigv4(request_: Request, words: str) -> None:
    """As for the others."""
    assert CloudWatch().answer(v4(), NOW).status == 200

    signing = explained(CloudWatch().answer(request_, NOW))

    assert words in signing.note
    assert CONSOLE_AWS_SECRET_ACCESS_KEY not in "".join(signing)
