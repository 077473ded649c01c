"""The spool against what disks, directories and other processes do to it."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from law import assert_law, kill, submit

from eventlog_handlers import GuanceHandler
from eventlog_handlers.buffers.spool import directory
from eventlog_handlers.buffers.spool import file as spoolfile
from eventlog_handlers.buffers.spool.buffer import SpoolBuffer
from eventlog_handlers.buffers.spool.directory import Lock
from eventlog_handlers.events import Event, ExceptionText
from eventlog_handlers.process.clock import boot_time, monotonic
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_event, make_worker, settle

EPOCH = 1_790_000_000.0
AS_ROOT = os.geteuid() == 0
NOBODY = 65534


class Reports(list[str]):
    """What a buffer would print."""

    def __call__(self, key: str, text: str) -> None:
        self.append(text)


def spool(path: Path | str, clock: ManualClock | None = None, **options) -> SpoolBuffer:
    clock = clock or ManualClock()
    fixed = {
        "capacity": 10_000,
        "capacity_bytes": 64 << 20,
        "policy": "drop_lowest",
        "clock": clock,
        "wall_clock": lambda: EPOCH,
        "report": Reports(),
        "identity": "cms https://metrics.example key",
    }
    return SpoolBuffer(path, **{**fixed, **options})


def events(count: int, **fields) -> list[Event]:
    return [make_event(f"event {number}", **fields) for number in range(count)]


def take_all(buffer: SpoolBuffer) -> list[Event]:
    """Adopt and lease whatever there is, and settle it."""
    taken: list[Event] = []
    for _ in range(1_000):
        adopted = buffer.adopt()
        leases = buffer.lease(1_000)
        buffer.ack(leases)
        taken.extend(lease.event for lease in leases)
        if not adopted and not leases:
            return taken
    raise AssertionError("never ends")


def files(path: Path) -> list[str]:
    """Suffixes of what lies in the directory."""
    return sorted(entry.name.partition(".")[2] for entry in path.iterdir())


def database(path: Path) -> Path:
    (found,) = path.glob("*.spool")
    return found


def left_behind(path: Path, target: Path) -> Path:
    """Copy to *target* what a dead process leaves of *path*.

    SQLite then reads the WAL from its bytes, not from what a connection in this process still knows of it.
    """
    return shutil.copytree(path, target, ignore=shutil.ignore_patterns("*-shm"))


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 2 MiB of its own."""
    if not AS_ROOT or shutil.which("mount") is None:
        pytest.skip("needs root, to mount a small tmpfs")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(tmp_path)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("may not mount a tmpfs here")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def fill_up(path: Path) -> Path:
    """Leave not a byte free."""
    filler = path / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass
    return filler


# --- what a spool keeps ------------------------------------------------------------------------------------


def test_p14_a_dead_process_s_events_are_delivered_by_the_next_with_id_time_and_attempts(tmp_path):
    """Everything but the sequence number comes through: an adopted event is the event that was put."""
    clock = ManualClock()
    first = spool(tmp_path, clock)
    rich = make_event(
        "größer \ud800 \x00 \U0001f600",
        attributes={"a": [1, 2.5, None, {"b": "ü"}]},
        exception=ExceptionText(
            "shop.OutOfStock", "none left", "Traceback …", ("shop.OutOfStock", "KeyError")
        ),
        resources=("arn:1",),
        defects=("bad",),
    )
    put = [rich, *events(3)]
    first.put(put)
    (lease, *_) = first.lease(2)
    first.nack(lease, 0.0)
    first.abandon()
    clock.advance(100.0)

    second = spool(tmp_path, clock, wall_clock=lambda: EPOCH + 100.0)
    adopted = second.adopt()
    leases = second.lease(10)

    assert adopted == len(second) == 4
    assert [lease.event for lease in leases] == put
    assert [lease.attempts for lease in leases] == [2, 1, 1, 1]
    assert leases[0].age == pytest.approx(100.0)
    second.ack(leases)
    second.close()
    assert files(tmp_path) == []


def test_p14_the_oldest_files_are_adopted_first_and_only_those_of_the_same_destination(tmp_path):
    """Age is in the name; another account's events are none of ours."""
    for second, name in ((2, "newer"), (1, "older")):
        dead = spool(tmp_path, wall_clock=lambda second=second: EPOCH + second)
        dead.put([make_event(name)])
        dead.abandon()
    other = spool(tmp_path, identity="another account")
    other.put([make_event("not ours")])
    other.abandon()

    heir = spool(tmp_path, wall_clock=lambda: EPOCH + 3)

    assert [event.message for event in take_all(heir)] == ["older", "newer"]
    assert [event.message for event in take_all(spool(tmp_path, identity="another account"))] == ["not ours"]


