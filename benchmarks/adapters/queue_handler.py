"""``QueueHandler`` on a ``SimpleQueue``: what the standard library pays to hand a record over."""

from __future__ import annotations

import logging
import logging.handlers
from queue import Empty, SimpleQueue
from typing import Any

from benchmarks.adapters import Adapter, Where


class Queue(Adapter):
    """Nobody reads the queue while records are logged; ``flush`` empties it."""

    title = "QueueHandler (SimpleQueue)"
    sends = False

    def make(self, where: Where, capacity: int, **options: Any) -> logging.Handler:
        self._queue: SimpleQueue[Any] = SimpleQueue()
        return logging.handlers.QueueHandler(self._queue)

    def flush(self) -> None:
        try:
            while True:
                self._queue.get_nowait()
        except Empty:
            return


def adapter() -> Adapter:
    return Queue()
