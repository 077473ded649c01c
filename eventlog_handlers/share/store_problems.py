"""The problems of a store: takes its lock, asks ``problems``, writes the result. Pure rules stand there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from eventlog_handlers.share import problems
from eventlog_handlers.share.contract import (
    LOOK_SECONDS,
    TELL_SECONDS,
    CoordinatorError,
    Occurrence,
    Sums,
    Telling,
    Verdict,
)
from eventlog_handlers.share.store import PATIENCE_SECONDS, Store


class StoreProblems:
    """The part of ``StoreCoordinator`` that folds; the arguments are that one's."""

    def __init__(
        self,
        store: Store,
        window_seconds: float,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._window = window_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        self._known: dict[bytes, float] = {}
        """Problems that this process counted and that have something to tell: when to look at each."""
        self._held: dict[tuple[bytes, int], None] = {}
        """Summaries that this process tells."""
        self._renew_at = self._scan_at = float("-inf")

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
        store, problem = self._store, occurrence.problem
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
        for problem, entry in self._store.snapshot():
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
        with self._store.locked(PATIENCE_SECONDS):
            now = self._clock()
            entry = self._store.entry(problem)
            if entry is None or not problems.is_to_be_told(entry, now, everything=everything):
                return None
            telling, entry = problems.taken(
                entry, problem, now, self._window, self._store.member, everything=everything
            )
            self._store.put(problem, entry, now)
        if not self._held:
            self._renew_at = now + TELL_SECONDS / 3
        self._held[problem, telling.number] = None
        return telling, entry

    def _renew(self, now: float) -> None:
        for problem, number in list(self._held):
            with self._store.locked(PATIENCE_SECONDS):
                entry = self._store.entry(problem)
                entry = entry and problems.renewed(entry, number, now, self._store.member)
                if entry is None:
                    self._held.pop((problem, number), None)
                else:
                    self._store.put(problem, entry, now)
        self._renew_at = now + TELL_SECONDS / 3

    def told(self, tellings: Sequence[Telling]) -> None:
        """These summaries are settled."""
        for telling in tellings:
            with self._store.locked(PATIENCE_SECONDS):
                now = self._clock()
                entry = self._store.entry(telling.problem)
                entry = entry and problems.told(entry, telling.number)
                if entry is not None:
                    self._store.put(telling.problem, entry, now)
            self._held.pop((telling.problem, telling.number), None)

    def next_look(self) -> float | None:
        """Seconds until ``due`` has something to do here."""
        moments = list(self._known.values())
        if self._held:
            moments.append(self._renew_at)
        return max(0.0, min(moments) - self._clock()) if moments else None

    def sums(self) -> Sums:
        """The table of problems, added up; as exact as a look without a lock can be."""
        entries = [entry for _, entry in self._store.snapshot()]
        return Sums(
            problems=len(entries),
            counted=sum(entry.counted_ever for entry in entries),
            told=sum(entry.told_ever for entry in entries),
            open=sum(entry.count for entry in entries),
            telling=sum(entry.telling for entry in entries),
            departed=self._store.departed(),
        )
