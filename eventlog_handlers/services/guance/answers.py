"""Reads Guance's answers: the error code first, the HTTP status second, the proof third. Pure.

Sources, read 2026-11-20: docs.guance.com, open-api/error-definition and open-api/api-limit; the order of the
official Terraform provider (the status, then ``success``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from eventlog_handlers.events import Outcome
from eventlog_handlers.services import verdict as verdicts
from eventlog_handlers.services.http_answers import printable, retry_after
from eventlog_handlers.services.verdict import NO_PROOF_ATTEMPTS, Kind, Verdict, judged, rule
from eventlog_handlers.text import shallow_json

_INVALID_KEY = (
    "the service does not know the key: is it of another site (site=, endpoint=)? is it a Key ID where the "
    "Key (Secret) is wanted, or the reverse on older sites? a Client Token? was it deleted?; "
)
_CODES = (
    rule(Kind.THROTTLED, "ft.Trigger*CurrentLimiting"),
    rule(Kind.MISCONFIGURED, "ft.InvalidAPIKey", _INVALID_KEY),
)
_REFUSED_INSIDE_A_200 = rule(Kind.REFUSED, "*")
_NO_PROOF = rule(Kind.TRANSIENT, "*", attempts_allowed=NO_PROOF_ATTEMPTS)

_PAUSE_SECONDS = {"ft.TriggerApiAkCurrentLimiting": 10.0, "ft.TriggerApiWorkspaceCurrentLimiting": 60.0}
"""Until the first probe; the window is a minute, and only the workspace's is filled by others too."""


def verdict(status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
    """Judge one answer. *headers* have lower-case names.

    The envelope's ``errorCode`` decides first, because throttling and a bad key share the status 401; then
    the HTTP status, or the one the envelope holds inside a 200; then ``success``, and only ``success: true``
    with ``code: 200`` proves a delivery.
    """
    envelope = _envelope(body)
    code = envelope.get("errorCode")
    code = code if isinstance(code, str) else ""
    said = printable(str(envelope.get("message") or "")) or printable(body)
    inner = envelope.get("code")
    if 200 <= status < 300 and type(inner) is int and 400 <= inner < 600:
        status = inner
    if 200 <= status < 300 and not code and inner == 200 and envelope.get("success") is True:
        return Verdict(Kind.DELIVERED, "")
    row = judged(_CODES, code, status, is_the_services=bool(envelope))
    if 200 <= status < 300 and row.kind is Kind.TRANSIENT:
        if code or envelope.get("success") is False:
            row = _REFUSED_INSIDE_A_200
        else:
            code, row = "no_proof", _NO_PROOF
            said = f"answered {status} but not in the service's form: {said}"
    if 300 <= status < 400:
        said = _target(headers)
    pause = retry_after(headers)
    return verdicts.verdict(
        row, code, said, status=status, retry_after=_PAUSE_SECONDS.get(code) if pause is None else pause
    )


def decode(status: int, headers: Mapping[str, str], body: bytes, count: int) -> Sequence[Outcome]:
    """The outcomes of the *count* events of one call, or a SinkError for the call as a whole."""
    return verdict(status, headers, body).outcomes(count)


def _target(headers: Mapping[str, str]) -> str:
    """The target of a redirect, without path and query, which may hold secrets."""
    try:
        target = urlsplit(headers.get("location", ""))
    except ValueError:
        return ""
    return f"to {target.scheme}://{printable(target.hostname)}" if target.hostname else ""


def _envelope(body: bytes) -> dict[str, Any]:
    """The answer in the service's form, which has an ``errorCode`` or ``success`` and ``code``; else {}."""
    try:
        answer = shallow_json.loads(body)
    except ValueError:
        return {}
    if isinstance(answer, dict) and ("errorCode" in answer or {"success", "code"} <= answer.keys()):
        return answer
    return {}
