"""loguru with ``enqueue=True``: not a logging handler, but what many take instead."""

from __future__ import annotations

import importlib
import socket
from typing import Any

from benchmarks.adapters import Adapter, Where


class Loguru(Adapter):
    """Its sink writes lines to a connection."""

    title = "loguru enqueue=True"
    needs = ("loguru",)
    template = "order {} of customer {} failed"

    def open(self, where: Where, capacity: int, **options: Any) -> None:
        self.log = importlib.import_module("loguru").logger
        self.log.remove()
        self._connection = socket.create_connection(("127.0.0.1", where.lines))
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = self._connection.makefile("w", encoding="utf-8")
        self.log.add(stream, enqueue=True, level="INFO", format="{time} {level} {name} {message}")

    def extras(self, extra: dict[str, object]) -> dict[str, Any]:
        return extra

    def flush(self) -> None:
        self.log.complete()


def adapter() -> Adapter:
    return Loguru()
