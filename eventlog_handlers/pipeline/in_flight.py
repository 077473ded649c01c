"""The work of one sender: leased events, the requests made of them, the events refused so far. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from eventlog_handlers.events import Batch, Lease


class InFlight:
    """Events leased at *began*, monotonic seconds. It waits where the rate limit allows no request."""

    def __init__(self, leases: Sequence[Lease], began: float) -> None:
        self.began = began
        """When its sender began, or went on after a wait."""
        self.unsettled = {lease.key: lease for lease in leases}
        self.todo: list[Batch] | None = None
        """Requests still to be sent, the next one last; None before the events are encoded."""
        self.shortened: set[int] = set()
        self.refused: list[tuple[Lease, str, str]] = []
        """Events that were refused, with code and detail; judged when the rest has been tried."""
        self.has_delivered = False
        self._leased_at = began

    def reasons(self) -> list[tuple[str, str]]:
        """Id and code of each refused event."""
        return [(lease.event.id, code) for lease, code, _ in self.refused]

    def old(self, now: float, max_age: float) -> list[Lease]:
        """Leases that have come to *max_age* seconds since."""
        waited = now - self._leased_at
        return [lease for lease in self.unsettled.values() if lease.age + waited >= max_age]

    def prune(self) -> None:
        """Keep only unsettled events in ``todo`` and ``refused``."""
        self.todo = [batch for one in self.todo or () if (batch := self._unsettled_of(one)).leases]
        self.refused = [one for one in self.refused if one[0].key in self.unsettled]

    def _unsettled_of(self, batch: Batch) -> Batch:
        kept = [pair for pair in zip(*batch, strict=True) if pair[0].key in self.unsettled]
        return Batch(tuple(lease for lease, _ in kept), tuple(payload for _, payload in kept))
