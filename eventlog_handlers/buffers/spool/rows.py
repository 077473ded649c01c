"""Where the rows of held events are: in the file, or in memory as long as the file does not take them.

No other module knows it. ``held`` decides which events are held and in which order they go.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from eventlog_handlers.buffers.spool import directory
from eventlog_handlers.buffers.spool.directory import Names, UnusableError
from eventlog_handlers.buffers.spool.file import DamagedError, Row, SpoolFile
from eventlog_handlers.buffers.spool.journal import Journal
from eventlog_handlers.buffers.spool.trouble import Trouble
from eventlog_handlers.text.json_text import use_orjson

CHUNK = 256  # rows in a transaction
_LOOK_SECONDS = 1.0  # between two looks at the file's name
_IDLE_SECONDS = 10.0  # an empty file is deleted then
_FULL = ("database or disk is full", "database is locked", "database table is locked")


class Rows:
    """Rows by sequence number, written to a file of this process alone.

    *clock* gives seconds, *now* wall time. *moved* is called with the numbers of rows that went from memory
    to the file. *file_failed(read)* is called where the file has failed: from then on every row is in
    memory or lost, and the owner reads with ``read(seq)`` the rows of the old file that it still needs (any
    exception means that the row can't be read); it returns how many rows it lost.

    To be called inside the fork gate, by one thread at a time.
    """

    def __init__(
        self,
        place: Path,
        names: Names,
        trouble: Trouble,
        *,
        cap_bytes: int,
        clock: Callable[[], float],
        now: Callable[[], float],
        moved: Callable[[Sequence[int]], None],
        file_failed: Callable[[Callable[[int], Row]], int],
        journal: Journal | None = None,
    ) -> None:
        self.in_memory: dict[int, Row] = {}
        """Held, and not in the file. Changed by this class alone."""
        self.memory_bytes = 0
        """Their size."""
        self.in_file = 0
        """How many of the rows held are in the file."""
        self._place = place
        self._names = names
        self._trouble = trouble
        self._cap_bytes = cap_bytes
        self._clock = clock
        self._now = now
        self._moved = moved
        self._file_failed = file_failed
        self._journal = journal
        self._removed: list[int] = []  # in the file, and held no more; none without a file
        self._file: SpoolFile | None = None
        self._replaced_at = self._look_at = float("-inf")
        self._used_at = clock()

    # --- rows ----------------------------------------------------------------------------------------------

    def hold(self, seq: int, row: Row) -> None:
        """Take *row* in, for now in memory; ``commit`` takes it to the file."""
        before = self.in_memory.get(seq)
        if before is not None:
            self.memory_bytes -= before.size
        self.in_memory[seq] = row
        self.memory_bytes += row.size

    def drop(self, seq: int) -> None:
        """Hold the row no more; the file forgets it at the next ``commit``."""
        row = self.in_memory.pop(seq, None)
        if row is None:
            self._removed.append(seq)
            self.in_file -= 1
        else:
            self.memory_bytes -= row.size

    def fetch(self, seq: int) -> Row | None:
        """The row of an event that waits; None if the file failed at this read."""
        row = self.in_memory.get(seq)
        if row is not None:
            return row
        try:
            if self._file is None:
                raise DamagedError("no file")
            return self._file.read(seq)
        except DamagedError as error:
            self._give_up(f"the spool is damaged ({error})")
        except Exception as error:
            self._give_up(f"reading the spool failed ({error})")
        return None

    def note_attempts(self, seq: int, attempts: int) -> None:
        """Remember how often an event was handed out in vain, in the file too if that can be done now."""
        row, file = self.in_memory.get(seq), self._file
        if row is not None:
            self.in_memory[seq] = row._replace(attempts=attempts)
        elif file is not None and not self._trouble.is_paused:
            self._attempt(lambda: file.set_attempts(seq, attempts))

    def commit(self) -> None:
        """Write all changes to the file, and keep a journal beside it if there is to be one."""
        self._commit()
        if self._journal is not None and self._file is not None and self._file.has_wal:
            self._journal.keep_open(self._file.path)

    def _commit(self) -> None:
        """Write all changes to the file. Rows that it does not take stay in memory, to be tried again."""
        if not (self.in_memory or self._removed) or self._trouble.is_paused:
            return
        if self._file is None and not self.open_file():
            return
        file = self._file
        assert file is not None  # noqa: S101 - for the type checker
        self._used_at = self._clock()
        if self._removed:
            if not self._attempt(lambda: file.remove(self._removed)):
                return
            self._removed.clear()
        while self.in_memory:
            chunk = list(islice(self.in_memory.items(), CHUNK))
            if not self._attempt(lambda chunk=chunk: file.insert(chunk)):  # type: ignore[misc]
                return
            for seq, row in chunk:
                del self.in_memory[seq]
                self.memory_bytes -= row.size
            self.in_file += len(chunk)
            self._moved([seq for seq, _ in chunk])
        self._trouble.over()

    def unrecorded(self) -> int:
        """How many rows the file still holds although their events are settled."""
        return len(self._removed)

    # --- the file ------------------------------------------------------------------------------------------

    @property
    def path(self) -> Path | None:
        """The file, if there is one."""
        return self._file.path if self._file is not None else None

    def open_file(self) -> bool:
        """Have a file, a new one if need be; False where none can be had."""
        if self._file is not None:
            return True
        try:
            directory.prepare(self._place)
            self._names.sweep()
            use_orjson()
            self._file = self._new_file()
        except UnusableError as error:
            self._trouble.pause(f"no spool, so events wait in memory: {error}")
            return False
        except Exception as error:
            self._trouble.pause(f"no spool, so events wait in memory: can't write in {self._place} ({error})")
            return False
        if not self._file.has_wal:
            self._trouble.tell(
                "slow", f"{self._place} seems to be a network disk: a spool belongs on a local one"
            )
        return True

    def _new_file(self) -> SpoolFile:
        try:
            return SpoolFile.create(self._names.new(self._now()), cap_bytes=self._cap_bytes)
        except FileExistsError:  # another process sweeps, and came between our making the lock and locking it
            return SpoolFile.create(self._names.new(self._now()), cap_bytes=self._cap_bytes)

    def wants_a_look(self) -> bool:
        """Whether ``look_after_file`` has something to do: cheap, for callers outside the fork gate."""
        return self._clock() >= self._look_at

    def look_after_file(self) -> None:
        """Once a second: is the file still there; is it of any use?"""
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        if self._file is None:
            return
        if not self._file.is_in_place():
            self._give_up("the spool file was deleted or replaced")
        elif self._journal is not None and self._journal.is_open:
            self._journal.look()
        elif (
            not (self.in_file or self.in_memory)
            and now >= self._used_at + _IDLE_SECONDS
            and (self._journal is None or self._journal.close())  # an older segment may not be moved yet
        ):
            self._discard_file()

    def rest(self) -> None:
        """As ``close``, until the next call. But a journal and its file stay: the next log call writes there
        at once, and waits for no new ones."""
        if self._file is None or self._journal is None or not self._journal.is_open:
            self.close()
            return
        self._record_removed()
        if self._file is not None:
            self._file.rest()

    def close(self) -> None:
        """Delete the file if nothing in it is held; else it keeps its rows, and its lock while we live."""
        self._record_removed()
        if self._file is not None:
            has_unmoved = self._journal is not None and not self._journal.close()
            if self.in_file or has_unmoved:
                self._file.rest()
            else:
                self._discard_file()

    def _record_removed(self) -> None:
        if self._removed:
            self._trouble.try_again()
            self._commit()

    def abandon(self) -> None:
        """Leave the file as the end of the process leaves it; this object must not be used again."""
        if self._file is not None:
            self._file.abandon()

    # --- trouble -------------------------------------------------------------------------------------------

    def _attempt(self, write: Callable[[], None]) -> bool:
        """Write to the file; on failure save what can be saved, so that the tables in memory stay true."""
        try:
            write()
        except Exception as error:
            if self._is_full(error):
                self._trouble.pause(f"the spool takes no more, so events wait in memory ({error})")
                if not self.in_file:
                    self._discard_file()  # only settled rows are in it: their room is free now
            else:
                self._give_up(f"writing to the spool failed ({error})")
            return False
        return True

    def _is_full(self, error: Exception) -> bool:
        if any(text in str(error) for text in _FULL):
            return True
        try:
            return os.statvfs(self._place).f_bfree == 0
        except OSError:
            return False

    def _discard_file(self) -> None:
        if self._journal is not None:
            self._journal.close()  # what is not moved belongs to the next file
        if self._file is not None:
            self._file.discard()
            self._file = None
        self._removed.clear()

    def _give_up(self, why: str) -> None:
        """Go on with a new file: the rows of the old one that can be read go there, the others are lost.

        Afterwards no held row is in the old file any more, even if a later step fails.
        """
        old, self._file = self._file, None
        now = self._clock()
        if now < self._replaced_at + self._trouble.pause_seconds + _LOOK_SECONDS:
            self._trouble.pause(f"{why}; events wait in memory")  # the new one fares no better
        else:
            self._trouble.try_again()
            self._trouble.tell(f"replaced {now}", f"{why}; going on with a new file")
        self._replaced_at = now
        self._removed.clear()
        self.in_file = 0

        def read(seq: int) -> Row:
            if old is None:
                raise DamagedError("no file")
            return old.read(seq)

        lost = self._file_failed(read)
        self.commit()
        if lost:
            self._trouble.tell(f"lost {now}", f"{lost} event(s) in the spool were past reading")
        if old is not None:
            old.quarantine()
