"""The edges of ages, delays, counts and reports; over all buffers where they have them in common."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3

import pytest
from test_buffers import BUFFERS, names, of, spool

from eventlog_handlers.buffers.memory import weight, weight_of
from eventlog_handlers.buffers.queues import Position, Queues, Rounds
from eventlog_handlers.buffers.severity import class_of
from eventlog_handlers.buffers.spool import directory
from eventlog_handlers.buffers.spool.buffer import SpoolBuffer
from eventlog_handlers.buffers.spool.directory import Lock, Names, UnusableError
from eventlog_handlers.buffers.spool.file import DamagedError, Row, SpoolFile
from eventlog_handlers.buffers.spool.inspect import entries
from eventlog_handlers.buffers.spool.trouble import Trouble
from eventlog_handlers.events import MAX_DEPTH, MAX_VALUES
from eventlog_handlers.testing import ManualClock, make_event

EPOCH = 1_790_000_000.0


@pytest.fixture(params=BUFFERS, ids=lambda make: make.__name__)
def make_buffer(request):
    return request.param


# --- every buffer ----------------------------------------------------------------------------------------


def test_the_oldest_is_the_one_held_longest_leased_or_not(make_buffer):
    """Seconds since it was put, until it is acknowledged."""
    clock = ManualClock()
    buffer = make_buffer(clock)
    assert buffer.oldest() is None

    buffer.put([make_event("a", 40)])
    clock.advance(5)
    buffer.put([make_event("b", 50)])
    clock.advance(2)
    leases = buffer.lease(2)

    assert buffer.oldest() == pytest.approx(7)
    assert [lease.age for lease in leases] == [pytest.approx(2), pytest.approx(7)]

    buffer.ack([leases[1]])

    assert buffer.oldest() == pytest.approx(2)
    buffer.ack([leases[0]])
    assert buffer.oldest() is None


def test_an_event_whose_delay_is_over_gives_way_like_any_other(make_buffer):
    """Nobody has asked for it since: the buffer looks at its clock before it evicts."""
    clock = ManualClock()
    buffer = make_buffer(clock, capacity=3)
    buffer.put(of("a", 2))
    for lease in buffer.lease(2):
        buffer.nack(lease, 10.0)
    buffer.put(of("b", 1))
    clock.advance(10.0)

    evicted = buffer.put(of("c", 1, level=50))

    assert [lost.event.message for lost in evicted] == ["a1"]


def test_what_could_go_is_counted_in_bytes_too(make_buffer):
    """By as much as the buffer holds; a leased or a delayed event can't go."""
    clock = ManualClock()
    buffer = make_buffer(clock)
    buffer.put([make_event("x" * 1_000), make_event("y")])
    whole = buffer.bytes()
    assert buffer.ready_bytes() == whole

    large, small = buffer.lease(2)
    assert (buffer.ready_bytes(), buffer.bytes()) == (0, whole)

    buffer.nack(small, 0.0)
    rest = buffer.ready_bytes()
    buffer.nack(large, 5.0)

    assert 0 < rest < whole - rest
    assert buffer.ready_bytes() == rest
    clock.advance(5.0)
    assert (buffer.ready(), buffer.ready_bytes()) == (2, whole)


def test_the_first_of_several_delays_is_the_one_to_wait_for(make_buffer):
    """Then the next; a lease takes what is due and leaves what isn't."""
    clock = ManualClock()
    buffer = make_buffer(clock)
    buffer.put(of("a", 3))
    for lease, delay in zip(buffer.lease(3), (9.0, 3.0, 6.0), strict=True):
        buffer.nack(lease, delay)

    seen = []
    while (wait := buffer.ready_in()) is not None:
        clock.advance(wait)
        seen.append((wait, names(buffer.lease(9))))

    assert seen == [(3.0, ["a2"]), (3.0, ["a3"]), (3.0, ["a1"])]


