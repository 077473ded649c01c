"""Alarm rules of CMS over custom events: a name and a group, so many times within a period.

Written as PutCustomEventRule takes it: JSON with EventName, GroupId, Threshold and Period. Source:
help.aliyun.com/en/cms, "PutCustomEventRule" (read 2026-11-28): EventName, GroupId, Threshold and Level are
required, Period is a multiple of 60 seconds and 300 where it is not given. The page does not say how periods
are laid: here a rule fires where Threshold events lie within any Period seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from eventlog_handlers.console.json_text import strict_json
from eventlog_handlers.console.records import StoredEvent
from eventlog_handlers.console.rules import Rule, RuleError

_KNOWN = (
    "RuleId", "RuleName", "EventName", "GroupId", "Threshold", "Period", "Level", "ContactGroups", "Webhook",
    "EffectiveInterval", "EmailSubject",
)  # fmt: skip
_REQUIRED = ("EventName", "GroupId", "Threshold")


def read(text: str) -> Rule:
    """A rule from JSON. Fields that concern only the notification may be missing. Raises RuleError."""
    try:
        given = strict_json(text)
    except ValueError as error:
        raise RuleError(f"the rule is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise RuleError(f"the rule is not an object with {', '.join(_REQUIRED)}")
    _check(given)
    threshold, period = _whole(given, "Threshold", 1), _whole(given, "Period", 300)
    if period % 60:
        raise RuleError(f"Period is a multiple of 60 seconds, not {period}")
    return Rule(
        "cms",
        lambda event: why_not(given, event.body),
        lambda events: _fires(events, threshold, period),
    )


def why_not(rule: Mapping[str, Any], event: Mapping[str, Any]) -> list[str]:
    """Why the event is not counted by *rule*."""
    wanted = {"EventName": str(rule["EventName"]), "GroupId": str(rule["GroupId"])}
    found = {"EventName": str(event.get("EventName", "")), "GroupId": str(event.get("GroupId", "0"))}
    return [
        f"{name} is {found[name]!r}: not {wanted[name]!r}" for name in wanted if found[name] != wanted[name]
    ]


def _check(given: Mapping[str, Any]) -> None:
    for name in given:
        if name not in _KNOWN:
            raise RuleError(f"no parameter {name!r}: there are {', '.join(_KNOWN)}")
    for name in _REQUIRED:
        if given.get(name) in (None, ""):
            raise RuleError(f"{name} is required")
    if given.get("Level", "CRITICAL") not in ("CRITICAL", "WARN", "INFO"):
        raise RuleError("Level is CRITICAL, WARN or INFO")


def _whole(given: Mapping[str, Any], name: str, default: int) -> int:
    """A whole number from 1, as a number or as the text that the API takes."""
    text = str(given.get(name, default))
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) > 0):
        raise RuleError(f"{name} is a whole number from 1, not {text[:40]!r}")
    return int(text)


def _fires(events: Sequence[StoredEvent], threshold: int, period: int) -> str:
    """When *events*, oldest first, are enough within a period for the first time."""
    moments = sorted(event.received if event.time is None else event.time for event in events)
    for first, last in zip(moments, moments[threshold - 1 :], strict=False):
        if last - first < period:
            when = datetime.fromtimestamp(last, timezone.utc)
            return f"fires at {when:%Y-%m-%d %H:%M:%S} UTC: {threshold} within {period} s"
    return f"does not fire: never {threshold} within {period} s, {len(moments)} in all"
