"""The three services as a test of faults sees them, a server in their place, handlers whose time stands.

``Backend`` is a FaultServer that keeps what it processed, by event id; ``by_hand`` takes a real handler off
its threads and its clock, so that hours of backoff pass in no time while requests go over real sockets.
"""

from __future__ import annotations

import json
import logging
import re
import ssl
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import boto3
from faultserver import FaultServer, Reply, Request

from eventlog_handlers.buffers.memory import MemoryBuffer
from eventlog_handlers.errors import MisconfiguredError
from eventlog_handlers.events import Limits, Payload
from eventlog_handlers.handler import EventHandler
from eventlog_handlers.pipeline.worker import Worker
from eventlog_handlers.process import exit as process_exit
from eventlog_handlers.services.cloudwatch.handler import CloudWatchEventsHandler
from eventlog_handlers.services.cms.handler import CMSHandler
from eventlog_handlers.services.guance.handler import GuanceHandler
from eventlog_handlers.testing import ManualClock, settle

KEY_ID = "LTAIfaultrow"
SECRET = "secret-of-the-fault-rows"
CALM = {"timeout": (5.0, 10.0)}
"""For rows in which nothing hangs: a slow machine must not look like a hanging service."""
HASTY = {"timeout": (0.3, 0.4)}
"""For rows in which something hangs."""

_SESSION = boto3.Session(KEY_ID, SECRET, region_name="us-east-1")  # one for all: each costs 0.1 s


class Arrived(NamedTuple):
    """An event in a request."""

    id: str
    message: str


def _reply(status: int = 200, headers: dict[str, str] | None = None, **fields: Any) -> Reply:
    return Reply(json.dumps(fields).encode(), status, headers or {})


class Service:
    """How one service speaks. ``batch`` events fit a request."""

    name: str
    batch: int
    has_verdict_per_event = False

    def handler(self, url: str, **options: Any) -> EventHandler:
        """The real handler, unpaced, for the service at *url*."""
        raise NotImplementedError

    def events(self, request: Request) -> list[Arrived]:
        """What *request* carries, in order."""
        raise NotImplementedError

    def delivered(self, request: Request) -> Reply:
        """The answer that proves a delivery of all of it."""
        raise NotImplementedError

    def failure(self, code: str, status: int = 400, message: str = "because", **headers: str) -> Reply:
        """An error in the service's form."""
        raise NotImplementedError

    refused_code: str
    throttled: tuple[str, int]

    def __repr__(self) -> str:
        return self.name


class CMS(Service):
    name = "cms"
    batch = 50
    refused_code = "ParameterInvalid"
    throttled = ("Throttling.User", 400)

    def handler(self, url: str, **options: Any) -> EventHandler:
        return CMSHandler(
            **{
                "endpoint": url,
                "access_key_id": KEY_ID,
                "access_key_secret": SECRET,
                "requests_per_second": None,
                **options,
            }
        )

    def events(self, request: Request) -> list[Arrived]:
        form = dict(parse_qsl(request.body.decode(), strict_parsing=True))
        contents = (form.get(f"EventInfo.{number}.Content") for number in range(1, 51))
        return [
            Arrived(
                re.findall(r"^event_id: (\w{32})$", content, re.MULTILINE)[-1],
                content.split("\n", 1)[0].partition(" ")[2],
            )
            for content in contents
            if content is not None
        ]

    def delivered(self, request: Request) -> Reply:
        return _reply(Code="200", Message="success", RequestId="R-1")

    def failure(self, code: str, status: int = 400, message: str = "because", **headers: str) -> Reply:
        return _reply(status, headers, Code=code, Message=message, RequestId="R-1", HostId="h")


class Guance(Service):
    name = "guance"
    batch = 1
    refused_code = "ft.InvalidParameter"
    throttled = ("ft.TriggerApiAkCurrentLimiting", 401)

    def handler(self, url: str, **options: Any) -> EventHandler:
        return GuanceHandler(
            **{
                "endpoint": url,
                "api_key": SECRET,
                "requests_per_minute": None,
                "aggregate_seconds": None,
                **options,
            }
        )

    def events(self, request: Request) -> list[Arrived]:
        body = json.loads(request.body)
        return [Arrived(body["customTags"]["event_uid"], body["title"])]

    def delivered(self, request: Request) -> Reply:
        return _reply(code=200, content=True, errorCode="", message="", success=True, traceId="T")

    def failure(self, code: str, status: int = 400, message: str = "because", **headers: str) -> Reply:
        return _reply(status, headers, code=status, errorCode=code, message=message, success=False)