def test_p14_an_adopter_takes_no_more_than_it_has_room_for(tmp_path):
    """What does not fit is left where it is safe; an empty adopter always takes one file."""
    for _ in range(2):
        dead = spool(tmp_path)
        dead.put(events(3))
        dead.abandon()
    clock = ManualClock()
    heir = spool(tmp_path, clock, capacity=5)

    assert (heir.adopt(), len(heir), heir.adopt()) == (3, 3, 0)
    heir.ack(heir.lease(3))
    clock.advance(200.0)
    assert (heir.adopt(), heir.lost()) == (3, [])


def test_p14_an_empty_adopter_takes_even_what_is_too_much_and_counts_what_gives_way(tmp_path):
    """After a capacity was lowered nobody else would."""
    dead = spool(tmp_path)
    dead.put(events(6, level=20) + events(4, level=40))
    dead.abandon()
    heir = spool(tmp_path, capacity=5)

    assert (heir.adopt(), len(heir)) == (10, 5)
    assert [(lost.level, lost.reason) for lost in heir.lost()] == [(20, "overflow")] * 5
    assert [event.level for event in take_all(heir)] == [40, 40, 40, 40, 20]


def test_p14_adoption_through_a_worker_keeps_the_law(tmp_path):
    """Adopted events count as accepted by the process that adopts them."""
    clock = ManualClock()
    dead = spool(tmp_path, clock)
    put = events(25)
    dead.put(put)
    dead.abandon()
    sink = ScriptedSink(max_events=10)
    worker = make_worker(sink, clock, buffer=lambda: spool(tmp_path, clock))

    worker.step()
    settle(worker, clock)

    assert [event.id for event in sink.delivered] == [event.id for event in put]
    assert worker.stats()["accepted"] == 25
    assert_law(worker.stats())


def test_a_buffer_that_was_never_used_leaves_no_trace(tmp_path):
    """No file, no directory before the first event."""
    buffer = spool(tmp_path / "new")

    assert (buffer.adopt(), buffer.lease(1), buffer.ready_in(), len(buffer)) == (0, [], None, 0)
    buffer.close()
    assert files(tmp_path) == []


def test_close_keeps_what_is_held_and_the_next_call_goes_on(tmp_path):
    """Parking is not dying: the lock stays, the rows stay, the buffer works on."""
    clock, reports = ManualClock(), Reports()
    buffer = spool(tmp_path, clock, report=reports)
    buffer.put(events(3))

    buffer.close()
    buffer.close()

    assert files(tmp_path) == ["lock", "spool"]
    assert spool(tmp_path).adopt() == 0
    assert buffer.lease(0) == []
    buffer.nack(buffer.lease(1)[0], 0.0)
    clock.advance(2.0)
    assert (buffer.ready_in(), reports) == (0.0, [])
    assert [event.message for event in take_all(buffer)] == ["event 0", "event 1", "event 2"]
    buffer.close()
    assert files(tmp_path) == []


def test_an_empty_file_is_deleted_when_nothing_came_for_a_while(tmp_path):
    """An idle process leaves nothing behind, even if it is killed later."""
    clock = ManualClock()
    buffer = spool(tmp_path, clock)
    buffer.put(events(1))
    buffer.ack(buffer.lease(1))

    clock.advance(5.0)
    buffer.ready_in()
    assert "spool" in files(tmp_path)
    clock.advance(6.0)
    buffer.ready_in()

    assert files(tmp_path) == []
    buffer.put(events(1))
    assert len(take_all(buffer)) == 1


def test_events_a_hook_made_unfit_for_json_are_degraded_not_lost(tmp_path):
    """``before_send`` may put anything into an event."""
    loop: dict = {}
    loop["self"] = loop
    buffer = spool(tmp_path)

    buffer.put([make_event("loop", attributes=loop), make_event("object", attributes={"x": {1, 2}})])
    first, second = take_all(buffer)

    assert first.attributes == {}
    assert "ValueError" in first.defects[0]
    assert second.attributes == {"x": "{1, 2}"}


# --- D1: no room -------------------------------------------------------------------------------------------


def test_d01_the_own_cap_makes_the_least_severe_give_way_and_bounds_the_file(tmp_path):
    """The file stays below its cap; errors outlive the flood."""
    buffer = spool(tmp_path, cap_bytes=1 << 20)
    errors = events(100, level=40)
    buffer.put(errors)

    lost = []
    for _ in range(40):
        lost.extend(buffer.put(events(50, level=20, stack="x" * 1_000)))

    assert lost
    assert {evicted.event.level for evicted in lost} == {20}
    assert len(buffer) == 100 + 2_000 - len(lost)
    assert database(tmp_path).stat().st_size <= 1 << 20
    assert [event.id for event in take_all(buffer)[:100]] == [event.id for event in errors]


