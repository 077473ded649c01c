"""Faults that a person chooses on the page, over HTTP or by ``console --fault``: kinds, checks, durations.

Values and their checks. ``script`` holds the faults that are on; ``app`` carries them out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from eventlog_handlers.console.records import SERVICES
from eventlog_handlers.console.script import Reply, Step

KINDS: Mapping[str, str] = {
    "throttle": "the service's own throttling answer",
    "500": "an internal error in the service's shape",
    "slow": "the event is kept, the answer comes late",
    "cut": "the connection is cut, nothing is kept",
    "half": "every second entry fails with InternalFailure",
    "wrong_clock": "the service's clock is an hour ahead",
    "garbage": "HTTP 200 with a page of HTML, nothing is kept",
}
"""The effect of each on a request."""

CLOCK_AHEAD_SECONDS = 3600.0
_ONLY_FOR = {"half": ("cloudwatch",), "wrong_clock": ("cms", "cloudwatch")}
_WHY_NOT = {
    "half": "answers for a request as a whole",
    "wrong_clock": "compares no clocks",
}
_DELAY_SECONDS = 5.0
_GARBAGE = Reply(200, {"content-type": "text/html"}, b"<html><body><h1>It works!</h1></body></html>")
_TEXT = re.compile(r"(\w+):(\w+)(?:=([0-9.]+))?(?::(?:([0-9]+)|([0-9.]+)s|forever))?")


@dataclass(frozen=True)
class Fault:
    """One fault of one service."""

    service: str
    kind: str
    """One of KINDS."""
    count: int | None = None
    """How many requests it hits; None: as many as come."""
    seconds: float | None = None
    """How long it lasts; None: until it has hit *count* requests, or is ended."""
    delay: float = _DELAY_SECONDS
    """Seconds before the answer, of ``slow``."""


def checked(fault: Fault) -> Fault:
    """*fault* itself, if there is such a one. Raises ValueError with the reason."""
    if fault.service not in SERVICES:
        raise ValueError(f"no service {fault.service!r}: there are {', '.join(SERVICES)}")
    if fault.kind not in KINDS:
        raise ValueError(f"no fault {fault.kind!r}: there are {', '.join(KINDS)}")
    if fault.service not in _ONLY_FOR.get(fault.kind, SERVICES):
        raise ValueError(f"{fault.service} {_WHY_NOT[fault.kind]}: there is no {fault.kind!r} for it")
    if fault.count is not None and not (type(fault.count) is int and 1 <= fault.count <= 1_000_000):
        raise ValueError(f"count is a whole number from 1 to 1000000, not {fault.count!r}")
    for name, value, most in (("seconds", fault.seconds, 86_400), ("delay", fault.delay, 300)):
        if value is not None and not (_is_number(value) and 0 < value <= most):
            raise ValueError(f"{name} is a number up to {most}, not {value!r}")
    return fault


def parsed(text: str) -> Fault:
    """A fault as it is typed: ``cms:throttle:3``, ``guance:cut:60s``, ``cloudwatch:slow=2.5:forever``.

    Without a count or a duration it hits one request. Raises ValueError.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no fault: SERVICE:FAULT, and then :COUNT, :SECONDSs or :forever")
    service, kind, delay, count, seconds = match.groups()
    if delay is not None and kind != "slow":
        raise ValueError(f"{kind!r} takes no seconds: only slow does")
    endless = text.endswith(":forever")
    return checked(
        Fault(
            service,
            kind,
            count=int(count) if count else None if seconds or endless else 1,
            seconds=_number(seconds) if seconds else None,
            delay=_number(delay) if delay else _DELAY_SECONDS,
        )
    )


def from_json(wanted: Any) -> Fault:
    """A fault as the API takes it, an object with the fields of Fault. Raises ValueError."""
    if not isinstance(wanted, Mapping):
        raise ValueError("a fault is an object with service, kind, and count or seconds")
    known = [field.name for field in fields(Fault)]
    if unknown := sorted(set(wanted) - set(known)):
        raise ValueError(f"no field {unknown[0]!r}: there are {', '.join(known)}")
    if not isinstance(wanted.get("service"), str) or not isinstance(wanted.get("kind"), str):
        raise ValueError("service and kind are texts")
    return checked(Fault(**{name: value for name, value in wanted.items() if value is not None}))


def described() -> list[dict[str, Any]]:
    """All kinds, each with its effect and its services."""
    return [
        {"kind": kind, "text": text, "services": list(_ONLY_FOR.get(kind, SERVICES))}
        for kind, text in KINDS.items()
    ]


def step_of(fault: Fault) -> Step:
    """The effect of *fault* on one request."""
    steps = {
        "throttle": Step(handled=False, throttled=True),
        "500": Step(handled=False, failed=True),
        "slow": Step(handled=True, delay=fault.delay),
        "cut": Step(handled=False, cut=True),
        "half": Step(handled=True, half=True),
        "wrong_clock": Step(handled=True, clock_offset=CLOCK_AHEAD_SECONDS),
        "garbage": Step(handled=False, reply=_GARBAGE),
    }
    return steps[fault.kind]._replace(fault=fault.kind)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number of seconds") from None
