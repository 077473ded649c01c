"""The journal of ``durability="commit"``: what a log call returned for is found by the next process, once."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from processes import run
from test_spool import Reports, database, files, spool, take_all

from eventlog_handlers.buffers.spool import journal as journals
from eventlog_handlers.buffers.spool.absorb import records_of
from eventlog_handlers.buffers.spool.buffer import SpoolBuffer
from eventlog_handlers.buffers.spool.directory import journals_of
from eventlog_handlers.buffers.spool.file import Row
from eventlog_handlers.buffers.spool.inspect import entries, purge, take_over
from eventlog_handlers.buffers.spool.journal import Journal, Segment, record_of, unmoved
from eventlog_handlers.events import Event
from eventlog_handlers.process import clock, mounts
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_event, make_worker

pytestmark = pytest.mark.skipif(not journals.is_safe_here(), reason="needs the GIL and posix_fallocate")


def row(text: str) -> Row:
    return Row(1, 1_790_000_000.5, 0, text.encode())


def opened(path: Path, **options: Any) -> tuple[SpoolBuffer, Journal]:
    """A spool whose file and journal are there, with nothing in them."""
    buffer = spool(path, has_journal=True, **options)
    buffer.put([make_event("opens the file")])
    buffer.ack(buffer.lease(1))
    assert buffer.journal is not None
    assert buffer.journal.is_open
    return buffer, buffer.journal


def written(journal: Journal, count: int, first: int = 1) -> dict[int, Event]:
    """Events that log calls left there, by id."""
    left: dict[int, Event] = {}
    captures: deque[int] = deque()
    for number in range(first, first + count):
        left[number] = make_event(f"event {number}")
        assert journal.put(left[number], number, number, captures)
    assert list(captures) == list(left)
    return left


def ids(events: Any) -> set[str]:
    return {event.id for event in events}


# --- the file ---------------------------------------------------------------------------------------------


def test_what_was_appended_is_read_back_and_what_was_moved_is_not(tmp_path: Path) -> None:
    """In order, with all fields of a row."""
    segment = Segment(tmp_path / "a.journal")
    for number in range(5):
        segment.write(record_of(row(f"body {number}"), bytes([number] * 16)))
    segment.moved([bytes([1] * 16), b"unknown to it..."])

    records, damaged = unmoved((tmp_path / "a.journal").read_bytes())

    assert [record.row for record in records] == [row(f"body {number}") for number in (2, 3, 4)]
    assert [record.id for record in records] == [bytes([number] * 16) for number in (2, 3, 4)]
    assert damaged == 0
    assert segment.waiting() == 3
    assert (tmp_path / "a.journal").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kept", range(1, 60, 7))
def test_a_record_that_a_kill_cut_short_is_no_loss(tmp_path: Path, kept: int) -> None:
    """Its log call never returned; those before it are whole."""
    segment = Segment(tmp_path / "a.journal")
    segment.write(record_of(row("whole"), bytes(16)))
    segment.write(record_of(row("x" * 100), bytes(16))[:kept])

    records, damaged = unmoved((tmp_path / "a.journal").read_bytes())

    assert [record.row.body for record in records] == [b"whole"]
    assert damaged == 0


def test_a_damaged_record_is_counted_and_its_neighbours_are_read(tmp_path: Path) -> None:
    """One bit in a body; and a file that is no journal at all counts as one."""
    segment = Segment(tmp_path / "a.journal")
    for text in ("first", "second", "third"):
        segment.write(record_of(row(text), bytes(16)))
    content = bytearray((tmp_path / "a.journal").read_bytes())
    content[content.index(b"second")] ^= 1

    records, damaged = unmoved(bytes(content))

    assert [record.row.body for record in records] == [b"first", b"third"]
    assert damaged == 1
    assert unmoved(b"no journal") == ([], 1)
    assert unmoved(bytes(1_000)) == ([], 0)  # killed while it made the file


def test_a_record_is_written_and_its_capture_waits_or_neither(tmp_path: Path) -> None:
    """What does not fit any more, or comes when there is no journal, is refused."""
    buffer, journal = opened(tmp_path)
    captures: deque[str] = deque()
    large = make_event("x" * (journals.SEGMENT_BYTES - 2_000))

    assert journal.put(large, 1, "one", captures)
    assert not journal.put(make_event("y" * 3_000), 2, "two", captures)
    assert journal.put(make_event("small"), 3, "three", captures)
    journal.close()
    assert not journal.put(make_event("late"), 4, "four", captures)

    assert list(captures) == ["one", "three"]
    assert [record.row.body[:3] for record in records_of(database(tmp_path))[0]] == [b'{"i', b'{"i']
    buffer.abandon()


def test_a_full_segment_gives_way_to_a_new_one_and_is_deleted_once_moved(tmp_path: Path) -> None:
    """At no moment is an event in none of them; in the end one empty journal is there."""
    buffer, journal = opened(tmp_path)
    captures: deque[int] = deque()
    waiting: list[int] = []
    segments = 0
    for number in range(1, 40):
        assert journal.put(make_event("x" * 200_000), number, number, captures)
        waiting.append(number)
        segments = max(segments, len(journals_of(database(tmp_path))))
        assert len(records_of(database(tmp_path))[0]) == len(waiting) == journal.waiting()
        if len(waiting) == 4:
            journal.moved(waiting[:2])
            waiting = waiting[2:]
    journal.moved(waiting)

    assert segments >= 2
    assert journal.waiting() == 0
    assert len(journals_of(database(tmp_path))) == 1
    buffer.close()
    assert files(tmp_path) == []


def test_what_the_intake_dropped_holds_no_journal_back(tmp_path: Path) -> None:
    """Their ids are never named; what came after them was moved."""
    buffer, journal = opened(tmp_path)
    written(journal, 10)

    journal.moved([1, 2, 9])

    assert [record.id[-1] for record in records_of(database(tmp_path))[0]] == [10]
    assert journal.waiting() == 1
    journal.moved([10])
    buffer.close()
    assert files(tmp_path) == []


# --- the life of its process ------------------------------------------------------------------------------


def test_p04_p14_the_next_process_takes_over_what_was_not_moved(tmp_path: Path) -> None:
    """From the file and from the journal; what was put and not yet marked comes once."""
    dead, journal = opened(tmp_path)
    left = written(journal, 20)
    dead.put([left[number] for number in range(1, 8)])
    journal.moved(range(1, 6))  # killed before it had marked 6 and 7
    dead.abandon()

    heir = spool(tmp_path)
    taken = take_all(heir)

    assert sorted(event.id for event in taken) == sorted(event.id for event in left.values())
    assert heir.lost() == []
    heir.close()
    assert files(tmp_path) == []


def test_a_journal_whose_file_is_gone_is_taken_over(tmp_path: Path) -> None:
    """Somebody deleted the file and its lock, and the process was killed."""
    dead, journal = opened(tmp_path)
    left = written(journal, 3)
    dead.abandon()
    for path in tmp_path.iterdir():
        if path.suffix != ".journal":
            path.unlink()

    heir = spool(tmp_path)

    assert ids(take_all(heir)) == ids(left.values())
    heir.close()
    assert files(tmp_path) == []


def test_damage_in_a_dead_process_s_journal_is_counted(tmp_path: Path) -> None:
    """Its neighbours are delivered, and it is said."""
    dead, journal = opened(tmp_path)
    left = written(journal, 3)
    dead.abandon()
    (path,) = journals_of(database(tmp_path))
    content = bytearray(path.read_bytes())
    content[content.index(left[2].id.encode())] ^= 1
    path.write_bytes(content)

    reports = Reports()
    heir = spool(tmp_path, report=reports)

    assert ids(take_all(heir)) == {left[1].id, left[3].id}
    assert [lost.reason for lost in heir.lost()] == ["damaged"]
    assert "1 event(s) in the journal" in reports[0]
    heir.close()


def test_a_spool_file_that_has_to_be_given_up_leaves_the_journal_to_the_next(tmp_path: Path) -> None:
    """Its name follows the new file's, so that the next process finds it."""
    manual = ManualClock()
    buffer, journal = opened(tmp_path, clock=manual)
    left = written(journal, 4)
    database(tmp_path).unlink()
    manual.advance(2.0)
    buffer.put([make_event("goes to a new file")])

    assert ids_of(records_of(database(tmp_path))[0]) == {1, 2, 3, 4}
    more = written(journal, 2, first=5)
    buffer.abandon()

    heir = spool(tmp_path)
    assert ids([*left.values(), *more.values()]) < ids(take_all(heir))
    heir.close()


