"""Exact tables of the spool as a buffer: bounds, order and accounting where part of it waits in memory."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from test_buffers import names
from test_spool import EPOCH, Reports, database, events, files, spool, take_all

from eventlog_handlers.buffers import Lost
from eventlog_handlers.buffers.spool import rows as spoolrows
from eventlog_handlers.buffers.spool.buffer import SpoolBuffer
from eventlog_handlers.buffers.spool.event_rows import row_of
from eventlog_handlers.buffers.spool.file import Row, SpoolFile
from eventlog_handlers.testing import ManualClock, make_event

SIZE = row_of(make_event("m"), EPOCH).size


def same(count: int, level: int = 40, first: int = 0) -> list[Any]:
    """Events of SIZE bytes each."""
    return [make_event(chr(ord("a") + first + number), level) for number in range(count)]


def failing(monkeypatch: pytest.MonkeyPatch, method: str, *errors: str | None) -> None:
    """Let *method* of a file fail with these texts, one a call; None and all further calls work."""
    works, left = getattr(SpoolFile, method), list(errors)

    def attempt(file: SpoolFile, *given: Any) -> Any:
        error = left.pop(0) if left else None
        if error is not None:
            raise sqlite3.OperationalError(error)
        return works(file, *given)

    monkeypatch.setattr(SpoolFile, method, attempt)


def half_in_memory(path: Path, levels: tuple[int, int], **options: Any) -> SpoolBuffer:
    """Two events in the file, and two in memory while the file is left alone: four problems."""
    buffer = spool(path, **options)
    made = [*same(2, levels[0]), *same(2, levels[1], first=2)]
    made = [event._replace(status="error", fingerprint=event.message * 16) for event in made]
    buffer.put(made[:2])
    buffer._trouble.pause("a full disk")
    buffer.put(made[2:])
    assert (buffer.state()["in_file"], buffer.state()["in_memory"]) == (2, 2)
    return buffer


# --- part of it in memory --------------------------------------------------------------------------------


@pytest.mark.parametrize(("levels", "order"), [((20, 40), "cdab"), ((40, 20), "abcd"), ((40, 40), "abcd")])
def test_the_order_does_not_depend_on_where_an_event_lies(
    tmp_path: Path, levels: tuple[int, int], order: str
) -> None:
    """The most severe first, then the oldest; counted, weighed and awaited together."""
    clock = ManualClock()
    buffer = half_in_memory(tmp_path, levels, clock=clock)
    assert (buffer.ready(), buffer.ready_bytes(), buffer.bytes()) == (4, 4 * SIZE, 4 * SIZE)
    assert buffer.keys() == {1, 2, 3, 4}

    leases = buffer.lease(9)
    assert "".join(names(leases)) == order
    for lease in leases:
        buffer.nack(lease, 10.0 + lease.key, spent=False)

    assert buffer.ready_in() == 11.0
    clock.advance(12.5)
    assert (buffer.ready(), buffer.ready_in()) == (2, 0.0)
    assert buffer.lease(9)[0].attempts == 1


@pytest.mark.parametrize("levels", [(20, 10), (10, 20)])
def test_the_least_severe_gives_way_wherever_it_lies(tmp_path: Path, levels: tuple[int, int]) -> None:
    """Of file and memory together; the newcomer only where all others are more severe."""
    buffer = half_in_memory(tmp_path, levels, capacity=4)

    first = buffer.put([make_event("x", 10)])
    second = buffer.put([make_event("y", 5, fingerprint="y"), make_event("z", 40)])

    weakest = "cd" if levels == (20, 10) else "ab"
    assert [lost.event.message for lost in first] == [weakest[0]]
    assert [lost.event.message for lost in second] == [weakest[1], "x"]
    assert len(buffer) == 4


# --- bounds ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing_bytes", [0, 1])
def test_three_quarters_of_the_cap_are_content_to_the_last_byte(tmp_path: Path, missing_bytes: int) -> None:
    """Three events fit exactly, with a byte less only two."""
    buffer = spool(tmp_path, cap_bytes=4 * SIZE - missing_bytes * 2)

    evicted = buffer.put(same(3))

    assert [lost.event.message for lost in evicted] == ["a"] * missing_bytes
    assert buffer.bytes() == (3 - missing_bytes) * SIZE


@pytest.mark.parametrize("missing_bytes", [0, 1])
def test_memory_is_bounded_to_the_last_byte_while_the_file_takes_nothing(
    tmp_path: Path, missing_bytes: int
) -> None:
    """As MemoryBuffer is."""
    buffer = spool(tmp_path, capacity_bytes=3 * SIZE - missing_bytes)
    buffer._trouble.pause("a full disk")

    evicted = buffer.put(same(3))

    assert [lost.event.message for lost in evicted] == ["a"] * missing_bytes
    assert buffer.bytes() == (3 - missing_bytes) * SIZE


@pytest.mark.parametrize(
    ("bound", "is_taken"), [({"capacity_bytes": SIZE}, True), ({"capacity_bytes": SIZE - 1}, False)]
)
def test_an_event_larger_than_the_buffer_is_refused(
    tmp_path: Path, bound: dict[str, int], is_taken: bool
) -> None:
    """Nothing else gives way for it."""
    buffer = spool(tmp_path, **bound)

    evicted = buffer.put(same(1))

    assert (len(buffer), [lost.key for lost in evicted]) == ((1, []) if is_taken else (0, [None]))


@pytest.mark.parametrize(
    ("rows", "size", "fits"),
    [(3, 2 * SIZE, True), (4, 2 * SIZE, False), (3, 2 * SIZE + 1, False), (4, 2 * SIZE + 1, False)],
)
def test_a_dead_process_s_file_is_taken_where_all_of_it_fits(
    tmp_path: Path, rows: int, size: int, fits: bool
) -> None:
    """In number and in bytes; into an empty buffer it goes in any case."""
    buffer = spool(tmp_path, capacity=5, cap_bytes=4 * 4 * SIZE // 3 + 1)
    assert buffer._held.has_room(rows + 99, size + (1 << 40))
    buffer.put(same(2))

    assert buffer._held.has_room(rows, size) == fits


# --- the law of accounting -------------------------------------------------------------------------------


def test_what_finds_no_room_at_adoption_is_lost_by_name(tmp_path: Path) -> None:
    """Without a key: it never had one here. What gives way for the more severe has one."""
    dead = spool(tmp_path, capacity=6)
    dead.put([*same(2, 30), *same(2, 50, first=2), *same(1, 10, first=4), *same(1, 50, first=5)])
    dead.abandon()
    heir = spool(tmp_path, capacity=3)

    assert heir.adopt() == 6

    assert heir.lost() == [
        Lost(None, 10, "overflow"), Lost(1, 30, "overflow"), Lost(2, 30, "overflow"),
    ]  # fmt: skip
    assert heir.lost() == []
    assert names(heir.lease(9)) == ["c", "d", "f"]


def test_a_row_that_is_no_event_is_lost_where_it_gives_way(tmp_path: Path) -> None:
    """Its checksum is right, so the file is whole."""
    buffer = spool(tmp_path, capacity=2)
    buffer.put(same(2))
    assert buffer._rows._file is not None
    buffer._rows._file.remove([1])
    buffer._rows._file.insert([(1, Row(1, EPOCH, 0, b"no event"))])

    assert buffer.put(same(1, first=2)) == []

    assert buffer.lost() == [Lost(1, None, "damaged")]
    assert names(buffer.lease(9)) == ["b", "c"]


@pytest.mark.parametrize("way", ["put", "lease"])
def test_a_row_that_is_gone_is_lost_once_and_its_neighbours_go_on(tmp_path: Path, way: str) -> None:
    """In a new file; ages, counts and bytes are those of what is left."""
    clock, reports = ManualClock(), Reports()
    buffer = spool(tmp_path, clock, capacity=3, report=reports)
    buffer.put(same(1))
    clock.advance(10.0)
    buffer.put(same(2, first=1))
    assert buffer._rows._file is not None
    buffer._rows._file.remove([1])
    clock.advance(0.5)

    if way == "put":
        assert buffer.put(same(1, first=3)) == []
    else:
        assert names(buffer.lease(1)) == ["b"]

    assert buffer.lost() == [Lost(1, None, "damaged")]
    left = 3 if way == "put" else 2
    assert (len(buffer), buffer.bytes(), buffer.state()["in_file"]) == (left, left * SIZE, left)
    assert buffer.oldest() == 0.5
    assert len(list(tmp_path.glob("*.bad"))) == 1
    said = ["the spool is damaged (row 1 is missing); going on with a new file"]
    assert reports == said + ["1 event(s) in the spool were past reading"] * (way == "lease")


@pytest.mark.parametrize(
    ("policy", "held", "lost"), [("drop_lowest", "hij", range(1, 8)), ("drop_newest", "abc", range(4, 11))]
)
def test_what_a_failed_file_held_and_memory_does_not_take_is_lost_as_overflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str, held: str, lost: range
) -> None:
    """No file takes anything any more: memory's own bound holds, and the sum is right."""
    clock = ManualClock()
    buffer = spool(tmp_path, clock, capacity_bytes=3 * SIZE, policy=policy)
    for event in same(10):
        buffer.put([event])
        clock.advance(1.0)
    failing(monkeypatch, "set_attempts", "disk I/O error")
    failing(monkeypatch, "insert", *["disk I/O error"] * 9)
    (lease,) = buffer.lease(1)

    buffer.nack(lease, 0.0)

    assert sorted(buffer.lost()) == [Lost(key, 40, "overflow") for key in lost]
    assert (len(buffer), buffer.bytes(), buffer.state()["in_memory"]) == (3, 3 * SIZE, 3)
    assert buffer.oldest() == (3.0 if held == "hij" else 10.0)
    assert "".join(names(buffer.lease(9))) == held


