"""Folding as the handlers do it, played over the times of a log. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

from eventlog_handlers.estimate.records import Record
from eventlog_handlers.pipeline.folds import MAX_FOLDS
from eventlog_handlers.share.fold_windows import next_window, window_after_quiet


class Sent(NamedTuple):
    """One event that goes out: the first of its kind, or a summary of *count* repeats."""

    time: float
    fingerprint: str
    count: int  # type: ignore[assignment]  # hides tuple.count
    size: int
    """Characters of the record it shows: of a summary the last."""


class _Window:
    __slots__ = ("count", "end", "seconds", "size")

    def __init__(self, end: float, seconds: float) -> None:
        self.end, self.seconds, self.count, self.size = end, seconds, 0, 0


class Folding:
    """Folds records with windows of *seconds* at first; 0 folds nothing. Gives events in order of time."""

    def __init__(self, seconds: float, *, max_keys: int = MAX_FOLDS) -> None:
        self._seconds = seconds
        self._max_keys = max_keys
        self._open: dict[str, _Window] = {}  # least recently seen first
        self._ends: list[tuple[float, str]] = []
        self._ended: dict[
            str, tuple[float, float]
        ] = {}  # window, and when it ended; longer ones than the first

    def add(self, time: float, fingerprint: str, size: int) -> Iterator[Sent]:
        """The events that go out up to *time*, that of a record at *time* included; times never go back."""
        if self._seconds <= 0:
            yield Sent(time, fingerprint, 1, size)
            return
        yield from self._passed(time)
        window = self._open.pop(fingerprint, None)
        if window is None:
            yield Sent(time, fingerprint, 1, size)
            if len(self._open) >= self._max_keys:
                oldest = next(iter(self._open))
                leaving = self._open.pop(oldest)
                self._remember(time, oldest, leaving)
                yield from _summary(time, oldest, leaving)
            before, ended = self._ended.pop(fingerprint, (0.0, time))
            seconds = window_after_quiet(before, time - ended, self._seconds)
            window = _Window(time + seconds, seconds)
            heapq.heappush(self._ends, (window.end, fingerprint))
        else:
            window.count += 1
            window.size = size
        self._open[fingerprint] = window

    def finish(self, time: float) -> Iterator[Sent]:
        """The summaries still open when the process ends at *time*."""
        for fingerprint, window in self._open.items():
            yield from _summary(time, fingerprint, window)
        self._open.clear()
        self._ends.clear()

    def _passed(self, time: float) -> Iterator[Sent]:
        while self._ends and self._ends[0][0] <= time:
            end, fingerprint = heapq.heappop(self._ends)
            window = self._open.get(fingerprint)
            if window is None or window.end != end:
                continue  # it was pushed out of the table, and may have come back since
            if not window.count:
                del self._open[fingerprint]  # a window without repeats: the next record goes at once
                self._remember(end, fingerprint, window)
                continue
            yield from _summary(end, fingerprint, window)
            window.seconds = next_window(window.seconds, self._seconds)
            window.end, window.count = end + window.seconds, 0
            heapq.heappush(self._ends, (window.end, fingerprint))

    def _remember(self, time: float, fingerprint: str, window: _Window) -> None:
        if window.seconds > self._seconds:
            if len(self._ended) >= self._max_keys:
                del self._ended[next(iter(self._ended))]
            self._ended[fingerprint] = window.seconds, time


def _summary(time: float, fingerprint: str, window: _Window) -> Iterator[Sent]:
    if window.count:
        yield Sent(time, fingerprint, window.count, window.size)


def size_of(record: Record) -> int:
    """Bytes of the texts *record* brings into an event."""
    text = record.message + record.traceback
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
