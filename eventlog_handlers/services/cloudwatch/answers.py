"""Reads the answers of PutEvents: one outcome per entry; refusals of a request. Pure; the rules are tables.

Sources, read 2026-11-20: the PutEvents reference with its common errors, PutEventsResultEntry ("ErrorCode"),
and botocore's lists of throttling and transient codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from eventlog_handlers.errors import HINT_CEILING_SECONDS, TransientError
from eventlog_handlers.events import Outcome
from eventlog_handlers.services import verdict as verdicts
from eventlog_handlers.services.http_answers import printable, retry_after
from eventlog_handlers.services.verdict import (
    FEW_ATTEMPTS,
    NO_PROOF_ATTEMPTS,
    Kind,
    Mend,
    Verdict,
    judged,
    rule,
)
from eventlog_handlers.text import shallow_json
from eventlog_handlers.text.lazy_patterns import lazy

_CHECK_PERMISSION = "allow this identity events:PutEvents on the bus; "
_CHECK_KEY = "AWS does not know the access key: check the credentials, and that they are of this partition; "
_CHECK_SIGNATURE = (
    "the signature does not match: check the secret access key, and whether a proxy changes the request; "
)
_CHECK_PROXIES = "the request arrived without its signature: check whether a proxy changes it; "
_SET_CLOCK = "AWS finds the request's time wrong: set this machine's clock; "
_RENEW_CREDENTIALS = "the session token has expired: renew the credentials; "
_CHECK_BUS = "check event_bus_name and region_name; "

_OVER_THE_LIMIT = lazy(r"size of the entries.*over the limit", re.IGNORECASE)
_WRONG_TIME = lazy(r"signature (expired|not yet current)|request has expired", re.IGNORECASE)
_NAMES_THE_BUS = lazy(r"member\.eventBusName'|^Parameter EventBusName|^Event ?bus", re.IGNORECASE)
"""The bus is a setting, so a refused name of one is no event's fault."""

_CODES = (
    # The first that matches the whole code, and the message where a rule asks for that, decides.
    rule(
        Kind.THROTTLED,
        "*Throttl* TooManyRequestsException RequestLimitExceeded BandwidthLimitExceeded "
        "LimitExceededException ProvisionedThroughputExceededException PriorRequestNotComplete SlowDown",
    ),
    rule(
        Kind.TRANSIENT,
        "InternalException InternalFailure InternalError InternalServerError InternalServerException "
        "ServiceUnavailable ServiceUnavailableException RequestTimeout RequestTimeoutException "
        "TransactionInProgressException",
    ),
    rule(Kind.TOO_LARGE, "RequestEntityTooLargeException RequestTooLargeException RequestTooLarge"),
    rule(Kind.TOO_LARGE, "ValidationException ValidationError", message=_OVER_THE_LIMIT),
    rule(
        Kind.MISCONFIGURED,
        "ValidationException ValidationError InvalidArgument InvalidParameterValue",
        "the service refuses the name of the bus, check event_bus_name; ",
        message=_NAMES_THE_BUS,
    ),
    rule(
        Kind.REFUSED,
        "ValidationException ValidationError SerializationException InvalidParameterValue "
        "InvalidParameterCombination MissingParameter InvalidArgument MalformedDetail RedactionFailure "
        "NotAuthorizedForSourceException NotAuthorizedForDetailTypeException",
    ),
    rule(Kind.MISCONFIGURED, "AccessDenied* UnauthorizedOperation NotAuthorized", _CHECK_PERMISSION),
    rule(Kind.MISCONFIGURED, "ResourceNotFoundException", _CHECK_BUS),
    rule(
        Kind.MISCONFIGURED,
        "InvalidAccountIdException",
        "the bus's ARN names no account, check event_bus_name; ",
    ),
    rule(
        Kind.MISCONFIGURED, "OptInRequired", "the account is not signed up for the service in this region; "
    ),
    rule(
        Kind.MISCONFIGURED,
        "OperationDisabledException",
        "the operation is disabled for this account or region; ",
    ),
    rule(
        Kind.MISCONFIGURED,
        "RequestExpired RequestTimeTooSkewed RequestInTheFuture",
        _SET_CLOCK,
        mend=Mend.CLOCK,
    ),
    rule(Kind.MISCONFIGURED, "*Signature*", _SET_CLOCK, mend=Mend.CLOCK, message=_WRONG_TIME),
    rule(Kind.MISCONFIGURED, "ExpiredToken ExpiredTokenException", _RENEW_CREDENTIALS, mend=Mend.CREDENTIALS),
    rule(
        Kind.MISCONFIGURED,
        "UnrecognizedClientException InvalidClientTokenId InvalidToken AuthFailure InvalidAccessKeyId",
        _CHECK_KEY,
    ),
    rule(Kind.MISCONFIGURED, "InvalidSignature* SignatureDoesNotMatch", _CHECK_SIGNATURE),
    rule(Kind.MISCONFIGURED, "IncompleteSignature* MissingAuthenticationToken*", _CHECK_PROXIES),
    rule(
        Kind.MISCONFIGURED,
        "UnknownOperationException InvalidAction",
        "what answers does not speak as the service does: check endpoint_url, region_name and proxies; ",
    ),
)
_NO_CODE = "unproven"
_UNPROVEN = rule(Kind.TRANSIENT, "*", attempts_allowed=FEW_ATTEMPTS)

