"""What holds with the GIL and without: run on both kinds of builds."""

from __future__ import annotations

import logging
import sys
import threading
from collections import Counter
from typing import Any

import pytest
from captures import capture
from law import assert_law

import eventlog_handlers
from eventlog_handlers.pipeline import folds as folding
from eventlog_handlers.pipeline.folds import Folds
from eventlog_handlers.process.randomness import random_bits
from eventlog_handlers.record.problem import problem_of
from eventlog_handlers.testing import ManualClock

THREADS = 8
EACH = 400


def record(message: str) -> logging.LogRecord:
    return logging.LogRecord("shop", logging.ERROR, "shop.py", 7, message, None, None)


class Fickle(dict[Any, Any]):
    """A dict that another thread changes whenever somebody begins to go through it."""

    def __iter__(self) -> Any:
        raise RuntimeError("dictionary changed size during iteration")


def test_a_table_that_changes_while_a_fold_leaves_it_costs_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest entry is looked for among entries that callers take out at the same time."""
    monkeypatch.setattr(folding, "MAX_FOLDS", 1)
    clock = ManualClock()
    folds = Folds(10.0, clock, random_bits, lambda: None)
    for number in range(4):
        for _ in range(3):
            captured = capture(record(f"problem {'abcd'[number]}"), id_bits=0)
            folds.admits(captured, problem_of(captured), None)
    clock.advance(11.0)
    folds.due()  # each window saw repeats, and is followed by a longer one
    folds._remembered = Fickle({"one": (20.0, 0.0)})

    clock.advance(60.0)
    folds.due()

    assert folds.sums() == (0, 0)


@pytest.mark.parametrize("options", [{}, {"durability": "commit"}], ids=["staged", "commit"])
def test_p26_eight_threads_log_flush_and_look_at_once(
    eventlog_console: Any, tmp_path: Any, options: dict[str, Any]
) -> None:
    """Distinct problems and repeats, with a spool and folding: the law holds, each event arrives once."""
    if options:
        options = {**options, "spool": str(tmp_path)}
    handlers = [
        eventlog_handlers.CMSHandler(
            requests_per_second=None, aggregate_seconds=900, flush_interval=0.01, exit_timeout=30, **options
        )
        for _ in range(2)
    ]
    log = logging.Logger("shop")
    for handler in handlers:
        log.addHandler(handler)
    begin, errors = threading.Barrier(THREADS, timeout=60), []

    def work(number: int) -> None:
        try:
            begin.wait()
            for turn in range(EACH):
                log.error("thread %s turn %s", "abcdefgh"[number], "xyz"[turn % 3] * (turn // 40 + 1))
                if turn % 100 == 99:
                    handlers[turn % 2].flush(30)
                    assert_law(handlers[number % 2].stats())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)

    assert not errors
    for handler in handlers:
        assert handler.flush(30)
        stats = handler.stats()
        assert_law(stats)
        assert (stats["pending"], stats["dropped"]) == (0, {})
        assert stats["accepted"] == THREADS * EACH
        handler.close()
    ids = Counter(
        event.body["Content"].partition("event_id: ")[2].split()[0]
        for event in eventlog_console.events("cms")
    )
    assert set(ids.values()) == {1}
    assert len(ids) == sum(handler.stats()["delivered"] for handler in handlers)


def test_p26_threads_that_share_their_first_moment_share_what_is_made_in_it(eventlog_console: Any) -> None:
    """Handlers, rate limits and connections are made once, however many threads are the first."""
    begin, made = threading.Barrier(THREADS, timeout=60), []

    def work(number: int) -> None:
        begin.wait()
        handler: Any = eventlog_handlers.configure("cms://cn-hangzhou", level="ERROR", logger="shop.first")
        logging.getLogger("shop.first").error("from %d", number)
        made.append(handler)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(made) == THREADS
    assert len(set(map(id, made))) == 1
    assert made[0].flush(30)
    assert len(eventlog_console.events("cms")) == THREADS


@pytest.mark.skipif(getattr(sys, "_is_gil_enabled", lambda: True)(), reason="this process has a GIL")
def test_p26_nothing_of_ours_switches_the_gil_on(eventlog_console: Any) -> None:
    """The whole of a delivery, spool and folding included, leaves it off."""
    handler = eventlog_handlers.CMSHandler()
    handler.handle(record("one"))

    assert handler.flush(30)
    assert not sys._is_gil_enabled()  # type: ignore[attr-defined]
