"""The worker's verbs, case by case: which part of it is asked for what, in which order, with which bounds."""

from __future__ import annotations

import logging
import threading
from queue import Empty
from types import SimpleNamespace
from typing import Any

import pytest
from captures import capture

from eventlog_handlers.pipeline import worker as worker_module
from eventlog_handlers.pipeline.life import Parts
from eventlog_handlers.pipeline.worker import Worker
from eventlog_handlers.process import exit as process_exit
from eventlog_handlers.process import own_traffic
from eventlog_handlers.record.captured import Capture
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_event, make_worker


def captured(message: str = "boom", level: int = logging.ERROR) -> Capture:
    record = logging.LogRecord("shop", level, "shop.py", 1, message, (), None)
    return capture(record, id_bits=31)


class Part:
    """Stands for one part of a worker: keeps its calls, returns what was set for their names."""

    def __init__(self, made: list[tuple], name: str, **answers: Any) -> None:
        self._made, self._name, self.answers = made, name, answers

    def __getattr__(self, verb: str) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            self._made.append((f"{self._name}.{verb}", *args, *([options] if options else [])))
            answer = self.answers.get(verb)
            return answer(*args, **options) if callable(answer) else answer

        return call


class Case:
    """A worker whose pool, flushing, ending, inline and turns are stand-ins."""

    def __init__(self, *, wake_at: int = 1, threads: int = 0, **settings: Any) -> None:
        self.made: list[tuple] = []
        self.clock = ManualClock(100.0)
        self.worker = make_worker(ScriptedSink(), self.clock, **settings)
        self.life = self.worker._life
        for name in ("pool", "flushing", "ending", "inline", "turns"):
            setattr(self.life, name, Part(self.made, name))
        self.pool = self.worker.pool = self.life.pool
        self.pool.wake_at, self.pool.threads, self.pool.restarts = wake_at, threads, 0
        self.pool.alive = set(range(threads))
        self.pool.answers["rouse"] = True

    def calls(self) -> list[str]:
        return [call[0] for call in self.made]


@pytest.fixture
def ends(monkeypatch) -> SimpleNamespace:
    """What the process says of its end; set by the test."""
    end = SimpleNamespace(past=False, finalizing=False, exiting=False, spent=[], ended=[])
    monkeypatch.setattr(process_exit, "past_exit_hooks", lambda: end.past)
    monkeypatch.setattr(process_exit, "is_finalizing", lambda: end.finalizing)
    monkeypatch.setattr(process_exit, "exiting", lambda: end.exiting)
    monkeypatch.setattr(process_exit, "spend", end.spent.append)
    monkeypatch.setattr(process_exit, "end_threads_of", end.ended.append)
    return end


# --- a record comes in -------------------------------------------------------------------------------------


def test_a_thread_is_roused_when_as_many_wait_as_it_waits_for(ends):
    """Not before."""
    case = Case(wake_at=2)
    case.worker.submit(captured())
    assert case.calls() == []
    case.worker.submit(captured())
    assert case.calls() == ["pool.rouse"]
    assert len(case.worker.captures) == 2


def test_the_first_record_is_measured_and_then_one_in_about_sixteen(monkeypatch):
    """As many are left out as the last one's bits say."""
    measured = []
    case = Case(wake_at=999)
    case.worker._intake.bound_bytes = lambda one: measured.append(len(case.worker.captures)) or 2
    for _ in range(8):
        case.worker.submit(captured())

    assert measured == [1, 4, 7]


def test_the_intake_is_bounded_from_one_past_the_capacity_on():
    """By the newest; while fewer wait than rouse a thread there are not too many."""
    case = Case(wake_at=1, capacity=2)
    bounded = []
    case.worker._intake.bound_number = bounded.append
    captures = [captured(str(number)) for number in range(3)]
    for one in captures:
        case.worker.submit(one)

    assert bounded == captures[2:]


