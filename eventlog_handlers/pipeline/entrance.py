"""From the record to the intake, in the thread that logs.

All that a log call needs of a handler stands in one object, whose class is the same for all handlers: the
interpreter remembers where an object's attributes are by its class, and several handlers of different classes
on one logger would make it look each time.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable
from typing import Any

from eventlog_handlers.listening import told
from eventlog_handlers.pipeline.worker import Worker
from eventlog_handlers.record import sharing
from eventlog_handlers.record.capture import degraded, taken
from eventlog_handlers.record.captured import Capture, Captured, whole
from eventlog_handlers.record.fields import EXC_INFO, PROCESS, field_values
from eventlog_handlers.record.plain import EXIT_EXCEPTIONS
from eventlog_handlers.record.problem import problem_of, quick_key

_getpid = os.getpid


class Entrance:
    """Where a handler's records come in. *number* tells it from the process's other handlers."""

    __slots__ = (
        "_captures",
        "_folds",
        "_number",
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
        number: int,
        *,
        has_own_emit: bool,
    ) -> None:
        """*take_in* takes a capture in where more is to be done for it than to append it to *captures*."""
        self._worker = worker
        self._folds = worker.folds
        self._take_in = take_in
        self._captures = captures
        self._number = number
        self.has_own_emit = has_own_emit
        """Whether the handler is of a class of the user's that has an ``emit``."""

    def take(self, record: logging.LogRecord, formatter: logging.Formatter | None, is_shared: bool) -> None:
        """Take the record in. Only KeyboardInterrupt and SystemExit may leave here.

        *is_shared*: other handlers of ours may be given the same record, see ``record.sharing``.
        """
        worker, folds = self._worker, self._folds
        captured = sharing.found(record, formatter, self._number) if is_shared else None
        values = None
        try:
            if captured is None:
                # The one way to its fields that costs the same for each of several handlers.
                known = values = field_values(record.__dict__)
                exc_info = values[EXC_INFO]
                if exc_info is not None and not told.admits(exc_info, record.levelno):
                    worker.count_already_reported()  # a server logs what the middleware has sent
                    return
            else:
                known = captured[2]
            # logging has asked the system for it; where the record is another process's, we ask again.
            is_here = known[PROCESS] == worker.pid
        except EXIT_EXCEPTIONS:
            raise
        except BaseException:
            is_here = False
        if not is_here and _getpid() != worker.pid:  # uWSGI forks without Python's hooks
            worker.after_fork_in_child()
        if folds is not None:
            try:
                quick = quick_key(record)
            except EXIT_EXCEPTIONS:
                raise
            except BaseException:  # a misshapen record; ``taken`` notes its faults
                quick = None
            if folds.repeats(record, quick, formatter):
                return
        if captured is None:
            try:
                if is_shared:
                    captured = taken(record, formatter, {self._number: None}, values)
                    sharing.leave(record, formatter, captured, values)
                else:
                    captured = taken(record, formatter, None, values)
            except EXIT_EXCEPTIONS:
                raise
            except BaseException as error:
                captured = degraded(record, error)
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
        worker.unmeasured -= 1  # threads may lose one, which does no harm
        if worker.unmeasured < 0:
            worker.measure(captured)