_QUOTABLE = ("AccessDenied", "ResourceNotFound", "InvalidAccountId", "OptInRequired", "OperationDisabled")
"""Beginnings of codes whose message may be shown although a setting is wrong. About signatures AWS quotes the
request's headers, the token too."""


def outcomes(
    response: Mapping[str, Any],
    count: int,
    headers: Mapping[str, str],
    admit: Callable[[Verdict], Verdict] = lambda verdict: verdict,
) -> list[Outcome]:
    """One outcome per entry of a request of *count* entries, in request order, from the service's 200.

    *response* is the answer's object, *headers* have lower-case names; *admit* sees each verdict first. Only
    an ``EventId`` proves delivery; ``FailedEntryCount`` is not read. Raises TransientError if the answers
    aren't as many as the entries, for then it is not known which is whose, and MisconfiguredError where no
    entry was taken and one was refused for a setting: the bus and the permission are the same for all. Where
    all have codes that no rule knows, that is the service's trouble, and TransientError is raised.
    Source: PutEvents, "natural ordering" of the entries.
    """
    entries = response.get("Entries")
    if not isinstance(entries, list):
        raise unreadable(f"no answers to {count} entries")
    if len(entries) != count:
        raise unreadable(f"{len(entries)} answers to {count} entries", attempts_allowed=FEW_ATTEMPTS)
    hint = hinted_delay(headers)
    judgements = [admit(_of_entry(entry if isinstance(entry, Mapping) else {}, hint)) for entry in entries]
    if not any(verdict.kind is Kind.DELIVERED for verdict in judgements):
        for verdict in judgements:
            if verdict.kind is Kind.MISCONFIGURED:
                raise verdict.error()
        if all(verdict.attempts_allowed and verdict.code != _NO_CODE for verdict in judgements):
            raise judgements[0]._replace(attempts_allowed=None).error()
    return [verdict.outcome() for verdict in judgements]


def unreadable(detail: str, *, attempts_allowed: int = NO_PROOF_ATTEMPTS) -> TransientError:
    """For a 200 that doesn't say what became of the entries: they go again, but not for ever."""
    return TransientError(
        "unreadable",
        f"{detail}; perhaps a proxy answers in AWS's place",
        ambiguous=True,
        attempts_allowed=attempts_allowed,
    )


def _of_entry(entry: Mapping[str, Any], hint: float | None) -> Verdict:
    """An entry's verdict; a code that no rule knows is tried again, but not for ever."""
    code = str(entry.get("ErrorCode") or "")
    if not code and entry.get("EventId"):
        return Verdict(Kind.DELIVERED, "")
    message = str(entry.get("ErrorMessage") or "")
    row = verdicts.first(_CODES, code, message) or _UNPROVEN
    detail = _detail(row, code, message)
    return verdicts.verdict(row, code or _NO_CODE, detail, status=400, retry_after=hint)


def verdict(code: str, status: int, message: str, headers: Mapping[str, str]) -> Verdict:
    """The error for a whole request that failed: *code* decides, then *status* (0: unknown).

    *code* is the service's, or the HTTP status in digits where the answer held none, as botocore has it;
    *headers* have lower-case names. Which event of a refused request is at fault is the caller's to find out.
    """
    if code.isascii() and code.isdigit() and len(code) <= 3:
        status, code = int(code), ""
    row = judged(_CODES, code, status, message, is_the_services=bool(code))
    return verdicts.verdict(
        row, code, _detail(row, code, message), status=status, retry_after=hinted_delay(headers)
    )


def of_answer(status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
    """``verdict`` of an answer that is no 2xx, as it came. *headers* have lower-case names."""
    fields = parsed(body)
    code = str(headers.get("x-amzn-errortype") or fields.get("__type") or fields.get("code") or "")
    code = code.partition(":")[0].rpartition("#")[2]
    message = str(fields.get("message") or fields.get("Message") or "")
    return verdict(code or str(status), status, message, headers)


def parsed(body: bytes) -> Mapping[str, Any]:
    """The object in an answer; {} for anything else."""
    try:
        answer = shallow_json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _detail(row: verdicts.Rule, code: str, message: str) -> str:
    is_shown = (
        row.kind is not Kind.MISCONFIGURED or code.startswith(_QUOTABLE) or row.message is _NAMES_THE_BUS
    )
    return printable(message) if is_shown else ""


def hinted_delay(headers: Mapping[str, str]) -> float | None:
    """The service's wish in seconds: ``x-amz-retry-after`` (milliseconds), else ``Retry-After``."""
    milliseconds = headers.get("x-amz-retry-after", "").strip()
    if milliseconds.isascii() and milliseconds.isdigit():
        return min(int(milliseconds[:9]) / 1000, HINT_CEILING_SECONDS)
    return retry_after(headers)


def response_headers(response: Mapping[str, Any]) -> Mapping[str, str]:
    """The HTTP headers, names in lower case, boto3 keeps in an answer or in a ClientError's ``response``."""
    metadata = response.get("ResponseMetadata")
    headers = metadata.get("HTTPHeaders") if isinstance(metadata, Mapping) else None
    return headers if isinstance(headers, Mapping) else {}
