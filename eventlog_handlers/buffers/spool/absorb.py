"""Turns the journals of a dead process into a spool file, which is adopted like any other."""

from __future__ import annotations

import os
from pathlib import Path

from eventlog_handlers.buffers.spool import directory
from eventlog_handlers.buffers.spool.directory import Lock
from eventlog_handlers.buffers.spool.file import Row, SpoolFile
from eventlog_handlers.buffers.spool.journal import Record, unmoved


def records_of(path: Path) -> tuple[list[Record], int]:
    """The events in the journals of the spool file *path* that were not moved, and how many can't be read.

    Raises OSError.
    """
    records: list[Record] = []
    damaged = 0
    for journal in directory.journals_of(path):
        if directory.is_plain(journal):
            found, bad = unmoved(journal.read_bytes())
            records += found
            damaged += bad
    return records, damaged


def absorb(path: Path, lock: Lock, destination: str) -> int:
    """Move what the journals of *path* hold into a new spool file of *destination*, and delete them.

    *lock* is that of *path*, whose process is dead. Returns how many events could not be read. Raises OSError
    or sqlite3.Error, and then leaves the journals as they are. An event that its process had put into *path*
    and not marked as moved is left out.
    """
    journals = directory.journals_of(path)
    if not journals:
        return 0
    records, damaged = records_of(path)
    rows = [record.row for record in records]
    if rows:
        put = _bodies(path, lock)
        rows = [row for row in rows if row.body not in put]
    if rows:
        _write(path, destination, rows)
    for journal in journals:
        journal.unlink(missing_ok=True)
    return damaged


def _write(path: Path, destination: str, rows: list[Row]) -> None:
    age, process_id = path.stem.split("-")[2:4]
    name = f"{destination}-{directory.SCHEMA}-{age}-{process_id}-{os.urandom(4).hex()}.spool"
    file = SpoolFile.create(path.with_name(name), cap_bytes=(1 << 20) + 4 * sum(row.size for row in rows))
    try:
        file.insert(list(enumerate(rows, 1)))
    except BaseException:
        file.discard()
        raise
    file.let_go()


def _bodies(path: Path, lock: Lock) -> set[bytes]:
    """The events in the file itself, as far as it can be read."""
    found: set[bytes] = set()
    if not path.exists():
        return found
    try:
        file = SpoolFile.open(path, lock)
        try:
            if file.has_tables():
                found.update(row.body for _, row in file.scan() if row is not None)
        finally:
            file.rest()
    except Exception:  # a damaged file: then an event may be delivered twice, with one id
        return found
    return found
