"""The stand-in of CMS ``PutCustomEvent`` (2019-01-01): both signatures, nonces, clocks, the event list.

Sources: the PutCustomEvent page and its metadata (aliyun/aliyun-openapi-meta), the RPC and V3 signature
pages, doc 60196 for 500 KB and 20 calls a second, the gateway's error tables (docs 48054 and 434846), read
2026-11-20. Where they name no code for a fault of the event list, ``ParameterInvalid`` stands for it.
No HTTP library, no storage.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from eventlog_handlers.console import acs, clues, cms_events
from eventlog_handlers.console.cms_events import InvalidEventsError
from eventlog_handlers.console.exchange import (
    Answer,
    RateWindow,
    Refused,
    Request,
    Signing,
    json_bytes,
    timestamp,
)
from eventlog_handlers.settings.local_console import CONSOLE_ACCESS_KEY_ID, CONSOLE_ACCESS_KEY_SECRET

ACTION, VERSION = "PutCustomEvent", "2019-01-01"
_NONCE_SECONDS = 15 * 60
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_V1_PARAMETERS = (
    "AccessKeyId",
    "Signature",
    "SignatureMethod",
    "SignatureVersion",
    "SignatureNonce",
    "Timestamp",
)
_V3_HEADERS = (
    "x-acs-version",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-content-sha256",
    "authorization",
)


class Credentials(NamedTuple):
    """The secret parts of an access key, by its id."""

    secret: str
    security_token: str | None = None


class _RefusedError(Exception):
    def __init__(
        self, status: int, code: str, message: str, body: Any = None, signing: Signing | None = None
    ) -> None:
        self.refusal = (status, code, message, body, signing)


def _invalid(message: str, body: Any = None, code: str = "ParameterInvalid") -> _RefusedError:
    return _RefusedError(400, code, message, body)


class _Call(NamedTuple):
    """The values of a call that both signature schemes have, in one form."""

    parameters: tuple[tuple[str, str], ...]
    """Query and, where it counts, form; decoded."""
    version: str
    access_key_id: str
    security_token: str | None
    nonce: str
    date: str


@dataclass(kw_only=True)
class CMS:
    """One account in one region. Every field may be changed while it runs."""

    credentials: dict[str, Credentials] = field(
        default_factory=lambda: {CONSOLE_ACCESS_KEY_ID: Credentials(CONSOLE_ACCESS_KEY_SECRET)}
    )
    """By access key id; one taken out is revoked."""
    skew_seconds: float | None = 15 * 60
    """How far the caller's clock may be off; None: the clocks are not compared."""
    calls_per_second: int | None = 20
    max_body_bytes: int = 500_000
    """Of the encoded form; more answers 413."""
    max_url_bytes: int = 16_384
    """More answers 414. The documents name a limit, and not its value."""
    v3_form_body: bool = True
    """Whether a form body is read under the V3 signature, which no document says; else only the query is."""
    _nonces: dict[tuple[str, str], float] = field(default_factory=dict, repr=False)
    _calls: RateWindow = field(default_factory=RateWindow, repr=False)

    def answer(self, request: Request, now: float) -> Answer:
        """Judge one call. A nonce is spent, and the call counted, only where the signature was right."""
        as_json = _wants_json(request)
        try:
            self._fits(request)
            call = self._authenticated(request, now)
            if not self._calls.admit(now, limit=self.calls_per_second, seconds=1.0):
                return self._error(as_json, *_THROTTLED)
            accepted = [cms_events.accepted(event) for event in cms_events.events_of(call.parameters)]
        except (_RefusedError, InvalidEventsError) as error:
            return self._error(as_json, *error.refusal)
        content = {"Code": "200", "Message": "success", "RequestId": _request_id()}
        headers, body = _rendered(as_json, "PutCustomEventResponse", content)
        return Answer(200, headers, body, accepted=tuple(accepted))

    def throttled(self, now: float) -> Answer:
        """The account has called too often."""
        return self._error(True, *_THROTTLED)

    def refusal(self, status: int, code: str, message: str) -> Answer:
        """The gateway's error shape, in JSON."""
        return self._error(True, status, code, message)

    # --- the caller -------------------------------------------------------------------------------------

    def _fits(self, request: Request) -> None:
        if len(request.path) + len(request.query) > self.max_url_bytes:
            raise _RefusedError(414, _HTML, "Request-URI Too Large")
        if len(request.body) >= self.max_body_bytes:
            raise _RefusedError(413, _HTML, "Request Entity Too Large")
        if request.method not in ("GET", "POST"):
            raise _RefusedError(405, "UnsupportedHTTPMethod", "This http method is not supported.")

    def _authenticated(self, request: Request, now: float) -> _Call:
        v3 = any(request.header(name) for name in ("authorization", "x-acs-signature-nonce"))
        call = _v3(request, self.v3_form_body) if v3 else _v1(request)
        if call.version != VERSION:
            raise _invalid("Specified parameter Version is not valid.", code="NoSuchVersion")
        self._check_clock(call.date, now)
        known = self.credentials.get(call.access_key_id)
        if known is None:
            raise _RefusedError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        if known.security_token is not None and call.security_token is None:
            raise _invalid("SecurityToken is mandatory for this action.", code="MissingSecurityToken")
        if known.security_token != call.security_token:
            message = "Specified SecurityToken is not matched with the access key."
            raise _invalid(message, code="InvalidSecurityToken.MismatchWithAccessKey")
        (_verify_v3 if v3 else _verify_v1)(request, call, known.secret)
        self._spend_nonce(call, now)
        return call

    def _check_clock(self, date: str, now: float) -> None:
        sent = timestamp(date, "%Y-%m-%dT%H:%M:%S%z") if date.endswith("Z") else None
        if sent is None:
            message = "Specified time stamp or date value is not well formatted."
            raise _invalid(message, code="InvalidTimeStamp.Format")
        if self.skew_seconds is not None and abs(now - sent) > self.skew_seconds:
            message = "Specified time stamp or date value is expired."
            raise _invalid(message, code="InvalidTimeStamp.Expired")

    def _spend_nonce(self, call: _Call, now: float) -> None:
        self._nonces = {key: until for key, until in self._nonces.items() if until > now}
        if (call.access_key_id, call.nonce) in self._nonces:
            raise _invalid("Specified signature nonce was used already.", code="SignatureNonceUsed")
        self._nonces[call.access_key_id, call.nonce] = now + _NONCE_SECONDS

    def _error(
        self,
        as_json: bool,
        status: int,
        code: str,
        message: str,
        body: Any = None,
        signing: Signing | None = None,
    ) -> Answer:
        if code == _HTML:  # a proxy in front of the gateway answers, in its own way
            page = f"<html><head><title>{status} {message}</title></head><body>{message}</body></html>"
            code, headers, content = str(status), {"content-type": "text/html"}, page.encode()
        else:
            headers, content = _rendered(
                as_json,
                "Error",
                {
                    "RequestId": _request_id(),
                    "HostId": "metrics.cn-hangzhou.aliyuncs.com",
                    "Code": code,
                    "Message": message,
                    "Recommend": f"https://api.aliyun.com/troubleshoot?q={code}&product=Cms",
                },
            )
        return Answer(status, headers, content, refused=(Refused(code, message, body, signing),))


