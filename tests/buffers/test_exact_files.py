"""Exact tables of directory, lock, file and row: each value of a table is one edge, each fault one branch."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sqlite3
import stat
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from test_edges import EPOCH, row
from test_spool import events, files, spool

from eventlog_handlers.buffers.spool import directory
from eventlog_handlers.buffers.spool import file as spoolfile
from eventlog_handlers.buffers.spool.buffer import CAP_BYTES, MAX_AGE_SECONDS
from eventlog_handlers.buffers.spool.directory import Lock, Names
from eventlog_handlers.buffers.spool.event_rows import event_of, row_of
from eventlog_handlers.buffers.spool.file import SpoolFile
from eventlog_handlers.testing import make_event


def open_files() -> set[tuple[int, int, int]]:
    """The descriptors of files and directories in this process, each with the file it leads to.

    Compared with ``<=``: what earlier tests left may be collected at any moment.
    """
    found = set()
    for entry in list(Path("/dev/fd").iterdir()):
        with contextlib.suppress(OSError):  # the one that reads the directory is closed by now
            status = os.fstat(int(entry.name))
            if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
                found.add((int(entry.name), status.st_dev, status.st_ino))
    return found


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock *path*."""
    lock = Lock.take(path, new=False)
    if lock is not None:
        lock.let_go()
    return lock is not None


# --- the directory ---------------------------------------------------------------------------------------


def test_names_are_made_of_destination_version_age_process_and_chance(tmp_path: Path) -> None:
    """The age in microseconds, of 17 digits, and none before the epoch."""
    made = [Names(tmp_path, "x").new(moment).name for moment in (-5.0, 0.0, 0.5, 1_790_000_000.25)]

    ages = [0, 0, 500_000, 1_790_000_000_250_000]
    for name, age in zip(made, ages, strict=True):
        assert re.fullmatch(rf"[0-9a-f]{{16}}-v1-{age:017d}-{os.getpid()}-[0-9a-f]{{8}}\.spool", name), name


def test_looking_at_a_directory_and_sweeping_it_leave_no_descriptor_open(tmp_path: Path) -> None:
    """Locks without a file are deleted, those that a process holds are not."""
    names = Names(tmp_path, "x")
    held = Lock.take(names.new(1.0).with_suffix(".lock"), new=True)
    names.new(2.0).with_suffix(".lock").touch()
    before = open_files()

    directory.prepare(tmp_path)
    names.sweep()

    assert open_files() <= before
    assert held is not None
    assert list(tmp_path.iterdir()) == [held.path]
    assert held.is_in_place()


@pytest.mark.parametrize("mode", [0o600, 0o777, 0o601])
def test_any_mode_makes_a_regular_file(tmp_path: Path, mode: int) -> None:
    """Its type is what counts."""
    path = tmp_path / "x"
    path.touch()
    path.chmod(mode)

    assert directory.is_plain(path)


# --- locks -----------------------------------------------------------------------------------------------


def _held(path: Path, patch: pytest.MonkeyPatch) -> None:
    Lock.take(path, new=False)


def _replaced(path: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lock, "is_in_place", lambda lock: False)


def _refused(path: Path, patch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    patch.setattr(fcntl, "flock", refuse)


@pytest.mark.parametrize("deed", [_held, _replaced, _refused])
def test_a_lock_that_can_not_be_had_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deed: Any
) -> None:
    """Another has it, its owner deleted it just now, or the file system has none."""
    with monkeypatch.context() as patched:
        deed(tmp_path / "x.lock", patched)
        before, known = open_files(), set(directory._locks)
        with pytest.raises(OSError, match="No locks") if deed is _refused else contextlib.nullcontext():
            assert Lock.take(tmp_path / "x.lock", new=False) is None
        assert directory._locks == known
        assert open_files() <= before