def test_d01_pages_run_out_before_the_content_does(tmp_path):
    """Rows that fill pages badly reach the page count first: then memory takes what the file does not."""
    buffer = spool(tmp_path, cap_bytes=1 << 20)
    put = events(320, stack="x" * 1_500)  # two of these don't share a page with their like

    lost = [evicted for event in put for evicted in buffer.put([event])]

    assert database(tmp_path).stat().st_size <= 1 << 20
    assert {event.id for event in take_all(buffer)} == {event.id for event in put} - {
        evicted.event.id for evicted in lost
    }


def test_d01_a_full_disk_leaves_events_in_memory_and_sending_goes_on(tiny_disk):
    """Warned of once; when there is room again the spool is used again."""
    clock, reports = ManualClock(), Reports()
    buffer = spool(tiny_disk, clock, report=reports)
    sink = ScriptedSink(max_events=10)
    worker = make_worker(sink, clock, buffer=lambda: buffer)
    submit(worker, "before")
    worker.step()
    filler = fill_up(tiny_disk)

    for number in range(30):
        submit(worker, f"while full {number}")
        worker.step()
    settle(worker, clock)

    assert len(sink.delivered) == 31
    assert_law(worker.stats())
    assert len(reports) == 1, reports

    filler.unlink()
    clock.advance(100.0)
    submit(worker, "after")
    settle(worker, clock)

    assert len(sink.delivered) == 32
    assert reports[1:] == ["events go to the spool again"]


def test_d01_acks_that_cannot_be_recorded_stay_in_memory_and_are_said_to_make_duplicates(tiny_disk):
    """On a full disk DELETE fails too: not sent again by us, but by whoever adopts the file."""
    clock = ManualClock()
    buffer = spool(tiny_disk, clock)
    put = events(4)
    buffer.put(put)
    filler = fill_up(tiny_disk)
    # The WAL has room for a little in a block it holds already.
    while not buffer.state()["duplicates_possible"]:
        more = buffer.put(events(10, level=20)), buffer.lease(2)
        buffer.ack(more[1])
        assert len(buffer) < 2_000
    held = len(buffer)
    waiting = buffer.state()["in_memory"]

    assert buffer.state()["trouble"]
    assert held == buffer.ready()

    filler.unlink()
    clock.advance(100.0)
    buffer.put([])
    buffer.ready_in()

    assert waiting
    assert (buffer.state()["duplicates_possible"], buffer.state()["in_memory"]) == (0, 0)
    assert len(take_all(buffer)) == held


def test_d01_a_file_that_holds_only_delivered_events_is_deleted_to_make_room(tiny_disk):
    """Deleting a file needs no room, where deleting a row does."""
    clock = ManualClock()
    buffer = spool(tiny_disk, clock)
    buffer.put(events(300, stack="x" * 3_000))
    leases = buffer.lease(300)
    fill_up(tiny_disk)

    buffer.ack(leases)

    assert (len(buffer), buffer.state()["duplicates_possible"]) == (0, 0)
    clock.advance(100.0)
    buffer.put(events(1))
    assert len(take_all(buffer)) == 1


# --- D2: errors ------------------------------------------------------------------------------------------


def test_d02_a_file_that_fails_is_put_aside_and_its_events_go_on(tmp_path, monkeypatch):
    """Any error that isn't a full disk: new file, everything that can be read goes there, nothing is lost."""
    clock, reports = ManualClock(), Reports()
    buffer = spool(tmp_path, clock, report=reports)
    put = events(20)
    buffer.put(put[:10])
    leases = buffer.lease(3)
    buffer.nack(leases.pop(), 30.0)
    insert, failures = spoolfile.SpoolFile.insert, [sqlite3.OperationalError("disk I/O error")]

    def failing(self, rows):
        if failures:
            raise failures.pop()
        insert(self, rows)

    monkeypatch.setattr(spoolfile.SpoolFile, "insert", failing)
    buffer.put(put[10:])

    assert [path.suffix for path in tmp_path.glob("*.bad")] == [".bad"]
    assert buffer.state()["in_file"] == 20
    assert (len(reports), buffer.lost(), buffer.ready()) == (1, [], 17)
    buffer.ack(leases)
    clock.advance(30.0)
    assert {event.id for event in take_all(buffer)} == {event.id for event in put} - {
        lease.event.id for lease in leases
    }


