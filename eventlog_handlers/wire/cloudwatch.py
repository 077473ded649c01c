"""An event as an entry of ``PutEvents`` (CloudWatch Events, EventBridge); the service's answers as verdicts.

Here: the entry, its size by the service's count, the tables of error codes. Not here: ``Detail``'s content
(``cloudwatch_detail.py``), boto3, its exceptions, credentials (``sinks/cloudwatch.py``). Pure.

Sources, read 2026-11-20: PutEventsRequestEntry and PutEventsResultEntry
(docs.aws.amazon.com/AmazonCloudWatchEvents/latest/APIReference), CalculatePutEventsEntrySize
(docs.aws.amazon.com/AmazonCloudWatch/latest/events), the service model in botocore 1.44.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from eventlog_handlers.errors import (
    MisconfiguredError,
    RefusedError,
    SinkError,
    ThrottledError,
    TooLargeError,
    TransientError,
)
from eventlog_handlers.events import DELIVERED, Disposition, Event, Outcome, Payload
from eventlog_handlers.wire import cloudwatch_detail
from eventlog_handlers.wire.answers import LONGEST_PAUSE_SECONDS, retry_after
from eventlog_handlers.wire.template import expand
from eventlog_handlers.wire.text import one_line, utf8_size

_T = TypeVar("_T")

MAX_ENTRIES = 10
_MAX_SOURCE = 256
_MAX_DETAIL_TYPE = 128
_MAX_RESOURCE = 2048
_TIME_BYTES = 14  # what the size formula takes for Time, however it is written


# --- an event's entry -------------------------------------------------------------------------------------


def encode(
    event: Event,
    *,
    source: str,
    detail_type: str | None,
    resources: Sequence[str],
    event_bus_name: str | None,
    max_bytes: int,
) -> Payload:
    """Make *event* an entry: ``Payload.body`` is the dict boto3 takes, ``Payload.size`` the bytes AWS counts.

    *source* and *detail_type* are templates; the event's own detail type and resources go before the given
    ones. The entry takes at most *max_bytes*: the longest texts in ``Detail`` are cut first, with a mark
    where something is missing and ``"truncated": true``; a traceback keeps its head and its tail. Under about
    1 KiB only the keys an event can't do without are kept, and under about 400 bytes nothing fits: the
    smallest form is returned, larger than asked.
    """
    moment = cloudwatch_detail.utc(event.time)
    defects = list(event.defects)
    share = max_bytes // 8  # for each of the three beside Detail, so that at any cap most of it is Detail's
    source_text = _source(expand(source, event)[: 2 * _MAX_SOURCE], share)
    detail_type_text = _detail_type(event, detail_type, share)
    kept = _resources(resources if event.resources is None else event.resources, share, defects)
    around = _TIME_BYTES + utf8_size(source_text) + utf8_size(detail_type_text) + sum(map(utf8_size, kept))
    text = cloudwatch_detail.make(event, moment, defects)
    size = utf8_size(text)
    if around + size > max_bytes:
        text = cloudwatch_detail.shortened(text, max_bytes - around)
        size = utf8_size(text)
    entry: dict[str, Any] = {
        "Time": moment,  # an aware datetime costs boto3 half of what a string does
        "Source": source_text,
        "DetailType": detail_type_text,
        "Detail": text,
    }
    if kept:
        entry["Resources"] = kept
    if event_bus_name is not None:
        entry["EventBusName"] = event_bus_name
    return Payload(event, entry, around + size)


def entry_size(entry: Mapping[str, Any]) -> int:
    """Bytes *entry* adds to a request: 14 for Time, the UTF-8 of Source, DetailType, Detail and Resources.

    Bus name and JSON punctuation don't count. Source: "Calculating PutEvents event entry size".
    """
    texts = [entry.get(name) or "" for name in ("Source", "DetailType", "Detail")]
    texts += entry.get("Resources") or ()
    return (_TIME_BYTES if entry.get("Time") is not None else 0) + sum(map(utf8_size, texts))


@lru_cache(maxsize=256)
def _source(text: str, most_bytes: int) -> str:
    """1 to 256 characters, never starting with ``aws.`` in whatever case: those are AWS's own sources."""
    text = _name(text) or "app"
    if text.lower().startswith("aws."):
        text = f"app.{text}"
    return _limited(text, _MAX_SOURCE, most_bytes)


