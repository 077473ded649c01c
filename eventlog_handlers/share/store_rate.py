"""Rate limit and budgets of a store: takes its lock, asks ``pace`` and ``allowance``, writes the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from eventlog_handlers.share import allowance, pace
from eventlog_handlers.share.allowance import Allowances
from eventlog_handlers.share.contract import Limits, Place, Spent
from eventlog_handlers.share.memory import MemoryStore
from eventlog_handlers.share.store import PATIENCE_SECONDS, TAKE_PATIENCE_SECONDS, Store

_STALE_SECONDS = 0.02
"""A process that was stopped between reading the clock and getting its place asks again."""


class StoreRate:
    """The part of ``StoreCoordinator`` that limits requests and events; the arguments are that one's."""

    def __init__(
        self,
        store: Store,
        limits: Limits | None,
        allowances: Allowances,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._limits = None if limits is None else pace.fitting(limits)
        self._allowances = allowances
        self._clock = clock
        self.alone_mark = float("-inf")
        """When a member last took a place without this store, as of the last ``take``."""

    def take(self, *, must: bool = False, places: int = 1, rank: int = 0) -> Place:
        """Take a place, or say when to ask again.

        *places*: one request stands for so many, because as many processes decide alone at this moment;
        *rank* (from 0) is this process's position among them.
        """
        limits, store = self._limits, self._store
        if limits is None:
            return Place(0.0, True, self._clock())
        with store.locked(TAKE_PATIENCE_SECONDS):
            now = self._clock()
            self.alone_mark = store.alone_mark()
            state = store.pace()
            if must:  # it goes now, whatever the rule says; later ones wait
                moments, state = [now], pace.after(state, limits, now)
                if places > 1:
                    others, state = self._several(limits, state, moments, now, places - 1)
                    moments += others
            else:
                moments, at, state = self._next(limits, state, now, places, rank)
                if at > now:
                    return Place(at - now, False, at)
            store.put_pace(state, moments)
        if self._clock() - now > _STALE_SECONDS and not must:
            return Place(0.0, False, now)
        return Place(0.0, True, now)

    def wait(self, *, places: int = 1, rank: int = 0) -> float:
        """Seconds until ``take`` would give a place."""
        limits = self._limits
        if limits is None:
            return 0.0
        with self._store.locked(TAKE_PATIENCE_SECONDS):
            now = self._clock()
            return self._next(limits, self._store.pace(), now, places, rank)[1] - now

    def _next(
        self, limits: Limits, state: pace.Pace, now: float, places: int, rank: int
    ) -> tuple[list[float], float, pace.Pace]:
        """The moments of the next *places* places, the one of them that is ours, and the pace after all."""
        if places == 1:
            oldest = None if limits.window is None else self._store.moment(limits.window[0])
            at = pace.earliest(state, limits, oldest, now)
            return [at], at, pace.after(state, limits, at)
        if limits.window is not None and places > limits.window[0]:
            # Nobody can go for all at once. Each has its turn, one window after what was there before.
            last = self._store.moment(1)
            at = now if last is None else max(now, last + limits.window[1])
            at = pace.turn(max(at, state.not_before), limits, places, rank)
            return [at], at, pace.after(state, limits, at)
        moments, state = self._several(limits, state, [], now, places)
        # The last one: at that moment every one of them may go, and none has to know about the others.
        return moments, moments[-1], state

    def _several(
        self, limits: Limits, state: pace.Pace, latest: Sequence[float], now: float, places: int
    ) -> tuple[list[float], pace.Pace]:
        history = self._store.history(limits.window[0] if limits.window else 1)[1]
        return pace.several(state, limits, [*history, *latest], now, places)

    def throttled(self, retry_after: float | None = None) -> None:
        """Slow down."""
        limits = self._limits
        if limits is not None:
            with self._store.locked(PATIENCE_SECONDS):
                state = pace.throttled(self._store.pace(), limits, self._clock(), retry_after)
                self._store.put_pace(state)

    def answered(self) -> None:
        """Give back some of what throttling took. Takes no lock where nothing was taken."""
        if self._limits is None or self._store.history(0)[0].slowdown >= 1.0:
            return
        with self._store.locked(PATIENCE_SECONDS):
            self._store.put_pace(pace.answered(self._store.pace(), self._clock()))

    def charge(self, criticals: Sequence[bool], *, places: int = 1) -> list[Spent | None]:
        """Charge one event each; *places* as for ``take``."""
        if not self._allowances.limits:
            return [None] * len(criticals)
        answers: list[Spent | None] = []
        with self._store.locked(PATIENCE_SECONDS):
            now = self._clock()
            spendings = {period: self._store.spending(period) for _, period in self._allowances.limits}
            for critical in criticals:
                spent = allowance.lacking(spendings, self._allowances, now, critical=critical, places=places)
                answers.append(spent)
                if spent is None:
                    for period, before in spendings.items():
                        spendings[period] = allowance.charged(
                            before, period, now, critical=critical, places=places
                        )
            for period, spending in spendings.items():
                self._store.put_spending(period, spending)
        return answers

    def seed(self, other: Store, places: int) -> None:
        """Begin with what can be read of *other*'s state and last *places* places, without its lock."""
        if not isinstance(self._store, MemoryStore):
            raise TypeError("only a store in memory begins with another one's state")
        self._store.replace_history(*other.history(places))
        for _, period in self._allowances.limits:
            self._store.put_spending(period, other.spending(period))
