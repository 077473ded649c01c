"""The pool of threads, and what a flush waits for: each test is for a line that nothing else missed."""

from __future__ import annotations

import logging
import threading

import pytest
from law import assert_law, submit

from eventlog_handlers.buffers import Lost
from eventlog_handlers.buffers.memory import MemoryBuffer
from eventlog_handlers.errors import ThrottledError, TransientError
from eventlog_handlers.events import Disposition, Outcome
from eventlog_handlers.pipeline.gates import Idle
from eventlog_handlers.pipeline.thread_pool import ThreadPool
from eventlog_handlers.process import clock, green, own_traffic
from eventlog_handlers.process import exit as process_exit
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_worker, settle


class Turns:
    """Work that does as it is told."""

    def __init__(self, *turns: Idle | None) -> None:
        self.turns = list(turns)
        self.behind = False
        self.captures = self.held = self.rested = self.dropped_connections = self.kept_alive = 0
        self.news = [False]
        self.on_rest = lambda: None

    def step(self) -> Idle | None:
        return self.turns.pop(0) if self.turns else Idle(None, 1)

    def waiting(self) -> int:
        return self.captures

    def another_renders(self) -> bool:
        return self.behind

    def has_news(self) -> bool:
        return self.news.pop(0) if len(self.news) > 1 else self.news[0]

    def pending(self) -> int:
        return self.held

    def drop_connections(self) -> None:
        self.dropped_connections += 1

    def rest(self) -> None:
        self.rested += 1
        self.on_rest()

    def keep_alive(self) -> None:
        self.kept_alive += 1


def pool_of(work: Turns, start_thread, *, senders=4, high_water=1_000, now=clock.monotonic) -> ThreadPool:
    return ThreadPool(
        "pool", work, senders=senders, high_water=high_water, start_thread=start_thread, clock=now,
        is_over=lambda: False, keep_alive=work.keep_alive, self_log=SelfLog("pool"),
    )  # fmt: skip


@pytest.fixture
def _short_linger(monkeypatch):
    monkeypatch.setattr("eventlog_handlers.pipeline.thread_pool._LINGER_SECONDS", 0.01)


def start(run, name):
    threading.Thread(target=run, name=name, daemon=True).start()


@pytest.mark.parametrize("is_late", [True, False])
def test_p22_a_thread_that_leaves_another_behind_drops_connections_where_loops_end_with_threads(
    monkeypatch, is_late
):
    """A green one waits in the loop of the thread that opened it. Real ones stay for the next request."""
    monkeypatch.setattr(green, "is_patched_late", lambda: is_late)
    work = Turns()
    pool = pool_of(work, start)
    pool.threads, pool._is_sleeping = 1, True  # the other one

    with own_traffic.at_work():  # the mark of a thread of ours ends with it; here the thread goes on
        pool._run()

    assert (pool.threads, work.dropped_connections, work.rested) == (1, int(is_late), 0)


@pytest.mark.usefixtures("_short_linger")
def test_what_comes_between_a_threads_last_look_and_its_leaving_starts_another():
    """Nobody else would ever look at it."""
    work, ended = Turns(), []
    over = threading.Event()
    work.news = [True, False]

    def start_counted(run, name):
        def live():
            run()
            ended.append(name)
            if len(ended) == 2:
                over.set()

        start(live, name)

    pool = pool_of(work, start_counted)

    assert pool.rouse()
    assert over.wait(20)
    assert work.rested == 2
    assert (pool.threads, pool.wake_at) == (0, 1)


def test_where_threads_are_refused_the_work_is_kept_alive_and_tried_again_a_second_later():
    """No thread refers to it any more, and the exit hook is its last chance."""
    now, refused = ManualClock(), []

    def refuse(run, name):
        refused.append(now())
        raise RuntimeError("no threads")

    work = Turns()
    pool = pool_of(work, refuse, now=now)

    assert not pool.rouse()
    assert work.kept_alive == 1
    assert pool.take_refusal()
    assert not pool.take_refusal()
    assert not pool.rouse()
    assert len(refused) == 1
    now.advance(1.0)
    assert not pool.rouse()
    assert len(refused) == 2


def test_a_worker_without_threads_is_held_until_the_process_ends():
    """Else it would be collected with its events, if its handler is dropped."""
    worker = make_worker(ScriptedSink(), ManualClock())
    submit(worker, "event")

    assert worker in process_exit._kept_alive
    process_exit._kept_alive.discard(worker)


def test_one_sleeper_is_enough_and_it_is_told_of_a_time_to_wait_for():
    """The second thread leaves; it had something to wait for, so the sleeper looks anew."""
    work = Turns()
    pool = pool_of(work, start)
    pool.threads, pool._is_sleeping = 2, True

    assert not pool.sleep(Idle(0.5, 1))
    assert pool.threads == 1
    assert pool._tokens.get(timeout=1) is None


def test_a_parked_pool_keeps_its_threads_while_something_is_pending():
    """They leave once it is settled."""
    work = Turns()
    pool = pool_of(work, start)
    pool.threads = 1
    pool.park()
    work.held = 1

    assert pool.sleep(Idle(0.001, 1))
    work.held = 0
    assert not pool.sleep(Idle(0.001, 1))


def test_a_pool_that_ends_keeps_no_thread_whatever_is_pending():
    """The process ends, and its hooks have done what could be done."""
    work = Turns()
    pool = pool_of(work, start)
    pool.threads, work.held = 1, 5
    pool.end()

    assert not pool.sleep(Idle(1.0, 1))


