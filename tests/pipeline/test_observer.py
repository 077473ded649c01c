"""What an observer is told: every delivery, retry, drop and change of state, once, and at no cost."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from law import assert_law, submit

from eventlog_handlers.errors import MisconfiguredError, RefusedError, TransientError
from eventlog_handlers.events import Disposition, Outcome
from eventlog_handlers.pipeline.reports import Reports, notify
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_worker, settle


class Listener:
    """Keeps every report."""

    def __init__(self) -> None:
        self.delivered: Counter[str] = Counter()
        self.retried: Counter[str] = Counter()
        self.dropped: Counter[tuple[str, str]] = Counter()
        self.states: list[tuple[str, str]] = []

    def on_delivered(self, handler: str, count: int) -> None:
        self.delivered[handler] += count

    def on_retry(self, handler: str, count: int, code: str) -> None:
        self.retried[code] += count

    def on_drop(self, handler: str, count: int, reason: str, level: str) -> None:
        self.dropped[reason, level] += count

    def on_state(self, handler: str, state: str, error: str) -> None:
        self.states.append((state, error))


def test_the_reports_add_up_to_the_statistics() -> None:
    """Delivered, retried, dropped by reason: what was told is what stats() says."""
    listener = Listener()
    retry = Outcome(Disposition.RETRY, "InternalFailure")
    refused = RefusedError("Malformed")
    sink, clock = ScriptedSink([retry, retry], refused, max_events=2), ManualClock()
    worker = make_worker(sink, clock, observer=listener, flush_interval=0.0)
    for number in range(7):
        submit(worker, f"event {number}")

    settle(worker, clock)
    stats = worker.stats()

    assert_law(stats)
    assert sum(listener.delivered.values()) == stats["delivered"]
    assert sum(listener.retried.values()) == stats["retried"]
    assert sum(listener.dropped.values()) == sum(stats["dropped"].values())
    assert {reason for reason, _ in listener.dropped} == set(stats["dropped"])


def test_changes_of_state_are_told_once_each() -> None:
    """Failing twice with one error is one report; so is being well again."""
    listener = Listener()
    errors = [TransientError("connect"), TransientError("connect"), MisconfiguredError("AccessDenied")]
    sink, clock = ScriptedSink(*errors), ManualClock()
    worker = make_worker(sink, clock, observer=listener, flush_interval=0.0)
    for number in range(3):
        submit(worker, f"event {number}")

    settle(worker, clock)

    assert listener.states == [("failing", "connect"), ("held", "AccessDenied"), ("ok", "")]


def test_an_observer_that_raises_is_told_of_once_and_harms_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Events are delivered all the same; a method that isn't there isn't missed."""

    class Broken:
        def on_delivered(self, handler: str, count: int) -> None:
            raise ValueError("no")

    sink, clock = ScriptedSink(TransientError("connect"), max_events=1), ManualClock()
    worker = make_worker(sink, clock, observer=Broken(), flush_interval=0.0)
    for number in range(5):
        submit(worker, f"event {number}")

    settle(worker, clock)

    assert len(sink.delivered) == 5
    assert_law(worker.stats())
    assert capsys.readouterr().err.count("on_delivered raised ValueError") == 1


def test_an_observer_may_ask_the_worker_back() -> None:
    """It is called under no lock: another thread's stats() and flush() answer while it waits for them."""
    answers: list[Any] = []

    class Asking:
        def on_delivered(self, handler: str, count: int) -> None:
            thread = threading.Thread(target=lambda: answers.append(worker.stats()["delivered"]))
            thread.start()
            thread.join(20)

    sink, clock = ScriptedSink(), ManualClock()
    worker = make_worker(sink, clock, observer=Asking(), flush_interval=0.0)
    submit(worker, "one")

    settle(worker, clock)

    assert answers == [1]


def test_reports_of_many_threads_are_each_told_once() -> None:
    """Noted and told at the same time, none is lost and none is doubled."""
    listener = Listener()
    reports = Reports(listener, "CMSHandler", SelfLog("CMSHandler"))
    told = threading.Lock()

    def note() -> None:
        for _ in range(2_000):
            reports.count("on_drop", "overflow", "INFO")
            if told.acquire(blocking=False):
                try:
                    reports.tell()
                finally:
                    told.release()

    threads = [threading.Thread(target=note) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    reports.tell()

    assert listener.dropped == {("overflow", "INFO"): 8_000}


def test_a_wish_to_stop_passes() -> None:
    """Ctrl-C in an observer stops the program as anywhere else."""

    class Stops:
        def on_state(self, *_: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        notify(Stops(), SelfLog("x"), "on_state", "CMSHandler", "ok", "")  # type: ignore[arg-type]