@pytest.mark.parametrize(
    ("over", "finalizing", "refused", "calls"),
    [
        (False, False, True, ["pool.rouse", "pool.take_refusal", "inline.send"]),
        (False, False, False, ["pool.rouse", "pool.take_refusal"]),
        (False, True, True, ["pool.rouse", "ending.flush_late"]),
        (True, False, True, ["ending.flush_late"]),
    ],
)
def test_where_no_thread_can_be_had_a_log_call_sends_now_and_then(over, finalizing, refused, calls, ends):
    """Or at the end, within the exit's budget."""
    case = Case()
    case.pool.answers.update(rouse=False, take_refusal=refused)
    ends.finalizing = finalizing
    ends.past = case.worker.is_closed = over
    case.worker.submit(captured())

    assert case.calls() == calls


def test_a_closed_worker_is_over_only_past_the_exit_hooks(ends):
    """Before that its threads send what comes late; an open one has logging's shutdown still to come."""
    for closed, past, over in ((True, True, True), (True, False, False), (False, True, False)):
        case = Case()
        case.worker.is_closed, ends.past = closed, past
        assert case.worker.is_over() is over
        case.worker.submit(captured())
        assert case.calls() == (["ending.flush_late"] if over else ["pool.rouse"])


@pytest.mark.parametrize(
    ("over", "roused", "finalizing", "calls"),
    [
        (False, True, False, ["pool.rouse_idle"]),
        (False, False, False, ["pool.rouse_idle"]),
        (False, False, True, ["pool.rouse_idle", "ending.flush_late"]),
        (False, True, True, ["pool.rouse_idle"]),
        (True, True, False, ["ending.flush_late"]),
    ],
)
def test_the_first_repeat_of_a_fold_makes_sure_of_a_thread(over, roused, finalizing, calls, ends):
    """For its window's end; where none can be had any more it is sent at once."""
    case = Case()
    case.pool.answers["rouse_idle"] = roused
    case.worker.is_closed = ends.past = over
    ends.finalizing = finalizing
    case.worker._fold_opened()

    assert case.calls() == calls


# --- waiting for room --------------------------------------------------------------------------------------


@pytest.fixture
def naps(monkeypatch) -> list[float]:
    """How long log calls waited each time; the test's clock is advanced by as much."""
    waits: list[float] = []
    event = SimpleNamespace(wait=waits.append)
    monkeypatch.setattr(worker_module, "threading", SimpleNamespace(Event=lambda: event))
    return waits


def held(case: Case, *numbers: int, seconds: float = 0.0) -> None:
    """What ``approximate_held`` answers, the last of them for ever; each question takes *seconds*."""
    left = list(numbers)

    def answer() -> int:
        case.clock.advance(seconds)
        return left.pop(0) if len(left) > 1 else left[0]

    case.life.ledger.approximate_held = answer


def test_with_block_a_log_call_waits_for_room_a_second_at_most(naps):
    """Rousing a thread each time it looks, every five milliseconds."""
    case = Case(capacity=5, when_full="block", wake_at=99)
    held(case, 4)
    case.worker.submit(captured())
    assert (naps, case.calls()) == ([], [])
    held(case, 5, 5, 6, 4)
    case.worker.submit(captured())
    assert (naps, case.calls()) == ([0.005] * 2, ["pool.rouse"] * 2)
    naps.clear()
    held(case, 5, seconds=0.25)
    case.worker.submit(captured())
    assert len(naps) == 3
    assert len(case.worker.captures) == 3

    drops = Case(capacity=5, when_full="drop_newest", wake_at=99)
    held(drops, 5)
    drops.worker.submit(captured())
    assert len(naps) == 3


def test_a_log_call_of_ours_or_at_the_very_end_waits_for_no_room(naps, ends):
    """No thread would make any."""
    case = Case(capacity=5, when_full="block", wake_at=99)
    held(case, 9, seconds=0.25)
    with own_traffic.at_work():
        case.worker.submit(captured())
    ends.finalizing = True
    case.worker.submit(captured())

    assert naps == []


# --- commit ------------------------------------------------------------------------------------------------


def test_a_commit_waits_until_its_capture_is_announced_and_forgets_it():
    """Looking every half second whether a thread is still there."""
    case = Case(wake_at=99)
    one = captured()
    waits: list[float] = []
    expected = case.worker._intake.expect

    def expect(captured_: Capture) -> Any:
        expected(captured_)

        def get(timeout: float) -> None:
            waits.append(timeout)
            if len(waits) < 3:
                raise Empty

        return SimpleNamespace(get=get, empty=lambda: True)

    case.worker._intake.expect = expect
    case.worker.commit(one)

    assert waits == [0.5] * 3
    assert case.calls() == ["turns.is_in_use_here", *["pool.rouse"] * 3]
    assert case.worker._intake._committing == {}


