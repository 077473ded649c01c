"""Threads, turns, flushes and the end, step by step: each with stand-ins that keep what they were asked."""

from __future__ import annotations

import logging
import threading
from queue import Empty
from types import SimpleNamespace
from typing import Any

import pytest

from eventlog_handlers.pipeline import flushing as flushing_module
from eventlog_handlers.pipeline import thread_pool as pool_module
from eventlog_handlers.pipeline.ending import Ending
from eventlog_handlers.pipeline.flushing import Flushing, must_not_wait
from eventlog_handlers.pipeline.gates import Idle
from eventlog_handlers.pipeline.inline import Inline
from eventlog_handlers.pipeline.thread_pool import ThreadPool
from eventlog_handlers.pipeline.tickets import Ticket
from eventlog_handlers.pipeline.turns import Turns
from eventlog_handlers.process import exit as process_exit
from eventlog_handlers.process import fork, own_traffic
from eventlog_handlers.testing import ManualClock

LONG_AGO = float("-inf")


class Calls:
    """Stands for any object: keeps each call in ``made`` and returns what was set for its name."""

    def __init__(self, made: list[tuple] | None = None, **answers: Any) -> None:
        self.made: list[tuple] = [] if made is None else made
        self.answers = answers

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            self.made.append((name, *args, *([options] if options else [])))
            answer = self.answers.get(name)
            return answer(*args, **options) if callable(answer) else answer

        return call

    def names(self) -> list[str]:
        return [call[0] for call in self.made]


# --- the pool ----------------------------------------------------------------------------------------------


class Tokens:
    """A queue of tokens in which nobody waits: *arrives* says whether one came."""

    def __init__(self, pool: ThreadPool, *, arrives: bool = False) -> None:
        self.pool, self.arrives = pool, arrives
        self.count = 0
        self.waits: list[tuple] = []

    def put(self) -> None:
        self.count += 1

    def get(self, timeout: float) -> None:
        self.waits.append((timeout, self.pool.wake_at, self.pool._is_sleeping))
        if not self.arrives:
            raise Empty


class Works:
    """Work for a pool whose threads end before ``start`` returns."""

    def __init__(self, *turns: Any, senders: int = 4, high_water: int = 100) -> None:
        self.turns = list(turns)
        self.behind = False
        self.captures = self.held = self.kept_alive = 0
        self.news = [False]
        self.rests: list[int] = []
        self.marks: list[bool] = []
        self.started: list[str] = []
        self.refuses = self.over = False
        self.clock = ManualClock()
        self.said: list[tuple[str, str]] = []
        self.pool = ThreadPool(
            "eventlog-x", self, senders=senders, high_water=high_water, start_thread=self.start,
            is_over=lambda: self.over, keep_alive=self.keep_alive, clock=self.clock,
            self_log=SimpleNamespace(say_once=lambda *text: self.said.append(text)),
        )  # fmt: skip
        self.tokens = self.pool._tokens = Tokens(self.pool)

    def start(self, run, name: str) -> None:
        self.started.append(name)
        if self.refuses:
            raise RuntimeError("can't start new thread")
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(30)

    def step(self) -> Idle | None:
        self.marks.append(own_traffic.mark.active)
        turn = self.turns.pop(0) if self.turns else Idle(None, 1)
        if isinstance(turn, BaseException):
            raise turn
        return turn

    def waiting(self) -> int:
        return self.captures

    def another_renders(self) -> bool:
        return self.behind

    def has_news(self) -> bool:
        return self.news.pop(0) if len(self.news) > 1 else self.news[0]

    def pending(self) -> int:
        return self.held

    def rest(self) -> None:
        self.rests.append(self.pool.threads)

    def keep_alive(self) -> None:
        self.kept_alive += 1


@pytest.fixture
def hooked(monkeypatch) -> list[int]:
    """How often the process's hooks were put in place."""
    hooks: list[int] = []
    monkeypatch.setattr(process_exit, "hook_process", lambda: hooks.append(1))
    return hooks


