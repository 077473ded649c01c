"""Our three handlers on one logger: what a log call costs that goes to three destinations."""

from __future__ import annotations

import logging
from typing import Any

from benchmarks.adapters import Where, load
from benchmarks.adapters.cms import Ours


class Three(Ours):
    title = "all three on one logger"
    needs = ()  # what they need is measured with each of them
    sends = False

    def __init__(self) -> None:
        super().__init__()
        self.parts = [load(name) for name in ("cms", "guance", "cloudwatch")]

    def load(self) -> None:
        for part in self.parts:
            part.load()

    def open(self, where: Where, capacity: int, **options: Any) -> None:
        """Each part puts its handler on the logger that all adapters name alike."""
        for part in self.parts:
            part.open(where, capacity, **options)
        self.handler = self.parts[0].handler

    def make(self, where: Where, capacity: int, **options: Any) -> logging.Handler:
        raise NotImplementedError("three handlers are made by open")

    def flush(self) -> None:
        for part in self.parts:
            part.flush()


def adapter() -> Three:
    return Three()