def test_a_leased_event_comes_back_with_all_its_attempts(make_buffer):
    """Each attempt spent counts one, wherever the event lies."""
    buffer = make_buffer(ManualClock())
    buffer.put(of("a", 1))

    attempts = []
    for is_spent in (True, False, True, True):
        (lease,) = buffer.lease(1)
        attempts.append(lease.attempts)
        buffer.nack(lease, 0.0, spent=is_spent)

    assert attempts == [1, 2, 2, 3]


def test_a_lease_is_settled_once(make_buffer):
    """A second ack or nack is a mistake of the caller's, and changes nothing."""
    buffer = make_buffer(ManualClock())
    buffer.put(of("a", 2))
    acked, nacked = buffer.lease(2)
    buffer.ack([acked])
    buffer.nack(nacked, 0.0)

    for lease in (acked, nacked):
        with pytest.raises(KeyError):
            buffer.ack([lease])
        with pytest.raises(KeyError):
            buffer.nack(lease, 0.0)

    assert (len(buffer), buffer.ready()) == (1, 1)
    assert [lease.key for lease in buffer.lease(2)] == [nacked.key]


def test_a_full_buffer_takes_again_what_was_acknowledged(make_buffer):
    """Room is what isn't held: exactly as many events as were settled find a place."""
    buffer = make_buffer(ManualClock(), capacity=3, policy="drop_newest")
    assert list(buffer.put(of("a", 3))) == []
    buffer.ack(buffer.lease(2))

    evicted = buffer.put(of("b", 3))

    assert [lost.event.message for lost in evicted] == ["b3"]
    assert len(buffer) == 3


@pytest.mark.parametrize(
    ("level", "number"),
    [(60, 0), (50, 0), (49, 1), (40, 1), (39, 2), (30, 2), (29, 3), (20, 3), (19, 4), (10, 4), (0, 4)],
)
def test_a_class_begins_at_its_level(level, number):
    """The five of logging, each from its own number on."""
    assert class_of(level) == number


# --- the weight of an event in memory --------------------------------------------------------------------


def test_the_weight_grows_with_every_text():
    """Message, stack, the exception's texts, names and values of attributes: each by its own size."""
    bare = weight(make_event("m"))

    assert weight(make_event("m" * 1_001)) == bare + 1_000
    assert weight(make_event("m", stack="s" * 1_000)) == bare + 1_000
    assert weight(make_event("m", attributes={"n" * 1_000: 1})) > bare + 1_000
    assert weight(make_event("m", attributes={"n": "v" * 1_000})) > bare + 1_000
    assert weight(make_event("m", attributes={"n": {"deep": ["v" * 1_000]}})) > bare + 1_000


def test_a_weight_is_found_within_bounds():
    """Neither depth nor number of values makes it long; up to the bounds everything counts."""
    deep = "v" * 10_000
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    assert weight_of(deep) > 10_000
    assert weight_of([deep]) < 10_000
    wide = [[1] * MAX_VALUES, [2]]
    assert weight_of(wide) == 56 * 3
    assert weight_of([[1, 2], {"k": "v"}]) == 56 * 2 + 64 + weight_of("k") + weight_of("v") + 2 * weight_of(1)


# --- the order -------------------------------------------------------------------------------------------


def test_an_older_event_poured_in_goes_first_and_its_problem_keeps_its_turn():
    """It was never handed out, so it brings no round along."""
    rounds = Rounds()
    here, there = Queues(rounds), Queues(rounds)
    there.add(Position(0, 1, "a", 1))
    here.add(Position(1, 1, "a", 1))
    here.add(Position(2, 1, "b", 1))

    there.pour(here)

    assert [here.pop(1).key for _ in range(3)] == [0, 2, 1]


def delayed(key, severity, ready_at):
    position = Position(key, severity, "a", 1)
    position.ready_at = ready_at
    return position


