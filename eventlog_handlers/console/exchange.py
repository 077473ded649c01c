"""The values between the port and the stand-ins: a request, an answer, accepted and refused events.

Values and the few helpers all three share. No HTTP library, no storage, no clock.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple, Protocol


class Request(NamedTuple):
    """One HTTP request as it came in."""

    method: str
    path: str
    """Undecoded, without the query."""
    query: str
    """Undecoded, without the question mark."""
    headers: tuple[tuple[str, str], ...]
    """Names in lower case; in order, repetitions kept."""
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of header *name* (lower case), the first if it is repeated; None if it is absent."""
        return next((value for key, value in self.headers if key == name), None)


class Accepted(NamedTuple):
    """An event the service would have taken."""

    title: str
    status: str
    """One of the six statuses as far as it can be read from the event, else ""."""
    time: float | None
    """The event's own time, seconds since the epoch; None where it gave none."""
    body: Mapping[str, Any]
    """The event exactly as it was sent."""
    stored: Mapping[str, Any]
    """The event as the service hands it on, with the fields that it adds."""
    flags: tuple[str, ...] = ()
    """Oddities that no document forbids but no client should send, one word each."""


class Signing(NamedTuple):
    """Two texts to lay side by side where a signature is wrong."""

    expected: str
    """The text that the service signs: the canonical request, if there is one, and the string to sign."""
    received: str
    """The text that the client signed, where its mistake was found; else the text that its headers claim."""
    note: str
    """The meaning of the difference."""


class Refused(NamedTuple):
    """A request, or one entry of it, that the service would not have taken."""

    code: str
    message: str
    body: Any = None
    """The entry at fault, where one entry was refused; None for a whole request."""
    signing: Signing | None = None
    """Where the signature was wrong."""


class Answer(NamedTuple):
    """The bytes that go back, and the events and refusals for the store."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    accepted: tuple[Accepted, ...] = ()
    refused: tuple[Refused, ...] = ()


class Service(Protocol):
    """One stand-in. It keeps what a service must remember (nonces, call times), and no event.

    Its module has ``is_call(request)``, whether a request is for this service at all, and unless it is one of
    the three that ``app`` makes, ``stand_in(script)``, which makes it.
    """

    max_body_bytes: int

    def answer(self, request: Request, now: float) -> Answer:
        """Judge *request*, received at *now* (wall time, seconds since the epoch)."""

    def throttled(self, now: float) -> Answer:
        """The service's own way to say: too fast."""

    def refusal(self, status: int, code: str, message: str) -> Answer:
        """A whole request refused with *code*, in the service's own shape."""


class RateWindow:
    """The calls of the last while, so that there can be too many of them."""

    def __init__(self) -> None:
        self._calls: list[float] = []

    def admit(
        self,
        now: float,
        *,
        limit: int | None,
        seconds: float,
        fixed: bool = False,
        count_refused: bool = False,
    ) -> bool:
        """Count one call at *now*; False if it is one more than *limit* in *seconds*. None: no limit.

        *fixed*: windows begin at multiples of *seconds* instead of sliding. *count_refused*: a call too
        many counts as well. The services' documents say neither.
        """
        if limit is None:
            return True
        since = now - now % seconds if fixed else math.nextafter(now - seconds, math.inf)
        self._calls = [call for call in self._calls if call >= since]
        admitted = len(self._calls) < limit
        if admitted or count_refused:
            self._calls.append(now)
        return admitted


def json_bytes(value: Any) -> bytes:
    """*value* as compact UTF-8 JSON, with "?" for half a surrogate pair, which UTF-8 can't hold."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")


def has_half_pair(text: str) -> bool:
    """Whether *text* holds half a surrogate pair: legal in JSON's escapes, impossible in UTF-8."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def timestamp(text: str, pattern: str) -> float | None:
    """*text* read by a ``strptime`` *pattern*, seconds since the epoch; None if it doesn't fit.

    The pattern must hold ``%z``, or *text* is taken for local time.
    """
    try:
        return datetime.strptime(text, pattern).timestamp()
    except (ValueError, OverflowError):
        return None


_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)


def rfc3339(text: str) -> float | None:
    """A date and time with its offset, seconds since the epoch; None if *text* is no such thing.

    Any number of digits after the seconds. Source: RFC 3339, section 5.6.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    *calendar, fraction, sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        year, month, day, hour, minute, second = map(int, calendar)
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        return None
    seconds = (moment - _EPOCH - (-offset if sign == "-" else offset)).total_seconds()
    return seconds + float(f"0.{fraction or 0}")


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
