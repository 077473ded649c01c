"""Exact tables of adoption, salvage and of the commands that look into a spool: each fault is one branch."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_edges import EPOCH, row
from test_exact_files import is_free, open_files
from test_spool import Reports, database, events, files, spool, take_all

from eventlog_handlers.buffers import Lost
from eventlog_handlers.buffers.spool import adoption as adoptions
from eventlog_handlers.buffers.spool import inspect as inspection
from eventlog_handlers.buffers.spool.directory import Lock, Names
from eventlog_handlers.buffers.spool.event_rows import event_of, row_of
from eventlog_handlers.buffers.spool.file import SpoolFile
from eventlog_handlers.buffers.spool.inspect import entries, purge, take_over, to_line
from eventlog_handlers.buffers.spool.salvage import Orphan
from eventlog_handlers.testing import ManualClock, make_event


def left(place: Path, count: int, **options: Any) -> Path:
    """The file of a process that ended with *count* events in it."""
    dead = spool(place, **options)
    dead.put(events(count))
    path = dead._rows.path
    assert path is not None
    dead.close()
    dead.abandon()
    return path


def change(path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(statement)


def settled(buffer: Any) -> list[str]:
    """The messages of all that *buffer* holds and adopts."""
    return [event.message for event in take_all(buffer)]


# --- when it is looked for, and how much at a time -------------------------------------------------------


@pytest.mark.parametrize(("seconds", "is_found"), [(179.0, False), (180.0, True)])
def test_files_of_dead_processes_are_looked_for_every_three_minutes(
    tmp_path: Path, seconds: float, is_found: bool
) -> None:
    """At the start, and from then on; not while the file is left alone."""
    clock = ManualClock()
    buffer = spool(tmp_path, clock)
    assert buffer.adopt() == 0
    left(tmp_path, 1, clock=clock)

    clock.advance(seconds)
    buffer._trouble.pause("a full disk")
    assert buffer.adopt() == 0
    buffer._trouble.try_again()

    assert buffer.adopt() == is_found
    assert buffer.adopt() == 0


@pytest.mark.parametrize(
    ("step", "slices"),
    [(0.0, [600, 0]), (0.02, [600, 0]), (0.05, [256, 256, 88, 0]), (1.0, [256, 256, 88, 0])],
)
def test_a_slice_of_adoption_takes_a_twentieth_of_a_second(
    tmp_path: Path, step: float, slices: list[int]
) -> None:
    """It runs under the lock of those who put: what is over is left to the next turn."""
    left(tmp_path, 600)
    buffer = spool(tmp_path)
    now = [0.0]

    def taken() -> Iterator[int]:
        for _ in slices:
            now[0] = 0.0
            yield buffer.adopt()

    take = Orphan.take

    def slow(orphan: Orphan, count: int) -> Any:
        now[0] += step
        return take(orphan, count)

    buffer._adoption._clock = lambda: now[0]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Orphan, "take", slow)
        seen = list(taken())

    assert seen == slices
    assert len(buffer) == 600


# --- no copy and no loss ---------------------------------------------------------------------------------


def test_an_heir_that_dies_between_two_slices_leaves_no_copy(tmp_path: Path) -> None:
    """What is in its own file is no longer in that of the first."""
    left(tmp_path, 300)
    heir = spool(tmp_path)
    ticks = iter(range(1_000))
    heir._adoption._clock = lambda: float(next(ticks))
    assert heir.adopt() == 256
    assert heir.state()["duplicates_possible"] == 0
    heir.abandon()

    assert len(settled(spool(tmp_path))) == 300


@pytest.mark.parametrize("way", ["next slice", "close"])
def test_rows_that_reach_the_file_late_are_settled_before_anything_else(tmp_path: Path, way: str) -> None:
    """The heir's disk was full for a moment: until then they are here and there, and said to be."""
    path = left(tmp_path, 300)
    heir = spool(tmp_path)
    commit = heir._rows.commit
    heir._rows.commit = lambda: None  # type: ignore[method-assign]
    assert heir.adopt() == 256
    assert heir.state()["duplicates_possible"] == 256
    assert heir.adopt() == 0
    heir._rows.commit = commit  # type: ignore[method-assign]
    heir._rows.commit()

    if way == "close":
        heir.close()
        assert heir.state()["duplicates_possible"] == 0
        assert is_free(path.with_suffix(".lock"))
        assert heir._adoption._orphan is None
    else:
        ticks = iter(range(1_000))
        heir._adoption._clock = lambda: float(next(ticks))
        assert heir.adopt() == 44
    heir.abandon()

    assert len(settled(spool(tmp_path))) == 300


