"""What CMS's answers mean: the service's code first, the HTTP status second. Pure; the rules are tables.

Who tries again at once, and with what, is the sink's affair; here is only said that it would help.

Sources, read 2026-11-20: the CMS error list
https://help.aliyun.com/en/cms/cloudmonitor-1-0/developer-reference/api-cms-2019-01-01-errorcodes, the
gateway's tables https://help.aliyun.com/document_detail/48054.html and
https://help.aliyun.com/en/document_detail/434846.html, and the official Terraform provider's rules of
success and of what to repeat. PutCustomEvent's own table says that any code can appear.
"""

from __future__ import annotations

import codecs
import enum
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from eventlog_handlers.errors import (
    MisconfiguredError,
    RefusedError,
    ThrottledError,
    TooLargeError,
    TransientError,
)
from eventlog_handlers.events import DELIVERED, Outcome
from eventlog_handlers.services.http_answers import printable, retry_after
from eventlog_handlers.text.lazy_patterns import lazy

LONGEST_PAUSE_SECONDS = 120.0
"""As the official client bounds the service's hints."""

_SUCCESS = frozenset({"200", "OK", "Success", "success", "0"})


class Kind(enum.Enum):
    """What an answer says about a call. The last four are worth one second try with something mended."""

    DELIVERED = enum.auto()
    THROTTLED = enum.auto()
    TRANSIENT = enum.auto()
    TOO_LARGE = enum.auto()
    REFUSED = enum.auto()
    MISCONFIGURED = enum.auto()
    USED_NONCE = enum.auto()
    WRONG_CLOCK = enum.auto()
    BAD_CREDENTIALS = enum.auto()
    UNREAD_BODY = enum.auto()


class Verdict(NamedTuple):
    """What is made of one answer."""

    kind: Kind
    code: str
    """The service's own word, else ``http_<status>``."""
    detail: str
    retry_after: float | None = None
    """Seconds from now, where the service gave a hint."""
    is_ambiguous: bool = False
    """The events may have been stored all the same."""


class _Rule(NamedTuple):
    codes: re.Pattern[str]
    kind: Kind
    advice: str = ""


def _rule(codes: str, kind: Kind, advice: str = "") -> _Rule:
    return _Rule(lazy(codes), kind, advice)


_CODES = (
    # The first that matches the whole code decides.
    _rule(r".*Throttling.*|QPS Limit Exceeded|429", Kind.THROTTLED),
    _rule(r"SignatureNonceUsed", Kind.USED_NONCE),
    _rule(r"InvalidTimeStamp\.Expired", Kind.WRONG_CLOCK, "this machine's clock is off; "),
    _rule(
        r"(Invalid|Missing)(SecurityToken|AccessKeyId|AccessKeySecret)(\..*)?",
        Kind.BAD_CREDENTIALS,
        "the access key or its security token is refused, check which is configured; ",
    ),
    _rule(
        r"SignatureDoesNotMatch|IncompleteSignature",
        Kind.BAD_CREDENTIALS,
        "the access key secret is probably wrong; ",
    ),
    _rule(
        r"Forbidden(\..*)?|NoPermission(\..*)?|AccessForbidden|AccessDenied.*|.*(NotA|Una)uthori[sz]ed.*|403",
        Kind.MISCONFIGURED,
        "allow this user or role the action cms:PutCustomEvent; ",
    ),
    _rule(
        r"ExceedingQuota|.*(Arrear|Overdue|Quota).*",
        Kind.MISCONFIGURED,
        "the account is in arrears or its quota is used up; ",
    ),
    _rule(r"(ServiceUnavailable|Internal|DatabaseError|UnknownError).*|408|5\d\d", Kind.TRANSIENT),
    _rule(r"413", Kind.TOO_LARGE),
    _rule(
        r"NoSuchVersion|InvalidVersion|MissingVersion|InvalidAction.*|MissingAction|InvalidApi\.NotFound"
        r"|InvalidProduct\.NotFound|InvalidProtocol\.NeedSsl|UnsupportedHTTPMethod"
        r"|(Invalid|Missing)Signature.*|(Invalid|Missing)TimeStamp.*|MissingTimestamp|IllegalTimestamp",
        Kind.MISCONFIGURED,
        "the endpoint does not take this call, check endpoint and signature; ",
    ),
    _rule(r"(Missing|Invalid|Illegal).*|ParameterInvalid.*|BadRequest.*", Kind.REFUSED),
    _rule(r"ResourceNotFound.*|4\d\d", Kind.REFUSED, "possibly an unknown group_id; "),
)

