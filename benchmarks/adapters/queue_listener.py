"""``QueueHandler`` with a ``QueueListener`` that writes lines to a socket from its thread."""

from __future__ import annotations

import logging
import logging.handlers
import socket
import threading
from queue import SimpleQueue
from typing import Any

from benchmarks.adapters import Adapter, Where


class Listener(Adapter):
    """The listener's handler is a ``StreamHandler`` on a connection."""

    title = "QueueListener"

    def make(self, where: Where, capacity: int, **options: Any) -> logging.Handler:
        queue: SimpleQueue[Any] = SimpleQueue()
        connection = socket.create_connection(("127.0.0.1", where.lines))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = logging.StreamHandler(connection.makefile("w", encoding="utf-8"))
        stream.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        self._queue = queue
        self._listener = logging.handlers.QueueListener(queue, stream)
        self._listener.start()
        return logging.handlers.QueueHandler(queue)

    def flush(self) -> None:
        """A listener can't be asked whether it is done, but its queue whether it is empty."""
        pause = threading.Event()
        while not self._queue.empty():
            pause.wait(0.005)


def adapter() -> Adapter:
    return Listener()