def test_a_file_whose_events_were_all_acknowledged_is_no_loss(tmp_path: Path) -> None:
    """As many were removed as were there; it is deleted, with its lock."""
    dead = spool(tmp_path)
    dead.put(events(3))
    dead.ack(dead.lease(3))
    dead.abandon()
    reports = Reports()
    heir = spool(tmp_path, report=reports)

    assert heir.adopt() == 0

    heir.close()
    assert (heir.lost(), reports, files(tmp_path)) == ([], [], [])


# --- what can't be taken over is left as it is -----------------------------------------------------------


def _no_room(heir: Any, path: Path, patch: pytest.MonkeyPatch) -> None:
    heir.put(events(1))
    patch.setattr(heir._adoption, "_has_room", lambda rows, size: False)


def _no_file(heir: Any, path: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(heir._rows, "open_file", lambda: False)


def _unreadable_journal(heir: Any, path: Path, patch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError("unreadable")

    patch.setattr(adoptions, "absorb", refuse)


def _open_to_others(heir: Any, path: Path, patch: pytest.MonkeyPatch) -> None:
    heir.put(events(1))
    path.parent.chmod(0o777)


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        (_no_room, ""),
        (_no_file, ""),
        (_unreadable_journal, "unreadable"),
        (_open_to_others, "others may write"),
    ],
)
def test_a_file_that_is_not_taken_over_stays_free_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deed: Any, said: str
) -> None:
    """Said once where it is a fault; another process may take it at once."""
    path = left(tmp_path, 3)
    reports = Reports()
    heir = spool(tmp_path, report=reports)
    with monkeypatch.context() as patched:
        deed(heir, path, patched)

        assert heir.adopt() == 0

        assert heir._adoption._orphan is None
        assert is_free(path.with_suffix(".lock"))
        assert [said in text for text in reports] == ([True] if said else [])
    tmp_path.chmod(0o700)
    heir.abandon()
    assert len(settled(spool(tmp_path))) == 3 + (deed in (_no_room, _open_to_others))


def test_a_file_that_another_heir_deleted_meanwhile_leaves_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the listing of the directory and the lock."""
    gone = left(tmp_path, 1)
    heir = spool(tmp_path)
    gone.unlink()
    monkeypatch.setattr(heir._names, "listed", lambda: ([gone], []))
    monkeypatch.setattr(adoptions.directory, "is_plain", lambda path: True)
    before = open_files()

    assert heir.adopt() == 0

    assert files(tmp_path) == []
    assert open_files() <= before


# --- damaged files ---------------------------------------------------------------------------------------


def orphaned(path: Path) -> Orphan:
    lock = Lock.take(path.with_suffix(".lock"), new=False)
    assert lock is not None
    return Orphan(path, lock)


def test_rows_behind_damage_are_read_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first number not seen to the last, and no other; at least one is said to be missing."""
    path = left(tmp_path, 5)
    scan, read, asked = SpoolFile.scan, SpoolFile.read, []

    def torn(file: SpoolFile) -> Iterator[Any]:
        found = scan(file)
        yield next(found)
        yield next(found)
        raise sqlite3.DatabaseError("database disk image is malformed")

    def reading(file: SpoolFile, seq: int) -> Any:
        asked.append(seq)
        return read(file, seq)

    monkeypatch.setattr(SpoolFile, "scan", torn)
    monkeypatch.setattr(SpoolFile, "read", reading)
    reports = Reports()
    heir = spool(tmp_path, report=reports)

    assert heir.adopt() == 6

    assert heir.lost() == [Lost(None, None, "damaged")]
    assert (len(heir), asked) == (5, [3, 4, 5])
    assert reports == [f"{path} was damaged, at least 1 event(s) in it are past reading; kept as *.bad"]
    assert path.with_name(f"{path.name}.bad").exists()