_NO_EVENTS = lazy(r"\bEventInfo\b(?![.\[\d]).*\bmandatory\b", re.DOTALL)
"""What is missing is the list of events, not a field of one of them, which would be EventInfo.3.Content."""
_NOT_THE_SERVICE = "this is not the service's answer, check endpoint and proxies; "

_STATUSES: tuple[tuple[range, Kind, Kind, str], ...] = (
    # statuses, with a code of the service that no rule knows, without any code, advice in this case
    (range(200, 300), Kind.TRANSIENT, Kind.TRANSIENT, "the answer proves nothing; "),
    (range(300, 400), Kind.MISCONFIGURED, Kind.MISCONFIGURED, "the endpoint redirects elsewhere; "),
    (range(401, 404), Kind.MISCONFIGURED, Kind.MISCONFIGURED, _NOT_THE_SERVICE),
    (range(407, 408), Kind.MISCONFIGURED, Kind.MISCONFIGURED, "the proxy asks who we are; "),
    (range(408, 409), Kind.TRANSIENT, Kind.TRANSIENT, ""),
    (range(413, 414), Kind.TOO_LARGE, Kind.TOO_LARGE, ""),
    (range(425, 426), Kind.TRANSIENT, Kind.TRANSIENT, ""),
    (range(429, 430), Kind.THROTTLED, Kind.THROTTLED, ""),
    *(
        # Said of method, address, headers or form. 414 too: no event of ours is in the URL.
        (range(status, status + 1), Kind.MISCONFIGURED, Kind.MISCONFIGURED, _NOT_THE_SERVICE)
        for status in (405, 406, 410, 411, 414, 415, 431, 451)
    ),
    (range(400, 500), Kind.REFUSED, Kind.MISCONFIGURED, _NOT_THE_SERVICE),
    *(
        (range(status, status + 1), Kind.TRANSIENT, Kind.MISCONFIGURED, _NOT_THE_SERVICE)
        for status in (501, 505)
    ),
)

_QUOTED_REQUEST = lazy(r"[\s,;:.]*(the )?(server )?string\s?to\s?sign.*", re.DOTALL | re.IGNORECASE)
_QUOTED_HASH = lazy(r"\[ACS3-HMAC-SHA256\s+([0-9a-f]{64})\]")
_TIME_LEFT = lazy(r"TimeLeft:\s*([0-9]+)")


def verdict(
    status: int, headers: Mapping[str, str], body: bytes, *, scheme: str, canonical_sha256: str = ""
) -> Verdict:
    """Judge one answer to a call of *scheme* "v1" or "v3". *headers* have lower-case names.

    *canonical_sha256* is what V3 signed; with it a wrong secret can be told from a request changed on its
    way. What a server quotes of the request, which may hold the token, does not enter ``detail``.
    """
    code, message, request_id = _parts(body)
    if code in _SUCCESS:
        if 200 <= status < 300:
            return Verdict(Kind.DELIVERED, code, "")
        code = ""  # the two contradict each other; only the status is left to go by
    kind, advice = _judged(status, code)
    if scheme == "v3" and _is_without_events(code, message):
        kind, advice = Kind.UNREAD_BODY, 'the service did not read the form body, set signature="v1"; '
    quoted = _QUOTED_HASH.search(message)
    if kind is Kind.BAD_CREDENTIALS and quoted and canonical_sha256 and quoted[1] != canonical_sha256:
        advice = "the request was changed on its way, check proxies; "
    text = printable(
        (_QUOTED_REQUEST.sub("", message) if code else _stripped(body)).encode("utf-8", "replace")
    )
    named = f"{text} (HTTP {status}{f', request {request_id}' if request_id else ''})".strip()
    return Verdict(
        kind,
        code or f"http_{status}",
        f"{advice}{named}",
        _pause(headers, kind),
        is_ambiguous=kind is Kind.USED_NONCE or (kind is Kind.TRANSIENT and status != 503),
    )


def outcomes(judged: Verdict, count: int) -> Sequence[Outcome]:
    """One outcome for each of *count* events, or the SinkError that *judged* stands for."""
    if judged.kind is Kind.DELIVERED:
        return [DELIVERED] * count
    _RAISE[judged.kind](judged)


