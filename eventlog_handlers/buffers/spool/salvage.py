"""Reading what a dead process left, damaged or not. Nothing here decides what becomes of it.

File formats: https://www.sqlite.org/fileformat2.html, sections 1.3 (header) and 4 (WAL), read 2026-11-20.
"""

from __future__ import annotations

import contextlib
import struct
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from eventlog_handlers.buffers.spool.directory import Lock
from eventlog_handlers.buffers.spool.file import PAGE_BYTES, Row, SpoolFile, make_database

_LEAST_ROW_BYTES = 256  # no event is smaller: bounds how many rows a file can have held
_MOST_PROBES = 50_000
_WAL_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_FRAME_BYTES = _FRAME_HEADER_BYTES + PAGE_BYTES
_WAL_MAGIC = 0x377F0682  # the lowest bit set: checksums over big-endian words
_WAL_VERSION = 3_007_000
_MASK = 0xFFFFFFFF


class Orphan:
    """The file of a dead process, ours by its lock, read from its oldest row to its newest.

    *damaged* says that something in it was not what SQLite or we had written; such a file is not written to.
    *count_is_sure* says that the number of rows past reading can be told in spite of that.
    """

    def __init__(self, path: Path, lock: Lock) -> None:
        """Open it, mended as far as need be; raises OSError or sqlite3.Error if that can't be done."""
        self.path = path
        self.damaged = False
        self.at_end = False
        self.count_is_sure = True
        self._least_missing = 0
        self._good = 0
        self._bad = 0
        self._top = 0  # the sequence number of the last good row
        self._bad_past_top = 0
        self._rows = self._walk()
        try:
            self.damaged = repair_wal(Path(f"{path}-wal"))
            self._file = self._open(lock)
        except BaseException:
            lock.let_go()
            raise

    def _open(self, lock: Lock) -> SpoolFile:
        file = SpoolFile.open(self.path, lock)
        try:
            self.rows = len(file)
        except Exception:
            # Either the tree is damaged, or the page all trees start from, which is the same in every file.
            self.damaged = True
            file.rest()
            transplant_first_page(self.path)
            file = SpoolFile.open(self.path, lock)
            self.rows = 0
            with contextlib.suppress(Exception):
                self.rows = len(file)
        self._removed, self._removed_top = 0, 0
        try:
            self._removed, self._removed_top = file.removed()
        except Exception:
            self.damaged = True
            self.count_is_sure = False
        return file

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
        """Rows taken are safe elsewhere: forget them here, so that nobody delivers them again."""
        if rows and not self.damaged:
            try:
                self._file.remove([seq for seq, _ in rows])
            except Exception:
                self.damaged = True  # or the disk is full; either way it is past writing

    def end(self) -> int:
        """Done with it: delete it, or put it aside if damaged. Returns how many rows were past reading.

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


def transplant_first_page(path: Path) -> None:
    """Give *path*, and its WAL, the first page of a new database: header and schema are always the same."""
    with tempfile.TemporaryDirectory() as temporary:
        donor = Path(temporary) / "new.spool"
        connection = make_database(donor)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
        page = bytearray(donor.read_bytes()[:PAGE_BYTES])
    page[92:96] = (
        b"\xff\xff\xff\xff"  # makes SQLite ignore the number of pages written there, which is another's
    )
    with path.open("r+b") as file:
        file.write(page)
    repair_wal(Path(f"{path}-wal"), first_page=bytes(page))


def repair_wal(path: Path, *, first_page: bytes | None = None) -> bool:
    """Make SQLite read a WAL to its last commit although bytes in it were changed; True if they were.

    SQLite stops in silence at the first frame whose checksum is wrong, whatever was committed after it. Here
    checksums are made anew up to the last commit that is itself sound, for what follows that one is what a
    process was writing when it was killed. What is wrong inside a page shows in its rows. *first_page* takes
    the place of every copy of page 1.
    """
    try:
        wal = bytearray(path.read_bytes())
    except OSError:
        return False
    frames = range(_WAL_HEADER_BYTES, len(wal) - _FRAME_BYTES + 1, _FRAME_BYTES)
    if not frames:
        return False
    order, is_right = _repair_header(wal, frames)
    sound = [start for start in frames if _is_sound(wal, start, order)]
    commits = [start for start in sound if _word(wal, start + 4)]
    if not commits:
        return False  # nothing was ever committed to it
    last = commits[-1]
    is_right = is_right and sum(start <= last for start in sound) == 1 + frames.index(last)
    if is_right and first_page is None:
        return False
    pages = max(_word(wal, start + 4) for start in commits)
    running = _word(wal, 24), _word(wal, 28)
    for start in range(_WAL_HEADER_BYTES, last + 1, _FRAME_BYTES):
        body = slice(start + _FRAME_HEADER_BYTES, start + _FRAME_BYTES)
        if first_page is not None and _word(wal, start) == 1:
            wal[body] = first_page
        if not 0 < _word(wal, start) <= pages + 1:
            # A page number past the end is read by nobody; 0 would end the WAL here.
            struct.pack_into(">I", wal, start, pages + 1)
        running = _checksum(wal[start : start + 8] + wal[body], running, order)
        wal[start + 8 : start + _FRAME_HEADER_BYTES] = wal[16:24] + struct.pack(">2I", *running)
    path.write_bytes(wal)
    return not is_right


def _is_sound(wal: bytearray, start: int, order: str) -> bool:
    """Whether the frame is as it was written, going by the checksum written in the frame before it."""
    if wal[start + 8 : start + 16] != wal[16:24]:
        return False  # of an older generation of this WAL, or damaged
    before = 24 if start == _WAL_HEADER_BYTES else start - _FRAME_BYTES + 16
    frame = wal[start : start + 8] + wal[start + _FRAME_HEADER_BYTES : start + _FRAME_BYTES]
    made = _checksum(frame, (_word(wal, before), _word(wal, before + 4)), order)
    return made == (_word(wal, start + 16), _word(wal, start + 20))


def _repair_header(wal: bytearray, frames: range) -> tuple[str, bool]:
    """The byte order of the checksums, and whether the header was right; afterwards it is."""
    magic = _word(wal, 0)
    order = ">" if magic == _WAL_MAGIC | 1 else "<"
    if magic | 1 == _WAL_MAGIC | 1 and _checksum(wal[:24], (0, 0), order) == struct.unpack_from(
        ">2I", wal, 24
    ):
        return order, True
    salts = Counter(bytes(wal[start + 8 : start + 16]) for start in frames).most_common(1)[0][0]
    struct.pack_into(">4I", wal, 0, _WAL_MAGIC | (order == ">"), _WAL_VERSION, PAGE_BYTES, 0)
    wal[16:24] = salts
    struct.pack_into(">2I", wal, 24, *_checksum(wal[:24], (0, 0), order))
    return order, False


def _word(wal: bytearray, offset: int) -> int:
    return int.from_bytes(wal[offset : offset + 4], "big")


def _checksum(piece: bytes | bytearray, running: tuple[int, int], order: str) -> tuple[int, int]:
    """SQLite's WAL checksum, carried on from *running*."""
    words = struct.unpack(f"{order}{len(piece) // 4}I", piece)
    sum1, sum2 = running
    for one, two in zip(words[::2], words[1::2], strict=True):
        sum1 = (sum1 + one + sum2) & _MASK
        sum2 = (sum2 + two + sum1) & _MASK
    return sum1, sum2
