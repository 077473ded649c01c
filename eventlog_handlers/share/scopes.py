"""Makes the coordinator that the option ``scope`` names. Its first question opens the file or connection."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from eventlog_handlers.share.allowance import Allowances
from eventlog_handlers.share.contract import Coordinator, CoordinatorError, Limits
from eventlog_handlers.share.coordinator import StoreCoordinator
from eventlog_handlers.share.fallback import Fallback
from eventlog_handlers.share.fleet_url import FleetAddress
from eventlog_handlers.share.layout import SCHEMA
from eventlog_handlers.share.memory import MemoryStore
from eventlog_handlers.share.roles import AloneCoordinator, SharedCoordinator
from eventlog_handlers.share.store import Store

if TYPE_CHECKING:
    from eventlog_handlers.share.host import MappedStore


class Surroundings(NamedTuple):
    """What a coordinator is given. *clock* is the system's monotonic clock, *rand* gives 0 to 1, *pause*
    sleeps, *say(key, text)* tells the user something once per key, *unsay(key)* lets it come again."""

    environ: Mapping[str, str]
    clock: Callable[[], float]
    wall_clock: Callable[[], float]
    rand: Callable[[], float]
    pause: Callable[[float], None]
    say: Callable[[str, str], None]
    unsay: Callable[[str], bool]


class Agreement(NamedTuple):
    """What the members agree on: the account's rate limit, its budgets, and a problem's first window."""

    limits: Limits | None
    allowances: Allowances = Allowances()
    window_seconds: float = 60.0


def account(service: str, endpoint: str, key: str) -> str:
    """A name for an account at an endpoint: 32 hex digits. The key cannot be told from it."""
    digest = hashlib.blake2b(digest_size=16, person=b"eventlog-share")
    for part in (service, endpoint, key):
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def open_coordinator(
    scope: str | FleetAddress, name: str, agreement: Agreement, around: Surroundings
) -> Coordinator:
    """The coordinator of *scope*: ``process``, ``host``, or an address. *name* is the ``account``'s.

    Raises MissingExtraError for an address without redis-py.
    """
    if isinstance(scope, FleetAddress):
        return fleet_scope(scope, name, agreement, around)
    if scope == "host":
        return host_scope(name, agreement, around)
    return process_scope(agreement, around)


def process_scope(agreement: Agreement, around: Surroundings) -> StoreCoordinator:
    """Shared by the threads of this process."""
    return _over(MemoryStore(), agreement, around)


def host_scope(name: str, agreement: Agreement, around: Surroundings) -> Fallback:
    """Shared by the processes of this user on this host."""
    alone = process_scope(agreement, around)
    return _falling_back(_over(_host_store(name, around), agreement, around), alone, alone, agreement, around)


def fleet_scope(address: FleetAddress, name: str, agreement: Agreement, around: Surroundings) -> Fallback:
    """Shared by all processes that ask the Redis at *address*; while it is away, by those of the host."""
    from eventlog_handlers.share.fleet import FleetCoordinator
    from eventlog_handlers.share.redis_link import RedisLink, require_redis

    require_redis()
    store = _host_store(name, around)
    alone = process_scope(agreement, around)
    host = _falling_back(_over(store, agreement, around), alone, alone, agreement, around)

    def member() -> bytes:
        """A host counts as one member: while Redis is away it shares out its part among its processes."""
        try:
            return store.file_id()
        except CoordinatorError:
            return store.member

    shared = FleetCoordinator(
        RedisLink(address),
        name,
        limits=agreement.limits,
        allowances=agreement.allowances,
        window_seconds=agreement.window_seconds,
        clock=around.clock,
        rand=around.rand,
        member=member,
    )
    return _falling_back(shared, host, process_scope(agreement, around), agreement, around)


def _host_store(name: str, around: Surroundings) -> MappedStore:
    from eventlog_handlers.share.host import MappedStore

    return MappedStore(
        f"{name}-v{SCHEMA}.share", around.environ, clock=around.clock, wall_clock=around.wall_clock
    )


def _over(store: Store, agreement: Agreement, around: Surroundings) -> StoreCoordinator:
    return StoreCoordinator(
        store,
        limits=agreement.limits,
        allowances=agreement.allowances,
        window_seconds=agreement.window_seconds,
        clock=around.clock,
        wall_clock=around.wall_clock,
    )


def _falling_back(
    shared: SharedCoordinator,
    alone: AloneCoordinator,
    guard: StoreCoordinator,
    agreement: Agreement,
    around: Surroundings,
) -> Fallback:
    return Fallback(
        shared,
        alone,
        guard,
        limits=agreement.limits,
        clock=around.clock,
        rand=around.rand,
        pause=around.pause,
        say=around.say,
        unsay=around.unsay,
    )
