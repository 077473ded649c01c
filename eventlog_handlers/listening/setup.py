"""Attaches a handler for ``configure``, hooks uncaught exceptions, and keeps the terminal's output."""

from __future__ import annotations

import logging

from eventlog_handlers.listening import flask, hearing, last_resort, report, servers, uncaught

_targets: dict[int, logging.Logger] = {}
"""By a handler's id: the logger that ``configure`` attached it to."""


def begin(target: logging.Logger, handler: logging.Handler, *, catch: bool) -> None:
    """Attach *handler* to *target*, and with *catch* have it report uncaught exceptions.

    Calling it again puts back hooks that were taken away since, and changes nothing else.
    """
    last_resort.attach(target)
    if handler not in target.handlers:
        target.addHandler(handler)
    if target is logging.getLogger():
        servers.attach(handler)
    flask.connect()
    _targets[id(handler)] = target
    hearing.expect(target, handler)
    if catch:
        report.register(handler)
        uncaught.install()


def end(handler: logging.Handler) -> None:
    """Take *handler*, which is replaced, off again; hooks that another handler still needs stay."""
    target = _targets.pop(id(handler), None)
    if target is not None:
        target.removeHandler(handler)
        servers.detach(handler)
    hearing.expect_no_more(handler)
    report.unregister(handler)


def _undo(handler: logging.Handler) -> None:
    """*handler* was closed: it hears of no uncaught exceptions any more."""
    report.unregister(handler)
    target = _targets.get(id(handler))
    if target is not None and handler not in target.handlers:
        del _targets[id(handler)]
        last_resort.detach(target)


hearing.when_closed(_undo)