def ids_of(records: Any) -> set[int]:
    return {int.from_bytes(record.id, "big") for record in records}


def test_d06_a_journal_that_was_deleted_is_made_anew(tmp_path: Path) -> None:
    """Within a second or so; from then on what is written is safe again."""
    manual = ManualClock()
    buffer, journal = opened(tmp_path, clock=manual)
    (path,) = journals_of(database(tmp_path))
    path.unlink()
    manual.advance(2.0)
    buffer.lease(1)

    written(journal, 1)

    assert len(records_of(database(tmp_path))[0]) == 1
    buffer.abandon()


def test_a_journal_and_its_file_stay_through_a_rest(tmp_path: Path) -> None:
    """The next log call writes there at once; only SQLite's connection is closed."""
    manual = ManualClock()
    buffer, journal = opened(tmp_path, clock=manual)
    before = files(tmp_path)
    manual.advance(30.0)
    buffer.lease(1)
    buffer.rest()
    assert sorted(set(before) - set(files(tmp_path))) == ["spool-shm", "spool-wal"]

    manual.advance(3600.0)
    (event,) = written(journal, 1).values()
    buffer.put([event])
    journal.moved([1])

    assert files(tmp_path) == before
    assert ids(lease.event for lease in buffer.lease(9)) == {event.id}
    buffer.abandon()


