"""Reads the file of a dead process, damaged or not. ``adoption`` decides what happens to it.

SQLite itself recovers the rows that a killed process had committed. Rows that it can't read are counted as
lost, as far as their number is known. Then the file is kept as ``*.bad``, for the ``.recover`` command of the
sqlite3 shell.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from eventlog_handlers.buffers.spool.directory import Lock
from eventlog_handlers.buffers.spool.file import Row, SpoolFile

_LEAST_ROW_BYTES = 256  # no event is smaller: bounds how many rows a file can have held
_MOST_PROBES = 50_000


class Orphan:
    """The file of a dead process, ours by its lock, read from its oldest row to its newest.

    *damaged* says that something in it was not what SQLite or we had written; such a file is not written to.
    *count_is_sure* says that the number of unreadable rows is known in spite of that.
    """

    def __init__(self, path: Path, lock: Lock) -> None:
        """Open it; raises OSError or sqlite3.Error where that can't be done."""
        self.path = path
        self.damaged = False
        self.at_end = False
        self.count_is_sure = True
        self.rows = 0
        """How many there are, as far as SQLite can tell."""
        self._least_missing = 0
        self._good = 0
        self._bad = 0
        self._top = 0  # the sequence number of the last good row
        self._bad_past_top = 0
        self._removed = self._removed_top = 0
        self._rows = self._walk()
        self._was_begun = True
        try:
            self._file = SpoolFile.open(path, lock)
            self._take_stock()
        except BaseException:
            lock.let_go()
            raise

    def _take_stock(self) -> None:
        try:
            self._was_begun = self._file.has_tables()  # else its process was killed before it held anything
            if self._was_begun:
                self.rows = len(self._file)
                self._removed, self._removed_top = self._file.removed()
        except Exception:
            self.damaged = True
            self.count_is_sure = False

    def take(self, count: int) -> list[tuple[int, Row]]:
        """The next rows, up to *count*; fewer at the end or where some are damaged."""
        rows: list[tuple[int, Row]] = []
        for _ in range(count):
            found = next(self._rows, None)
            if found is None:
                self.at_end = True
                break
            seq, row = found
            if row is None:
                self.damaged = True
                self._bad += 1
                self._bad_past_top += 1
            else:
                rows.append((seq, row))
                self._good += 1
                self._top, self._bad_past_top = seq, 0
        return rows

    def _walk(self) -> Iterator[tuple[int, Row | None]]:
        """All rows; from where the tree is damaged on, those that can be reached one by one."""
        if not self._was_begun:
            return
        try:
            yield from self._file.scan()
            return
        except Exception:
            self.damaged = True
            self.count_is_sure = False
            self._least_missing = 1
        for seq in range(self._top + 1, self._upper_bound() + 1):
            with contextlib.suppress(Exception):  # DamagedError, or SQLite's own: it lies on a damaged page
                yield seq, self._file.read(seq)

    def settle(self, rows: list[tuple[int, Row]]) -> None:
        """The adopted rows are safe in another file: delete them here, so that they are delivered once."""
        if rows and not self.damaged:
            try:
                self._file.remove([seq for seq, _ in rows])
            except Exception:
                self.damaged = True  # or the disk is full; either way it is past writing

    def end(self) -> int:
        """Done with it: delete it, or put it aside if damaged. Returns how many rows could not be read.

        A lower bound if *count_is_sure* is false.
        """
        top = max(self._top + self._bad_past_top, self._removed_top)
        if top < self._removed:  # more was removed than can be seen to have been there
            self.count_is_sure = False
            self._least_missing = 1
        missing = max(self._bad, top - self._removed - self._good)
        missing = max(self._least_missing, min(missing, self._file_bytes() // _LEAST_ROW_BYTES))
        if self.damaged or missing:
            self._file.quarantine()
        else:
            self._file.discard()
        return missing

    def let_go(self) -> None:
        """Leave the rest of it to others."""
        self._file.let_go()

    def abandon(self) -> None:
        """The same without touching the connection."""
        self._file.abandon()

    def _upper_bound(self) -> int:
        try:
            highest = self._file.highest()
        except Exception:
            highest = self._top + self._file_bytes() // _LEAST_ROW_BYTES
        return min(highest, self._top + _MOST_PROBES)

    def _file_bytes(self) -> int:
        total = 0
        for suffix in ("", "-wal"):
            with contextlib.suppress(OSError):
                total += Path(f"{self.path}{suffix}").stat().st_size
        return total
