"""Folding: repeats of one problem become one event with a count, and no count is lost or told twice."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import sys
import threading
import time
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from captures import capture
from law import assert_law
from processes import run
from shop import open_shop

import eventlog_handlers
from eventlog_handlers.pipeline import folds as aggregation
from eventlog_handlers.pipeline.folds import Folds
from eventlog_handlers.record.problem import problem_of, quick_key
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_worker, settle


class Till:
    """A worker that folds, driven by hand: ``log`` does what ``emit`` does, with a clock of its own."""

    def __init__(self, seconds: float = 60.0, **settings: Any) -> None:
        self.clock = ManualClock()
        self.sink = ScriptedSink(max_events=5_000, request_bytes=100_000_000)
        self.worker = make_worker(
            self.sink, self.clock, aggregate_seconds=seconds, flush_interval=0.0, **settings
        )
        assert self.worker.folds is not None
        self.folds: Folds = self.worker.folds
        self.logged = 0

    def log(self, msg: str = "order %d failed", *args: Any, at: float = 1_790_000_000.0, **more: Any) -> bool:
        """Log once; True if that went as an event of its own."""
        level = more.pop("level", logging.ERROR)
        record = logging.LogRecord("shop", level, "shop.py", 1, msg, args, more.pop("exc_info", None), "pay")
        record.created = at
        record.__dict__.update(more)
        self.logged += 1
        quick = quick_key(record)
        if self.worker.folds.repeats(record, quick, None):
            return False
        captured = capture(record, id_bits=self.logged)
        if not self.folds.admits(captured, problem_of(captured), quick):
            return False
        self.worker.submit(captured)
        return True

    def turn(self) -> None:
        """Let the worker do all there is to do now."""
        while self.worker.step() is None:
            pass
        assert_law(self.worker.stats())

    def counts(self) -> list[int]:
        """Of the delivered events, in order."""
        return [event.count for event in self.sink.delivered]

    def settled(self) -> list[int]:
        """The counts once nothing is pending, which add up to what was logged."""
        settle(self.worker, self.clock, seconds=5_000.0)
        stats = self.worker.stats()
        assert_law(stats)
        assert stats["pending"] == 0
        assert sum(self.counts()) + sum(stats["dropped"].values()) == self.logged == stats["accepted"]
        assert len({event.id for event in self.sink.delivered}) == stats["delivered"]
        return self.counts()


def raised(make: Callable[[], BaseException], depth: int = 1) -> Any:
    """``exc_info`` of what *make* makes, raised through *depth* frames."""
    try:
        _through(make, depth)
    except BaseException:
        return sys.exc_info()


def _through(make: Callable[[], BaseException], depth: int) -> None:
    if depth > 1:
        _through(make, depth - 1)
    raise make()


# --- what becomes of a storm ---


def test_the_first_event_goes_at_once_and_its_repeats_as_one_at_the_windows_end() -> None:
    """Five occurrences are two events, and the law holds at every moment in between."""
    till = Till(60.0)

    first = till.log("order %d failed", 0, at=100.0)
    till.turn()
    repeats = [till.log("order %d failed", number, at=100.0 + number) for number in range(1, 5)]
    till.turn()
    meanwhile = till.worker.stats()
    till.clock.advance(60.0)
    till.turn()

    assert first
    assert not any(repeats)
    assert (meanwhile["accepted"], meanwhile["pending"], meanwhile["aggregated"]) == (5, 1, 3)
    single, summary = till.sink.delivered
    assert (single.count, single.first_time, single.message) == (1, None, "order 0 failed")
    assert (summary.count, summary.first_time, summary.time) == (4, 101.0, 104.0)
    assert summary.message == "order 4 failed"
    assert summary.fingerprint == single.fingerprint
    assert summary.id != single.id
    assert till.settled() == [1, 4]


def test_the_worker_sleeps_until_a_window_that_has_something_to_tell() -> None:
    """Nobody has to log anything for a summary to go out; without repeats there is nothing to wait for."""
    till = Till(60.0)

    till.log()
    till.turn()
    quiet = till.worker.step()
    till.clock.advance(20.0)
    till.log()
    storm = till.worker.step()

    assert quiet is not None
    assert quiet.seconds is None
    assert storm is not None
    assert storm.seconds == pytest.approx(40.0)


def test_a_window_doubles_while_the_storm_lasts_and_falls_back_when_it_is_over() -> None:
    """Summaries come after 60, 120, 240, 480 and then every 900 s; quiet halves what the next storm gets."""
    till = Till(60.0)
    told_at: list[float] = []
    start = till.clock()
    seen = 0
    while till.clock() - start < 3_600:
        till.log()
        till.turn()
        told_at += [till.clock() - start] * (len(till.sink.delivered) - seen)
        seen = len(till.sink.delivered)
        till.clock.advance(10.0)

    assert told_at == [0, 60, 180, 420, 900, 1800, 2700, 3600 - 0][: len(told_at)]
    assert len(told_at) == 7

    till.settled()
    till.clock.advance(901.0)  # the whole window stays quiet
    till.turn()
    went_at_once = till.log()
    till.log()
    idle = till.worker.step() or till.worker.step()

    assert went_at_once
    assert idle is not None
    assert idle.seconds == pytest.approx(450.0)
    till.settled()

    till.clock.advance(10_000.0)
    till.turn()
    till.log()
    till.log()
    idle = till.worker.step() or till.worker.step()

    assert idle is not None
    assert idle.seconds == pytest.approx(60.0)


def test_after_a_quiet_window_an_event_goes_at_once_though_no_thread_has_looked() -> None:
    """The caller sees for itself that the window is over."""
    till = Till(60.0)
    till.log()
    till.turn()

    till.clock.advance(60.0)

    assert till.log()
    assert till.settled() == [1, 1]


def test_windows_are_measured_by_a_clock_that_nobody_sets() -> None:
    """Records whose wall clock jumps by a year, either way, are folded; first comes before last."""
    till = Till(60.0)

    till.log(at=1_790_000_000.0)
    till.log(at=1_790_000_001.0)
    till.log(at=1_758_000_000.0)
    till.log(at=1_821_000_000.0)
    till.log(at=1_758_000_002.0)
    till.clock.advance(60.0)
    till.turn()

    summary = till.sink.delivered[1]
    assert summary.count == 4
    assert summary.first_time is not None
    assert summary.first_time <= summary.time
    assert till.settled() == [1, 4]


def test_a_flush_sends_open_summaries_and_the_window_goes_on() -> None:
    """Nothing that was logged waits once a flush was asked for; what follows is still folded."""
    till = Till(60.0)
    for _ in range(3):
        till.log()

    ticket = till.worker.start_flush()
    till.turn()
    folded = not till.log()

    assert ticket.finished
    assert till.counts() == [1, 2]
    assert folded
    assert till.settled() == [1, 2, 1]


def test_the_table_is_bounded_and_the_least_used_key_leaves_with_a_summary() -> None:
    """1,024 keys stay; who has to go tells its repeats at once, and starts anew when it comes back."""
    till = Till(60.0)
    for number in range(aggregation.MAX_FOLDS):
        till.log("%s", fingerprint=f"problem {number}")
    till.turn()
    till.log("%s", fingerprint="problem 1")
    for number in range(aggregation.MAX_FOLDS, aggregation.MAX_FOLDS + 2):
        till.log("%s", fingerprint=f"problem {number}")
    till.turn()
    size = len(till.folds._folds)
    known = [number for number in range(4) if not till.log("%s", fingerprint=f"problem {number}")]
    for number in range(3 * aggregation.MAX_FOLDS):
        till.log("%s", fingerprint=f"other problem {number}")

    assert size == aggregation.MAX_FOLDS
    assert known == [1, 3]
    assert len(till.folds._folds) <= 2 * aggregation.MAX_FOLDS
    till.settled()


def test_an_evicted_keys_repeats_go_out_before_its_window_ends() -> None:
    """Leaving the table loses no count."""
    till = Till(60.0)
    till.log("%s", fingerprint="old")
    till.log("%s", fingerprint="old")
    till.turn()
    for round_ in range(3):
        for number in range(aggregation.MAX_FOLDS):
            till.log("%s", fingerprint=f"problem {round_} {number}")
        till.turn()

    assert till.log("%s", fingerprint="old")
    assert sum(till.settled()) == till.logged


def test_with_commit_repeats_are_folded_as_well(tmp_path: Any, eventlog_console: Any) -> None:
    """The summary takes the ordinary way; the single event is in the spool before the call returns."""
    handler = eventlog_handlers.GuanceHandler(
        requests_per_minute=None, spool=str(tmp_path), durability="commit", scope="process"
    )
    log = logging.Logger("shop")
    log.addHandler(handler)

    for _ in range(5):
        log.error("boom")
    stats = handler.stats()
    settled = handler.flush(30)
    handler.close()

    assert (stats["accepted"], stats["aggregated"]) == (5, 3)
    assert settled
    assert sorted(_counts(eventlog_console.events())) == [1, 4]
    assert_law(handler.stats())


# --- what is the same problem ---

KEY_A, KEY_B, OS_A = (
    raised(make) for make in (lambda: KeyError("a"), lambda: KeyError("b"), lambda: OSError())
)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ({"msg": "order %d failed", "args": (1,)}, {"msg": "order %d failed", "args": (2,)}, True),
        ({"msg": "order 1 failed"}, {"msg": "order 2 failed"}, True),
        ({"msg": "order 0xab12 failed"}, {"msg": "order 0xcd failed"}, True),
        ({"msg": "order a failed"}, {"msg": "order b failed"}, False),
        ({"msg": "x"}, {"msg": "x", "level": logging.WARNING}, False),
        ({"msg": "x"}, {"msg": "x", "event_status": "ok"}, False),
        ({"msg": "x", "group_id": 1}, {"msg": "x", "group_id": 2}, False),
        ({"msg": "x", "resources": ["a"]}, {"msg": "x", "resources": ["a"]}, True),
        ({"msg": "x", "sku": 1}, {"msg": "x", "sku": 2}, True),
        ({"msg": "x", "fingerprint": "f"}, {"msg": "y", "fingerprint": "f"}, True),
        ({"msg": "x", "fingerprint": "f"}, {"msg": "x", "fingerprint": "g"}, False),
        ({"msg": "x", "fingerprint": 7}, {"msg": "y", "fingerprint": 7}, True),
        ({"msg": "x", "exc_info": KEY_A}, {"msg": "y", "exc_info": KEY_A}, True),
        ({"msg": "x", "exc_info": KEY_A}, {"msg": "x", "exc_info": KEY_B}, True),
        ({"msg": "x", "exc_info": KEY_A}, {"msg": "x", "exc_info": OS_A}, False),
        ({"msg": "x", "exc_info": KEY_A}, {"msg": "x"}, False),
        ({"msg": {"event": "x"}}, {"msg": {"event": "x"}}, True),
        ({"msg": "x", "extra": {"a": 1}}, {"msg": "x", "extra": {"a": 2}}, True),
    ],
)  # fmt: skip
def test_what_is_one_problem(one: dict[str, Any], other: dict[str, Any], alike: bool) -> None:
    """The fingerprint, the level, and the extras that say where and as what an event goes."""
    till = Till()
    first = till.log(one.pop("msg"), *one.pop("args", ()), **one)
    second = till.log(other.pop("msg"), *other.pop("args", ()), **other)

    assert first
    assert second is not alike
    assert sum(till.settled()) == 2


@pytest.mark.parametrize("depth", [1, 10, 300])
@pytest.mark.parametrize(
    "make",
    [
        lambda: ValueError("plain"),
        lambda: _chained(),
        lambda: type("Odd", (Exception,), {"__module__": None})("odd"),
        lambda: type("Loud", (Exception,), {"__str__": lambda self: 1 / 0})("loud"),
    ],
    ids=["plain", "chained", "no module", "unprintable"],
)
def test_exceptions_of_one_place_are_one_problem(make: Callable[[], BaseException], depth: int) -> None:
    """Whatever they say, however deep they were raised: equal quick keys have equal fingerprints."""
    till = Till()
    once, again = raised(make, depth), raised(make, depth)
    first = till.log("boom", exc_info=once)
    second = till.log("boom", exc_info=again)

    assert first
    assert not second
    problems = set()
    for info in (once, again):
        record = logging.LogRecord("shop", 40, "", 1, "boom", (), info)
        problems.add(problem_of(capture(record, id_bits=0)))
    assert len(problems) == 1
    assert till.settled() == [1, 1]
    assert till.sink.delivered[1].exception is not None


def _chained() -> BaseException:
    error = ValueError("outer")
    error.__cause__ = KeyError("inner")
    return error


def test_a_cause_in_a_circle_ends() -> None:
    """A chain that leads back to itself is not followed for ever."""
    one, two = ValueError(), KeyError()
    one.__cause__, two.__cause__ = two, one
    till = Till()

    assert till.log("x", exc_info=(ValueError, one, None))
    assert not till.log("x", exc_info=(ValueError, one, None))
    assert till.settled() == [1, 1]


class Restless:
    """Prints differently each time, and may not be kept."""

    printed = 0

    def __str__(self) -> str:
        Restless.printed += 1
        return f"number {Restless.printed}"


def test_the_summary_shows_the_last_occurrence() -> None:
    """Message, arguments that have to be printed at once, extras and traceback are those of the last one."""
    Restless.printed = 0
    with open_shop(aggregate_seconds=600.0) as shop:
        for number in range(1, 6):
            try:
                raise KeyError(f"sku {number}")
            except KeyError:
                shop.log.exception("order of %s", Restless(), extra={"try": number})
        _, summary = shop.events()

    assert summary.count == 4
    assert summary.attributes == {"try": 5}
    assert summary.message == "order of number 5"
    assert summary.exception is not None
    assert summary.exception.message == "'sku 5'"
    assert 'raise KeyError(f"sku {number}")' in summary.exception.stacktrace


def test_a_plain_message_is_the_last_ones_however_many_there_were() -> None:
    """Also where no repeat is read in full any more."""
    till = Till()
    for number in range(10_000):
        till.log("order %d failed", number)

    assert till.settled() == [1, 9_999]
    assert till.sink.delivered[1].message == "order 9999 failed"


def test_nothing_live_is_kept() -> None:
    """Neither the exception nor a local of its frames, nor an argument, outlives the log call."""

    class Local:
        pass

    def fail(local: Local) -> None:
        raise KeyError(local)

    references: list[weakref.ref[Any]] = []
    with open_shop(aggregate_seconds=600.0) as shop:
        for _ in range(200):
            local = Local()
            references.append(weakref.ref(local))
            try:
                fail(local)
            except KeyError:
                shop.log.exception("boom %s", local)
            del local
        gc.collect()
        alive = [reference for reference in references if reference() is not None]

    assert not alive


def test_a_million_repeats_take_no_memory() -> None:
    """After the first thousand, thirty thousand more hold less than a byte each."""
    info = raised(lambda: KeyError("sku"), depth=10)
    with open_shop(aggregate_seconds=600.0) as shop:
        shop.log.error("boom", exc_info=info)
        for number in range(1_000):
            shop.log.error(f"order {number} failed")
        assert shop.handler.flush(30)
        tracemalloc.start()
        try:
            held = []
            for number in range(15_500):
                shop.log.error("boom", exc_info=info)
                shop.log.error(f"order {number} failed")
                if number in (499, 15_499):
                    gc.collect()  # empties the interpreter's free lists too: what is left is held
                    held.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        stats = shop.handler.stats()

    assert stats["aggregated"] >= 30_000
    assert held[1] - held[0] < 25_000


# --- threads, signals, forks, exits ---


@pytest.fixture
def _restless_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_restless_threads")
def test_threads_lose_no_count_while_windows_close() -> None:
    """Eight threads log while a ninth tells, evicts, forgets quiet folds and asks for the sums."""
    till = Till(seconds=0.001)
    till.worker._life.pool._start_thread = lambda run, name: None  # nobody but this test takes turns
    logged = [0] * 8
    is_over = threading.Event()

    def storm(index: int) -> None:
        record = logging.LogRecord("shop", 40, "", 1, "order %d failed", (index,), None, "pay")
        while not is_over.is_set():
            record.msg = ("order %d failed", "other %d failed")[logged[index] % 7 == 0]
            quick = quick_key(record)
            if not till.worker.folds.repeats(record, quick, None):
                captured = capture(record, id_bits=index << 64 | logged[index])
                if till.folds.admits(captured, problem_of(captured), quick):
                    till.worker.submit(captured)
            logged[index] += 1

    threads = [threading.Thread(target=storm, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 3
    turns = 0
    while time.monotonic() < end:
        till.worker.step()
        assert_law(till.worker.stats())
        turns += 1
        till.clock.advance((0.0005, 0.002, 5.0)[turns % 3])
        if turns % 5 == 0:
            till.worker._life.ledger.open_ticket()
        if turns % 11 == 0:  # every fold leaves the table while emits have it in hand
            with till.worker._life.ledger._lock:
                for fold in list(till.folds._folds.values()):
                    told: list[Any] = []
                    till.folds._retire(fold, told)
                    till.worker._life.ledger._arrivals.sum_up(told)
    is_over.set()
    for thread in threads:
        thread.join(10)
    till.logged = sum(logged)

    assert till.logged > 1_000
    assert len(till.settled()) > 10


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
def test_a_signal_handler_that_logs_within_a_log_call_loses_no_count() -> None:
    """The same fold is counted into from within itself, with a real worker's thread beside it."""
    with open_shop(aggregate_seconds=0.1) as shop:
        logged = [0]

        def on_alarm(*_: Any) -> None:
            shop.log.error("order %d failed", logged[0])
            logged[0] += 1

        before = signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        try:
            end = time.monotonic() + 1.5
            mine = 0
            while time.monotonic() < end:
                shop.log.error("order %d failed", mine)
                mine += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        events = shop.events()

    assert logged[0] > 10
    assert sum(event.count for event in events) == mine + logged[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_starts_with_an_empty_table() -> None:
    """The parent's open counts are the parent's; the child's first event goes at once, its repeats follow."""
    with open_shop(aggregate_seconds=600.0) as shop:
        for number in range(10):
            shop.log.error("order %d failed", number)
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                empty = shop.handler.stats()
                shop.sink.delivered.clear()
                for number in range(3):
                    shop.log.error("order %d failed", number)
                shop.handler.flush(20)
                counts = [event.count for event in shop.sink.delivered]
                os.write(into, json.dumps([empty["accepted"], empty["pending"], counts]).encode())
                code = 0
            finally:
                os._exit(code)
        os.close(into)
        said = os.read(out, 1_000)
        os.close(out)
        status = os.waitpid(child, 0)[1]
        events = shop.events()

    assert status == 0
    assert json.loads(said) == [0, 0, [1, 2]]
    assert [event.count for event in events] == [1, 9]


def test_a_log_call_in_progress_when_its_process_forks_counts_in_the_child_alone() -> None:
    """A fold of the parent's, still in hand, tells the child nothing of the parent's repeats."""
    till = Till()
    till.log()
    till.log()
    (fold,) = till.folds._folds.values()

    till.worker.after_fork_in_child()
    till.folds._count(fold, 1.0)
    till.logged = 1

    assert till.settled() == [1]


EXITS = """
import logging, os, sys
from eventlog_handlers import GuanceHandler
log = logging.getLogger("shop")
log.addHandler(GuanceHandler(requests_per_minute=None))
for number in range(50):
    log.error("order %d failed", number)
"""


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise ValueError", "logging.shutdown()"])
def test_the_exit_of_the_interpreter_sends_open_summaries(end: str, eventlog_console: Any) -> None:
    """Nobody waits for the window, and nothing is left behind."""
    run(end, console=eventlog_console.url, preamble=EXITS)

    events = eventlog_console.wait_for(2)
    assert sorted(int(event.body["customTags"].get("repeat_count", 1)) for event in events) == [1, 49]


# --- through the handlers ---


def _counts(events: Any) -> list[int]:
    return [int(event.body["customTags"].get("repeat_count", 1)) for event in events]


def test_500_exceptions_in_a_second_are_two_calls_and_another_error_gets_through(
    eventlog_console: Any,
) -> None:
    """At the service's own limit of 20 calls a minute: one event, the other error, one summary."""
    handler = eventlog_handlers.GuanceHandler()
    log = logging.Logger("shop")
    log.addHandler(handler)
    for number in range(500):
        try:
            _through(lambda: KeyError("sku"), 10)
        except KeyError:
            log.exception("order failed")
        if number == 250:
            log.error("the till is on fire")
    before = eventlog_console.wait_for(2, timeout=20)
    settled = handler.flush(30)
    stats = handler.stats()
    handler.close()

    events = eventlog_console.events()
    assert settled
    assert {event.title for event in before} == {"order failed", "the till is on fire"}
    assert sorted(_counts(events)) == [1, 1, 499]
    assert (stats["accepted"], stats["delivered"], stats["aggregated"]) == (501, 3, 498)
    summary = next(event for event in events if _counts([event]) == [499])
    assert summary.title.startswith("order failed (499 times, 20")
    assert {"first_time", "last_time"} <= set(summary.body["customTags"])
    assert "499 times since" in summary.body["message"]


@pytest.mark.parametrize(
    ("make", "is_folded"),
    [
        (lambda: eventlog_handlers.GuanceHandler(requests_per_minute=None), True),
        (lambda: eventlog_handlers.GuanceHandler(requests_per_minute=None, aggregate_seconds=None), False),
        (eventlog_handlers.CMSHandler, False),
        (lambda: eventlog_handlers.CMSHandler(aggregate_seconds=5), True),
        (eventlog_handlers.CloudWatchEventsHandler, False),
        (lambda: eventlog_handlers.CloudWatchEventsHandler(aggregate_seconds=5), True),
    ],
)
def test_one_option_for_all_and_on_by_default_for_guance(
    make: Callable[[], Any], is_folded: bool, eventlog_console: Any
) -> None:
    """Alarm rules of the other two count events, so there it is asked for."""
    handler = make()
    log = logging.Logger("shop")
    log.addHandler(handler)
    for _ in range(10):
        log.error("boom")
    settled = handler.flush(30)
    handler.close()

    assert settled
    assert len(eventlog_console.events()) == (2 if is_folded else 10)


def test_a_summary_goes_out_when_its_window_ends_without_anybody_asking(eventlog_console: Any) -> None:
    """The worker's own thread wakes for it."""
    handler = eventlog_handlers.GuanceHandler(requests_per_minute=None, aggregate_seconds=0.3)
    log = logging.Logger("shop")
    log.addHandler(handler)
    for _ in range(20):
        log.error("boom")

    events = eventlog_console.wait_for(2, timeout=20)
    handler.close()

    assert 1 < sum(_counts(events)) <= 20
    assert_law(handler.stats())
