"""What the process does to us: fork and exit. Registers the interpreter's hooks, once, at the first record.

How a process ends decides which hook runs (no single one covers all), so there are three layers:
``threading._register_atexit`` (main thread over, other threads and pools still usable), ``atexit`` (late
records, and handlers that a second dictConfig took from logging's own list) and ``Handler.close``, called by
``logging.shutdown``. Children of multiprocessing end with ``os._exit`` after its finalizers. No hook runs on
an unhandled signal, ``os._exit`` or ``exec``.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 - boto3, first imported at exit, needs it there (python/cpython#86813)
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from eventlog_handlers.process import celery
from eventlog_handlers.process.clock import monotonic
from eventlog_handlers.process.fork import fork_gate


class Participant(Protocol):
    """What takes part in fork and exit: a worker."""

    exit_timeout: float

    def start_drain(self, *, urgent: bool = True) -> Any:
        """Begin to send everything accepted so far, *urgent* also where a destination rests after a failure;
        returns what ``finish_drain`` takes."""

    def finish_drain(self, ticket: Any, timeout: float) -> bool:
        """Wait until that is done, *timeout* seconds at most."""

    def say_what_is_left(self) -> None:
        """Tell on stderr, once, what the end of the process loses."""

    def after_fork_in_child(self) -> None:
        """Start a new life: the parent still owns what was buffered."""


_participants: dict[int, weakref.ref[Participant]] = {}
_held: set[Participant] = set()
_hooked_pid: int | None = None
_IMPORT_SECONDS = (
    5.0  # a fork waits no longer than that: whoever imports may be waiting for the forking thread
)
_fork_waited = False
_exiting = False
_past_hooks = False
_spent_seconds = 0.0


def join(participant: Participant) -> None:
    """Let *participant* take part in forks from now on; it is held weakly."""
    key = id(participant)
    _participants[key] = weakref.ref(participant, lambda _: _participants.pop(key, None))
    celery.keep_attached()


def hook_process() -> None:
    """See to it that this process's exit hooks are in place; cheap, called at each start of a thread."""
    if _hooked_pid != os.getpid():
        _hook_exit()


def hold(participant: Participant) -> None:
    """Keep *participant* alive to the end of the process: it has events, and no thread that refers to it."""
    _held.add(participant)


def exiting() -> bool:
    """Whether the interpreter has begun to end."""
    return _exiting


def past_exit_hooks() -> bool:
    """Whether the last of our own exit hooks has run; only ``Handler.close`` may still come."""
    return _past_hooks


def budget(participant: Participant) -> float:
    """Seconds the exit of this process may still wait for *participant*: one budget for all of it."""
    return max(0.0, participant.exit_timeout - _spent_seconds)


def spend(seconds: float) -> None:
    """Charge time waited during the exit to the common budget."""
    global _spent_seconds
    _spent_seconds += seconds


def flush_all(timeout: float | None = None, *, urgent: bool = True) -> bool:
    """Send what every worker holds, side by side; True if it is settled in *timeout* seconds.

    For ends that exit hooks may not see. Should they come after all, they have what this leaves of the
    exit's budget. None means each worker's ``exit_timeout``.
    """
    global _spent_seconds
    started = monotonic()
    tickets = [(participant, participant.start_drain(urgent=urgent)) for participant in _living()]
    settled = True
    for participant, ticket in tickets:
        allowed = participant.exit_timeout if timeout is None else timeout
        left = max(0.0, allowed - (monotonic() - started))
        settled = participant.finish_drain(ticket, left) and settled
    _spent_seconds = monotonic() - started  # not added up: the process may go on and end several times
    return settled


def say_what_is_left() -> None:
    """Have every worker tell on stderr what the end of the process loses."""
    for participant in _living():
        participant.say_what_is_left()


def _living() -> list[Participant]:
    return [participant for reference in list(_participants.values()) if (participant := reference())]


def drain_all(*, final: bool = False) -> None:
    """Send what every worker still holds, side by side, within the common budget."""
    participants = _living()
    if not participants:
        return
    started = monotonic()
    tickets = [(participant, participant.start_drain()) for participant in participants]
    longest = max(map(budget, participants))
    try:
        for participant, ticket in tickets:
            left = min(budget(participant), longest - (monotonic() - started))
            participant.finish_drain(ticket, max(0.0, left))
    except KeyboardInterrupt:
        spend(longest)  # whoever presses Ctrl-C here is not to wait for the next layer instead
        raise
    spend(monotonic() - started)
    if final:
        say_what_is_left()


def _hook_exit() -> None:
    global _hooked_pid, _exiting, _past_hooks, _spent_seconds
    inherited = _hooked_pid is not None
    _hooked_pid = os.getpid()
    _exiting, _past_hooks, _spent_seconds = False, False, 0.0
    if not inherited:  # a forked child inherits these two lists
        _register(getattr(threading, "_register_atexit", None), _at_threading_exit)
        _register(atexit.register, _at_exit)
    celery.connect(_at_child_exit)
    finalizers = sys.modules.get("multiprocessing.util")
    if finalizers is not None:  # its children leave by os._exit, and forget the finalizers of their parent
        _register(lambda hook: finalizers.Finalize(None, hook, exitpriority=-100), _at_threading_exit)
        from eventlog_handlers.process import sigterm

        sigterm.install_in_multiprocessing_child()


def _register(register: Callable[[Callable[[], None]], object] | None, hook: Callable[[], None]) -> None:
    try:
        if register is not None:
            register(hook)
    except RuntimeError:
        return  # the interpreter is past that layer; the next one still comes


def _at_threading_exit() -> None:
    global _exiting
    _exiting = True
    drain_all()


def _at_exit() -> None:
    global _exiting, _past_hooks
    _exiting = True
    try:
        drain_all(final=True)
    finally:
        _past_hooks = True


def _at_child_exit() -> None:
    flush_all()
    say_what_is_left()


def _after_fork_in_child() -> None:
    fork_gate.after_fork_in_child()
    _held.clear()
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
