"""What Guance answered, as outcomes and errors. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from eventlog_handlers.errors import MisconfiguredError, ThrottledError, TooLargeError, TransientError
from eventlog_handlers.events import DELIVERED, Disposition, Outcome
from eventlog_handlers.services.http_answers import printable, retry_after

INVALID_KEY = "ft.InvalidAPIKey"


INVALID_KEY_HINT = (
    "the service does not know the key: is it of another site (site=, endpoint=)? is it a Key ID where the "
    "Key (Secret) is wanted, or the reverse on older sites? a Client Token? was it deleted?"
)


_PAUSE_SECONDS = {"ft.TriggerApiAkCurrentLimiting": 10.0, "ft.TriggerApiWorkspaceCurrentLimiting": 60.0}
"""Until the first probe; the window is a minute, and only the workspace's is filled by others too."""


_NO_PROOF_ATTEMPTS = 10
"""What answers 200 without the service's envelope is rarely the service; an event may meet it so often."""


_TRANSIENT = frozenset({408, 425, 500, 502, 503, 504})


_CONFIGURATION = frozenset({401, 402, 403, 404, 405, 406, 407, 410, 411, 414, 415, 431, 451, 501, 505})
"""Said of the address, the key or the way there, not of the event."""


def decode(status: int, headers: Mapping[str, str], body: bytes, count: int) -> Sequence[Outcome]:
    """What became of the *count* events of one call, or a SinkError for the call as a whole.

    *headers* have lower-case names. The envelope's ``errorCode`` decides first, because throttling and a bad
    key share the status 401; then the HTTP status, or the one the envelope holds inside a 200; then
    ``success``, and only ``success: true`` with ``code: 200`` proves a delivery.
    """
    envelope = _envelope(body)
    code = envelope.get("errorCode")
    code = code if isinstance(code, str) else ""
    said = printable(str(envelope.get("message") or "").encode("utf-8", "replace")) or printable(body)
    word = code or f"http_{status}"
    if status == 429 or (code.startswith("ft.Trigger") and code.endswith("CurrentLimiting")):
        pause = retry_after(headers)
        raise ThrottledError(word, said, retry_after=_PAUSE_SECONDS.get(code) if pause is None else pause)
    if code == INVALID_KEY:
        raise MisconfiguredError(code, INVALID_KEY_HINT)
    inner = envelope.get("code")
    if 200 <= status < 300 and type(inner) is int and 400 <= inner < 600:
        status = inner
        word = code or f"http_{status}"
    if 200 <= status < 300:
        if envelope.get("success") is True and inner == 200 and not code:
            return [DELIVERED] * count
        if code or envelope.get("success") is False:
            return [Outcome(Disposition.REJECTED, word, said)] * count
        raise TransientError(
            "no_proof",
            f"answered {status} but not in the service's form: {said}",
            ambiguous=True,
            attempts_allowed=_NO_PROOF_ATTEMPTS,
        )
    return _by_status(status, headers, word, said, count)


def _by_status(
    status: int, headers: Mapping[str, str], word: str, said: str, count: int
) -> Sequence[Outcome]:
    if 300 <= status < 400:
        raise MisconfiguredError(
            word, f"redirected{_target(headers)}, not followed: look at endpoint and proxies"
        )
    if status in _CONFIGURATION:
        raise MisconfiguredError(
            word, f"refused with status {status}; look at endpoint, key and proxies: {said}"
        )
    if status == 413:
        raise TooLargeError(word, said)
    if 400 <= status < 500 and status not in _TRANSIENT:
        return [Outcome(Disposition.REJECTED, word, said)] * count
    raise TransientError(word, said, retry_after=retry_after(headers))


def _target(headers: Mapping[str, str]) -> str:
    """Where a redirect points, without path and query, which may hold what must not be told."""
    try:
        target = urlsplit(headers.get("location", ""))
    except ValueError:
        return ""
    return f" to {target.scheme}://{printable(target.hostname.encode())}" if target.hostname else ""


def _envelope(body: bytes) -> dict[str, Any]:
    """The answer as an object; {} for anything else."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