_HTML = "html"
_MISMATCH = "SignatureDoesNotMatch"
_THROTTLED = (400, "Throttling.User", "Request was denied due to user flow control.")


def is_call(request: Request) -> bool:
    """Whether *request* speaks this protocol at all, in either signature's way."""
    if request.path != "/" or request.header("x-amz-target") is not None:
        return False
    return (
        request.header("x-acs-action") is not None
        or any(name == "Action" for name, _ in query_of(request))
        or any(name == "Action" for name, _ in form_of(request))
    )


def _v1(request: Request) -> _Call:
    pairs = (*query_of(request), *form_of(request))
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise _invalid("A parameter is given twice.", code="InvalidParameter")
    if parameters.get("Action") != ACTION:
        raise _RefusedError(404, "InvalidAction.NotFound", "Specified api is not found.")
    for name in ("Version", *_V1_PARAMETERS):
        if not parameters.get(name):
            raise _invalid(f"{name} is mandatory for this action.", code=f"Missing{name}")
    if (parameters["SignatureMethod"], parameters["SignatureVersion"]) != ("HMAC-SHA1", "1.0"):
        raise _invalid("Specified signature method is not valid.", code="InvalidSignatureMethod")
    return _Call(
        parameters=pairs,
        version=parameters["Version"],
        access_key_id=parameters["AccessKeyId"],
        security_token=parameters.get("SecurityToken"),
        nonce=parameters["SignatureNonce"],
        date=parameters["Timestamp"],
    )


