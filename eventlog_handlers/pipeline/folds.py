"""Folding: repeats of one problem within a window become one event with a count. Told the time, no thread.

The first event of a problem goes at once. Its repeats are only counted; at the window's end one summary
stands for all of them. A window that saw repeats is followed by one twice as long, up to MAX_WINDOW_SECONDS.
One that saw none ends the fold: the next occurrence goes at once again, and its window is half as long as
the last one was (halved again for each such time that has passed), never shorter than the setting.

Which side may touch what. The caller's side (``repeats``, ``admits``) takes no lock, and a log call that
interrupts another one at any instruction does no harm. It counts with a ``Tally``, so closing a window needs
no agreement with it. A log call that counts the first repeat since the last summary announces the fold, after
counting: so no repeat is lost where the fold leaves the table while a log call uses it. The worker's side
(all else) stands under the ledger's lock.

Not here: which records are one problem (the keys handed in are opaque), the content of a summary (``fold``),
counting events as accepted and settled (``ledger``), waking a thread (``worker``).
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections import deque
from collections.abc import Callable
from math import inf
from types import CodeType

from eventlog_handlers.pipeline.fold import Fold, time_of
from eventlog_handlers.record.capture import capture
from eventlog_handlers.record.captured import Capture
from eventlog_handlers.record.fields import FIELDS
from eventlog_handlers.record.message import are_plain
from eventlog_handlers.record.plain import EXIT_EXCEPTIONS
from eventlog_handlers.record.problem import Key, Quick
from eventlog_handlers.share.fold_windows import next_window, window_after_quiet

MAX_FOLDS = 1_024
"""Folds kept from one turn of the worker to the next; between two turns twice as many at most."""
MAX_ALIASES = 2_048
FRESH_SECONDS = 0.1


class Folds:
    """The table of one handler's folds.

    *window_seconds* is a fold's first window, *longest_seconds* bounds later ones. *clock* gives monotonic
    seconds, *id_bits* the 128 random bits of a summary's id. *on_open* is called, on the caller's side, when
    a fold gets its first repeat since its last summary.
    """

    def __init__(
        self,
        window_seconds: float,
        clock: Callable[[], float],
        id_bits: Callable[[], int],
        on_open: Callable[[], None],
        longest_seconds: float = inf,
    ) -> None:
        self._window = window_seconds
        self._longest = longest_seconds
        self._clock = clock
        self._id_bits = id_bits
        self._on_open = on_open
        # Both sides; each access is one indivisible step. Never rebound: an emit may be under way.
        self._folds: dict[Key, Fold] = {}
        self._aliases: dict[Key, tuple[Fold, list[CodeType]]] = {}
        self._opened: deque[Fold] = deque()
        """Folds whose first repeat has just been counted."""
        self._remembered: dict[Key, tuple[float, float]] = {}
        """Of folds that ended: the last window, and its end."""
        self._turns = itertools.count()
        """Orders folds by when they were made or last found used."""
        self.hurried = False
        """Make all summaries at the next turn."""
        # Worker's side.
        self._open: dict[Fold, None] = {}
        self._open_due = inf
        """When the first of them is due; may be too early."""
        self._next_look = -inf

    # --- the caller's side ---------------------------------------------------------------------------------

    def repeats(
        self, record: logging.LogRecord, quick: Quick | None, formatter: logging.Formatter | None
    ) -> bool:
        """Whether *record*, whose *quick* key this is, repeats an open problem; if so it has been counted."""
        if quick is None:
            return False
        entry = self._aliases.get(quick[0])
        if entry is None:
            return False
        fold = entry[0]
        if fold.retired:
            return False
        if not fold.is_open and self._clock() >= fold.due:
            return False  # a window without a repeat is over, only no thread has looked yet
        fields = record.__dict__
        created, args = fields["created"], fields["args"]
        number = self._count(fold, created)
        if fields["exc_info"] is None and formatter is None and are_plain(args):
            fold.plain = fields["msg"], args
            if len(fields) == len(FIELDS):
                return True
        else:
            fold.plain = None
        if (
            number < fold.exact
            or not number & (number - 1)
            or not 0 <= created - fold.read_at < FRESH_SECONDS
        ):
            try:
                fold.occurrence = capture(record, formatter=formatter)
                fold.read_at = created
            except EXIT_EXCEPTIONS:
                raise
            except BaseException:  # counted all the same; the summary shows an earlier occurrence
                return True
        return True

    def admits(self, captured: Capture, problem: Key, quick: Quick | None) -> bool:
        """Whether *captured* becomes an event of its own; else it has been counted as a repeat.

        For a record that ``repeats`` did not recognise. *problem* is the key that all repeats of one problem
        have in common. Opens a fold for it, or counts a repeat.
        """
        fold = self._folds.get(problem)
        is_new = fold is None
        now = self._clock()
        if fold is None:
            if len(self._folds) >= 2 * MAX_FOLDS:
                return True  # faster than the worker can clear up
            made = self._made(problem, captured, now)
            fold = self._folds.setdefault(problem, made)
            is_new = fold is made
        elif fold.retired or (not fold.is_open and now >= fold.due):
            if fold.claim() != 0:
                return True  # another thread is replacing it
            fold.retired = True
            fold = self._folds[problem] = self._made(problem, captured, now, fold)
            is_new = True
        if quick is not None:
            key, codes = quick
            if not codes or any(code.co_filename for code in codes):  # else the message tells problems apart
                if len(self._aliases) >= MAX_ALIASES:
                    self._aliases.clear()
                self._aliases[key] = fold, codes
        if is_new:
            return True
        self._count(fold, time_of(captured))
        fold.plain, fold.occurrence = None, captured._replace(events=None)
        fold.read_at = time_of(captured)
        return False

    def approximate_open(self) -> int:
        """How many folds have unreported repeats; without the lock, so it may be out by a few."""
        return len(self._open) + len(self._opened)

    def _count(self, fold: Fold, created: float) -> int:
        number = fold.tally.add()
        fold.last = created
        if not fold.is_open:  # asked after counting: a summary made in between has this repeat in it
            fold.is_open = True
            fold.first = created
            self._opened.append(fold)
            self._on_open()
        return number

    def _made(self, problem: Key, captured: Capture, now: float, before: Fold | None = None) -> Fold:
        window, since = self._remembered.pop(problem, (0.0, now))
        if before is not None:
            window, since = before.window, before.due
        window = window_after_quiet(window, now - since, self._window)
        return Fold(problem, captured, now + window, window, next(self._turns))

    # --- the worker's side ---------------------------------------------------------------------------------

    def due(self) -> list[Capture]:
        """Summaries whose window is over, and those of folds that have to leave the table."""
        if not (self._folds or self._opened or self._open):
            return []
        summaries: list[Capture] = []
        if self.hurried:
            self.hurried = False
            summaries += self.all_open()
        now = self._clock()
        self._announced()
        if now >= min(self._next_look, self._open_due):
            self._look(now, summaries)
        if len(self._folds) > MAX_FOLDS:
            self._trim(summaries)
        return summaries

    def all_open(self) -> list[Capture]:
        """Summaries of everything counted so far, whether its window is over or not."""
        summaries: list[Capture] = []
        for fold in {**dict.fromkeys(list(self._folds.values())), **self._announced()}:
            fold.stormed = self._tell(fold, summaries) or fold.stormed
        self._open_due = inf
        return summaries

    def wait(self) -> float | None:
        """Seconds until a summary is due; None if no fold has an unreported repeat."""
        if not self._announced():
            return None
        return 0.0 if self.hurried else max(0.0, self._open_due - self._clock())

    def sums(self) -> tuple[int, int]:
        """Repeats that are in no summary yet, and the number of their problems."""
        folds = {*list(self._folds.values()), *self._announced()}
        untold = [count for fold in folds if (count := fold.tally.total() - fold.told)]
        return sum(untold), len(untold)

    def clear(self) -> None:
        """Forget everything: it is the parent's."""
        for fold in {
            *self._folds.values(),
            *self._announced(),
            *(fold for fold, _ in self._aliases.values()),
        }:
            fold.forget()
        for held in (self._folds, self._aliases, self._opened, self._remembered, self._open):
            held.clear()
        self.hurried = False
        self._next_look, self._open_due = -inf, inf

    def _look(self, now: float, summaries: list[Capture]) -> None:
        """Go through the whole table. A fold made from now on is not due before one shortest window."""
        self._next_look = now + self._window
        for fold in {**dict.fromkeys(list(self._folds.values())), **self._open}:
            if fold.retired:
                self._retire(fold, summaries)
            elif now >= fold.due:
                if self._tell(fold, summaries) or fold.stormed:
                    fold.stormed = False
                    fold.window = min(next_window(fold.window, self._window), self._longest)
                    fold.due = now + fold.window
                else:
                    self._retire(fold, summaries)
            self._next_look = min(self._next_look, fold.due if not fold.retired else inf)
        self._open_due = min((fold.due for fold in self._open), default=inf)

    def _trim(self, summaries: list[Capture]) -> None:
        """Take the folds out whose last repeat was seen longest ago."""
        folds = list(self._folds.values())
        for fold in folds:
            repeats = fold.tally.total()
            if repeats > fold.seen:
                fold.turn = next(self._turns)
            fold.seen = repeats
        folds.sort(key=lambda fold: fold.turn)
        for fold in folds[: len(folds) - MAX_FOLDS]:
            self._retire(fold, summaries)

    def _retire(self, fold: Fold, summaries: list[Capture]) -> None:
        is_ours = fold.claim() == 0
        if not is_ours and not fold.retired:
            return  # a log call is putting another in its place
        was_retired = fold.retired
        fold.retired = True
        # A log call that claimed it replaces it in its next steps. Found here once more, it was broken off.
        if (is_ours or was_retired) and self._folds.get(fold.problem) is fold:
            self._folds.pop(fold.problem, None)
            if fold.window > self._window:
                if len(self._remembered) >= MAX_FOLDS:
                    # Callers take entries out meanwhile: one more or less is kept.
                    with contextlib.suppress(RuntimeError, StopIteration):
                        self._remembered.pop(next(iter(self._remembered)), None)
                self._remembered[fold.problem] = fold.window, fold.due
        self._tell(fold, summaries)

    def _tell(self, fold: Fold, summaries: list[Capture]) -> bool:
        summary = fold.taken()
        self._open.pop(fold, None)
        if summary is not None:
            summaries.append(summary._replace(id_bits=self._id_bits()))
        return summary is not None

    def _announced(self) -> dict[Fold, None]:
        """Folds with unreported repeats, those that log calls have just opened included."""
        while self._opened:
            fold = self._opened.popleft()
            self._open[fold] = None
            self._open_due = min(self._open_due, -inf if fold.retired else fold.due)
        return self._open