def test_a_thread_turns_sleeps_five_seconds_and_leaves(hooked):
    """While it lives it is marked as ours; with it the exit hooks are put in place."""
    works = Works(None, Idle(None, 7), None)
    pool = works.pool
    assert (pool.wake_at, pool.threads, pool.restarts, pool.is_parked) == (1, 0, 0, False)
    assert not pool.take_refusal()
    pool.is_parked = True

    works.held = 1
    waits = []

    def get(timeout: float) -> None:
        waits.append((timeout, pool.wake_at, pool._is_sleeping, pool.is_parked))
        works.held = 0
        raise Empty

    works.tokens.get = get
    assert pool.rouse()

    assert works.started == ["eventlog-x"]
    assert len(hooked) == 1
    assert works.marks == [True] * len(works.marks)
    assert waits[0] == (5.0, 7, True, False)
    assert works.rests == [0]
    assert (pool.threads, pool.wake_at, pool._is_sleeping) == (0, 1, False)
    assert pool._starting.acquire(blocking=False)


def test_a_thread_looks_again_after_a_moment_while_another_renders():
    """What waits is not for it, and to look at once would be a spin, as long as a hook takes."""
    works = Works()
    pool, works.pool.threads, works.held, works.captures = works.pool, 2, 3, 3
    assert pool.sleep(Idle(None, 1))
    assert works.tokens.waits == []  # it renders them itself

    works.behind = True
    assert pool.sleep(Idle(None, 1))

    assert works.tokens.waits == [(0.02, 1, True)]


@pytest.mark.parametrize(
    ("idle", "arrives", "held", "timeout", "wake_at", "stays"),
    [
        (Idle(None, 1), False, 0, 5.0, 1, False),
        (Idle(None, 1), False, 1, 5.0, 1, True),
        (Idle(None, 1), True, 0, 5.0, 1, True),
        (Idle(2.5, 9), False, 0, 2.5, 9, True),
        (Idle(0.0, 500), False, 0, 0.001, 100, True),
        (Idle(0.5, 1), True, 0, 0.5, 1, True),
    ],
)
def test_how_long_a_thread_sleeps_and_whether_it_stays(idle, arrives, held, timeout, wake_at, stays):
    """Until a token, the time, or its five seconds of nothing to do."""
    works = Works()
    pool, works.held, pool.threads = works.pool, held, 2
    works.tokens.arrives = arrives

    assert pool.sleep(idle) is stays

    assert works.tokens.waits == [(timeout, wake_at, True)]
    assert not pool._is_sleeping
    assert (pool.threads, pool.wake_at) == (2 if stays else 1, 100)


def test_a_thread_does_not_sleep_where_enough_came_before_it_said_so():
    """As many captures as would wake it."""
    works = Works()
    works.pool.threads = 1
    works.captures = 3
    assert works.pool.sleep(Idle(9.0, 3))
    assert works.tokens.waits == []
    assert works.pool.sleep(Idle(9.0, 4))
    assert works.tokens.waits == [(9.0, 4, True)]


@pytest.mark.parametrize(
    ("sleeping", "ending", "parked", "held", "seconds", "stays", "tokens"),
    [
        (True, False, False, 1, 0.5, False, 1),
        (True, False, False, 1, None, False, 0),
        (False, True, False, 1, 0.5, False, 0),
        (False, False, True, 0, 0.5, False, 0),
        (False, False, True, 1, 0.5, True, 0),
        (False, False, False, 0, 0.5, True, 0),
    ],
)
def test_which_thread_leaves_instead_of_sleeping(sleeping, ending, parked, held, seconds, stays, tokens):
    """A second sleeper, at the end, or parked with nothing pending; a time to wait for is passed on."""
    works = Works()
    pool, works.held, pool.threads = works.pool, held, 2
    pool._is_sleeping, pool._is_ending, pool.is_parked = sleeping, ending, parked

    assert pool.sleep(Idle(seconds, 1)) is stays

    assert (pool.threads, works.tokens.count, len(works.tokens.waits)) == (
        2 if stays else 1,
        tokens,
        int(stays),
    )