@pytest.mark.parametrize("unmoved", [0, 1])
def test_an_idle_file_without_an_open_journal_goes_unless_an_older_one_is_not_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unmoved: int
) -> None:
    """A log call wrote there, and no new one can be made."""
    manual = ManualClock()
    buffer, journal = opened(tmp_path, clock=manual)
    written(journal, unmoved)
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        journal._begin()
        assert not journal.is_open
        manual.advance(30.0)
        buffer.lease(1)
        assert bool(files(tmp_path)) is bool(unmoved)
        journal.moved([1])
        manual.advance(30.0)
        buffer.lease(1)

    assert files(tmp_path) == []


def full(*_: int) -> None:
    """As posix_fallocate on a full disk."""
    raise OSError(28, "No space left on device")


def test_d01_where_no_journal_can_be_made_it_is_said_once(tmp_path: Path, monkeypatch: Any) -> None:
    """A full disk: log calls wait for a thread, as without a journal; later one is made."""
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        buffer, said = without_journal(tmp_path)
    assert said == "[Errno 28] No space left on device"

    buffer.put([make_event()])

    assert buffer.journal is not None
    assert buffer.journal.is_open
    buffer.abandon()


def without_journal(path: Path) -> tuple[SpoolBuffer, str]:
    """A spool that can't have a journal and holds three events, and why it has none: that is said once."""
    manual, reports = ManualClock(), Reports()
    buffer = spool(path, manual, has_journal=True, report=reports)
    for _ in range(3):
        buffer.put([make_event()])
        manual.advance(10.0)
    assert buffer.journal is not None
    assert not buffer.journal.is_open
    assert journals_of(database(path)) == []
    assert len(buffer) == 3
    (text,) = reports
    what, _, why = text.partition(": ")
    assert what == "no journal, so log calls wait for a thread that writes"
    return buffer, why


