"""opentelemetry-sdk: ``LoggingHandler``, ``BatchLogRecordProcessor``, OTLP over HTTP."""

from __future__ import annotations

import importlib
import logging
import warnings
from typing import Any

from benchmarks.adapters import Adapter, Where


class OpenTelemetry(Adapter):
    """The sdk's own handler."""

    title = "opentelemetry-sdk"
    needs = ("opentelemetry.sdk._logs.export", "opentelemetry.exporter.otlp.proto.http._log_exporter")

    def make(self, where: Where, capacity: int, **options: Any) -> logging.Handler:
        logs = importlib.import_module("opentelemetry.sdk._logs")
        export = importlib.import_module("opentelemetry.sdk._logs.export")
        otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http._log_exporter")
        self._provider = logs.LoggerProvider()
        exporter = otlp.OTLPLogExporter(endpoint=f"{where.url}/v1/logs")
        self._provider.add_log_record_processor(
            export.BatchLogRecordProcessor(exporter, max_queue_size=max(2048, capacity))
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated, but the one the sdk comes with
            handler: logging.Handler = logs.LoggingHandler(logger_provider=self._provider)
        return handler

    def flush(self) -> None:
        self._provider.force_flush(600_000)


def adapter() -> Adapter:
    return OpenTelemetry()
