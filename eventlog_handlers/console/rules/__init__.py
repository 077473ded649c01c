"""Tells which stored events a rule matches, and why it does not match the others. Pure.

One module per service's kind of rule. Each reads a rule from text, raises RuleError where its service would
refuse it, and says of one event why it does not match; no reason means that it matches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from eventlog_handlers.console.records import StoredEvent


class RuleError(ValueError):
    """The text is no rule of that kind; the message gives the reason."""


class Rule(NamedTuple):
    """A rule that was read."""

    service: str
    """The service whose events the rule reads."""
    why_not: Callable[[StoredEvent], list[str]]
    """Why an event of that service does not match: sentences, none if it matches."""
    summary: Callable[[Sequence[StoredEvent]], str]
    """A sentence on the rule as a whole, from the matching events, oldest first; "" where it needs none."""


def no_summary(events: Sequence[StoredEvent]) -> str:
    """For rules that look at one event at a time."""
    return ""
