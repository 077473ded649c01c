"""Exact tables of the journal: its bytes, its segments, and what becomes of those of dead processes."""

from __future__ import annotations

import mmap
import os
import sqlite3
import struct
import zlib
from collections import deque
from pathlib import Path

import pytest
from test_edges import EPOCH
from test_exact_files import is_free, open_files
from test_journal import ids, opened, written
from test_spool import Reports, database, files, spool, take_all

from eventlog_handlers.buffers.spool import absorb as absorbing
from eventlog_handlers.buffers.spool import journal as journals
from eventlog_handlers.buffers.spool.absorb import records_of
from eventlog_handlers.buffers.spool.directory import Lock, journals_of
from eventlog_handlers.buffers.spool.event_rows import event_of
from eventlog_handlers.buffers.spool.file import Row, SpoolFile
from eventlog_handlers.buffers.spool.journal import Journal, Segment, record_of, unmoved
from eventlog_handlers.testing import ManualClock, make_event

pytestmark = pytest.mark.skipif(not journals.is_safe_here(), reason="needs the GIL and posix_fallocate")

SIZE = journals.SEGMENT_BYTES


def name_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def raw(body: bytes, number: int = 7) -> bytes:
    """A record, byte by byte as the format says."""
    rest = struct.pack("<dq", 5.5, 3) + name_of(number) + body
    return struct.pack("<II", len(body), zlib.crc32(rest)) + rest


def head(moved: int) -> bytes:
    return b"EVLJRNL1" + struct.pack("<Q", moved) + bytes(48)


# --- the bytes -------------------------------------------------------------------------------------------


def test_the_format_is_as_documented(tmp_path: Path) -> None:
    """Another version of this package reads it: header of 64 bytes, records, zeros."""
    segment = Segment(tmp_path / "x.journal")
    segment.write(record_of(Row(3, 5.5, 0, b"one"), name_of(7)))
    segment.write(record_of(Row(3, 5.5, 0, b"two"), name_of(8)))
    content = (tmp_path / "x.journal").read_bytes()

    whole = head(64) + raw(b"one") + raw(b"two", 8)
    assert content == whole.ljust(SIZE, b"\0")
    segment.moved([name_of(7)])
    after = (tmp_path / "x.journal").read_bytes()
    assert after[: len(whole)] == head(64 + 43) + raw(b"one") + raw(b"two", 8)
    assert (tmp_path / "x.journal").stat().st_mode & 0o777 == 0o600
    segment.discard()


@pytest.mark.parametrize(
    ("content", "bodies", "damaged"),
    [
        (head(64), [], 0),
        (head(64) + raw(b"a"), [b"a"], 0),
        (head(0) + raw(b"a"), [b"a"], 0),  # killed while it made the file
        (head(64 + 41) + raw(b"a") + raw(b"b"), [b"b"], 0),
        (head(64) + raw(b"a") + raw(b"bcd")[:-1], [b"a"], 0),
        (head(64) + raw(b"a")[:-1] + b"x" + raw(b"b"), [b"b"], 1),
        (head(64) + raw(b"a")[:-1] + b"x" + bytes(9), [], 0),
        (head(64) + raw(b"a")[:-1] + b"x" + raw(b"b")[:-1] + b"x" + raw(b"c"), [b"c"], 2),
        (head(64) + bytes(40) + raw(b"a"), [], 0),
        (b"EVLJRNL2" + head(64)[8:] + raw(b"a"), [], 1),
        (b"", [], 0),
    ],
)
def test_what_is_read_of_a_journal(content: bytes, bodies: list[bytes], damaged: int) -> None:
    """Up to the last byte; with room behind it or without."""
    for padding in (b"", bytes(200)):
        records, bad = unmoved(content + padding)

        assert [record.row for record in records] == [Row(3, 5.5, 0, body) for body in bodies]
        assert bad == damaged


# --- a segment -------------------------------------------------------------------------------------------