@pytest.mark.parametrize("kind", ["btrfs", "zfs", "bcachefs", "nilfs2"])
def test_d01_where_a_full_disk_would_kill_the_process_there_is_no_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Blocks are taken up anew for each change there; one line says why log calls wait."""
    monkeypatch.setattr(mounts, "file_system", lambda path: kind if path == str(tmp_path) else "ext4")

    buffer, said = without_journal(tmp_path)

    assert said == f"on {kind} a full disk would kill a process that writes to a mapped file"
    buffer.abandon()


# --- commands ---------------------------------------------------------------------------------------------


def test_the_commands_see_what_is_in_a_journal(tmp_path: Path) -> None:
    """Of a living process, and of one that ended; each event once."""
    buffer, journal = opened(tmp_path)
    left = written(journal, 3)
    buffer.put([left[1]])

    (entry,) = entries(tmp_path)
    waiting, damaged = entry.read()

    assert entry.state == "in use"
    assert sorted(one.event.id for one in waiting) == sorted(ids(left.values()))
    assert damaged == 0
    assert entry.bytes > journals.SEGMENT_BYTES
    buffer.abandon()
    (entry,) = entries(tmp_path)
    assert (entry.state, len(entry.read()[0])) == ("left", 3)


def test_replay_takes_a_journal_along_to_another_destination(tmp_path: Path) -> None:
    """The heir of that destination delivers what was in file and journal."""
    dead, journal = opened(tmp_path)
    left = written(journal, 3)
    dead.put([left[1]])
    dead.close()
    dead.abandon()
    heir = spool(tmp_path, identity="another")

    take_over(database(tmp_path), heir.state()["destination"])

    assert ids(take_all(heir)) == ids(left.values())
    heir.close()
    assert files(tmp_path) == []


def test_purge_deletes_the_journals_too(tmp_path: Path) -> None:
    """Nothing of an ended process is left."""
    dead, journal = opened(tmp_path)
    written(journal, 3)
    assert not purge(database(tmp_path))
    dead.abandon()

    assert purge(database(tmp_path))
    assert files(tmp_path) == []


# --- with a handler ---------------------------------------------------------------------------------------

SCRIPT = """
import logging, os, signal, sys, threading, time
from eventlog_handlers import CMSHandler
handler = CMSHandler(spool=SPOOL, durability="commit", requests_per_second=None, exit_timeout=1, OPTIONS)
log = logging.getLogger("shop")
log.setLevel("INFO")
log.addHandler(handler)
log.info("opens the journal")
"""


def script(place: Path, options: str = "") -> str:
    return SCRIPT.replace("SPOOL", repr(str(place))).replace("OPTIONS", options)


def test_p04_what_a_log_call_returned_for_is_in_the_journal_when_no_thread_ran(tmp_path: Path) -> None:
    """The process kills itself right after; the next one has all of it, once, redacted."""
    killed = run(
        """
        sys.setswitchinterval(30)  # the worker's thread does not get the GIL
        for number in range(30):
            log.info("record %d", number, extra={"password": "hunter2"})
        os.kill(os.getpid(), 9)
        """,
        preamble=script(tmp_path / "spool", "flush_interval=60"),
        console="http://127.0.0.1:9",
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    content = b"".join(path.read_bytes() for path in (tmp_path / "spool").iterdir())
    assert b"hunter2" not in content

    (entry,) = entries(tmp_path / "spool")
    messages = sorted(one.event.message for one in entry.read()[0])

    assert messages == sorted(["opens the journal", *(f"record {number}" for number in range(30))])
    assert len(records_of(database(tmp_path / "spool"))[0]) >= 25


def test_p04_what_a_log_call_returned_for_after_a_rest_is_in_the_journal_too(
    tmp_path: Path, eventlog_console: Any
) -> None:
    """SQLite's connection was closed, and no thread ran any more."""
    killed = run(
        """
        assert handler.flush(20)
        handler._worker._life.ledger.rest()
        sys.setswitchinterval(30)  # the worker's thread does not get the GIL
        for number in range(30):
            log.info("record %d", number)
        os.kill(os.getpid(), 9)
        """,
        preamble=script(tmp_path / "spool", "flush_interval=60"),
        console=eventlog_console.url,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    (entry,) = entries(tmp_path / "spool")

    messages = sorted(one.event.message for one in entry.read()[0])
    assert messages == sorted(f"record {number}" for number in range(30))
    assert len(records_of(database(tmp_path / "spool"))[0]) >= 25


@pytest.mark.parametrize("child", ["logs nothing", "logs"])
def test_the_end_of_a_process_after_a_rest_leaves_no_file(
    tmp_path: Path, eventlog_console: Any, child: str
) -> None:
    """Nor does a child that was forked at rest, whose end leaves its parent's journal alone."""
    done = run(
        f"""
        assert handler.flush(20)
        handler._worker._life.ledger.rest()
        place = {str(tmp_path / "spool")!r}
        before = sorted(os.listdir(place))
        assert len(before) == 3, before
        child = os.fork()
        if not child:
            if {child == "logs"}:
                log.info("child")
                assert handler.flush(20)
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert sorted(os.listdir(place)) == before
        log.info("parent")
        """,
        preamble=script(tmp_path / "spool"),
        console=eventlog_console.url,
    )

    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "spool") == []