@pytest.mark.parametrize(
    ("sleeping", "threads", "started", "tokens", "wake_at"),
    [(True, 1, 0, 1, 100), (False, 0, 1, 0, 1), (False, 4, 1, 0, 7), (False, 5, 0, 0, 7)],
)
def test_whom_rousing_wakes(sleeping, threads, started, tokens, wake_at, hooked):
    """The sleeper; else a new thread, up to one more than may send."""
    works = Works(senders=4)
    pool = works.pool
    pool._is_sleeping, pool.threads, pool.wake_at = sleeping, threads, 7
    if threads == 4:
        pool._turn_until_idle = lambda: True  # it stays busy

    assert pool.rouse()

    assert (len(works.started), works.tokens.count, pool.wake_at) == (started, tokens, wake_at)


@pytest.mark.parametrize(
    ("sleeping", "threads", "started", "tokens"), [(True, 1, 0, 1), (False, 0, 1, 0), (False, 1, 0, 0)]
)
def test_a_busy_thread_is_not_roused_where_it_looks_anyway(sleeping, threads, started, tokens, hooked):
    """Before it sleeps or leaves."""
    works = Works()
    works.pool._is_sleeping, works.pool.threads = sleeping, threads

    assert works.pool.rouse_idle() is True

    assert (len(works.started), works.tokens.count) == (started, tokens)


@pytest.mark.parametrize("how", ["park", "end"])
def test_the_sleeper_is_woken_to_leave(how):
    """If there is one."""
    works = Works()
    getattr(works.pool, how)()
    assert works.tokens.count == 0
    works.pool._is_sleeping = True
    getattr(works.pool, how)()
    assert works.tokens.count == 1
    assert (works.pool.is_parked, works.pool._is_ending) == (how == "park", how == "end")


def test_a_refused_thread_is_asked_for_again_a_second_later(hooked, monkeypatch):
    """The refusal is told once, and not at the end of the process; threads that are there go on."""
    works = Works()
    works.refuses = True
    pool = works.pool
    assert [pool.rouse(), pool.rouse()] == [False, False]
    assert (len(works.started), works.kept_alive) == (1, 1)
    assert [pool.take_refusal(), pool.take_refusal()] == [True, False]
    works.clock.advance(0.75)
    assert not pool.rouse()
    pool.threads = 1
    assert pool.rouse()
    assert pool.has_threads()
    assert len(works.started) == 1
    works.clock.advance(0.25)
    monkeypatch.setattr(process_exit, "exiting", lambda: True)
    assert pool.rouse()
    assert len(works.started) == 2
    assert not pool.take_refusal()
    monkeypatch.setattr(process_exit, "is_finalizing", lambda: True)
    assert not pool.has_threads()


def test_a_thread_is_started_once_however_many_ask(hooked):
    """Another caller is just starting one."""
    works = Works()
    works.pool._starting.acquire()

    assert works.pool.rouse()
    assert works.started == []
    assert works.kept_alive == 0


def test_no_thread_is_started_when_all_is_over_or_uwsgi_is_about_to_fork(hooked, monkeypatch):
    """Its work is kept alive; after the fork it is tried again at once."""
    works = Works()
    works.over = True
    assert not works.pool.rouse()
    assert (works.started, works.kept_alive) == ([], 1)

    works = Works()
    monkeypatch.setattr(fork, "forks_unannounced", lambda: True)
    assert not works.pool.rouse()
    assert (works.started, works.kept_alive) == ([], 1)
    monkeypatch.setattr(fork, "forks_unannounced", lambda: False)
    assert works.pool.rouse()
    assert len(works.started) == 1


def test_a_thread_that_is_broken_off_goes_on_after_a_second(hooked, monkeypatch):
    """That is counted, and said."""
    waits = []
    event = SimpleNamespace(wait=waits.append)
    works = Works(ValueError("thrown"), None, KeyboardInterrupt("again"))
    monkeypatch.setattr(pool_module, "threading", SimpleNamespace(Event=lambda: event, get_ident=lambda: 1))

    assert works.pool.rouse()

    assert works.pool.restarts == 2
    assert waits == [1.0, 1.0]
    assert works.said == [
        ("broke off", "worker broke off and goes on: ValueError: thrown"),
        ("broke off", "worker broke off and goes on: KeyboardInterrupt: again"),
    ]
    assert len(works.marks) == 4
    assert (works.rests, works.kept_alive) == ([0], 0)