def test_d02_an_attempt_that_cannot_be_noted_loses_no_event(tmp_path, monkeypatch):
    """The write that fails may be that of a nack: the event waits all the same."""
    buffer = spool(tmp_path)
    buffer.put(events(2))
    (lease,) = buffer.lease(1)

    def failing(self, seq, attempts):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(spoolfile.SpoolFile, "set_attempts", failing)
    buffer.nack(lease, 0.0)

    assert [lease.attempts for lease in buffer.lease(2)] == [2, 1]


# --- D3: the directory -------------------------------------------------------------------------------------


def in_memory_only(path: Path, **options) -> str:
    """Check that a spool in *path* works as a buffer in memory; returns the one warning."""
    reports = Reports()
    clock = ManualClock()
    buffer = spool(path, clock, report=reports, **options)
    for event in events(5):
        buffer.put([event])
        clock.advance(30.0)
        buffer.adopt()

    assert buffer.state()["in_memory"] == 5
    assert len(take_all(buffer)) == 5
    buffer.close()
    (warning,) = reports
    return warning


def test_d03_a_symbolic_link_is_refused(tmp_path):
    """Whoever may place links decides where our events go; so does a link at the file's own name."""
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")

    assert "symbolic link" in in_memory_only(tmp_path / "link")
    assert files(tmp_path / "real") == []


def test_d03_a_directory_others_may_write_in_is_refused(tmp_path):
    """In /tmp itself anybody could put a file in our way."""
    tmp_path.chmod(0o777)

    assert "chmod 700" in in_memory_only(tmp_path)


@pytest.mark.skipif(not AS_ROOT, reason="needs root, to give a directory away")
def test_d03_another_user_s_directory_is_refused(tmp_path):
    """Its owner could read and replace what we write."""
    os.chown(tmp_path, NOBODY, NOBODY)

    assert f"belongs to user {NOBODY}" in in_memory_only(tmp_path)


def test_d03_a_read_only_or_missing_directory_leaves_events_in_memory(tmp_path):
    """One warning each; no exception."""
    readonly = tmp_path / "readonly"
    readonly.mkdir()
    tmp_path.chmod(0o711)
    for parent in tmp_path.parents:
        if (
            parent != Path(tempfile.gettempdir())
            and parent.owner() == tmp_path.owner()
            and parent != Path("/")
        ):
            parent.chmod(parent.stat().st_mode | 0o011)
    if AS_ROOT:
        os.chown(readonly, NOBODY, NOBODY)
    readonly.chmod(0o500)
    (tmp_path / "file").write_text("")

    if AS_ROOT:
        os.seteuid(NOBODY)
    try:
        assert "can't write in" in in_memory_only(readonly)
        assert "can't be used" in in_memory_only(readonly / "below")
        assert "can't be used" in in_memory_only(tmp_path / "file")
    finally:
        if AS_ROOT:
            os.seteuid(0)


def test_d03_a_directory_that_becomes_usable_is_used(tmp_path):
    """The mount that came late."""
    clock, reports = ManualClock(), Reports()
    place = tmp_path / "spool"
    place.write_text("in the way")
    buffer = spool(place, clock, report=reports)
    buffer.put(events(3))

    place.unlink()
    clock.advance(10.0)
    buffer.put(events(1))

    assert buffer.state()["in_file"] == 4
    assert reports[1:] == ["events go to the spool again"]


# --- D4: damage ------------------------------------------------------------------------------------------


def test_d04_a_damaged_row_is_counted_and_its_neighbours_are_delivered(tmp_path):
    """Four changed bytes that SQLite itself does not notice."""
    clock, reports = ManualClock(), Reports()
    buffer = spool(tmp_path, clock, report=reports)
    sink = ScriptedSink(max_events=10)
    worker = make_worker(sink, clock, buffer=lambda: buffer)
    for number in range(10):
        submit(worker, f"MARK{number}")
    sink.answers.append(RuntimeError("not yet"))
    worker.step()
    buffer.close()
    path = database(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"MARK4", b"MARX4"))

    settle(worker, clock)

    *others, told = [event.message for event in sink.delivered]
    assert sorted(others) == [f"MARK{n}" for n in range(10) if n != 4]
    assert told == "1 events lost: 1 NOTSET (1 damaged)"
    assert worker.stats()["dropped"] == {"damaged": 1}
    assert_law(worker.stats())
    assert list(tmp_path.glob("*.spool.bad"))


ROWS = 60


