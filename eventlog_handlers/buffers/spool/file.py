"""One SQLite file of the spool: rows in, rows out, under a lock. The meaning of a row is not known here.

WAL and synchronous=NORMAL: a commit outlives the process however it ends; a power failure may take back the
last ones (https://www.sqlite.org/pragma.html#pragma_synchronous, read 2026-11-20). One process, one
connection, one file, because SQLite before 3.51.3 can corrupt a WAL that two connections share
(https://www.sqlite.org/wal.html#walresetbug).
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from eventlog_handlers.buffers.spool import directory
from eventlog_handlers.buffers.spool.directory import Lock
from eventlog_handlers.process.fork import importing
from eventlog_handlers.process.mounts import danger_of_mapping

if TYPE_CHECKING:
    import sqlite3

PAGE_BYTES = 4096
_LEAST_PAGES = 16
_ROW_BYTES = 100  # of a row beside its body, in the file or in memory
_BUSY_SECONDS = 0.2  # only a person who reads the file with the sqlite3 shell can make us wait
_WAL_BYTES = 4 << 20
_URI = "file:{path}?mode=rw"  # rw: SQLite itself never makes a file, with a mode of its own
_SCHEMA = """
CREATE TABLE event (
    seq INTEGER PRIMARY KEY, severity INTEGER NOT NULL, put_time REAL NOT NULL, attempts INTEGER NOT NULL,
    checksum INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE removed (count INTEGER NOT NULL, top INTEGER NOT NULL);
INSERT INTO removed VALUES (0, 0);
CREATE TRIGGER count_removed AFTER DELETE ON event BEGIN
    UPDATE removed SET count = count + 1, top = max(top, OLD.seq);
END;
"""
_COLUMNS = "seq, severity, put_time, attempts, checksum, body"
_INSERT = f"INSERT INTO event ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants
_SELECT = f"SELECT {_COLUMNS} FROM event"  # noqa: S608 - constants


class DamagedError(Exception):
    """A row is missing, or is not as it was written."""


class Row(NamedTuple):
    """One event at rest."""

    severity: int
    put_time: float
    """Wall time in seconds when it was first put into a buffer."""
    attempts: int
    """How often it was leased in vain."""
    body: bytes
    """The event as JSON."""

    @property
    def size(self) -> int:
        """Bytes it takes, about."""
        return len(self.body) + _ROW_BYTES


class SpoolFile:
    """An open spool file and the lock that makes it ours.

    *top* is the highest sequence number ever inserted. The table ``removed`` holds *top* minus the number of
    rows that should be there, and the highest number removed, so that the process that adopts the file can
    tell how many are missing. It costs a put nothing.
    """

    def __init__(
        self, path: Path, lock: Lock, connection: sqlite3.Connection, *, cap_bytes: int | None
    ) -> None:
        self.path = path
        self.top = 0
        self._lock = lock
        self._connection: sqlite3.Connection | None = connection
        self._pid = os.getpid()
        self._cap_bytes = cap_bytes
        self._identity = directory.file_identity(path)
        self._has_wal = False

    @classmethod
    def create(cls, path: Path, *, cap_bytes: int) -> SpoolFile:
        """Make a new file at *path*, readable for its owner alone; raises OSError or sqlite3.Error."""
        lock = Lock.take(path.with_suffix(".lock"), new=True)
        if lock is None:
            raise FileExistsError(f"{path} belongs to another process")
        try:
            connection = make_database(path)
            file = cls(path, lock, connection, cap_bytes=cap_bytes)
            file._set_up(connection)
        except BaseException:
            with contextlib.suppress(OSError):
                directory.remove(path)
                lock.path.unlink()
            lock.let_go()
            raise
        return file

    @classmethod
    def open(cls, path: Path, lock: Lock) -> SpoolFile:
        """Open a dead process's file, to empty it."""
        return cls(path, lock, _connect(path), cap_bytes=None)

    def _set_up(self, database: sqlite3.Connection) -> None:
        if self._cap_bytes is None:
            return
        mode = database.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            # No shared memory here (a network disk): slower, and safe with a single connection.
            database.execute("PRAGMA locking_mode=EXCLUSIVE")
            database.execute("PRAGMA journal_mode=TRUNCATE")
        self._has_wal = mode == "wal"
        database.execute("PRAGMA synchronous=NORMAL")
        database.execute(f"PRAGMA max_page_count={max(_LEAST_PAGES, self._cap_bytes // PAGE_BYTES)}")
        database.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")

    @property
    def has_wal(self) -> bool:
        """Whether a commit costs no wait for the disk."""
        return self._has_wal

    @property
    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _connect(self.path)
            self._set_up(self._connection)
        return self._connection

    # --- rows; each of these raises sqlite3.Error ----------------------------------------------------------

    def insert(self, rows: Sequence[tuple[int, Row]]) -> None:
        """Commit *rows*, all or none."""
        records = [
            (seq, row.severity, row.put_time, row.attempts, checksum(seq, row), row.body) for seq, row in rows
        ]
        top = max(self.top, *[seq for seq, _ in rows])
        never_here = top - self.top - len(rows)
        if len(rows) == 1 and not never_here:
            self._database.execute(_INSERT, records[0])
        else:
            with self._transaction() as database:
                database.executemany(_INSERT, records)
                if never_here:
                    database.execute("UPDATE removed SET count = count + ?", (never_here,))
        self.top = top

    def remove(self, seqs: Sequence[int]) -> None:
        """Forget rows, all or none; those that are not there are no fault."""
        if len(seqs) == 1:
            self._database.execute("DELETE FROM event WHERE seq = ?", (seqs[0],))
        else:
            with self._transaction() as database:
                database.executemany("DELETE FROM event WHERE seq = ?", [(seq,) for seq in seqs])

    def set_attempts(self, seq: int, attempts: int) -> None:
        """Note how often an event was handed out in vain."""
        self._database.execute("UPDATE event SET attempts = ? WHERE seq = ?", (attempts, seq))

    def read(self, seq: int) -> Row:
        """One row; raises DamagedError too."""
        record = self._database.execute(f"{_SELECT} WHERE seq = ?", (seq,)).fetchone()
        if record is None or record[0] != seq:
            raise DamagedError(f"row {seq} is missing")
        return _row(record)

    def scan(self) -> Iterator[tuple[int, Row | None]]:
        """All rows, in order; None for one that is damaged. Raises where the tree itself is.

        A walk, not a search: a damaged key can't hide what follows. Rows passed may be removed meanwhile.
        """
        for record in self._database.execute(_SELECT):
            yield record[0], _row_or_none(record)

    def highest(self) -> int:
        """The highest sequence number there is, 0 without any."""
        found = self._database.execute("SELECT seq FROM event ORDER BY seq DESC LIMIT 1").fetchone()
        return int(found[0]) if found else 0

    def removed(self) -> tuple[int, int]:
        """The definition of the table of that name."""
        count, top = self._database.execute("SELECT count, top FROM removed").fetchone()
        return int(count), int(top)

    def has_tables(self) -> bool:
        """False for a file whose process was killed while it made it."""
        return bool(self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM event").fetchone()[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                with contextlib.suppress(Exception):  # the first error is the one to tell
                    database.execute("ROLLBACK")
            raise

    # --- the file; none of these raises --------------------------------------------------------------------

    def is_in_place(self) -> bool:
        """Whether the names still lead to what we have open."""
        return (
            directory.file_identity(self.path) == self._identity
            and self._lock.is_in_place()
            and (not self._has_wal or self._connection is None or self._exists("-wal"))
        )

    def rest(self) -> None:
        """Close the connection, keep the lock; the next use opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # a damaged file; what counts is committed already
                connection.close()
            if self._pid == os.getpid():
                _may_be_collected(connection)

    def discard(self) -> None:
        """Delete the file, and let it go."""
        self._end(directory.remove)

    def quarantine(self) -> None:
        """Put the file aside as ``*.bad``, and let it go."""
        self._end(directory.quarantine)

    def let_go(self) -> None:
        """Leave the file as it is to the process that adopts it."""
        self.rest()
        self._lock.let_go()

    def abandon(self) -> None:
        """In a forked child, or to play dead: never touch the connection again, not even to close it."""
        self._lock.let_go()

    def _end(self, dispose: Any) -> None:
        in_place = directory.file_identity(self.path) == self._identity
        self.rest()
        with contextlib.suppress(OSError):
            if in_place:  # else the name belongs to another process by now
                dispose(self.path)
        with contextlib.suppress(OSError):
            if self._lock.is_in_place():
                self._lock.path.unlink()
        self._lock.let_go()

    def _exists(self, suffix: str) -> bool:
        return directory.file_identity(Path(f"{self.path}{suffix}")) is not None


def make_database(path: Path) -> sqlite3.Connection:
    """An empty database in a new file of mode 0600; SQLite gives its side files the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    connection = _connect(path)
    connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
    connection.execute("PRAGMA synchronous=OFF")
    connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
    return connection


def checksum(seq: int, row: Row) -> int:
    """The checksum of a row. Attempts change, so they are not in it."""
    return zlib.crc32(row.body, zlib.crc32(struct.pack(">qqd", seq, row.severity, row.put_time)))


def _row(record: Iterable[Any]) -> Row:
    seq, severity, put_time, attempts, written, body = record
    try:
        row = Row(severity, put_time, attempts if isinstance(attempts, int) and attempts > 0 else 0, body)
        if checksum(seq, row) == written:
            return row
    except (TypeError, struct.error):
        pass  # a value of another type than was written
    raise DamagedError(f"row {seq} is damaged")


def _row_or_none(record: Iterable[Any]) -> Row | None:
    try:
        return _row(record)
    except DamagedError:
        return None


def _connect(path: Path) -> sqlite3.Connection:
    with importing():
        import sqlite3

    connection = sqlite3.connect(
        _URI.format(path=quote(str(path))),
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=_BUSY_SECONDS,
    )
    _never_collect(connection)
    if danger_of_mapping(str(path.parent)):
        # Where no other connection can come, SQLite keeps the index of its WAL in memory and maps no file.
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    return connection


def _never_collect(connection: sqlite3.Connection) -> None:
    """See to it that nothing but ``close`` closes *connection*.

    A forked child inherits the object, and its destructor there, at the latest when the child ends, would run
    SQLite's close on the parent's file. So one reference is given away, until ``_may_be_collected``.
    """
    _count_reference(connection, "Py_IncRef")


def _may_be_collected(connection: sqlite3.Connection) -> None:
    """Take back what ``_never_collect`` gave away: this process has closed the connection itself."""
    _count_reference(connection, "Py_DecRef")


def _count_reference(connection: sqlite3.Connection, change: str) -> None:
    try:
        import ctypes
    except ImportError:
        return  # an interpreter built without it; SQLite's own locks still hold the child off
    getattr(ctypes.pythonapi, change)(ctypes.py_object(connection))