def test_a_thread_that_even_its_last_resort_could_not_hold_leaves_and_keeps_the_work_alive():
    """It is counted out, and another may start."""
    works = Works()
    pool = works.pool
    pool._starting.acquire()

    def broken() -> bool:
        raise MemoryError

    pool._turn_until_idle = broken
    with own_traffic.at_work(), pytest.raises(MemoryError):
        pool._run()

    assert (pool.threads, works.kept_alive, works.rests) == (0, 1, [])
    assert pool._starting.acquire(blocking=False)


def test_the_last_thread_rests_and_looks_once_more(hooked):
    """The others only leave."""
    works = Works()
    works.pool.threads = 1
    assert works.pool.rouse()
    assert works.rests == []
    assert works.pool.threads == 1

    works = Works()
    works.news = [True, False]
    works.pool.rouse()
    assert works.started == ["eventlog-x"] * 2
    assert works.rests == [0, 0]
    works.pool.threads = 2
    works.pool.wake_at = 50
    works.pool.leave()
    assert works.pool.wake_at == 50
    works.pool.leave()
    assert works.pool.wake_at == 1


# --- a turn ------------------------------------------------------------------------------------------------


def turns_of(*, folds=None, sharing=None, showing=None, threads=0, **answers) -> tuple[Turns, list[tuple]]:
    """Turns over stand-ins that share one list of calls."""
    made: list[tuple] = []
    ledger = Calls(made, **answers)
    pool = Calls(made)
    pool.threads, pool.is_parked = threads, answers.get("is_parked", False)
    turns = Turns(
        SimpleNamespace(captures=answers.get("captures", [])),
        folds,
        ledger,
        Calls(made, **answers),
        render=None,
        charging=None,
        notes=Calls(made),
        reports=Calls(made),
        sharing=sharing and Calls(made, **sharing),
        showing=showing and Calls(made, **showing),
    )
    turns.pool = pool
    turns.render_some = lambda: made.append(("render",)) or answers.get("rendered", False)
    return turns, made


def test_a_turn_adopts_renders_plans_and_tells():
    """What to wait for is returned where nothing was rendered."""
    turns, made = turns_of(plan=Idle(2.0, 5), wait_for_folds=None)
    assert turns.step() == Idle(2.0, 5)
    assert [call[0] for call in made] == ["adopt", "render", "plan", "wait_for_folds", "tell", "tell"]

    turns, made = turns_of(plan=Idle(2.0, 5), rendered=True)
    assert turns.step() is None
    assert [call[0] for call in made] == ["adopt", "render", "plan", "tell", "tell"]


@pytest.mark.parametrize(
    ("threads", "wants", "asked", "roused"),
    [(0, True, [], 0), (1, True, [True], 1), (2, True, [False], 1), (2, False, [False], 0)],
)
def test_what_is_planned_is_delivered_and_another_thread_roused_where_one_is_wanted(
    threads, wants, asked, roused
):
    """Before the request goes."""
    turns, made = turns_of(plan="leases", wants_another_thread=wants, threads=threads)

    assert turns.step(deadline=7.0) is None

    assert [call[1]["alone"] for call in made if call[0] == "wants_another_thread"] == asked
    names = [call[0] for call in made]
    assert names.count("rouse") == roused
    assert ("deliver", "leases", {"deadline": 7.0}) in made
    assert names[-3:] == ["deliver", "tell", "tell"]


