"""Hands an exception that is not logged to our handlers, as one record, and to no other handler.

Nothing is printed here: Python, or the server, prints such an exception itself. Here: which handlers get the
exception. Not here: where it is caught (``uncaught``, ``asgi``, ``wsgi``).
"""

from __future__ import annotations

import logging
import sys
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType

from eventlog_handlers.listening import told, tree
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.text.fit import shorten

_MAX_TEXT = 2_000
_registered: dict[int, weakref.ref[logging.Handler]] = {}
"""Handlers that hear of an exception where none stands on the way from its logger to the root, by id."""
_when_empty: list[Callable[[], None]] = []
_self_log = SelfLog("uncaught exceptions")


def register(handler: logging.Handler) -> None:
    """Let *handler*, which may be attached to any logger, hear of exceptions. It is held weakly."""
    key = id(handler)
    _registered[key] = weakref.ref(handler, lambda _: _unregister(key))


def unregister(handler: logging.Handler) -> None:
    """*handler* was closed or replaced. With the last one the hooks are undone (``when_empty``)."""
    if id(handler) in _registered:
        _unregister(id(handler))


def when_empty(undo: Callable[[], None]) -> None:
    """Have *undo* called when the last registered handler has gone."""
    if undo not in _when_empty:
        _when_empty.append(undo)


def _unregister(key: int) -> None:
    _registered.pop(key, None)
    if not _registered:
        for undo in tuple(_when_empty):
            undo()


def report(
    error: BaseException,
    message: str,
    arguments: tuple[object, ...],
    *,
    logger: str,
    level: int = logging.ERROR,
    extra: Mapping[str, object] | None = None,
    traceback: TracebackType | None = None,
) -> bool:
    """Send *error* as one event, unless it was reported before; True if a handler took it.

    *message* is a template for *arguments*. *logger* is a name only: no logger of this name need exist, and
    a disabled logger does not hold it up. May be called in any thread. Raises nothing of its own.
    """
    if told.is_known(error) or logging.root.manager.disable >= level or sys.is_finalizing():
        return False
    traceback = traceback or error.__traceback__
    record = _record(error, message, arguments, logger, level, traceback)
    if extra:
        record.__dict__.update({name: value for name, value in extra.items() if name not in record.__dict__})
    listeners = _listeners(logger)
    for handler in listeners:
        if level >= handler.level:
            handler.handle(record)
    if not listeners:
        _self_log.say_once(
            logger, f"{described(error)} went unheard: no handler of eventlog_handlers is attached"
        )
        return False
    told.note_reported(error)
    return True


def described(error: BaseException) -> str:
    """``LookupError: no order``; a ``__str__`` that raises does no harm."""
    text = text_of(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def text_of(error: BaseException) -> str:
    """The text of *error*, cut."""
    try:
        return shorten(str(error), _MAX_TEXT)
    except Exception:
        return "<unprintable>"


def _record(
    error: BaseException,
    message: str,
    arguments: tuple[object, ...],
    logger: str,
    level: int,
    traceback: TracebackType | None,
) -> logging.LogRecord:
    """A record whose place is the line that raised."""
    raised = traceback
    while raised is not None and raised.tb_next is not None:
        raised = raised.tb_next
    path, line, function = "", 0, None
    if raised is not None:
        code = raised.tb_frame.f_code
        path, line, function = code.co_filename, raised.tb_lineno, code.co_name
    return logging.LogRecord(
        logger, level, path, line, message, arguments, (type(error), error, traceback), function
    )


def _listeners(logger: str) -> list[logging.Handler]:
    """Ours on the way from *logger* to the root; else a queue's, with ours behind it; else registered."""
    queue_handler = getattr(sys.modules.get("logging.handlers"), "QueueHandler", ())
    ours: dict[int, logging.Handler] = {}
    queues: dict[int, logging.Handler] = {}
    for passed in tree.path(logger):
        for handler in passed.handlers:
            if tree.is_ours(handler):
                ours[id(handler)] = handler
            elif isinstance(handler, queue_handler):
                queues[id(handler)] = handler
    if ours or queues:
        return list((ours or queues).values())
    return [alive for made in list(_registered.values()) if (alive := made()) is not None]
