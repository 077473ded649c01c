"""Reads CMS's answers: the service's code first, the HTTP status second. Pure; the rules are tables.

Sources, read 2026-11-20: the CMS error list
https://help.aliyun.com/en/cms/cloudmonitor-1-0/developer-reference/api-cms-2019-01-01-errorcodes, the
gateway's tables https://help.aliyun.com/document_detail/48054.html and
https://help.aliyun.com/en/document_detail/434846.html, and the official Terraform provider's rules of
success and of what to repeat. PutCustomEvent's own table says that any code can appear.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from eventlog_handlers.errors import HINT_CEILING_SECONDS
from eventlog_handlers.events import Outcome
from eventlog_handlers.services import verdict as verdicts
from eventlog_handlers.services.http_answers import printable, retry_after
from eventlog_handlers.services.verdict import (
    NO_PROOF_ATTEMPTS,
    Kind,
    Mend,
    Verdict,
    first,
    judged,
    rule,
)
from eventlog_handlers.text import shallow_json
from eventlog_handlers.text.lazy_patterns import lazy

_SUCCESS = frozenset({"200", "ok", "success", "0"})

_ACCOUNT = "the account, its access key or its subscription to the service does not allow this call; "
_SIGNATURE = "the access key secret is probably wrong; "

_CODES = (
    # The first that matches the whole code decides.
    rule(Kind.THROTTLED, "*Throttling* QPS?Limit?Exceeded 429"),
    rule(Kind.TRANSIENT, "SignatureNonceUsed", mend=Mend.NONCE, attempts_allowed=NO_PROOF_ATTEMPTS),
    rule(Kind.MISCONFIGURED, "InvalidTimeStamp.Expired", "this machine's clock is off; ", mend=Mend.CLOCK),
    rule(
        Kind.MISCONFIGURED,
        "InvalidSecurityToken* MissingSecurityToken* InvalidAccessKey* MissingAccessKey* *StsToken* "
        "SecurityTokenExpired* AccessKeyDisabled*",
        "the access key or its security token is refused, check which is configured; ",
        mend=Mend.CREDENTIALS,
    ),
    rule(Kind.MISCONFIGURED, "SignatureDoesNotMatch IncompleteSignature", _SIGNATURE, mend=Mend.CREDENTIALS),
    rule(
        Kind.MISCONFIGURED,
        "401 403 Forbidden* NoPermission* AccessForbidden* AccessDenied* *NotAuthorized* *NotAuthorised* "
        "*Unauthorized* *Unauthorised* ImplicitDeny ExplicitDeny",
        "allow this user or role the action cms:PutCustomEvent; ",
    ),
    rule(
        Kind.MISCONFIGURED,
        "*Quota* *Arrear* *Overdue* *InDebt*",
        "the account is in arrears or its quota is used up; ",
    ),
    rule(
        Kind.MISCONFIGURED,
        "*AccountStatus* *NotOpen* *NotOpened* *NotActivated* *NotEnabled* *NotSubscribed* OperationDenied* "
        "*Suspended* *Frozen* *RealName* *RiskControl*",
        _ACCOUNT,
    ),
    rule(
        Kind.MISCONFIGURED,
        "*RegionId* InvalidRegion* *Endpoint* UnsupportedRegion* RegionNotSupport*",
        "the region is not right for this account or endpoint, check region and endpoint; ",
    ),
    rule(Kind.TRANSIENT, "ServiceUnavailable* Internal* DatabaseError* UnknownError* 408 5??"),
    rule(Kind.TOO_LARGE, "413 RequestEntityTooLarge* *ContentTooLong* *BodyTooLarge*"),
    rule(
        Kind.MISCONFIGURED,
        "NoSuchVersion InvalidVersion MissingVersion InvalidAction* MissingAction InvalidApi.* "
        "InvalidProduct.* InvalidProtocol* UnsupportedHTTPMethod UnsupportedOperation* InvalidSignature* "
        "MissingSignature* InvalidTimeStamp* MissingTimeStamp* IllegalTimestamp*",
        "the endpoint does not take this call, check endpoint and signature; ",
    ),
    rule(
        Kind.REFUSED,
        "Missing* Invalid* Illegal* ParameterInvalid* BadRequest* ResourceNotFound* *Group*NotFound* 4??",
    ),
)
_ABOUT_A_GROUP = (
    rule(Kind.REFUSED, "ResourceNotFound* 404 *Group*"),
    rule(Kind.REFUSED, "*", message=lazy(r"\bGroupId\b")),
)
_GROUP_ADVICE = "the group does not exist or is not this account's, check group_id; "
_CONTRADICTION = rule(
    Kind.TRANSIENT, "", "code and status contradict each other; ", attempts_allowed=NO_PROOF_ATTEMPTS
)
_UNREAD_BODY = rule(
    Kind.MISCONFIGURED, "", 'the service did not read the form body, set signature="v1"; ', mend=Mend.FORM
)

_NO_EVENTS = lazy(r"\bEventInfo\b(?![.\[\d]).*\bmandatory\b", re.DOTALL)
"""The list of events is missing, not a field of one of them, which would be EventInfo.3.Content."""
_QUOTED_REQUEST = lazy(r"[\s,;:.]*(the )?(server )?string\s?to\s?sign.*", re.DOTALL | re.IGNORECASE)
_QUOTED_HASH = lazy(r"\[ACS3-HMAC-SHA256\s+([0-9a-f]{64})\]")
_TIME_LEFT = lazy(r"TimeLeft:\s*([0-9]+)")


class _Parts(NamedTuple):
    """The fields of the service's form in an answer; "" and None for missing ones."""

    code: str = ""
    message: str = ""
    request_id: str = ""
    success: bool | None = None