@pytest.mark.parametrize(
    ("idle", "folds", "look", "seconds"),
    [
        (Idle(2.0, 5), None, None, 2.0),
        (Idle(2.0, 5), 3.0, None, 2.0),
        (Idle(2.0, 5), 1.0, None, 1.0),
        (Idle(2.0, 5), 1.5, 1.0, 1.0),
        (Idle(2.0, 5), 1.0, 1.5, 1.0),
        (Idle(None, 5), 9.0, None, 9.0),
        (Idle(None, 5), None, 8.0, 8.0),
        (Idle(None, 5), None, None, None),
    ],
)
def test_no_thread_sleeps_past_the_end_of_a_window_that_has_something_to_tell(idle, folds, look, seconds):
    """This process's own, or one that processes share."""
    turns, _ = turns_of(plan=idle, wait_for_folds=folds, sharing={"next_look": look})

    assert turns.step() == Idle(seconds, 5)


def test_a_place_to_ask_for_is_asked_for_where_a_window_ends_at_the_same_moment():
    """The same wait, not a new one."""
    idle = Idle(0.0, 5, asks=True)
    turns, _ = turns_of(plan=idle, wait_for_folds=0.0)

    assert turns.step() is idle


def test_counters_are_shown_to_other_processes_and_to_top():
    """To sleep: only where there was nothing to do."""
    sums = dict.fromkeys(("accepted", "delivered", "dropped", "aggregated", "pending", "oldest_seconds"), 1)
    answers = {"sums": {**sums, "requests": 9}, "added_summaries": 3, "state": {"state": "ok"}}
    sharing = {"scope": "host", "publish": lambda make, **more: make(), "calls": None, "next_look": None}
    for planned, rendered, sleeps in ((Idle(None, 1), False, True), (Idle(None, 1), True, False)):
        turns, made = turns_of(
            plan=planned,
            rendered=rendered,
            sharing=sharing,
            showing={"show": lambda look, **more: look()},
            **answers,
        )
        turns.step()
        assert [call[2] for call in made if call[0] == "publish"] == [{"now_at_once": False}]
        assert [call[2] for call in made if call[0] == "show"] == [{"goes_to_sleep": sleeps, "leaves": False}]
        assert turns._shown() == {**sums, "state": "ok", "scope": "host"}
    turns, _ = turns_of(**answers)
    assert turns._shown()["scope"] == "process"


def test_what_cannot_be_shown_concerns_no_event():
    """It is noted."""

    def fail(*_: object, **__: object) -> None:
        raise ValueError("no")

    turns, made = turns_of(plan=Idle(1.0, 1), sharing={"publish": fail}, showing={"show": fail})
    assert turns.step() == Idle(1.0, 1)
    assert [call[:2] for call in made if call[0] == "say_once"] == [
        ("say_once", "publish"),
        ("say_once", "show"),
    ]


def test_what_the_last_thread_does():
    """Connections and files are closed, the counters shown once more; a closed handler is shown no more."""
    turns, made = turns_of(sharing={"x": 1}, showing={"x": 1}, pending=0)
    turns.rest()
    assert [call[0] for call in made] == ["close", "rest", "publish", "rest", "show"]
    assert made[2][2] == {"now_at_once": True}
    assert made[4][2] == {"goes_to_sleep": True, "leaves": True}

    turns, made = turns_of(is_parked=True, showing={"x": 1}, pending=0)
    turns.rest()
    assert [call[0] for call in made] == ["close", "close", "show", "pending", "remove"]
    turns, made = turns_of(is_parked=True, showing={"x": 1}, pending=2)
    turns.rest()
    assert "remove" not in [call[0] for call in made]


@pytest.mark.parametrize(
    ("captures", "open_", "news"), [([], None, False), ([1], None, True), ([], 0, False), ([], 1, True)]
)
def test_news_is_a_capture_or_a_repeat_that_no_summary_tells(captures, open_, news):
    """What no thread has looked at."""
    turns, _ = turns_of(captures=captures, folds=None if open_ is None else Calls(approximate_open=open_))

    assert turns.has_news() is news
    assert turns.waiting() == len(captures)


@pytest.mark.parametrize(("ledger", "delivery"), [(True, False), (False, True), (False, False)])
def test_this_thread_is_in_use_where_it_holds_one_of_the_locks(ledger, delivery):
    """Either may have been left half done."""
    turns, _ = turns_of()
    turns._ledger, turns._delivery = Calls(is_in_use_here=ledger), Calls(is_in_use_here=delivery)

    assert turns.is_in_use_here() is (ledger or delivery)


