"""The intake to the byte and the folds to the repeat: what is dropped, measured, read, counted and told."""

from __future__ import annotations

import logging
import sys
from collections import deque

import pytest
from captures import capture

from eventlog_handlers.events import ExceptionText
from eventlog_handlers.pipeline import folds as folds_module
from eventlog_handlers.pipeline import intake as intake_module
from eventlog_handlers.pipeline.fold import Fold, time_of
from eventlog_handlers.pipeline.folds import Folds
from eventlog_handlers.pipeline.intake import Intake, approximate_bytes
from eventlog_handlers.record.captured import Capture
from eventlog_handlers.record.fields import CREATED
from eventlog_handlers.record.problem import problem_of, quick_key
from eventlog_handlers.testing import ManualClock


def record_of(
    message: str = "boom", *args, level: int = 40, at: float = 100.0, **extras
) -> logging.LogRecord:
    record = logging.LogRecord("shop", level, "shop.py", 1, message, args, extras.pop("exc_info", None))
    record.created = at
    record.__dict__.update(extras)
    return record


def captured(message: str = "boom", *args, id_bits: int = 0, **more) -> Capture:
    return capture(record_of(message, *args, **more), id_bits=id_bits)


@pytest.fixture
def sizes(monkeypatch) -> dict[str, int]:
    """What captures are said to take, by their message; set by the test."""
    table: dict[str, int] = {}
    monkeypatch.setattr(intake_module, "approximate_bytes", lambda one: table[one.template])
    return table


def put(intake: Intake, *captures: Capture) -> list[int]:
    """Have them come in and be measured; returns how many others go unmeasured after each."""
    unmeasured = []
    for one in captures:
        intake.captures.append(one)
        unmeasured.append(intake.bound_bytes(one))
    return unmeasured


def templates(captures) -> list[str]:
    return [one.template for one in captures]


# --- the intake --------------------------------------------------------------------------------------------


def test_how_many_go_unmeasured_is_chance_from_none_to_31(monkeypatch):
    """About one in sixteen is measured: five random bits tell."""
    numbers = iter((0, 31, 32, 63, 1 << 100 | 17))
    monkeypatch.setattr("eventlog_handlers.pipeline.intake.random_bits", lambda: next(numbers))
    intake = Intake("drop_lowest", 9, 1 << 20)

    assert put(intake, *(captured() for _ in range(5))) == [0, 31, 0, 31, 17]


def test_a_long_capture_counts_for_sixteen_until_it_leaves(sizes):
    """More than a KiB is long; the others are bounded by their number alone."""
    sizes |= {"short": 1_024, "long": 1_025}
    intake = Intake("drop_lowest", 99, 1 << 20)
    short, long, other = captured("short"), captured("long"), captured("long")
    put(intake, short, long, other)
    assert intake.long_bytes == 2 * 16 * 1_025

    assert intake.take(2) == [short, long]
    assert intake.long_bytes == 16 * 1_025
    assert intake.take(2) == [other]
    assert (intake.long_bytes, intake._long) == (0, {})


