"""What PutEvents answered: one outcome per entry; refusals of a whole request. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from eventlog_handlers.errors import (
    MisconfiguredError,
    RefusedError,
    SinkError,
    ThrottledError,
    TooLargeError,
    TransientError,
)
from eventlog_handlers.events import DELIVERED, Disposition, Outcome
from eventlog_handlers.services.http_answers import LONGEST_PAUSE_SECONDS, retry_after
from eventlog_handlers.text.fit import one_line

_T = TypeVar("_T")


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