def test_a_segment_that_can_not_be_mapped_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither file nor descriptor; nor does one that is done with."""
    before = open_files()

    def refuse(*_: int) -> None:
        raise OSError(19, "No such device")

    with monkeypatch.context() as patched:
        patched.setattr(mmap, "mmap", refuse)
        with pytest.raises(OSError, match="No such device"):
            Segment(tmp_path / "x.journal")
    assert files(tmp_path) == []

    segment = Segment(tmp_path / "y.journal")
    memory = segment._memory
    segment.discard()

    assert (files(tmp_path), memory.closed) == ([], True)
    assert open_files() <= before
    with pytest.raises(ValueError, match="closed"):
        segment.write(b"late")


def test_a_segment_does_not_delete_a_file_that_took_its_name(tmp_path: Path) -> None:
    """Somebody put another in its place."""
    segment = Segment(tmp_path / "x.journal")
    assert segment.is_in_place()
    (tmp_path / "x.journal").unlink()
    (tmp_path / "x.journal").write_text("another's")

    segment.discard()

    assert (tmp_path / "x.journal").read_text() == "another's"


def test_what_is_moved_out_of_turn_is_moved_up_to_the_last(tmp_path: Path) -> None:
    """The mark never goes back, and nothing is kept of what lies before it."""
    segment = Segment(tmp_path / "x.journal")
    for number in range(1, 5):
        segment.write(raw(b"a", number))
    seen = []

    for number in (3, 1, 2, 9, 4):
        segment.moved([name_of(number)])
        seen.append((segment.moved_to, segment.waiting()))

    end = 64 + 3 * 41
    assert seen == [(end, 1)] * 4 + [(end + 41, 0)]
    assert segment._ends == {}
    assert unmoved((tmp_path / "x.journal").read_bytes()) == ([], 0)


def test_nothing_is_kept_of_what_the_intake_dropped(tmp_path: Path) -> None:
    """Its ids are never named: they go with the last record that is moved."""
    segment = Segment(tmp_path / "x.journal")
    for number in range(1, 5):
        segment.write(raw(b"a", number))

    segment.moved([name_of(3)])
    assert set(segment._ends) == {name_of(number) for number in (1, 2, 4)}
    segment.moved([name_of(4)])

    assert (segment._ends, segment.waiting()) == ({}, 0)


def test_a_segment_is_half_full_with_the_byte_after_the_half(tmp_path: Path) -> None:
    """Asked at any time: it reads what was written since."""
    segment = Segment(tmp_path / "x.journal")
    segment.write(raw(bytes(SIZE // 2 - 64 - 40)))
    assert not segment.is_half_full()

    segment.write(raw(b"x"))

    assert segment.is_half_full()


# --- the journal of a process ----------------------------------------------------------------------------


def test_journals_are_numbered_and_the_next_begins_when_one_is_half_full(tmp_path: Path) -> None:
    """Each is written until then, and deleted when all of it is moved."""
    told: list[str] = []
    journal = Journal(lambda: EPOCH, lambda key, text: told.append(text))
    captures: deque[int] = deque()
    assert not journal.is_open
    assert not journal.put(make_event(), 1, 1, captures)
    path = tmp_path / "x.spool"

    def suffixes() -> list[str]:
        return [found.name for found in journals_of(path)]

    journal.keep_open(path)
    journal.keep_open(path)
    assert (journal.is_open, suffixes()) == (True, ["x.000001.journal"])
    assert journal.put(make_event("x" * (SIZE // 2)), 1, 1, captures)
    assert journal.put(make_event("small"), 2, 2, captures)
    journal.moved([1])
    assert suffixes() == ["x.000001.journal", "x.000002.journal"]
    assert journal.put(make_event("small"), 3, 3, captures)
    assert journal.waiting() == 2

    journal.moved([2])

    assert (suffixes(), journal.waiting(), list(captures)) == (["x.000002.journal"], 1, [1, 2, 3])
    assert not journal.close()
    assert not journal.is_open
    assert not journal.put(make_event(), 4, 4, captures)
    journal.moved([3])
    assert (suffixes(), journal.waiting(), journal.close(), told) == ([], 0, True, [])


def test_the_journals_of_a_file_given_up_follow_to_the_next(tmp_path: Path) -> None:
    """Under its name, until they are moved; a new one is begun."""
    journal = Journal(lambda: EPOCH, lambda key, text: None)
    journal.keep_open(tmp_path / "x.spool")
    left = written(journal, 2)

    journal.keep_open(tmp_path / "y.spool")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["y.000002.journal", "y.000003.journal"]
    found = [event_of(record.row) for record in records_of(tmp_path / "y.spool")[0]]
    assert found == list(left.values())
    journal.moved([1, 2])
    assert [path.name for path in tmp_path.iterdir()] == ["y.000003.journal"]
    assert journal.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("seconds", "is_made"), [(4.9, False), (5.0, True)])
def test_a_journal_that_could_not_be_made_is_tried_again_after_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, is_made: bool
) -> None:
    """Not with each commit: the disk is full."""
    clock, told = ManualClock(), []
    journal = Journal(clock, lambda key, text: told.append((key, text)))

    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        journal.keep_open(tmp_path / "x.spool")
    clock.advance(seconds)

    journal.keep_open(tmp_path / "x.spool")

    assert journal.is_open == is_made
    assert [key for key, _ in told] == ["journal"]
    journal.close()


def test_a_deleted_journal_is_replaced_at_the_next_look(tmp_path: Path) -> None:
    """One that is in place stays."""
    journal = Journal(lambda: EPOCH, lambda key, text: None)
    journal.look()
    journal.keep_open(tmp_path / "x.spool")
    written(journal, 1)
    journal.look()
    assert [path.name for path in tmp_path.iterdir()] == ["x.000001.journal"]

    (tmp_path / "x.000001.journal").unlink()
    journal.look()

    assert [path.name for path in tmp_path.iterdir()] == ["x.000002.journal"]
    assert journal.waiting() == 1
    journal.moved([1])
    assert journal.close()


def test_a_file_without_a_wal_has_no_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network disk: mapped memory is not to be trusted there either."""
    monkeypatch.setattr(SpoolFile, "has_wal", False)
    buffer = spool(tmp_path, has_journal=True)

    buffer.put([make_event()])

    assert buffer.journal is not None
    assert not buffer.journal.is_open
    assert journals_of(database(tmp_path)) == []


