"""``Verdict``, the meaning of an answer: one value and one form of table for every service. Pure.

A service's ``answers`` has a table of rules for the service's own codes. Where no rule knows the code, the
HTTP status decides by the tables below. One is for answers in the service's form, one for all others: those
come from a proxy or the like, so they say nothing of the events.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from typing import NamedTuple

from eventlog_handlers.errors import (
    MisconfiguredError,
    RefusedError,
    SinkError,
    ThrottledError,
    TooLargeError,
    TransientError,
)
from eventlog_handlers.events import DELIVERED, Disposition, Outcome
from eventlog_handlers.services.http_answers import printable
from eventlog_handlers.text.lazy_patterns import lazy

CODE_CHARACTERS = 64
MOST_CODES = 50
"""Distinct codes of one sink: each becomes a counter's name and a line on stderr."""
OTHER_CODE = "other"
NO_PROOF_ATTEMPTS = 10
"""An answer of 2xx without outcomes is rarely the service's; an event may meet it so
often."""
FEW_ATTEMPTS = 3


class Kind(enum.Enum):
    """The meaning of an answer for a request, or for one event of it."""

    DELIVERED = "delivered"
    THROTTLED = "throttled"
    """Too fast: the events are fine."""
    TRANSIENT = "transient"
    """Nothing is known to be wrong with the events or the settings."""
    TOO_LARGE = "too large"
    REFUSED = "refused"
    """The data is refused: one event's fault, unless every event is refused in the same way."""
    MISCONFIGURED = "misconfigured"
    """Every event would meet it: a setting, a key, a permission, or something in the way."""


class Mend(enum.Enum):
    """Faults that a sink can mend by itself; then it sends the same events again, once."""

    NONCE = "nonce"
    CLOCK = "clock"
    CREDENTIALS = "credentials"
    FORM = "form"


class Rule(NamedTuple):
    """One row of a table."""

    kind: Kind
    words: re.Pattern[str]
    """Matches a whole code, or a status in digits."""
    advice: str = ""
    """The settings to look at, for the error's text; ends with "; "."""
    mend: Mend | None = None
    attempts_allowed: int | None = None
    """In all, for one event; None: only its age bounds them."""
    message: re.Pattern[str] | None = None
    """If given, the service's message must hold it too."""


def rule(
    kind: Kind,
    words: str,
    advice: str = "",
    *,
    mend: Mend | None = None,
    attempts_allowed: int | None = None,
    message: re.Pattern[str] | None = None,
) -> Rule:
    """A rule for *words*, separated by blanks. ``*`` stands for any characters, ``?`` for one.

    Case is ignored.
    """
    pattern = re.escape(words).replace(r"\*", ".*").replace(r"\?", ".").replace(r"\ ", "|")
    return Rule(kind, lazy(pattern, re.IGNORECASE | re.DOTALL), advice, mend, attempts_allowed, message)


_ELSEWHERE = "the endpoint redirects elsewhere, which is not followed: look at endpoint and proxies; "
_PROXY = "the proxy wants a user and a password: look at proxies; "
_NOT_THE_SERVICE = "this is not the service's answer: look at endpoint and proxies; "
_NO_PROOF = "the answer proves nothing; "

# The first rule that matches decides.
_WITH_AN_UNKNOWN_CODE = (
    rule(Kind.THROTTLED, "429"),
    rule(Kind.TOO_LARGE, "413"),
    rule(Kind.MISCONFIGURED, "3??", _ELSEWHERE),
    rule(Kind.MISCONFIGURED, "407", _PROXY),
    # said of the key, the address, the method, the headers or the form
    rule(
        Kind.MISCONFIGURED,
        "401 402 403 404 405 406 410 411 414 415 431 451 501 505",
        "look at endpoint, credentials and proxies; ",
    ),
    rule(Kind.TRANSIENT, "408 425 5??"),
    rule(Kind.REFUSED, "4??"),
    rule(Kind.TRANSIENT, "2??", _NO_PROOF, attempts_allowed=NO_PROOF_ATTEMPTS),
)
_WITHOUT_THE_SERVICES_FORM = (
    rule(Kind.THROTTLED, "429"),
    rule(Kind.TOO_LARGE, "413"),
    rule(Kind.MISCONFIGURED, "3??", _ELSEWHERE),
    rule(Kind.MISCONFIGURED, "407", _PROXY),
    rule(Kind.MISCONFIGURED, "501 505 511", _NOT_THE_SERVICE),
    rule(Kind.TRANSIENT, "408 425 5??"),
    rule(Kind.MISCONFIGURED, "4??", _NOT_THE_SERVICE),
    rule(Kind.TRANSIENT, "2??", _NO_PROOF, attempts_allowed=NO_PROOF_ATTEMPTS),
)
_ANY_OTHER = rule(Kind.TRANSIENT, "*")


