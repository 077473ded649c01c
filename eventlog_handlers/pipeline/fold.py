"""One fold: the repeats of one problem since its first event, and the summary that stands for them.

A summary has the fingerprint, the number of occurrences that it stands for, the time of the first and of the
last; and message, traceback and extras of one of them, read in full. That is the last one among the first
EXACT repeats of a window; after that one at most FRESH_SECONDS older than the last, by the records' own
times. A message whose arguments are plain values, without exception, is always the last one's.

The table of folds, and which side may touch what: ``folds``.
"""

from __future__ import annotations

from typing import Any

from eventlog_handlers.pipeline.tally import Tally
from eventlog_handlers.record.captured import Capture
from eventlog_handlers.record.fields import ARGS, CREATED, MSG
from eventlog_handlers.record.problem import Key

EXACT = 64


class Fold:
    """One problem's occurrences since its first event. Holds no record, no frame and no exception."""

    __slots__ = (
        "claim", "due", "exact", "first", "is_open", "last", "occurrence", "plain", "problem", "read_at",
        "retired", "seen", "stormed", "tally", "told", "turn", "window",
    )  # fmt: skip

    def __init__(self, problem: Key, first: Capture, due: float, window: float, turn: int) -> None:
        self.problem = problem
        # Caller's side.
        self.tally = Tally()
        """Repeats since the fold was opened."""
        self.claim = Tally().add
        """The thread that draws 0 owns the removal of this fold: it alone takes it out or replaces it."""
        self.is_open = False
        """A repeat since the last summary has been announced to the worker's side."""
        self.occurrence = first._replace(events=None)  # it may be kept for long, its event need not be
        self.plain: tuple[str, tuple[Any, ...] | None] | None = None
        """Message and arguments of the last repeat, where the rest is as in *occurrence*."""
        self.read_at = self.first = self.last = time_of(first)
        self.retired = False
        """Not in the table any more, or about to leave it."""
        # Worker's side; the caller's side only reads.
        self.exact = EXACT
        self.told = 0
        """Repeats that are in summaries."""
        self.stormed = False
        """A summary went out before this window's end."""
        self.due = due
        self.window = window
        self.seen = 0
        self.turn = turn

    def taken(self) -> Capture | None:
        """The summary of the repeats that are in no summary yet; None if there are none."""
        self.is_open = False  # before the total: a log call that counts after it announces the fold again
        repeats = self.tally.total()
        untold, self.told = repeats - self.told, repeats
        self.exact = repeats + self.tally.own_draws + EXACT
        if untold == 0:
            return None
        occurrence, plain = self.occurrence, self.plain
        fields = list(occurrence.fields)
        if plain is not None and occurrence.message is None:
            fields[MSG], fields[ARGS] = plain
        first, last = sorted((self.first, self.last))  # the wall clock may have been put back
        fields[CREATED] = last
        return occurrence._replace(
            fields=tuple(fields), count=untold, first_time=first if untold > 1 else None
        )

    def forget(self) -> None:
        """Count these repeats no more: another process tells them."""
        self.retired = True
        self.is_open = False  # before the total, as in ``taken``
        self.told = self.tally.total()


def time_of(captured: Capture) -> float:
    """When its record was made, in seconds since the epoch; 0 where the record does not tell."""
    created = captured.fields[CREATED]
    return created if type(created) is float else 0.0
