"""Whatever raises, wherever: the law holds, the next event goes, nothing leaves into the log call.

One exception at a time, at each call of a buffer, a sink, a hook, a clock or the dice, before it has had any
effect there.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from captures import capture
from law import assert_law, submit

from eventlog_handlers import CMSHandler
from eventlog_handlers.buffers.memory import MemoryBuffer
from eventlog_handlers.buffers.spool.buffer import SpoolBuffer
from eventlog_handlers.errors import RefusedError, TransientError
from eventlog_handlers.events import DELIVERED, Disposition, Outcome
from eventlog_handlers.pipeline.pacing import Pacer
from eventlog_handlers.record.captured import Capture
from eventlog_handlers.record.fields import MSG
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_event, make_worker

ERRORS = [MemoryError, ZeroDivisionError]


class Faults:
    """Raises at the *number*-th call of what it wraps, once."""

    def __init__(self, error: type[BaseException], number: int) -> None:
        self.error, self.left = error, number

    def check(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error("injected")

    def wrap(self, target: Any, name: str) -> None:
        function = getattr(target, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.check()
            return function(*args, **kwargs)

        setattr(target, name, call)


BUFFER = ["put", "lease", "ack", "nack", "ready", "ready_bytes", "ready_in", "keys", "lost", "adopt", "bytes"]
SINK = ["encode", "send"]
PARTS = ["render", "rand", "wall_clock", "pacer"]


def answers():
    """A bit of everything that may come back."""
    return [
        TransientError("connect"),
        [Outcome(Disposition.RETRY, "Internal"), DELIVERED, Outcome(Disposition.REJECTED, "Bad"), DELIVERED],
        RefusedError("Malformed"),
    ]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
@pytest.mark.parametrize("place", [*BUFFER, *SINK, *PARTS])
@pytest.mark.parametrize("kind", ["memory", "spool"])
def test_one_exception_at_each_call_costs_no_neighbour(kind, place, error, tmp_path):
    """Twelve events, three kinds of trouble from the service, one fault at the first to the sixth call."""
    for number in range(1, 7):
        clock, sink, faults = ManualClock(), ScriptedSink(*answers(), max_events=4), Faults(error, number)
        options: dict[str, Any] = {"capacity": 100, "capacity_bytes": 1 << 24, "policy": "drop_lowest"}
        if kind == "memory":
            buffer: Any = MemoryBuffer(**options, clock=clock)
        else:
            buffer = SpoolBuffer(
                tmp_path / str(number), **options, clock=clock, wall_clock=clock, identity="test",
                report=lambda key, text: None,
            )  # fmt: skip
        pacer = Pacer(10.0, burst=2)
        worker = make_worker(
            sink,
            clock,
            buffer=lambda buffer=buffer: buffer,
            pacer=pacer,
            flush_interval=0,
            render_capture=lambda captured: make_event(str(captured.fields[MSG]), captured.level),
        )
        if place in BUFFER:
            faults.wrap(buffer, place)
        elif place in SINK:
            faults.wrap(sink, place)
        elif place == "pacer":
            faults.wrap(pacer, "try_take")
        else:
            function = getattr(worker._parts, place)

            def faulty(*args: Any, function=function, faults=faults) -> Any:
                faults.check()
                return function(*args)

            worker._parts = worker._parts._replace(**{place: faulty})
            worker._begin_life()

        for count in range(12):
            submit(worker, f"event {count}")
        for _ in range(300):
            try:
                stats = worker.stats() if place in ("lost", "bytes") else None
                idle = worker.step()
            except error:
                continue
            if idle is not None:
                clock.advance(max(0.05, min(60.0, idle.seconds if idle.seconds is not None else 60.0)))
        faults.left = -1

        stats = worker.stats()
        assert_law(stats)
        assert stats["pending"] == 0, (number, stats)
        assert stats["delivered"] >= 9, (number, stats)
        assert len({event.id for event in sink.delivered}) >= 9
        buffer.close()


class Odd(dict):
    """A mapping that can't be looked at."""

    def __iter__(self):
        raise ZeroDivisionError

    def values(self):
        raise ZeroDivisionError

    items = keys = values


def cyclic() -> Any:
    made: dict[str, Any] = {}
    made["self"] = [made, made]
    return made


def deep() -> Any:
    made: Any = []
    for _ in range(3_000):
        made = [made]
    return {"deep": made}


