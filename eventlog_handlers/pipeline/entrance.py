"""From the record to the intake, in the thread that logs.

All that a log call needs of a handler stands in one object, whose class is the same for all handlers: the
interpreter remembers where an object's attributes are by its class, and several handlers of different classes
on one logger would make it look each time.

One capture for all handlers that one log call goes to. logging hands one record to each handler in turn. The
first handler of ours captures it and leaves the capture in a slot; the next one finds it there. The slot is
one tuple for the whole process, replaced as a whole: a signal handler, another thread or a fork that comes
between two handlers costs a second capture and nothing else. It keeps no record alive, and of the record's
arguments and exception only what the capture holds anyway: of all else it has the address. Addresses are
given again when an object has died; but ``relativeCreated`` tells records apart. logging makes a new number
of it for each record, with a frozen clock too, and the slot holds that number.

A record that was changed between two handlers is captured again: a field more or fewer, another message,
other arguments, another exception. A handler with filters of its own captures for itself alone.

The rule of what is plain, and the few lines that append a capture, stand where a log call passes: a function
of their own would cost as much as they do.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from eventlog_handlers.listening import fields as context
from eventlog_handlers.listening import told
from eventlog_handlers.pipeline.worker import Worker
from eventlog_handlers.process.own_traffic import mark
from eventlog_handlers.record.capture import capture, degraded, plain_extras
from eventlog_handlers.record.captured import Capture, Captured, Shared, whole
from eventlog_handlers.record.dialects import OTEL_API
from eventlog_handlers.record.fields import ARGS, EXC_TEXT, FIELD_COUNT, PROCESS, field_values
from eventlog_handlers.record.plain import ATOMS, EXIT_EXCEPTIONS, MAX_STRING
from eventlog_handlers.record.problem import problem_of, quick_key
from eventlog_handlers.record.simple_exceptions import simple

_getpid = os.getpid
_modules = sys.modules
_LogRecord = logging.LogRecord


_slot: tuple[Any, Any, Any, Any, Any, int, Any, Any] = (None, None, None, None, None, 0, None, None)
"""relativeCreated, message, arguments, exception, formatter, number of fields, process, and the capture.

