"""Reads logging's tree: which loggers there are, and which of their handlers are ours.

Reads only, and takes no lock: a logger that another thread makes or changes at this moment may be seen
before or after the change. ``judge`` finds the problems in it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

_PACKAGE = __name__.partition(".")[0]


def loggers() -> list[logging.Logger]:
    """The root logger, then every other one by name."""
    named = logging.Logger.manager.loggerDict.copy()  # one step: other threads may make loggers meanwhile
    made = [named[name] for name in sorted(named)]
    return [logging.getLogger(), *(logger for logger in made if isinstance(logger, logging.Logger))]


def is_of_this_package(handler: logging.Handler) -> bool:
    """Whether *handler*'s class is one of this package, or made from one of these."""
    return any(base.__module__.partition(".")[0] == _PACKAGE for base in type(handler).__mro__)


def is_ours(handler: logging.Handler) -> bool:
    """Whether *handler* makes events of records: our stand-in for ``logging.lastResort`` does not."""
    return is_of_this_package(handler) and hasattr(handler, "stats")


def path(name: str) -> Iterator[logging.Logger]:
    """The loggers that a record of logger *name* passes, its own first; makes no logger."""
    known = logging.Logger.manager.loggerDict
    logger: logging.Logger | None = None
    while name:
        found = known.get(name)
        if isinstance(found, logging.Logger):
            logger = found
            break
        name = name.rpartition(".")[0]
    if logger is None:
        logger = logging.getLogger()
    while logger is not None:
        yield logger
        logger = logger.parent if logger.propagate else None
