"""One queue's pipeline: the destination's own handler, with the queue as its buffer."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from eventlog_handlers._version import __version__
from eventlog_handlers.buffers import Buffer
from eventlog_handlers.errors import SettingsError
from eventlog_handlers.events import Event
from eventlog_handlers.handler import EventHandler
from eventlog_handlers.pipeline.gates import Idle
from eventlog_handlers.pipeline.open_sharing import made_coordinator
from eventlog_handlers.pipeline.sharing import Sharing
from eventlog_handlers.process import clock
from eventlog_handlers.process.host import hostname
from eventlog_handlers.process.randomness import random_fraction
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.relay.buffer import SLACK_SECONDS, StreamBuffer
from eventlog_handlers.relay.coordinator import RelayCoordinator
from eventlog_handlers.relay.stream import Stream
from eventlog_handlers.services.dsn import parse_dsn
from eventlog_handlers.services.registry import SERVICES
from eventlog_handlers.services.relay.options import queue_name
from eventlog_handlers.settings.secret import Secret
from eventlog_handlers.settings.values import PipelineSettings
from eventlog_handlers.share.contract import Coordinator
from eventlog_handlers.share.fleet import FleetCoordinator
from eventlog_handlers.share.fleet_url import FleetAddress
from eventlog_handlers.share.redis_link import RedisLink

LOOK_SECONDS = 1.0
"""How often a relay looks for summaries that are due."""
LEAST_ROOM = 20
_DEFAULTS = {"max_age": 172_800.0, "exit_timeout": 8.0}
"""A queue outlives processes, as a spool does; and ``docker stop`` waits for ten seconds."""
_AT_THE_HANDLER = (
    "level", "service", "env", "tags", "before_send", "level_map", "redact", "aggregate_seconds",
    "capacity", "capacity_bytes", "when_full", "spool", "durability",
)  # fmt: skip
_NOT_HERE = ("scope", "dry_run", "flush_on_sigterm")


class Assignment(NamedTuple):
    """A queue and where it leads."""

    queue: str
    scheme: str
    options: dict[str, Any]


def assignment(text: str) -> Assignment:
    """``guance=guance://cn1``; raises SettingsError, which shows no more than the queue's name."""
    name, separator, dsn = text.partition("=")
    if not separator or "://" in name:
        raise SettingsError("a queue is given as QUEUE=DSN, such as guance=guance://cn1")
    queue = queue_name("QUEUE", name)
    destinations = parse_dsn(dsn)
    if len(destinations) != 1:
        raise SettingsError(f"the queue {queue} has one destination: for another one give another queue")
    ((scheme, options),) = destinations
    if scheme == "relay":
        raise SettingsError(f"the queue {queue} leads to a service, and not to another queue")
    for option in options:
        if option in _AT_THE_HANDLER:
            raise SettingsError(
                f"{option} belongs to the applications' handler, which makes the events: give it there, "
                f"as in relay+redis://host:6379/0?queue={queue}&{option}=…"
            )
        if option in _NOT_HERE:
            raise SettingsError(f"{option} has no meaning in a relay: leave it off")
    return Assignment(queue, scheme, {**_DEFAULTS, **options})


class QueueHandler:
    """Serves the queue of *assigned* at *address*, as the relay *relay*. Raises SettingsError for a wrong
    option or missing credentials. Opens nothing before the first ``turn``."""

    def __init__(self, address: FleetAddress, assigned: Assignment, relay: str) -> None:
        self.queue = assigned.queue
        self._link = RedisLink(address)
        self._started = time.time()
        self._stream = Stream(self._link, assigned.queue, relay, idle_seconds=SLACK_SECONDS)
        self._buffer: StreamBuffer | None = None
        self._shared: Sharing | None = None
        service = SERVICES[assigned.scheme]
        made = type(
            f"{service.handler} of queue {assigned.queue}",
            (service.handler_class(),),
            {
                "make_sharing": staticmethod(lambda *words, **names: self._sharing(address, *words, **names)),
                "make_buffer": staticmethod(self._make_buffer),
            },
        )
        try:
            self.handler = cast(EventHandler, made(**assigned.options))
        except SettingsError as error:
            raise SettingsError(f"queue {assigned.queue}: {error}") from None
        self._worker = self.handler._worker
        self.concurrency = self._worker.settings.concurrency
        where = self.handler.destination
        # Not the key: it may be another one tomorrow.
        self.destination = f"{where.service} {where.endpoint} {where.address}".strip()

    def _make_buffer(
        self,
        pipeline: PipelineSettings,
        report: Callable[[str, str], None],
        *,
        service: str,
        endpoint: str,
        address: str,
    ) -> Buffer:
        self._stream.idle_seconds = sum(pipeline.timeout) + SLACK_SECONDS
        self._buffer = StreamBuffer(
            self._stream,
            room=max(LEAST_ROOM, pipeline.batch_size * (pipeline.concurrency + 1)),
            charge=self._charge,
            clock=clock.monotonic,
            report=report,
        )
        return self._buffer

    def _charge(self, criticals: Sequence[bool]) -> list[bool]:
        if self._shared is None:
            return [True] * len(criticals)
        return [spent is None for spent in self._shared.coordinator().charge(criticals)]

    def _sharing(
        self,
        redis: FleetAddress,
        pipeline: PipelineSettings,
        self_log: SelfLog,
        own_event: Callable[[str], Event],
        *,
        service: str,
        endpoint: str,
        key: Secret,
        address: str,
    ) -> Sharing:
        def make() -> Coordinator:
            account = made_coordinator(redis, pipeline, self_log, service, endpoint, key.reveal())
            problems = FleetCoordinator(
                RedisLink(redis),
                self.queue,
                limits=None,
                window_seconds=pipeline.aggregate_seconds or 60.0,
                clock=clock.monotonic,
                rand=random_fraction,
                look_seconds=LOOK_SECONDS,
            )
            return RelayCoordinator(account, problems, self_log.say_once)

        self._shared = Sharing(
            make,
            address="",
            folds=True,
            has_rate=pipeline.requests_per_second is not None,
            own_event=own_event,
            clock=clock.monotonic,
            asked_for="redis",
        )
        return self._shared

    # --- serving -------------------------------------------------------------------------------------------

    def turn(self) -> Idle | None:
        """Take up to a handful of events, send a request; None if there was something to do."""
        return self._worker.step()

    def register(self, *, leaves: bool = False) -> str:
        """Say that this relay is here; "" or the other destination that relays have for this queue."""
        card = {
            "host": hostname(),
            "pid": os.getpid(),
            "version": __version__,
            "started": round(self._started),
        }
        return self._stream.register(self.destination, json.dumps(card), leaves=leaves)

    def stop(self) -> None:
        """From the next turn on claim nothing, and give back what no request is under way with."""
        if self._buffer is not None:
            self._buffer.stop()

    def give_back(self, seconds: float) -> None:
        """Give back now; send notices of our own in the calling thread, for *seconds* at most."""
        self.handler.work(seconds)

    def close(self) -> None:
        """Let go of the connections."""
        self._link.close()