Of what may hold something alive it is the address.
"""


class Entrance:
    """Where a handler's records come in."""

    __slots__ = (
        "_captures",
        "_folds",
        "_is_short",
        "_last",
        "_take_in",
        "_worker",
        "filters",
        "formatter",
        "has_own_emit",
    )

    filters: list[Any]
    """The handler's own. Kept here for ``handle``, see the top of this file."""
    formatter: logging.Formatter | None

    def __init__(
        self,
        worker: Worker,
        take_in: Callable[[Capture], None] | None,
        captures: deque[Captured],
        *,
        has_own_emit: bool,
    ) -> None:
        """*take_in* takes a capture in where more is to be done for it than to append it to *captures*."""
        self._worker = worker
        self._folds = worker.folds
        self._take_in = take_in
        self._captures = captures
        self._is_short = worker.folds is None and take_in is None
        """Whether nothing more is to be done for a capture than to append it."""
        self._last: Captured | None = None
        """The last one that other handlers were given as well."""
        self.has_own_emit = has_own_emit
        """Whether the handler is of a class of the user's that has an ``emit``."""

    def take(
        self,
        record: logging.LogRecord,
        formatter: logging.Formatter | None,
        events: Shared = None,
        captured: Captured | None = None,
    ) -> None:
        """Take the record in. Only KeyboardInterrupt and SystemExit may leave here.

        *captured* is what another handler of ours made of it. *events* is an empty table, where others may be
        given it after this one: their workers leave the event in it, see ``record.sharing``.
        """
        global _slot
        worker, folds = self._worker, self._folds
        if mark.active:
            worker.count_own_traffic()
            return
        values = None
        try:
            if captured is None:
                # The one way to its fields that costs the same for each of several handlers.
                fields = record.__dict__
                known = values = field_values(fields)
                _, msg, args, level, _, _, _, _, _, _, _, _, _, stack, exc_text, exc_info = values
                if exc_info is not None and not told.admits(exc_info, level):
                    worker.count_already_reported()  # a server logs what the middleware has sent
                    return
                if (
                    folds is None
                    and formatter is None
                    and (exc_text is None or exc_info is not None)
                    and stack is None
                    and type(args) is tuple
                    and type(msg) is str
                    and type(level) is int
                    and type(record) is _LogRecord
                    and len(msg) <= MAX_STRING
                    and OTEL_API not in _modules
                ):
                    for value in args:  # as in are_plain
                        kind = type(value)
                        if kind is str:
                            if len(value) > MAX_STRING:
                                break
                        elif kind not in ATOMS:
                            break
                    else:
                        extras = None
                        if len(fields) == FIELD_COUNT or (extras := plain_extras(fields)) is not None:
                            if context.is_used:
                                extras = context.under(extras)
                            if exc_info is None:
                                captured = level, extras, values, None, events
                            elif (raised := simple(exc_info)) is not None:
                                captured = level, extras, values[:EXC_TEXT], raised, events
            else:
                known = captured[2]
            # logging has asked the system for it; where the record is another process's, we ask again.
            is_here = known[PROCESS] == worker.pid
        except EXIT_EXCEPTIONS:
            raise
        except BaseException:
            is_here = False
        if not is_here and _getpid() != worker.pid:  # uWSGI forks without Python's hooks
            worker.notice_fork()
        if folds is not None:
            try:
                quick = quick_key(record)
            except EXIT_EXCEPTIONS:
                raise
            except BaseException:  # a misshapen record; ``capture`` notes its faults
                quick = None
            if folds.repeats(record, quick, formatter):
                return
        if captured is None:
            try:
                captured = capture(record, formatter, events, values)
            except EXIT_EXCEPTIONS:
                raise
            except BaseException as error:
                captured = degraded(record, error)
        if events is not None and values is not None:
            self._last = captured  # it may be given the record once more
            created = fields.get("relativeCreated") if type(fields) is dict else None
            if type(created) is float and type(msg) is str:
                _slot = (
                    created,
                    msg,
                    args if captured[2][ARGS] is args else id(args),
                    None if exc_info is None else id(exc_info),
                    None if formatter is None else id(formatter),
                    len(fields),
                    known[PROCESS],
                    captured,
                )
        if folds is not None:
            captured = whole(captured)
            if not folds.admits(captured, problem_of(captured), quick):
                return
        if self._take_in is not None:
            self._take_in(whole(captured))
            return
        # As Worker.submit does it.
        captures = self._captures
        captures.append(captured)
        if len(captures) >= worker.pool.wake_at or worker.is_closed:
            worker.look_up(captured)
        worker.unmeasured = left = worker.unmeasured - 1  # threads may lose one, which does no harm
        if left < 0:
            worker.measure(captured)

    def take_together(self, record: logging.LogRecord, formatter: logging.Formatter | None) -> None:
        """As ``take``, where other handlers of ours may be given the same record, or were given it.

        Own traffic is refused by the first of them, so that there is nothing for the others to find.
        """
        created, msg, args, exc_info, last_formatter, count, process, captured = _slot
        try:
            fields = record.__dict__
            if not (
                fields["relativeCreated"] is created
                and fields["msg"] is msg
                and ((mine := fields["args"]) is args or id(mine) == args)
                and ((mine := fields["exc_info"]) is exc_info or id(mine) == exc_info)
                and (formatter is last_formatter or id(formatter) == last_formatter)
                and len(fields) == count
                and captured is not self._last  # given twice, it makes two events
            ):
                captured = None
        except EXIT_EXCEPTIONS:
            raise
        except BaseException:  # a misshapen record
            captured = None
        if captured is None:
            self.take(record, formatter, {})
            return
        self._last = captured
        worker = self._worker
        if not self._is_short or process != worker.pid:
            self.take(record, formatter, None, captured)
            return
        captures = self._captures  # as in ``take``
        captures.append(captured)
        if len(captures) >= worker.pool.wake_at or worker.is_closed:
            worker.look_up(captured)
        worker.unmeasured = left = worker.unmeasured - 1
        if left < 0:
            worker.measure(captured)
