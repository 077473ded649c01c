"""Queues, sinks and buffers over a test's Redis."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from redis_server import RedisServer

from eventlog_handlers.events import Event
from eventlog_handlers.relay.buffer import StreamBuffer
from eventlog_handlers.relay.stream import READABLE, Stream
from eventlog_handlers.services.relay.options import settings
from eventlog_handlers.services.relay.sink import RelaySink
from eventlog_handlers.share.fleet_scripts import prefix
from eventlog_handlers.share.fleet_url import FleetAddress, fleet_address
from eventlog_handlers.share.redis_link import RedisLink
from eventlog_handlers.testing import ManualClock, make_event

QUEUE = "q"
_numbers = itertools.count()


def address(server: RedisServer, **changes: Any) -> FleetAddress:
    return fleet_address(server.url, {}, option="url")._replace(**changes)


def sink(server: RedisServer, **options: Any) -> RelaySink:
    """A sink that puts into QUEUE."""
    return RelaySink(settings({"url": server.url, "queue": QUEUE, **options}, {})[0])


def events(count: int, **fields: Any) -> list[Event]:
    """Events of a problem each."""
    return [make_event(f"number {n}", fingerprint=f"{next(_numbers):016x}", **fields) for n in range(count)]


def put(server: RedisServer, some: Sequence[Event], **options: Any) -> None:
    """Put *some* into QUEUE; each is its own problem, or folds are off."""
    sender = sink(server, **options)
    outcomes = sender.send([sender.encode(event) for event in some], timeout=5)
    assert all(outcome.disposition.value == "delivered" for outcome in outcomes)
    sender.close()


def length(server: RedisServer) -> int:
    """Entries of QUEUE that are not settled."""
    client = server.client()
    return sum(client.xlen(f"{prefix(QUEUE)}s{severity}") for severity in range(4))


def dead(server: RedisServer) -> list[dict[bytes, bytes]]:
    """What was given up."""
    return [fields for _, fields in server.client().xrange(f"{prefix(QUEUE)}dead")]


class Held:
    """One relay's buffer over QUEUE, with a clock that is turned by hand."""

    def __init__(
        self,
        server: RedisServer,
        relay: str = "one",
        *,
        room: int = 100,
        idle_seconds: float = 0.0,
        readable: Sequence[str] = READABLE,
        budget: int | None = None,
        link: RedisLink | None = None,
    ) -> None:
        self.clock = ManualClock()
        self._said: dict[str, str] = {}
        self.left = budget
        self.stream = Stream(
            link or RedisLink(address(server)), QUEUE, relay, idle_seconds=idle_seconds, readable=readable
        )
        self.buffer = StreamBuffer(
            self.stream,
            room=room,
            charge=self._charge,
            clock=self.clock,
            report=self._said.setdefault,
        )

    @property
    def said(self) -> list[str]:
        """What the user was told, once per key."""
        return list(self._said.values())

    def _charge(self, criticals: Sequence[bool]) -> list[bool]:
        if self.left is None:
            return [True] * len(criticals)
        answers = [number < self.left for number in range(len(criticals))]
        self.left -= sum(answers)
        return answers

    def turn(self, seconds: float = 3.0) -> int:
        """Some time later: settle, renew, claim."""
        self.clock.advance(seconds)
        return self.buffer.adopt()

    def messages(self, count: int = 1_000) -> list[str]:
        """Lease, and say what."""
        return [lease.event.message for lease in self.buffer.lease(count)]
