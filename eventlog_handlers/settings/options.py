"""What may be given to each handler, by name and type; read by type checkers, and for the names alone by us.

Without ``from __future__ import annotations``: a TypedDict compiles each annotation that is text.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from os import PathLike

    from eventlog_handlers.events import Event

WhenFull = Literal["drop_lowest", "drop_newest", "block"]
Durability = Literal["staged", "commit"]


class CommonOptions(TypedDict, total=False):
    """What every handler takes; the meaning of each is in the README's table and at ``PipelineSettings``."""

    service: str | None
    env: str | None
    tags: Mapping[str, str]
    capacity: int
    capacity_bytes: int
    when_full: WhenFull
    batch_size: int | None
    flush_interval: float
    timeout: float | Sequence[float]
    exit_timeout: float
    max_age: float
    concurrency: int
    before_send: Callable[["Event"], "Event | None"] | str | None
    level_map: Mapping[str | int, str] | None
    redact: bool | Sequence[str]
    aggregate_seconds: float | None
    spool: "str | PathLike[str] | None"
    durability: Durability
    observer: object
    flush_on_sigterm: bool
    requests_per_second: float | None
    requests_per_minute: float | None
    burst: int
    share: int
    max_events_per_hour: int | None
    max_events_per_day: int | None
    budget_reserve: float
    dry_run: bool
    proxies: Mapping[str, str] | None
    ca_bundle: str | None
    allow_insecure: bool
