"""The two coordinators that ``Fallback`` stands before: one that may stop answering, one that never does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from eventlog_handlers.share.contract import Coordinator, Place, Spent
from eventlog_handlers.share.coordinator import StoreCoordinator


class AloneCoordinator(Coordinator, Protocol):
    """Decides meanwhile, for *places* processes or hosts that each decide alone. Never fails."""

    def take(self, *, must: bool = False, places: int = 1, rank: int = 0) -> Place:
        """See ``StoreCoordinator.take``."""

    def charge(self, criticals: Sequence[bool], *, places: int = 1) -> list[Spent | None]:
        """See ``StoreCoordinator.charge``."""


class SharedCoordinator(AloneCoordinator, Protocol):
    """May stop answering."""

    def living(self) -> tuple[int, int]:
        """How many members are here, and this one's position among them, as of the last second."""

    def last_living(self) -> tuple[int, int]:
        """The same as far as it can be told without an answer."""

    def seed_into(self, guard: StoreCoordinator) -> None:
        """Give *guard* the state, as far as it can be read without an answer."""

    def alone_mark(self) -> float:
        """When a member last took a place alone, as of the last ``take``."""

    def read_alone_mark(self) -> float:
        """The same as of now, as far as it can be told without an answer."""

    def mark_alone(self, now: float) -> None:
        """Note that this one does."""
