"""Web servers' loggers that do not propagate to the root logger, and the messages they log of an application.

uvicorn logs "Exception in ASGI application" and gunicorn "Error handling request", each to a logger that does
not propagate. A handler of the root logger is attached there as well. Not to granian's logger: its records
hold an exception as text only, so that one which was reported before could not be recognised.
"""

from __future__ import annotations

import logging

_LOGGERS = ("uvicorn", "gunicorn.error", "hypercorn.error")
"""The highest logger of each server that keeps errors to itself."""


def attach(handler: logging.Handler) -> None:
    """Attach *handler* to the loggers of those servers that are at work in this process."""
    for logger in _apart():
        if handler not in logger.handlers:
            logger.addHandler(handler)


def detach(handler: logging.Handler) -> None:
    """Undo ``attach``."""
    for logger in _made():
        logger.removeHandler(handler)


def _apart() -> list[logging.Logger]:
    return [logger for logger in _made() if not logger.propagate]


def _made() -> list[logging.Logger]:
    known = logging.Logger.manager.loggerDict
    return [logger for name in _LOGGERS if isinstance(logger := known.get(name), logging.Logger)]