def _detail_type(event: Event, template: str | None, most_bytes: int) -> str:
    text = event.detail_type or (expand(template, event) if template else "")
    otherwise = "Log Exception" if event.exception else "Log Record"
    return _limited_type(text[: 2 * _MAX_DETAIL_TYPE], otherwise, most_bytes)


@lru_cache(maxsize=256)
def _limited_type(text: str, otherwise: str, most_bytes: int) -> str:
    return _limited(_name(text) or otherwise, _MAX_DETAIL_TYPE, most_bytes)


def _resources(resources: Iterable[str], most_bytes: int, defects: list[str]) -> list[str]:
    """What can be sent. Half an ARN names nothing: what is too long is left out and noted in *defects*."""
    kept: list[str] = []
    for resource in map(_name, resources):
        if not 0 < len(resource) <= _MAX_RESOURCE:
            defects.append(
                f"resource left out: it has {len(resource)} characters, 1 to {_MAX_RESOURCE} are taken"
            )
        elif utf8_size(resource) > most_bytes:
            defects.append(f"resource left out, there was no room for it: {resource[:100]}")
        else:
            most_bytes -= utf8_size(resource)
            kept.append(resource)
    return kept


def _name(text: str) -> str:
    return one_line(cloudwatch_detail.sendable(text)).strip()


def _limited(text: str, most_characters: int, most_bytes: int) -> str:
    """*text*, or as much of its head as leaves room for "…"."""
    if len(text) > most_characters:
        text = f"{text[: most_characters - 1]}…"
    if utf8_size(text) <= most_bytes:
        return text
    return text.encode("utf-8")[: max(most_bytes - 3, 1)].decode("utf-8", "ignore") + "…"


# --- the answer -------------------------------------------------------------------------------------------

_FEW_ATTEMPTS = 3  # in all, for verdicts of the service that prove nothing
_NO_PROOF_ATTEMPTS = 10  # what answers 200 without a list of entries is rarely the service
_BRIEF = 200  # characters of the service's message


def _each(codes: str, verdict: _T) -> dict[str, _T]:
    return dict.fromkeys(codes.split(), verdict)


_ENTRY_VERDICTS: Mapping[str, Outcome] = {
    # PutEventsResultEntry, "ErrorCode"; what isn't here is tried again, but not for ever.
    **_each(
        "ThrottlingException Throttling TooManyRequestsException LimitExceededException",
        Outcome(Disposition.RETRY, throttled=True),
    ),
    **_each(
        "InternalFailure InternalException ServiceUnavailable ServiceUnavailableException",
        Outcome(Disposition.RETRY),
    ),
    **_each("InvalidArgument MalformedDetail RedactionFailure", Outcome(Disposition.REJECTED)),
    # The cause of these is configuration, but only this entry's source, type or bus is meant.
    **_each(
        "NotAuthorizedForSourceException NotAuthorizedForDetailTypeException AccessDeniedException "
        "InvalidAccountIdException",
        Outcome(Disposition.REJECTED),
    ),
}
_UNKNOWN_VERDICT = Outcome(Disposition.RETRY, attempts_allowed=_FEW_ATTEMPTS)


def decode(response: Mapping[str, Any], count: int) -> list[Outcome]:
    """What boto3 returned for a request of *count* entries: one outcome per entry, in request order.

    Only an ``EventId`` proves delivery; ``FailedEntryCount`` is not looked at, for boto3 turns a 200 with
    garbage into a dict without it. Raises TransientError if the answers aren't as many as the entries: then
    nobody can say which is whose. Source: PutEvents, "natural ordering" of the entries.
    """
    entries = response.get("Entries")
    if not isinstance(entries, list):
        raise unreadable(f"no answers to {count} entries")
    if len(entries) != count:
        raise unreadable(f"{len(entries)} answers to {count} entries", attempts_allowed=_FEW_ATTEMPTS)
    hint = hinted_delay(response_headers(response))
    return [_entry_outcome(entry if isinstance(entry, Mapping) else {}, hint) for entry in entries]