def test_the_heap_of_delays_stays_as_small_as_what_is_delayed():
    """Delayed events that were evicted leave nothing behind, however many they were."""
    queues = Queues()
    for number in range(5_000):
        queues.delay(delayed(number, 4, 1e9 - number))
        if number:
            assert queues.pop_weakest(4).key == number - 1

    assert len(queues) == 1
    assert len(queues._due) <= 100
    assert queues.due_at() == 1e9 - 4_999
    queues.release(1e9)
    assert (queues.ready, queues.due_at()) == (1, None)


def test_the_heap_made_anew_keeps_the_order_of_delays():
    """What is still delayed comes when it is due, the first first."""
    queues = Queues()
    for number in range(300):
        queues.delay(delayed(number, number % 5, float(1_000 - number)))
    for number in range(0, 290, 5):
        assert queues.pop_weakest(4).key == number + 4

    due = []
    while (at := queues.due_at()) is not None:
        due.append(at)
        queues.release(at)

    assert due == sorted(due)
    assert len(due) == queues.ready == 300 - 58


# --- the spool's file ------------------------------------------------------------------------------------


@pytest.fixture
def spool_file(tmp_path):
    file = SpoolFile.create(tmp_path / "x.spool", cap_bytes=1 << 20)
    yield file
    file.let_go()


def row(body=b"{}", **fields):
    return Row(**{"severity": 1, "put_time": EPOCH, "attempts": 0, "body": body, **fields})


@pytest.mark.parametrize("is_reopened", [False, True])
def test_the_file_is_opened_as_its_promise_needs(spool_file, is_reopened):
    """A commit outlives the process, the file and its log are bounded, also after a rest."""
    if is_reopened:
        spool_file.rest()
    asked = ("journal_mode", "synchronous", "max_page_count", "journal_size_limit", "page_size")

    values = {name: spool_file._database.execute(f"PRAGMA {name}").fetchone()[0] for name in asked}

    assert values == {
        "journal_mode": "wal", "synchronous": 1, "max_page_count": 256, "journal_size_limit": 4 << 20,
        "page_size": 4096,
    }  # fmt: skip


@pytest.mark.parametrize("seqs", [[[1]], [[1, 2]], [[3]], [[2], [5, 6]], [[4, 9], [12]], [[1], [3, 4, 7]]])
def test_what_was_never_in_the_file_is_not_missing(spool_file, seqs):
    """The highest number ever, less those counted as removed, is what is there."""
    for some in seqs:
        spool_file.insert([(seq, row()) for seq in some])
    put = [seq for some in seqs for seq in some]
    assert spool_file.top == spool_file.highest() == max(put)
    assert max(put) - spool_file.removed()[0] == len(spool_file) == len(put)

    spool_file.remove(put[:1])
    spool_file.remove(put)

    assert (len(spool_file), spool_file.highest()) == (0, 0)
    assert spool_file.removed() == (max(put), max(put))


def test_a_row_comes_back_as_it_was_put_and_a_missing_one_is_named(spool_file):
    """By its number, with the attempts noted since."""
    spool_file.insert([(7, row(b'{"a":1}', severity=3))])
    spool_file.set_attempts(7, 4)

    assert spool_file.read(7) == row(b'{"a":1}', severity=3, attempts=4)
    assert list(spool_file.scan()) == [(7, spool_file.read(7))]
    with pytest.raises(DamagedError, match="row 8 is missing"):
        spool_file.read(8)


@pytest.mark.parametrize(
    "change",
    ["severity = 2", "put_time = put_time + 1", "body = x'7b7c'", "checksum = checksum + 1", "seq = 2"],
)
def test_a_row_that_was_changed_is_damaged(spool_file, change):
    """Number, class, time and body are under the checksum; attempts, which change, are not."""
    spool_file.insert([(1, row())])

    spool_file._database.execute(f"UPDATE event SET {change}")

    assert [found for _, found in spool_file.scan()] == [None]


