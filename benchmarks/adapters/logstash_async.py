"""python-logstash-async: lines of JSON over TCP, buffered in memory."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from benchmarks.adapters import Adapter, Where


class Logstash(Adapter):
    """``AsynchronousLogstashHandler`` without a database file."""

    title = "python-logstash-async"
    needs = ("logstash_async.handler",)

    def make(self, where: Where, capacity: int, **options: Any) -> logging.Handler:
        module = importlib.import_module("logstash_async.handler")
        handler: logging.Handler = module.AsynchronousLogstashHandler(
            "127.0.0.1", where.lines, database_path=None
        )
        return handler


def adapter() -> Adapter:
    return Logstash()
