"""aliyun-log-python-sdk: ``QueuedLogHandler`` to Log Service (SLS)."""

from __future__ import annotations

import importlib
import logging
import threading
from typing import Any

from benchmarks.adapters import Adapter, Where


class AliyunLog(Adapter):
    """One thread that sends what has piled up every two seconds, or when it is a batch."""

    title = "aliyun-log QueuedLogHandler"
    needs = ("aliyun.log",)

    def make(self, where: Where, capacity: int, **options: Any) -> logging.Handler:
        self._queued: Any = importlib.import_module("aliyun.log").QueuedLogHandler(
            f"127.0.0.1:{where.http}",
            "AKIDEXAMPLE",
            "secret",
            "shop",
            "orders",
            queue_size=max(40_960, capacity),
        )
        # Its test for a bare address doesn't know ports: it would ask for the host shop.127.0.0.1.
        self._queued.create_client()
        self._queued.client._isRowIp = True
        handler: logging.Handler = self._queued
        return handler

    def flush(self) -> None:
        """It can't be asked to send; its queue can be watched."""
        pause = threading.Event()
        for _ in range(12_000):
            if self._queued.queue.empty():
                return
            pause.wait(0.005)


def adapter() -> Adapter:
    return AliyunLog()