def crashed_spool(path: Path, seed: int) -> tuple[dict[str, Event], dict[str, Event]]:
    """A dead process's file, half in the database and half in its WAL, with gaps of what was delivered.

    Returns what it held and what its last commit removed, by id.
    """
    chance = random.Random(seed)
    buffer = spool(path)
    put = [
        make_event(f"event {n}", level=chance.choice([20, 40]), stack="x" * chance.choice([10, 1_000, 9_000]))
        for n in range(ROWS)
    ]
    buffer.put(put[: ROWS // 2])
    delivered = buffer.lease(5)
    buffer.ack(delivered)
    buffer.close()  # a checkpoint
    for event in put[ROWS // 2 :]:
        buffer.put([event])
    delivered += buffer.lease(5)
    buffer.ack(delivered[5:])
    buffer.abandon()
    gone = {lease.event.id: lease.event for lease in delivered}
    return {event.id: event for event in put if event.id not in gone}, dict(list(gone.items())[5:])


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 3),
    where=st.sampled_from(["", "-wal"]),
    spots=st.lists(st.tuples(st.floats(0, 0.9999), st.integers(1, 255)), min_size=1, max_size=4),
    length=st.sampled_from([1, 4, 64, 4_096]),
)
def test_d04_whatever_bytes_change_the_rest_is_delivered_unaltered_and_the_loss_is_counted(
    seed, where, spots, length
):
    """Header, pages, rows: an event comes through whole or is counted, and never twice.

    Damage to a WAL may undo the commits behind it, which nobody can count; the rest holds there too.
    """
    with tempfile.TemporaryDirectory() as temporary:
        held, removed_last = crashed_spool(Path(temporary) / "dead", seed)
        path = left_behind(Path(temporary) / "dead", Path(temporary) / "found")
        target = Path(f"{database(path)}{where}")
        content = bytearray(target.read_bytes())
        for fraction, flip in spots:
            start = int(fraction * len(content))
            for offset in range(start, min(start + length, len(content))):
                content[offset] ^= flip
        target.write_bytes(content)

        reports = Reports()
        heir = spool(path, wall_clock=lambda: EPOCH + 1, report=reports)
        got = take_all(heir)
        lost = heir.lost()
        heir.close()

        assert len({event.id for event in got}) == len(got)
        # SQLite reads a WAL up to the first damage: the commits behind it, removals too, are undone.
        again = [event for event in got if event.id in removed_last and where == "-wal"]
        assert all({**held, **removed_last}.get(event.id) == event for event in got)
        assert len([event for event in got if event.id not in held]) == len(again)
        assert {one.reason for one in lost} <= {"damaged"}
        if not where and not any("at least" in report for report in reports):
            assert len(got) - len(again) + len(lost) == len(held)
        assert not list(path.glob("*.spool")), "nothing is left to be adopted again and again"


@pytest.mark.parametrize("spot", [0, 16, 18, 28, 40, 100, 105])
def test_d04_a_file_that_sqlite_cannot_open_is_counted_and_kept_aside(tmp_path, spot):
    """Its events are past our reading; a person may try sqlite3's .recover on what is kept."""
    dead = spool(tmp_path)
    dead.put(events(30, stack="x" * 500))
    dead.close()
    dead.abandon()
    path = database(tmp_path)
    content = bytearray(path.read_bytes())
    content[spot : spot + 8] = b"\xde\xad\xbe\xef\xde\xad\xbe\xef"
    path.write_bytes(content)
    reports = Reports()

    heir = spool(tmp_path, report=reports)
    got = take_all(heir)

    assert len(got) + len(heir.lost()) in (1, 30)
    assert len(got) == 30 or "kept as *.bad" in reports[-1]
    assert list(tmp_path.glob("*.spool.bad")) or len(got) == 30
    assert path.with_suffix(".lock").exists() is False


@pytest.mark.parametrize("torn_bytes", [0, 1, 100, 4_096, 4_100, 4_120])
def test_d04_a_wal_that_a_kill_cut_short_is_not_taken_for_damaged(tmp_path, torn_bytes):
    """The last frame half written, its header perhaps complete: that commit never was one."""
    dead = spool(tmp_path)
    put = events(50)
    for event in put:
        dead.put([event])
    dead.abandon()
    found = left_behind(tmp_path, tmp_path / "found")
    wal = Path(f"{database(found)}-wal")
    content = wal.read_bytes()
    content = content[: len(content) - torn_bytes] + bytes(torn_bytes)
    wal.write_bytes(content)

    heir = spool(found)

    assert [event.id for event in take_all(heir)] == [event.id for event in put[: 49 if torn_bytes else 50]]
    assert heir.lost() == []


# --- D5 to D10 --------------------------------------------------------------------------------------------


def test_d05_a_file_whose_process_lives_is_not_adopted(tmp_path):
    """The lock says so, without waiting."""
    living = spool(tmp_path)
    living.put(events(3))

    assert spool(tmp_path).adopt() == 0
    assert len(take_all(living)) == 3


@pytest.mark.parametrize("deed", ["unlinked", "replaced", "directory gone", "lock unlinked", "wal unlinked"])
def test_d06_a_file_that_disappears_is_noticed_within_a_second_and_nothing_is_lost(tmp_path, deed):
    """What was put is still readable through the open file, and goes to a new one."""
    place = tmp_path / "spool"
    clock, reports = ManualClock(), Reports()
    buffer = spool(place, clock, report=reports)
    put = events(5)
    buffer.put(put[:4])
    path = database(place)

    if deed == "directory gone":
        shutil.rmtree(place)
    elif deed == "lock unlinked":
        path.with_suffix(".lock").unlink()
    elif deed == "wal unlinked":
        Path(f"{path}-wal").unlink()
    else:
        path.unlink()
        if deed == "replaced":
            path.write_text("somebody else's")
    clock.advance(2.0)
    buffer.put(put[4:])

    assert (len(reports), buffer.lost()) == (1, [])
    assert buffer.state()["file"] != str(path)
    if deed == "replaced":
        assert path.read_text() == "somebody else's"
    buffer.abandon()
    assert {event.id for event in take_all(spool(place))} == {event.id for event in put}


def test_d07_without_shared_memory_for_a_wal_the_spool_works_with_a_journal(tmp_path, monkeypatch):
    """As on a network disk: said once, and durable all the same."""
    monkeypatch.setattr(spoolfile, "_URI", "file:{path}?mode=rw&vfs=unix-dotfile")
    reports = Reports()
    dead = spool(tmp_path, report=reports)
    put = events(5)
    for event in put:
        dead.put([event])

    assert not list(tmp_path.glob("*-wal"))
    assert len(reports) == 1
    assert "network disk" in reports[0]
    dead.abandon()
    shutil.rmtree(f"{database(tmp_path)}.lock")  # what a dot-file lock leaves behind when its process dies
    assert [event.id for event in take_all(spool(tmp_path))] == [event.id for event in put]


class Killed(BaseException):
    """The process ends here."""


def test_d08_a_crash_between_send_and_ack_sends_one_batch_again_with_the_same_ids(tmp_path):
    """At least once: the events of the request under way, and only those."""
    clock = ManualClock()
    buffer = spool(tmp_path, clock)
    first, second = ScriptedSink(max_events=4), ScriptedSink(max_events=4)

    def die(events):
        first.delivered.extend(events)
        raise Killed

    worker = make_worker(first, clock, buffer=lambda: buffer)
    for number in range(8):
        submit(worker, f"event {number}")
    worker.step()
    first.answers.append(die)
    clock.advance(5.0)
    with pytest.raises(Killed):
        worker.step()
    buffer.abandon()
    kill(worker)

    heir = make_worker(second, clock, buffer=lambda: spool(tmp_path, clock))
    heir.step()
    settle(heir, clock)

    assert len(first.delivered) == 8
    assert [event.id for event in second.delivered] == [event.id for event in first.delivered[4:]]
    assert_law(heir.stats())


@pytest.mark.parametrize("version", ["v0", "v2"])
def test_d09_a_file_of_another_schema_is_left_untouched_and_reported(tmp_path, version):
    """An older or newer release of this package has to finish it."""
    dead = spool(tmp_path)
    dead.put(events(2))
    dead.close()
    dead.abandon()
    path = database(tmp_path)
    path = path.rename(path.with_name(path.name.replace("-v1-", f"-{version}-")))
    before = path.read_bytes()
    clock, reports = ManualClock(), Reports()
    heir = spool(tmp_path, clock, report=reports)

    for _ in range(3):
        assert heir.adopt() == 0
        clock.advance(1_000.0)

    assert path.read_bytes() == before
    assert len(reports) == 1
    assert path.name in reports[0]


def test_d10_events_past_their_age_are_counted_as_expired_at_lease_and_at_adoption(tmp_path):
    """48 hours by default, counted over the lives of processes."""
    clock = ManualClock()
    dead = spool(tmp_path, clock)
    dead.put(events(3, level=20))
    dead.abandon()
    clock.advance(47 * 3600.0)
    heir = spool(tmp_path, clock, wall_clock=lambda: EPOCH + 47 * 3600.0)
    fresh = events(2)
    heir.put(fresh)
    assert heir.adopt() == 3
    clock.advance(2 * 3600.0)

    leases = heir.lease(10)

    assert [lease.event.id for lease in leases] == [event.id for event in fresh]
    assert [(lost.level, lost.reason) for lost in heir.lost()] == [(20, "expired")] * 3
    assert (len(heir), heir.ready()) == (2, 0)

    heir.abandon()
    late = spool(tmp_path, ManualClock(), wall_clock=lambda: EPOCH + 100 * 3600.0)
    assert (late.adopt(), len(late)) == (2, 0)
    assert [(lost.level, lost.reason) for lost in late.lost()] == [(40, "expired")] * 2


def test_d10_expired_events_keep_the_law(tmp_path):
    """They were accepted, and are dropped for a reason."""
    clock = ManualClock()
    sink = ScriptedSink(*[RuntimeError("down")] * 3)
    worker = make_worker(
        sink, clock, buffer=lambda: spool(tmp_path, clock, max_age_seconds=100.0), max_age=1e9
    )
    for number in range(5):
        submit(worker, f"event {number}")
    worker.step()

    clock.advance(200.0)
    submit(worker, "fresh")
    settle(worker, clock)

    assert worker.stats()["dropped"] == {"expired": 5}
    assert sink.delivered[0].message == "fresh"
    assert_law(worker.stats())


def test_p25_a_step_of_the_wall_clock_ages_nothing(tmp_path):
    """It is read once; from there on the monotonic clock counts."""
    clock = ManualClock()
    wall = [EPOCH]
    buffer = spool(tmp_path, clock, wall_clock=lambda: wall[0])
    buffer.put(events(1))

    wall[0] += 1_000 * 3600.0
    clock.advance(3.0)

    (lease,) = buffer.lease(1)
    assert lease.age == pytest.approx(3.0)


# --- S8 --------------------------------------------------------------------------------------------------


def test_s08_only_the_owner_can_read_the_spool(tmp_path):
    """0700 and 0600 whatever the umask, side files included."""
    before = os.umask(0)
    try:
        buffer = spool(tmp_path / "spool")
        buffer.put(events(3))
        buffer.put(events(3))
    finally:
        os.umask(before)

    entries = list((tmp_path / "spool").iterdir())
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700
    assert files(tmp_path / "spool") == ["lock", "spool", "spool-shm", "spool-wal"]
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in entries} == {0o600}