# --- turns in a caller's thread ----------------------------------------------------------------------------


def inline_of(*turns, in_use: bool = False, seconds: float = 3.0):
    """An Inline, its clock and the calls it makes; each turn takes a second."""
    now, made, left = ManualClock(100.0), [], list(turns)

    def step(**options: Any) -> Any:
        assert own_traffic.mark.active
        now.advance(1.0)
        turn = left.pop(0)
        if isinstance(turn, BaseException):
            raise turn
        return turn

    said = Calls()
    inline = Inline(
        Calls(made, step=step, is_in_use_here=in_use, render_some=lambda: left.pop(0)),
        Calls(made, open_ticket="ticket"),
        clock=now,
        self_log=said,
        seconds=seconds,
    )
    return inline, made, said


def test_a_log_call_sends_for_its_seconds_and_leaves_no_ticket():
    """Each request may take what is left of them; folds tell nothing before their time."""
    inline, made, _ = inline_of(None, None, None, None)
    inline.send()
    step = ("step", {"deadline": 103.0})
    assert made == [
        ("is_in_use_here",), ("open_ticket", {"sum_up": False}), step, step, step, ("close_ticket", "ticket"),
    ]  # fmt: skip
    assert not own_traffic.mark.active

    inline, made, _ = inline_of(None, Idle(1.0, 1), None)
    inline.send()
    assert [call[0] for call in made].count("step") == 2
    inline, made, _ = inline_of(in_use=True)
    inline.send()
    assert made == [("is_in_use_here",)]


def test_turns_end_when_it_is_done_and_what_one_raises_goes_no_further():
    """It is said once; the caller waits for the next thing."""
    inline, made, _ = inline_of(None, None)
    done = [False, True]
    inline.step_until_idle(999.0, lambda: done.pop(0))
    assert len(made) == 1

    inline, made, said = inline_of(ValueError("broken"))
    assert inline.step(999.0) == Idle(None, 1)
    assert said.made == [("say_once", "broke off", "a turn broke off: ValueError: broken")]
    inline, made, _ = inline_of(True, True, False)
    inline.render(lambda: False)
    assert [call[0] for call in made] == ["render_some"] * 3
    inline, made, _ = inline_of(True, True)
    inline.render(lambda: len(made) == 1)
    assert len(made) == 1


# --- flushing ----------------------------------------------------------------------------------------------


def flushing_of(ticket: Any = None, *, sharing=None, **answers):
    now, made = ManualClock(100.0), []
    flushing = Flushing(
        Calls(made, open_ticket=ticket, **answers),
        Calls(made),
        Calls(made, **answers),
        Calls(made, **answers),
        clock=now,
        sharing=sharing,
    )
    return flushing, now, made


def test_a_flush_rouses_a_thread_unless_nothing_is_pending():
    """At the end of the process a resting destination is tried at once."""
    for finished, urgent, names in (
        (False, False, ["open_ticket", "rouse"]),
        (False, True, ["open_ticket", "hurry", "rouse"]),
        (True, True, ["open_ticket"]),
    ):
        ticket = Ticket(0)
        ticket.finished = finished
        flushing, _, made = flushing_of(ticket)
        assert flushing.start(urgent=urgent) is ticket
        assert [call[0] for call in made] == names
        assert made[0] == ("open_ticket",)
    sharing = Calls()
    flushing, _, made = flushing_of(Ticket(0), sharing=SimpleNamespace(has_to_tell=sharing))
    flushing.start(urgent=False)
    assert made[0] == ("open_ticket", {"has_more": sharing})


@pytest.mark.parametrize(("pending", "names"), [(0, []), (1, ["hurry_folds", "rouse"])])
def test_a_thread_that_must_not_wait_only_hurries_the_others(pending, names):
    """Where something is pending."""
    flushing, _, made = flushing_of(approximate_pending=pending)
    flushing.start_without_wait()

    assert [call[0] for call in made] == ["approximate_pending", *names]


