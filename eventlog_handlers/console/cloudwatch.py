"""The stand-in of CloudWatch Events / EventBridge ``PutEvents``: SigV4, limits, a verdict for each entry.

The signature is recomputed in ``sigv4``. Sources: the PutEvents and PutEventsResultEntry
pages, "Calculating PutEvents event entry size", botocore's model of ``events``, and error texts recorded
from AWS by LocalStack's validated snapshots, read 2026-11-20. No document names a code for a DetailType
over 128 characters; InvalidArgument stands for it. No HTTP library, no storage.
"""

from __future__ import annotations

import hmac
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NamedTuple

from eventlog_handlers.console import clues, sigv4
from eventlog_handlers.console.cloudwatch_entries import (
    InvalidEntryError,
    Verdict,
    accepted,
    check_constraints,
    check_types,
    entry_size,
    judge,
    violated,
)
from eventlog_handlers.console.exchange import (
    Accepted,
    Answer,
    Refused,
    Request,
    Signing,
    json_bytes,
    timestamp,
)
from eventlog_handlers.console.json_text import strict_json
from eventlog_handlers.settings.local_console import CONSOLE_AWS_ACCESS_KEY_ID, CONSOLE_AWS_SECRET_ACCESS_KEY

TARGET = "AWSEvents.PutEvents"
MAX_ENTRIES = 10

_ENDPOINT_ID = re.compile(r"[A-Za-z0-9\-]+\.[A-Za-z0-9\-]+")


class Credentials(NamedTuple):
    """The secret parts of an access key, by its id."""

    secret: str
    session_token: str | None = None


class _RefusedError(Exception):
    def __init__(self, code: str, message: str, status: int = 400, signing: Signing | None = None) -> None:
        self.refusal = (status, code, message)
        self.signing = signing


