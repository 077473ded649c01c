"""The members' parts of the mapped file: who takes part, since when, and the counters that each publishes.

A part is written by its member alone and without the lock, once it has been taken under the lock.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping

from eventlog_handlers.share import layout
from eventlog_handlers.share.contract import COUNTERS, MEMBER_SECONDS, Member
from eventlog_handlers.share.identity import program
from eventlog_handlers.share.layout import AT, COUNTS, DEPARTED, MOMENT, Memory

ENDED = -1e18
"""When a member that has left was last seen."""
_NOBODY = bytes(8)


class Part:
    """The part of *member* in a file. ``at`` is its offset; 0: none is free."""

    def __init__(self, member: bytes) -> None:
        self.member = member
        self.at = 0
        self._published = [0] * len(COUNTERS)
        self._base = [0] * len(COUNTERS)
        """Counters published in a part that another member took while this one was stopped."""

    def is_kept(self, memory: Memory) -> bool:
        """Whether this member still has it."""
        return bool(self.at) and memory[self.at : self.at + 8] == self.member

    def claim(self, memory: Memory, now: float, wall_time: float) -> None:
        """Take a free part, or that of the member that left first. With the lock."""
        best, oldest = 0, now
        for at in _offsets():
            if layout.owner_of(memory, at) is None:
                best = at
                break
            seen = _seen(memory, at)
            if not is_here(seen, now) and seen < oldest:
                best, oldest = at, seen
        self.at = best
        if not best:
            return
        self._base = list(self._published)
        _add_up(memory, best)
        self._write(memory, now, wall_time)

    def _write(self, memory: Memory, now: float, wall_time: float) -> None:
        memory[self.at : self.at + layout.MEMBER_STRIDE] = bytes(layout.MEMBER_STRIDE)
        self.beat(memory, now)
        owner = layout.owner(self.member, os.getpid(), wall_time, program())
        memory[self.at : self.at + len(owner)] = owner

    def claim_blank(self, memory: Memory, now: float, wall_time: float) -> None:
        """Take a part that was never taken, without the lock: for one that can't get it.

        Two may take the same one; the later one has it, and the other notices that at its next look.
        """
        blank = [at for at in _offsets() if layout.owner_of(memory, at) is None]
        self.at = random.choice(blank) if blank else 0  # noqa: S311 - so that two seldom take the same
        if self.at:
            self._base = list(self._published)
            self._write(memory, now, wall_time)

    def beat(self, memory: Memory, now: float) -> None:
        """Note that this member is here, or with ENDED that it has left."""
        MOMENT.pack_into(memory, self.at + layout.MEMBER_SEEN, now)

    def publish(self, memory: Memory, counters: Mapping[str, int]) -> None:
        """Show *counters*, without what an earlier part of this member showed."""
        self._published = [counters.get(name, 0) for name in COUNTERS]
        shown = [value - base for value, base in zip(self._published, self._base, strict=True)]
        at = self.at + layout.MEMBER_COUNTS
        values = COUNTS.read(memory, at)
        COUNTS.write(memory, at, 0 if values is None else values[0], *shown)


def members(memory: Memory, now: float) -> list[Member]:
    """All members in the order of their parts."""
    found = []
    for at in _offsets():
        owner = None if memory[at : at + 8] == _NOBODY else layout.owner_of(memory, at)
        if owner is not None:
            member, pid, _, name = owner
            seen = _seen(memory, at)
            found.append(
                Member(
                    id=member.hex(),
                    name=name,
                    pid=pid,
                    quiet_seconds=max(0.0, now - seen),
                    is_here=is_here(seen, now),
                    counters=_counts(memory, at),
                )
            )
    return found


def departed(memory: Memory) -> Mapping[str, int]:
    """The added counters of members whose part was given to another."""
    values = DEPARTED.read(memory, AT.departed)
    return dict.fromkeys(COUNTERS, 0) if values is None else dict(zip(COUNTERS, values[2:], strict=True))


def end_all(memory: Memory) -> None:
    """The machine was started anew: no member is here."""
    for at in _offsets():
        MOMENT.pack_into(memory, at + layout.MEMBER_SEEN, ENDED)


def is_here(seen: float, now: float) -> bool:
    """Whether a member last seen at *seen* counts."""
    return now - MEMBER_SECONDS < seen <= now + 1.0


def _add_up(memory: Memory, at: int) -> None:
    """Keep the sums of the member that had the part at *at*; once, also after a crash in between."""
    owner = layout.owner_of(memory, at)
    if owner is None:
        return
    values = DEPARTED.read(memory, AT.departed) or (0, _NOBODY, *[0] * len(COUNTERS))
    if values[1] == owner[0]:
        return
    added = [total + count for total, count in zip(values[2:], _counts(memory, at).values(), strict=True)]
    DEPARTED.write(memory, AT.departed, values[0], owner[0], *added)


def _counts(memory: Memory, at: int) -> dict[str, int]:
    values = COUNTS.read(memory, at + layout.MEMBER_COUNTS)
    return dict.fromkeys(COUNTERS, 0) if values is None else dict(zip(COUNTERS, values[1:], strict=True))


def _seen(memory: Memory, at: int) -> float:
    seen: float = MOMENT.unpack_from(memory, at + layout.MEMBER_SEEN)[0]
    return seen


def _offsets() -> range:
    return range(AT.members, AT.members + layout.MEMBERS * layout.MEMBER_STRIDE, layout.MEMBER_STRIDE)