def test_a_large_file_that_fails_goes_to_the_next_a_chunk_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory holds no more of it than a transaction takes."""
    buffer = spool(tmp_path)
    buffer.put(events(700))
    seen: list[int] = []
    insert = SpoolFile.insert

    def watched(file: SpoolFile, rows: Any) -> None:
        seen.append(len(buffer._rows.in_memory))
        insert(file, rows)

    failing(monkeypatch, "set_attempts", "disk I/O error")
    monkeypatch.setattr(SpoolFile, "insert", watched)
    (lease,) = buffer.lease(1)
    buffer.nack(lease, 0.0)

    assert (max(seen), sum(seen)) == (256, 700)
    assert (len(buffer), buffer.state()["in_file"], buffer.lost()) == (700, 700, [])
    assert buffer.lease(1)[0].attempts == 2


def test_an_expired_event_is_not_found_by_the_next_process(tmp_path: Path) -> None:
    """It is counted once, here."""
    clock = ManualClock()
    buffer = spool(tmp_path, clock, max_age_seconds=10.0)
    buffer.put(same(2))
    clock.advance(11.0)
    assert buffer.lease(9) == []
    assert buffer.lost() == [Lost(1, 40, "expired"), Lost(2, 40, "expired")]
    assert buffer.keys() == set()
    buffer.abandon()

    assert spool(tmp_path).adopt() == 0


def test_nothing_is_kept_of_an_event_that_is_settled(tmp_path: Path) -> None:
    """Neither its attempts nor its time; nor of one that is past reading."""
    buffer = spool(tmp_path)
    buffer.put(same(3))
    leases = buffer.lease(2)
    for lease in leases:
        buffer.nack(lease, 0.0)
    buffer.ack(buffer.lease(1))
    assert (set(buffer._held.attempts), set(buffer._held.put_times)) == ({2}, {2, 3})

    assert buffer._rows._file is not None
    buffer._rows._file.remove([2, 3])
    buffer._rows._give_up("a test")

    assert (buffer._held.attempts, buffer._held.put_times, buffer.oldest()) == ({}, {}, None)
    assert len(buffer.lost()) == 2


def test_the_state_of_a_spool_adds_up(tmp_path: Path) -> None:
    """Before the first event, with one, and with one acknowledged that the file does not know of."""
    buffer = spool(tmp_path)
    empty = buffer.state()
    buffer.put(same(2))
    buffer._trouble.pause("a full disk")
    buffer.ack(buffer.lease(1))

    assert empty == {
        "in_file": 0, "in_memory": 0, "in_journal": 0, "duplicates_possible": 0, "file": None, "trouble": "",
        "destination": buffer._names.destination,
    }  # fmt: skip
    assert buffer.state() == empty | {
        "in_file": 1, "duplicates_possible": 1, "file": str(database(tmp_path)), "trouble": "a full disk",
    }  # fmt: skip


# --- when the file is written, replaced and deleted ------------------------------------------------------


@pytest.mark.parametrize(("seconds", "is_replaced"), [(0.0, False), (5.9, False), (6.0, True), (60.0, True)])
def test_a_second_file_that_fails_soon_is_not_replaced_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, is_replaced: bool
) -> None:
    """Six seconds after a file was replaced another may be; sooner events wait in memory, five seconds."""
    clock, reports = ManualClock(), Reports()
    buffer = spool(tmp_path, clock, report=reports)
    buffer.put(same(1))
    failing(monkeypatch, "insert", "disk I/O error", None, "disk I/O error")
    buffer.put(same(1, first=1))
    assert (buffer.state()["in_file"], len(reports)) == (2, 1)
    clock.advance(seconds)

    buffer.put(same(1, first=2))

    where = ("in_file", "in_memory")
    assert [buffer.state()[key] for key in where] == ([3, 0] if is_replaced else [0, 3])
    assert bool(buffer.state()["trouble"]) == (not is_replaced)
    clock.advance(4.9)
    buffer.ready_in()
    assert buffer.state()["in_file"] == (3 if is_replaced else 0)
    clock.advance(1.0)
    buffer.ready_in()
    assert (buffer.state()["in_file"], buffer.state()["trouble"], buffer.lost()) == (3, "", [])
    assert sorted(names(buffer.lease(9))) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "text", ["database or disk is full", "database is locked", "database table is locked: event"]
)
@pytest.mark.parametrize("is_acked", [False, True])
def test_a_file_that_takes_no_more_is_kept_as_long_as_it_holds_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, is_acked: bool
) -> None:
    """What it does not take waits in memory. A file of settled rows is deleted: there is its room."""
    clock, reports = ManualClock(), Reports()
    buffer = spool(tmp_path, clock, report=reports)
    buffer.put(same(2))
    if is_acked:
        failing(monkeypatch, "remove", text)
        buffer.ack(buffer.lease(2))
        assert (buffer.state()["duplicates_possible"], files(tmp_path)) == (0, [])
    else:
        failing(monkeypatch, "insert", text)
        buffer.put(same(1, first=2))
        assert buffer.state()["in_file"] == 2
    assert reports == [f"the spool takes no more, so events wait in memory ({text})"]
    buffer.put(same(1, first=3))
    assert buffer.state()["in_memory"] == (1 if is_acked else 2)

    clock.advance(5.0)
    buffer.put(same(1, first=4))

    assert buffer.state()["in_file"] == (2 if is_acked else 5)
    assert reports[1:] == ["events go to the spool again"]
    buffer.abandon()
    assert len(take_all(spool(tmp_path))) == (2 if is_acked else 5)


@pytest.mark.parametrize(("free_blocks", "is_full"), [(0, True), (1, False), (None, False)])
def test_any_error_on_a_full_disk_is_one_of_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_blocks: int | None, is_full: bool
) -> None:
    """SQLite says "disk I/O error" there too; where the disk can't be asked it is not full."""

    class Disk:
        f_bfree = free_blocks

    def ask(path: object) -> Disk:
        if free_blocks is None:
            raise FileNotFoundError(path)
        return Disk()

    buffer = spool(tmp_path)
    buffer.put(same(1))
    failing(monkeypatch, "insert", "disk I/O error")
    monkeypatch.setattr(os, "statvfs", ask)

    buffer.put(same(1, first=1))

    assert buffer.state()["in_file"] == (1 if is_full else 2)
    assert len(list(tmp_path.glob("*.bad"))) == (not is_full)