@dataclass(kw_only=True)
class CloudWatch:
    """One account, any region. Every field may be changed while it runs."""

    credentials: dict[str, Credentials] = field(
        default_factory=lambda: {CONSOLE_AWS_ACCESS_KEY_ID: Credentials(CONSOLE_AWS_SECRET_ACCESS_KEY)}
    )
    """By access key id; one taken out is revoked."""
    skew_seconds: float | None = 5 * 60
    """How far the caller's clock may be off; None: the clocks are not compared."""
    buses: set[str] | None = None
    """Names of the buses there are; an event for another is answered with an id and dropped, as AWS does.
    None: every bus exists."""
    max_request_bytes: int = 1024 * 1024
    """Sum of the entries' sizes by the documented formula; the regions that lag have 262,144."""
    max_body_bytes: int = 4 * 1024 * 1024
    """Of the HTTP body; more answers 413 with an empty one. There is a limit; its value is not known."""
    fail_entry: Callable[[Mapping[str, Any]], Verdict | None] | None = field(default=None, repr=False)
    """Asked about each entry that is otherwise fine; for faults on demand."""

    def answer(self, request: Request, now: float) -> Answer:
        """Judge one call: refused whole, or a verdict for each entry in order."""
        if len(request.body) > self.max_body_bytes:
            refused = Refused("413", "Request Entity Too Large")
            return Answer(413, {}, b"", refused=(refused,))
        try:
            region = self._authenticated(request, now)
            if request.method != "POST" or request.header("x-amz-target") != TARGET:
                raise _RefusedError("UnknownOperationException", "")
            entries = self._entries(request)
        except _RefusedError as error:
            return self._refusal(*error.refusal, signing=error.signing)
        except InvalidEntryError as error:
            return self._refusal(*error.refusal)
        return self._answer_each(entries, region, now)

    def throttled(self, now: float) -> Answer:
        """The whole request was too much."""
        return self.refusal(400, "ThrottlingException", "Rate exceeded")

    def refusal(self, status: int, code: str, message: str) -> Answer:
        """A whole request refused, in the shape of the JSON 1.1 protocol."""
        return self._refusal(status, code, message)

    def _refusal(self, status: int, code: str, message: str, signing: Signing | None = None) -> Answer:
        body = json_bytes({"__type": code, "message": message} if message else {"__type": code})
        return Answer(status, _headers(), body, refused=(Refused(code, message, signing=signing),))

    # --- the caller -------------------------------------------------------------------------------------

    def _authenticated(self, request: Request, now: float) -> str:
        """The region the caller signed for."""
        header = request.header("authorization")
        if not header:
            raise _RefusedError(
                "MissingAuthenticationTokenException", "Request is missing Authentication Token"
            )
        claim = sigv4.parsed(header)
        date = request.header("x-amz-date") or ""
        if claim is None or not date:
            message = "Authorization header requires Credential, SignedHeaders, Signature and X-Amz-Date."
            raise _RefusedError("IncompleteSignatureException", message)
        known = self.credentials.get(claim.key_id)
        token = request.header("x-amz-security-token")
        if known is None or token != known.session_token:
            message = "The security token included in the request is invalid."
            raise _RefusedError("UnrecognizedClientException", message)
        if claim.service != "events":
            raise _RefusedError(_BAD_SIGNATURE, "Credential should be scoped to correct service: 'events'.")
        self._check_clock(date, claim.date, now)
        _verify(request, claim, known.secret, date)
        return claim.region

    def _check_clock(self, date: str, scope_date: str, now: float) -> None:
        sent = timestamp(date.replace("Z", "+0000"), "%Y%m%dT%H%M%S%z")
        if sent is None or not date.endswith("Z"):
            message = "Date must be in ISO-8601 'basic format'."
            raise _RefusedError("IncompleteSignatureException", message)
        if date[:8] != scope_date:
            raise _RefusedError(_BAD_SIGNATURE, "Date in Credential scope does not match X-Amz-Date.")
        if self.skew_seconds is None or abs(now - sent) <= self.skew_seconds:
            return
        word, relation = ("expired", "earlier") if sent < now else ("not yet current", "later")
        ours = _basic(now)
        minutes = f"{'-' if sent < now else '+'} {self.skew_seconds / 60:g} min."
        raise _RefusedError(
            _BAD_SIGNATURE, f"Signature {word}: {date} is now {relation} than {ours} ({ours} {minutes})"
        )

    # --- the entries -----------------------------------------------------------------------------------

    def _entries(self, request: Request) -> list[Mapping[str, Any]]:
        if (request.header("content-type") or "").lower() != "application/x-amz-json-1.1":
            raise _RefusedError("UnknownOperationException", "")
        try:
            sent = strict_json(request.body.decode("utf-8"))
        except ValueError as error:
            raise _RefusedError("SerializationException", "") from error
        if not isinstance(sent, dict) or not isinstance(sent.get("Entries", []), list):
            raise _RefusedError("SerializationException", "")
        entries: list[Mapping[str, Any]] | None = sent.get("Entries")
        if entries is None:
            raise violated("entries", "not be null")
        for entry in entries:
            check_types(entry)
        if not 1 <= len(entries) <= MAX_ENTRIES:
            relation = "less than or equal to 10" if entries else "greater than or equal to 1"
            raise violated("entries", f"have length {relation}")
        endpoint_id = sent.get("EndpointId", "abc.def")
        if (
            not isinstance(endpoint_id, str)
            or len(endpoint_id) > 50
            or not _ENDPOINT_ID.fullmatch(endpoint_id)
        ):
            raise violated("endpointId", "satisfy regular expression pattern")
        for number, entry in enumerate(entries, 1):
            check_constraints(number, entry)
        if sum(map(entry_size, entries)) > self.max_request_bytes:
            message = "Total size of the entries in the request is over the limit."
            raise _RefusedError("ValidationException", message)
        return entries

    def _answer_each(self, entries: Sequence[Mapping[str, Any]], region: str, now: float) -> Answer:
        results: list[dict[str, str]] = []
        taken: list[Accepted] = []
        refused: list[Refused] = []
        for entry in entries:
            verdict = judge(entry) or (self.fail_entry(entry) if self.fail_entry else None)
            if verdict is not None:
                results.append({"ErrorCode": verdict[0], "ErrorMessage": verdict[1]})
                refused.append(Refused(*verdict, body=entry))
                continue
            event_id = str(uuid.uuid4())
            results.append({"EventId": event_id})
            bus = entry.get("EventBusName", "default").rpartition("/")[2]
            if self.buses is None or bus in self.buses:
                taken.append(accepted(entry, event_id, region, now))
            else:
                refused.append(Refused("NoSuchBus", f"answered with an id and dropped: no bus {bus}", entry))
        failed = sum("ErrorCode" in result for result in results)
        body = json_bytes({"FailedEntryCount": failed, "Entries": results})
        return Answer(200, _headers(), body, tuple(taken), tuple(refused))


_BAD_SIGNATURE = "InvalidSignatureException"


def is_call(request: Request) -> bool:
    """Whether *request* speaks the JSON protocol of AWS at all."""
    return request.path == "/" and request.header("x-amz-target") is not None


# --- the signature ---------------------------------------------------------------------------------------


def _verify(request: Request, claim: sigv4.Claim, secret: str, stamp: str) -> None:
    """Refuse a signature that isn't the one right signature over everything that has to be signed."""
    required, present = sigv4.required_names(request), {name for name, _ in request.headers}
    payload = sigv4.body_sha256(request)
    names = [name for name in claim.names if name in present]
    ours = sigv4.signed(request, claim, names, stamp, payload)
    unsigned = sorted(required - set(claim.names))
    if not unsigned and set(claim.names) <= present:
        if hmac.compare_digest(sigv4.signature(ours.text, claim, secret, stamp), claim.signature):
            return
        message = (
            "The request signature we calculated does not match the signature you provided. Check your "
            "AWS Secret Access Key and signing method. Consult the service documentation for details."
        )
    elif unsigned:
        message = f"'{unsigned[0]}' must be a 'SignedHeader' in the AWS Authorization header."
    else:
        message = "A signed header is missing from the request."
    signing = clues.signing_v4(request, claim, secret, stamp)
    raise _RefusedError(_BAD_SIGNATURE, message, signing=signing)


def _basic(now: float) -> str:
    return f"{datetime.fromtimestamp(now, timezone.utc):%Y%m%dT%H%M%SZ}"


def _headers() -> dict[str, str]:
    return {"content-type": "application/x-amz-json-1.1", "x-amzn-requestid": str(uuid.uuid4())}
