"""Where events wait between ``emit`` and acknowledgement. Only the protocol stands here."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from eventlog_handlers.events import Event, Lease


class Evicted(NamedTuple):
    """An event that had to make room, or found none. *key* is None where it never got in."""

    event: Event
    key: int | None


class Lost(NamedTuple):
    """An event that a buffer holds no more, through none of its owner's calls."""

    key: int | None
    """None where it never had one here: it was in the file of a dead process."""
    level: int | None
    """The logging number; None where the event can't be read."""
    reason: str
    """A counter's name."""


T = TypeVar("T")


class WriteAhead(Protocol):
    """Where a log call leaves an event that must outlive the process, before ``Buffer.put``."""

    @property
    def is_open(self) -> bool:
        """Whether ``put`` may take something. For any thread."""

    def put(self, event: Event, id_bits: int, captured: T, captures: deque[T]) -> bool:
        """Write *event* and append *captured* to *captures*, both or none; False if none. For any thread.

        Nothing breaks it off, and it takes no lock.
        """

    def moved(self, ids: Iterable[int]) -> None:
        """Events with these *id_bits* are in the buffer or dropped. For the owner of the buffer."""


class Buffer(Protocol):
    """Put, lease, then ack, drop or nack; every event held leaves by exactly one ack or drop, by eviction or
    as lost.

    A buffer owns its clock: delays and ages are relative seconds. It is not thread-safe: the worker calls
    it under a lock of its own.
    """

    @property
    def journal(self) -> WriteAhead | None:
        """The journal that log calls write to; None: they wait for ``put``, or not at all."""

    def put(self, events: Sequence[Event]) -> Sequence[Evicted]:
        """Take events in, in order; return those lost to make them fit, older ones or some of these.

        Raises where one of *events* can't be kept, before any of them is.
        """

    def lease(self, count: int) -> list[Lease]:
        """Hand out up to *count* events that aren't delayed.

        The most severe class first; within it the fingerprints take turns, each with its oldest.
        """

    def ack(self, leases: Iterable[Lease]) -> None:
        """Forget events that are settled."""

    def drop(self, leases: Iterable[Lease], reason: str) -> None:
        """Forget events that are dropped for *reason*, a counter's name."""

    def nack(self, lease: Lease, delay: float, *, spent: bool = True) -> None:
        """Take an event back, to lease it again in *delay* seconds, at the turn it had.

        An attempt not *spent* isn't counted.
        """

    def ready(self) -> int:
        """How many events could be leased now."""

    def ready_bytes(self) -> int:
        """Their estimated size in memory."""

    def ready_in(self) -> float | None:
        """Seconds until the first delayed event can be leased; 0 if one can be now; None if none waits."""

    def keys(self) -> set[int]:
        """Keys of everything held, leased or not."""

    def next_key(self) -> int:
        """The key of the next event that is put: keys grow by one."""

    def __len__(self) -> int:
        """How many events are held, leased or not."""

    def bytes(self) -> int:
        """The estimated size of all held events, in memory or in a file."""

    def oldest(self) -> float | None:
        """Age in seconds of the event held longest, leased or not; None if none is held."""

    def adopt(self) -> int:
        """Adopt the files of dead processes; returns how many events that were, those lost on the way too.

        Less those that it gave back to other processes, where a buffer does that.

        To be called on every turn: it costs nothing where there is nothing, and works in small slices.
        """

    def lost(self) -> list[Lost]:
        """Events lost since the last call. They are held no more, so call this before reading ``len``."""

    def state(self) -> dict[str, Any]:
        """For ``stats()``: where the events lie, as far as that isn't simply memory."""

    def rest(self) -> None:
        """No call comes for some time: close what the next one can open again. The journal stays open."""

    def close(self) -> None:
        """Close all files; harmless twice, and the next call opens them again."""
