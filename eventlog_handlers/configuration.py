"""One line in an existing application: ``configure()``, and ``flush`` and ``stats`` over all handlers."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from eventlog_handlers.base import Handler
from eventlog_handlers.errors import SettingsError
from eventlog_handlers.handler import EventHandler, live_handlers
from eventlog_handlers.listening import hearing, setup
from eventlog_handlers.process import exit as process_exit
from eventlog_handlers.process import green
from eventlog_handlers.services import registry
from eventlog_handlers.services.dsn import parse_dsn
from eventlog_handlers.settings import checks
from eventlog_handlers.settings.options import OPTIONS as COMMON_OPTIONS
from eventlog_handlers.settings.switches import is_disabled

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from eventlog_handlers.services import typed as types
    from eventlog_handlers.services.cloudwatch.handler import CloudWatchEventsHandler
    from eventlog_handlers.services.cloudwatch.typed import CloudWatchEventsHandlerOptions
    from eventlog_handlers.services.cms.handler import CMSHandler
    from eventlog_handlers.services.cms.typed import CMSHandlerOptions
    from eventlog_handlers.services.guance.handler import GuanceHandler
    from eventlog_handlers.services.guance.typed import GuanceHandlerOptions
    from eventlog_handlers.services.relay.handler import RelayHandler
    from eventlog_handlers.services.relay.typed import RelayHandlerOptions

_LOCK_SECONDS = 10.0
_lock = green.RLock()
"""Held while ``configure`` looks up, makes and attaches: one handler, however many threads ask for it.

