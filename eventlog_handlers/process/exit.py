"""Fork and exit: registers the interpreter's hooks, once per process, at its first record.

How a process ends decides which hooks run, and none runs at every end. So there are three layers:
``threading._register_atexit`` (main thread over, other threads and pools still usable), ``atexit`` (late
records, and handlers that a second dictConfig took from logging's own list) and ``Handler.close``, called by
``logging.shutdown``. Children of multiprocessing end with ``os._exit`` after its finalizers. No hook runs on
an unhandled signal, ``os._exit`` or ``exec``.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 - boto3, first imported at exit, needs it there (python/cpython#86813)
import contextlib
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol

from eventlog_handlers.process import celery, green
from eventlog_handlers.process.clock import monotonic
from eventlog_handlers.process.fork import fork_gate, importing
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.process.start_thread import start_thread


class Participant(Protocol):
    """Takes part in fork and exit: a worker."""

    exit_timeout: float

    def start_flush(self, *, urgent: bool = True) -> Any:
        """Begin to send everything accepted so far; returns the ticket that ``finish_flush`` takes.

        *urgent*: also where a destination rests after a failure.
        """

    def finish_flush(self, ticket: Any, timeout: float) -> bool:
        """Wait until it is settled, *timeout* seconds at most; True if it is."""

    def say_what_is_left(self) -> None:
        """Tell on stderr, once, how many events the end of the process loses."""

    def end_threads(self) -> None:
        """Have the threads end now, even with events pending. Does not wait."""

    def has_threads_to_end(self) -> bool:
        """Whether a thread that is not stuck in a request is still there."""

    def is_in_use_here(self) -> bool:
        """Whether this thread holds one of its locks: a signal struck inside."""

    def after_fork_in_child(self) -> None:
        """Start empty: the parent still owns its events."""


_participants: dict[int, weakref.ref[Participant]] = {}
_kept_alive: set[Participant] = set()
_hooked_pid: int | None = None
_ENDING_SECONDS = 0.25  # how long the end of the process waits for idle threads of ours to be gone
_ENDING_GREEN_SECONDS = 2.0  # the same where a thread may be in a loop of gevent's: see green.end_process
_ENDING_POLL_SECONDS = 0.001
_exiting = False
_past_hooks = False
_spent_seconds = 0.0
_self_log = SelfLog("exit")


def join(participant: Participant) -> None:
    """Let *participant* take part in fork and exit from now on. Referenced weakly."""
    key = id(participant)
    _participants[key] = weakref.ref(participant, lambda _: _participants.pop(key, None))
    celery.keep_attached()


def leave(participant: Participant) -> None:
    """Let *participant* take no part any more, and end its being kept alive."""
    _participants.pop(id(participant), None)
    _kept_alive.discard(participant)


def hook_process() -> None:
    """Put this process's exit hooks in place, once. Cheap: called at each start of a thread."""
    if _hooked_pid != os.getpid():
        _hook_exit()


def keep_alive(participant: Participant) -> None:
    """Keep *participant* in memory to the end of the process: it has events, and no thread refers to it."""
    _kept_alive.add(participant)


def exiting() -> bool:
    """Whether the process has begun to end: main and every other thread that keeps it alive are over."""
    return _exiting


def past_exit_hooks() -> bool:
    """Whether the last of our own exit hooks has run; only ``Handler.close`` may still come."""
    return _past_hooks or is_finalizing()


is_finalizing = sys.is_finalizing
"""Whether the interpreter is finalizing. Then all threads but this one stand still for ever, with the locks
that they hold; a thread started now never runs; and nothing can be imported."""


def budget(exit_timeout: float) -> float:
    """Of *exit_timeout* seconds, those that the exit may still wait: all handlers share one budget."""
    return max(0.0, exit_timeout - _spent_seconds)


def spend(seconds: float) -> None:
    """Charge time waited during the exit to the common budget."""
    global _spent_seconds
    _spent_seconds += seconds


def finish_together(waits: Iterable[tuple[Callable[[float], bool], float]]) -> bool:
    """Wait for several flushes that have begun, side by side; True if all are settled.

    *waits* has a pair for each: a function that waits for it and takes the most seconds to wait, and the
    seconds that it may take from now on.
    """
    started = monotonic()
    settled = True
    for wait, allowed in waits:
        settled = wait(max(0.0, allowed - (monotonic() - started))) and settled
    return settled


def flush_all(timeout: float | None = None, *, urgent: bool = True) -> bool:
    """Flush every worker, side by side; True if all is settled in *timeout* seconds.

    For ends that exit hooks may not see. If the hooks run after all, they have what this leaves of the
    exit's budget. None means each worker's ``exit_timeout``.
    """
    global _spent_seconds
    started = monotonic()
    settled = finish_together(
        [
            (
                partial(participant.finish_flush, participant.start_flush(urgent=urgent)),
                participant.exit_timeout if timeout is None else timeout,
            )
            for participant in _living()
        ]
    )
    _spent_seconds = monotonic() - started  # not added up: the process may go on and end several times
    return settled


def is_in_use_here() -> bool:
    """Whether this thread holds a lock that threads of ours need to send: a signal struck inside."""
    return any(participant.is_in_use_here() for participant in _living())


def say_what_is_left() -> None:
    """Have every worker tell on stderr how many events the end of the process loses."""
    for participant in _living():
        participant.say_what_is_left()


