"""Makes the buffer that the settings name: in memory, or in a spool directory. Opens no file."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from eventlog_handlers.buffers import Buffer
from eventlog_handlers.buffers.memory import MemoryBuffer
from eventlog_handlers.process import clock
from eventlog_handlers.settings.values import PipelineSettings


def made_buffer(
    pipeline: PipelineSettings,
    report: Callable[[str, str], None],
    *,
    service: str,
    endpoint: str,
    address: str,
) -> Buffer:
    """A buffer for events to this destination. *report(key, text)* is called with trouble of its file."""
    if pipeline.spool is None:
        return MemoryBuffer(
            capacity=pipeline.capacity,
            capacity_bytes=pipeline.capacity_bytes,
            policy=pipeline.when_full,
            clock=clock.monotonic,
        )
    from eventlog_handlers.buffers.spool.buffer import SpoolBuffer
    from eventlog_handlers.buffers.spool.journal import is_safe_here

    return SpoolBuffer(
        pipeline.spool,
        capacity=pipeline.capacity,
        capacity_bytes=pipeline.capacity_bytes,
        policy=pipeline.when_full,
        max_age_seconds=pipeline.max_age,
        clock=clock.boot_time,
        wall_clock=time.time,
        report=report,
        # Not the key: it may be another one when the events of a dead process are adopted.
        identity=f"{service}-{_digest(endpoint + address)}",
        # The user's hook is not called in the thread that logs.
        has_journal=pipeline.durability == "commit" and pipeline.before_send is None and is_safe_here(),
    )


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
