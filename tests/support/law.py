"""The law of accounting, a way to hand a worker records without a logger, and one to have it die."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from captures import capture

from eventlog_handlers.pipeline.worker import Worker
from eventlog_handlers.process import exit as process_exit


def assert_law(stats: dict[str, Any]) -> None:
    """accepted = delivered + dropped + aggregated + pending, and both views of the drops agree."""
    assert stats["accepted"] == (
        stats["delivered"] + sum(stats["dropped"].values()) + stats["aggregated"] + stats["pending"]
    ), stats
    assert sum(stats["dropped"].values()) == sum(stats["dropped_by_level"].values())


def submit(worker: Worker, message: str, level: int = logging.ERROR) -> str:
    """Have *worker* accept a record; returns the id of its event."""
    id_bits = uuid.uuid4().int
    record = logging.LogRecord("shop", level, "shop.py", 1, message, (), None)
    worker.submit(capture(record, id_bits=id_bits))
    return f"{id_bits:032x}"


def kill(worker: Worker) -> None:
    """Have *worker* take part in nothing any more, as if its process had ended without a word."""
    process_exit.leave(worker)