def test_while_the_interpreter_takes_itself_apart_no_thread_counts(monkeypatch):
    """Those that are there never run again, and none is started."""
    started = []
    pool = pool_of(Turns(), lambda run, name: started.append(name))
    pool.threads, pool._is_sleeping = 1, True
    monkeypatch.setattr(process_exit, "is_finalizing", lambda: True)

    assert not pool.rouse()
    assert not pool.has_threads()
    assert not started
    assert pool._tokens.empty()


# --- what a flush waits for --------------------------------------------------------------------------------


def test_a_flush_is_finished_by_an_eviction():
    """What it waited for gave way to something more severe: dropped, counted, and so settled."""
    sink, now = ScriptedSink(TransientError("connect", retry_after=60)), ManualClock()
    worker = make_worker(sink, now, capacity=1)
    submit(worker, "info", logging.INFO)
    worker.step()
    ticket = worker.start_flush(urgent=False)
    worker.step()
    assert not ticket.finished

    submit(worker, "critical", logging.CRITICAL)
    worker._intake.bound_number(worker.captures[-1])
    worker.step()

    assert ticket.finished
    assert worker.stats()["dropped"] == {"overflow": 1}


def test_a_flush_is_finished_by_what_the_buffer_lost():
    """A damaged row will never be delivered."""
    now = ManualClock()

    class Losing(MemoryBuffer):
        gone: list[Lost]

        def lost(self):
            gone, self.gone = self.gone, []
            return gone

    buffer = Losing(capacity=10, capacity_bytes=1 << 20, policy="drop_lowest", clock=now)
    buffer.gone = []
    sink = ScriptedSink(TransientError("connect", retry_after=60))
    worker = make_worker(sink, now, buffer=lambda: buffer)
    submit(worker, "event")
    worker.step()
    ticket = worker.start_flush(urgent=False)
    worker.step()
    assert not ticket.finished

    (lease,) = buffer.lease(1)
    buffer.ack([lease])
    buffer.gone = [Lost(lease.key, 40, "damaged")]
    worker.step()

    assert ticket.finished
    assert worker.stats()["dropped"] == {"damaged": 1}
    assert_law(worker.stats())


def test_a_flush_counts_what_the_intake_dropped():
    """Captures dropped before they were rendered are no longer to be waited for."""
    sink, now = ScriptedSink(), ManualClock()
    worker = make_worker(sink, now, capacity=3)
    for number in range(9):
        submit(worker, f"early {number}")
    worker.stats()  # counts the six that were dropped
    ticket = worker.start_flush()
    for _ in range(3):
        worker.step()

    assert ticket.finished

    for number in range(3):
        submit(worker, f"late {number}")
    late = worker.start_flush()
    assert late.after == 12
    assert late.before is None


def test_after_a_flush_that_timed_out_batches_are_filled_again():
    """A ticket left open would send each record by itself for ever."""
    sink = ScriptedSink(TransientError("connect", retry_after=1), max_events=10)
    worker = make_worker(sink, clock.monotonic, flush_interval=600.0)
    submit(worker, "first")
    assert not worker.flush(0.05)

    assert not worker._life.ledger.waiting().is_flushed
    assert not worker._life.ledger._tickets


def test_a_throttled_event_spends_no_attempt():
    """Neither by a throttled request nor by a throttled entry: only its age bounds it."""
    throttled = Outcome(Disposition.RETRY, "Throttling", throttled=True)
    odd = Outcome(Disposition.RETRY, "odd", attempts_allowed=3)
    sink, now = ScriptedSink(*[ThrottledError("429"), throttled] * 5, odd, odd), ManualClock()
    worker = make_worker(sink, now, flush_interval=0)
    submit(worker, "event")

    settle(worker, now)

    assert worker.stats()["delivered"] == 1
    assert len(sink.requests) == 13


def test_the_end_of_the_process_does_not_hurry_a_destination_whose_key_was_refused():
    """Asking again proves nothing; one that only failed is tried at once."""
    from eventlog_handlers.errors import MisconfiguredError

    for error, tried in ((MisconfiguredError("AccessDenied"), 1), (TransientError("connect"), 2)):
        sink, now = ScriptedSink(error), ManualClock()
        worker = make_worker(sink, now, flush_interval=0)
        submit(worker, "event")
        worker.step()

        worker.start_flush(urgent=True)
        worker.step()

        assert len(sink.requests) == tried


def test_while_a_service_fails_its_senders_do_not_hammer_it():
    """Ten batches wait; one request at a time asks whether it is back."""
    sink, now = ScriptedSink(*[TransientError("connect")] * 50, max_events=2), ManualClock()
    worker = make_worker(sink, now, flush_interval=0, concurrency=4)
    for number in range(20):
        submit(worker, f"event {number}")
    worker.step()
    now.advance(60.0)
    delivery = worker._life.delivery

    first, second = delivery.plan(), delivery.plan()

    assert not isinstance(first, Idle)
    assert isinstance(second, Idle)
    delivery.deliver(first)


@pytest.mark.usefixtures("_short_linger")
def test_p27_a_thread_that_closes_files_is_alive_until_it_has():
    """The end of the process waits for it a moment, though it takes no more turns."""
    work, rests, go_on = Turns(), threading.Event(), threading.Event()
    ended = threading.Event()

    def rest():
        rests.set()
        assert go_on.wait(20)

    def start_told(run, name):
        start(lambda: (run(), ended.set()), name)

    work.rest = rest
    pool = pool_of(work, start_told)
    assert pool.rouse()
    assert rests.wait(20)
    assert (pool.threads, len(pool.alive)) == (0, 1)

    go_on.set()
    assert ended.wait(20)
    assert len(pool.alive) == 0