def test_a_file_given_up_leaves_no_duplicates_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An acknowledged row that could not be removed is in no file any more."""
    buffer = spool(tmp_path)
    buffer.put(same(2))
    failing(monkeypatch, "remove", "disk I/O error")

    buffer.ack(buffer.lease(1))

    assert (buffer.state()["duplicates_possible"], buffer.state()["in_file"], len(buffer)) == (0, 1, 1)
    assert names(buffer.lease(9)) == ["b"]


@pytest.mark.parametrize("way", ["put", "lease", "ready_in"])
@pytest.mark.parametrize(("seconds", "is_noticed"), [(0.9, False), (1.0, True)])
def test_a_deleted_file_is_noticed_a_second_later_whatever_is_called(
    tmp_path: Path, way: str, seconds: float, is_noticed: bool
) -> None:
    """Each looks once a second. A pause ends with the file that caused it."""
    clock = ManualClock()
    buffer = spool(tmp_path, clock)
    buffer.put(same(2))
    buffer._trouble.pause("a full disk")
    database(tmp_path).unlink()
    clock.advance(seconds)

    {"put": lambda: buffer.put([]), "lease": lambda: buffer.lease(1), "ready_in": buffer.ready_in}[way]()

    assert bool(list(tmp_path.glob("*.spool"))) == is_noticed
    assert buffer.state()["in_file"] == 2
    assert buffer.lost() == []


def test_the_file_is_looked_at_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at each call: a look costs system calls."""
    looks: list[bool] = []
    monkeypatch.setattr(SpoolFile, "is_in_place", lambda file: bool(looks.append(True)) or True)
    clock = ManualClock()
    buffer = spool(tmp_path, clock)
    buffer.put(same(1))

    counts = []
    for seconds in (0.0, 0.5, 0.5, 0.0, 0.75, 0.5):
        clock.advance(seconds)
        buffer.lease(1)
        counts.append(len(looks))

    assert counts == [0, 0, 1, 1, 1, 2]


