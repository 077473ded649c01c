"""Puts events into requests, and says when the next request is due. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from eventlog_handlers.events import Batch, Lease, Limits, Payload


def batches(leases: Sequence[Lease], payloads: Sequence[Payload], limits: Limits) -> list[Batch]:
    """Put events, in order, into as few requests as their count and bytes allow.

    An event that exceeds the limit by itself gets a request of its own: the sink shortened it as far as
    it could, so the service has the last word.
    """
    result: list[Batch] = []
    start, filled = 0, 0
    for position, payload in enumerate(payloads):
        full = position - start >= limits.max_events or filled + payload.size > limits.request_bytes
        if full and position > start:
            result.append(Batch(tuple(leases[start:position]), tuple(payloads[start:position])))
            start, filled = position, 0
        filled += payload.size
    if start < len(payloads):
        result.append(Batch(tuple(leases[start:]), tuple(payloads[start:])))
    return result


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """Cut a batch of at least two events in two, to find the one at fault or to make it fit."""
    middle = len(batch.leases) // 2
    return (
        Batch(batch.leases[:middle], batch.payloads[:middle]),
        Batch(batch.leases[middle:], batch.payloads[middle:]),
    )


def due_in(
    *,
    waiting: int,
    waiting_bytes: int,
    batch_size: int,
    request_bytes: int,
    since_last: float,
    interval: float,
) -> float:
    """Seconds until the waiting events go: at once when a batch is full or the last one long ago."""
    if waiting >= batch_size or waiting_bytes >= request_bytes:
        return 0.0
    return max(0.0, interval - since_last)


def useful_senders(seconds: float, busy_seconds: float) -> int:
    """How many threads can send to some use where a request took *seconds*, *busy_seconds* of them work.

    As many as fit into the time in which one only waits for the service. Any more would wait for each other's
    turn at the interpreter, which makes each event dearer. Of N that wait for nothing else each takes N times
    as long as it works: hence one less.
    """
    return max(1, math.ceil(seconds / busy_seconds) - 1)
