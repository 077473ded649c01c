"""A mark on each exception that our handlers were told of, so that one exception is not told twice.

An exception passes several places that may tell of it: the application logs it and raises it again, a web
framework lets it through to ``asgi.wrap``, the server logs it, or it reaches ``sys.excepthook``. The mark
stands in the exception's own ``__dict__``: no table would notice that an exception ended and that another one
got its address. It goes along where an exception is pickled, from a child of a process pool to its parent.
Nothing here runs code of the application.
"""

from __future__ import annotations

import logging
from typing import Any

MARK = "__eventlog_told__"
_REPORTED = 1_000_000
"""A mark above each level: the exception itself was reported; what is logged of it later is a repeat."""


def _marks(error: BaseException) -> dict[str, Any]:
    found: dict[str, Any] = object.__getattribute__(error, "__dict__")
    return found


def admits(exc_info: Any, level: int) -> bool:
    """Whether a record with this *exc_info* tells something new; notes that it was logged with *level*.

    False only where ``report`` has sent the exception before. For a handler, in the thread that logs. May
    raise what a misshapen record makes it raise.
    """
    if type(exc_info) is not tuple:
        return True
    error = exc_info[1]
    if not isinstance(error, BaseException):
        return True
    marks = _marks(error)
    mark = marks.get(MARK, 0)
    if mark == _REPORTED:
        return False
    if level > mark:
        marks[MARK] = level
    return True


def is_known(error: BaseException) -> bool:
    """Whether a handler of ours was told of *error* as an error or worse, or ``report`` has sent it."""
    return bool(_marks(error).get(MARK, 0) >= logging.ERROR)


def note_reported(error: BaseException) -> None:
    """*error* was sent: what is logged of it from now on is a repeat."""
    _marks(error)[MARK] = _REPORTED