def test_s08_a_planted_link_or_foreign_file_is_not_adopted(tmp_path):
    """Neither a symbolic nor a hard link to another database, nor one of another owner."""
    place, elsewhere = tmp_path / "spool", tmp_path / "elsewhere"
    for path in (place, elsewhere):
        dead = spool(path)
        dead.put(events(1))
        dead.close()
        dead.abandon()
    target = database(elsewhere)
    target.with_suffix(".lock").unlink()
    mine = database(place)
    (place / mine.name.replace("-v1-0", "-v1-1")).symlink_to(target)
    os.link(target, place / mine.name.replace("-v1-0", "-v1-2"))

    assert len(take_all(spool(place))) == 1
    assert target.exists()


def test_s08_a_link_at_the_lock_s_name_is_not_followed(tmp_path):
    """O_NOFOLLOW."""
    (tmp_path / "x.lock").symlink_to(tmp_path / "victim")

    with pytest.raises(OSError, match=r"symbolic|symlink|loop"):
        Lock.take(tmp_path / "x.lock", new=False)
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("written", [b"", None])
def test_a_file_whose_process_was_killed_while_it_made_it_is_no_damage(tmp_path, written):
    """It never held an event: it is deleted, and nothing is said."""
    path = spool(tmp_path)._names.new(EPOCH)
    path.write_bytes(written or b"")
    if written is None:  # SQLite has begun, and committed no table
        sqlite3.connect(path).execute("VACUUM")
    path.with_suffix(".lock").touch()
    reports = Reports()
    heir = spool(tmp_path, report=reports)

    assert take_all(heir) == []

    assert heir.lost() == []
    assert reports == []
    assert not path.exists()
    assert not list(tmp_path.glob("*.bad*"))


