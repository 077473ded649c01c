"""Whether a lock is held, and by this thread or another one. Takes none, and waits for none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


def is_held_here(lock: Any) -> bool:
    """Whether this thread holds *lock*, an RLock; False where that can't be known."""
    is_owned: Callable[[], bool] | None = getattr(lock, "_is_owned", None)
    return is_owned is not None and is_owned()


def is_held_elsewhere(lock: threading.RLock) -> bool:
    """Whether another thread holds *lock*: at the very end of the process it may hold it for ever."""
    if not lock.acquire(blocking=False):
        return True
    lock.release()
    return False
