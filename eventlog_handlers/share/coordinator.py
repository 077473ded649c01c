"""A coordinator over a store: takes the lock, asks the rules, writes what they say. No rule, no file here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eventlog_handlers.share import allowance, pace, problems
from eventlog_handlers.share.allowance import Allowances
from eventlog_handlers.share.contract import (
    LOOK_SECONDS,
    MAX_SAMPLE_BYTES,
    MAX_WINDOW_PLACES,
    TELL_SECONDS,
    CoordinatorError,
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
from eventlog_handlers.share.memory import MemoryStore
from eventlog_handlers.share.store import Store

TAKE_PATIENCE_SECONDS = 0.001
PATIENCE_SECONDS = 0.02
"""How long one question waits for the lock, which is held for microseconds unless its holder is stopped."""
_STALE_SECONDS = 0.02
"""A process that was stopped between reading the clock and getting its place asks again."""
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
        self._limits = None if limits is None else pace.fitting(limits)
        self._allowances = allowances
        self._window = window_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        self._new_member()

    def _new_member(self) -> None:
        self._known: dict[bytes, float] = {}
        """Problems that this process counted and that have something to tell: when to look at each."""
        self._held: dict[tuple[bytes, int], None] = {}
        """Summaries that this process tells."""
        self._renew_at = self._scan_at = self._members_at = float("-inf")
        self._living = (1, 0)
        self._others = 0
        self._alone_mark = float("-inf")

    @property
    def scope(self) -> str:
        """Who shares."""
        return self.store.scope

    # --- the rate limit ------------------------------------------------------------------------------------

    def take(self, *, must: bool = False, places: int = 1, rank: int = 0) -> Place:
        """Take a place, or say when to ask again.

        *places*: one request stands for so many, because as many processes decide alone at this moment;
        *rank* (from 0) is this process's position among them.
        """
        limits, store = self._limits, self.store
        if limits is None:
            return Place(0.0, True, self._clock())
        with store.locked(TAKE_PATIENCE_SECONDS):
            now = self._clock()
            self._alone_mark = store.alone_mark()
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
        with self.store.locked(TAKE_PATIENCE_SECONDS):
            now = self._clock()
            return self._next(limits, self.store.pace(), now, places, rank)[1] - now

    def _next(
        self, limits: Limits, state: pace.Pace, now: float, places: int, rank: int
    ) -> tuple[list[float], float, pace.Pace]:
        """The moments of the next *places* places, the one of them that is ours, and the pace after all."""
        if places == 1:
            oldest = None if limits.window is None else self.store.moment(limits.window[0])
            at = pace.earliest(state, limits, oldest, now)
            return [at], at, pace.after(state, limits, at)
        if limits.window is not None and places > limits.window[0]:
            # Nobody can go for all at once. Each has its turn, one window after what was there before.
            last = self.store.moment(1)
            at = now if last is None else max(now, last + limits.window[1])
            at = pace.turn(max(at, state.not_before), limits, places, rank)
            return [at], at, pace.after(state, limits, at)
        moments, state = self._several(limits, state, [], now, places)
        # The last one: at that moment every one of them may go, and none has to know about the others.
        return moments, moments[-1], state

    def _several(
        self, limits: Limits, state: pace.Pace, latest: Sequence[float], now: float, places: int
    ) -> tuple[list[float], pace.Pace]:
        history = self.store.history(limits.window[0] if limits.window else 1)[1]
        return pace.several(state, limits, [*history, *latest], now, places)

    def throttled(self, retry_after: float | None = None) -> None:
        """Slow down."""
        limits = self._limits
        if limits is not None:
            with self.store.locked(PATIENCE_SECONDS):
                state = pace.throttled(self.store.pace(), limits, self._clock(), retry_after)
                self.store.put_pace(state)

    def answered(self) -> None:
        """Give back some of what throttling took. Takes no lock where nothing was taken."""
        if self._limits is None or self.store.history(0)[0].slowdown >= 1.0:
            return
        with self.store.locked(PATIENCE_SECONDS):
            self.store.put_pace(pace.answered(self.store.pace(), self._clock()))

    def charge(self, criticals: Sequence[bool], *, places: int = 1) -> list[Spent | None]:
        """Charge one event each; *places* as for ``take``."""
        if not self._allowances.limits:
            return [None] * len(criticals)
        answers: list[Spent | None] = []
        with self.store.locked(PATIENCE_SECONDS):
            now = self._clock()
            spendings = {period: self.store.spending(period) for _, period in self._allowances.limits}
            for critical in criticals:
                spent = allowance.lacking(spendings, self._allowances, now, critical=critical, places=places)
                answers.append(spent)
                if spent is None:
                    for period, before in spendings.items():
                        spendings[period] = allowance.charged(
                            before, period, now, critical=critical, places=places
                        )
            for period, spending in spendings.items():
                self.store.put_spending(period, spending)
        return answers

    # --- problems ------------------------------------------------------------------------------------------

    def fold(self, occurrences: Sequence[Occurrence]) -> list[Verdict]:
        """One lock for each: a large batch must not keep others waiting.

        A lock that can't be had after some were counted leaves the rest to be sent.
        """
        verdicts: list[Verdict] = []
        for occurrence in occurrences:
            try:
                verdicts.append(self._fold(occurrence))
            except CoordinatorError:
                if not verdicts:
                    raise
                break
        return verdicts + [Verdict.SEND] * (len(occurrences) - len(verdicts))

    def _fold(self, occurrence: Occurrence) -> Verdict:
        store, problem = self.store, occurrence.problem
        with store.locked(PATIENCE_SECONDS):
            now = self._clock()
            before = store.entry(problem)
            verdict, entry = problems.folded(before, occurrence, now, self._wall_clock(), self._window)
            if not store.put(problem, entry, now):
                return Verdict.SEND
        if verdict is Verdict.COUNTED:
            self._known[problem] = entry.due
        return verdict

    def due(self, *, everything: bool = False) -> list[Telling]:
        """Summaries to tell now."""
        now = self._clock()
        if self._held and now >= self._renew_at:
            self._renew(now)
        if not everything and now < min(self._scan_at, min(self._known.values(), default=self._scan_at)):
            return []
        tellings: list[Telling] = []
        seen: dict[bytes, float] = {}
        for problem, entry in self.store.snapshot():
            if problems.is_to_be_told(entry, now, everything=everything):
                told = self._tell(problem, everything)
                if told is not None:
                    telling, entry = told
                    tellings.append(telling)
            if entry.count or entry.telling:
                seen[problem] = entry.until if entry.telling else entry.due
        for problem in list(self._known):
            if problem in seen:
                self._known[problem] = max(seen[problem], now + 0.001)
            else:
                self._known.pop(problem, None)
        self._scan_at = now + LOOK_SECONDS
        return tellings

    def _tell(self, problem: bytes, everything: bool) -> tuple[Telling, problems.Entry] | None:
        with self.store.locked(PATIENCE_SECONDS):
            now = self._clock()
            entry = self.store.entry(problem)
            if entry is None or not problems.is_to_be_told(entry, now, everything=everything):
                return None
            telling, entry = problems.taken(
                entry, problem, now, self._window, self.store.member, everything=everything
            )
            self.store.put(problem, entry, now)
        if not self._held:
            self._renew_at = now + TELL_SECONDS / 3
        self._held[problem, telling.number] = None
        return telling, entry

    def _renew(self, now: float) -> None:
        for problem, number in list(self._held):
            with self.store.locked(PATIENCE_SECONDS):
                entry = self.store.entry(problem)
                entry = entry and problems.renewed(entry, number, now, self.store.member)
                if entry is None:
                    self._held.pop((problem, number), None)
                else:
                    self.store.put(problem, entry, now)
        self._renew_at = now + TELL_SECONDS / 3

    def told(self, tellings: Sequence[Telling]) -> None:
        """These summaries are settled."""
        for telling in tellings:
            with self.store.locked(PATIENCE_SECONDS):
                now = self._clock()
                entry = self.store.entry(telling.problem)
                entry = entry and problems.told(entry, telling.number)
                if entry is not None:
                    self.store.put(telling.problem, entry, now)
            self._held.pop((telling.problem, telling.number), None)

    def next_look(self) -> float | None:
        """Seconds until ``due`` has something to do here."""
        moments = list(self._known.values())
        if self._held:
            moments.append(self._renew_at)
        return max(0.0, min(moments) - self._clock()) if moments else None

    def leave_sample(self, problem: bytes, sample: bytes) -> None:
        """Keep it, unless it is too large."""
        if len(sample) <= MAX_SAMPLE_BYTES:
            self.store.leave_sample(problem, sample)

    def sample(self, problem: bytes) -> bytes | None:
        """What was kept."""
        return self.store.sample(problem)

    def sums(self) -> Sums:
        """The table of problems, added up; as exact as a look without a lock can be."""
        entries = [entry for _, entry in self.store.snapshot()]
        return Sums(
            problems=len(entries),
            counted=sum(entry.counted_ever for entry in entries),
            told=sum(entry.told_ever for entry in entries),
            open=sum(entry.count for entry in entries),
            telling=sum(entry.telling for entry in entries),
            departed=self.store.departed(),
        )

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
        """Begin with what can be read of *other*'s rate limit and budgets, without its lock."""
        if not isinstance(self.store, MemoryStore):
            raise TypeError("only a store in memory begins with another one's state")
        self.store.replace_history(*other.store.history(MAX_WINDOW_PLACES))
        for _, period in self._allowances.limits:
            self.store.put_spending(period, other.store.spending(period))

    def seed_into(self, guard: StoreCoordinator) -> None:
        """Give *guard* this state: a store can be read without its lock."""
        guard.seed(self)

    def alone_mark(self) -> float:
        """When a member last took a place without this store, as of the last ``take``."""
        return self._alone_mark

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
