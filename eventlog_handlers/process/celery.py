"""For Celery: flushes when a worker process ends. Imports nothing of Celery's.

The children of Celery's prefork pool (warm shutdown, ``--max-tasks-per-child``) leave by ``os._exit`` and run
no exit hook of Python's, only Celery's signal ``worker_process_shutdown``. Nothing needs to be done for it:
at a process's first record ``connect`` is called, and where Celery runs it is loaded by then.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

_SIGNALS = ("worker_process_shutdown", "worker_shutdown")
"""The end of a child of the prefork pool, and of the worker itself (threads, solo)."""


def connect(flush: Callable[[], None]) -> bool:
    """Have Celery call *flush* when a worker process ends; False where Celery isn't loaded.

    *flush* must return within a few seconds. Calling it again changes nothing, also in a forked child.
    """
    signals = sys.modules.get("celery.signals")
    if signals is None:
        return False

    def at_the_end(**_: Any) -> None:
        flush()

    for name in _SIGNALS:
        getattr(signals, name).connect(at_the_end, weak=False, dispatch_uid=f"eventlog_handlers.{name}")
    return True