# --- of dead processes -----------------------------------------------------------------------------------


def test_a_journal_of_a_large_size_is_taken_over_whole(tmp_path: Path) -> None:
    """The file that is made of it has room for all of it."""
    dead, journal = opened(tmp_path)
    captures: deque[int] = deque()
    large = [make_event("x" * 600_000) for _ in range(3)]
    for number, event in enumerate(large, 1):
        assert journal.put(event, number, number, captures)
    dead.close()
    dead.abandon()
    before = open_files()
    reports = Reports()

    heir = spool(tmp_path, report=reports)
    taken = take_all(heir)
    heir.close()

    assert [event.id for event in taken] == [event.id for event in large]
    assert (heir.lost(), reports, files(tmp_path)) == ([], [], [])
    assert open_files() <= before


@pytest.mark.parametrize("keeps_file", [True, False])
def test_a_journal_that_can_not_be_taken_over_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps_file: bool
) -> None:
    """Said once; no half of it is left in another file, and the next process may try."""
    dead, journal = opened(tmp_path)
    left = written(journal, 3)
    dead.abandon()
    path = database(tmp_path)
    if not keeps_file:
        for part in tmp_path.iterdir():
            if part.suffix != ".journal":
                part.unlink()
    reports = Reports()
    heir = spool(tmp_path, report=reports)
    before = open_files()

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(SpoolFile, "insert", full)
        assert heir.adopt() == 0

    assert heir._adoption._orphan is None
    assert len(reports) == 1
    assert "database or disk is full" in reports[0]
    assert len(journals_of(path)) == 1
    assert is_free(path.with_suffix(".lock"))
    if not keeps_file:
        assert open_files() <= before
        assert list(tmp_path.glob("*.spool")) == []
    heir.abandon()
    last = spool(tmp_path)
    assert ids(take_all(last)) == ids(left.values())
    last.close()


def test_the_journal_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    """Its spool file was deleted, and it has not noticed yet. Nor does it take its own for a stray one."""
    living, journal = opened(tmp_path)
    written(journal, 3)
    path = database(tmp_path)
    path.unlink()
    reports = Reports()
    other = spool(tmp_path, report=reports)

    assert other.adopt() == 0

    path.with_suffix(".lock").unlink()
    assert living._adoption.adopt() == 0
    assert (len(journals_of(path)), reports) == (1, [])


def test_damage_in_a_journal_whose_file_is_gone_is_told(tmp_path: Path) -> None:
    """Counted, and the lock that was taken for it is gone."""
    dead, journal = opened(tmp_path)
    left = written(journal, 3)
    dead.abandon()
    (path,) = journals_of(database(tmp_path))
    content = (
        path.read_bytes().replace(left[1].id.encode(), b"x" * 32).replace(left[2].id.encode(), b"x" * 32)
    )
    path.write_bytes(content)
    for part in tmp_path.iterdir():
        if part.suffix != ".journal":
            part.unlink()
    reports = Reports()
    heir = spool(tmp_path, report=reports)

    assert ids(take_all(heir)) == {left[3].id}

    assert [lost.reason for lost in heir.lost()] == ["damaged"] * 2
    assert len(reports) == 1
    assert "2 event(s) in the journal" in reports[0]
    heir.close()
    assert files(tmp_path) == []


def test_only_plain_files_are_journals(tmp_path: Path) -> None:
    """A link at such a name is read by nobody."""
    dead, journal = opened(tmp_path)
    written(journal, 1)
    path = database(tmp_path)
    dead.abandon()
    (real,) = journals_of(path)
    real.rename(tmp_path / "elsewhere")
    real.symlink_to(tmp_path / "elsewhere")

    assert records_of(path) == ([], 0)


def test_what_is_in_the_file_already_is_told_by_its_body(tmp_path: Path) -> None:
    """A file that can't be read tells nothing, and none at all neither: then an event may come twice."""
    dead, journal = opened(tmp_path)
    left = written(journal, 2)
    dead.put([left[1]])
    path = database(tmp_path)
    dead.close()
    dead.abandon()
    lock = Lock.take(path.with_suffix(".lock"), new=False)
    assert lock is not None
    before = open_files()

    found = absorbing._bodies(path, lock)

    assert [left[1].id.encode() in body for body in found] == [True]
    assert absorbing._bodies(tmp_path / "none.spool", lock) == set()
    path.write_bytes(b"no database" * 999)
    Path(f"{path}-wal").unlink(missing_ok=True)
    assert absorbing._bodies(path, lock) == set()
    assert open_files() <= before
    lock.let_go()