class CloudWatch(Service):
    name = "cloudwatch"
    batch = 10
    has_verdict_per_event = True
    refused_code = "ValidationException"
    throttled = ("ThrottlingException", 400)

    def handler(self, url: str, **options: Any) -> EventHandler:
        return CloudWatchEventsHandler(
            **{"endpoint_url": url, "region_name": "us-east-1", "session": _SESSION, **options}
        )

    def events(self, request: Request) -> list[Arrived]:
        details = [json.loads(entry["Detail"]) for entry in json.loads(request.body)["Entries"]]
        return [Arrived(detail["event"]["id"], detail["message"]) for detail in details]

    def delivered(self, request: Request) -> Reply:
        entries = [{"EventId": event.id} for event in self.events(request)]
        return _reply(FailedEntryCount=0, Entries=entries)

    def failure(self, code: str, status: int = 400, message: str = "because", **headers: str) -> Reply:
        return _reply(status, headers, __type=f"com.amazonaws.events#{code}", message=message)


CMS_, GUANCE, CLOUDWATCH = CMS(), Guance(), CloudWatch()
SERVICES = (CMS_, GUANCE, CLOUDWATCH)

Turn = Reply | Callable[["Backend", Request], Reply]


def deliver(backend: Backend, request: Request) -> Reply:
    """The turn of a service that is well."""
    backend.process(request)
    return backend.service.delivered(request)


def process_but(reply: Reply) -> Callable[[Backend, Request], Reply]:
    """A turn that processes the request and then answers with *reply*, whatever is wrong with that."""

    def turn(backend: Backend, request: Request) -> Reply:
        backend.process(request)
        return reply

    return turn


def deliver_but(**fault: Any) -> Callable[[Backend, Request], Reply]:
    """A turn that processes the request and answers rightly, with the fields of Reply in *fault* on top."""

    def turn(backend: Backend, request: Request) -> Reply:
        return deliver(backend, request)._replace(**fault)

    return turn


class Backend(FaultServer):
    """One of the services behind a FaultServer; after *script* all is well with it.

    ``processed`` has every event of every request that was acted on, copies too, in order.
    """

    def __init__(
        self,
        service: Service,
        *script: Turn,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
        backlog: int | None = None,
        is_accepting: bool = True,
        ends_well: bool = True,
    ) -> None:
        self.service = service
        self.processed: list[Arrived] = []
        turns = [*script, deliver] if ends_well else list(script)
        super().__init__(
            *(turn if isinstance(turn, Reply) else self._bound(turn) for turn in turns),
            tls=tls,
            port=port,
            backlog=backlog,
            is_accepting=is_accepting,
        )

    def _bound(self, turn: Callable[[Backend, Request], Reply]) -> Callable[[Request], Reply]:
        return lambda request: turn(self, request)

    def process(self, request: Request) -> None:
        """Act on the events of *request*."""
        self.processed.extend(self.service.events(request))

    def carried(self) -> list[list[str]]:
        """The messages of each request, processed or not."""
        return [[event.message for event in self.service.events(request)] for request in self.requests]


def free_port() -> int:
    """A port that nobody listens on any more."""
    with FaultServer(is_accepting=False) as server:
        return server.port


# --- Handlers ----------------------------------------------------------------------------------------------


def names(count: int, start: int = 0) -> list[str]:
    """Messages that differ."""
    return [f"event {number}" for number in range(start, start + count)]


def log(handler: EventHandler, messages: Iterable[str], level: int = logging.ERROR) -> None:
    """One record each."""
    for message in messages:
        handler.handle(logging.LogRecord("shop.orders", level, "shop.py", 7, message, None, None))


@contextmanager
def running(service: Service, url: str, **options: Any) -> Iterator[EventHandler]:
    """The real handler with its own threads and clock."""
    handler = service.handler(url, **{**CALM, "flush_interval": 0.0, **options})
    try:
        yield handler
    finally:
        _abandon(handler)


