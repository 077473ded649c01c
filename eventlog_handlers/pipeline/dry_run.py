"""A sink that renders everything and sends nothing: ``dry_run=True``. Opens nothing, keeps counts alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from eventlog_handlers.events import DELIVERED, Event, Limits, Outcome, Payload
from eventlog_handlers.pipeline.sink import Sink
from eventlog_handlers.process import green
from eventlog_handlers.process.self_log import SelfLog

BILLING_UNIT_BYTES = 65_536
"""CloudWatch Events bills each event by every 64 KiB begun. Source: aws.amazon.com/eventbridge/pricing."""


def billing_units(size: int) -> int:
    """64 KiB units of one event of *size* bytes; one at least."""
    return max(1, -(-size // BILLING_UNIT_BYTES))


class DryRunSink:
    """Encodes as *sink* does and counts the events and bytes; the ``send`` of *sink* is never called."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._lock = green.Lock()  # of these counts, for several threads send
        self._requests = self._events = self._bytes = self._units = 0

    @property
    def limits(self) -> Limits:
        return self._sink.limits

    def encode(self, event: Event, max_bytes: int | None = None) -> Payload:
        return self._sink.encode(event, max_bytes)

    def send(self, payloads: Sequence[Payload], *, timeout: float) -> Sequence[Outcome]:
        sizes = [payload.size for payload in payloads]
        with self._lock:
            self._requests += 1
            self._events += len(sizes)
            self._bytes += sum(sizes)
            self._units += sum(map(billing_units, sizes))
        return [DELIVERED] * len(payloads)

    def counts(self) -> dict[str, int]:
        """Counts as of real requests: ``bytes`` by the service's count, ``billing_units`` of 64 KiB."""
        with self._lock:
            return {
                "requests": self._requests,
                "events": self._events,
                "bytes": self._bytes,
                "billing_units": self._units,
            }

    def close(self) -> None:
        self._sink.close()


class DryRun:
    """Makes dry-run sinks out of a service's, and knows the present one: a forked child makes its own."""

    def __init__(self, make_sink: Callable[[SelfLog], Sink]) -> None:
        self._make_sink = make_sink
        self._sink: DryRunSink | None = None
        self._pid = os.getpid()

    def __call__(self, self_log: SelfLog) -> Sink:
        self_log.say_once("dry run", "dry run: events are made and counted, and nothing is sent")
        self._sink, self._pid = DryRunSink(self._make_sink(self_log)), os.getpid()
        return self._sink

    def counts(self) -> dict[str, int]:
        """Of this process's sink; nothing before the first event."""
        return {} if self._sink is None or self._pid != os.getpid() else self._sink.counts()
