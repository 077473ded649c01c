"""The cost of a service's calls, for ``eventlog-handlers estimate``: the shape of a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from eventlog_handlers.events import Event, Payload


class Cost(NamedTuple):
    """The limits, the billing and the quota of one service's calls."""

    encode: Callable[[Event], Payload]
    """As the handler does with the options' defaults."""
    max_events: int
    """In one call."""
    max_bytes: int
    """Of one call."""
    most_bytes: int
    """Of one event, cut as the handler cuts it."""
    calls_per_second: float | None
    """Its documented quota; None: by region, and far away."""
    quota: str
    """The same in words."""
    is_billed_by_size: bool
