"""The backends side by side: each gives members by name over one shared state, with a clock set by hand."""

from __future__ import annotations

import atexit
import itertools
import tempfile
from pathlib import Path
from typing import Any

import redis_server
from redis_server import RedisServer

from eventlog_handlers.share.coordinator import StoreCoordinator
from eventlog_handlers.share.fleet import FleetCoordinator
from eventlog_handlers.share.fleet_scripts import Scripts, prefix
from eventlog_handlers.share.fleet_url import fleet_address
from eventlog_handlers.share.host import MappedStore
from eventlog_handlers.share.memory import MemoryStore, Shared
from eventlog_handlers.share.redis_link import RedisLink
from eventlog_handlers.share.scopes import Agreement
from eventlog_handlers.testing import ManualClock

WALL = 1_700_000_000.0


class Backend:
    """Members of one shared state. ``clock.now`` is everybody's time."""

    def __init__(self, directory: str, agreement: Agreement) -> None:
        self.directory = directory
        self.agreement = agreement
        self.clock = ManualClock()
        self.clock.now = 1_000.0
        self._members: dict[str, Any] = {}

    @classmethod
    def require(cls) -> None:
        """Skip the test where something is missing."""

    def member(self, name: str) -> Any:
        """The member *name*, a new process if there is none."""
        if name not in self._members:
            self._members[name] = self.made()
        return self._members[name]

    def crash(self, name: str) -> None:
        """Its process ends without a word."""
        self._members.pop(name, None)

    def made(self) -> Any:
        """A new member."""
        raise NotImplementedError

    def wall(self) -> float:
        """Seconds since the epoch."""
        return WALL + self.clock.now

    def close(self) -> None:
        """End all members."""
        for member in self._members.values():
            member.close()

    def coordinator(self, store: Any) -> StoreCoordinator:
        """A member over *store*."""
        return StoreCoordinator(
            store,
            limits=self.agreement.limits,
            allowances=self.agreement.allowances,
            window_seconds=self.agreement.window_seconds,
            clock=self.clock,
            wall_clock=self.wall,
        )


class ProcessBackend(Backend):
    """Everything in memory: the oracle."""

    def __init__(self, directory: str, agreement: Agreement) -> None:
        super().__init__(directory, agreement)
        self._shared = Shared()

    def made(self) -> StoreCoordinator:
        return self.coordinator(MemoryStore(self._shared))


class HostBackend(Backend):
    """A mapped file."""

    def made(self) -> StoreCoordinator:
        environ = {"EVENTLOG_RUNTIME_DIR": str(Path(self.directory) / "run")}
        return self.coordinator(
            MappedStore("account-v1.share", environ, clock=self.clock, wall_clock=self.wall)
        )


_server: list[RedisServer] = []
_queues = itertools.count()


class FleetBackend(Backend):
    """Redis, one server for all examples; each has its own keys. The scripts read the clock from a key."""

    CLOCK = "local now = tonumber(redis.call('GET', prefix .. 'clock'))"

    def __init__(self, directory: str, agreement: Agreement) -> None:
        super().__init__(directory, agreement)
        if not _server:
            _server.append(RedisServer(Path(tempfile.mkdtemp(prefix="share-redis"))))
            atexit.register(_server[0].stop)
        self.queue = f"q{next(_queues)}"
        self.redis = _server[0].client()

    @classmethod
    def require(cls) -> None:
        redis_server.require()

    def member(self, name: str) -> FleetCoordinator:
        self.redis.set(f"{prefix(self.queue)}clock", repr(self.wall()))
        member: FleetCoordinator = super().member(name)
        member._slowdown = 0.5  # else it asks nobody before it has taken a place
        return member

    def made(self) -> FleetCoordinator:
        return FleetCoordinator(
            RedisLink(fleet_address(_server[0].url, {}, option="scope")),
            self.queue,
            limits=self.agreement.limits,
            allowances=self.agreement.allowances,
            window_seconds=self.agreement.window_seconds,
            clock=self.clock,
            rand=lambda: 0.0,
            book_ahead_seconds=0.0,
            scripts=Scripts(self.CLOCK),
        )

    def close(self) -> None:
        super().close()
        self.redis.close()


BACKENDS: dict[str, type[Backend]] = {"process": ProcessBackend, "host": HostBackend, "fleet": FleetBackend}
