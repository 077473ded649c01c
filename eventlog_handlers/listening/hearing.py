"""Finds out what keeps records from our handlers, and says each finding once on stderr.

It looks after a ``dictConfig`` or ``fileConfig``, when the first thread of ours in a process ends, and when
the process ends. In between it watches nothing, so it costs a log call nothing.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from eventlog_handlers.process import fork
from eventlog_handlers.process.self_log import SelfLog

if TYPE_CHECKING:
    from eventlog_handlers.listening.picture import Picture

_self_log = SelfLog("attached")
_expected: dict[int, tuple[logging.Logger, weakref.ref[logging.Handler]]] = {}
"""By a handler's id: the logger that ``configure`` attached it to."""
_undo: list[Callable[[logging.Handler], None]] = []
_looked_pid: int | None = None
_is_hooked = False
_is_waiting = False


def expect(logger: logging.Logger, handler: logging.Handler) -> None:
    """``configure`` has attached *handler* to *logger*: say so on stderr if it is taken off.

    ``logging.shutdown`` does not know a handler that ``dictConfig`` closed, so an exit hook looks at the end.
    """
    global _is_hooked
    if not _is_hooked:
        _is_hooked = True
        atexit.register(look)
    key = id(handler)
    _expected[key] = (logger, weakref.ref(handler, lambda _: _expected.pop(key, None)))


def expect_no_more(handler: logging.Handler) -> None:
    """*handler* was closed or replaced."""
    _expected.pop(id(handler), None)


def when_closed(undo: Callable[[logging.Handler], None]) -> None:
    """Have *undo* called with each handler that is closed for good."""
    _undo.append(undo)


def closed(handler: logging.Handler) -> None:
    """*handler* was closed: its hooks are undone, and it may be taken off.

    Not where ``dictConfig`` closes every handler there is (it holds logging's lock): those that stay attached
    go on with their next record, and a later look finds them. Nor at the end of the process.
    """
    if sys.is_finalizing():  # nothing can be imported, and nobody is left to tell
        return
    from eventlog_handlers.process.start_thread import caller_owns_logging_lock

    if caller_owns_logging_lock():
        look_later()
    elif not threading.main_thread().is_alive():  # logging.shutdown, at the end of the process
        look()
    else:
        expect_no_more(handler)
        for undo in _undo:
            undo(handler)


def attached() -> dict[str, Any]:
    """Which handlers of this package are attached where, and what keeps records from them.

    ``handlers`` is a list of dicts: ``handler`` (its class), ``logger``, ``level``, ``accepted`` (records in
    this process) and ``sends_to`` (service and endpoint of each destination). ``problems`` is a list of dicts
    ``kind``, ``logger``, ``handler`` and ``text``, a sentence. Kinds: ``taken_off`` (a later configuration
    removed what ``configure`` attached), ``level`` (a logger lets pass less than the handler would take),
    ``twice`` (two handlers send one record to one destination), ``unheard`` (the handler has heard nothing,
    and a logger in use does not propagate to it), ``disabled`` (loggers are disabled, as ``dictConfig`` does
    with those that it does not name; it may be meant so, and is not said on stderr).
    """
    from eventlog_handlers.listening import judge

    seen = _picture()
    handlers = [
        {
            "handler": listener.name,
            "logger": node.name,
            "level": logging.getLevelName(listener.level),
            "accepted": listener.accepted,
            "sends_to": list(listener.address),
        }
        for node in seen.nodes.values()
        for listener in node.listeners
    ]
    return {"handlers": handlers, "problems": [problem._asdict() for problem in judge.problems(seen)]}


def look() -> None:
    """Say each finding that was not said yet. Raises nothing."""
    try:
        with fork.fork_gate.no_fork():  # a child that begins in the midst of an import would be stuck
            from eventlog_handlers.listening import judge, picture  # noqa: F401 - _picture needs it
        seen = _picture()
        listeners = [listener for node in seen.nodes.values() for listener in node.listeners]
        if any(listener.is_off for listener in listeners):
            return
        for problem in judge.problems(seen):
            if problem.kind != "disabled":  # a logger may be disabled on purpose, to have peace from it
                _self_log.say_once(f"{problem.kind} {problem.logger} {problem.handler}", problem.text)
    except Exception:  # the tree changes at this moment; there is a next look
        return


def look_once() -> None:
    """Look, if this process has not. For a thread of ours that ends: it holds up no one."""
    global _looked_pid
    if _looked_pid != os.getpid():
        _looked_pid = os.getpid()
        look()


def look_later() -> None:
    """Look as soon as the configuration under way, whose thread holds logging's lock, is done."""
    global _is_waiting
    if _is_waiting or fork.forks_unannounced():
        return
    from eventlog_handlers.process.start_thread import start_thread

    _is_waiting = True
    try:
        start_thread(_look_when_free, "eventlog-attached")
    except RuntimeError:  # no thread to be had: the process's end looks too
        _is_waiting = False


def _look_when_free() -> None:
    global _is_waiting
    lock: Any = getattr(logging, "_lock", None)
    try:
        if lock is not None and lock.acquire(timeout=_PATIENCE_SECONDS):
            lock.release()
    finally:
        _is_waiting = False
    look()


_PATIENCE_SECONDS = 10.0


def _picture() -> Picture:
    from eventlog_handlers.listening import picture

    found = [(logger, made()) for logger, made in list(_expected.values())]
    return picture.taken((logger, handler) for logger, handler in found if handler is not None)
