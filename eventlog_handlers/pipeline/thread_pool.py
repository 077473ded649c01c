"""The threads of one worker: starts, counts, wakes and ends them. At most one of them sleeps.

Knows nothing of events. ``wake_at`` and ``rouse`` belong to the caller's side, inside ``emit``, and take no
lock that another thread may hold; everything else stands under the pool's own lock.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from queue import Empty
from typing import Protocol

from eventlog_handlers.pipeline.destination import LONG_AGO
from eventlog_handlers.pipeline.gates import Idle
from eventlog_handlers.process import exit as process_exit
from eventlog_handlers.process import fork, green, own_traffic
from eventlog_handlers.process.self_log import SelfLog

_LINGER_SECONDS = 5.0  # how long an idle thread stays: a fork with threads alive warns from 3.12 on
_BEHIND_SECONDS = 0.02  # a thread looks again while another renders what waits
_RESTART_SECONDS = 1.0  # between attempts to start a thread where that was refused


class Work(Protocol):
    """The work of the threads: ``Turns``."""

    def step(self) -> Idle | None:
        """One turn; None if there was something to do, else what to wait for."""

    def waiting(self) -> int:
        """How many captures wait to be rendered, roughly."""

    def another_renders(self) -> bool:
        """Whether what waits is for another thread to render."""

    def has_news(self) -> bool:
        """Whether a capture or a repeat came in that no thread has looked at."""

    def pending(self) -> int:
        """How many events are not settled."""

    def drop_connections(self) -> None:
        """Close those that no request uses: a thread leaves, and with it the loop that they wait in."""

    def rest(self) -> None:
        """Close connections and files: the last thread leaves."""


class ThreadPool:
    """Threads named *name* that take turns at *work* until it is idle.

    *senders* is how many of them may be busy sending; one more may render. A thread sleeps until
    *high_water* captures wait, or fewer where its ``Idle`` says so. *start_thread(run, name)* starts a
    daemon thread or raises RuntimeError. *is_over*: whether the process has come to its end, so that nothing
    would wait for a thread. *keep_alive* keeps the work in memory to the end of the process, where it has
    events and no thread refers to it.
    """

    def __init__(
        self,
        name: str,
        work: Work,
        *,
        senders: int,
        high_water: int,
        start_thread: Callable[[Callable[[], None], str], None],
        is_over: Callable[[], bool],
        keep_alive: Callable[[], None],
        clock: Callable[[], float],
        self_log: SelfLog,
    ) -> None:
        self._name = name
        self._work = work
        self._senders = senders
        self._high_water = high_water
        self._start_thread = start_thread
        self._is_over = is_over
        self._keep_alive = keep_alive
        self._clock = clock
        self._self_log = self_log
        # Caller's side.
        self.wake_at = 1
        """With so many captures waiting, ``rouse`` is to be called."""
        self._tokens = green.TokenQueue()
        self._starting = green.Lock()  # only ever tried, never waited for
        self._start_again_at = LONG_AGO
        self._was_refused = False
        # The threads' side.
        self._lock = green.RLock()
        self.threads = 0
        """Threads that take turns."""
        self.alive: set[int] = set()
        """The same, by their idents, and those that have left and close what they leave behind."""
        self.restarts = 0
        """How often an exception broke a turn off, and the thread went on."""
        self._is_sleeping = False  # a thread sleeps until a token arrives; at most one does
        self.is_parked = False
        """The handler was closed, and no thread has started since."""
        self._is_ending = False  # the process: no thread is to sleep any more
        self._is_parents = False  # this process was forked, and the threads are copies

    # --- the caller's side ---------------------------------------------------------------------------------

    def rouse(self) -> bool:
        """Have some thread look at the intake soon; False if there is none and none can be started."""
        if (
            process_exit.is_finalizing()
        ):  # what thread there is stands still for ever, and no other would ever run
            return False
        if self._is_sleeping:
            self.wake_at = self._high_water  # before the token: the thread that takes it sets the mark anew
            self._tokens.put()
            return True
        if self.threads > self._senders:
            return True  # as many as may send, and one that renders
        return self._start() or self.threads > 0

    def rouse_idle(self) -> bool:
        """The same, where a thread that is busy looks anyway before it sleeps or leaves."""
        return self.rouse() if self._is_sleeping or self.threads == 0 else True

    def has_threads(self) -> bool:
        """Whether a thread is there that can run."""
        return self.threads > 0 and not process_exit.is_finalizing()

    def take_refusal(self) -> bool:
        """Whether a thread was refused since this was last asked: at most once between two attempts."""
        was_refused, self._was_refused = self._was_refused, False
        return was_refused

    def park(self) -> None:
        """Let the threads leave once nothing is pending; the next one that is started unparks."""
        self.is_parked = True
        if self._is_sleeping:
            self._tokens.put()

    def end(self) -> None:
        """Let the threads end now, even with events pending: the process ends. Does not wait."""
        self._is_ending = True
        if self._is_sleeping:
            self._tokens.put()

    def abandon(self) -> None:
        """This process is a forked child: the threads are its parent's. A fork copies green ones, which would
        go on here and take the child's captures for the parent's."""
        self._is_parents = True

    def _start(self) -> bool:
        """Start a thread; True also if another caller is just starting one."""
        if not self._starting.acquire(blocking=False):
            return True
        has_started = False
        try:
            now = self._clock()
            if now >= self._start_again_at:
                process_exit.hook_process()
                if self._is_over():
                    raise RuntimeError("nothing would wait for a thread at the end of the process")
                if fork.forks_unannounced():
                    raise RuntimeError("no thread of ours may be alive when uWSGI forks")
                self._start_thread(self._run, self._name)
                has_started = True  # _run releases _starting once it has been counted
        except RuntimeError:  # thread limit, or the interpreter is ending (3.12.0 to 3.12.2)
            self._start_again_at = now if fork.forks_unannounced() else now + _RESTART_SECONDS
            self._was_refused = not process_exit.exiting()
            self._keep_alive()  # the exit hook is its last chance
        finally:
            if not has_started:
                self._done_starting()
        return has_started

    def _done_starting(self) -> None:
        with contextlib.suppress(RuntimeError):
            # Ctrl-C or the recursion limit may break a start off whose thread runs all the same; then both
            # its thread and its caller come here.
            self._starting.release()

    # --- a thread's side -----------------------------------------------------------------------------------

    def _run(self) -> None:
        """A thread's life."""
        try:
            self._take_turns()
        finally:
            self.alive.discard(threading.get_ident())

    def _take_turns(self) -> None:
        """Take turns until there is no need for this thread, and close what it leaves behind."""
        is_counted = has_left = False
        try:
            try:
                own_traffic.mark.active = True
                with self._lock:
                    self.threads += 1
                    self.alive.add(threading.get_ident())
                    is_counted = True
                    self.is_parked = False
            finally:
                self._done_starting()  # always, or no thread could start again
            while not self._turn_until_idle():
                pass
            has_left = True
        finally:
            if not has_left:  # even the handler of the last resort was broken off
                self._keep_alive()
                if is_counted:
                    self.leave()
        if self.threads and green.is_patched_late():
            self._work.drop_connections()
        if self.threads == 0:
            self._work.rest()
            if self._work.has_news():  # between the last look and leaving
                self.rouse()

    def _turn_until_idle(self) -> bool:
        """Take turns until this thread is no longer needed; False if something broke them off."""
        try:
            while not self._is_parents and ((idle := self._work.step()) is None or self.sleep(idle)):
                pass
            if self._is_parents:
                green.stand_still()
        except BaseException as error:
            # Nothing foreseen gets here: a fault of ours, no memory, an exception thrown into the thread from
            # outside. The events in hand were nacked or counted; the thread goes on, but not in a rush.
            self.restarts += 1
            self._self_log.say_once(
                "broke off", f"worker broke off and goes on: {type(error).__name__}: {error}"
            )
            threading.Event().wait(_RESTART_SECONDS)
            return False
        return True

    def sleep(self, idle: Idle) -> bool:
        """Wait for a record, a flush or the time; False if this thread has left. One sleeper is enough."""
        with self._lock:
            if self._is_sleeping or self._is_ending or (self.is_parked and not self._work.pending()):
                if self._is_sleeping and idle.seconds is not None:
                    # The sleeper may have begun to sleep while this thread's request was under way.
                    self._tokens.put()
                self.leave()
                return False
            self._is_sleeping = True
            self.wake_at = min(idle.records, self._high_water)
        woken = True
        try:
            if self._work.waiting() < self.wake_at:  # else one came before the mark was set
                green.run_loop_once()
                self._tokens.get(
                    timeout=_LINGER_SECONDS if idle.seconds is None else max(idle.seconds, 0.001)
                )
            elif self._work.another_renders():  # a hook of the application's may take its time
                self._tokens.get(timeout=_BEHIND_SECONDS)
        except Empty:
            woken = False
        finally:
            with self._lock:
                self._is_sleeping = False
                self.wake_at = self._high_water
        with self._lock:
            if not woken and idle.seconds is None and not self._work.pending():
                self.leave()
                return False
        return True

    def leave(self) -> None:
        """This thread takes no more turns."""
        green.begin_to_leave()
        with self._lock:
            self.threads -= 1
            if self.threads == 0:
                self.wake_at = 1
