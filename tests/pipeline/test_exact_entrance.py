"""From the record to the intake: which records come in, whom a log call tells, what it leaves out."""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from eventlog_handlers.listening import told
from eventlog_handlers.pipeline import entrance
from eventlog_handlers.pipeline.entrance import Entrance
from eventlog_handlers.process.own_traffic import at_work
from eventlog_handlers.record.captured import Capture, whole
from eventlog_handlers.record.dialects import OTEL_API
from eventlog_handlers.record.plain import MAX_STRING
from eventlog_handlers.record.problem import quick_key


class Door:
    """An entrance over a worker that keeps what it is told."""

    def __init__(self, *, wake_at: int = 99, folds: Any = None, takes_in: bool = False) -> None:
        self.told: list[str] = []
        self.taken: list[Any] = []
        self.captures: deque[Any] = deque()
        self.worker = SimpleNamespace(
            pid=os.getpid(), folds=folds, pool=SimpleNamespace(wake_at=wake_at), is_closed=False,
            unmeasured=0,
            look_up=lambda one: self.told.append("look up"), measure=self.measure,
            notice_fork=lambda: self.told.append("forked"),
            count_already_reported=lambda: self.told.append("already reported"),
            count_own_traffic=lambda: self.told.append("own traffic"),
        )  # fmt: skip
        self.entrance = Entrance(
            self.worker, self.taken.append if takes_in else None, self.captures, has_own_emit=False
        )

    def measure(self, one: Any) -> None:
        self.told.append("measure")
        self.worker.unmeasured = 2

    def log(self, message: str = "boom", *, how: str = "alone", **fields: Any) -> int:
        """Let a record in; how many captures wait then. *how*: one of HOW."""
        record = logging.LogRecord("shop", 40, "shop.py", 1, message, (), fields.pop("exc_info", None))
        record.__dict__.update(fields.pop("more", {}), **fields)
        if how == "second":
            Door().entrance.take_together(record, None)
        if how == "alone":
            self.entrance.take(record, None)
        else:
            self.entrance.take_together(record, None)
        return len(self.captures)


HOW = ["alone", "first", "second"]
"""The only handler; the first of several that are given the record; one that finds what another captured."""


class Folding:
    """Folds that answer as they are told."""

    def __init__(self, *, repeats: bool = False, admits: bool = True) -> None:
        self.answers = repeats, admits
        self.asked: list[Any] = []

    def repeats(self, record, quick, formatter) -> bool:
        self.asked.append(quick)
        return self.answers[0]

    def admits(self, captured, problem, quick) -> bool:
        self.asked.append(quick)
        return self.answers[1]


@pytest.mark.parametrize("how", HOW)
def test_the_worker_is_told_when_as_many_wait_as_it_waits_for_or_when_it_is_closed(how):
    """The newest is one of them."""
    door = Door(wake_at=2)
    door.worker.unmeasured = 99
    assert door.log(how=how) == 1
    assert door.told == []
    assert door.log(how=how) == 2
    assert door.told == ["look up"]

    closed = Door()
    closed.worker.is_closed, closed.worker.unmeasured = True, 99
    closed.log(how=how)
    assert closed.told == ["look up"]


@pytest.mark.parametrize("how", HOW)
def test_the_first_record_is_measured_and_then_as_many_are_left_out_as_it_says(how):
    """Two, here."""
    door = Door()
    measured = []
    for number in range(8):
        door.log(how=how)
        if door.told:
            measured.append(number)
            door.told.clear()

    assert measured == [0, 3, 6]


def test_where_more_is_to_be_done_the_capture_is_handed_over():
    """And nothing else is done for it."""
    door = Door(wake_at=1, takes_in=True)
    assert door.log() == 0
    assert len(door.taken) == 1
    assert (door.told, door.worker.unmeasured) == ([], 0)


def test_a_fork_without_hooks_is_found_by_the_process_of_the_record_and_then_the_systems():
    """A record of another process is no fork."""
    door = Door()
    door.worker.unmeasured = 99
    door.log()
    door.log(process=-1)
    assert door.told == []
    door.worker.pid = -1
    door.log(process=-1)  # made by the worker's own process, as it seems
    assert door.told == []
    door.log()
    assert door.told == ["forked"]
    door.log(args=())
    misshapen = logging.LogRecord("shop", 40, "shop.py", 1, "boom", (), None)
    del misshapen.__dict__["process"]
    door.entrance.take(misshapen, None)
    assert door.told == ["forked"] * 3
    assert len(door.captures) == 6


def test_an_exception_that_a_server_reported_already_is_no_event(monkeypatch):
    """One without exception is not asked for."""
    asked = []
    monkeypatch.setattr(told, "admits", lambda info, level: asked.append(level) or False)
    door = Door()

    assert door.log(exc_info=(ValueError, ValueError(), None)) == 0
    assert door.told == ["already reported"]
    assert door.log() == 1
    assert asked == [40]


def test_the_system_is_asked_for_the_process_only_where_the_record_is_anothers(monkeypatch):
    """Neither for the first handler's capture nor for what the second one finds."""
    asked = []
    monkeypatch.setattr(entrance, "_getpid", lambda: asked.append(1) or os.getpid())
    record = logging.LogRecord("shop", 40, "shop.py", 1, "boom", (), None)
    for door in (Door(), Door(), Door(folds=Folding(repeats=True))):
        door.entrance.take_together(record, None)
    assert asked == []

    Door().log(process=record.process + 1)
    assert asked == [1]


