"""An incident: a thing breaks and works again. One event for each failure, and one when it is over.

    with incident("db"):
        connection = connect()

Here: the incidents that are open in this process, and the log calls about them. Not here: events. These are
ordinary log calls, and every handler of the logger sees them.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import os
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, TypeVar, cast

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.process import clock, green
from eventlog_handlers.settings import checks

DEFAULT_LOGGER: Final = "incidents"
MAX_OPEN: Final = 1_024
"""Incidents open at once; beyond that the one open longest is forgotten without a word."""

_F = TypeVar("_F", bound=Callable[..., Any])
_Key = tuple[str, str]  # the logger's name, the incident's


class _Open:
    """An incident that is open."""

    __slots__ = ("failures", "last", "since")

    def __init__(self, since: float) -> None:
        self.since = since  # monotonic seconds
        self.failures = 0
        self.last = 0  # number of its latest failure


class _Register:
    """The open incidents of this process. Nothing is logged under its lock, and no other is taken."""

    def __init__(self) -> None:
        self.lock = green.RLock()  # re-entrant: a signal handler may resolve within a failure
        self.pid = os.getpid()
        self.open: dict[_Key, _Open] = {}
        self.number = 0  # of failures so far, of all incidents

    def failed(self, key: _Key) -> int:
        """Count a failure; how many there were since *key* opened, this one included."""
        with self.lock:
            self.number += 1
            entry = self.open.get(key)
            if entry is None:
                while len(self.open) >= MAX_OPEN:
                    del self.open[next(iter(self.open))]
                entry = self.open[key] = _Open(clock.monotonic())
            entry.failures += 1
            entry.last = self.number
            return entry.failures

    def worked(self, key: _Key, begun: int | None) -> tuple[int, float] | None:
        """Close *key*: its failures and the seconds since the first. None if it isn't open.

        A pass that began before the latest failure (*begun* is the failures' number then) proves nothing.
        """
        if key not in self.open:  # the ordinary case costs no lock
            return None
        with self.lock:
            entry = self.open.get(key)
            if entry is None or (begun is not None and begun < entry.last):
                return None
            del self.open[key]
            return entry.failures, max(0.0, clock.monotonic() - entry.since)


_register = _Register()


def _here() -> _Register:
    if _register.pid != os.getpid():  # uWSGI forks without Python's hooks
        _forget()
    return _register


def _forget() -> None:
    """Start with none open: a forked child's incidents are its own."""
    _register.__init__()  # type: ignore[misc]  # anew in place: its lock may be held by a thread of the parent


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


class incident:  # noqa: N801 - it is used as a function: with incident("db")
    """Log an error when the block raises, and that it works again when a later pass does not.

    Each failure is logged at *level* with its exception, which then propagates; the incident is open from
    the first one. The next pass that began after the latest failure and ends without one logs once, with
    ``event_status="ok"``, the duration and the number of failures. Nothing else closes it but ``resolve``:
    neither time nor the end of the process. An exception that stops a program or a task (KeyboardInterrupt,
    SystemExit, CancelledError, GeneratorExit) neither opens nor closes it.

    *logger* is a logger or its name; incidents are told apart by it and by *name*. *recovered_level* is
    *level* unless given, so that a handler that sees the error sees its end too. Also a decorator, for
    functions and coroutine functions. Make a new one for each pass. Raises SettingsError for wrong arguments.
    """

    def __init__(
        self,
        name: str,
        *,
        logger: str | logging.Logger | None = None,
        level: int | str = "ERROR",
        recovered_level: int | str | None = None,
    ) -> None:
        self._name = checks.text("name", name)
        self._logger = _logger(logger)
        self._level = checks.level(level)
        self._recovered_level = self._level if recovered_level is None else checks.level(recovered_level)
        self._key = (self._logger.name, self._name)
        self._begun = 0

    def __enter__(self) -> None:
        self._begun = _here().number

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left(error, stacklevel=3)

    def __call__(self, function: _F) -> _F:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("a generator ends when its reader likes: put `with incident(...)` inside it")

        def another() -> incident:
            return incident(
                self._name,
                logger=self._logger,
                level=self._level,
                recovered_level=self._recovered_level,
            )

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **options: Any) -> Any:
                with another():
                    return await function(*args, **options)

            return cast("_F", awaited)

        @functools.wraps(function)
        def called(*args: Any, **options: Any) -> Any:
            with another():
                return function(*args, **options)

        return cast("_F", called)

    def _left(self, error: BaseException | None, *, stacklevel: int) -> None:
        if error is None:
            closed = _here().worked(self._key, self._begun)
            if closed is not None:
                _log_recovery(self._logger, self._recovered_level, self._name, closed, stacklevel + 1)
        elif isinstance(error, Exception):
            failures = _here().failed(self._key)
            named = f"incident {self._name}"
            _log(
                self._logger,
                self._level,
                "%s is failing: %s",
                (self._name, traceback.format_exception_only(error)[-1].strip()),
                {"incident": self._name, "failures": failures, "event_name": named, "fingerprint": named},
                stacklevel + 1,
                error,
            )


def resolve(name: str, *, logger: str | logging.Logger | None = None, level: int | str = "ERROR") -> bool:
    """Close the incident *name* of *logger* by hand and log that it is over; False if it was not open.

    Raises SettingsError for wrong arguments.
    """
    found = _logger(logger)
    number = checks.level(level)
    closed = _here().worked((found.name, checks.text("name", name)), None)
    if closed is None:
        return False
    _log_recovery(found, number, name, closed, 3)
    return True


def _logger(logger: str | logging.Logger | None) -> logging.Logger:
    if logger is None:
        return logging.getLogger(DEFAULT_LOGGER)
    if isinstance(logger, (str, logging.Logger)):
        return logger if isinstance(logger, logging.Logger) else logging.getLogger(logger)
    raise SettingsError(f"logger takes a logger or its name, not {type(logger).__name__}")


def _log_recovery(
    logger: logging.Logger, level: int, name: str, closed: tuple[int, float], stacklevel: int
) -> None:
    failures, seconds = closed
    named = f"recovered incident {name}"  # this word first: services cut long names at their end
    _log(
        logger,
        level,
        "%s works again after %.1f s, %d failures",
        (name, seconds, failures),
        {
            "incident": name,
            "failures": failures,
            "duration_seconds": round(seconds, 3),
            "event_status": "ok",
            "event_name": named,
            "detail_type": named,
            # Its own fingerprint: with that of the failures it would count as their repeat.
            "fingerprint": named,
        },
        stacklevel + 1,
    )


def _log(
    logger: logging.Logger,
    level: int,
    message: str,
    args: tuple[object, ...],
    extra: dict[str, object],
    stacklevel: int,
    error: BaseException | None = None,
) -> None:
    # Another handler's or filter's fault must not take the place of what the block itself raised or returned.
    with contextlib.suppress(Exception):
        logger.log(level, message, *args, exc_info=error, extra=extra, stacklevel=stacklevel)