def verdict(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    scheme: str,
    canonical_sha256: str = "",
    has_own_group: bool = False,
) -> Verdict:
    """Judge one answer to a call of *scheme* "v1" or "v3". *headers* have lower-case names.

    *canonical_sha256* is what V3 signed; with it a wrong secret can be told from a request changed on its
    way. *has_own_group*: some event of the call names a group of its own, so an unknown group may be one
    event's fault; else it is the setting's. What a server quotes of the request, which may hold the token,
    enters neither ``detail`` nor ``code``.
    """
    parts = _parts(body)
    code, message = parts.code, parts.message
    says_success = parts.success if not code else code.lower() in _SUCCESS
    if says_success and 200 <= status < 300 and parts.success is not False:
        return Verdict(Kind.DELIVERED, code)
    if says_success:
        code = ""  # the two contradict each other; only the status is left to go by
    # A bare number may be anybody's; the service's own answers carry the request's id.
    is_the_services = bool(code) and not (code.isdigit() and not parts.request_id)
    row = judged(_CODES, code if is_the_services else "", status, message, is_the_services=is_the_services)
    if says_success and 200 <= status < 300:
        row = _CONTRADICTION
    elif row.kind is Kind.REFUSED and first(_ABOUT_A_GROUP, code, message):
        row = row._replace(kind=Kind.REFUSED if has_own_group else Kind.MISCONFIGURED, advice=_GROUP_ADVICE)
    if scheme == "v3" and _is_without_events(code, message):
        row = _UNREAD_BODY
    quoted = _QUOTED_HASH.search(message)
    if row.mend is Mend.CREDENTIALS and quoted and canonical_sha256 and quoted[1] != canonical_sha256:
        row = row._replace(advice="the request was changed on its way, check proxies; ")
    text = printable(_without_request(message if is_the_services else _stripped(body)))
    named = f"{text} (HTTP {status}{f', request {parts.request_id}' if parts.request_id else ''})".strip()
    made = verdicts.verdict(
        row, code, named, status=status, retry_after=_pause(headers, is_throttled=row.kind is Kind.THROTTLED)
    )
    # Our nonces never repeat, so the gateway had a copy of the call already.
    return made._replace(is_ambiguous=True) if row.mend is Mend.NONCE else made


def decode(
    status: int, headers: Mapping[str, str], body: bytes, count: int, scheme: str = "v1"
) -> Sequence[Outcome]:
    """The outcomes of ``verdict``, for an answer after which nothing is mended and tried at once.

    There is no verdict per event: all *count* events are delivered, or a SinkError is raised.
    """
    return verdict(status, headers, body, scheme=scheme).outcomes(count)


def _is_without_events(code: str, message: str) -> bool:
    """Whether the answer says that the request held no events at all."""
    of_a_field = code.startswith("Missing") and code != "MissingParameter"
    return code == "MissingEventInfo" or (not of_a_field and bool(_NO_EVENTS.search(message)))


def _parts(body: bytes) -> _Parts:
    """The fields of an answer in JSON, whose names may be in any case, or in XML."""
    # Not by the codec utf-8-sig: it would be imported here, and a child forked meanwhile never gets it whole.
    text = body.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace").strip()
    found: Any
    if text.startswith("<"):
        import html

        found = {
            name.lower(): html.unescape(match[1].strip())
            for name in ("Code", "Message", "RequestId", "Success")
            if (match := re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL))
        }
    else:
        try:
            found = shallow_json.loads(text)
        except ValueError:
            return _Parts()
        if not isinstance(found, dict):
            return _Parts()
        found = {name.lower(): value for name, value in found.items()}
    return _Parts(
        printable(_without_request(_text(found.get("code"))), verdicts.CODE_CHARACTERS),
        _text(found.get("message")),
        printable(_text(found.get("requestid")), 64),
        {"true": True, "false": False}.get(str(found.get("success")).lower()),
    )


def _text(value: Any) -> str:
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""


def _without_request(text: str) -> str:
    """*text* up to where it quotes what was to be signed."""
    return _QUOTED_REQUEST.sub("", text)


def _stripped(body: bytes) -> str:
    """The words of a page, without its tags."""
    return re.sub(r"<[^>]*>", " ", body[:2048].decode("utf-8", "replace"))


def _pause(headers: Mapping[str, str], *, is_throttled: bool) -> float | None:
    """The longest wait the answer asks for, in seconds.

    ``x-acs-retry-after`` and the TimeLeft of the rate limit headers count milliseconds, as the official
    client (tea-openapi 0.4.0 and later) reads them; the latter may also come with answers of other kinds.
    """
    hints = [retry_after(headers) or 0.0]
    milliseconds = headers.get("x-acs-retry-after", "").strip()
    if milliseconds.isascii() and milliseconds.isdigit() and len(milliseconds) < 16:
        hints.append(int(milliseconds) / 1000)
    if is_throttled:
        for name in ("x-ratelimit-user-api", "x-ratelimit-user"):
            left = _TIME_LEFT.search(headers.get(name, ""))
            hints.append(min(float(left[1]) / 1000, HINT_CEILING_SECONDS) if left else 0.0)
    return min(max(hints), HINT_CEILING_SECONDS) or None