def test_a_forked_child_writes_no_word_into_its_parent_s_journal(tmp_path: Path) -> None:
    """It makes its own; both are killed, and all is found once."""
    done = run(
        """
        log.info("parent before")
        child = os.fork()
        if not child:
            for number in range(20):
                log.info("child %d", number)
            os.kill(os.getpid(), 9)
        os.waitpid(child, 0)
        log.info("parent after")
        os.kill(os.getpid(), 9)
        """,
        preamble=script(tmp_path / "spool"),
        console="http://127.0.0.1:9",
    )
    assert done.returncode == -signal.SIGKILL, done.stderr

    waiting = [one.event.message for entry in entries(tmp_path / "spool") for one in entry.read()[0]]

    expected = ["opens the journal", "parent before", "parent after", *(f"child {n}" for n in range(20))]
    assert sorted(waiting) == sorted(expected)


def test_a_hook_of_the_user_s_is_not_called_in_the_thread_that_logs(tmp_path: Path) -> None:
    """With before_send a thread renders and writes, and the log call waits, as without a journal."""
    done = run(
        """
        log.info("record")
        print(threading.current_thread().name not in names, handler.stats()["spool"]["in_journal"])
        sys.stdout.flush()
        os._exit(0)
        """,
        preamble="names = []\ndef hook(event):\n    names.append(threading.current_thread().name)\n"
        "    return event\n" + script(tmp_path / "spool", "before_send=hook"),
        console="http://127.0.0.1:9",
    )

    assert done.stdout == "True 0\n", done.stderr
    assert not list((tmp_path / "spool").glob("*.journal"))


def _with_a_journal(place: Path, start_thread: Any) -> Any:
    """A worker that commits, and whose journal is open."""
    worker = make_worker(
        ScriptedSink(), clock.monotonic,
        buffer=lambda: spool(place, has_journal=True), start_thread=start_thread,
        spool=str(place), durability="commit",
    )  # fmt: skip
    worker.commit(captured("opens the journal"))
    assert worker.flush(30)
    return worker


def test_what_is_left_in_the_journal_at_the_end_is_told_as_kept(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """stderr says that it stays in the spool, not that it is lost."""
    worker = _with_a_journal(tmp_path, start_thread)
    with monkeypatch.context() as patch:  # or the thread would never come to rest
        patch.setattr(worker.pool, "rouse", lambda: True)
        patch.setattr(worker._life.turns, "render_some", lambda: False)
        worker.commit(captured("stays"))

        worker.say_what_is_left()

    assert "1 event(s) stay in the spool" in capsys.readouterr().err
    assert worker.park(30)


def test_a_handler_that_is_closed_at_rest_leaves_no_file(tmp_path: Path) -> None:
    """No thread is there that would delete it."""

    def refuse(*_: Any) -> None:
        raise RuntimeError("no threads")

    worker = _with_a_journal(tmp_path, refuse)
    worker._life.turns.rest()
    assert len(journals_of(database(tmp_path))) == 1

    assert worker.park(30)

    assert files(tmp_path) == []


def start_thread(work: Any, name: str) -> None:
    threading.Thread(target=work, name=name, daemon=True).start()


def captured(message: str) -> Any:
    import logging

    from captures import capture

    from eventlog_handlers.process.randomness import random_bits

    return capture(logging.LogRecord("shop", 40, "shop.py", 1, message, (), None), random_bits())
