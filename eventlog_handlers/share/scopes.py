"""Opens the coordinator that the option ``scope`` names. Opens no file and no connection: that comes with the
first question."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from eventlog_handlers.share.allowance import Allowances
from eventlog_handlers.share.contract import Coordinator, Limits
from eventlog_handlers.share.coordinator import StoreCoordinator
from eventlog_handlers.share.fallback import Fallback
from eventlog_handlers.share.layout import SCHEMA
from eventlog_handlers.share.memory import MemoryStore


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


def process_scope(agreement: Agreement, around: Surroundings) -> StoreCoordinator:
    """Shared by the threads of this process."""
    return StoreCoordinator(
        MemoryStore(),
        limits=agreement.limits,
        allowances=agreement.allowances,
        window_seconds=agreement.window_seconds,
        clock=around.clock,
        wall_clock=around.wall_clock,
    )


def host_scope(name: str, agreement: Agreement, around: Surroundings) -> Fallback:
    """Shared by the processes of this user on this host; *name* is ``account``'s."""
    from eventlog_handlers.share.host import MappedStore

    store = MappedStore(
        f"{name}-v{SCHEMA}.share", around.environ, clock=around.clock, wall_clock=around.wall_clock
    )
    shared = StoreCoordinator(
        store,
        limits=agreement.limits,
        allowances=agreement.allowances,
        window_seconds=agreement.window_seconds,
        clock=around.clock,
        wall_clock=around.wall_clock,
    )
    alone = process_scope(agreement, around)
    return _falling_back(shared, alone, alone, agreement, around)


def _falling_back(
    shared: StoreCoordinator,
    alone: StoreCoordinator,
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


def open_coordinator(scope: str, name: str, agreement: Agreement, around: Surroundings) -> Coordinator:
    """The coordinator of *scope*: ``process`` or ``host``. *name* is the ``account``'s."""
    if scope == "process":
        return process_scope(agreement, around)
    return host_scope(name, agreement, around)
