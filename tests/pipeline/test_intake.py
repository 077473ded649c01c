"""The intake: bounded by number and by bytes, without a lock, the least severe dropped first."""

from __future__ import annotations

import logging
import random
import sys
import threading
import tracemalloc

import pytest
from captures import taken
from law import assert_law

from eventlog_handlers.pipeline.intake import MEASURED, Intake, approximate_bytes
from eventlog_handlers.record import dialects
from eventlog_handlers.record.captured import Captured, whole
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_worker

MiB = 1 << 20
_numbers = random.Random(5)


@pytest.fixture(autouse=True)
def the_same_each_time(monkeypatch):
    """The same chance in each run, and no span to ask for where another test has imported OpenTelemetry."""
    monkeypatch.delitem(sys.modules, dialects.OTEL_API, raising=False)
    _numbers.seed(5)
    monkeypatch.setattr("eventlog_handlers.pipeline.intake.random_bits", lambda: _numbers.getrandbits(128))


def captured(message="boom", level=logging.ERROR, *args, exc_info=None, **extras) -> Captured:
    """As a log call leaves it."""
    record = logging.LogRecord("shop", level, "shop.py", 1, message, args, exc_info)
    record.__dict__.update(extras)
    return taken(record)


def put(intake: Intake, one: Captured) -> None:
    intake.captures.append(one)
    intake.bound_number(one)
    if _numbers.random() < 1 / MEASURED:
        intake.bound_bytes(one)


def levels(intake: Intake) -> list[int]:
    return [one[0] for one in intake.captures]


@pytest.mark.parametrize(
    ("waiting", "newest", "dropped"),
    [
        ([50, *[20] * 9], 50, 20),  # the first CRITICAL stays while INFO waits
        ([50, *[20] * 9], 20, 20),
        ([40] * 10, 40, 40),
        ([40] * 10, 20, 20),
        ([10, 20, 30, 40], 50, 10),
        ([50] * 10, 40, 40),
    ],
)
def test_a_full_intake_drops_the_least_severe(waiting, newest, dropped):
    """Whatever stands at its ends; of equals the oldest."""
    intake = Intake("drop_lowest", len(waiting), 64 * MiB)
    for level in waiting:
        put(intake, captured(level=level))
    put(intake, captured(level=newest))

    assert list(intake.dropped) == [dropped]
    rest = [*waiting, newest]
    rest.remove(dropped)
    assert sorted(levels(intake)) == sorted(rest)


def test_among_very_many_a_sample_is_compared():
    """Thirty criticals at the old end hide ten thousand others from nobody."""
    intake = Intake("drop_lowest", 10_030, 64 * MiB)
    for level in [50] * 30 + [20] * 10_000:
        put(intake, captured(level=level))

    put(intake, captured(level=50))

    assert list(intake.dropped) == [20]


def test_drop_newest_drops_the_newcomer():
    """However severe it is."""
    intake = Intake("drop_newest", 3, 64 * MiB)
    for level in (20, 20, 20, 50):
        put(intake, captured(level=level))

    assert levels(intake) == [20, 20, 20]
    assert list(intake.dropped) == [50]


LONG = "x" * 100_000


def exception_of(text):
    try:
        raise ValueError(text)
    except ValueError:
        return sys.exc_info()


