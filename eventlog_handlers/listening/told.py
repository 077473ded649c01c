"""Marks each exception that our handlers reported, so that one exception is not reported twice.

An exception passes several places that may report it: the application logs it and raises it again, a web
framework lets it through to ``asgi.wrap``, the server logs it, or it reaches ``sys.excepthook``. The mark
stands in the exception's own ``__dict__``: a table by address would take a new exception for an old one. The
mark is pickled with the exception, from a child of a process pool to its parent. Nothing here runs code of
the application.

A mark holds for a short time only: some programs raise one exception object again and again, and each time is
a new event.
"""

from __future__ import annotations

import logging
from typing import Any

from eventlog_handlers.process.clock import monotonic

MARK = "__eventlog_told__"
_REPORTED = 1_000_000
"""A mark above each level: the exception itself was reported; the next record of it is a repeat."""
_REPORTED_SECONDS = 1.0
"""A server logs what passed the middleware within milliseconds."""
_HEARD_SECONDS = 10.0
"""An exception that the application logged may take its time, in ``finally`` blocks, to the next place."""


def _marks(error: BaseException) -> dict[str, Any]:
    found: dict[str, Any] = object.__getattribute__(error, "__dict__")
    return found


def admits(exc_info: Any, level: int) -> bool:
    """Whether a record with this *exc_info* is new; notes that it was logged with *level*.

    False only where ``report`` has sent the exception before. For a handler, in the thread that logs. May
    raise what a misshapen record makes it raise.
    """
    if type(exc_info) is not tuple:
        return True
    error = exc_info[1]
    if not isinstance(error, BaseException):
        return True
    marks = _marks(error)
    if MARK in marks:  # seldom: most exceptions are logged once, and pay for no second look at the clock
        mark = _mark(error)
        if mark == _REPORTED:
            return False
        if level < mark:
            return True
    marks[MARK] = (level, monotonic())
    return True


def is_known(error: BaseException) -> bool:
    """Whether *error* was logged to a handler of ours as an error or worse, or ``report`` has sent it."""
    return _mark(error) >= logging.ERROR


def note_reported(error: BaseException) -> None:
    """*error* was sent: the next record of it is a repeat."""
    _marks(error)[MARK] = (_REPORTED, monotonic())


def _mark(error: BaseException) -> int:
    """The level of a mark that still holds; 0 where there is none."""
    level, when = _marks(error).get(MARK, (0, 0.0))
    holds = _REPORTED_SECONDS if level == _REPORTED else _HEARD_SECONDS
    return level if 0.0 <= monotonic() - when <= holds else 0