@pytest.mark.parametrize(("written", "read"), [(-3, 0), ("'many'", 0), (0, 0), (1, 1), (9, 9)])
def test_attempts_that_make_no_sense_count_as_none(spool_file, written, read):
    """They are under no checksum, and must neither end an event early nor never."""
    spool_file.insert([(1, row())])

    spool_file._database.execute(f"UPDATE event SET attempts = {written}")

    assert spool_file.read(1).attempts == read


def test_several_rows_are_committed_all_or_none(spool_file):
    """A number that is there already takes its neighbours back too, and the file goes on."""
    spool_file.insert([(1, row())])

    with pytest.raises(sqlite3.IntegrityError):
        spool_file.insert([(2, row()), (1, row())])
    spool_file.insert([(3, row()), (4, row())])

    assert [seq for seq, _ in spool_file.scan()] == [1, 3, 4]
    assert spool_file.removed()[0] == 1


def test_one_process_has_the_file_until_it_lets_go(spool_file, tmp_path):
    """Also while it rests; a second one of that name is refused and the first is left as it is."""
    spool_file.insert([(1, row())])
    spool_file.rest()
    assert Lock.take(tmp_path / "x.lock", new=False) is None
    with pytest.raises(FileExistsError):
        SpoolFile.create(tmp_path / "x.spool", cap_bytes=1 << 20)
    assert len(spool_file) == 1

    spool_file.let_go()
    lock = Lock.take(tmp_path / "x.lock", new=False)

    assert lock is not None
    lock.let_go()


# --- ages and adoption -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("age", "is_kept"), [(99.0, True), (100.0, True), (101.0, False)])
@pytest.mark.parametrize("way", ["lease", "adoption"])
def test_an_event_is_expired_once_it_is_older_than_max_age(tmp_path, age, is_kept, way):
    """Not when it is just as old."""
    clock = ManualClock()
    buffer = _aging(tmp_path, clock)
    buffer.put(of("a", 1))
    clock.advance(age)
    if way == "adoption":
        buffer.abandon()
        buffer = _aging(tmp_path, clock)
        assert buffer.adopt() == 1

    leases = buffer.lease(9)

    assert len(leases) == is_kept
    assert [lost.reason for lost in buffer.lost()] == ([] if is_kept else ["expired"])


def _aging(path, clock):
    return SpoolBuffer(
        path,
        capacity=9,
        capacity_bytes=1 << 20,
        policy="drop_lowest",
        max_age_seconds=100.0,
        clock=clock,
        wall_clock=lambda: EPOCH + clock.now,
        report=lambda key, text: None,
        identity="test",
    )


def test_an_heir_that_dies_half_way_leaves_both_files_to_the_next(tmp_path):
    """The locks of its own file and of the one it was taking over are both free."""
    dead = spool(ManualClock(), directory=tmp_path, capacity=1_000)
    dead.put(of("a", 600))
    dead.abandon()
    heir = spool(ManualClock(), directory=tmp_path, capacity=1_000)
    heir._adoption._clock = itertools.count().__next__  # a second a look: a slice is one chunk
    assert heir.adopt() == 256
    locks = sorted(tmp_path.glob("*.lock"))
    assert [Lock.take(path, new=False) for path in locks] == [None, None]

    heir.abandon()
    last = spool(ManualClock(), directory=tmp_path, capacity=1_000)
    while last.adopt():
        pass

    assert len({lease.event.message for lease in last.lease(1_000)}) == 600
    assert last.lost() == []


# --- the directory and what is said ----------------------------------------------------------------------


def test_names_sort_by_age_and_tell_destination_and_process(tmp_path):
    """Also for a clock before the epoch."""
    file_names = Names(tmp_path, "cms somewhere")

    made = [file_names.new(moment).name for moment in (-5.0, 0.5, 9.0, 1_790_000_000.0, 99_999_999_999.0)]

    assert made == sorted(made)
    assert all(name.startswith(f"{file_names.destination}-v1-") for name in made)
    assert len(file_names.destination) == 16
    assert Names(tmp_path, "cms elsewhere").destination != file_names.destination
    assert file_names.new(1.0) != file_names.new(1.0)


