"""The journal: where ``durability="commit"`` leaves an event before its log call returns.

A file beside the SQLite file, mapped into memory, and written by the threads that log. A worker's thread then
puts the events into the SQLite file and marks them as moved. What the page cache holds outlives the process,
however it ends; as with the SQLite file, a power failure may take back the last moments.

Why a log call may write here and not into SQLite: ``mmap.write`` copies a record and moves the position on
within one step of the interpreter. No Ctrl-C, signal handler or other thread comes in between, so no lock is
needed. It is no system call either: the thread keeps the GIL, and need not wait to get it back.
The blocks of the file are taken up when it is made: a page that can't be had later would kill the process.
For the same reason there is no journal where a changed block goes to a new place (process/mounts.py).

    header   8 bytes MAGIC, 8 bytes the offset up to which all is moved (little-endian), zeros up to 64
    record   length of the body, checksum, put time, severity, 16 bytes event id, then the body as in a Row
    end      a length of 0

Records stand in the order in which their captures wait in the intake. So where one is moved, all before it
are moved or dropped. A full segment is not written again: a new one takes its place, and it is deleted once
all of it is moved.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import sys
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import compress
from pathlib import Path
from typing import NamedTuple, TypeVar

from eventlog_handlers.buffers.spool import directory
from eventlog_handlers.buffers.spool.directory import UnusableError
from eventlog_handlers.buffers.spool.event_rows import row_of
from eventlog_handlers.buffers.spool.file import Row
from eventlog_handlers.events import Event
from eventlog_handlers.process.mounts import danger_of_mapping

SEGMENT_BYTES = 2 << 20
MAGIC = b"EVLJRNL1"
_FIRST = 64  # offset of the first record
_MOVED = struct.Struct("<Q")
_MOVED_AT = 8
_HEAD = struct.Struct("<II")  # length of the body, checksum of all that follows
_FIELDS = struct.Struct("<dq16s")  # put time, severity, event id
_BODY = _HEAD.size + _FIELDS.size
_AGAIN_SECONDS = 5.0  # after a journal could not be made

T = TypeVar("T")


class Record(NamedTuple):
    """One event of a journal."""

    end: int
    """Offset behind it."""
    id: bytes
    row: Row


def record_of(row: Row, event_id: bytes) -> bytes:
    """*row* as it stands in the file."""
    rest = _FIELDS.pack(row.put_time, row.severity, event_id) + row.body
    return _HEAD.pack(len(row.body), zlib.crc32(rest)) + rest


def unmoved(content: bytes) -> tuple[list[Record], int]:
    """The events in a journal's *content* that were not moved, and how many are past reading.

    The last record may be half written: its process was killed within a log call that never returned. That is
    no loss. A record that others follow was whole once.
    """
    if content[: len(MAGIC)] != MAGIC:
        return [], int(any(content))
    records, damaged = [], 0
    (at,) = _MOVED.unpack_from(content, _MOVED_AT)
    at = max(at, _FIRST)
    while (end := _end_of(content, at)) is not None:
        _, written = _HEAD.unpack_from(content, at)
        rest = content[at + _HEAD.size : end]
        if zlib.crc32(rest) == written:
            put_time, severity, event_id = _FIELDS.unpack_from(rest)
            records.append(Record(end, event_id, Row(severity, put_time, 0, rest[_FIELDS.size :])))
        elif _end_of(content, end) is not None:
            damaged += 1
        at = end
    return records, damaged


def _end_of(content: bytes | mmap.mmap, at: int) -> int | None:
    """The offset behind the record at *at*; None where none begins there, or it would not fit."""
    if at + _BODY > len(content):
        return None
    length, _ = _HEAD.unpack_from(content, at)
    end = at + _BODY + int(length)
    return end if length and end <= len(content) else None


class Segment:
    """One mapped file. The threads that log use ``write`` alone."""

    def __init__(self, path: Path) -> None:
        """Make it; raises OSError, UnusableError."""
        danger = danger_of_mapping(str(path.parent))
        if danger:
            raise UnusableError(danger)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, SEGMENT_BYTES)
            self._memory = mmap.mmap(descriptor, SEGMENT_BYTES)
            self._writer = mmap.mmap(descriptor, SEGMENT_BYTES)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        self.path = path
        self._memory[: len(MAGIC)] = MAGIC
        self._set_moved(_FIRST)
        self._writer.seek(_FIRST)
        self.write: Callable[[bytes], int] = self._writer.write
        """Append a record; raises ValueError where it does not fit or the segment is closed."""
        self._identity = directory.file_identity(path)
        self._read_to = self.moved_to = _FIRST
        self._ends: dict[bytes, int] = {}
        """By event id: where the record of an event ends that was not moved yet."""

    def _set_moved(self, end: int) -> None:
        self.moved_to = end
        self._memory[_MOVED_AT : _MOVED_AT + _MOVED.size] = _MOVED.pack(end)

    def moved(self, ids: Iterable[bytes]) -> None:
        """Events with these *ids* are in the SQLite file or dropped; other events may be among them."""
        self._read()
        ends = [end for one in ids if (end := self._ends.pop(one, None)) is not None]
        if ends:
            self._set_moved(max(self.moved_to, *ends))
            if self.moved_to == self._read_to:
                self._ends.clear()  # those that the intake dropped

    def _read(self) -> None:
        memory, at = self._memory, self._read_to
        while (end := _end_of(memory, at)) is not None:
            _, _, event_id = _FIELDS.unpack_from(memory, at + _HEAD.size)
            self._ends[event_id] = end
            at = end
        self._read_to = at

    def waiting(self) -> int:
        """How many events are not moved."""
        self._read()
        return sum(end > self.moved_to for end in self._ends.values())

    def is_half_full(self) -> bool:
        """Whether it is time for another one."""
        self._read()
        return self._read_to > SEGMENT_BYTES // 2

    def is_in_place(self) -> bool:
        """Whether its name still leads to it."""
        return directory.file_identity(self.path) == self._identity

    def close(self) -> None:
        """Take no more records. What ``write`` took before is complete, and its capture in the intake."""
        self._writer.close()

    def rename(self, path: Path) -> None:
        """Belong to another spool file."""
        self.path.rename(path)
        self.path = path

    def discard(self) -> None:
        """Delete the file."""
        self.close()
        self._memory.close()
        if self.is_in_place():
            self.path.unlink(missing_ok=True)


def _closed(record: bytes) -> int:
    raise ValueError("there is no journal")


class Journal:
    """The journal of one process. ``is_open`` and ``put`` belong to the threads that log; they take no lock.

    All else is for one thread at a time, as is the buffer's. *now* gives wall time. *tell(key, text)* is told
    of trouble; without a journal a log call waits for a thread that writes into the SQLite file.
    """

    def __init__(self, now: Callable[[], float], tell: Callable[[str, str], None]) -> None:
        self._now = now
        self._tell = tell
        self._write: Callable[[bytes], int] = _closed
        self._active: Segment | None = None
        self._full: list[Segment] = []  # oldest first; written no more, and not all of it moved
        self._path: Path | None = None  # of the spool file
        self._number = 0
        self._again_at = float("-inf")

    # --- the threads that log ------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether ``put`` may take something."""
        return self._write is not _closed

    def put(self, event: Event, id_bits: int, captured: T, captures: deque[T]) -> bool:
        """Write *event* and append *captured*, of which it was made, to *captures*: both or none.

        *id_bits* is the id that ``moved`` will name.

        False where there is no journal or no room in it.
        """
        record = record_of(row_of(event, self._now()), id_bits.to_bytes(16, "big"))
        try:
            # One step, all of it in C: map writes, compress gives what stands for a record that was written.
            captures.extend(compress((captured,), map(self._write, (record,))))
        except ValueError:
            return False
        return True

    # --- the worker's threads ------------------------------------------------------------------------------

    def keep_open(self, path: Path) -> None:
        """Have a journal beside the spool file at *path*, if one can be had."""
        if self._path == path and self._active is not None:
            return
        if self._path != path:
            self.close()
            self._path = path
            for segment in self._full:  # their spool file is given up, and they are ours still
                with contextlib.suppress(OSError):
                    segment.rename(self._new_path())
        if self._now() >= self._again_at:
            self._begin()

    def _new_path(self) -> Path:
        assert self._path is not None  # noqa: S101 - for the type checker
        self._number += 1
        return self._path.with_name(f"{self._path.stem}.{self._number:06d}.journal")

    def _begin(self) -> None:
        """Write to a new segment from now on."""
        segment = None
        try:
            segment = Segment(self._new_path())
        except Exception as error:  # a full disk, a file system that can't be mapped
            self._again_at = self._now() + _AGAIN_SECONDS
            self._tell("journal", f"no journal, so log calls wait for a thread that writes: {error}")
        before, self._active = self._active, segment
        self._write = _closed if segment is None else segment.write
        if before is not None:
            before.close()
            self._full.append(before)

    def moved(self, ids: Iterable[int]) -> None:
        """Captures with these *ids* have left the intake: their events are in the SQLite file, or dropped."""
        names = [number.to_bytes(16, "big") for number in ids]
        for segment in self._segments():
            segment.moved(names)
        self._tidy()
        if self._active is not None and self._active.is_half_full():
            self._begin()

    def look(self) -> None:
        """Once a second: begin anew where the file was deleted."""
        if self._active is not None and not self._active.is_in_place():
            self._begin()

    def waiting(self) -> int:
        """How many events are in the journal and not in the SQLite file."""
        return sum(segment.waiting() for segment in self._segments())

    def close(self) -> bool:
        """Take no more until ``keep_open``; delete what is moved. Whether nothing is left."""
        segment, self._active = self._active, None
        self._write = _closed
        if segment is not None:
            segment.close()
            self._full.append(segment)
        self._tidy()
        return not self._full

    def _tidy(self) -> None:
        left = [segment for segment in self._full if segment.waiting()]
        for segment in self._full:
            if segment not in left:
                with contextlib.suppress(OSError):
                    segment.discard()
        self._full = left

    def _segments(self) -> Iterator[Segment]:
        yield from self._full
        if self._active is not None:
            yield self._active


def is_safe_here() -> bool:
    """Whether ``mmap.write`` is one step: with the GIL. And whether blocks of a file can be taken up."""
    has_gil: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    return has_gil() and hasattr(os, "posix_fallocate")
