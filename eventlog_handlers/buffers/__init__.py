"""Where events wait between ``emit`` and acknowledgement. Only the protocol stands here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from eventlog_handlers.events import Event, Lease


class Evicted(NamedTuple):
    """An event that had to make room, or found none. *key* is None where it never got in."""

    event: Event
    key: int | None


class Buffer(Protocol):
    """Put, lease, then ack or nack; every event put in leaves by exactly one ack or by eviction.

    A buffer owns its clock: delays and ages are relative seconds. It is not thread-safe: the worker calls
    it under a lock of its own.
    """

    def put(self, events: Sequence[Event]) -> Sequence[Evicted]:
        """Take events in, in order; return those lost to make them fit, older ones or some of these."""

    def lease(self, count: int) -> list[Lease]:
        """Hand out up to *count* events: the most severe first, then the oldest; delayed ones not yet."""

    def ack(self, leases: Iterable[Lease]) -> None:
        """Forget events that are settled."""

    def nack(self, lease: Lease, delay: float, *, spent: bool = True) -> None:
        """Take an event back, to lease it again in *delay* seconds; an attempt not *spent* isn't counted."""

    def ready(self) -> int:
        """How many events could be leased now."""

    def ready_bytes(self) -> int:
        """What those are estimated to take in memory."""

    def ready_in(self) -> float | None:
        """Seconds until the first delayed event can be leased; 0 if one can be now; None if none waits."""

    def keys(self) -> set[int]:
        """Keys of everything held, leased or not."""

    def __len__(self) -> int:
        """How many events are held, leased or not."""

    def bytes(self) -> int:
        """What they are estimated to take in memory."""

    def close(self) -> None:
        """Let go of what lies outside the process; calling it twice is harmless."""