def test_d09_files_that_come_and_go_meanwhile_are_of_no_other_version(tmp_path, monkeypatch):
    """The directory is read once: two readings differ by what other processes made in between."""
    reports = Reports()
    heir = spool(tmp_path, report=reports)
    heir.put(events(1))
    names = heir._names
    read = names._matching

    def and_then_another_process_makes_one(pattern: str) -> list[Path]:
        found = read(pattern)
        (tmp_path / names.new(EPOCH).name).touch()
        return found

    monkeypatch.setattr(names, "_matching", and_then_another_process_makes_one)

    heir.adopt()

    assert reports == []


def test_an_idle_cycle_of_the_file_leaves_nothing_in_memory(tmp_path):
    """A connection that this process closed itself may be collected: 24 MB a day else."""
    clock = ManualClock()
    buffer = spool(tmp_path, clock)
    gone = []
    for _ in range(3):
        buffer.put(events(1))
        gone.append(buffer._rows._file._connection)
        buffer.ack(buffer.lease(1))
        clock.advance(20.0)
        buffer.ready_in()
    closed = [sqlite3.connect(":memory:")]
    closed[0].close()

    assert buffer.state()["file"] is None
    assert {sys.getrefcount(gone[number]) for number in range(3)} == {sys.getrefcount(closed[0])}


