"""Finds the exception of a record, in any form that a log call may give it. Runs in the thread that logs."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from eventlog_handlers.events import ExceptionText
from eventlog_handlers.record import exceptions, traceback_text
from eventlog_handlers.record.plain import EXIT_EXCEPTIONS, note, safe_text, type_name


def exception_of(exc_info: Any, exc_text: Any, defects: list[str]) -> exceptions.Link | ExceptionText | None:
    """The exception of a record, in any of its forms: a tuple, an instance, True or printed text."""
    value: BaseException | None = None
    try:
        value, tb = _live(exc_info, defects)
        if value is not None:
            return exceptions.capture(value, tb, defects)
    except EXIT_EXCEPTIONS:
        raise
    except BaseException as error:
        note(defects, f"exception: unreadable, {type_name(type(error))}")
        if value is not None:
            return exceptions.bare(type(value), f"unreadable: {type_name(type(error))}")
    if exc_text is None:
        return None
    if not issubclass(type(exc_text), str):
        note(defects, f"exc_text: is no text but {type_name(type(exc_text))}")
        return None
    text = safe_text(exc_text, defects, "exc_text")
    return traceback_text.parsed(text) if text.strip() else None


def _live(exc_info: Any, defects: list[str]) -> tuple[BaseException | None, TracebackType | None]:
    if type(exc_info) is tuple and len(exc_info) == 3:
        _, value, tb = exc_info
        if isinstance(value, BaseException):
            return value, tb if isinstance(tb, TracebackType) else None
        if exc_info == (None, None, None):
            return None, None  # exc_info=True where nothing was being handled
    elif isinstance(exc_info, BaseException):
        return exc_info, exc_info.__traceback__
    elif exc_info is True:
        _, value, tb = sys.exc_info()
        return value, tb
    elif exc_info is None or exc_info is False or exc_info == ():
        return None, None
    note(defects, f"exc_info: no exception but {exceptions.described(exc_info, defects)}")
    return None, None
