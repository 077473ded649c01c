"""What ``configure`` does beside making a handler: attach it, hear exceptions, keep the terminal alive."""

from __future__ import annotations

import logging
import threading

from eventlog_handlers.listening import flask, hearing, last_resort, report, servers, uncaught
from eventlog_handlers.process.start_thread import caller_owns_logging_lock

_targets: dict[int, logging.Logger] = {}
"""By a handler's id: the logger that ``configure`` attached it to."""


def begin(target: logging.Logger, handler: logging.Handler, *, catch: bool) -> None:
    """Attach *handler* to *target*, and with *catch* have it hear of exceptions that nobody catches.

    Calling it again mends what somebody took away since, and changes nothing else.
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
    """Take *handler*, which is replaced, off again; what another handler still needs stays."""
    target = _targets.pop(id(handler), None)
    if target is not None:
        target.removeHandler(handler)
        servers.detach(handler)
    hearing.expect_no_more(handler)
    report.unregister(handler)


def closed(handler: logging.Handler) -> None:
    """*handler* was closed: it hears of no uncaught exceptions any more.

    Not where ``dictConfig`` closes every handler there is (it holds logging's lock): those that stay attached
    go on with their next record, and it is worth a look which of them do.
    """
    if caller_owns_logging_lock():
        hearing.look_later()
        return
    if not threading.main_thread().is_alive():  # logging.shutdown, at the end of the process
        hearing.look()
        return
    hearing.expect_no_more(handler)
    report.unregister(handler)
    target = _targets.get(id(handler))
    if target is not None and handler not in target.handlers:
        del _targets[id(handler)]
        last_resort.detach(target)
