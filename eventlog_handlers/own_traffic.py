"""The mark of threads that are at work for us. Imports nothing of ours.

Whatever is logged on such a thread (urllib3's and botocore's debug records above all) must not become an
event, or each request would breed the next. The mark is per thread and asked before any lock is taken.
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