def test_a_chunk_ends_with_the_capture_that_fills_a_mebibyte(sizes):
    """Or with as many as are asked for."""
    sizes |= {"half": (1 << 19) // 16, "less": (1 << 19) // 16 - 1}
    intake = Intake("drop_lowest", 99, 1 << 30)
    put(intake, *(captured(name) for name in ("half", "half", "less", "half", "half")))

    assert templates(intake.take(9)) == ["half", "half"]
    assert templates(intake.take(9)) == ["less", "half", "half"]
    intake.captures.extend([captured("a"), captured("b")])
    assert templates(intake.take(1)) == ["a"]
    assert templates(intake.take(1)) == ["b"]


def test_what_was_not_rendered_comes_first_again_in_order():
    """Before what came since."""
    intake = Intake("drop_lowest", 99, 1 << 20)
    intake.captures.extend([captured("a"), captured("b"), captured("c")])
    chunk = intake.take(2)

    intake.put_back(chunk)

    assert templates(intake.captures) == ["a", "b", "c"]


def test_a_capture_past_the_number_drops_one_and_one_at_it_none():
    """The level is noted for the worker."""
    intake = Intake("drop_lowest", 2, 1 << 20)
    for message, level in [("a", 40), ("b", 20), ("c", 40)]:
        newest = captured(message, level=level)
        intake.captures.append(newest)
        intake.bound_number(newest)
        if message == "b":
            assert not intake.dropped

    assert templates(intake.captures) == ["a", "c"]
    assert intake.dropped == deque([20])


@pytest.mark.parametrize(
    ("levels", "victim"),
    [
        ([40, 40, 40], 0),  # of equals the oldest
        ([40, 20, 20, 40], 1),
        ([40, 40, 20], 2),  # the newest itself
        ([50, 40, 40], 1),
        ([20, 40, 20], 0),
    ],
)
def test_the_least_severe_is_dropped_and_of_equals_the_oldest(levels, victim):
    """The newest counts as one of them."""
    intake = Intake("drop_lowest", 1, 1 << 20)
    captures = [captured(str(number), level=level) for number, level in enumerate(levels)]
    intake.captures.extend(captures)

    assert intake._least_severe(captures[-1]) is captures[victim]
    newest = Intake("drop_newest", 1, 1 << 20)
    newest.captures.extend(captures)
    assert newest._least_severe(captures[-1]) is captures[-1]


@pytest.mark.parametrize(
    ("count", "places"),
    [
        (0, []),
        (10, list(range(10))),
        (20, list(range(20))),
        (48, [*range(16), *range(16, 48, 2)]),
        (100, [*range(16), *range(16, 100, 5)]),
        (16_016, [*range(16), *range(16, 16_016, 1_000)]),
    ],
)
def test_the_oldest_sixteen_are_compared_and_sixteen_at_even_distances(count, places):
    """However many wait."""
    intake = Intake("drop_lowest", 1, 1)
    intake.captures.extend(range(count))  # type: ignore[arg-type]

    assert list(intake._sample()) == places


def test_long_captures_are_dropped_until_the_rest_fits(sizes):
    """At the bound itself nothing is; one capture may cost 64 others, and then itself."""
    sizes |= {"long": 2_000, "short": 10, "longer": 4_000}
    intake = Intake("drop_lowest", 999, 3 * 16 * 2_000)
    put(intake, *(captured("long") for _ in range(3)))
    assert not intake.dropped
    put(intake, captured("longer", level=50))
    assert (templates(intake.captures), len(intake.dropped)) == (["long", "longer"], 2)
    assert intake.long_bytes == 16 * 6_000

    intake = Intake("drop_lowest", 999, 16 * 2_000)
    intake.captures.extend(captured("short", level=20) for _ in range(100))
    put(intake, captured("longer", level=50))
    assert intake.dropped == deque([20] * 64 + [50])
    assert len(intake.captures) == 36
    assert intake.long_bytes == 0


def test_a_single_capture_that_does_not_fit_is_dropped_alone(sizes):
    """None is left to be dropped then."""
    sizes["long"] = 2_000
    intake = Intake("drop_lowest", 999, 1_000)
    put(intake, captured("long"))

    assert (len(intake.captures), intake.dropped, intake.long_bytes) == (0, deque([40]), 0)


def test_the_thread_that_waits_for_a_capture_is_woken_once_it_is_dropped_or_announced():
    """No other thread is."""
    intake = Intake("drop_newest", 0, 1 << 20)
    one, two, three = captured("1"), captured("2"), captured("3")
    intake.announce(one)
    queues = [intake.expect(capture_) for capture_ in (one, two, three)]
    intake.captures.append(one)
    intake.bound_number(one)
    intake.announce(two)
    intake.announce(two)
    intake.forget(three)
    intake.forget(three)
    intake.announce(three)

    assert [queue.empty() for queue in queues] == [False, False, True]


def test_a_forked_child_begins_with_an_empty_intake(sizes):
    """All of it was the parent's."""
    sizes["long"] = 2_000
    intake = Intake("drop_lowest", 9, 1 << 20)
    put(intake, captured("long"))
    intake.dropped.append(40)
    intake.expect(captured())

    intake.clear()

    assert (intake.captures, intake.dropped) == (deque(), deque())
    assert (intake._long, intake._committing, intake.long_bytes) == ({}, {}, 0)


def test_a_capture_takes_what_its_texts_take():
    """To the byte: message or template and arguments, extras, exception and its causes, stack."""
    one = captured("%s of %s failed")
    fields = list(one.fields)
    fields[one.fields.index((), 1)] = ("abc", 7, "de")
    plain = one._replace(fields=tuple(fields), stack="", extras=None)
    assert plain.message is None
    assert approximate_bytes(plain) == len("%s of %s failed") + 5
    size = approximate_bytes(plain)
    assert approximate_bytes(plain._replace(stack="12345")) == size + 5
    assert approximate_bytes(plain._replace(message="x" * 50)) == size - 15 + sys.getsizeof("x" * 50)
    extras = {"key": "value"}
    assert approximate_bytes(plain._replace(extras=extras)) == size + 64 + sys.getsizeof(
        "key"
    ) + sys.getsizeof("value")
    text = ExceptionText("E", "message", "trace", ())
    assert approximate_bytes(plain._replace(exception=text)) == size + sys.getsizeof(
        "message"
    ) + sys.getsizeof("trace")
    try:
        try:
            raise KeyError("inner")
        except KeyError:
            raise ValueError("outer") from None
    except ValueError as error:
        exception = captured("x", exc_info=(type(error), error, error.__traceback__)).exception
    links = exception.chain()
    expected = sum(sys.getsizeof(link.message) + sum(map(sys.getsizeof, link.lines)) for link in links)
    assert approximate_bytes(plain._replace(exception=exception)) == size + expected


# --- folds -------------------------------------------------------------------------------------------------


class Table:
    """Folds with a clock set by hand, and how often one was announced."""

    def __init__(self, seconds: float = 60.0, **more) -> None:
        self.clock, self.opened, self.ids = ManualClock(), 0, 0
        self.folds = Folds(seconds, self.clock, self.next_id, self.open, **more)

    def open(self) -> None:
        self.opened += 1

    def next_id(self) -> int:
        self.ids += 1
        return self.ids

    def log(self, message: str = "order %d failed", *args, **more) -> bool:
        """True if it goes as an event of its own."""
        record = record_of(message, *args, **more)
        quick = quick_key(record)
        if self.folds.repeats(record, quick, None):
            return False
        one = capture(record, id_bits=0)
        return self.folds.admits(one, problem_of(one), quick)

    def counts(self, summaries) -> list[int]:
        return [one.count for one in summaries]


def test_a_fold_is_announced_with_its_first_repeat_since_its_last_summary():
    """Once, and it is waited for until its window ends."""
    table = Table()
    assert table.log()
    assert (table.opened, table.folds.approximate_open(), table.folds.wait()) == (0, 0, None)
    table.clock.advance(20.0)
    assert not table.log()
    assert not table.log()
    assert (table.opened, table.folds.approximate_open(), table.folds.wait()) == (1, 1, 40.0)
    assert table.folds.sums() == (2, 1)
    assert table.folds.due() == []
    assert table.folds._next_look == 1_060.0
    table.clock.advance(39.0)
    assert table.folds.due() == []
    table.clock.advance(1.0)
    assert table.folds.wait() == 0.0
    (summary,) = table.folds.due()
    assert (summary.count, summary.id_bits) == (2, 1)
    assert table.folds._next_look == table.clock() + 60.0  # no fold made meanwhile is due before
    assert (table.folds.sums(), table.folds.wait(), table.folds.approximate_open()) == ((0, 0), None, 0)
    assert not table.log()
    assert (table.opened, table.folds.wait()) == (2, 120.0)


def test_in_a_hurry_all_summaries_are_made_at_the_next_turn_and_windows_go_on():
    """Then the hurry is over."""
    table = Table()
    for message in ("a", "a", "b", "b", "b", "c"):
        table.log(message)
    table.folds.hurried = True
    assert table.folds.wait() == 0.0

    assert sorted(table.counts(table.folds.due())) == [1, 2]

    assert not table.folds.hurried
    assert not table.log("a")
    assert table.folds.wait() == 60.0
    assert table.counts(table.folds.all_open()) == [1]
    assert table.folds.all_open() == []
    assert table.folds._open_due == float("inf")
    table.clock.advance(60.0)
    assert table.folds.due() == []
    assert not table.log("a")  # its window saw a storm: another, twice as long, has begun
    assert table.log("c")
    assert table.folds.wait() == 120.0


def test_windows_double_up_to_the_longest_and_a_quiet_one_ends_the_fold():
    """What comes next goes at once."""
    table, told = Table(10.0, longest_seconds=30.0), []
    table.log()
    for seconds in (10.0, 20.0, 30.0, 30.0):
        assert not table.log()
        table.clock.advance(seconds - 0.5)
        assert table.folds.due() == []
        table.clock.advance(0.5)
        told += table.counts(table.folds.due())
    assert told == [1, 1, 1, 1]
    table.clock.advance(30.0)
    table.folds.due()
    assert table.folds._folds == {}
    ((window, end),) = table.folds._remembered.values()
    assert (window, end) == (30.0, table.clock())

    assert table.log()
    assert not table.log()
    assert table.folds.wait() == 15.0
    assert table.folds._remembered == {}


def test_what_a_summary_shows_when_its_occurrences_times_are_out_of_order():
    """The first and the last of them by their own clocks; one alone has no first time."""
    table = Table()
    table.log("order %d failed", 0, at=50.0)
    for number, at in enumerate((20.0, 10.0), start=1):
        table.log("order %d failed", number, at=at)
    (summary,) = table.folds.all_open()
    assert (summary.count, summary.first_time, summary.fields[CREATED]) == (2, 10.0, 20.0)
    assert summary.fields[summary.fields.index("order %d failed") + 1] == (2,)

    table.log("order %d failed", 3, at=30.0)
    (summary,) = table.folds.all_open()
    assert (summary.count, summary.first_time, summary.fields[CREATED]) == (1, None, 30.0)
    assert time_of(summary) == 30.0
    fields = list(summary.fields)
    fields[CREATED] = "no time"
    assert time_of(summary._replace(fields=tuple(fields))) == 0.0


def test_the_first_64_repeats_of_a_window_are_read_in_full_and_then_a_few(monkeypatch):
    """Each whose number is a power of two, and one that is a tenth of a second newer, or older."""
    read = []
    monkeypatch.setattr(
        folds_module, "capture", lambda record, **options: read.append(record) or capture(record, **options)
    )
    table = Table()

    def reads(count: int, at: float = 100.0) -> int:
        read.clear()
        assert not any(table.log("boom", extra_field=1, at=at) for _ in range(count))
        return len(read)

    assert table.log("boom", extra_field=1)
    assert reads(64) == 64
    assert reads(64) == 1  # 64
    assert reads(1) == 1  # 128
    assert [reads(1, at) for at in (100.0625, 100.125, 100.125, 100.0, 100.0)] == [0, 1, 0, 1, 0]
    (summary,) = table.folds.all_open()
    assert summary.count == 134
    assert reads(100) == 64
    assert summary.extras == {"extra_field": 1}


def test_a_repeat_that_was_not_known_by_its_quick_key_is_read_in_full(monkeypatch):
    """So those that follow within a tenth of a second need not be."""
    table = Table()
    one = captured(at=100.0)
    for _ in range(71):
        table.folds.admits(one, "problem", None)
    (fold,) = table.folds._folds.values()
    assert (fold.read_at, fold.tally.total()) == (100.0, 70)

    assert not table.folds.admits(captured("later", at=200.0), "problem", None)

    assert (fold.read_at, fold.last, fold.occurrence.template) == (200.0, 200.0, "later")


def test_a_record_without_a_quick_key_is_looked_at_whole():
    """It is counted by nobody before that, however well its problem is known."""
    table = Table()
    assert table.log("boom")
    record = record_of("boom")

    assert not table.folds.repeats(record, None, None)
    assert not table.folds.admits(capture(record, id_bits=0), problem_of(capture(record, id_bits=0)), None)
    assert table.folds.sums() == (1, 1)


def test_a_repeat_of_a_fold_that_just_left_the_table_is_told_at_once():
    """A log call had it in hand, and no window of it ends any more."""
    table = Table()
    table.log()
    (fold,) = table.folds._folds.values()
    assert table.folds.due() == []
    fold.retired = True
    table.folds._folds.clear()
    table.folds._count(fold, 5.0)

    assert table.counts(table.folds.due()) == [1]
    assert table.folds.due() == []


def test_of_two_windows_the_one_that_ends_first_is_waited_for():
    """Also after a look at the table; and one shorter than a second is as long as it is told."""
    table = Table(0.25)
    for name in ("a", "a"):
        table.log("%s", fingerprint=name)
    assert table.folds.wait() == 0.25
    table.clock.advance(0.125)
    for name in ("b", "b"):
        table.log("%s", fingerprint=name)
    assert table.folds.wait() == 0.125
    assert table.folds.due() == []
    assert table.folds.wait() == 0.125
    table.clock.advance(0.125)
    assert table.counts(table.folds.due()) == [1]
    assert table.folds.wait() == 0.125


def test_plain_repeats_are_counted_without_being_read(monkeypatch):
    """Message and arguments of the last one are kept; extras, or an exception, are read."""
    read = []
    monkeypatch.setattr(
        folds_module, "capture", lambda record, **options: read.append(record) or capture(record, **options)
    )
    table = Table()
    for number in range(5):
        table.log("order %d failed", number)
    assert read == []
    (fold,) = table.folds._folds.values()
    assert fold.plain == ("order %d failed", (4,))
    table.log("order %d failed", object())
    assert (len(read), fold.plain) == (1, None)


def test_a_window_without_a_repeat_is_over_at_its_end_though_nobody_looked():
    """Before it, a log call is a repeat; an open one stays open until the worker has told it."""
    table = Table()
    table.log()
    (first,) = table.folds._folds.values()
    table.clock.advance(60.0)
    assert table.log()
    assert first.retired
    table.clock.advance(59.0)
    assert not table.log()
    table.clock.advance(1.0)
    assert not table.log()
    assert table.counts(table.folds.due()) == [2]


def test_a_fold_that_another_thread_replaces_lets_the_event_go():
    """The one that claims it first puts the new one in its place."""
    table = Table()
    table.log()
    (fold,) = table.folds._folds.values()
    table.clock.advance(60.0)
    assert fold.claim() == 0

    assert table.log()

    assert list(table.folds._folds.values()) == [fold]
    table.folds.due()
    assert list(table.folds._folds.values()) == [fold]
    fold.retired = True
    table.folds.due()
    table.clock.advance(60.0)
    table.folds.due()
    assert table.folds._folds == {}


def test_faster_than_the_worker_can_clear_up_events_go_by_themselves(monkeypatch):
    """Twice as many folds as are kept, between two turns; then the least used leave."""
    monkeypatch.setattr(folds_module, "MAX_FOLDS", 3)
    table = Table()
    for number in range(6):
        assert table.log("%s", fingerprint=str(number))
    assert table.log("%s", fingerprint="7")
    assert table.log("%s", fingerprint="7")
    assert len(table.folds._folds) == 6
    assert not table.log("%s", fingerprint="1")

    assert table.counts(table.folds.due()) == []

    kept = {fold.occurrence.extras["fingerprint"] for fold in table.folds._folds.values()}
    assert kept == {"1", "4", "5"}
    assert table.folds.sums() == (1, 1)


def test_a_fold_that_leaves_a_full_table_tells_its_repeats_first(monkeypatch):
    """And its last window is remembered, of so many problems at most as folds are kept."""
    monkeypatch.setattr(folds_module, "MAX_FOLDS", 2)
    table = Table(10.0)

    def turn(names: str) -> list[int]:
        for name in names:
            table.log("%s", fingerprint=name)
        return table.counts(table.folds.due())

    def kept() -> list[str]:
        return [fold.occurrence.extras["fingerprint"] for fold in table.folds._folds.values()]

    assert turn("aabb") == []
    table.clock.advance(10.0)
    assert turn("") == [1, 1]  # their windows are 20 s now
    assert (turn("cd"), kept()) == ([], ["a", "b"])  # those had repeats since the table was last trimmed
    assert (turn("acd"), kept()) == ([], ["a", "d"])
    assert (turn("ef"), kept()) == ([1], ["e", "f"])
    assert list(table.folds._remembered.values()) == [(20.0, 1_030.0)] * 2
    first, second = table.folds._remembered
    assert turn("e") == []
    table.clock.advance(10.0)
    assert turn("") == [1]
    assert [turn("gh"), turn("i"), turn("j")] == [[], [], []]
    assert kept() == ["i", "j"]
    assert list(table.folds._remembered)[:-1] == [second]
    assert first not in table.folds._remembered
    assert table.folds.wait() is None


def test_aliases_are_forgotten_all_at_once_when_there_are_too_many(monkeypatch):
    """Their folds stay: a repeat is found by its problem."""
    monkeypatch.setattr(folds_module, "MAX_ALIASES", 2)
    table = Table()
    table.log("a %d", 1)
    table.log("b %d", 1)
    assert len(table.folds._aliases) == 2
    table.log("c %d", 1)
    assert len(table.folds._aliases) == 1
    assert not table.log("a %d", 2)
    assert len(table.folds._aliases) == 2


def test_a_child_forgets_the_parents_folds_also_those_a_log_call_has_in_hand():
    """What it counts from now on is its own."""
    table = Table()
    table.log()
    table.log()
    (fold,) = table.folds._folds.values()
    table.folds.hurried = True
    table.clock.advance(59.0)
    table.folds.due()

    table.folds.clear()

    assert (fold.retired, fold.is_open, fold.told) == (True, False, 1)
    held = (table.folds._folds, table.folds._aliases, table.folds._remembered, table.folds._open)
    assert not any(held)
    assert not table.folds._opened
    assert not table.folds.hurried
    assert table.folds.wait() is None
    assert table.log()
    table.log()
    assert table.folds.wait() == 60.0


def test_a_new_fold_is_as_it_was_told():
    """Nothing counted, nothing told, read at its first event's time."""
    one = captured(at=7.0)
    fold = Fold("problem", one, 60.0, 50.0, 3)

    assert (fold.first, fold.last, fold.read_at, fold.due, fold.window, fold.turn) == (7, 7, 7, 60, 50, 3)
    assert (fold.told, fold.seen, fold.exact, fold.is_open, fold.retired, fold.stormed) == (
        0, 0, 64, False, False, False,
    )  # fmt: skip
    assert fold.taken() is None
    fold.tally.add()
    fold.is_open = True
    fold.forget()
    assert (fold.is_open, fold.taken(), fold.retired) == (False, None, True)