def unreadable(detail: str, *, attempts_allowed: int = _NO_PROOF_ATTEMPTS) -> TransientError:
    """For a 200 that doesn't say what became of the entries: they go again, but not for ever."""
    return TransientError(
        "unreadable",
        f"{detail}; perhaps a proxy answers in AWS's place",
        ambiguous=True,
        attempts_allowed=attempts_allowed,
    )


def _entry_outcome(entry: Mapping[str, Any], hint: float | None) -> Outcome:
    code = _brief(str(entry.get("ErrorCode") or ""))
    if not code and entry.get("EventId"):
        return DELIVERED
    verdict = _ENTRY_VERDICTS.get(code, _UNKNOWN_VERDICT)
    return verdict._replace(
        code=code or "unproven",
        detail=_brief(str(entry.get("ErrorMessage") or "")),
        retry_after=hint if verdict.disposition is Disposition.RETRY else None,
    )


_REQUEST_VERDICTS: Mapping[str, type[SinkError]] = {
    # The common errors of the PutEvents reference, botocore's lists of throttling and transient codes, and
    # the per-entry codes, which are about the data wherever they come from. What isn't here: try again.
    **_each(
        "ThrottlingException Throttling ThrottledException RequestThrottled RequestThrottledException "
        "TooManyRequestsException RequestLimitExceeded BandwidthLimitExceeded LimitExceededException "
        "ProvisionedThroughputExceededException PriorRequestNotComplete EC2ThrottledException SlowDown",
        ThrottledError,
    ),
    **_each(
        "InternalException InternalFailure InternalError InternalServerError InternalServerException "
        "ServiceUnavailable ServiceUnavailableException RequestTimeout RequestTimeoutException "
        "TransactionInProgressException",
        TransientError,
    ),
    **_each("RequestEntityTooLargeException RequestTooLargeException RequestTooLarge", TooLargeError),
    **_each(
        "ValidationException ValidationError SerializationException InvalidParameterValue "
        "InvalidParameterCombination MissingParameter InvalidArgument MalformedDetail RedactionFailure "
        "NotAuthorizedForSourceException NotAuthorizedForDetailTypeException InvalidAccountIdException",
        RefusedError,
    ),
    **_each(
        "AccessDeniedException AccessDenied UnauthorizedOperation NotAuthorized OptInRequired "
        "OperationDisabledException ResourceNotFoundException UnknownOperationException InvalidAction "
        "UnrecognizedClientException InvalidClientTokenId InvalidToken AuthFailure IncompleteSignature "
        "IncompleteSignatureException InvalidSignature InvalidSignatureException SignatureDoesNotMatch "
        "MissingAuthenticationToken MissingAuthenticationTokenException ExpiredToken ExpiredTokenException "
        "RequestExpired RequestTimeTooSkewed RequestInTheFuture",
        MisconfiguredError,
    ),
}
_STATUS_VERDICTS: Mapping[int, type[SinkError]] = {
    # said of address, way, headers or form; 4xx beyond these without a known code are tried again
    **dict.fromkeys(
        (*range(300, 400), *range(401, 408), 410, 411, 414, 415, 431, 451, 501, 505), MisconfiguredError
    ),
    413: TooLargeError,
    429: ThrottledError,
}
_OVER_THE_LIMIT = re.compile(r"size of the entries.*over the limit", re.IGNORECASE)