def test_p25_a_machine_that_slept_expires_nothing_at_adoption(tmp_path):
    """The clock of a spool goes on while the machine sleeps, so the time of a put is the wall's time."""
    clock, wall = ManualClock(), [EPOCH]
    sleeper = spool(tmp_path, clock, wall_clock=lambda: wall[0])
    slept = 3 * 86_400.0
    clock.advance(slept)
    wall[0] += slept
    sleeper.put(events(1))
    sleeper.abandon()

    heir = spool(tmp_path, wall_clock=lambda: wall[0] + 60.0)

    assert [event.message for event in take_all(heir)] == ["event 0"]


def test_p25_a_handler_gives_its_spool_the_clock_that_counts_sleep(tmp_path):
    """CLOCK_BOOTTIME where the system has it."""
    handler = GuanceHandler(api_key="x", spool=str(tmp_path))

    assert handler._worker._life.buffer._clock is boot_time
    assert boot_time() >= monotonic() - 1.0


def test_adoption_waits_while_rows_of_our_own_wait_for_the_file(tmp_path):
    """What is taken over goes from file to file: memory is not filled with it."""
    dead = spool(tmp_path / "a")
    dead.put(events(3))
    dead.abandon()
    heir = spool(tmp_path / "a")
    heir._trouble.pause("a full disk")
    heir.put(events(1))
    heir._trouble.try_again()

    assert heir.adopt() == 0
    heir.put(events(1))
    assert heir.adopt() == 3


def test_attempts_of_an_event_in_memory_are_noted_too(tmp_path):
    """It counts from where it stood, also after its row went to the file and to another process."""
    clock = ManualClock()
    buffer = spool(tmp_path, clock)
    buffer._trouble.pause("a full disk")
    buffer.put(events(1))
    (lease,) = buffer.lease(1)
    buffer.nack(lease, 0.0)
    clock.advance(100.0)
    buffer.ready_in()
    assert buffer.state()["in_file"] == 1
    buffer.abandon()

    heir = spool(tmp_path)
    heir.adopt()

    assert [lease.attempts for lease in heir.lease(1)] == [2]


def test_rows_that_never_reached_the_file_are_not_missed_by_its_heir(tmp_path):
    """A gap in the numbers is no loss where the event was settled while it waited in memory."""
    clock = ManualClock()
    buffer = spool(tmp_path, clock)
    buffer._trouble.pause("a full disk")
    buffer.put(events(3))
    buffer.ack(buffer.lease(2))
    clock.advance(100.0)
    buffer.put(events(1))
    assert buffer.state()["in_file"] == 2
    buffer.abandon()

    heir = spool(tmp_path)

    assert len(take_all(heir)) == 2
    assert heir.lost() == []


def test_an_orphan_half_moved_is_not_let_go(tmp_path):
    """Its rows would be delivered twice: by us, and by the next process that finds the file."""
    dead = spool(tmp_path)
    dead.put(events(3))
    dead.abandon()
    path = database(tmp_path)
    heir = spool(tmp_path)
    heir._rows.open_file()
    heir._rows.commit = lambda: None  # the file takes nothing just now

    assert heir.adopt() == 3
    heir.close()

    assert Lock.take(path.with_suffix(".lock"), new=False) is None
    assert heir.state()["duplicates_possible"] == 3


@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_d03_a_directory_that_a_group_or_others_may_write_in_is_refused(tmp_path, mode):
    """Whoever may write there may plant a file."""
    tmp_path.chmod(mode)
    reports = Reports()

    spool(tmp_path, report=reports).put(events(1))

    assert "others may write" in reports[0]


def test_the_leftovers_of_dead_processes_are_swept(tmp_path):
    """Locks without a file, and all but the last two damaged files."""
    buffer = spool(tmp_path)
    names = buffer._names
    for number in range(4):
        path = names.new(EPOCH + number)
        path.touch()
        directory.quarantine(path)
        path.with_suffix(".lock").touch()

    buffer.put(events(1))

    assert files(tmp_path) == ["lock", "spool", "spool-shm", "spool-wal", "spool.bad", "spool.bad"]