@pytest.mark.parametrize(
    "make",
    [
        lambda: captured(LONG),
        lambda: captured("%s", 40, LONG[:16_000]),
        lambda: captured("short", body=LONG[:16_000]),
        lambda: captured("short", **{f"extra_{number}": "y" * 10_000 for number in range(20)}),
        lambda: captured("short", nested={"list": [{"text": "z" * 10_000}] * 5}),
        lambda: captured("short", exc_info=exception_of("x" * 60_000)),
    ],
    ids=["message", "argument", "extra", "many extras", "nested extra", "exception"],
)
def test_whatever_is_long_counts(make):
    """The size of the texts that a capture holds."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    made = [make() for _ in range(20)]
    grown = (tracemalloc.get_traced_memory()[0] - before) / len(made)
    tracemalloc.stop()

    estimated = approximate_bytes(made[0])
    assert estimated >= 10_000
    assert grown < 2 * estimated + 4_096


@pytest.mark.parametrize("extras", [{}, {"order": "A-1", "amount": 5}], ids=["plain", "extras"])
def test_a_plain_record_is_measured_as_its_capture_would_be(extras):
    """It waits as little more than its fields, and counts for the same."""
    one = captured("order %s of %d", 40, LONG[:9_000], 7, **extras)

    assert type(one) is tuple
    assert approximate_bytes(one) == approximate_bytes(whole(one)) > 9_000


@pytest.mark.parametrize("size", [250_000, 12_000])
def test_capacity_bytes_holds_at_the_intake(size):
    """Four hundred megabytes are logged while no thread comes: sixteen are kept, the rest is counted."""
    sink, clock = ScriptedSink(), ManualClock()
    worker = make_worker(sink, clock, capacity_bytes=16 * MiB)
    worker._life.pool.rouse = lambda: True
    count = 400_000_000 // size // 4
    for number in range(count):
        worker.submit(captured(f"{number} " + "x" * size, _numbers.choice((20, 40))))

    waiting = list(worker.captures)
    held = sum(map(approximate_bytes, waiting))
    assert 4 * MiB < held < 40 * MiB
    stats = worker.stats()
    assert stats["dropped"] == {"overflow": count - len(waiting)}
    assert stats["dropped_by_level"]["INFO"] > count / 3
    assert_law(stats)


@pytest.mark.parametrize("every", [2, 3, 4, 5, 8, 10, 16, 100])
def test_records_that_are_long_by_turns_are_all_met(every):
    """Every second, every sixteenth: which captures are measured is out of step with them."""
    worker = make_worker(ScriptedSink(), ManualClock(), capacity=1_000_000, capacity_bytes=16 * MiB)
    worker._life.pool.rouse = lambda: True
    for number in range(1_500 * every):
        worker.submit(captured("%s", 40, "x" * (0 if number % every else 16_000)))

    held = sum(map(approximate_bytes, worker.captures))
    assert 4 * MiB < held < 24 * MiB
    assert_law(worker.stats())


def test_few_are_measured_and_those_past_the_capacity_dropped_at_once(monkeypatch):
    """What a log call pays for the bounds: one size in about MEASURED; and no capture too many waits."""
    measured = []
    monkeypatch.setattr(
        "eventlog_handlers.pipeline.intake.approximate_bytes", lambda one: measured.append(one) or 0
    )
    worker = make_worker(ScriptedSink(), ManualClock(), capacity=4_000)
    worker._life.pool.rouse = lambda: True
    for _ in range(4_000):
        worker.submit(captured())

    assert 4_000 / (1.5 * MEASURED) < len(measured) < 4_000 / (0.75 * MEASURED)
    worker.submit(captured())
    assert len(worker.captures) == 4_000


def test_a_full_intake_is_bounded_in_bytes_too():
    """How many wait stays the same, and what replaces the short ones is long."""
    worker = make_worker(ScriptedSink(), ManualClock(), capacity=1_023, capacity_bytes=4 * MiB)
    worker._life.pool.rouse = lambda: True
    for number in range(6_000):
        worker.submit(captured("x" * (0 if number < 1_023 else 16_000)))

    held = sum(map(approximate_bytes, worker.captures))
    assert MiB < held < 8 * MiB
    assert_law(worker.stats())


def test_the_rough_sum_is_right_again_when_nothing_waits():
    """It never drifts away for good."""
    intake = Intake("drop_lowest", 100, 64 * MiB)
    for _ in range(60):
        put(intake, captured("x" * 20_000))
    assert intake.long_bytes > 0
    while intake.take(256):
        pass
    intake.long_bytes += 12_345  # what a lost update would leave

    intake.take(256)

    assert intake.long_bytes == 0
    assert intake._long == {}


def test_long_captures_are_rendered_a_few_at_a_time():
    """A chunk in hand is in no buffer yet, so it must not be large either."""
    intake = Intake("drop_lowest", 10_000, 1024 * MiB)
    for _ in range(256):
        put(intake, captured("x" * 250_000))

    assert len(intake.take(256)) < 250


def test_threads_that_overfill_it_lose_no_count():
    """What is dropped, taken and left is what was put."""
    intake, taken = Intake("drop_lowest", 50, MiB), []
    is_over = threading.Event()

    def storm(index):
        for number in range(2_000):
            put(intake, captured("x" * (number % 5_000), 20 + 10 * (number % 3)))

    def drain():
        while not is_over.is_set():
            taken.extend(intake.take(7))

    threads = [threading.Thread(target=storm, args=(index,)) for index in range(4)]
    drainer = threading.Thread(target=drain)
    for thread in [*threads, drainer]:
        thread.start()
    for thread in threads:
        thread.join(60)
    is_over.set()
    drainer.join(60)

    assert len(taken) + len(intake.dropped) + len(intake.captures) == 8_000
    for _ in range(3):  # what was one too many goes with the next
        put(intake, captured())
    assert len(intake.captures) <= 50


def test_one_too_many_goes_with_the_next():
    """Another thread appended at the moment of the drop, and the deque refused it."""
    intake = Intake("drop_lowest", 3, MiB)
    intake.captures.extend(captured() for _ in range(4))

    put(intake, captured())

    assert len(intake.captures) == 3
    assert len(intake.dropped) == 2