def test_where_the_last_number_is_past_reading_the_size_bounds_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event is smaller than 256 bytes."""
    path = left(tmp_path, 3)
    asked: list[int] = []

    def malformed(file: SpoolFile, *_: int) -> Any:
        asked.extend(_)
        raise sqlite3.DatabaseError("database disk image is malformed")

    for method in ("scan", "read", "highest"):
        monkeypatch.setattr(SpoolFile, method, malformed)
    bound = path.stat().st_size // 256
    orphan = orphaned(path)

    assert orphan.take(9) == []

    assert (asked, orphan.rows, orphan.at_end) == (list(range(1, bound + 1)), 3, True)
    assert (orphan.damaged, orphan.count_is_sure, orphan.end()) == (True, False, 1)


def test_an_orphan_says_when_it_is_at_its_end(tmp_path: Path) -> None:
    """Not before the last row was asked for, though a damaged one yields nothing."""
    path = left(tmp_path, 3)
    change(path, "UPDATE event SET checksum = 0 WHERE seq = 1")
    orphan = orphaned(path)
    assert (orphan.rows, orphan.at_end, orphan.damaged, orphan.count_is_sure) == (3, False, False, True)

    seen = [(len(orphan.take(1)), orphan.at_end) for _ in range(4)]

    assert seen == [(0, False), (1, False), (1, False), (0, True)]
    assert orphan.damaged
    orphan.settle([(2, row()), (3, row())])
    assert len(orphan._file) == 3  # a damaged file is not written to
    assert orphan.end() == 1


def test_a_file_of_which_nothing_can_be_read_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even how many rows it has: at least one is missing."""
    path = left(tmp_path, 3)

    def malformed(file: SpoolFile) -> Any:
        raise sqlite3.DatabaseError("file is not a database")

    for method in ("has_tables", "scan", "highest"):
        monkeypatch.setattr(SpoolFile, method, malformed)
    orphan = orphaned(path)
    assert (orphan.rows, orphan.damaged, orphan.count_is_sure) == (0, True, False)

    assert [seq for seq, _ in orphan.take(9)] == [1, 2, 3]
    assert orphan.at_end
    orphan.settle([(1, row())])
    assert orphan.end() == 1


@pytest.mark.parametrize(
    ("statement", "missing", "is_sure"),
    [
        ("DELETE FROM event WHERE seq = 2; UPDATE removed SET count = 0, top = 0", 1, True),
        ("UPDATE removed SET top = 5", 2, True),
        ("UPDATE removed SET top = 5, count = 2", 0, True),
        ("UPDATE removed SET count = 4", 1, False),
        ("UPDATE removed SET count = 3", 0, True),
        ("UPDATE event SET checksum = 0 WHERE seq = 3; UPDATE removed SET top = 7", 5, True),
        ("UPDATE removed SET top = 1000000", None, True),
    ],
)
def test_the_missing_are_those_that_were_there_and_are_not(
    tmp_path: Path, statement: str, missing: int | None, is_sure: bool
) -> None:
    """The highest number ever, less those removed, less those read; no more than the file has room for."""
    path = left(tmp_path, 3)
    change(path, statement)
    bound = path.stat().st_size // 256
    orphan = orphaned(path)
    while not orphan.at_end:
        orphan.take(2)

    expected = bound if missing is None else missing
    assert (orphan.end(), orphan.count_is_sure) == (expected, is_sure)
    assert path.with_name(f"{path.name}.bad").exists() == bool(expected)
    assert not path.exists()