@pytest.mark.parametrize(("mode", "is_taken"), [(0o700, True), (0o755, True), (0o720, False), (0o702, False)])
def test_a_directory_others_may_write_in_is_refused(tmp_path, mode, is_taken):
    """Reading is their owner's business; a new one is for its owner alone."""
    place = tmp_path / "new" / "spool"
    directory.prepare(place)
    assert place.stat().st_mode & 0o777 == 0o700
    place.chmod(mode)

    if is_taken:
        directory.prepare(place)
    else:
        with pytest.raises(UnusableError, match="chmod 700"):
            directory.prepare(place)


def test_only_a_plain_file_of_ours_is_one(tmp_path):
    """No link of either kind, no directory, nothing."""
    plain, soft, hard = (tmp_path / name for name in ("plain", "soft", "hard"))
    plain.touch()
    assert directory.is_plain(plain)

    soft.symlink_to(plain)
    hard.hardlink_to(plain)

    assert [directory.is_plain(path) for path in (plain, soft, hard, tmp_path, tmp_path / "none")] == [
        False
    ] * 5


def test_a_file_that_fails_is_left_alone_for_longer_each_time_and_said_so_once():
    """5 seconds, then twice as long up to a minute; once it works, from the start."""
    clock, told = ManualClock(), []
    trouble = Trouble(clock, lambda key, text: told.append((key, text)))
    for _ in range(2):
        for seconds in (5.0, 10.0, 20.0, 40.0, 60.0, 60.0):
            trouble.pause("no room")
            clock.advance(seconds - 0.5)
            assert trouble.is_paused
            clock.advance(0.5)
            assert not trouble.is_paused
        assert trouble.text == "no room"
        trouble.over()
        trouble.over()
        assert trouble.text == ""

    assert told == [
        ("spool trouble 1", "no room"), ("spool recovered 1", "events go to the spool again"),
        ("spool trouble 2", "no room"), ("spool recovered 2", "events go to the spool again"),
    ]  # fmt: skip
    trouble.pause("again")
    trouble.try_again()
    assert not trouble.is_paused
    trouble.tell("a", "one")
    trouble.tell("a", "two")
    trouble.tell("b", "three")
    assert told[5:] == [("spool a", "one"), ("spool b", "three")]


def test_a_lock_let_go_twice_closes_nothing_of_others(tmp_path):
    """The number of its descriptor may be another file's by then."""
    lock = Lock.take(tmp_path / "x.lock", new=True)
    lock.let_go()
    with (tmp_path / "other").open("wb", buffering=0) as file:
        lock.let_go()

        assert file.write(b"x") == 1


def test_a_row_held_anew_weighs_once(tmp_path):
    """It takes the place of the one of its number."""
    rows = spool(ManualClock(), directory=tmp_path)._rows

    rows.hold(1, row(b"x" * 100))
    rows.hold(1, row(b"x" * 50))

    assert rows.memory_bytes == row(b"x" * 50).size
    rows.drop(1)
    assert rows.memory_bytes == 0


def test_one_put_may_be_larger_than_what_memory_takes(tmp_path):
    """What goes to the file needs no room in memory: rows go there in between."""
    buffer = SpoolBuffer(
        tmp_path, capacity=100, capacity_bytes=30_000, policy="drop_lowest", clock=ManualClock(),
        wall_clock=lambda: EPOCH, report=lambda key, text: None, identity="test",
    )  # fmt: skip

    evicted = buffer.put([make_event("x" * 10_000) for _ in range(20)])

    assert evicted == []
    assert buffer.state()["in_file"] == 20


