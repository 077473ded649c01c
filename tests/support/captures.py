"""Captures of the test's own records: with an id of its choice, and as a log call leaves them."""

from __future__ import annotations

import logging
import os
from collections import deque
from types import SimpleNamespace
from typing import Any

from eventlog_handlers.pipeline.entrance import Entrance
from eventlog_handlers.record import capture as captures
from eventlog_handlers.record.captured import Capture, Captured, Shared


def capture(
    record: logging.LogRecord, id_bits: int | None = None, formatter: logging.Formatter | None = None
) -> Capture:
    """A capture of *record*; *id_bits* are the event's id to be."""
    captured = captures.capture(record, formatter)
    return captured if id_bits is None else captured._replace(id_bits=id_bits)


def taken(record: logging.LogRecord, events: Shared = None) -> Captured:
    """What a log call leaves of *record*; *events* is the table of several handlers."""
    waiting: deque[Captured] = deque()
    worker: Any = SimpleNamespace(
        pid=os.getpid(), folds=None, pool=SimpleNamespace(wake_at=9), is_closed=False, unmeasured=9
    )
    Entrance(worker, None, waiting, has_own_emit=False).take(record, None, events)
    return waiting[0]
