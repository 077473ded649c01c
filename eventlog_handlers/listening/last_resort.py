"""Keeps the terminal as it was before ``configure`` attached a handler of ours.

logging prints a warning, or worse, on stderr where the record meets no handler at all
(``logging.lastResort``). Our handler prints nothing. With it alone the terminal would go silent. So a second
handler is attached beside it, which prints where no other handler does.

``logging.basicConfig`` does nothing where the root logger has a handler. So it is wrapped: it does not see
our handlers, and with ``force=True`` it does not remove them.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

from eventlog_handlers.listening import tree


class StandIn(logging.Handler):
    """Prints what ``logging.lastResort`` would print if our handlers were not there."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def handle(self, record: logging.LogRecord) -> bool:
        """Print *record* where no other handler gets it."""
        printer = logging.lastResort
        if printer is None or record.levelno < printer.level or not self._is_alone(record.name):
            return False
        return bool(printer.handle(record))

    def _is_alone(self, name: str) -> bool:
        """Whether no other handler than ours stands on the way, and no other stand-in before this one."""
        first: StandIn | None = None
        for logger in tree.path(name):
            for handler in logger.handlers:
                if isinstance(handler, StandIn):
                    first = first or handler
                elif not tree.is_ours(handler):
                    return False
        return first is self


def attach(logger: logging.Logger) -> None:
    """Give *logger* a stand-in if no handler but ours stands on the way of its records."""
    passed = [handler for one in tree.path(logger.name) for handler in one.handlers]
    if all(tree.is_ours(handler) for handler in passed):
        logger.addHandler(StandIn())
    if logger is logging.getLogger():
        _wrap_basic_config()


def detach(logger: logging.Logger) -> None:
    """Undo ``attach``."""
    for handler in list(logger.handlers):
        if isinstance(handler, StandIn):
            logger.removeHandler(handler)
            handler.close()
    if logger is logging.getLogger():
        _unwrap_basic_config()


def _wrap_basic_config() -> None:
    original: Any = logging.basicConfig
    if hasattr(original, "eventlog_original"):
        return

    @functools.wraps(original)
    def basic_config(**options: Any) -> None:
        root = logging.getLogger()
        ours = [handler for handler in root.handlers if tree.is_of_this_package(handler)]
        for handler in ours:
            root.removeHandler(handler)
        try:
            original(**options)
        finally:
            for handler in ours:
                root.addHandler(handler)

    basic_config.eventlog_original = original  # type: ignore[attr-defined]
    logging.basicConfig = basic_config


def _unwrap_basic_config() -> None:
    current: Any = logging.basicConfig
    if hasattr(current, "eventlog_original"):  # else other code wraps ours: it stays and changes nothing
        logging.basicConfig = current.eventlog_original
