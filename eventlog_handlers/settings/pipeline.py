"""Settings of the pipeline, whatever the service: how records are held and at which pace they go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.settings import checks
from eventlog_handlers.settings.values import MiB, PipelineSettings

SPOOL_MAX_AGE_SECONDS = 48 * 3600.0

_PACES: Mapping[str, tuple[float, float]] = {
    "requests_per_second": (0.001, 10_000),
    "requests_per_minute": (0.01, 100_000),
}
# A second more than the minute: the service counts arrivals, and two calls may draw nearer on their way.
_WINDOW_SECONDS = 61.0


def pipeline_settings(
    options: Mapping[str, Any],
    *,
    max_batch: int,
    pace: Mapping[str, float],
    aggregate_seconds: float | None = None,
) -> PipelineSettings:
    """What *options* say of the pipeline; *pace* and *aggregate_seconds* hold where they give none.

    *max_batch* is the service's limit of events a request. Raises SettingsError.
    """
    # Its meaning is checks.endpoint's.
    checks.boolean("allow_insecure", options.get("allow_insecure", False))
    batch_size = options.get("batch_size")
    spool = checks.directory("spool", options.get("spool"))
    durability = checks.one_of("durability", options.get("durability", "staged"), ("staged", "commit"))
    if durability == "commit" and spool is None:
        raise SettingsError('durability="commit" needs a directory to commit to: give spool= as well')
    dry_run = is_dry(options)
    if dry_run:  # delivering to nobody, it would empty a spool of what others still have to send
        spool, durability = None, "staged"
    default_max_age = 3600.0 if spool is None else SPOOL_MAX_AGE_SECONDS
    share = checks.integer("share", options.get("share", 1), 1, 10_000)
    per_second, burst, window = _pace(options, pace, share)
    per_hour = _budget("max_events_per_hour", options, share)
    per_day = _budget("max_events_per_day", options, share)
    has_budget = per_hour is not None or per_day is not None
    if options.get("budget_reserve", 0.1) != 0.1 and not has_budget:
        raise SettingsError(
            "budget_reserve belongs to a budget: give max_events_per_hour or max_events_per_day with it"
        )
    if share > 1 and per_second is None and not has_budget:
        raise SettingsError(
            "share divides a pace or a budget: give requests_per_second, requests_per_minute, "
            "max_events_per_hour or max_events_per_day with it"
        )
    return PipelineSettings(
        batch_size=max_batch
        if batch_size is None
        else checks.integer("batch_size", batch_size, 1, max_batch),
        service=checks.optional_text("service", options.get("service")),
        env=checks.optional_text("env", options.get("env")),
        tags=checks.tags(options.get("tags", {})),
        capacity=checks.integer("capacity", options.get("capacity", 10_000), 1, 10_000_000),
        capacity_bytes=checks.integer(
            "capacity_bytes", options.get("capacity_bytes", 64 * MiB), 65_536, 2**40
        ),
        when_full=checks.one_of(
            "when_full",
            options.get("when_full", "drop_lowest"),
            ("drop_lowest", "drop_newest", "block"),
        ),
        flush_interval=checks.number("flush_interval", options.get("flush_interval", 1.0), 0, 3600),
        timeout=checks.timeout(options.get("timeout", (3.0, 10.0))),
        exit_timeout=checks.number("exit_timeout", options.get("exit_timeout", 3.0), 0, 600),
        max_age=checks.number("max_age", options.get("max_age", default_max_age), 1, 30 * 86_400),
        concurrency=checks.integer("concurrency", options.get("concurrency", 4), 1, 64),
        before_send=checks.function("before_send", options.get("before_send")),
        level_map=checks.level_map(options.get("level_map")),
        redact=checks.redact(options.get("redact", True)),
        spool=spool,
        durability=durability,
        aggregate_seconds=checks.optional_number(
            "aggregate_seconds", options.get("aggregate_seconds", aggregate_seconds), 0.1, 900
        ),
        observer=checks.observer(options.get("observer")),
        flush_on_sigterm=checks.boolean("flush_on_sigterm", options.get("flush_on_sigterm", False)),
        dry_run=dry_run,
        requests_per_second=per_second,
        burst=burst,
        window=window,
        max_events_per_hour=per_hour,
        max_events_per_day=per_day,
        budget_reserve=checks.number("budget_reserve", options.get("budget_reserve", 0.1), 0, 0.9),
    )


def is_dry(options: Mapping[str, Any]) -> bool:
    """Whether nothing is to be sent."""
    return checks.boolean("dry_run", options.get("dry_run", False))


def _pace(
    options: Mapping[str, Any], pace: Mapping[str, float], share: int
) -> tuple[float | None, int, tuple[int, float] | None]:
    """Requests a second, burst and window of this process: what all may send, divided by *share*."""
    given = {name: options[name] for name in _PACES if name in options} or pace
    per_second, per_minute = (checks.optional_number(name, given.get(name), *_PACES[name]) for name in _PACES)
    if per_second is not None and per_minute is not None:
        raise SettingsError(
            "requests_per_second and requests_per_minute exclude each other: leave one of them off"
        )
    rate = per_second if per_minute is None else per_minute / 60
    if "burst" in options and rate is None:
        raise SettingsError(
            "burst belongs to a pace: give requests_per_second or requests_per_minute with it"
        )
    usual_burst = 5 if per_minute is None else max(1, min(5, int(per_minute) // 4))
    burst = checks.integer("burst", options.get("burst", usual_burst), 1, 1000)
    return (
        None if rate is None else rate / share,
        max(1, burst // share),
        None if per_minute is None or per_minute < 1 else _window(int(per_minute), share),
    )


def _window(per_minute: int, share: int) -> tuple[int, float]:
    """One process's part of a minute's calls; where that is less than one, a whole one in a longer window."""
    if per_minute >= share:
        return per_minute // share, _WINDOW_SECONDS
    return 1, _WINDOW_SECONDS * share / per_minute


def _budget(name: str, options: Mapping[str, Any], share: int) -> int | None:
    """One process's part of a budget, never less than one event; None where there is no budget."""
    limit = options.get(name)
    return None if limit is None else max(1, checks.integer(name, limit, 1, 10**9) // share)
