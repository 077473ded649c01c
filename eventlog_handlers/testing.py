"""Aids for tests of applications and of this package: a clock to turn by hand, a sink with a script.

Public API. The pytest fixture ``eventlog_console``, the local stand-in of the three services, needs no
import: it is there in every test once the package is installed with the extra ``[console]``.
"""

from __future__ import annotations

import json
import random
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from eventlog_handlers.buffers import Buffer
from eventlog_handlers.buffers.memory import MemoryBuffer
from eventlog_handlers.events import DELIVERED, Code, Event, Limits, Outcome, Payload
from eventlog_handlers.pipeline.life import Parts
from eventlog_handlers.pipeline.pacing import Pacer
from eventlog_handlers.pipeline.sharing import Sharing
from eventlog_handlers.pipeline.sink import Sink
from eventlog_handlers.pipeline.worker import Worker
from eventlog_handlers.process import green
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.record.captured import Capture
from eventlog_handlers.record.render import render
from eventlog_handlers.record.sender import Identity
from eventlog_handlers.settings.values import PipelineSettings

Answer = Exception | Outcome | Sequence[Outcome] | Callable[[Sequence[Event]], Sequence[Outcome]] | None


class ManualClock:
    """Seconds that pass only by ``advance``; call it to read it."""

    def __init__(self, start: float = 1_000.0) -> None:
        self.now = start

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.now += seconds


class ScriptedSink:
    """A service that answers each request with the next of *answers*, then delivers everything.

    An answer is an exception to raise, one outcome for every event, a list of outcomes, a function of the
    events, or None for "delivered". An event's size is that of its JSON. May be used from several threads.
    """

    def __init__(self, *answers: Answer, max_events: int = 10, request_bytes: int = 100_000) -> None:
        self.limits = Limits(max_events, request_bytes)
        self.answers: deque[Answer] = deque(answers)
        self.requests: list[list[Event]] = []
        """The events of each request, refused and failed ones included."""
        self.delivered: list[Event] = []
        self.timeouts: list[float] = []
        self.closed = 0
        self._lock = green.Lock()

    def encode(self, event: Event, max_bytes: int | None = None) -> Payload:
        """The event's JSON; *max_bytes* shortens the message."""
        body = json.dumps(event.to_json())
        if max_bytes is not None and len(body) > max_bytes:
            event = event._replace(
                message=event.message[: max(0, len(event.message) + max_bytes - len(body))]
            )
            body = json.dumps(event.to_json())
        return Payload(event, body, len(body))

    def send(self, payloads: Sequence[Payload], *, timeout: float) -> Sequence[Outcome]:
        """Answer as the script says."""
        events = [payload.event for payload in payloads]
        with self._lock:
            self.requests.append(events)
            self.timeouts.append(timeout)
            answer = self.answers.popleft() if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        outcomes: Sequence[Outcome]
        if answer is None:
            outcomes = [DELIVERED] * len(events)
        elif isinstance(answer, Outcome):
            outcomes = [answer] * len(events)
        else:
            outcomes = answer(events) if callable(answer) else answer
        with self._lock:
            for event, outcome in zip(events, outcomes, strict=False):
                if outcome.disposition is DELIVERED.disposition:
                    self.delivered.append(event)
        return outcomes

    def close(self) -> None:
        """Count it."""
        self.closed += 1


def make_event(message: str = "something happened", level: int = 40, **fields: Any) -> Event:
    """An event with every required field set; *fields* replace them."""
    event = Event(
        id=uuid.uuid4().hex,
        time=1_790_000_000.123,
        level=level,
        level_name="ERROR",
        status="critical"
        if level >= 50
        else "error"
        if level >= 40
        else "warning"
        if level >= 30
        else "info",
        logger="shop.orders",
        message=message,
        template=message,
        fingerprint="0123456789abcdef",
        exception=None,
        stack="",
        attributes={},
        code=Code("shop/orders.py", 7, "place", "orders"),
        thread_id=1,
        thread_name="MainThread",
        process_id=2,
        host="web-1",
        service="shop",
        env="test",
        tags={},
        trace_id=None,
        span_id=None,
    )
    return event._replace(**fields)


def make_worker(
    sink: Sink,
    clock: Callable[[], float],
    *,
    buffer: Callable[[], Buffer] | None = None,
    render_capture: Callable[[Capture], Event | None] | None = None,
    start_thread: Callable[[Callable[[], None], str], None] | None = None,
    rand: Callable[[], float] = lambda: 0.5,
    cpu_clock: Callable[[], float] = lambda: 0.0,
    pacer: Pacer | None = None,
    sharing: Sharing | None = None,
    **settings: Any,
) -> Worker:
    """A worker around *sink* that starts no thread unless *start_thread* is given: drive it by ``step()``.

    *settings* are fields of ``PipelineSettings``.
    """
    pipeline = PipelineSettings(**{"batch_size": sink.limits.max_events, **settings})
    who = Identity("shop", "test", "web-1", {})

    def make_buffer(report: Callable[[str, str], None]) -> Buffer:
        if buffer is not None:
            return buffer()
        return MemoryBuffer(
            capacity=pipeline.capacity,
            capacity_bytes=pipeline.capacity_bytes,
            policy=pipeline.when_full,
            clock=clock,
        )

    parts = Parts(
        make_sink=lambda: sink,
        make_buffer=make_buffer,
        render=render_capture or (lambda captured: render(captured, who)),
        own_event=lambda loss: make_event(loss.sentence(), max(loss.by_level)),
        start_thread=start_thread or _refuse_threads,
        pacer=pacer if sharing is None else sharing.pacer,
        sharing=sharing,
        clock=clock,
        cpu_clock=cpu_clock,
        wall_clock=clock,
        rand=rand,
        self_log=SelfLog("ScriptedSink"),
    )
    return Worker("ScriptedSink", pipeline, parts, inline_seconds=0.0)


def settle(worker: Worker, clock: ManualClock, *, seconds: float = 600.0) -> None:
    """Step *worker*, turning *clock* on where it waits, until nothing is pending or *seconds* passed."""
    end = clock() + seconds
    while worker.stats()["pending"] and clock() < end:
        idle = worker.step()
        if idle is not None:
            clock.advance(max(0.001, min(60.0, 60.0 if idle.seconds is None else idle.seconds)))


def jitter(seed: int) -> Callable[[], float]:
    """A repeatable source of jitter."""
    return random.Random(seed).random  # noqa: S311 - not for secrets


def _refuse_threads(run: Callable[[], None], name: str) -> None:
    raise RuntimeError("no threads in this test")


def assert_logging(config: object, *, warnings: bool = False) -> None:
    """Assert that a ``dictConfig`` is right, without applying it: for the tests of an application.

    It fails for what would not work (an option that is misspelt, a handler that is not defined), with
    *warnings* also for loggers whose records reach no handler of this package. It makes no connection, and
    says what ``eventlog-handlers check --config`` says.
    """
    from eventlog_handlers.diagnosis import dict_config

    wanted = ("problem", "warning") if warnings else ("problem",)
    found = [one for one in dict_config.check(config) if one.level in wanted]
    if found:
        raise AssertionError("\n".join(f"{one.topic}: {one.text} ({one.remedy})" for one in found))