def test_a_new_lock_is_refused_where_a_file_has_its_name(tmp_path: Path) -> None:
    """Free or not: it is another's, or was."""
    (tmp_path / "x.lock").touch()

    with pytest.raises(FileExistsError):
        Lock.take(tmp_path / "x.lock", new=True)
    with pytest.raises(FileExistsError):
        SpoolFile.create(tmp_path / "x.spool", cap_bytes=1)

    assert files(tmp_path) == ["lock"]
    assert is_free(tmp_path / "x.lock")


def test_a_process_that_was_forked_gives_up_inherited_locks_with_its_first_own(tmp_path: Path) -> None:
    """Also where the hook after a fork did not run, as under uWSGI."""
    inherited = Lock.take(tmp_path / "a.lock", new=True)
    assert inherited is not None
    assert not inherited.is_inherited()
    inherited._pid = -1

    own = Lock.take(tmp_path / "b.lock", new=True)

    assert own is not None
    assert is_free(tmp_path / "a.lock")
    assert not is_free(tmp_path / "b.lock")
    assert directory._locks == {own}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_uses_no_spool_keeps_no_lock_of_its_parent(tmp_path: Path) -> None:
    """A worker that never logs outlives its parent: the parent's file is free all the same."""
    lock = Lock.take(tmp_path / "x.lock", new=True)
    assert lock is not None
    (ready, is_ready), (wait, end) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.close(end)
        os.write(is_ready, b".")
        os.read(wait, 1)  # until the parent closes the other end
        os._exit(0)

    try:
        assert os.read(ready, 1) == b"."
        lock.let_go()

        assert is_free(tmp_path / "x.lock")
    finally:
        os.close(end)
        os.waitpid(child, 0)
        for descriptor in (ready, is_ready, wait):
            os.close(descriptor)


def test_a_lock_on_descriptor_zero_is_let_go_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that closed its standard input opens its next file there."""
    lock = Lock.take(tmp_path / "x.lock", new=True)
    assert lock is not None
    lock.let_go()
    lock._descriptor = 0
    closed: list[int] = []

    with monkeypatch.context() as patched:
        patched.setattr(os, "close", closed.append)
        lock.let_go()
        lock.let_go()

    assert closed == [0]


# --- the file --------------------------------------------------------------------------------------------


def test_the_defaults_are_as_documented() -> None:
    """64 MiB and 48 hours."""
    assert (CAP_BYTES, MAX_AGE_SECONDS) == (67_108_864, 172_800.0)
    assert row(b"x" * 50).size == 150


@pytest.mark.parametrize(
    ("cap_bytes", "pages"), [(1, 16), (16 * 4096, 16), (17 * 4096, 17), (100 * 4096 - 1, 99)]
)
def test_a_file_has_as_many_pages_as_its_cap_and_never_less_than_16(
    tmp_path: Path, cap_bytes: int, pages: int
) -> None:
    """And who waits for it waits a fifth of a second; making it waits for no disk."""
    file = SpoolFile.create(tmp_path / "x.spool", cap_bytes=cap_bytes)

    assert file._database.execute("PRAGMA max_page_count").fetchone() == (pages,)
    assert file._database.execute("PRAGMA busy_timeout").fetchone() == (200,)
    assert (tmp_path / "x.spool").stat().st_mode & 0o777 == 0o600
    made = spoolfile.make_database(tmp_path / "y.spool")
    assert made.execute("PRAGMA synchronous").fetchone() == (0,)
    made.close()


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_without_a_wal_the_file_is_locked_and_has_a_journal(tmp_path: Path, mode: str) -> None:
    """A network disk lacks the shared memory that a WAL needs."""
    file = SpoolFile.create(tmp_path / "x.spool", cap_bytes=1 << 20)
    said: list[str] = []

    class Database:
        def execute(self, statement: str) -> Any:
            said.append(statement.removeprefix("PRAGMA "))
            return self

        def fetchone(self) -> tuple[str]:
            return (mode,)

    file._set_up(Database())  # type: ignore[arg-type]

    extra = [] if mode == "wal" else ["locking_mode=EXCLUSIVE", "journal_mode=TRUNCATE"]
    rest = ["synchronous=NORMAL", "max_page_count=256", "journal_size_limit=4194304"]
    assert said == ["journal_mode=WAL", *extra, *rest]
    assert file.has_wal == (mode == "wal")


@pytest.mark.parametrize("gone", ["", ".spool", ".lock", ".spool-wal"])
@pytest.mark.parametrize("rests", [False, True])
def test_a_file_is_in_place_while_all_its_parts_are(tmp_path: Path, gone: str, rests: bool) -> None:
    """A file that rests has no WAL."""
    file = SpoolFile.create(tmp_path / "x.spool", cap_bytes=1 << 20)
    file.insert([(1, row())])
    if rests:
        file.rest()

    if gone:
        (tmp_path / f"x{gone}").unlink(missing_ok=rests)

    assert file.is_in_place() == (not gone or (rests and gone == ".spool-wal"))


@pytest.mark.parametrize("deed", ["discard", "quarantine", "let_go"])
def test_a_file_that_is_done_with_is_closed_and_free(tmp_path: Path, deed: str) -> None:
    """Deleted, put aside or left to the next process; in each case nothing stays open."""
    before = open_files()
    file = SpoolFile.create(tmp_path / "x.spool", cap_bytes=1 << 20)
    file.insert([(1, row())])

    getattr(file, deed)()

    assert open_files() <= before
    assert files(tmp_path) == {"discard": [], "quarantine": ["spool.bad"], "let_go": ["lock", "spool"]}[deed]
    assert is_free(tmp_path / "x.lock")


def test_a_file_that_can_not_be_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a part of it, nor its lock, nor a descriptor."""
    before = open_files()

    def full(file: SpoolFile, connection: sqlite3.Connection) -> None:
        connection.close()
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(SpoolFile, "_set_up", full)
        with pytest.raises(sqlite3.OperationalError):
            SpoolFile.create(tmp_path / "x.spool", cap_bytes=1)

    assert files(tmp_path) == []
    assert directory._locks == set()
    assert open_files() <= before


