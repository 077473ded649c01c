"""One problem of several processes as a value: who sends, who counts, when its summary is due. Pure.

The first occurrence is sent and opens a window. The others are counted. At the window's end one process moves
the count to *telling* and sends one summary for it; ``told`` clears *telling*. A process that dies in between
leaves *telling* as it is, and another process sends the same summary with the same number. So a count that
no summary has told is never reset. ``fleet_scripts`` repeats these rules in Lua.
"""

from __future__ import annotations

from typing import NamedTuple

from eventlog_handlers.share.contract import TELL_SECONDS, Occurrence, Telling, Verdict
from eventlog_handlers.share.fold_windows import MAX_WINDOW_SECONDS, next_window, window_after_quiet

NOBODY = b"\0" * 8


class Entry(NamedTuple):
    """A problem. *due* and *until* are moments of the backend's clock, *window* is in seconds."""

    number: int
    """Of the window under way."""
    due: float
    """When that window ends."""
    window: float
    count: int = 0  # type: ignore[assignment]  # hides tuple.count
    """Log calls counted in it."""
    first: float = 0.0
    last: float = 0.0
    is_early: bool = False
    """A summary went out before this window's end, so the window was not quiet."""
    telling: int = 0
    """Log calls of the summary that is being told; 0: none is."""
    told_number: int = 0
    told_first: float = 0.0
    told_last: float = 0.0
    until: float = 0.0
    """How long that summary belongs to *teller*."""
    teller: bytes = NOBODY
    counted_ever: int = 0
    """Log calls counted since the problem is in the table: always ``told_ever + count + telling``."""
    told_ever: int = 0


def opened(now: float, wall: float, window: float, before: Entry | None = None) -> Entry:
    """A problem whose first occurrence is sent now. *window* is the setting; *before* is its entry so far.

    *wall*, in seconds since the epoch, numbers the windows: a number is never used twice for one problem,
    also after the table was lost.
    """
    number = int(wall * 1000)
    if before is None:
        return Entry(number, now + window, window)
    window = window_after_quiet(before.window, now - before.due, window)
    number = max(number, before.number + 1)
    return before._replace(number=number, due=now + window, window=window, is_early=False)


def folded(
    entry: Entry | None, occurrence: Occurrence, now: float, wall: float, window: float
) -> tuple[Verdict, Entry]:
    """The fate of *occurrence*, and the problem afterwards. *window* is the first window, a setting."""
    if entry is None:
        return Verdict.OPENED, opened(now, wall, window)
    entry = on_this_clock(entry, now, window)
    if now >= entry.due and not entry.count:
        if not entry.is_early:
            return Verdict.OPENED, opened(now, wall, window, entry)
        entry = _next(entry, now, window)
    if entry.count:
        first, last = min(entry.first, occurrence.first), max(entry.last, occurrence.last)
    else:
        first, last = occurrence.first, occurrence.last
    return Verdict.COUNTED, entry._replace(
        count=entry.count + occurrence.count,
        counted_ever=entry.counted_ever + occurrence.count,
        first=first,
        last=last,
    )


def is_to_be_told(entry: Entry, now: float, *, everything: bool = False) -> bool:
    """Whether ``taken`` would give a summary."""
    if entry.telling:
        return now >= entry.until or entry.until > now + TELL_SECONDS  # the latter: another clock
    return entry.count > 0 and (everything or now >= entry.due)


def taken(
    entry: Entry, problem: bytes, now: float, window: float, teller: bytes, *, everything: bool = False
) -> tuple[Telling, Entry]:
    """The summary that *teller* tells from now on; call it where ``is_to_be_told``."""
    until = now + TELL_SECONDS
    if not entry.telling:
        entry = entry._replace(
            telling=entry.count,
            told_number=entry.number,
            told_first=entry.first,
            told_last=entry.last,
            count=0,
        )
        if now >= entry.due:
            entry = _next(entry, now, window)
        else:
            entry = entry._replace(number=entry.number + 1, is_early=True)
    entry = entry._replace(until=until, teller=teller)
    telling = Telling(problem, entry.told_number, entry.telling, entry.told_first, entry.told_last)
    return telling, entry


def renewed(entry: Entry, number: int, now: float, teller: bytes) -> Entry | None:
    """*entry* when its teller goes on; None if the summary *number* is no longer *teller*'s."""
    if not entry.telling or entry.told_number != number or entry.teller != teller:
        return None
    return entry._replace(until=now + TELL_SECONDS)


def told(entry: Entry, number: int) -> Entry | None:
    """*entry* without its summary *number*; None if that is not being told."""
    if not entry.telling or entry.told_number != number:
        return None
    return entry._replace(telling=0, until=0.0, teller=NOBODY, told_ever=entry.told_ever + entry.telling)


def is_idle(entry: Entry, now: float) -> bool:
    """Whether the problem may leave the table: its window has ended, and there is nothing to tell."""
    return not entry.count and not entry.telling and now >= entry.due


def on_this_clock(entry: Entry, now: float, window: float) -> Entry:
    """*entry* with a window that ends at most a whole longest window from now: clocks begin anew."""
    latest = now + max(MAX_WINDOW_SECONDS, window, entry.window)
    return entry if entry.due <= latest else entry._replace(due=latest)


def _next(entry: Entry, now: float, window: float) -> Entry:
    """The window after one that was not quiet."""
    longer = next_window(entry.window, window)
    return entry._replace(number=entry.number + 1, due=now + longer, window=longer, is_early=False)
