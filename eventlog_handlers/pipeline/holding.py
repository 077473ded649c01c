"""The buffer with its counts: an event leaves it acked or dropped, and is counted in the same step.

Under the ledger's lock, which is not taken here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence

from eventlog_handlers.buffers import Buffer, Lost
from eventlog_handlers.events import Event, Lease
from eventlog_handlers.pipeline.counters import Counters, Losses, level_name
from eventlog_handlers.pipeline.reports import Reports
from eventlog_handlers.pipeline.tickets import Tickets

_EXPIRED_AT_ONCE = 256  # events past their age that are dropped while the lock is held once


class Holding:
    """Events that are held in *buffer*, and the counters of those that were.

    *wall_clock* dates losses, in seconds since the epoch; *reports* go to the user's observer. *settled* is
    called with each event that was in the buffer, and ``delivered``.
    """

    def __init__(
        self,
        buffer: Buffer,
        tickets: Tickets,
        *,
        wall_clock: Callable[[], float],
        reports: Reports,
        settled: Callable[..., None] | None,
    ) -> None:
        self.buffer = buffer
        """For questions only: each change of it has a method here."""
        self.counters = Counters()
        self.losses = Losses()
        self._tickets = tickets
        self._wall_clock = wall_clock
        self._reports = reports
        self._on_settled = settled

    def put(self, events: Sequence[Event]) -> None:
        """Into the buffer, all at once or, if one can't be kept, each for itself."""
        if not events:
            return
        try:
            evicted = self.buffer.put(events)
        except Exception:
            for event in events:
                self._put_alone(event)
        else:
            for event, key in evicted:
                self._drop(event, key, "overflow")

    def _put_alone(self, event: Event) -> None:
        """The buffer may raise anything: the number that it holds afterwards tells how many are lost."""
        accounted = self.accounted() + 1
        try:
            evicted = self.buffer.put([event])
        except Exception:
            missing = accounted - self.accounted()
            if missing > 0:
                self.count_drop("unencodable", event.level)
            for _ in range(missing - 1):  # evicted to make room, before it raised
                self.count_drop("overflow", 0)
            self._tickets.keep_only(self.buffer.keys())
        else:
            for victim, key in evicted:
                self._drop(victim, key, "overflow")

    def lease(self, count: int, *, max_age: float) -> list[Lease]:
        """Up to *count* events no older than *max_age* seconds; those past it are dropped on the way.

        Empty if there is none, or if so many were past it that others should have their turn first.
        """
        live: list[Lease] = []
        old: list[Lease] = []
        expired = 0
        try:
            while len(live) < count and expired < _EXPIRED_AT_ONCE:
                leases = self.buffer.lease(count - len(live))
                if not leases:
                    break
                old = [lease for lease in leases if lease.age >= max_age]
                live += [lease for lease in leases if lease.age < max_age] if old else leases
                self.drop(old, "expired")
                expired += len(old)
        except BaseException:
            self.nack_all([*live, *old])
            raise
        return live

    def ack(self, leases: Sequence[Lease]) -> None:
        """The service has them."""
        accounted = self.accounted()
        try:
            self.buffer.ack(leases)
        finally:
            self.counters.delivered += accounted - self.accounted()
        for lease in leases:
            self._reports.count("on_delivered")
            if self._on_settled is not None:
                self._on_settled(lease.event, delivered=True)
            self._tickets.settled(lease.key)

    def nack_all(self, leases: Iterable[Lease]) -> None:
        """They wait again. Never raises: a lease that is neither settled nor nacked is lost for ever."""
        for lease in leases:
            with contextlib.suppress(Exception):  # settled already, before an exception
                self.buffer.nack(lease, 0.0, spent=False)

    def drop(self, leases: Sequence[Lease], reason: str) -> None:
        """Drop these events for *reason*."""
        if leases:
            self.buffer.drop(leases, reason)
        for lease in leases:
            self._drop(lease.event, lease.key, reason)

    def refuse(self, event: Event, reason: str) -> None:
        """Drop *event*, which never gets into the buffer."""
        self._drop(event, None, reason)

    def _drop(self, event: Event, key: int | None, reason: str) -> None:
        self.count_drop(reason, event.level)
        if self._on_settled is not None:
            self._on_settled(event, delivered=False)
        if key is not None:
            self._tickets.settled(key)

    def count_lost(self) -> None:
        """Count events that the buffer lost by itself. Where it can't say now, it is asked again."""
        lost: Sequence[Lost] = ()
        with contextlib.suppress(Exception):
            lost = self.buffer.lost()
        for key, level, reason in lost:
            self.count_drop(reason, level or 0)
            if key is not None:
                self._tickets.settled(key)

    def count_drop(self, reason: str, level: int) -> None:
        """Count one event, or one capture, lost for *reason*."""
        self.counters.drop(reason, level)
        self.losses.add(reason, level, self._wall_clock())
        self._reports.count("on_drop", reason, level_name(level))

    def accounted(self) -> int:
        """Events that are held or counted as dropped."""
        self.count_lost()
        return len(self.buffer) + sum(self.counters.dropped.values())
