"""Makes events of uncaught exceptions, at the places where Python meets them.

``sys.excepthook`` (the program ends), ``threading.excepthook`` (a thread ends), ``sys.unraisablehook`` (a
``__del__`` raised), where asyncio is loaded an event loop's exception handler that logs nothing, and where
multiprocessing is loaded the function that a child runs, for multiprocessing prints an exception without any
hook. At each place the earlier hook is kept and called, so the same text is printed as before.
``KeyboardInterrupt`` and ``SystemExit`` become no events: the program was asked to end. Nor does an exception
at an interactive prompt.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Callable
from typing import Any

from eventlog_handlers.listening import report

LOGGER = "eventlog_handlers.uncaught"
_NO_EVENTS = (KeyboardInterrupt, SystemExit, GeneratorExit)
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_NAMED = re.compile(r"<(?:\w+ )+(\S+) at 0x")


class _Chained:
    """A hook that calls *tell* with the exception and leaves the rest to *previous*, the hook before it.

    *tell_first*: before *previous*, which may never return; else after it, which may log the exception.
    """

    def __init__(
        self, previous: Callable[..., Any], tell: Callable[..., None], *, tell_first: bool = True
    ) -> None:
        self.previous = previous
        self.is_active = True
        self._tell = tell
        self._tell_first = tell_first

    def __call__(self, *args: Any) -> Any:
        if self._tell_first:
            self._told(*args)
        try:
            return self.previous(*args)
        finally:
            if not self._tell_first:
                self._told(*args)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Behave as a function does where it stands in a class."""
        return self if instance is None else lambda *args: self(instance, *args)

    def _told(self, *args: Any) -> None:
        if not self.is_active:
            return
        try:
            self._tell(*args)
        except Exception:
            return  # the hook before this one reports the exception already


class _Run(_Chained):
    """``multiprocessing.Process.run``: its exception is reported, and raised on."""

    def __call__(self, process: Any) -> Any:
        try:
            return self.previous(process)
        except Exception as error:
            self._told(process, error)
            raise


_installed: list[tuple[Any, str, _Chained]] = []
"""Object, attribute, hook: in the order of installing."""


def install() -> None:
    """Put the hooks in place. Where one of ours is the first hook already, nothing is changed."""
    _install(sys, "excepthook", _of_program)
    _install(threading, "excepthook", _of_thread)
    _install(sys, "unraisablehook", _of_no_caller)
    loops = sys.modules.get("asyncio.base_events")
    loop_class = getattr(loops, "BaseEventLoop", None)
    if loop_class is not None:
        _install(loop_class, "call_exception_handler", _of_loop, tell_first=False)
    process_class = getattr(sys.modules.get("multiprocessing.process"), "BaseProcess", None)
    if process_class is not None:
        _install(process_class, "run", _of_child, kind=_Run)
    report.when_empty(uninstall)


def uninstall() -> None:
    """Take the hooks away; one that other code has chained a hook to stays, and only passes on."""
    while _installed:
        holder, name, hook = _installed.pop()
        hook.is_active = False
        if vars(holder).get(name) is hook:
            setattr(holder, name, hook.previous)


def _install(
    holder: Any,
    name: str,
    tell: Callable[..., None],
    *,
    tell_first: bool = True,
    kind: type[_Chained] = _Chained,
) -> None:
    current = vars(holder).get(name)
    if current is None or any(hook is current for _, _, hook in _installed):
        return
    hook = kind(current, tell, tell_first=tell_first)
    _installed.append((holder, name, hook))
    setattr(holder, name, hook)


def _of_program(kind: type[BaseException], error: BaseException | None, traceback: Any) -> None:
    if error is None or isinstance(error, _NO_EVENTS) or hasattr(sys, "ps1"):  # ps1: typed at a prompt
        return
    report.report(
        error,
        "uncaught %s: %s",
        (type(error).__name__, report.text_of(error)),
        logger=LOGGER,
        level=logging.CRITICAL,
        traceback=traceback,
    )


def _of_thread(args: Any) -> None:
    error = args.exc_value
    if error is None or isinstance(error, _NO_EVENTS):
        return
    name = "of Python" if args.thread is None else args.thread.name
    report.report(
        error,
        "uncaught %s in thread %s: %s",
        (type(error).__name__, name, report.text_of(error)),
        logger=LOGGER,
        traceback=args.exc_traceback,
    )


def _of_no_caller(unraisable: Any) -> None:
    error = unraisable.exc_value
    if error is None or isinstance(error, _NO_EVENTS):
        return
    report.report(
        error,
        "%s ignored in %s: %s",
        (type(error).__name__, place_of(unraisable.object, unraisable.err_msg), report.text_of(error)),
        logger=LOGGER,
        traceback=unraisable.exc_traceback,
    )


def place_of(ignorer: Any, text: str | None) -> str:
    """The name of what ignored an exception, such as ``Till.__del__``, from what the interpreter says of it.

    That is an object, or from CPython 3.13 on a *text* with the object's repr alone. Extensions give a name
    or nothing.
    """
    if isinstance(ignorer, str):
        return ignorer
    if ignorer is not None:
        return str(getattr(ignorer, "__qualname__", None) or type(ignorer).__qualname__)
    if text is None:
        return "an unknown place"
    named = _NAMED.search(text)
    if named:
        return named[1]
    return _ADDRESS.sub("", text.removeprefix("Exception ignored ").removeprefix("in "))


def _of_loop(_loop: Any, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if not isinstance(error, BaseException) or isinstance(error, _NO_EVENTS):
        return
    report.report(
        error,
        "%s: %s: %s",
        (str(context.get("message")), type(error).__name__, report.text_of(error)),
        logger=LOGGER,
    )


def _of_child(process: Any, error: Exception) -> None:
    report.report(
        error,
        "uncaught %s in process %s: %s",
        (type(error).__name__, process.name, report.text_of(error)),
        logger=LOGGER,
        level=logging.CRITICAL,
    )