def test_a_commit_gives_up_after_five_seconds_and_says_so(capsys):
    """At five seconds, not before."""
    case = Case(wake_at=99)
    waits = []

    def get(timeout: float) -> None:
        waits.append(timeout)
        case.clock.advance(2.5)
        raise Empty

    case.worker._committing._wait(SimpleNamespace(get=get, empty=lambda: False))
    case.life.notes.tell()

    assert len(waits) == 2
    assert case.calls() == []
    assert "a log call waited 5 s for its commit and goes on without it" in capsys.readouterr().err


def test_without_a_thread_a_commit_renders_by_itself():
    """Until its capture is announced."""
    case = Case(wake_at=99)
    case.pool.answers["rouse"] = False
    answers = [True, False, True]
    seen = []
    case.life.inline.answers["render"] = lambda until: seen.extend([until(), until()])
    done = SimpleNamespace(get=lambda timeout: None, empty=lambda: answers.pop(0))
    case.worker._committing._wait(done)

    assert case.calls() == ["pool.rouse", "inline.render"]
    assert seen == [True, False]


@pytest.mark.parametrize("where", ["over", "inside", "logging"])
def test_a_commit_that_might_wait_for_itself_does_not_wait(where, ends):
    """Its capture is taken in and a thread roused."""
    case = Case(wake_at=99)
    case.worker.is_closed = ends.past = where == "over"
    case.life.turns.answers["is_in_use_here"] = where == "inside"
    lock = logging._lock if where == "logging" else threading.Lock()  # type: ignore[attr-defined]
    with lock:
        case.worker.commit(captured())

    assert case.calls()[-1] == "pool.rouse"
    assert len(case.worker.captures) == 1
    assert case.worker._intake._committing == {}


class Journal:
    """Takes events, as far as it *has_room*."""

    def __init__(self, *, is_open: bool = True, has_room: bool = True) -> None:
        self.is_open, self.has_room = is_open, has_room
        self.taken: list[tuple] = []

    def put(self, event, id_bits, one, captures) -> bool:
        self.taken.append((event, id_bits, one.events))
        if self.has_room:
            captures.append(one)
        return self.has_room


@pytest.mark.parametrize(
    ("is_open", "has_room", "renders", "tried", "written"),
    [
        (True, True, True, 1, True),
        (True, False, True, 1, False),
        (False, True, True, 0, False),
        (True, True, False, 0, False),
    ],
)
def test_a_commit_writes_to_the_journal_or_waits_for_a_thread(is_open, has_room, renders, tried, written):
    """The capture is there once, whichever way it took."""
    case = Case(wake_at=1)
    event = make_event() if renders else None
    case.worker._committing._render = lambda one: event
    case.worker._committing._journal = journal = Journal(is_open=is_open, has_room=has_room)
    waited = []
    case.worker._committing._wait = waited.append
    case.worker.commit(captured())

    assert journal.taken == [(event, 31, {})] * tried
    assert len(case.worker.captures) == 1
    assert (len(waited), case.calls()[-1]) == (0 if written else 1, "pool.rouse")


def test_a_fault_while_a_log_call_renders_leaves_it_to_a_thread():
    """And its own table of events is kept."""
    case = Case()
    table: dict = {}
    case.worker._committing._journal = journal = Journal()
    case.worker.commit(captured()._replace(events=table))
    assert journal.taken[0][2] is table

    def fail(one: Capture) -> None:
        raise ValueError("no")

    case.worker._committing._render = fail
    assert not case.worker._committing._write_ahead(journal, captured())
    blocks = Case(when_full="block", capacity=1)
    assert case.worker._committing._wait_for_room is None
    assert blocks.worker._committing._wait_for_room == blocks.worker._wait_for_room
    asked = []
    blocks.worker._committing._wait_for_room = lambda: asked.append(1)
    assert blocks.worker._committing._write_ahead(Journal(), captured())
    assert asked == [1]