class Stepped(NamedTuple):
    """A real handler whose worker is driven by hand."""

    handler: EventHandler
    worker: Worker
    clock: ManualClock

    def log(self, *messages: str, level: int = logging.ERROR) -> None:
        """One record each."""
        log(self.handler, messages, level)

    def send_once(self) -> float:
        """Make the next request; the seconds the worker then wants to rest before another."""
        requests = self.handler.stats()["requests"]
        while self.handler.stats()["requests"] == requests:
            assert self.handler.stats()["pending"], "there is nothing to send"
            idle = self.worker.step()
            if idle is not None:
                self.clock.advance(max(0.001, 1.0 if idle.seconds is None else idle.seconds))
        idle = self.worker.step()
        return 0.0 if idle is None or idle.seconds is None else round(idle.seconds, 6)

    def run(self, seconds: float) -> None:
        """Let *seconds* pass, sending whatever is due meanwhile."""
        end = self.clock() + seconds
        while (left := end - self.clock()) > 1e-6:
            idle = self.worker.step()
            if idle is not None:
                self.clock.advance(left if idle.seconds is None else min(left, max(0.001, idle.seconds)))

    def settle(self, seconds: float = 3_000.0) -> dict[str, Any]:
        """Let at most *seconds* pass, or until nothing is pending; the statistics then."""
        settle(self.worker, self.clock, seconds=seconds)
        return self.handler.stats()


@contextmanager
def by_hand(service: Service, url: str, *, rand: float = 0.5, **options: Any) -> Iterator[Stepped]:
    """The real handler with everything of its own but threads, chance and the clock of its worker.

    The sink keeps the real clock: its timeouts are for real sockets.
    """
    handler = service.handler(
        url, **{**CALM, "flush_interval": 0.0, "concurrency": 1, "scope": "process", **options}
    )
    worker, clock = handler._worker, ManualClock()
    settings = worker.settings
    worker._clock = clock
    worker._inline_seconds = 0.0
    worker._parts = worker._parts._replace(
        clock=clock,
        wall_clock=clock,
        rand=lambda: rand,
        start_thread=_refuse,
        make_buffer=lambda report: MemoryBuffer(
            capacity=settings.capacity,
            capacity_bytes=settings.capacity_bytes,
            policy=settings.when_full,
            clock=clock,
        ),
    )
    worker._begin_life()
    try:
        yield Stepped(handler, worker, clock)
    finally:
        _abandon(handler)


def _refuse(run: Callable[[], None], name: str) -> None:
    raise RuntimeError("no threads here")


def _abandon(handler: EventHandler) -> None:
    """Have nothing of *handler* wait, or be sent, at the end of the tests."""
    worker = handler._worker
    delivery = worker._life.delivery
    if delivery._sink is not None:
        delivery._sink.close()
    delivery._sink = _Gone()  # the port may become another test's
    process_exit.leave(worker)
    logging._handlerList[:] = [known for known in logging._handlerList if known() is not handler]


class _Gone:
    """The sink of a handler whose test is over."""

    limits = Limits(50, 480_000)

    def encode(self, event: Any, max_bytes: int | None = None) -> Payload:
        return Payload(event, b"", 0)

    def send(self, payloads: Any, *, timeout: float) -> Any:
        raise MisconfiguredError("over")

    def close(self) -> None: ...


# --- The law -----------------------------------------------------------------------------------------------


def assert_law(stats: dict[str, Any]) -> None:
    """Everything accepted is delivered, dropped for a reason, aggregated or still held."""
    dropped = sum(stats["dropped"].values())
    assert stats["accepted"] == stats["delivered"] + dropped + stats["aggregated"] + stats["pending"], stats
    assert dropped == sum(stats["dropped_by_level"].values()), stats


def assert_arrived(
    handler: EventHandler,
    backend: Backend,
    messages: Collection[str],
    *,
    copies: int = 1,
    lost: Collection[str] = (),
) -> None:
    """All of *messages* but *lost* were processed, each at most *copies* times under one id; nothing else.

    What the handler counts as delivered is what the service processed, and what it counts as dropped is lost.
    """
    stats = handler.stats()
    assert_law(stats)
    assert stats["accepted"] == len(messages), stats
    assert stats["pending"] == 0, stats
    assert stats["delivered"] == len(messages) - len(lost), stats
    arrived = Counter(event.message for event in backend.processed)
    assert set(arrived) == set(messages) - set(lost)
    assert max(arrived.values(), default=0) <= copies, arrived
    assert len({event.id for event in backend.processed}) == len(arrived)
    assert len(set(backend.processed)) == len(arrived)


def assert_held(handler: EventHandler, backend: Backend | None, count: int) -> None:
    """Nothing was processed, nothing dropped: all *count* events wait."""
    stats = handler.stats()
    assert_law(stats)
    assert (stats["pending"], stats["accepted"], stats["delivered"]) == (count, count, 0), stats
    assert backend is None or backend.processed == []