def decode(
    status: int, headers: Mapping[str, str], body: bytes, count: int, scheme: str = "v1"
) -> Sequence[Outcome]:
    """``outcomes`` of ``verdict``, for an answer after which nothing is mended and tried at once.

    There is no verdict per event: all *count* events are delivered, or a SinkError is raised.
    """
    return outcomes(verdict(status, headers, body, scheme=scheme), count)


def _judged(status: int, code: str) -> tuple[Kind, str]:
    for rule in _CODES:
        if rule.codes.fullmatch(code):
            return rule.kind, rule.advice
    for statuses, with_code, without_code, advice in _STATUSES:
        if status in statuses:
            return (with_code, "") if code else (without_code, advice)
    return Kind.TRANSIENT, ""


def _is_without_events(code: str, message: str) -> bool:
    """Whether the answer says that the request held no events at all."""
    of_a_field = code.startswith("Missing") and code != "MissingParameter"
    return code == "MissingEventInfo" or (not of_a_field and bool(_NO_EVENTS.search(message)))


def _parts(body: bytes) -> tuple[str, str, str]:
    """Code, Message and RequestId of an answer in JSON or XML; "" for what is not there."""
    # Not by the codec utf-8-sig: it would be imported here, and a child forked meanwhile never gets it whole.
    text = body.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace").strip()
    if text.startswith("<"):
        import html

        found = {
            name: html.unescape(match[1].strip())
            for name in ("Code", "Message", "RequestId")
            if (match := re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL))
        }
    else:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = {}
    if not isinstance(found, dict):
        return "", "", ""
    code, message, request_id = (_text(found.get(name)) for name in ("Code", "Message", "RequestId"))
    return (
        printable(code.encode("utf-8", "replace"), 64),
        message,
        printable(request_id.encode(errors="replace"), 64),
    )


def _text(value: Any) -> str:
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""


def _stripped(body: bytes) -> str:
    """What a page says between its tags."""
    return re.sub(r"<[^>]*>", " ", body[:2048].decode("utf-8", "replace"))


def _pause(headers: Mapping[str, str], kind: Kind) -> float | None:
    """The longest wait the answer asks for, in seconds.

    ``x-acs-retry-after`` and the TimeLeft of the rate limit headers count milliseconds, as the official
    client (tea-openapi 0.4.0 and later) reads them; the latter may also come with answers of other kinds.
    """
    if kind not in (Kind.THROTTLED, Kind.TRANSIENT):
        return None
    hints = [retry_after(headers) or 0.0]
    milliseconds = headers.get("x-acs-retry-after", "").strip()
    if milliseconds.isascii() and milliseconds.isdigit() and len(milliseconds) < 16:
        hints.append(int(milliseconds) / 1000)
    if kind is Kind.THROTTLED:
        for name in ("x-ratelimit-user-api", "x-ratelimit-user"):
            left = _TIME_LEFT.search(headers.get(name, ""))
            hints.append(min(float(left[1]) / 1000, LONGEST_PAUSE_SECONDS) if left else 0.0)
    return min(max(hints), LONGEST_PAUSE_SECONDS) or None


def _transient(judged: Verdict) -> NoReturn:
    raise TransientError(
        judged.code, judged.detail, retry_after=judged.retry_after, ambiguous=judged.is_ambiguous
    )


def _throttled(judged: Verdict) -> NoReturn:
    raise ThrottledError(judged.code, judged.detail, retry_after=judged.retry_after)


def _too_large(judged: Verdict) -> NoReturn:
    raise TooLargeError(judged.code, judged.detail)


def _refused(judged: Verdict) -> NoReturn:
    raise RefusedError(judged.code, judged.detail)


def _misconfigured(judged: Verdict) -> NoReturn:
    raise MisconfiguredError(judged.code, judged.detail)


_RAISE: Mapping[Kind, Callable[[Verdict], NoReturn]] = {
    Kind.THROTTLED: _throttled,
    Kind.TRANSIENT: _transient,
    Kind.TOO_LARGE: _too_large,
    Kind.REFUSED: _refused,
    Kind.MISCONFIGURED: _misconfigured,
    # Nonces never repeat, so a second refusal means that the gateway had a copy of the call already.
    Kind.USED_NONCE: _transient,
    Kind.WRONG_CLOCK: _misconfigured,
    Kind.BAD_CREDENTIALS: _misconfigured,
    Kind.UNREAD_BODY: _misconfigured,
}