# --- flush, close, stats -----------------------------------------------------------------------------------


def test_how_a_flush_begins(ends):
    """Where it must not wait it only hurries the threads; at the very end it sends by itself."""
    case = Case()
    case.life.flushing.answers["start"] = "ticket"
    assert case.worker.begin_flush() == "ticket"
    ends.exiting = True
    assert case.worker.begin_flush() == "ticket"
    assert case.worker.start_flush() == "ticket"
    begun = [call[1] for call in case.made if call[0] == "flushing.start"]
    assert begun == [{"urgent": False}, {"urgent": True}, {"urgent": True}]
    case.made.clear()
    ends.finalizing = True
    assert case.worker.begin_flush() is None
    case.life.turns.answers["is_in_use_here"] = True
    assert case.worker.begin_flush() is None
    with own_traffic.at_work():
        assert case.worker.begin_flush() is None
    asked, hurries = "turns.is_in_use_here", "flushing.start_without_wait"
    assert case.calls() == [asked, "ending.flush_late", asked, hurries, hurries]


def test_how_a_flush_ends(ends):
    """In the time given, or in the exit's budget, to which it is charged while the process ends."""
    case = Case()
    case.life.ending.answers["budget"] = 4.0
    case.life.flushing.answers["finish"] = lambda ticket, timeout: case.clock.advance(1.5) or True
    assert case.worker.end_flush(None, 1.0)
    case.worker.submit(captured())
    assert not case.worker.end_flush(None, 1.0)
    case.made.clear()

    assert case.worker.end_flush("ticket", 2.0)
    assert case.worker.end_flush("ticket", None)
    ends.exiting = True
    assert case.worker.end_flush("ticket", 0.0)
    assert ends.spent == []
    assert case.worker.end_flush("ticket", None)

    assert ends.spent == [1.5]
    finish = [call for call in case.made if call[0] == "flushing.finish"]
    assert finish == [("flushing.finish", "ticket", seconds) for seconds in (2.0, 4.0, 0.0, 4.0)]


@pytest.mark.parametrize(
    ("threads", "exiting", "finalizing", "calls"),
    [
        (0, False, False, ["pool.park", "turns.hide"]),
        (1, False, False, ["pool.park"]),
        (0, True, False, ["pool.park", "turns.hide", "ending.say_what_is_left"]),
        (0, True, True, ["pool.park"]),
        (0, False, True, ["pool.park"]),
    ],
)
def test_how_a_worker_is_parked(threads, exiting, finalizing, calls, ends):
    """Flushed; the last thread hides it; at the end of the process it tells what is left."""
    case = Case(threads=threads)
    case.worker.flush = lambda timeout: timeout
    ends.exiting, ends.finalizing = exiting, finalizing
    assert not case.worker.is_closed

    assert case.worker.park(7.0) == 7.0

    assert case.calls() == calls
    assert case.worker.is_closed
    assert ends.ended == ([[case.worker]] if "ending.say_what_is_left" in calls else [])
    case.worker.after_fork_in_child()
    assert not case.worker.is_closed


@pytest.mark.parametrize(
    ("threads", "busy", "pending", "waits"),
    [(0, 0, 1, False), (1, 1, 1, False), (2, 1, 1, True), (1, 1, 0, True), (0, 0, 0, False)],
)
def test_threads_that_are_stuck_in_a_request_are_not_waited_for(threads, busy, pending, waits):
    """At the end of the process. Where nothing is pending, a request under way has its answer."""
    case = Case(threads=threads)
    if pending:
        case.worker.captures.append(captured())
    case.life.delivery.under_way = lambda: busy
    case.worker.end_threads()

    assert case.worker.has_threads_to_end() is waits
    assert case.calls() == ["pool.end"]


