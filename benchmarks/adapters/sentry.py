"""sentry-sdk's structured logs."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from benchmarks.adapters import Adapter, Where


class Sentry(Adapter):
    """``SentryLogsHandler`` alone: neither breadcrumbs nor error events besides."""

    title = "sentry-sdk logs"
    needs = ("sentry_sdk.integrations.logging",)

    def make(self, where: Where, capacity: int, **options: Any) -> logging.Handler:
        self._sdk = importlib.import_module("sentry_sdk")
        integration = importlib.import_module("sentry_sdk.integrations.logging")
        self._sdk.init(
            dsn=f"http://key@127.0.0.1:{where.http}/1",
            enable_logs=True,
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[
                integration.LoggingIntegration(level=None, event_level=None, sentry_logs_level=None)
            ],
        )
        handler: logging.Handler = integration.SentryLogsHandler(level=logging.INFO)
        return handler

    def flush(self) -> None:
        self._sdk.flush(timeout=60)


def adapter() -> Adapter:
    return Sentry()