@pytest.mark.parametrize(
    ("repeats", "admits", "waits", "asked"), [(True, True, 0, 1), (False, False, 0, 2), (False, True, 1, 2)]
)
def test_a_repeat_is_only_counted(repeats, admits, waits, asked):
    """By its quick key, or by its problem."""
    folds = Folding(repeats=repeats, admits=admits)
    door = Door(folds=folds)

    assert door.log() == waits
    record = logging.LogRecord("shop", 40, "shop.py", 1, "boom", (), None)
    assert folds.asked == [quick_key(record)] * asked


def test_a_misshapen_record_comes_in_all_the_same():
    """Whatever raises while it is read."""
    folds = Folding()
    door = Door(folds=folds)
    record = logging.LogRecord("shop", 40, "shop.py", 1, "boom", (), None)
    del record.__dict__["process"], record.__dict__["msg"]
    door.entrance.take(record, None)

    assert len(door.captures) == 1
    assert folds.asked == [None, None]


def test_handlers_that_are_given_one_record_share_its_capture():
    """Without sharing each makes its own."""
    one, other, alone = Door(), Door(), Door()
    record = logging.LogRecord("shop", 40, "shop.py", 1, "boom", (), None)
    one.entrance.take_together(record, None)
    other.entrance.take_together(record, None)
    alone.entrance.take(record, None)

    ids = [whole(door.captures[0]).id_bits for door in (one, other, alone)]
    assert ids[0] == ids[1] != ids[2]
    assert whole(one.captures[0]).events is not None
    assert whole(alone.captures[0]).events is None


def test_what_a_second_handler_finds_is_folded_or_handed_over_as_a_record_of_its_own_is():
    """Or is appended, and the worker told, where nothing more is to be done for it."""
    record = logging.LogRecord("shop", 40, "shop.py", 1, "boom", (), None)
    first, short, handed_over = Door(), Door(wake_at=1), Door(takes_in=True)
    repeated, folding = Door(folds=Folding(repeats=True)), Door(folds=Folding(admits=False))
    for door in (first, short, repeated, folding, handed_over):
        door.entrance.take_together(record, None)

    assert [len(door.captures) for door in (first, short, repeated, folding, handed_over)] == [1, 1, 0, 0, 0]
    assert short.captures[0] is first.captures[0]
    assert short.told == ["look up", "measure"]
    assert len(repeated.entrance._folds.asked) == 1
    assert len(folding.entrance._folds.asked) == 2
    assert whole(first.captures[0]).id_bits == handed_over.taken[0].id_bits
    assert handed_over.told == []


def test_the_second_handler_of_a_child_that_uwsgi_forked_finds_out_for_itself():
    """It may find what the first one captured there."""
    first, second = Door(), Door()
    record = logging.LogRecord("shop", 40, "shop.py", 1, "boom", (), None)
    first.entrance.take_together(record, None)
    second.worker.pid = -1
    second.entrance.take_together(record, None)

    assert second.told == ["forked", "measure"]
    assert second.captures[0] is first.captures[0]


@pytest.mark.parametrize("how", HOW[:2])
def test_own_traffic_is_counted_and_not_taken_in(how):
    """What urllib3 logs while a thread of ours sends."""
    door = Door()

    with at_work():
        assert door.log(how=how) == 0
    assert door.told == ["own traffic"]


@pytest.mark.parametrize(
    "fields",
    [
        {"args": ([1],)}, {"args": {"a": 1}}, {"args": ("a", [1])}, {"args": None}, {"msg": ["boom"]},
        {"levelno": 40.0}, {"exc_text": "Traceback"}, {"stack_info": "Stack"},
        {"exc_info": (ValueError, ValueError([]), None)}, {"exc_info": True}, {"user": [1]},
        {"request": "GET"}, {"more": {5: 6}},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("how", HOW[:2])
def test_what_may_change_is_read_in_the_log_call(monkeypatch, fields, how):
    """Of a plain record the fields alone are kept."""
    monkeypatch.delitem(sys.modules, OTEL_API, raising=False)
    door = Door()
    door.log("boom %s", args=("a",), user=1, how=how)
    door.log(**fields, how=how)

    assert [type(captured) for captured in door.captures] == [tuple, Capture]


def test_a_record_of_a_class_of_its_own_and_one_for_a_formatter_are_read_in_the_log_call(monkeypatch):
    """And where OpenTelemetry may have a span."""
    monkeypatch.delitem(sys.modules, OTEL_API, raising=False)
    door = Door()
    for kind, formatter in (
        (type("Own", (logging.LogRecord,), {}), None),
        (logging.LogRecord, logging.Formatter()),
    ):
        door.entrance.take(kind("shop", 40, "shop.py", 1, "boom", (), None), formatter)
    monkeypatch.setitem(sys.modules, OTEL_API, SimpleNamespace())
    door.log()

    assert [type(captured) for captured in door.captures] == [Capture] * 3


@pytest.mark.parametrize("more", [0, 1])
def test_texts_up_to_the_limit_are_left_for_the_worker(monkeypatch, more):
    """A longer one is cut in the log call, or it would wait in full."""
    monkeypatch.delitem(sys.modules, OTEL_API, raising=False)
    text = "x" * (MAX_STRING + more)
    door = Door()
    door.log(text)
    door.log("%s", args=(text,))
    door.log("boom", user=text)

    assert [type(captured) is tuple for captured in door.captures] == [more == 0] * 3
