"""Reads the parts of an HTTP answer that are the same for every service. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone

from eventlog_handlers.errors import HINT_CEILING_SECONDS
from eventlog_handlers.text.fit import one_line

_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by the Retry-After header, HINT_CEILING_SECONDS at most; None where it gives none.

    *headers* has lower-case names. A date counts from the answer's own Date header, so that neither side's
    clock need be right; without one it says nothing. Source: RFC 9110 section 10.2.3.
    """
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), HINT_CEILING_SECONDS)
    until, now = _moment(value), _moment(headers.get("date", ""))
    if until is None or now is None or until < now:
        return None
    return min((until - now).total_seconds(), HINT_CEILING_SECONDS)


def server_time(headers: Mapping[str, str]) -> float | None:
    """The answer's Date in seconds since the epoch, or None. *headers* has lower-case names."""
    moment = _moment(headers.get("date", ""))
    return None if moment is None else moment.timestamp()


def _moment(text: str) -> datetime | None:
    from email.utils import parsedate_to_datetime  # the client library has brought it with the first answer

    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def printable(body: bytes | str, limit: int = 200) -> str:
    """The beginning of *body* as one line of at most *limit* characters, for the detail of an error."""
    head = body[: 4 * limit]
    if isinstance(head, bytes):
        head = head.decode("utf-8", "replace")
    text = " ".join(one_line(head).split())
    return text if len(text) <= limit and len(body) <= 4 * limit else text[: limit - 1] + "…"
