"""The state of a coordinator: the reads and writes that the rules need. A protocol only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from eventlog_handlers.share.allowance import Spending
from eventlog_handlers.share.contract import Member
from eventlog_handlers.share.pace import Pace
from eventlog_handlers.share.problems import Entry

TAKE_PATIENCE_SECONDS = 0.001
PATIENCE_SECONDS = 0.02
"""How long one question waits for the lock, which is held for microseconds unless its holder is stopped."""


class Store(Protocol):
    """State that several members share.

    Reads and writes of pace, spendings and entries need ``locked``, except ``snapshot`` and ``history``.
    Each ``put_…`` is atomic: after a crash at any instruction the state is the one before it or after it.
    """

    scope: str
    member: bytes
    """This process's id, 8 bytes; another one after a fork."""

    def locked(self, patience_seconds: float) -> AbstractContextManager[Any]:
        """Hold the lock for a block. Raises BusyError after *patience_seconds*, UnavailableError."""

    def pace(self) -> Pace:
        """The rate limit's state."""

    def moment(self, back: int) -> float | None:
        """When the place was given that was *back* places before the next one; None if there was none.

        As of the last ``pace``, under the same lock; so is ``put_pace``.
        """

    def put_pace(self, pace: Pace, moments: Sequence[float] = ()) -> None:
        """Replace the state; *moments* are those of the places given since the one before."""

    def history(self, count: int) -> tuple[Pace, list[float]]:
        """The state and the moments of the last *count* places, oldest first. Without the lock."""

    def alone_mark(self) -> float:
        """When a member last took a place without this store. Without the lock."""

    def mark_alone(self, now: float) -> None:
        """Note that this member takes a place without this store. Without the lock."""

    def spending(self, period: str) -> Spending:
        """What was spent of a budget."""

    def put_spending(self, period: str, spending: Spending) -> None:
        """Replace it."""

    def entry(self, problem: bytes) -> Entry | None:
        """What is known of *problem*."""

    def put(self, problem: bytes, entry: Entry, now: float) -> bool:
        """Replace it, or take it in where an idle problem gives way; False if the table is full."""

    def snapshot(self) -> list[tuple[bytes, Entry]]:
        """All problems. Without the lock: what is found must be read again under it."""

    def leave_sample(self, problem: bytes, sample: bytes) -> None:
        """Keep *sample* for ``sample``. Without the lock."""

    def sample(self, problem: bytes) -> bytes | None:
        """What was kept."""

    def beat(self, now: float) -> None:
        """Note that this member is here."""

    def join(self, now: float) -> None:
        """The same without the lock, for one that can't get it."""

    def publish(self, counters: Mapping[str, int]) -> None:
        """Show this member's counters."""

    def members(self, now: float) -> list[Member]:
        """All members that are known, this one too, in a fixed order."""

    def departed(self) -> Mapping[str, int]:
        """The added counters of members that are no longer listed."""

    def after_fork_in_child(self) -> None:
        """Become another member."""

    def close(self) -> None:
        """Leave."""