Never waited for without a bound. An option may name a module that is being imported by a thread that calls
``configure`` itself; then two handlers are better than a program that stands still.
"""

_configured: dict[str, tuple[object, Handler]] = {}
"""By logger name: what ``configure`` was called with, and the handler it made of it."""


class FanOut(Handler):
    """Several destinations behind one handler: each takes every record for itself.

    Level, filters and formatter set here are set for each: each refuses and shapes records by itself.
    """

    def __init__(self, handlers: Sequence[EventHandler], level: int | str) -> None:
        super().__init__(level)
        self.handlers = tuple(handlers)

    def setLevel(self, level: int | str) -> None:  # noqa: N802 - logging's name
        """Set it for each."""
        super().setLevel(level)
        for handler in self.handlers:
            handler.setLevel(level)

    def addFilter(self, filter: Any) -> None:  # noqa: N802 - logging's name
        """Add it to each."""
        for handler in self.handlers:
            handler.addFilter(filter)

    def removeFilter(self, filter: Any) -> None:  # noqa: N802 - logging's name
        """Take it from each."""
        for handler in self.handlers:
            handler.removeFilter(filter)

    def handle(self, record: logging.LogRecord) -> bool:
        """Hand *record* to each, without a lock around it; see ``EventHandler.handle``."""
        taken = [handler.handle(record) for handler in self.handlers]
        return any(taken)

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 - logging's name
        """Set it for each."""
        super().setFormatter(fmt)
        for handler in self.handlers:
            handler.setFormatter(fmt)

    def flush(self, timeout: float | None = None) -> bool:  # type: ignore[override]  # as in Handler
        """Flush all side by side; True if all are settled within *timeout* seconds."""
        return _flush_all(self.handlers, timeout)

    def stats(self) -> dict[str, Any]:
        """``stats()`` of each, by class name."""
        return _stats_of(self.handlers)

    def close(self, timeout: float | None = None) -> None:
        """Flush all side by side within *timeout* seconds, and close each."""
        _flush_all(self.handlers, timeout)
        for handler in self.handlers:
            handler.close(0.0)  # flushed, or over its time
        super().close()
        hearing.closed(self)


if TYPE_CHECKING:
    # Where the DSN is the literal of one service, without options, checkers know the handler and its options.
    @overload
    def configure(
        dsn: types.CMSDsn,
        *,
        logger: str | logging.Logger | None = None,
        uncaught: bool = True,
        **options: Unpack[CMSHandlerOptions],
    ) -> CMSHandler: ...
    @overload
    def configure(
        dsn: types.GuanceDsn,
        *,
        logger: str | logging.Logger | None = None,
        uncaught: bool = True,
        **options: Unpack[GuanceHandlerOptions],
    ) -> GuanceHandler: ...
    @overload
    def configure(
        dsn: types.CloudWatchEventsDsn,
        *,
        logger: str | logging.Logger | None = None,
        uncaught: bool = True,
        **options: Unpack[CloudWatchEventsHandlerOptions],
    ) -> CloudWatchEventsHandler: ...
    @overload
    def configure(
        dsn: types.RelayDsn,
        *,
        logger: str | logging.Logger | None = None,
        uncaught: bool = True,
        **options: Unpack[RelayHandlerOptions],
    ) -> RelayHandler: ...
    @overload
    def configure(
        dsn: str | None = None,
        *,
        logger: str | logging.Logger | None = None,
        uncaught: bool = True,
        **options: Unpack[types.AnyHandlerOptions],
    ) -> Handler: ...


def configure(
    dsn: str | None = None,
    *,
    level: int | str = "ERROR",
    logger: str | logging.Logger | None = None,
    uncaught: bool = True,
    **options: Any,
) -> Handler:
    """Attach a handler to *logger* (the root logger by default) and return it.

    *dsn* names the destination, or several separated by blanks (then *options* must fit all of them):
    ``cms://cn-hangzhou?group_id=7``, ``guance://cn1``, ``cloudwatch://default?region=us-east-1``,
    ``relay+redis://host:6379/0?queue=guance`` (a relay's queue); None takes it from ``EVENTLOG_DSN``.
    Credentials come from the environment, never from the DSN. Calling it again with the same arguments
    changes nothing; with others it replaces the handler. Raises SettingsError.

    With *uncaught* the handler also gets the exceptions that end the program or a thread, and those that
    Python can only print (``listening.uncaught``). On the root logger it is attached to the loggers of web
    servers too, which do not propagate (``listening.servers``). What reached stderr before still does
    (``listening.last_resort``).
    """
    is_off = is_disabled(os.environ)
    if dsn is not None and not isinstance(dsn, str):
        raise SettingsError(f"dsn takes a string such as 'guance://cn1', not {type(dsn).__name__}")
    if dsn is None:
        dsn = os.environ.get("EVENTLOG_DSN", "")
        if not dsn.strip() and not is_off:
            raise SettingsError("no destination: give a DSN such as guance://cn1, or set EVENTLOG_DSN")
    target = logger if isinstance(logger, logging.Logger) else logging.getLogger(logger)
    level = checks.level(level)
    uncaught = checks.boolean("uncaught", uncaught) and not is_off
    asked = (dsn.split(), level, uncaught, options)
    lock = _lock
    is_locked = lock.acquire(timeout=_LOCK_SECONDS)
    try:
        before = _configured.get(target.name)
        if before is not None and before[0] == asked:
            setup.begin(target, before[1], catch=uncaught)
            return before[1]
        destinations = parse_dsn(dsn) if dsn.strip() or not is_off else []
        if len(destinations) > 1:
            _check_fits_all(options, [scheme for scheme, _ in destinations])
        handlers = [
            registry.SERVICES[scheme].handler_class()(**{"level": level, **options, **own_options})
            for scheme, own_options in destinations
        ]
        handler: Handler = handlers[0] if len(handlers) == 1 else FanOut(handlers, level)
        _configured[target.name] = (asked, handler)
        setup.begin(target, handler, catch=uncaught)
        if before is not None:
            setup.end(before[1])
    finally:
        if is_locked:
            lock.release()
    if before is not None:
        before[1].close()  # may take exit_timeout: without the lock
    return handler


def _check_fits_all(options: Iterable[str], schemes: Sequence[str]) -> None:
    """Options beside several DSNs are those of every handler; an option of one service stands in its DSN."""
    common = {row.name for row in COMMON_OPTIONS}
    for name in options:
        services = [registry.SERVICES[scheme] for scheme in schemes]
        takers = [service for service in services if name in {row.name for row in service.options()}]
        if name not in common and takers and len(takers) < len(services):
            example = f"{takers[0].scheme}://…?{name}=…"
            raise SettingsError(
                f"{name} is an option of {takers[0].title} alone: put it into its DSN, {example}"
            )


def _after_fork_in_child() -> None:
    global _lock
    _lock = green.RLock()  # a thread of the parent's may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def flush(timeout: float | None = None) -> bool:
    """Flush every handler of this process, side by side; True if all are settled within *timeout* seconds.

    None means the longest ``exit_timeout`` among them.
    """
    return _flush_all(live_handlers(), timeout)


def stats() -> dict[str, Any]:
    """``stats()`` of every handler of this process, by class name, numbered where there are several."""
    return _stats_of(live_handlers())


def _flush_all(handlers: Sequence[EventHandler], timeout: float | None) -> bool:
    tickets = [(handler, handler.begin_flush()) for handler in handlers]
    if timeout is None and process_exit.exiting():  # each takes from the budget of the process's end
        settled = [handler.end_flush(ticket, None) for handler, ticket in tickets]
        return all(settled)
    seconds = max((one.exit_timeout for one in handlers), default=0.0) if timeout is None else timeout
    return process_exit.finish_together(
        [(partial(handler.end_flush, ticket), seconds) for handler, ticket in tickets]
    )


def _stats_of(handlers: Sequence[EventHandler]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for handler in handlers:
        name = base = type(handler).__name__
        number = 1
        while name in named:
            number += 1
            name = f"{base} {number}"
        named[name] = handler.stats()
    return named
