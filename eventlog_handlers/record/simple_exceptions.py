"""Exceptions that are told by their class, one text and their frames. Most that are logged are so simple.

``exceptions.capture`` is for any exception, and may run the application's code. Here nothing of that runs,
and the worker does the rest (``link_of``), so that a log call pays less. A class is judged once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import TracebackType, WrapperDescriptorType
from typing import Any, TypeAlias

from eventlog_handlers.record.exceptions import ASK_LIBRARY, MAX_MESSAGE, Link, class_name, last_line
from eventlog_handlers.record.frames import Frames, walked

Raised: TypeAlias = tuple[type[BaseException], str, list[Frames], bool]
"""Class, message, frames and ``__suppress_context__``. Neither the exception nor a frame is kept alive."""

_MAX_TEXT = MAX_MESSAGE // 10
"""Characters: a KeyError may show one as ten."""
_KNOWN = (BaseException, KeyError, NameError, AttributeError)
_TEXTS: set[Any] = {kind.__str__ for kind in _KNOWN}
_MOST = 512  # classes that are remembered
_arguments_of: Callable[[BaseException], tuple[Any, ...]] = vars(BaseException)["args"].__get__
_READ = {
    "__cause__", "__context__", "__getattr__", "__getattribute__", "__notes__", "__str__",
    "__suppress_context__",
}  # fmt: skip
"""What is read of an exception: a class that defines one of these itself may do anything there."""


def simple(exc_info: Any) -> Raised | None:
    """What an event needs of a record's *exc_info*, if that is a simple exception; else None.

    Not simple: one with a cause, a context that is shown, notes, members or more than one argument, and one
    whose class has a ``__str__`` of its own.
    """
    if type(exc_info) is not tuple or len(exc_info) != 3:
        return None
    _, value, tb = exc_info
    kind = type(value)
    if type(kind) is not type or not _is_simple(kind):  # a metaclass may do anything
        return None
    text_of = kind.__str__
    if (
        type(text_of) is not WrapperDescriptorType  # put into the class since
        or text_of not in _TEXTS
        or value.__cause__ is not None
        or (not (suppress := value.__suppress_context__) and value.__context__ is not None)
        or getattr(value, "__notes__", None) is not None
        or (type(tb) is not TracebackType and tb is not None)
    ):
        return None
    arguments = _arguments_of(value)
    if arguments and (len(arguments) > 1 or type(arguments[0]) is not str or len(arguments[0]) > _MAX_TEXT):
        return None
    return kind, text_of(value), walked(tb), suppress


def link_of(raised: Raised) -> Link:
    """As ``exceptions.capture`` makes it. For the worker's thread."""
    kind, message, frames, suppress = raised
    name = class_name(kind)
    return Link(name, message, (last_line(name, message),), frames, suppress)


def _judged(kind: type) -> bool:
    return (
        issubclass(kind, BaseException)
        and type(getattr(kind, "__module__", None)) is str  # a class that was made by ``type`` may have none
        and not issubclass(kind, ASK_LIBRARY)
        and all(base in _KNOWN or _READ.isdisjoint(vars(base)) for base in kind.__mro__[:-1])
    )


_is_simple: Callable[[type], bool] = lru_cache(maxsize=_MOST)(_judged)
