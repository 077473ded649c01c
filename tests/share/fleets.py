"""Servers, and members over them, for the tests of a fleet."""

from __future__ import annotations

import time
from pathlib import Path

from around import Said, surroundings
from redis_server import RedisServer

from eventlog_handlers.share.contract import Limits
from eventlog_handlers.share.fallback import Fallback
from eventlog_handlers.share.fleet import FleetCoordinator
from eventlog_handlers.share.fleet_url import FleetAddress, fleet_address
from eventlog_handlers.share.redis_link import RedisLink
from eventlog_handlers.share.scopes import Agreement, fleet_scope

PROBLEM = b"p" * 16
LIMITS = Limits(1.0, 1, None)
CANARY = "s3cret-canary"


def address(server: RedisServer, **changes) -> FleetAddress:
    return fleet_address(server.url, {}, option="scope")._replace(**changes)


def coordinator(server: RedisServer, limits: Limits | None = LIMITS, **options) -> FleetCoordinator:
    """A member that raises what happens."""
    return FleetCoordinator(
        RedisLink(options.pop("address", None) or address(server)),
        "q",
        limits=limits,
        clock=time.monotonic,
        rand=lambda: 0.5,
        **options,
    )


def fallback(server: RedisServer, runtime: Path, said: Said | None = None, **changes) -> Fallback:
    """A member that goes on with its host's scope."""
    agreement = changes.pop("agreement", Agreement(Limits(100.0, 20, (20, 60.0)), window_seconds=0.3))
    where = changes.pop("address", None) or address(server)
    return fleet_scope(where, "q", agreement, surroundings(runtime, said, **changes))