_CLOCK = re.compile(r"signature (expired|not yet current)|request has expired", re.IGNORECASE)
_CLOCK_REMEDY = "AWS finds the request's time wrong: set this machine's clock"
_REMEDIES: Mapping[str, str] = {
    **_each("RequestExpired RequestTimeTooSkewed RequestInTheFuture", _CLOCK_REMEDY),
    **_each(
        "AccessDeniedException AccessDenied UnauthorizedOperation NotAuthorized",
        "allow this identity events:PutEvents on the bus",
    ),
    **_each(
        "UnrecognizedClientException InvalidClientTokenId InvalidToken AuthFailure",
        "AWS does not know the access key: check the credentials, and that they are of this partition",
    ),
    **_each(
        "InvalidSignature InvalidSignatureException SignatureDoesNotMatch",
        "the signature does not match: check the secret access key, and whether a proxy changes the request",
    ),
    **_each(
        "IncompleteSignature IncompleteSignatureException MissingAuthenticationToken "
        "MissingAuthenticationTokenException",
        "the request arrived without its signature: check whether a proxy changes it",
    ),
    **_each("ExpiredToken ExpiredTokenException", "the session token has expired: renew the credentials"),
    **_each("401 403", "check the credentials, and whether a proxy answers in AWS's place"),
    "407": "the proxy wants a user and a password",
    "OptInRequired": "the account is not signed up for the service in this region",
    "OperationDisabledException": "the operation is disabled for this account or region",
    "ResourceNotFoundException": "check event_bus_name and region_name",
}
_OTHER_REMEDY = "what answers does not speak as the service does: check endpoint_url, region_name and proxies"
_QUOTABLE = frozenset(["AccessDeniedException", "AccessDenied", "ResourceNotFoundException"])
"""Codes whose message may be shown. About signatures AWS quotes the request's headers, the token too."""


def classify_error(code: str, status: int, message: str, headers: Mapping[str, str]) -> SinkError:
    """What the failure of a whole request means: *code* decides, then *status* (0: unknown), else try again.

    *code* is the service's, or the HTTP status in digits where the answer held none, as botocore has it;
    *headers* have lower-case names. Which event of a refused request is at fault is the caller's to find out.
    """
    hint = hinted_delay(headers)
    if code.isdigit():
        status, code = int(code), f"http_{code}"
    kind = _REQUEST_VERDICTS.get(code) or _STATUS_VERDICTS.get(status, TransientError)
    if kind is RefusedError and _OVER_THE_LIMIT.search(message):
        kind = TooLargeError
    if kind is MisconfiguredError:
        return MisconfiguredError(_brief(code), _remedy(code, status, message), retry_after=hint)
    if kind is TransientError:
        # 503 is said before anything is done; with the others nobody knows how far it got
        ambiguous = status >= 500 and status != 503
        return TransientError(_brief(code), _brief(message), retry_after=hint, ambiguous=ambiguous)
    return kind(_brief(code), _brief(message), retry_after=hint)


def _remedy(code: str, status: int, message: str) -> str:
    if _CLOCK.search(message):
        return _CLOCK_REMEDY
    remedy = _REMEDIES.get(code) or _REMEDIES.get(str(status), _OTHER_REMEDY)
    return f"{remedy} ({_brief(message)})" if message and code in _QUOTABLE else remedy


def hinted_delay(headers: Mapping[str, str]) -> float | None:
    """The service's wish in seconds, 0 to 300: ``x-amz-retry-after`` (milliseconds), else ``Retry-After``."""
    milliseconds = headers.get("x-amz-retry-after", "").strip()
    if milliseconds.isascii() and milliseconds.isdigit():
        return min(int(milliseconds[:9]) / 1000, LONGEST_PAUSE_SECONDS)
    return retry_after(headers)


def response_headers(response: Mapping[str, Any]) -> Mapping[str, str]:
    """The HTTP headers, names in lower case, boto3 keeps in an answer or in a ClientError's ``response``."""
    metadata = response.get("ResponseMetadata")
    headers = metadata.get("HTTPHeaders") if isinstance(metadata, Mapping) else None
    return headers if isinstance(headers, Mapping) else {}


def _brief(text: str) -> str:
    text = one_line(text[: _BRIEF + 1])
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}…"