def _living() -> list[Participant]:
    return [participant for reference in list(_participants.values()) if (participant := reference())]


def flush_at_exit(*, final: bool = False) -> None:
    """Flush every worker, side by side, within the common budget."""
    participants = _living()
    if not participants:
        return
    started = monotonic()
    try:
        waits = [
            (partial(participant.finish_flush, participant.start_flush()), budget(participant.exit_timeout))
            for participant in participants
        ]
        finish_together(waits)
    except KeyboardInterrupt:
        # A second Ctrl-C ends the wait of the next layer too.
        spend(max(budget(participant.exit_timeout) for participant in participants))
        raise
    finally:
        spend(monotonic() - started)
    if final:
        say_what_is_left()


def _hook_exit() -> None:
    global _hooked_pid, _exiting, _past_hooks, _spent_seconds
    inherited = _hooked_pid is not None
    _hooked_pid = os.getpid()
    # The process's first record may come in one of atexit's own hooks; one registered now is not called.
    is_late = threading.current_thread() is threading.main_thread() and not threading.main_thread().is_alive()
    _exiting, _past_hooks, _spent_seconds = is_late, is_late, 0.0
    if not inherited:  # a forked child inherits these two lists
        _register(getattr(threading, "_register_atexit", None), _at_threading_exit)
        _register(atexit.register, _at_exit)
    celery.connect(_at_child_exit)
    finalizers = sys.modules.get("multiprocessing.util")
    if finalizers is not None:  # its children leave by os._exit, and forget the finalizers of their parent
        _register(lambda hook: finalizers.Finalize(None, hook, exitpriority=-100), _at_process_child_end)
        _answer_sigterm()


def _answer_sigterm() -> None:
    """In a child of multiprocessing; the first log call does it, and must raise nothing."""
    try:
        with importing():
            from eventlog_handlers.process import sigterm

        sigterm.install_in_multiprocessing_child()
    except ImportError:
        return  # the interpreter is finalizing
    except OSError as error:
        _self_log.say(f"SIGTERM may end this process before it has sent what it holds: {error.strerror}")


def _register(register: Callable[[Callable[[], None]], object] | None, hook: Callable[[], None]) -> None:
    try:
        if register is not None:
            register(hook)
    except Exception:
        return  # the interpreter is past that layer, or no longer has it; the next one still comes


def _at_threading_exit() -> None:
    """The main thread is over. The process is, too, unless other threads keep it alive.

    While they do, it goes on like any other: our threads send its records, and nothing is charged to the
    budget of its end, which comes in ``_at_exit``.
    """
    global _exiting
    if not _threads_that_keep_alive():
        _exiting = True
        _to_its_end(flush_at_exit)


def _to_its_end(step: Callable[[], None]) -> None:
    """Run *step* of the end, anew where a signal handler's ``sys.exit`` broke it off: that end is under way.

    gunicorn's handler of SIGQUIT is such a one. Python would print its SystemExit with a traceback of ours.
    """
    while True:
        try:
            return step()
        except SystemExit:
            continue


def _at_process_child_end() -> None:
    """The target of a multiprocessing child has returned. It joins its threads next, then runs no hook."""
    global _exiting
    others = _threads_that_keep_alive()
    if others:
        with contextlib.suppress(RuntimeError):  # threads are refused: later records are lost
            start_thread(lambda: _drain_after(others), "eventlog-last-words", daemon=False)
            return
    _exiting = True
    _to_its_end(flush_at_exit)


def _drain_after(others: list[threading.Thread]) -> None:
    global _exiting
    for thread in others:
        thread.join()
    _exiting = True
    flush_at_exit(final=True)


def _threads_that_keep_alive() -> list[threading.Thread]:
    here = threading.current_thread()
    return [thread for thread in threading.enumerate() if not thread.daemon and thread is not here]


def _at_exit() -> None:
    global _exiting, _past_hooks
    _exiting = True
    try:
        _to_its_end(partial(flush_at_exit, final=True))
        _to_its_end(lambda: end_threads_of(_living()))
    finally:
        _past_hooks = True


def end_threads_of(participants: Sequence[Participant]) -> None:
    """End those threads of theirs that are not stuck in a request, and wait a moment until they have ended.

    One that is still there when the interpreter finalizes stands still, perhaps with a lock that a
    record of that time needs. So those that import are waited for, up to ``ForkGate.GATE_SECONDS``.
    """
    green.end_process()
    for participant in participants:
        participant.end_threads()
    deadline = monotonic() + (_ENDING_GREEN_SECONDS if green.is_patched_late() else _ENDING_SECONDS)
    never = threading.Event()  # a sleep that no frozen clock in the user's tests reaches
    while monotonic() < deadline and (
        any(participant.has_threads_to_end() for participant in participants) or green.is_leaving()
    ):
        never.wait(_ENDING_POLL_SECONDS)
    fork_gate.before_finalizing()


def before_close() -> None:
    """A handler is closed, perhaps after ``end_threads_of``: let threads of ours import again till then."""
    if _exiting:
        fork_gate.not_yet_finalizing()


def _at_child_exit() -> None:
    flush_all()
    say_what_is_left()


def _after_fork_in_child() -> None:
    fork_gate.after_fork_in_child()
    green.after_fork_in_child()
    _kept_alive.clear()
    for reference in list(_participants.values()):
        participant = reference()
        if participant is not None:
            participant.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=fork_gate.before_fork,
        after_in_parent=fork_gate.after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