class Done:
    """A ticket's queue that keeps how long it was waited for; a wait takes its time."""

    def __init__(self, now: ManualClock, ticket: Ticket, finish_after: int = 99) -> None:
        self.now, self.ticket, self.finish_after = now, ticket, finish_after
        self.waits: list[float] = []

    def get(self, timeout: float) -> None:
        self.waits.append(timeout)
        self.now.advance(timeout)
        if len(self.waits) >= self.finish_after:
            self.ticket.finished = True
            return
        raise Empty


@pytest.mark.parametrize(
    ("has_threads", "rouse", "idle", "finish_after", "waits", "steps", "finished"),
    [
        (True, False, None, 99, [4.0], 0, False),
        (False, True, None, 99, [4.0], 0, False),
        (False, False, Idle(1.5, 1), 99, [1.5, 1.5, 1.0], 3, False),
        (False, False, Idle(1.5, 1), 2, [1.5, 1.5], 2, True),
        (False, False, Idle(0.0, 1), 3, [0.001] * 3, 3, True),
        (False, False, Idle(9.0, 1), 99, [4.0], 1, False),
        (False, False, Idle(None, 1), 99, [4.0], 1, False),
    ],
)
def test_how_a_flush_waits(has_threads, rouse, idle, finish_after, waits, steps, finished):
    """For threads until its time is over; without them it does the work, and waits as that says."""
    ticket = Ticket(0)
    flushing, now, made = flushing_of(has_threads=has_threads, rouse=rouse, step=idle)
    ticket.done = done = Done(now, ticket, finish_after)

    assert flushing.finish(ticket, 4.0) is finished

    assert done.waits == waits
    assert [call for call in made if call[0] == "step"] == [("step", 104.0)] * steps
    assert made[-1] == ("close_ticket", ticket)


def test_a_flush_does_turn_after_turn_where_it_has_no_thread():
    """Without waiting in between; none at all where its time is over."""
    ticket = Ticket(0)
    turns = iter([None, None, Idle(1.0, 1)])
    flushing, now, made = flushing_of(step=lambda deadline: next(turns))
    ticket.done = done = Done(now, ticket, 1)
    assert flushing.finish(ticket, 4.0)
    assert [call[0] for call in made].count("step") == 3
    assert done.waits == [1.0]

    flushing, _, made = flushing_of()
    assert not flushing.finish(Ticket(0), 0.0)
    assert [call[0] for call in made] == ["close_ticket"]


def test_a_thread_that_would_wait_for_itself_must_not_wait():
    """One at work for us, or the owner of logging's lock."""
    assert not must_not_wait()
    with own_traffic.at_work():
        assert must_not_wait()
    with logging._lock:  # type: ignore[attr-defined]
        assert must_not_wait()
    assert flushing_module.must_not_wait is must_not_wait


# --- the end -----------------------------------------------------------------------------------------------


class End:
    """An Ending over stand-ins; a turn takes two seconds."""

    def __init__(
        self, *, threads: int = 0, pending: int = 0, state=None, last_error: str = "", **answers
    ) -> None:
        self.clock, self.made, self.said = ManualClock(100.0), [], []
        self.ticket = Ticket(0)
        delivery = Calls(self.made, is_stuck=answers.get("delivery_stuck", False))
        delivery.last_error = last_error
        pool = Calls(self.made)
        pool.threads, pool.alive = threads, set(range(threads))
        self.pending = pending
        self.ledger = Calls(
            self.made, pending=lambda: self.pending, approximate_pending=7, spool_state=state or {},
            is_stuck=answers.get("ledger_stuck", False),
        )  # fmt: skip
        self.renders = [True, True, False]
        self.ending = Ending(
            self.ledger,
            delivery,
            pool,
            Calls(
                self.made,
                is_in_use_here=answers.get("in_use", False),
                render_some=lambda: self.renders.pop(0),
            ),
            Calls(self.made, step_until_idle=self.work),
            Calls(self.made, start=self.ticket),
            clock=self.clock,
            notes=Calls(self.made),
            self_log=SimpleNamespace(say=self.said.append),
            exit_timeout=5.0,
            has_spool=answers.get("has_spool", True),
        )

    def work(self, deadline, is_done) -> None:
        self.until = deadline
        self.is_done = is_done()
        self.clock.advance(2.0)

    def names(self) -> list[str]:
        return [call[0] for call in self.made]