def test_while_the_file_is_left_alone_attempts_are_not_written_to_it(tmp_path):
    """A full disk isn't asked once per refused event; here the count goes on all the same."""
    buffer = spool(ManualClock(), directory=tmp_path)
    buffer.put(of("a", 1))
    buffer._trouble.pause("a full disk")
    (lease,) = buffer.lease(1)
    buffer.nack(lease, 0.0)

    (again,) = buffer.lease(1)
    buffer.abandon()
    heir = spool(ManualClock(), directory=tmp_path)
    heir.adopt()

    assert again.attempts == 2
    assert [lease.attempts for lease in heir.lease(1)] == [1]


def test_a_file_whose_count_of_removed_rows_is_lost_is_kept_aside(tmp_path):
    """Its events are delivered; how many are missing can't be told, so somebody may want to look."""
    dead = spool(ManualClock(), directory=tmp_path)
    dead.put(of("a", 3))
    dead.close()
    dead.abandon()
    (path,) = tmp_path.glob("*.spool")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript("DROP TRIGGER count_removed; DROP TABLE removed;")
    heir = spool(ManualClock(), directory=tmp_path)

    while heir.adopt():
        pass

    assert names(heir.lease(9)) == ["a1", "a2", "a3"]
    assert list(tmp_path.glob("*.spool.bad"))


def test_the_size_of_a_spool_file_is_that_of_all_its_parts(tmp_path):
    """The log beside it counts, and what isn't there counts nothing."""
    buffer = spool(ManualClock(), directory=tmp_path)
    buffer.put(of("a", 3))
    (path,) = tmp_path.glob("*.spool")

    (open_entry,) = entries(tmp_path)
    together = sum(part.stat().st_size for part in tmp_path.glob("*.spool*"))
    buffer.close()
    buffer.abandon()
    (closed_entry,) = entries(tmp_path)

    assert (open_entry.state, open_entry.bytes) == ("in use", together)
    assert (closed_entry.state, closed_entry.bytes) == ("left", path.stat().st_size)


@pytest.mark.parametrize("damaged", [{3}, {2, 3}, {1, 3}, {1}, {1, 2, 3}])
def test_damaged_rows_are_counted_once_wherever_they_stand(tmp_path, damaged):
    """At the end of the file too, where no good row follows them."""
    dead = spool(ManualClock(), directory=tmp_path)
    dead.put(of("a", 3))
    dead.close()
    dead.abandon()
    (path,) = tmp_path.glob("*.spool")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executemany("UPDATE event SET checksum = 0 WHERE seq = ?", [(seq,) for seq in damaged])
        connection.commit()
    heir = spool(ManualClock(), directory=tmp_path)

    while heir.adopt():
        pass

    assert names(heir.lease(9)) == [f"a{seq}" for seq in (1, 2, 3) if seq not in damaged]
    assert [lost.reason for lost in heir.lost()] == ["damaged"] * len(damaged)


def test_a_row_that_is_no_event_is_counted_by_those_who_look_in(tmp_path):
    """Its checksum is right: another program wrote it, or an older version of this one."""
    buffer = spool(ManualClock(), directory=tmp_path)
    buffer.put([make_event("a", 40)])
    buffer._rows._file.insert([(2, Row(40, EPOCH, 0, b"no event"))])

    (entry,) = entries(tmp_path)
    waiting, damaged = entry.read()

    assert (names(waiting), damaged) == (["a"], 1)


def test_a_file_that_lets_no_row_go_is_put_aside(tmp_path, monkeypatch):
    """Its events are in the heir's file: under its own name it would be delivered again by the next heir."""
    left = spool(ManualClock(), directory=tmp_path)
    left.put([make_event("a", 40)])
    path = left._rows.path
    left._rows.close()
    left._rows.abandon()

    def full(self, seqs):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(SpoolFile, "remove", full)
        heir = spool(ManualClock(), directory=tmp_path)
        assert heir.adopt() == 1
        heir.adopt()

    assert len(heir) == 1
    assert not path.exists()
    assert path.with_name(f"{path.name}.bad").exists()