def _v3(request: Request, form_counts: bool) -> _Call:
    if request.header("x-acs-action") != ACTION:
        raise _RefusedError(404, "InvalidAction.NotFound", "Specified api is not found.")
    for name in _V3_HEADERS:
        if not request.header(name):
            raise _invalid(f"{name} is mandatory for this action.", code=f"Missing{_pascal(name)}")
    authorization = acs.parsed(request.header("authorization") or "")
    if authorization is None:
        raise _invalid("The Authorization header does not conform to ACS3.", code="IncompleteSignature")
    form = form_of(request) if form_counts else ()
    return _Call(
        parameters=(*query_of(request), *form),
        version=request.header("x-acs-version") or "",
        access_key_id=authorization.key_id,
        security_token=request.header("x-acs-security-token"),
        nonce=request.header("x-acs-signature-nonce") or "",
        date=request.header("x-acs-date") or "",
    )


def _verify_v1(request: Request, call: _Call, secret: str) -> None:
    ours = acs.text_v1(request.method, call.parameters)
    given = dict(call.parameters)["Signature"]
    if acs.same(given, acs.signature_v1(ours, secret)):
        return
    raise _RefusedError(
        400,
        _MISMATCH,
        # The official Python SDK takes the string from behind the only colon.
        f"Specified signature is not matched with our calculation. server string to sign is:{ours}",
        signing=clues.signing_v1(request, query_of(request), form_of(request), secret, given),
    )


def _verify_v3(request: Request, call: _Call, secret: str) -> None:
    claim = acs.parsed(request.header("authorization") or "")
    names = claim.names if claim else ()
    required, present = acs.required_names(request), {name for name, _ in request.headers}
    query, payload = query_of(request), acs.body_sha256(request)
    ours = acs.canonical_v3(request, query, names, payload)
    declared = request.header(acs.CONTENT_HASH) or ""
    if (
        claim is not None
        and required | {acs.CONTENT_HASH} <= set(names) <= present
        and acs.same(declared, payload)
        and acs.same(claim.signature, acs.signature_v3(acs.text_v3(ours), secret))
    ):
        return
    text = acs.text_v3(ours).replace("\n", " ")
    raise _RefusedError(
        400,
        _MISMATCH,
        f"Specified signature is not matched with our calculation. server StringToSign is [{text}]",
        signing=clues.signing_v3(request, query, claim, secret) if claim else None,
    )


def query_of(request: Request) -> tuple[tuple[str, str], ...]:
    """The parameters in the address, decoded."""
    return _pairs(request.query)


def form_of(request: Request) -> tuple[tuple[str, str], ...]:
    """The parameters in a form body, decoded; () for any other body."""
    media_type = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        return ()
    return _pairs(request.body.decode("latin-1"))


def _pairs(encoded: str) -> tuple[tuple[str, str], ...]:
    """Decoded pairs; bytes that are not UTF-8 become U+FFFD, and so fail the signature."""
    return tuple(parse_qsl(encoded, keep_blank_values=True, errors="replace"))


# --- shapes ----------------------------------------------------------------------------------------------


def _wants_json(request: Request) -> bool:
    """V1 says so by Format, V3 by Accept; both mean XML where nothing is said."""
    wanted = dict((*query_of(request), *form_of(request))).get("Format") or request.header("accept") or ""
    return "json" in wanted.lower()


def _rendered(as_json: bool, root: str, content: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
    if as_json:
        return {"content-type": "application/json;charset=utf-8"}, json_bytes(content)
    children = "".join(f"<{name}>{_xml_text(value)}</{name}>" for name, value in content.items())
    text = f'<?xml version="1.0" encoding="UTF-8"?><{root}>{children}</{root}>'
    return {"content-type": "text/xml;charset=utf-8"}, text.encode()


def _xml_text(text: str) -> str:
    """*text* escaped, with U+FFFD for characters that no XML document may hold."""
    return escape(_NOT_IN_XML.sub("\ufffd", text))


def _request_id() -> str:
    return str(uuid.uuid4()).upper()


def _pascal(header: str) -> str:
    return "".join(part.capitalize() for part in header.removeprefix("x-acs-").split("-"))
