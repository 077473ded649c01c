"""Marks threads that work for us, so that our own log records make no events without end. Imports nothing.

A record that is logged on a thread at work for us (urllib3's and botocore's debug records above all) must not
become an event, or each request would breed the next. The mark is per thread and asked before any lock is
taken. And a value that logs while it is printed for a record must not do so for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Mark(threading.local):
    active = False


mark = _Mark()


@contextmanager
def at_work() -> Iterator[None]:
    """Mark this thread for the length of the block; blocks may nest."""
    before = mark.active
    mark.active = True
    try:
        yield
    finally:
        mark.active = before


class _Reading(threading.local):
    depth = 0
    """How many records this thread is reading at this moment."""


reading = _Reading()

MAX_READING_DEPTH = 2
"""A record, and one that is logged while the first is being read: by a ``__str__``, a signal handler."""