def test_any_thread_may_use_the_file_and_no_collector_closes_it(tmp_path: Path) -> None:
    """One reference is given away until this process has closed the connection itself."""
    file = SpoolFile.create(tmp_path / "x.spool", cap_bytes=1 << 20)
    counted: list[int] = []
    thread = threading.Thread(target=lambda: counted.append(len(file)))
    thread.start()
    thread.join(30)
    assert counted == [0]

    connection, other = file._connection, sqlite3.connect(":memory:")
    while_open = sys.getrefcount(connection) - sys.getrefcount(other)
    file.rest()
    other.close()
    afterwards = sys.getrefcount(connection) - sys.getrefcount(other)

    assert (while_open, afterwards) == (2, 0)  # that of the file itself, and the one given away


# --- rows ------------------------------------------------------------------------------------------------


def test_a_row_is_as_small_as_its_event_allows() -> None:
    """Letters as UTF-8, a template that is the message only once, also where a value is unfit for JSON."""
    plain, unfit = make_event("größer"), make_event("größer", attributes={"a": {1, "é"}})
    other = make_event("größer", template="%s")

    for event in (plain, unfit, other):
        body = row_of(event, EPOCH).body
        assert "größer".encode() in body
        assert (b'"template"' in body) == (event is other)
        found = event_of(row_of(event, EPOCH))
        assert found is not None
        assert found.template == event.template
    assert "é".encode() in row_of(unfit, EPOCH).body
    assert row_of(plain, EPOCH)[:3] == (1, EPOCH, 0)


def test_an_event_is_put_into_the_file_by_the_fast_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """orjson, where it is installed: it is looked for when the file is made."""
    from eventlog_handlers.buffers.spool import rows

    asked: list[bool] = []
    monkeypatch.setattr(rows, "use_orjson", lambda: asked.append(True))
    buffer = spool(tmp_path)

    buffer.put(events(1))
    buffer.put(events(1))

    assert asked == [True]
