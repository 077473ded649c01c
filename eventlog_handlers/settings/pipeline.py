"""Settings of the pipeline, the same for every service: how events are held, and at which rate they go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.settings import checks, places
from eventlog_handlers.settings.options import OPTIONS
from eventlog_handlers.settings.switches import is_disabled, notice
from eventlog_handlers.settings.values import PipelineSettings

SPOOL_MAX_AGE_SECONDS = 48 * 3600.0

_RATES = ("requests_per_second", "requests_per_minute")
_BUDGETS = ("max_events_per_hour", "max_events_per_day")
_RATE_HINT = "give requests_per_second or requests_per_minute with it"
# A second more than the minute: the service counts arrivals, and two calls may draw nearer on their way.
_WINDOW_SECONDS = 61.0


def pipeline_settings(
    made: Mapping[str, Any], given: Mapping[str, Any], environ: Mapping[str, str], *, max_batch: int
) -> PipelineSettings:
    """The pipeline's part of *made*, the checked values of all options; *given* are those the user gave.

    Checks what concerns several options. *max_batch* is the service's limit of events a request. Raises
    SettingsError.
    """
    per_second, per_minute = _rates(made, given)
    _check_what_belongs_together(made, given, has_rate=per_second is not None or per_minute is not None)
    fields = {name: made[name] for name in PipelineSettings.__annotations__ if name in made}
    share, batch_size = made["share"], made["batch_size"]
    fields.update(is_disabled=is_disabled(environ), notice=notice(environ))
    if made["dry_run"] or fields["is_disabled"]:
        # A dry run would empty a spool whose events other processes still have to send.
        fields.update(spool=None, durability="staged")
    if fields["spool"] is not None:
        fields["start_notice"] = places.relative_notice("spool", given["spool"], fields["spool"])
        if "max_age" not in given:
            fields["max_age"] = SPOOL_MAX_AGE_SECONDS
    if per_minute is not None:
        per_second = per_minute / 60
    burst = made["burst"]
    if per_minute is not None and "burst" not in given:
        burst = max(1, min(burst, int(per_minute) // 4))
    fields.update(
        batch_size=max_batch
        if batch_size is None
        else checks.integer("batch_size", batch_size, 1, max_batch),
        requests_per_second=None if per_second is None else per_second / share,
        burst=max(1, burst // share),
        window=None if per_minute is None or per_minute < 1 else _window(int(per_minute), share),
        **{name: None if made[name] is None else max(1, made[name] // share) for name in _BUDGETS},
    )
    return PipelineSettings(**fields)


def _rates(made: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Requests a second and a minute, one of them None: what the user gave replaces the service's own."""
    named = [name for name in _RATES if name in given] or _RATES
    per_second, per_minute = (made[name] if name in named else None for name in _RATES)
    if per_second is not None and per_minute is not None:
        raise SettingsError(
            "requests_per_second and requests_per_minute exclude each other: leave one of them off"
        )
    return per_second, per_minute


def _check_what_belongs_together(
    made: Mapping[str, Any], given: Mapping[str, Any], *, has_rate: bool
) -> None:
    has_budget = any(made[name] is not None for name in _BUDGETS)
    if made["durability"] == "commit" and made["spool"] is None:
        raise SettingsError('durability="commit" needs a directory to commit to: give spool= as well')
    if made["budget_reserve"] != _USUAL_RESERVE and not has_budget:
        raise SettingsError(f"budget_reserve belongs to a budget: give {' or '.join(_BUDGETS)} with it")
    if "burst" in given and not has_rate:
        raise SettingsError(f"burst belongs to a rate limit: {_RATE_HINT}")
    if made["share"] > 1 and not has_rate and not has_budget:
        raise SettingsError(
            f"share divides a rate limit or a budget: {_RATE_HINT}, or {' or '.join(_BUDGETS)}"
        )


_USUAL_RESERVE = next(option.default for option in OPTIONS if option.name == "budget_reserve")


def _window(per_minute: int, share: int) -> tuple[int, float]:
    """One process's part of a minute's calls; where that is less than one, a whole one in a longer window."""
    if per_minute >= share:
        return per_minute // share, _WINDOW_SECONDS
    return 1, _WINDOW_SECONDS * share / per_minute
