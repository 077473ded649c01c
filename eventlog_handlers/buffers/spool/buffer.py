"""The durable buffer: events in a spool directory, where they outlive the process.

Here stands which events are held, who goes first, who gives way and what is done about trouble. Memory holds
a number per event, the rows that are leased, and those the file has not taken (yet): where it can't take
any, this is a buffer in memory. ``spoolfile`` knows SQL, ``directory`` names and locks, ``salvage`` damage.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from eventlog_handlers.buffers import Evicted, Lost
from eventlog_handlers.buffers.queues import Position, Queues, Rounds
from eventlog_handlers.buffers.severity import class_of
from eventlog_handlers.buffers.spool import directory
from eventlog_handlers.buffers.spool.directory import Lock, Names, UnusableError
from eventlog_handlers.buffers.spool.file import DamagedError, Row, SpoolFile
from eventlog_handlers.buffers.spool.salvage import Orphan
from eventlog_handlers.events import Event, Lease
from eventlog_handlers.process.fork import fork_gate
from eventlog_handlers.text.json_text import compact, use_orjson

CAP_BYTES = 64 << 20
MAX_AGE_SECONDS = 48 * 3600.0
_FILL = 0.75  # of the cap is content: pages are never quite full
_CHUNK = 256  # rows in a transaction
_LOOK_SECONDS = 1.0  # between two looks at the file's name
_IDLE_SECONDS = 10.0  # an empty file is deleted then
_PAUSE_SECONDS = (5.0, 60.0)  # before the file is tried again after a failure: at first, at most
_ADOPT_SECONDS = 180.0  # between two looks for files of dead processes
_ADOPT_SLICE_SECONDS = 0.05  # of adoption at a time, under the owner's lock
_encode_anything = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=repr).encode
_FULL = ("database or disk is full", "database is locked", "database table is locked")


class SpoolBuffer:
    """Events by class of severity, as in ``MemoryBuffer``, committed to a file before ``put`` returns.

    *directory* is made, with mode 0700, when first needed; nothing is opened or imported before. *capacity*
    bounds the number of events, *cap_bytes* the file, *capacity_bytes* what is held in memory while the file
    takes nothing; *policy* says who gives way, leased events never. Events older than *max_age_seconds* are
    given up as ``expired``. *clock* gives monotonic, *wall_clock* epoch seconds; the latter is read once, so
    that no step of it ages an event. *report(key, text)* is called once per change of state, never per event,
    with a key of its own each time.
    *identity* names the destination: files of another are not touched.

    May be called from several threads, one at a time. A forked child makes a new one and drops this.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        capacity: int,
        capacity_bytes: int,
        policy: str,
        cap_bytes: int = CAP_BYTES,
        max_age_seconds: float = MAX_AGE_SECONDS,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        report: Callable[[str, str], None],
        identity: str,
    ) -> None:
        self._directory = Path(directory).expanduser()
        self._names = Names(self._directory, identity)
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._policy = policy
        self._cap_bytes = cap_bytes
        self._content_bytes = int(cap_bytes * _FILL)
        self._max_age_seconds = max_age_seconds
        self._clock = clock
        self._epoch = wall_clock() - clock()
        self._report = report
        self._next_seq = 1
        # What is held. Every event is in one of the queues or leased.
        self._count = 0
        self._bytes = 0
        rounds = Rounds()
        self._in_file = Queues(rounds)
        self._in_memory = Queues(rounds)
        self._leased: dict[int, Row] = {}
        self._places: dict[int, Position] = {}  # of those
        self._attempts: dict[int, int] = {}  # of events that came back
        # What memory and file have yet to agree on.
        self._rows: dict[int, Row] = {}  # held, and not in the file
        self._rows_bytes = 0
        self._removed: list[int] = []  # in the file, and held no more
        self._lost: list[Lost] = []
        # The file and its troubles.
        self._file: SpoolFile | None = None
        self._orphan: Orphan | None = None
        self._moving: list[tuple[int, Row]] = []  # taken from it, and still there until they are in our file
        self._paused_until = float("-inf")
        self._pause_seconds = _PAUSE_SECONDS[0]
        self._replaced_at = float("-inf")
        self._look_at = float("-inf")
        self._adopt_at = float("-inf")
        self._used_at = clock()
        self._trouble = ""
        self._incidents = 0
        self._told: set[str] = set()

    # --- the contract --------------------------------------------------------------------------------------

    def put(self, events: Sequence[Event]) -> list[Evicted]:
        put_time = self._now()
        rows = [Row(class_of(event.level), put_time, 0, _json(event)) for event in events]
        evicted: list[Evicted] = []
        with fork_gate.no_fork():
            self._look_after_file()
            for event, row in zip(events, rows, strict=True):
                if self._make_room(row, evicted):
                    self._hold(self._place(row, event), row)
                else:
                    evicted.append(Evicted(event, None))
            self._commit()
        return evicted

    def lease(self, count: int) -> list[Lease]:
        leases: list[Lease] = []
        expired = False
        with fork_gate.no_fork():
            self._look_after_file()
            self._release_due()
            while len(leases) < count and (head := self._first()) is not None:
                (severity, _, seq), queues = head
                row = self._fetch(seq)
                if row is None:
                    continue  # the queues are filled anew by now
                place = queues.pop(severity)
                age = max(0.0, self._now() - row.put_time)
                event = _event(row)
                if event is None or age > self._max_age_seconds:
                    expired = True
                    self._forget(seq, row)
                    self._lose(seq, event, "expired" if event is not None else "damaged")
                    continue
                attempts = self._attempts.get(seq, row.attempts)
                self._leased[seq] = row._replace(attempts=attempts)
                self._places[seq] = place
                leases.append(Lease(event, seq, attempts + 1, age))
            if expired:
                self._commit()
        return leases

    def ack(self, leases: Iterable[Lease]) -> None:
        for lease in leases:
            self._forget(lease.key, self._leased.pop(lease.key))
            del self._places[lease.key]
        with fork_gate.no_fork():
            self._commit()

    def nack(self, lease: Lease, delay: float, *, spent: bool = True) -> None:
        seq = lease.key
        row = self._leased.pop(seq)
        place = self._places.pop(seq)
        self._wait(place._replace(ready_at=self._clock() + delay) if delay > 0 else place)
        if spent:
            self._attempts[seq] = attempts = row.attempts + 1
            if seq in self._rows:
                self._rows[seq] = row._replace(attempts=attempts)
            elif (file := self._file) is not None and self._clock() >= self._paused_until:
                with fork_gate.no_fork():
                    self._attempt(lambda: file.set_attempts(seq, attempts))

    def ready(self) -> int:
        self._release_due()
        return self._in_file.ready + self._in_memory.ready

    def ready_bytes(self) -> int:
        return self._in_file.ready_bytes + self._in_memory.ready_bytes

    def ready_in(self) -> float | None:
        if self._clock() >= self._look_at:
            with fork_gate.no_fork():
                self._look_after_file()
                self._commit()
        if self.ready():
            return 0.0
        due = [at for at in (self._in_file.due_at(), self._in_memory.due_at()) if at is not None]
        return min(due) - self._clock() if due else None

    def keys(self) -> set[int]:
        waiting = (place.key for queues in (self._in_file, self._in_memory) for place in queues)
        return set(self._leased).union(waiting)

    def __len__(self) -> int:
        return self._count

    def bytes(self) -> int:
        return self._bytes

    def lost(self) -> list[Lost]:
        lost, self._lost = self._lost, []
        return lost

    def close(self) -> None:
        """Delete the file if nothing in it is held; else it keeps its rows, and its lock while we live."""
        with fork_gate.no_fork():
            self._settle_moved()
            if self._orphan is not None and not self._moving:
                self._orphan.let_go()
                self._orphan = None
            if self._removed:
                self._paused_until = float("-inf")
                self._commit()
            if self._file is not None:
                if self._rows_in_file():
                    self._file.rest()
                else:
                    self._discard_file()

    def state(self) -> dict[str, Any]:
        """For ``stats()``: how many events lie where, and what is wrong with the file, if anything."""
        return {
            "in_file": self._rows_in_file(),
            "in_memory": len(self._rows),
            "duplicates_possible": len(self._removed) + len(self._moving),
            "file": str(self._file.path) if self._file is not None else None,
            "trouble": self._trouble,
        }

    def abandon(self) -> None:
        """Play dead: leave the files to whoever adopts them, as the end of the process does.

        For a forked child that keeps this object, and for tests. It must not be used again.
        """
        if self._orphan is not None:
            self._orphan.abandon()
        if self._file is not None:
            self._file.abandon()

    # --- what is held --------------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._clock() + self._epoch

    def _take_seq(self) -> int:
        self._next_seq += 1
        return self._next_seq - 1

    def _place(self, row: Row, event: Event) -> Position:
        return Position(self._take_seq(), row.severity, event.fingerprint, row.size)

    def _hold(self, place: Position, row: Row) -> None:
        """Take *row* in, for now in memory; ``_commit`` takes it to the file."""
        self._rows[place.key] = row
        self._rows_bytes += row.size
        self._count += 1
        self._bytes += row.size
        self._wait(place)

    def _wait(self, place: Position) -> None:
        queues = self._in_memory if place.key in self._rows else self._in_file
        if place.ready_at:
            queues.delay(place)
        else:
            queues.add(place)

    def _forget(self, seq: int, row: Row) -> None:
        """Hold *row* no more; it is in no queue."""
        self._count -= 1
        self._bytes -= row.size
        self._attempts.pop(seq, None)
        if self._rows.pop(seq, None) is None:
            self._removed.append(seq)
        else:
            self._rows_bytes -= row.size

    def _lose(self, seq: int | None, event: Event | None, reason: str) -> None:
        self._lost.append(Lost(seq, event.level if event is not None else None, reason))

    def _rows_in_file(self) -> int:
        return self._count - len(self._rows)

    def _release_due(self) -> None:
        now = self._clock()
        self._in_file.release(now)
        self._in_memory.release(now)

    def _first(self) -> tuple[tuple[int, int, int], Queues] | None:
        """Whom to lease (its class, turn and number) and the queues it stands in."""
        heads = [
            (first, queues)
            for queues in (self._in_file, self._in_memory)
            if (first := queues.first()) is not None
        ]
        return min(heads, key=lambda head: head[0], default=None)

    # --- who gives way -------------------------------------------------------------------------------------

    def _make_room(self, newcomer: Row, evicted: list[Evicted]) -> bool:
        """Evict until *newcomer* fits; False if it is the one to give way."""
        if newcomer.size > min(self._content_bytes, self._capacity_bytes):
            return False
        if self._rows_bytes + newcomer.size > self._capacity_bytes:
            self._commit()  # what goes to the file needs no room here
        while True:
            if self._count >= self._capacity or self._bytes + newcomer.size > self._content_bytes:
                places: Sequence[Queues] = (self._in_file, self._in_memory)
            elif self._rows_bytes + newcomer.size > self._capacity_bytes:
                places = (self._in_memory,)
            else:
                return True
            victim = self._victim(newcomer, [queues for queues in places if queues])
            if victim is None:
                return False
            row = self._fetch(victim.key)
            if row is None:  # the file was replaced to find out, and counts no more what was in it
                self._lose(victim.key, None, "damaged")
                continue
            self._forget(victim.key, row)
            event = _event(row)
            if event is None:
                self._lose(victim.key, None, "damaged")
            else:
                evicted.append(Evicted(event, victim.key))

    def _victim(self, newcomer: Row, places: Sequence[Queues]) -> Position | None:
        """Take out of its queue who is to give way."""
        if self._policy == "drop_newest" or not places:
            return None
        self._release_due()
        queues = max(places, key=Queues.weakest)
        severity, _ = queues.weakest()
        return queues.pop_weakest(severity) if severity >= newcomer.severity else None

    # --- the file ------------------------------------------------------------------------------------------

    def _commit(self) -> None:
        """Tell the file what it doesn't know yet. What it doesn't take stays in memory, to be tried again."""
        if not (self._rows or self._removed) or self._clock() < self._paused_until:
            return
        if self._file is None:
            self._removed.clear()
            if not self._rows or not self._open_file():
                return
        file = self._file
        assert file is not None  # noqa: S101 - for the type checker
        self._used_at = self._clock()
        if self._removed:
            if not self._attempt(lambda: file.remove(self._removed)):
                return
            self._removed.clear()
        while self._rows:
            chunk = list(self._rows.items()) if len(self._rows) <= _CHUNK else _first_items(self._rows)
            if not self._attempt(lambda chunk=chunk: file.insert(chunk)):  # type: ignore[misc]
                return
            for seq, row in chunk:
                del self._rows[seq]
                self._rows_bytes -= row.size
            self._move_to_file(chunk)
        if self._trouble:
            self._recovered()

    def _move_to_file(self, chunk: Sequence[tuple[int, Row]]) -> None:
        """The waiting among *chunk*, now that they are in the file, queue there."""
        if self._in_memory:
            self._in_memory.pour(self._in_file, {seq for seq, _ in chunk} if self._rows else None)

    def _attempt(self, write: Callable[[], None]) -> bool:
        """Write to the file; on failure see to what can be done, so that what memory says stays true."""
        try:
            write()
        except Exception as error:
            if self._is_full(error):
                self._pause(f"the spool takes no more, so events wait in memory ({error})")
                if self._file is not None and not self._rows_in_file():
                    self._discard_file()  # nothing but what was delivered is in it: that room is free now
            else:
                self._replace_file(f"writing to the spool failed ({error})")
            return False
        return True

    def _is_full(self, error: Exception) -> bool:
        if any(text in str(error) for text in _FULL):
            return True
        try:
            return os.statvfs(self._directory).f_bfree == 0
        except OSError:
            return False

    def _open_file(self) -> bool:
        try:
            directory.prepare(self._directory)
            self._names.sweep()
            use_orjson()
            self._file = self._new_file()
        except UnusableError as error:
            self._pause(f"no spool, so events wait in memory: {error}")
            return False
        except Exception as error:
            self._pause(f"no spool, so events wait in memory: can't write in {self._directory} ({error})")
            return False
        if not self._file.has_wal:
            self._tell(
                "slow", f"{self._directory} seems to be a network disk: a spool belongs on a local one"
            )
        return True

    def _new_file(self) -> SpoolFile:
        try:
            return SpoolFile.create(self._names.new(self._now()), cap_bytes=self._cap_bytes)
        except FileExistsError:  # somebody who sweeps was between our making the lock and our locking it
            return SpoolFile.create(self._names.new(self._now()), cap_bytes=self._cap_bytes)

    def _fetch(self, seq: int) -> Row | None:
        """The row of an event that waits; None if the file had to be replaced to find out."""
        row = self._rows.get(seq)
        if row is not None:
            return row
        try:
            if self._file is None:
                raise DamagedError("no file")
            return self._file.read(seq)
        except DamagedError as error:
            self._replace_file(f"the spool is damaged ({error})")
        except Exception as error:
            self._replace_file(f"reading the spool failed ({error})")
        return None

    def _look_after_file(self) -> None:
        """Once a second: is it still there; is it of any use?"""
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        if self._file is None:
            return
        if not self._file.is_in_place():
            self._replace_file("the spool file was deleted or replaced")
        elif not self._count and now >= self._used_at + _IDLE_SECONDS:
            self._discard_file()

    def _discard_file(self) -> None:
        if self._file is not None:
            self._file.discard()
            self._file = None
        self._removed.clear()

    def _replace_file(self, why: str) -> None:
        """Go on with a new file: what can still be read of the old one goes there, the rest is lost.

        Afterwards nothing held is in the old file any more, whatever else fails.
        """
        old, self._file = self._file, None
        now = self._clock()
        if now < self._replaced_at + self._pause_seconds + _LOOK_SECONDS:
            self._pause(f"{why}; events wait in memory")  # the new one fares no better
        else:
            self._paused_until = float("-inf")
            self._tell(f"replaced {now}", f"{why}; going on with a new file")
        self._replaced_at = now
        for seq, row in self._leased.items():
            self._rows.setdefault(seq, row)
        waiting = sorted(self._in_file)
        self._in_file.clear()
        self._removed.clear()
        self._rows_bytes = self._bytes = sum(row.size for row in self._rows.values())
        self._count = len(self._rows)
        lost = 0
        for place in waiting:
            lost += not self._rescue(old, place)
        self._commit()
        if lost:
            self._tell(f"lost {now}", f"{lost} event(s) in the spool were past reading")
        if old is not None:
            old.quarantine()

    def _rescue(self, old: SpoolFile | None, place: Position) -> bool:
        """Take one event from a file that failed; False if it is past reading."""
        seq = place.key
        try:
            if old is None:
                raise DamagedError("no file")
            row = old.read(seq)
        except Exception:  # whatever SQLite makes of the damage
            self._attempts.pop(seq, None)
            self._lose(seq, None, "damaged")
            return False
        if len(self._rows) >= _CHUNK:
            self._commit()
        evicted: list[Evicted] = []
        if self._make_room(row, evicted):
            self._hold(place, row)
        else:
            self._lose(seq, _event(row), "overflow")
        self._lost.extend(Lost(lost.key, lost.event.level, "overflow") for lost in evicted)
        return True

    # --- trouble -------------------------------------------------------------------------------------------

    def _pause(self, why: str) -> None:
        """Leave the file alone for a while, longer each time."""
        self._paused_until = self._clock() + self._pause_seconds
        self._pause_seconds = min(2 * self._pause_seconds, _PAUSE_SECONDS[1])
        if not self._trouble:
            self._incidents += 1
            self._report(f"spool trouble {self._incidents}", why)
        self._trouble = why

    def _recovered(self) -> None:
        self._trouble = ""
        self._pause_seconds = _PAUSE_SECONDS[0]
        self._report(f"spool recovered {self._incidents}", "events go to the spool again")

    def _tell(self, key: str, text: str) -> None:
        if key not in self._told:
            self._told.add(key)
            self._report(f"spool {key}", text)

    # --- what dead processes left --------------------------------------------------------------------------

    def adopt(self) -> int:
        """Move events of dead processes into this file; returns how many were taken up in this slice."""
        started = self._clock()
        if (self._orphan is None and started < self._adopt_at) or started < self._paused_until or self._rows:
            return 0
        taken = 0
        with fork_gate.no_fork():
            while self._orphan is not None or self._find_orphan():
                taken += self._adopt_some()
                if self._rows or self._clock() >= started + _ADOPT_SLICE_SECONDS:
                    return taken
            self._adopt_at = started + _ADOPT_SECONDS
        return taken

    def _find_orphan(self) -> bool:
        foreign = self._names.foreign()
        if foreign:
            self._tell(
                "schema", f"{foreign[0]} was written by another version of this package; left as it is"
            )
        for path in self._names.spools():
            if (self._file is not None and path == self._file.path) or not directory.is_plain(path):
                continue
            try:
                orphan = self._open_orphan(path)
            except Exception as error:
                self._tell(path.name, f"{path} can't be taken over ({error}); left as it is")
                continue
            if orphan is not None:
                self._orphan = orphan
                return True
        return False

    def _open_orphan(self, path: Path) -> Orphan | None:
        """The file at *path* if its process is dead and there is room for what it holds."""
        directory.prepare(self._directory)
        lock = Lock.take(path.with_suffix(".lock"), new=False)
        if lock is None:
            return None
        if not path.exists():  # adopted and deleted by another meanwhile
            lock.path.unlink(missing_ok=True)
            lock.let_go()
            return None
        if (
            self._file is None and not self._open_file()
        ):  # nowhere to put them: they lie better where they are
            lock.let_go()
            return None
        orphan = Orphan(path, lock)
        if self._count and (
            self._count + orphan.rows > self._capacity
            or self._bytes + path.stat().st_size > self._content_bytes
        ):
            orphan.let_go()
            return None
        return orphan

    def _adopt_some(self) -> int:
        orphan = self._orphan
        assert orphan is not None  # noqa: S101 - for the type checker
        self._settle_moved()
        self._moving = orphan.take(_CHUNK)
        if not self._moving and orphan.at_end:
            self._orphan = None
            return self._end_of(orphan)
        evicted: list[Evicted] = []
        for _, row in self._moving:
            event = _event(row)
            if event is None:
                self._lost.append(Lost(None, None, "damaged"))
            elif self._now() - row.put_time > self._max_age_seconds:
                self._lost.append(Lost(None, event.level, "expired"))
            elif self._make_room(row := row._replace(severity=class_of(event.level)), evicted):
                self._hold(self._place(row, event), row)
            else:
                self._lost.append(Lost(None, event.level, "overflow"))
        self._lost.extend(Lost(one.key, one.event.level, "overflow") for one in evicted)
        self._commit()
        taken = len(self._moving)
        self._settle_moved()
        return taken

    def _settle_moved(self) -> None:
        """Delete from the dead process's file what is in ours, so that a crash of ours delivers it once."""
        if self._orphan is not None and not self._rows:
            self._orphan.settle(self._moving)
            self._moving = []

    def _end_of(self, orphan: Orphan) -> int:
        missing = orphan.end()
        self._lost.extend([Lost(None, None, "damaged")] * missing)
        if orphan.damaged or missing:
            number = f"{'' if orphan.count_is_sure else 'at least '}{missing}"
            self._tell(
                orphan.path.name,
                f"{orphan.path} was damaged, {number} event(s) in it are past reading; kept as *.bad",
            )
        return missing


def _first_items(rows: dict[int, Row]) -> list[tuple[int, Row]]:
    iterator: Iterator[tuple[int, Row]] = iter(rows.items())
    return [item for item, _ in zip(iterator, range(_CHUNK), strict=False)]


def _json(event: Event) -> bytes:
    """The event as JSON; one that a user's hook made unfit for it is stripped of what it may have added."""
    fields = _fields(event)
    try:
        text = compact(fields)
    except Exception:
        try:
            text = _encode_anything(fields)
        except Exception as error:
            defect = f"attributes left out: {type(error).__name__} in the spool"
            bare = event._replace(attributes={}, tags={}, defects=(*event.defects, defect))
            text = compact(_fields(bare))
    return text.encode("utf-8", "surrogatepass")


def _fields(event: Event) -> dict[str, Any]:
    fields = event.to_json()
    if event.template == event.message:  # often, and the longest text of the event
        del fields["template"]
    return fields


def _event(row: Row) -> Event | None:
    """The event of *row*; None if it is none, whatever its checksum says."""
    try:
        fields = json.loads(row.body)
        fields.setdefault("template", fields["message"])
        return Event.from_json(fields)
    except Exception:
        return None


__all__ = ["SpoolBuffer"]
