"""AWS Signature Version 4 of a request as it arrived, recomputed with botocore's own signer.

The headers that the client signed are signed again, ``x-amz-content-sha256`` among them where it is sent.
Source: "Create a signed AWS API request", docs.aws.amazon.com/IAM/latest/UserGuide (read 2026-11-20).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from http.client import HTTPMessage
from typing import Any, NamedTuple

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from eventlog_handlers.console.exchange import Request

CONTENT_HASH = "x-amz-content-sha256"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +"
    r"Credential=(?P<id>[^/,\s]+)/(?P<date>[0-9]{8})/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)/aws4_request"
    r", *SignedHeaders=(?P<names>[^,\s]+), *Signature=(?P<signature>[0-9a-f]{64})"
)


class Claim(NamedTuple):
    """The parts of an ``Authorization`` header."""

    key_id: str
    date: str
    """Of the scope, ``yyyymmdd``."""
    region: str
    service: str
    names: tuple[str, ...]
    """The signed headers, in lower case."""
    signature: str


class Signed(NamedTuple):
    """The values that a signature is made from."""

    canonical: str
    text: str
    """The string to sign, which holds the hash of *canonical*."""


def parsed(authorization: str) -> Claim | None:
    """Take an ``Authorization`` header apart; None if it isn't one of this scheme."""
    match = _AUTHORIZATION.fullmatch(authorization.strip())
    if match is None:
        return None
    key_id, date, region, service, names, signature = match.groups()
    return Claim(key_id, date, region, service, tuple(names.lower().split(";")), signature)


def required_names(request: Request) -> set[str]:
    """The headers that have to be signed: host, and every ``x-amz-*`` there is."""
    return {"host", *(name for name, _ in request.headers if name.startswith("x-amz-"))}


def body_sha256(request: Request) -> str:
    """The hash that the last line of the canonical request has to hold."""
    return hashlib.sha256(request.body).hexdigest()


def signed(request: Request, claim: Claim, names: Iterable[str], stamp: str, payload: str) -> Signed:
    """What *claim* signs over the headers *names* at *stamp*; *payload* stands for the body's hash."""
    copy, signer = _copy(request, names, stamp), _Signer(Credentials(claim.key_id, ""), claim)
    canonical = f"{signer.canonical_request(copy).rpartition(chr(10))[0]}\n{payload}"
    return Signed(canonical, signer.string_to_sign(copy, canonical))


def signature(text: str, claim: Claim, secret: str, stamp: str) -> str:
    """The signature of the string *text* with *secret*, in hex."""
    signer = _Signer(Credentials(claim.key_id, secret), claim)
    made: str = signer.signature(text, _Moment({"timestamp": stamp}))
    return made


class _Moment(NamedTuple):
    """As much of a request as the last step of signing looks at."""

    context: dict[str, str]


class _Signer(SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """Signs the headers that the request holds, no more and no fewer."""

    def __init__(self, credentials: Credentials, claim: Claim) -> None:
        super().__init__(credentials, claim.service, claim.region)

    def headers_to_sign(self, request: Any) -> HTTPMessage:
        chosen = HTTPMessage()
        for name, value in request.headers.items():
            chosen[name.lower()] = value
        return chosen


def _copy(request: Request, names: Iterable[str], stamp: str) -> AWSRequest:
    wanted = set(names)
    url = f"http://localhost{request.path}" + (f"?{request.query}" if request.query else "")
    copy = AWSRequest(method=request.method, url=url, data=b"")
    for name, value in request.headers:
        if name in wanted:
            copy.headers.add_header(name, value)
    copy.context["timestamp"] = stamp
    return copy
