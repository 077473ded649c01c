"""A coordinator over a store: its rate limit, its problems, its members. No rule and no file here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eventlog_handlers.share import allowance
from eventlog_handlers.share.allowance import Allowances
from eventlog_handlers.share.contract import (
    MAX_SAMPLE_BYTES,
    MAX_WINDOW_PLACES,
    Limits,
    Member,
    Occurrence,
    Place,
    Spent,
    Sums,
    Telling,
    Verdict,
)
from eventlog_handlers.share.identity import PROCESS_BYTES
from eventlog_handlers.share.store import Store
from eventlog_handlers.share.store_problems import StoreProblems
from eventlog_handlers.share.store_rate import StoreRate

_MEMBERS_SECONDS = 1.0


class StoreCoordinator:
    """See ``contract.Coordinator``. *clock* gives seconds that all members of *store* share, *wall_clock*
    seconds since the epoch, *window_seconds* is a problem's first window."""

    def __init__(
        self,
        store: Store,
        *,
        limits: Limits | None,
        allowances: Allowances = allowance.NONE,
        window_seconds: float = 60.0,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self.store = store
        self._rate = StoreRate(store, limits, allowances, clock)
        self._window = window_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        self._new_member()

    def _new_member(self) -> None:
        self._problems = StoreProblems(self.store, self._window, self._clock, self._wall_clock)
        self._rate.alone_mark = self._members_at = float("-inf")
        self._living = (1, 0)
        self._others = 0

    @property
    def scope(self) -> str:
        """The store's scope."""
        return self.store.scope

    # --- the rate limit ------------------------------------------------------------------------------------

    def take(self, *, must: bool = False, places: int = 1, rank: int = 0) -> Place:
        """Take a place, or say when to ask again.

        *places*: one request stands for so many, because as many processes decide alone at this moment;
        *rank* (from 0) is this process's position among them.
        """
        return self._rate.take(must=must, places=places, rank=rank)

    def wait(self, *, places: int = 1, rank: int = 0) -> float:
        """Seconds until ``take`` would give a place."""
        return self._rate.wait(places=places, rank=rank)

    def throttled(self, retry_after: float | None = None) -> None:
        """Slow down."""
        self._rate.throttled(retry_after)

    def answered(self) -> None:
        """Give back some of what throttling took."""
        self._rate.answered()

    def charge(self, criticals: Sequence[bool], *, places: int = 1) -> list[Spent | None]:
        """Charge one event each; *places* as for ``take``."""
        return self._rate.charge(criticals, places=places)

    # --- problems ------------------------------------------------------------------------------------------

    def fold(self, occurrences: Sequence[Occurrence]) -> list[Verdict]:
        """Decide which are sent."""
        return self._problems.fold(occurrences)

    def due(self, *, everything: bool = False) -> list[Telling]:
        """Summaries to tell now."""
        return self._problems.due(everything=everything)

    def told(self, tellings: Sequence[Telling]) -> None:
        """These summaries are settled."""
        self._problems.told(tellings)

    def next_look(self) -> float | None:
        """Seconds until ``due`` has something to do here."""
        return self._problems.next_look()

    def leave_sample(self, problem: bytes, sample: bytes) -> None:
        """Keep it, unless it is too large."""
        if len(sample) <= MAX_SAMPLE_BYTES:
            self.store.leave_sample(problem, sample)

    def sample(self, problem: bytes) -> bytes | None:
        """The kept event, or None."""
        return self.store.sample(problem)

    def sums(self) -> Sums:
        """The table of problems, added up; as exact as a look without a lock can be."""
        return self._problems.sums()

    # --- members -------------------------------------------------------------------------------------------

    def publish(self, counters: Mapping[str, int]) -> None:
        """Show this process's counters."""
        self.store.publish(counters)

    def members(self) -> list[Member]:
        """The processes that take part."""
        return self.store.members(self._clock())

    def living(self) -> tuple[int, int]:
        """How many members are here, this one too, and its position among them. A second old at most."""
        now = self._clock()
        if not self._members_at <= now < self._members_at + _MEMBERS_SECONDS:
            self.store.beat(now)
            self._living = self._count(now)
            self._members_at = now
        return self._living

    def others(self) -> int:
        """How many members of other processes are here."""
        self.living()
        return self._others

    def last_living(self) -> tuple[int, int]:
        """The same, as of now and without the lock."""
        now = self._clock()
        self.store.join(now)
        return self._count(now)

    def _count(self, now: float) -> tuple[int, int]:
        here = [member.id for member in self.store.members(now) if member.is_here]
        own = self.store.member.hex()
        process = own[: 2 * PROCESS_BYTES]
        self._others = sum(not member.startswith(process) for member in here)
        if own not in here:
            here.append(own)
        return len(here), here.index(own)

    def seed(self, other: StoreCoordinator) -> None:
        """Begin with *other*'s rate limit and budgets, as far as they can be read without its lock."""
        self._rate.seed(other.store, MAX_WINDOW_PLACES)

    def seed_into(self, guard: StoreCoordinator) -> None:
        """Give *guard* this state: a store can be read without its lock."""
        guard.seed(self)

    def alone_mark(self) -> float:
        """When a member last took a place without this store, as of the last ``take``."""
        return self._rate.alone_mark

    def read_alone_mark(self) -> float:
        """The same as of now, without the lock."""
        return self.store.alone_mark()

    def mark_alone(self, now: float) -> None:
        """Note that this one does."""
        self.store.mark_alone(now)

    def state(self) -> dict[str, Any]:
        """For ``stats()``."""
        return {"scope": self.scope, "members": self.living()[0]}

    def after_fork_in_child(self) -> None:
        """A new member with nothing to tell."""
        self.store.after_fork_in_child()
        self._new_member()

    def close(self) -> None:
        """Leave."""
        self.store.close()