def test_stats_has_the_law_the_destination_and_the_threads():
    """And with which processes something is shared."""
    case = Case(threads=3)
    case.pool.restarts = 2
    case.worker.count_own_traffic()
    case.worker.count_own_traffic()
    case.worker.count_already_reported()
    stats = case.worker.stats()

    assert (stats["own_traffic"], stats["threads"], stats["restarts"], stats["spool"]) == (2, 3, 2, {})
    assert stats["already_reported"] == 1
    assert (stats["accepted"], stats["state"], stats["scope"]) == (0, "ok", "process")
    assert "sharing" not in stats
    state = {"totals": {}}
    sharing = SimpleNamespace(state=lambda: dict(state), asked_for="host")
    case.worker._parts = case.worker._parts._replace(sharing=sharing)
    assert case.worker._scope() == {"scope": "host", "sharing": {"totals": {}}}
    state["scope"] = "redis"
    assert case.worker._scope() == {"scope": "redis", "sharing": {"totals": {}}}


# --- life --------------------------------------------------------------------------------------------------


def test_of_threads_that_notice_a_fork_at_once_one_begins_anew(monkeypatch):
    """A second beginning would lose what the first thread has taken in. So it was in uWSGI's threads."""
    worker = Case().worker
    worker.pid = -1

    def take_in():
        worker.notice_fork()
        worker.captures.append(captured())

    second = threading.Thread(target=take_in)

    def meanwhile():
        if second.ident is None:
            second.start()
            second.join(0.5)  # it waits for the first thread, and so outlasts this

    monkeypatch.setattr(worker_module, "reseed", meanwhile)

    take_in()
    second.join()

    assert len(worker.captures) == 2


def test_a_forked_child_starts_a_new_life(monkeypatch):
    """With nothing of the parent's; a thread of the parent's may have held the pacer's lock."""
    made: list[tuple] = []
    monkeypatch.setattr(worker_module, "reseed", lambda: made.append(("reseed",)))
    case = Case(aggregate_seconds=60.0)
    worker, parents = case.worker, case.life.buffer
    worker._parts = worker._parts._replace(pacer=Part(made, "pacer"))
    worker.submit(captured())
    worker.folds.clear = lambda: made.append(("folds",))

    worker.after_fork_in_child()

    assert [call[0] for call in made] == ["reseed", "pacer.after_fork_in_child", "folds"]
    assert worker._life is not case.life
    assert worker.pool is worker._life.pool
    assert not worker.captures
    assert any(buffer is parents for buffer in worker_module._parents_buffers)
    worker._parts = worker._parts._replace(sharing=Part(made, "sharing"))
    made.clear()
    worker.after_fork_in_child()
    assert [call[0] for call in made] == ["reseed", "sharing.after_fork_in_child", "folds"]
    worker.pid = -1
    worker.start_flush()
    assert worker.pid > 0


@pytest.mark.parametrize(
    ("seconds", "passed_on", "window", "longest"),
    [
        (None, False, None, None),
        (60.0, False, 60.0, float("inf")),
        (60.0, True, 1.0, 8.0),
        (0.5, True, 0.5, 0.5),
    ],
)
def test_repeats_that_are_counted_elsewhere_are_gathered_for_seconds_only(
    seconds, passed_on, window, longest
):
    """One second, and eight at most while they come; never longer than the setting."""
    folds = Case(aggregate_seconds=seconds, counts_are_passed_on=passed_on).worker.folds

    assert (None if folds is None else folds._window) == window
    assert folds is None or folds._longest == longest


@pytest.mark.parametrize(
    ("settings", "high_water"),
    [({}, 1_000), ({"capacity": 30}, 30), ({"spool": "somewhere"}, 1), ({"capacity": 2_000}, 1_000)],
)
def test_how_many_captures_may_pile_up_before_a_second_thread_comes(settings, high_water):
    """A thousand, or the capacity; on the way to a spool none."""
    worker = make_worker(ScriptedSink(), ManualClock(), **settings)
    plain = Worker("H", worker.settings, worker._parts)

    assert worker._life.pool._high_water == worker._life.delivery._planning._many == high_water
    assert plain._life.inline._seconds == 1.0
    assert worker._life.inline._seconds == 0.0
    assert worker._life.own_traffic == worker._life.already_reported == 0
    assert (plain.name, plain.settings, plain.exit_timeout) == (
        "H", worker.settings, worker.settings.exit_timeout,
    )  # fmt: skip
    assert process_exit._participants[id(plain)]() is plain
    assert Parts._field_defaults["make_showing"]() is None
