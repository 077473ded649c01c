"""A store in one process's memory: for ``scope="process"``, and for a process that has to decide alone."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from eventlog_handlers.process import green
from eventlog_handlers.share.allowance import Spending
from eventlog_handlers.share.contract import (
    MAX_WINDOW_PLACES,
    MEMBER_SECONDS,
    Member,
)
from eventlog_handlers.share.identity import new_member
from eventlog_handlers.share.pace import Pace
from eventlog_handlers.share.problems import Entry, is_idle

MAX_PROBLEMS = 2_048


class Shared:
    """The state that the members of a memory store share."""

    def __init__(self) -> None:
        self.lock = green.Lock()
        self.pace = Pace()
        self.moments: deque[float] = deque(maxlen=MAX_WINDOW_PLACES)
        self.spendings: dict[str, Spending] = {}
        self.entries: dict[bytes, Entry] = {}
        self.samples: dict[bytes, bytes] = {}
        self.seen: dict[bytes, float] = {}
        self.counters: dict[bytes, Mapping[str, int]] = {}


class MemoryStore:
    """One member's view of *shared*; alone in a new one if none is given."""

    scope = "process"

    def __init__(self, shared: Shared | None = None) -> None:
        self._shared = shared or Shared()
        self.member = new_member()

    def locked(self, patience_seconds: float) -> AbstractContextManager[Any]:
        """Hold the lock. It is waited for: threads of one process do not stop inside it."""
        return self._shared.lock

    def pace(self) -> Pace:
        """The rate limit's state."""
        return self._shared.pace

    def moment(self, back: int) -> float | None:
        """The moment of the place *back* places before the next one."""
        moments = self._shared.moments
        return moments[-back] if back <= len(moments) else None

    def put_pace(self, pace: Pace, moments: Sequence[float] = ()) -> None:
        """Replace the state."""
        self._shared.pace = pace
        self._shared.moments.extend(moments)

    def history(self, count: int) -> tuple[Pace, list[float]]:
        """The state and the last moments."""
        moments = list(self._shared.moments)
        return self._shared.pace, moments[-count:] if count else []

    def alone_mark(self) -> float:
        """Memory always answers, so no member ever goes without it."""
        return float("-inf")

    def mark_alone(self, now: float) -> None:
        """Nothing to note."""

    def replace_history(self, pace: Pace, moments: Sequence[float]) -> None:
        """Begin anew with another store's state."""
        self._shared.pace = pace
        self._shared.moments.clear()
        self._shared.moments.extend(moments)

    def spending(self, period: str) -> Spending:
        """The spent part of a budget."""
        return self._shared.spendings.get(period, Spending())

    def put_spending(self, period: str, spending: Spending) -> None:
        """Replace it."""
        self._shared.spendings[period] = spending

    def entry(self, problem: bytes) -> Entry | None:
        """The entry of *problem*."""
        return self._shared.entries.get(problem)

    def put(self, problem: bytes, entry: Entry, now: float) -> bool:
        """Replace it; a new problem takes the place of the one that has been idle for longest."""
        entries = self._shared.entries
        if problem not in entries and len(entries) >= MAX_PROBLEMS:
            idle = [(known.due, other) for other, known in entries.items() if is_idle(known, now)]
            if not idle:
                return False
            leaving = min(idle)[1]
            del entries[leaving]
            self._shared.samples.pop(leaving, None)
        entries[problem] = entry
        return True

    def snapshot(self) -> list[tuple[bytes, Entry]]:
        """All problems."""
        return list(self._shared.entries.items())

    def leave_sample(self, problem: bytes, sample: bytes) -> None:
        """Keep *sample*."""
        self._shared.samples[problem] = sample

    def sample(self, problem: bytes) -> bytes | None:
        """The kept event, or None."""
        return self._shared.samples.get(problem)

    def beat(self, now: float) -> None:
        """Note that this member is here."""
        self._shared.seen[self.member] = now

    def join(self, now: float) -> None:
        """The same."""
        self.beat(now)

    def publish(self, counters: Mapping[str, int]) -> None:
        """Show this member's counters."""
        self._shared.counters[self.member] = dict(counters)

    def members(self, now: float) -> list[Member]:
        """All members that asked something."""
        return [
            Member(
                id=member.hex(),
                name="",
                pid=os.getpid(),
                quiet_seconds=now - seen,
                is_here=now - seen < MEMBER_SECONDS,
                counters=self._shared.counters.get(member, {}),
            )
            for member, seen in sorted(self._shared.seen.items())
        ]

    def departed(self) -> Mapping[str, int]:
        """No member leaves the list."""
        return {}

    def after_fork_in_child(self) -> None:
        """The child has its own memory, and a lock that no thread of the parent's holds."""
        self._shared = Shared()
        self.member = new_member()

    def close(self) -> None:
        """Leave the list of members."""
        self._shared.seen.pop(self.member, None)