CHANGES = {
    "exception is text": {"exception": "x"},
    "exception is a tuple": {"exception": ("a", "b", "c", ())},
    "cyclic": {"attributes": cyclic()},
    "deep": {"attributes": deep()},
    "hostile": {"attributes": Odd(a=1)},
    "level": {"level": 10**5000},
    "level is text": {"level": "ERROR"},
    "resources": {"resources": 5},
    "resources of numbers": {"resources": (5,)},
    "tags": {"tags": {"a": 5}},
    "time": {"time": float("nan")},
    "fingerprint": {"fingerprint": ["x"]},
    "env": {"env": 5},
    "defects": {"defects": None},
    "code": {"code": ("a", 1)},
    "detail_type": {"detail_type": b"x"},
    "first_time": {"first_time": "now"},
}


@pytest.mark.parametrize("spool", [False, True], ids=["memory", "spool"])
@pytest.mark.parametrize("name", CHANGES)
def test_an_impossible_event_from_the_hook_costs_itself_alone(name, spool, tmp_path):
    """It goes without what the hook may have added, or is counted; the next one goes as it is."""
    sink = ScriptedSink()

    def change(event):
        return event._replace(**CHANGES[name]) if event.message == "bad" else event

    handler = make_handler(sink, before_send=change, **({"spool": str(tmp_path)} if spool else {}))
    log = logging.getLogger("injection")
    record = log.makeRecord("injection", 40, __file__, 1, "bad", (), None)
    handler.handle(record)
    handler.handle(log.makeRecord("injection", 40, __file__, 1, "good", (), None))

    assert handler.flush(20)
    stats = handler.stats()
    assert_law(stats)
    assert stats["state"] == "ok"
    assert "good" in [event.message for event in sink.delivered]
    assert stats["delivered"] + sum(stats["dropped"].values()) == 2
    handler.close()


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError, SystemExit, GeneratorExit, MemoryError, ValueError]
)
def test_whatever_a_hook_raises_its_neighbours_go_on(error):
    """CancelledError and SystemExit are no Exception, and were the end of everything in hand."""
    sink = ScriptedSink(max_events=50)

    def raising(event):
        if event.message == "bad":
            raise error
        return event

    handler = make_handler(sink, before_send=raising)
    log = logging.getLogger("injection")
    for number in range(50):
        message = "bad" if number == 7 else f"good {number}"
        handler.handle(log.makeRecord("injection", 40, __file__, 1, message, (), None))

    assert handler.flush(20)
    stats = handler.stats()
    assert stats["dropped"] == {}
    assert stats["delivered"] == 50
    (withheld,) = [event for event in sink.delivered if event.defects]
    assert error.__name__ in withheld.defects[0]
    handler.close()


def make_handler(sink: ScriptedSink, **options: Any) -> Any:
    """A real handler with *sink* behind it."""
    handler = CMSHandler(access_key_id="a", access_key_secret="b", requests_per_second=None, **options)
    handler._worker._parts = handler._worker._parts._replace(make_sink=lambda: sink)
    handler._worker._begin_life()
    return handler


def test_a_level_that_no_text_can_hold_is_an_event_all_the_same():
    """``levelno=10**5000``: counted, named, delivered."""
    sink, clock = ScriptedSink(), ManualClock()
    worker = make_worker(sink, clock, capacity=1)
    for message in ("huge", "next"):
        record = logging.LogRecord("shop", 40, "shop.py", 1, message, (), None)
        record.levelno = 10**5000
        worker.submit(capture(record, id_bits=len(message)))

    for _ in range(5):
        worker.step()

    stats = worker.stats()
    assert_law(stats)
    assert stats["dropped_by_level"] in ({"Level out of range": 1}, {f"Level {2**63 - 1}": 1})
    assert stats["delivered"] >= 1


def test_an_event_that_the_buffer_can_not_keep_finishes_the_flush_that_waits():
    """One of three can't be weighed: it is counted, the others are put, and no ticket waits for it."""
    sink, clock = ScriptedSink(), ManualClock()
    buffer = MemoryBuffer(capacity=10, capacity_bytes=1 << 20, policy="drop_lowest", clock=clock)

    def render(captured: Capture):
        event = make_event(str(captured.fields[MSG]))
        return event._replace(message=5) if event.message == "bad" else event

    put = buffer.put

    def put_valid(events):
        if any(type(event.message) is not str for event in events):
            raise TypeError("no text")
        return put(events)

    buffer.put = put_valid  # type: ignore[method-assign]
    worker = make_worker(sink, clock, buffer=lambda: buffer, render_capture=render)
    for message in ("one", "bad", "two"):
        submit(worker, message)
    ticket = worker.start_flush()
    for _ in range(3):
        worker.step()

    assert ticket.finished
    assert worker.stats()["dropped"] == {"unencodable": 1}
    assert [event.message for event in sink.delivered] == ["one", "two"]
    assert_law(worker.stats())
