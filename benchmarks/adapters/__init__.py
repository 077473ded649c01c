"""What is measured, one module each: how a handler is made, flushed, and what it needs. No measuring here.

A module defines ``adapter()``. Peers are imported by name when their adapter opens: a missing one is skipped.
Everything is left at its default but the address, the pace and, where there is such an option, the capacity.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from typing import Any, NamedTuple

OURS = ("cms", "guance", "cloudwatch")
TOGETHER = "three"
"""Ours on one logger; measured at the caller only."""
PEERS = (
    "queue_handler",
    "queue_listener",
    "watchtower",
    "logstash_async",
    "opentelemetry",
    "sentry",
    "aliyun_log",
    "loguru",
)
BASELINE = "null"
NAMES = (BASELINE, *PEERS, *OURS, TOGETHER)


class Where(NamedTuple):
    """The loopback sink's ports."""

    http: int
    lines: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"


class Adapter:
    """A logging handler on a logger of its own. *title* is what a reader knows it by."""

    title = ""
    needs: tuple[str, ...] = ()
    """Modules that must be installed."""
    sends = True
    """Whether records leave the process at all."""
    template = "order %s of customer %d failed"

    def __init__(self) -> None:
        self.handler: logging.Handler = logging.NullHandler()
        self.log: Any = logging.getLogger("shop.orders")

    def load(self) -> None:
        """Import what is measured."""
        for module in self.needs:
            importlib.import_module(module)

    def open(self, where: Where, capacity: int, **options: Any) -> None:
        """Make the handler, for *capacity* records waiting, and put it on the logger."""
        self.handler = self.make(where, capacity, **options)
        self.log.setLevel(logging.INFO)
        self.log.propagate = False
        self.log.addHandler(self.handler)

    def make(self, where: Where, capacity: int, **options: Any) -> logging.Handler:
        """The handler itself."""
        return logging.NullHandler()

    def extras(self, extra: dict[str, object]) -> dict[str, Any]:
        """Keywords of the logging call that carry *extra*."""
        return {"extra": extra}

    def flush(self) -> None:
        """Have everything accepted so far sent, as far as the library offers that."""
        self.handler.flush()


def load(name: str) -> Adapter:
    """The adapter called *name*; what it measures is not imported yet."""
    made: Adapter = importlib.import_module(f"benchmarks.adapters.{name}").adapter()
    return made


def missing(name: str) -> list[str]:
    """What the adapter called *name* needs and isn't installed."""
    return [module for module in load(name).needs if not _is_found(module)]


def _is_found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is missing
        return False
