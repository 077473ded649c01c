"""Where requests leave the process: requests or boto3 and the translation of their errors, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from eventlog_handlers.events import Event, Limits, Outcome, Payload


class Sink(Protocol):
    """One service, or a stand-in for it."""

    @property
    def limits(self) -> Limits:
        """The most that fits one call of ``send``."""

    def encode(self, event: Event, max_bytes: int | None = None) -> Payload:
        """Put one event in the service's form, shortened visibly where it would exceed its limits.

        Never raises for a valid event. *max_bytes* asks for less than the service's own limit.
        """

    def send(self, payloads: Sequence[Payload], *, timeout: float) -> Sequence[Outcome]:
        """Send one request and say what became of each event: one outcome per payload, in order.

        *timeout* is the total in seconds. Raises only SinkError. May be called from several worker
        threads at once, never on both sides of a fork: a child builds a new sink.
        """

    def close(self) -> None:
        """Drop connections. ``send`` may be called again afterwards."""
