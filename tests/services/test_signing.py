"""Both signatures against requests of the official clients and the published examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import acs_signatures as official
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog_handlers.console import acs
from eventlog_handlers.services.cms import signing

VECTORS = {
    path.stem: json.loads(path.read_text("utf-8"))
    for path in (Path(__file__).parents[1] / "support" / "data" / "cms").glob("*.json")
}
V1 = sorted(name for name, vector in VECTORS.items() if vector["signature"] == "RPC-HMAC-SHA1")
V3 = sorted(name for name, vector in VECTORS.items() if vector["signature"] == "ACS3-HMAC-SHA256")


def _pairs(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True)


def _canonical(parameters: list[tuple[str, str]]) -> str:
    pairs = sorted(parameters)
    return "&".join(f"{signing.percent(name)}={signing.percent(value)}" for name, value in pairs)


def _v1_parts(name: str) -> tuple[str, list[tuple[str, str]], str]:
    request = VECTORS[name]["request"]
    parameters = _pairs(request["target"].partition("?")[2]) + _pairs(request["body"])
    return request["method"], parameters, VECTORS[name]["credentials"]["access_key_secret"]


def _v3_parts(name: str) -> dict[str, Any]:
    request = VECTORS[name]["request"]
    path, _, query = request["target"].partition("?")
    return {
        "method": request["method"],
        "path": path,
        "query": _pairs(query),
        "headers": dict(request["headers"]),
        "body": request["body"].encode(),
        "secret": VECTORS[name]["credentials"]["access_key_secret"],
    }


def test_every_vector_belongs_to_one_scheme() -> None:
    """No vector is left untested because its name or its scheme was misspelt."""
    assert len(V1) == 5
    assert len(V3) == 7
    assert len(VECTORS) == 12


@pytest.mark.parametrize("name", V1)
def test_v1_signs_as_the_official_client(name: str) -> None:
    """The signature of each captured request comes out of its parameters."""
    method, parameters, secret = _v1_parts(name)
    expected = dict(parameters)["Signature"]
    unsigned = [pair for pair in parameters if pair[0] != "Signature"]

    assert signing.sign_v1_canonical(method, _canonical(unsigned), secret) == expected


@pytest.mark.parametrize("name", V1)
def test_v1_takes_what_the_official_client_signed(name: str) -> None:
    """The verifier accepts each captured request."""
    assert official.verify_v1(*_v1_parts(name))


@pytest.mark.parametrize("name", V1)
def test_v1_refuses_every_tampered_parameter(name: str) -> None:
    """A value changed, a parameter taken away or added, another method or secret: none of them passes."""
    method, parameters, secret = _v1_parts(name)
    for index, (key, value) in enumerate(parameters):
        others = parameters[:index] + parameters[index + 1 :]

        assert not official.verify_v1(method, [*others, (key, value + "x")], secret), key
        assert not official.verify_v1(method, others, secret), key
    assert not official.verify_v1(method, [*parameters, ("Extra", "1")], secret)
    assert not official.verify_v1(method, [*parameters, ("Signature", dict(parameters)["Signature"])], secret)
    assert not official.verify_v1("PUT", parameters, secret)
    assert not official.verify_v1(method, parameters, secret + "x")


@pytest.mark.parametrize("name", V3)
def test_v3_signs_as_the_official_client(name: str) -> None:
    """The Authorization header of each captured request comes out of its other parts."""
    parts = _v3_parts(name)
    given_header = parts["headers"]["authorization"]
    authorization = acs.parsed(given_header)
    assert authorization is not None
    signed = {header: parts["headers"][header] for header in authorization.names}
    body_sha256 = signing.content_sha256(parts["body"])

    canonical = signing.canonical_sha256_v3(
        parts["method"], parts["path"], parts["query"], signed, body_sha256
    )
    header = signing.authorization_v3(authorization.key_id, parts["secret"], signed, canonical)

    assert header == given_header
    assert body_sha256 == parts["headers"]["x-acs-content-sha256"]


@pytest.mark.parametrize("name", V3)
def test_v3_takes_what_the_official_client_signed(name: str) -> None:
    """The verifier accepts each captured request."""
    assert official.verify_v3(**_v3_parts(name))


@pytest.mark.parametrize("name", V3)
def test_v3_refuses_every_tampered_part(name: str) -> None:
    """Each signed header changed or missing, another body, query, path, method or secret: none passes."""
    parts = _v3_parts(name)
    headers = parts["headers"]
    authorization = acs.parsed(headers["authorization"])
    assert authorization is not None
    tampered = [
        {"method": "PUT"},
        {"path": parts["path"] + "x"},
        {"query": [*parts["query"], ("extra", "1")]},
        {"body": parts["body"] + b"x"},
        {"secret": parts["secret"] + "x"},
        {"headers": {**headers, "x-acs-unsigned": "1"}},
        {"headers": {**headers, "authorization": headers["authorization"][:-1] + "g"}},
        {"headers": {**headers, "authorization": "Bearer x"}},
        {"headers": {key: value for key, value in headers.items() if key != "authorization"}},
    ]
    for signed in authorization.names:
        tampered += [
            {"headers": {**headers, signed: headers[signed] + "x"}},
            {"headers": {key: value for key, value in headers.items() if key != signed}},
        ]

    accepted = [change for change in tampered if official.verify_v3(**{**parts, **change})]

    assert accepted == []


@pytest.mark.parametrize("body", [b"EventInfo.1.Content=x", b""])
def test_v3_refuses_a_content_type_that_is_not_signed(body: bytes) -> None:
    """Whoever could change the type could change what the body means."""
    headers = {"host": "h", "x-acs-content-sha256": signing.content_sha256(body)}
    canonical = signing.canonical_sha256_v3("POST", "/", (), headers, headers["x-acs-content-sha256"])
    headers["authorization"] = signing.authorization_v3("id", "secret", dict(headers), canonical)

    assert official.verify_v3("POST", "/", (), headers, body, "secret")
    assert not official.verify_v3("POST", "/", (), {**headers, "content-type": "text/xml"}, body, "secret")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "ACS3-HMAC-SHA256",
        "ACS3-HMAC-SHA256 Credential=id,SignedHeaders=host,Signature=zz",
        "AWS4-HMAC-SHA256 Credential=id,SignedHeaders=host,Signature=" + "0" * 64,
        "ACS3-HMAC-SHA256 Credential=,SignedHeaders=host,Signature=" + "0" * 64,
    ],
)
def test_what_is_no_v3_authorization_is_told(value: str) -> None:
    """A header of another kind, or half a one, is None rather than an exception."""
    assert acs.parsed(value) is None


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), unique_by=lambda pair: pair[0]))
def test_v1_of_encoded_parameters_equals_v1_of_plain_ones(parameters: list[tuple[str, str]]) -> None:
    """The short way over percent-encoded text signs exactly what the long way signs."""
    parameters = [pair for pair in parameters if pair[0] != "Signature"]

    signature = signing.sign_v1_canonical("POST", _canonical(parameters), "secret")

    assert signature == official.sign_v1("POST", parameters, "secret")
    assert official.verify_v1("POST", [*parameters, ("Signature", signature)], "secret")


@given(st.text())
def test_a_signature_that_is_not_ascii_is_refused_quietly(signature: str) -> None:
    """Whatever stands in the place of a signature, the verifier answers no."""
    assert not official.verify_v1("POST", [("Action", "x"), ("Signature", signature)], "secret")