def first(rules: Sequence[Rule], word: str, message: str = "") -> Rule | None:
    """The first of *rules* that matches the whole of *word*, and *message* where it asks for that."""
    for row in rules:
        if row.words.fullmatch(word) and (row.message is None or row.message.search(message)):
            return row
    return None


def judged(
    codes: Sequence[Rule], code: str, status: int, message: str = "", *, is_the_services: bool
) -> Rule:
    """The rule for an answer: *codes* decides by *code*, else the status does.

    *is_the_services*: the answer has the service's form. *code* is "" where it names none.
    """
    by_code = first(codes, code, message) if code else None
    by_status = _WITH_AN_UNKNOWN_CODE if is_the_services else _WITHOUT_THE_SERVICES_FORM
    return by_code or first(by_status, str(status)) or _ANY_OTHER


class Verdict(NamedTuple):
    """The judgement of one answer, or of its part on one event."""

    kind: Kind
    code: str
    """The service's own word, else ``http_<status>``; printable, CODE_CHARACTERS at most."""
    detail: str = ""
    """One printable line."""
    retry_after: float | None = None
    """Seconds from now, where the service gave a hint."""
    is_ambiguous: bool = False
    """The events may have been stored all the same."""
    attempts_allowed: int | None = None
    mend: Mend | None = None

    def outcome(self) -> Outcome:
        """For one event of a request in which others fared otherwise."""
        if self.kind is Kind.DELIVERED:
            return DELIVERED
        if self.kind in (Kind.REFUSED, Kind.TOO_LARGE):
            return Outcome(Disposition.REJECTED, self.code, self.detail)
        return Outcome(
            Disposition.RETRY,
            self.code,
            self.detail,
            self.retry_after,
            throttled=self.kind is Kind.THROTTLED,
            attempts_allowed=FEW_ATTEMPTS if self.kind is Kind.MISCONFIGURED else self.attempts_allowed,
        )

    def outcomes(self, count: int) -> list[Outcome]:
        """For a request of *count* events that fared alike: delivered, or the SinkError is raised."""
        if self.kind is Kind.DELIVERED:
            return [DELIVERED] * count
        raise self.error()

    def error(self) -> SinkError:
        """The SinkError for a whole request; not for DELIVERED."""
        if self.kind is Kind.TRANSIENT:
            return TransientError(
                self.code,
                self.detail,
                retry_after=self.retry_after,
                ambiguous=self.is_ambiguous,
                attempts_allowed=self.attempts_allowed,
            )
        return _ERRORS[self.kind](self.code, self.detail, retry_after=self.retry_after)


_ERRORS: dict[Kind, type[SinkError]] = {
    Kind.THROTTLED: ThrottledError,
    Kind.TOO_LARGE: TooLargeError,
    Kind.REFUSED: RefusedError,
    Kind.MISCONFIGURED: MisconfiguredError,
}


def verdict(row: Rule, code: str, detail: str, *, status: int, retry_after: float | None = None) -> Verdict:
    """The verdict of *row* on an answer of *status*; *code* is "" where the answer names none."""
    return Verdict(
        row.kind,
        printable(code, CODE_CHARACTERS) or f"http_{status}",
        f"{row.advice}{detail}".removesuffix("; "),
        retry_after if row.kind in (Kind.THROTTLED, Kind.TRANSIENT, Kind.MISCONFIGURED) else None,
        # 503 is said before the work; after another 5xx, or a 2xx without proof, it is not known
        row.kind is Kind.TRANSIENT and (200 <= status < 300 or (status >= 500 and status != 503)),
        row.attempts_allowed,
        row.mend,
    )


class Codes:
    """Lets the first *most* distinct codes through; a further one becomes OTHER_CODE.

    May be used from several threads; at the limit each of them may let one code more through.
    """

    def __init__(self, most: int = MOST_CODES) -> None:
        self._most = most
        self._seen: set[str] = set()

    def admit(self, verdict: Verdict) -> Verdict:
        """*verdict*, or the same under OTHER_CODE, with its own code at the head of the detail."""
        if verdict.kind is Kind.DELIVERED or self._knows(verdict.code):
            return verdict
        return verdict._replace(code=OTHER_CODE, detail=f"{verdict.code}: {verdict.detail}")

    def admit_error(self, error: SinkError) -> SinkError:
        """The same for an error that is made already."""
        if not self._knows(error.code):
            error.detail = f"{error.code}: {error.detail}"
            error.code = OTHER_CODE
        return error

    def _knows(self, code: str) -> bool:
        if code not in self._seen:
            if len(self._seen) >= self._most:
                return False
            self._seen.add(code)
        return True
