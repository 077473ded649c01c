"""Reads a spool directory from outside: lists waiting events, and touches no file that a process uses.

SQLite's WAL files can be corrupted where two processes have one open (see ``file``), so a copy is read here.
A copy that was made while the owner moved pages is noticed, and made again.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from eventlog_handlers.buffers.spool import directory
from eventlog_handlers.buffers.spool.absorb import absorb, records_of
from eventlog_handlers.buffers.spool.directory import SCHEMA, Lock
from eventlog_handlers.buffers.spool.event_rows import event_of
from eventlog_handlers.buffers.spool.file import SpoolFile
from eventlog_handlers.events import Event

_NAME = re.compile(
    r"(?P<destination>[0-9a-f]{16})-(?P<schema>v\d+)-(?P<micros>\d+)-(?P<pid>\d+)-[0-9a-f]+\.spool(?P<bad>\.bad)?"
)
_TRIES = 20
_WAL_HEADER_BYTES = 32


class Waiting(NamedTuple):
    """An event at rest."""

    event: Event
    put_time: float
    """Wall time in seconds when it was put into the spool."""
    attempts: int
    """How often it was sent in vain."""


class SpoolEntry(NamedTuple):
    """One file of a spool directory."""

    path: Path
    destination: str
    """The hash that tells destinations apart: service, endpoint and address."""
    process_id: int
    """Of the process that made it."""
    state: str
    """``in use``: its process lives; ``left``: it ended; ``damaged``: put aside; ``other version``."""
    bytes: int

    def read(self) -> tuple[list[Waiting], int]:
        """The events in it, oldest first, and the number of rows that can't be read.

        Raises OSError or sqlite3.Error.
        """
        if self.state == "other version":
            return [], 0
        ahead, damaged = records_of(self.path)  # first: an event that is moved meanwhile is found in the file
        waiting: list[Waiting] = []
        with _copy_of(self.path) as copy:
            file = SpoolFile.open(copy, _NoLock())
            try:
                for _, row in file.scan() if file.has_tables() else ():
                    event = None if row is None else event_of(row)
                    if row is None or event is None:
                        damaged += 1
                    else:
                        waiting.append(Waiting(event, row.put_time, row.attempts))
            finally:
                file.rest()
        known = {one.event.id for one in waiting}
        for record in ahead:
            event = event_of(record.row)
            if event is not None and event.id not in known:
                waiting.append(Waiting(event, record.row.put_time, 0))
        return waiting, damaged


def entries(place: Path) -> list[SpoolEntry]:
    """The spool files in *place*, oldest first; raises OSError where it can't be read."""
    found: list[SpoolEntry] = []
    for path in sorted(place.iterdir(), key=lambda path: path.name.split("-")[2:3]):
        name = _NAME.fullmatch(path.name)
        if name is None or not directory.is_plain(path):
            continue
        files = [Path(f"{path}{suffix}") for suffix in ("", *directory.SIDE_FILES)]
        size = sum(map(_size, [*files, *directory.journals_of(path)]))
        found.append(SpoolEntry(path, name["destination"], int(name["pid"]), _state(path, name), size))
    return found


def _state(path: Path, name: re.Match[str]) -> str:
    if name["bad"]:
        return "damaged"
    if name["schema"] != SCHEMA:
        return "other version"
    lock_path = path.with_suffix(".lock")
    if not lock_path.exists():
        return "left"
    lock = Lock.take(lock_path, new=False)
    if lock is None:
        return "in use"
    lock.let_go()
    return "left"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


class _NoLock(Lock):
    """For a copy: no other process knows it."""

    def __init__(self) -> None:
        self._descriptor = -1


@contextmanager
def _copy_of(path: Path) -> Iterator[Path]:
    """A consistent copy of a database and its WAL, deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="eventlog-spool-") as temporary:
        copy = Path(temporary) / "copy.spool"
        wal, wal_copy = Path(f"{path}-wal"), Path(f"{copy}-wal")
        for _ in range(_TRIES):
            before = _generation(path, wal)
            shutil.copyfile(path, copy)
            if wal.exists():
                shutil.copyfile(wal, wal_copy)
            elif wal_copy.exists():
                wal_copy.unlink()
            if _generation(path, wal) == before:
                break
        else:
            raise OSError(f"{path} changes faster than it can be copied")
        yield copy


def _generation(path: Path, wal: Path) -> object:
    """A value that changes where pages move from the WAL to the database, and not where the WAL grows."""
    status = path.stat()
    try:
        with wal.open("rb") as file:
            header = file.read(_WAL_HEADER_BYTES)
    except OSError:
        header = b""
    return status.st_ino, status.st_mtime_ns, status.st_size, header


def take_over(path: Path, destination: str) -> Path | None:
    """Have the file of an ended process belong to *destination*; its new path, None if its process lives.

    The next handler of that destination with this spool directory adopts it.
    """
    lock = Lock.take(path.with_suffix(".lock"), new=False)
    if lock is None:
        return None
    try:
        absorb(path, lock, destination)
        file = SpoolFile.open(path, lock)
        file.has_tables()
        file.rest()  # the last connection takes the WAL into the database
        if Path(f"{path}-wal").exists():
            raise OSError(f"the WAL of {path} can't be taken into it: is the disk full?")
        target = path.with_name(f"{destination}{path.name[len(destination) :]}")
        path.rename(target)
        lock.path.unlink(missing_ok=True)
        return target
    finally:
        lock.let_go()


def purge(path: Path) -> bool:
    """Delete the file of an ended process, or one put aside; False if its process lives."""
    if path.suffix == ".bad":
        directory.remove(path)
        return True
    lock = Lock.take(path.with_suffix(".lock"), new=False)
    if lock is None:
        return False
    try:
        for journal in directory.journals_of(path):
            journal.unlink(missing_ok=True)
        directory.remove(path)
        lock.path.unlink(missing_ok=True)
        return True
    finally:
        lock.let_go()


def to_line(waiting: Waiting) -> str:
    """One event as a line of JSON: the event's own fields, ``put_time`` and ``attempts``."""
    fields = {**waiting.event.to_json(), "put_time": waiting.put_time, "attempts": waiting.attempts}
    return json.dumps(fields, ensure_ascii=False)
