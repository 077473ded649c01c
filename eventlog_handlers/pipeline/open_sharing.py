"""Makes a handler's ``Sharing`` from its settings. Opens no file and no connection: a record does that."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from eventlog_handlers.events import Event
from eventlog_handlers.pipeline.sharing import Sharing
from eventlog_handlers.process import clock
from eventlog_handlers.process.randomness import random_fraction
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.settings.secret import Secret
from eventlog_handlers.settings.values import PipelineSettings

if TYPE_CHECKING:
    from eventlog_handlers.share.contract import Coordinator
    from eventlog_handlers.share.fleet_url import FleetAddress


def made_sharing(
    pipeline: PipelineSettings,
    self_log: SelfLog,
    own_event: Callable[[str], Event],
    *,
    service: str,
    endpoint: str,
    key: Secret | str,
    address: str,
) -> Sharing | None:
    """A part in the scope that *pipeline* names; None where nothing is shared with other processes.

    *key* is the account's, *address* the rest of the route. Raises SettingsError for a URL that is none,
    MissingExtraError for one without redis-py.
    """
    has_budget = pipeline.max_events_per_hour is not None or pipeline.max_events_per_day is not None
    has_rate = pipeline.requests_per_second is not None
    folds = pipeline.aggregate_seconds is not None
    scope: str | FleetAddress = "redis"
    if isinstance(pipeline.scope, Secret):
        from eventlog_handlers.share.fleet_url import fleet_address
        from eventlog_handlers.share.redis_link import require_redis

        scope = fleet_address(pipeline.scope.reveal(), os.environ, option="scope")
        require_redis()
    else:
        scope = pipeline.scope
    if scope == "process" or pipeline.dry_run or pipeline.is_disabled:
        return None
    if not (has_rate or has_budget or folds):
        return None

    def make() -> Coordinator:
        return made_coordinator(
            scope, pipeline, self_log, service, endpoint, key.reveal() if isinstance(key, Secret) else key
        )

    return Sharing(
        make,
        address=address,
        folds=folds,
        has_rate=has_rate,
        own_event=own_event,
        clock=clock.monotonic,
        asked_for=scope if isinstance(scope, str) else "redis",
    )


def made_coordinator(
    scope: str | FleetAddress,
    pipeline: PipelineSettings,
    self_log: SelfLog,
    service: str,
    endpoint: str,
    key: str,
) -> Coordinator:
    """What the processes of one account at *endpoint* agree by, in *scope*."""
    from eventlog_handlers.share.allowance import Allowances
    from eventlog_handlers.share.contract import Limits
    from eventlog_handlers.share.scopes import Agreement, Surroundings, account, open_coordinator

    budgets = ((pipeline.max_events_per_hour, "hour"), (pipeline.max_events_per_day, "day"))
    rate = pipeline.requests_per_second
    return open_coordinator(
        scope,
        account(service, endpoint, key),
        Agreement(
            limits=None if rate is None else Limits(rate, pipeline.burst, pipeline.window),
            allowances=Allowances(
                tuple((limit, period) for limit, period in budgets if limit is not None),
                pipeline.budget_reserve,
            ),
            window_seconds=pipeline.aggregate_seconds or 60.0,
        ),
        Surroundings(
            environ=os.environ,
            clock=clock.monotonic,
            wall_clock=time.time,
            rand=random_fraction,
            pause=time.sleep,
            say=self_log.say_once,
            unsay=self_log.forget,
        ),
    )