@pytest.fixture
def spent(monkeypatch) -> list[float]:
    """What was charged to the budget of the exit, of which a second is gone."""
    seconds: list[float] = []
    monkeypatch.setattr(process_exit, "_spent_seconds", 1.0)
    monkeypatch.setattr(process_exit, "spend", seconds.append)
    return seconds


@pytest.mark.parametrize(("threads", "waits"), [(0, 0.0), (1, 2.0)])
def test_past_the_hooks_a_record_is_sent_in_its_own_thread_within_the_exits_budget(threads, waits, spent):
    """What another thread has in hand is waited for, as long as one can run."""
    end = End(threads=threads)
    end.ending.flush_late()

    assert end.until == 104.0
    assert end.is_done is False
    assert ("start", {"urgent": True}) in end.made
    assert ("finish", end.ticket, waits) in end.made
    assert spent == [2.0]
    assert end.names()[-4:] == ["pending", "close", "tell", "spool_state"]
    assert end.said == []


def test_a_thread_inside_one_of_the_locks_sends_nothing(spent):
    """It may have left a change half done."""
    end = End(in_use=True)
    end.ending.flush_late()

    assert end.names() == ["is_in_use_here"]


@pytest.mark.parametrize(
    "frozen", [{"threads": 1}, {"delivery_stuck": True}, {"ledger_stuck": True}, {"has_spool": False}]
)
def test_while_the_interpreter_finalizes_a_thread_that_stands_still_may_hold_a_lock(frozen, monkeypatch):
    """So none is taken, or at least not in vain: the number that is lost is told as far as it is known."""
    monkeypatch.setattr(process_exit, "is_finalizing", lambda: True)
    end = End(pending=3, **frozen)
    end.ending.flush_late()

    assert end.said == ["7 event(s) not delivered when the process ended"]
    assert "render_some" not in end.names()
    assert "pending" not in end.names()


def test_while_the_interpreter_finalizes_captures_are_rendered_into_the_spool(monkeypatch):
    """Whatever that raises."""
    monkeypatch.setattr(process_exit, "is_finalizing", lambda: True)
    end = End(pending=3, state={"in_file": 3})
    end.ending.flush_late()
    assert end.names().count("render_some") == 3
    assert "start" not in end.names()
    assert end.said == ["3 event(s) stay in the spool for the next process"]

    end = End(pending=3)
    end.renders = []
    end.ending.flush_late()
    assert end.said == ["3 event(s) not delivered when the process ended"]


@pytest.mark.parametrize(
    ("pending", "state", "error", "said"),
    [
        (0, {}, "", []),
        (5, {}, "", ["5 event(s) not delivered when the process ended"]),
        (5, {"in_file": 5}, "", ["5 event(s) stay in the spool for the next process"]),
        (5, {"in_file": 2, "in_journal": 3}, "", ["5 event(s) stay in the spool for the next process"]),
        (5, {"in_file": 9}, "", ["5 event(s) stay in the spool for the next process"]),
        (
            5, {"in_file": 1, "in_journal": 1}, "503",
            [
                "2 event(s) stay in the spool for the next process (last error: 503)",
                "3 event(s) not delivered when the process ended (last error: 503)",
            ],
        ),
        (1, {"in_file": 1}, "503", ["1 event(s) stay in the spool for the next process (last error: 503)"]),
    ],
)  # fmt: skip
def test_what_the_end_leaves_or_loses_is_told_once_for_the_same_number(pending, state, error, said):
    """How many in the spool, how many lost, and why."""
    end = End(pending=pending, state=state, last_error=error)
    end.ending.say_what_is_left()
    end.ending.say_what_is_left()
    assert end.said == said

    end.pending += 1
    end.ending.say_what_is_left()
    assert len(end.said) > len(said)
