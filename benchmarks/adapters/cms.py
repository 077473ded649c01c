"""Our ``CMSHandler``, without the service's pace."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from benchmarks.adapters import Adapter, Where


class Ours(Adapter):
    """What the three share: the package is all they need, and room for every record of the measurement."""

    needs: tuple[str, ...] = ("eventlog_handlers",)

    def load(self) -> None:
        getattr(importlib.import_module("eventlog_handlers"), self.title)  # imported at first use

    def common(self, capacity: int, options: dict[str, Any]) -> dict[str, Any]:
        """Options of every handler; *options* go before."""
        given: dict[str, Any] = {"capacity": max(10_000, capacity)}
        if capacity:
            given["capacity_bytes"] = 4 << 30
        # Else the same message again and again would be one event.
        return {**given, "aggregate_seconds": None, **options}

    def flush(self) -> None:
        flush: Any = self.handler.flush
        flush(600)


class CMS(Ours):
    title = "CMSHandler"

    def make(self, where: Where, capacity: int, **options: Any) -> logging.Handler:
        from eventlog_handlers import CMSHandler

        return CMSHandler(
            endpoint=where.url,
            access_key_id="AKIDEXAMPLE",
            access_key_secret="secret",
            requests_per_second=None,
            **self.common(capacity, options),
        )


def adapter() -> Adapter:
    return CMS()