@pytest.mark.parametrize(("seconds", "is_deleted"), [(9.0, False), (10.0, True)])
@pytest.mark.parametrize("way", ["settled", "opened for an heir's sake"])
def test_an_empty_file_is_deleted_ten_seconds_after_its_last_use(
    tmp_path: Path, way: str, seconds: float, is_deleted: bool
) -> None:
    """Counted from the last write, or from the start where there was none."""
    clock = ManualClock()
    buffer = spool(tmp_path, clock)
    if way == "settled":
        clock.advance(100.0)
        buffer.put(same(1))
        buffer.ack(buffer.lease(1))
    else:
        assert buffer._rows.open_file()
    clock.advance(seconds)

    buffer.ready_in()

    assert (files(tmp_path) == []) == is_deleted
    assert (buffer.state()["file"] is None) == is_deleted


def test_a_file_that_holds_events_is_kept_however_long(tmp_path: Path) -> None:
    """An hour without a word from the service."""
    clock = ManualClock()
    buffer = spool(tmp_path, clock)
    buffer.put(same(1))
    path = database(tmp_path)
    clock.advance(3_600.0)

    buffer.ready_in()

    assert (database(tmp_path), buffer.state()["in_file"]) == (path, 1)


def test_close_tells_the_file_what_is_settled_even_in_a_pause(tmp_path: Path) -> None:
    """It is the last chance: the next process would send it again."""
    buffer = spool(tmp_path)
    buffer.put(same(3))
    buffer._trouble.pause("a full disk")
    buffer.ack(buffer.lease(2))

    buffer.close()

    assert files(tmp_path) == ["lock", "spool"]
    buffer.abandon()
    assert [event.message for event in take_all(spool(tmp_path))] == ["c"]


def test_a_name_that_another_process_sweeps_is_tried_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock was there and not locked yet when the other looked."""
    create, refusals = SpoolFile.create, [FileExistsError("belongs to another process")]

    def contested(path: Path, *, cap_bytes: int) -> SpoolFile:
        if refusals:
            raise refusals.pop()
        return create(path, cap_bytes=cap_bytes)

    monkeypatch.setattr(spoolrows.SpoolFile, "create", contested)
    reports = Reports()
    buffer = spool(tmp_path, report=reports)

    buffer.put(same(1))

    assert (buffer.state()["in_file"], reports) == (1, [])