def test_a_file_that_can_not_be_opened_is_free_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock goes back with the error."""
    path = left(tmp_path, 1)

    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    with monkeypatch.context() as patched:
        patched.setattr(SpoolFile, "open", refuse)
        with pytest.raises(sqlite3.OperationalError):
            orphaned(path)

    assert is_free(path.with_suffix(".lock"))


# --- looking in from outside -----------------------------------------------------------------------------


def test_the_commands_list_files_by_age_whatever_their_destination(tmp_path: Path) -> None:
    """Other files are none of theirs; nothing is left open or locked."""
    first, second = sorted(
        (Names(tmp_path, str(number)) for number in range(9)), key=lambda one: one.destination
    )[:2]
    paths = [left(tmp_path, 1, identity="x", wall_clock=lambda at=at: EPOCH + at) for at in (3, 1, 2)]
    targets = [
        path.rename(path.with_name(f"{names.destination}{path.name[16:]}"))
        for path, names in zip(paths, (first, second, first), strict=True)
    ]
    for path in paths:
        path.with_suffix(".lock").unlink()
    targets[0].with_suffix(".lock").touch()
    (tmp_path / "notes.txt").touch()
    shutil.copy(targets[0], other := targets[0].with_name(targets[0].name.replace("-v1-", "-v9-")))
    (tmp_path / f"{targets[0].name}.bad").symlink_to(other)
    before = open_files()

    found = entries(tmp_path)

    assert {entry.path for entry in found[2:]} == {targets[0], other}
    assert [entry.path for entry in found[:2]] == [targets[1], targets[2]]
    assert {entry.path: entry.state for entry in found} == {
        **dict.fromkeys(targets, "left"), other: "other version",
    }  # fmt: skip
    assert {entry.process_id for entry in found} == {os.getpid()}
    assert [entry.bytes for entry in found] == [entry.path.stat().st_size for entry in found]
    reads = {entry.path: entry.read() for entry in found}
    assert [len(waiting) for waiting, _ in (reads[path] for path in targets)] == [1, 1, 1]
    assert reads.pop(other) == ([], 0)
    assert {damaged for _, damaged in reads.values()} == {0}
    assert open_files() <= before
    assert is_free(targets[0].with_suffix(".lock"))


def test_a_copy_made_while_the_wal_went_into_the_file_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, and without the WAL of the first try."""
    buffer = spool(tmp_path)
    buffer.put(events(3))
    path = database(tmp_path)
    copyfile, copied = shutil.copyfile, []

    def copying(source: Path, target: Path) -> Any:
        copyfile(source, target)
        copied.append(source.name.removeprefix(path.name))
        if len(copied) == 2:
            buffer.close()  # its last connection: the WAL goes into the file

    monkeypatch.setattr(shutil, "copyfile", copying)

    with inspection._copy_of(path) as copy:
        assert list(copy.parent.iterdir()) == [copy]
        assert copied == ["", "-wal", ""]
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("SELECT count(*) FROM event").fetchone() == (3,)


def test_a_file_that_changes_faster_than_it_is_copied_is_no_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given up after some tries, and said."""
    path = left(tmp_path, 1)
    ticks = iter(range(1_000))
    monkeypatch.setattr(inspection, "_generation", lambda path, wal: next(ticks))

    with pytest.raises(OSError, match="changes faster"):
        entries(tmp_path)[0].read()

    assert 30 < next(ticks) < 50
    assert path.exists()


def test_an_event_goes_out_as_a_readable_line(tmp_path: Path) -> None:
    """With when it was put and how often it was tried, in vain."""
    waiting = inspection.Waiting(make_event("größer"), 5.5, 2)

    line = to_line(waiting)

    assert "größer" in line
    assert json.loads(line) == {**waiting.event.to_json(), "put_time": 5.5, "attempts": 2}


@pytest.mark.parametrize("deed", [purge, lambda path: take_over(path, "0" * 16)])
def test_only_the_file_of_an_ended_process_is_purged_or_taken_over(tmp_path: Path, deed: Any) -> None:
    """A living one keeps its file; of an ended one neither lock nor descriptor is left."""
    living = spool(tmp_path)
    living.put(events(1))
    path = database(tmp_path)
    assert not deed(path)
    assert (path.exists(), len(living)) == (True, 1)
    living.close()
    living.abandon()
    before = open_files()

    done = deed(path)

    if done is True:
        assert files(tmp_path) == []
    else:
        assert done == path.with_name(f"{'0' * 16}{path.name[16:]}")
        assert files(tmp_path) == ["spool"]
    assert open_files() <= before


def test_a_row_and_its_event_are_the_same_thing() -> None:
    """What is no event is None, not an error."""
    event = make_event("a", 20)

    assert event_of(row_of(event, EPOCH)) == event
    assert event_of(row(b"[]")) is None
