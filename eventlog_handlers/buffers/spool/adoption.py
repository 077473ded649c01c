"""Adopts the files of dead processes: finds them, moves their rows into our file, and deletes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from eventlog_handlers.buffers import Lost
from eventlog_handlers.buffers.spool import directory
from eventlog_handlers.buffers.spool.absorb import absorb
from eventlog_handlers.buffers.spool.directory import Lock, Names
from eventlog_handlers.buffers.spool.file import Row
from eventlog_handlers.buffers.spool.rows import CHUNK, Rows
from eventlog_handlers.buffers.spool.salvage import Orphan
from eventlog_handlers.buffers.spool.trouble import Trouble

_LOOK_SECONDS = 180.0  # between two looks for files of dead processes
_SLICE_SECONDS = 0.05  # of adoption at a time, under the owner's lock


class Adoption:
    """Moves events of dead processes into this process's file, a slice at a time.

    *has_room(rows, bytes)* says whether so much more fits. *take_in(rows)* holds rows, ``commit`` included,
    and returns those lost on the way. *lose(lost)* is called with rows that can't be read.

    To be called inside the fork gate, by one thread at a time.
    """

    def __init__(
        self,
        place: Path,
        names: Names,
        rows: Rows,
        trouble: Trouble,
        *,
        clock: Callable[[], float],
        has_room: Callable[[int, int], bool],
        take_in: Callable[[Sequence[Row]], None],
        lose: Callable[[Sequence[Lost]], None],
    ) -> None:
        self._place = place
        self._names = names
        self._rows = rows
        self._trouble = trouble
        self._clock = clock
        self._has_room = has_room
        self._take_in = take_in
        self._lose = lose
        self._orphan: Orphan | None = None
        self._moving: list[tuple[int, Row]] = []  # taken from it, and still there until they are in our file
        self._look_at = float("-inf")

    def is_due(self) -> bool:
        """Whether there may be something to do: cheap, for callers outside the fork gate.

        Not while rows of our own wait for the file: adopted rows go from file to file.
        """
        if self._rows.in_memory or self._trouble.is_paused:
            return False
        return self._orphan is not None or self._clock() >= self._look_at

    def adopt(self) -> int:
        """Do a slice of it; returns how many events were taken up, those lost on the way too."""
        started = self._clock()
        taken = 0
        while self._orphan is not None or self._find_orphan():
            taken += self._adopt_some()
            if self._rows.in_memory or self._clock() >= started + _SLICE_SECONDS:
                return taken
        self._look_at = started + _LOOK_SECONDS
        return taken

    def doubled(self) -> int:
        """How many rows are here and in a dead process's file at the same time."""
        return len(self._moving)

    def close(self) -> None:
        """Leave the other files to other processes. An orphan whose rows are half moved stays locked."""
        self._settle_moved()
        if self._orphan is not None and not self._moving:
            self._orphan.let_go()
            self._orphan = None

    def abandon(self) -> None:
        """Leave the files as the end of the process leaves them; this object must not be used again."""
        if self._orphan is not None:
            self._orphan.abandon()

    def _find_orphan(self) -> bool:
        spools, foreign = self._names.listed()
        if foreign:
            self._trouble.tell(
                "schema", f"{foreign[0]} was written by another version of this package; left as it is"
            )
        for path in spools:
            if path == self._rows.path or not directory.is_plain(path):
                continue
            try:
                self._orphan = self._open_orphan(path)
            except Exception as error:
                self._trouble.tell(path.name, f"{path} can't be taken over ({error}); left as it is")
            if self._orphan is not None:
                return True
        return self._absorb_stray()

    def _absorb_stray(self) -> bool:
        """Make a spool file of a journal whose own file is gone; whether there was one."""
        has_found = False
        for path in self._names.stray():
            if path == self._rows.path:
                continue
            try:
                lock = Lock.take(path.with_suffix(".lock"), new=False)
                if lock is None:
                    continue
                try:
                    self._absorb(path, lock)
                    lock.path.unlink(missing_ok=True)
                finally:
                    lock.let_go()
                has_found = True
            except Exception as error:
                self._trouble.tell(path.name, f"the journal of {path} can't be read ({error}); left as it is")
        return has_found and self._find_orphan()

    def _absorb(self, path: Path, lock: Lock) -> None:
        damaged = absorb(path, lock, self._names.destination)
        if damaged:
            self._lose([Lost(None, None, "damaged")] * damaged)
            self._trouble.tell(
                f"journal of {path.name}", f"{damaged} event(s) in the journal of {path} were past reading"
            )

    def _open_orphan(self, path: Path) -> Orphan | None:
        """The file at *path* if its process is dead and there is room for its rows."""
        directory.prepare(self._place)
        lock = Lock.take(path.with_suffix(".lock"), new=False)
        if lock is None:
            return None
        if not path.exists():  # adopted and deleted by another meanwhile
            lock.path.unlink(missing_ok=True)
            lock.let_go()
            return None
        if not self._rows.open_file():  # nowhere to put the rows: they lie better where they are
            lock.let_go()
            return None
        try:
            self._absorb(path, lock)
        except BaseException:
            lock.let_go()
            raise
        orphan = Orphan(path, lock)
        if not self._has_room(orphan.rows, path.stat().st_size):
            orphan.let_go()
            return None
        return orphan

    def _adopt_some(self) -> int:
        orphan = self._orphan
        assert orphan is not None  # noqa: S101 - for the type checker
        self._settle_moved()
        self._moving = orphan.take(CHUNK)
        if not self._moving and orphan.at_end:
            self._orphan = None
            return self._end_of(orphan)
        self._take_in([row for _, row in self._moving])
        taken = len(self._moving)
        self._settle_moved()
        return taken

    def _settle_moved(self) -> None:
        """Delete from the dead process's file the rows that ours has: a crash of ours delivers them once."""
        if self._orphan is not None and not self._rows.in_memory:
            self._orphan.settle(self._moving)
            self._moving = []

    def _end_of(self, orphan: Orphan) -> int:
        missing = orphan.end()
        self._lose([Lost(None, None, "damaged")] * missing)
        if orphan.damaged or missing:
            number = f"{'' if orphan.count_is_sure else 'at least '}{missing}"
            self._trouble.tell(
                orphan.path.name,
                f"{orphan.path} was damaged, {number} event(s) in it are past reading; kept as *.bad",
            )
        return missing
