"""The durable buffer: events in a spool directory, where they outlive the process.

Here stands which events are held, in which order they go and which are dropped. ``rows`` knows whether a row
is in the file or in memory, ``adoption`` takes over what dead processes left.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from eventlog_handlers.buffers import Evicted, Lost
from eventlog_handlers.buffers.queues import Position, Queues, Rounds
from eventlog_handlers.buffers.severity import class_of
from eventlog_handlers.buffers.spool.adoption import Adoption
from eventlog_handlers.buffers.spool.directory import Names
from eventlog_handlers.buffers.spool.event_rows import event_of, row_of
from eventlog_handlers.buffers.spool.file import Row
from eventlog_handlers.buffers.spool.rows import CHUNK, Rows
from eventlog_handlers.buffers.spool.trouble import Trouble
from eventlog_handlers.events import Event, Lease
from eventlog_handlers.process.fork import fork_gate

CAP_BYTES = 64 << 20
MAX_AGE_SECONDS = 48 * 3600.0
_FILL = 0.75  # of the cap is content: pages are never quite full


class SpoolBuffer:
    """Events by class of severity, as in ``MemoryBuffer``, committed to a file before ``put`` returns.

    *directory* is made, with mode 0700, when first needed; nothing is opened or imported before. *capacity*
    bounds the number of events, *cap_bytes* the file, *capacity_bytes* what is held in memory while the file
    takes nothing; *policy* names the event to drop, leased events never. Events older than *max_age_seconds*
    are given up as ``expired``. *clock* gives seconds that go on while the machine sleeps, *wall_clock* epoch
    seconds; the latter is read once, so that no step of it ages an event. *report(key, text)* is called once
    per change of state, never per event, with a key of its own each time. *identity* names the destination:
    files of another are not touched.

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
        place = Path(directory).expanduser()
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._policy = policy
        self._content_bytes = int(cap_bytes * _FILL)
        self._max_age_seconds = max_age_seconds
        self._clock = clock
        self._epoch = wall_clock() - clock()
        self._next_seq = 1
        # What is held. Every event is in one of the queues or leased.
        self._count = 0
        self._bytes = 0
        rounds = Rounds()
        self._in_file = Queues(rounds)
        self._in_memory = Queues(rounds)
        self._leased: dict[int, tuple[Position, Row]] = {}
        self._attempts: dict[int, int] = {}  # of events that came back
        self._put_times: dict[int, float] = {}  # of all that is held
        self._lost: list[Lost] = []
        self._trouble = Trouble(clock, report)
        self._names = Names(place, identity)
        self._rows = Rows(
            place,
            self._names,
            self._trouble,
            cap_bytes=cap_bytes,
            clock=clock,
            now=self._now,
            moved=self._moved,
            file_failed=self._file_failed,
        )
        self._adoption = Adoption(
            place,
            self._names,
            self._rows,
            self._trouble,
            clock=clock,
            has_room=self._has_room,
            take_in=self._take_in,
            lose=self._lost.extend,
        )

    # --- the contract --------------------------------------------------------------------------------------

    def put(self, events: Sequence[Event]) -> list[Evicted]:
        put_time = self._now()
        rows = [row_of(event, put_time) for event in events]
        evicted: list[Evicted] = []
        with fork_gate.no_fork():
            self._rows.look_after_file()
            for event, row in zip(events, rows, strict=True):
                if self._make_room(row, evicted):
                    self._hold(self._position(row, event), row)
                else:
                    evicted.append(Evicted(event, None))
            self._rows.commit()
        return evicted

    def lease(self, count: int) -> list[Lease]:
        leases: list[Lease] = []
        expired = False
        with fork_gate.no_fork():
            self._rows.look_after_file()
            self._release_due()
            while len(leases) < count and (head := self._first()) is not None:
                (severity, _, seq), queues = head
                row = self._rows.fetch(seq)
                if row is None:
                    continue  # the queues are filled anew by now
                position = queues.pop(severity)
                age = max(0.0, self._now() - row.put_time)
                event = event_of(row)
                if event is None or age > self._max_age_seconds:
                    expired = True
                    self._forget(seq, row)
                    self._lose(seq, event, "expired" if event is not None else "damaged")
                    continue
                attempts = self._attempts.get(seq, row.attempts)
                self._leased[seq] = position, row._replace(attempts=attempts)
                leases.append(Lease(event, seq, attempts + 1, age))
            if expired:
                self._rows.commit()
        return leases

    def ack(self, leases: Iterable[Lease]) -> None:
        for lease in leases:
            _, row = self._leased.pop(lease.key)
            self._forget(lease.key, row)
        with fork_gate.no_fork():
            self._rows.commit()

    def nack(self, lease: Lease, delay: float, *, spent: bool = True) -> None:
        seq = lease.key
        position, row = self._leased.pop(seq)
        self._wait(position._replace(ready_at=self._clock() + delay) if delay > 0 else position)
        if spent:
            self._attempts[seq] = attempts = row.attempts + 1
            with fork_gate.no_fork():
                self._rows.note_attempts(seq, attempts)

    def ready(self) -> int:
        self._release_due()
        return self._in_file.ready + self._in_memory.ready

    def ready_bytes(self) -> int:
        return self._in_file.ready_bytes + self._in_memory.ready_bytes

    def ready_in(self) -> float | None:
        if self._rows.wants_a_look():
            with fork_gate.no_fork():
                self._rows.look_after_file()
                self._rows.commit()
        if self.ready():
            return 0.0
        due = [at for at in (self._in_file.due_at(), self._in_memory.due_at()) if at is not None]
        return min(due) - self._clock() if due else None

    def keys(self) -> set[int]:
        waiting = (position.key for queues in (self._in_file, self._in_memory) for position in queues)
        return set(self._leased).union(waiting)

    def __len__(self) -> int:
        return self._count

    def bytes(self) -> int:
        return self._bytes

    def oldest(self) -> float | None:
        # Not the first: an event that was taken over is older than its number.
        return max(0.0, self._now() - min(self._put_times.values())) if self._put_times else None

    def adopt(self) -> int:
        """Move events of dead processes into this file; returns how many were taken up in this slice."""
        if not self._adoption.is_due():
            return 0
        with fork_gate.no_fork():
            return self._adoption.adopt()

    def lost(self) -> list[Lost]:
        lost = self._lost.copy()
        self._lost.clear()
        return lost

    def close(self) -> None:
        """Delete the file if nothing in it is held; else it keeps its rows, and its lock while we live."""
        with fork_gate.no_fork():
            self._adoption.close()
            self._rows.close()

    def state(self) -> dict[str, Any]:
        """For ``stats()``: how many events lie where, and what is wrong with the file, if anything."""
        return {
            "in_file": self._rows.in_file,
            "in_memory": len(self._rows.in_memory),
            "duplicates_possible": self._rows.unrecorded() + self._adoption.doubled(),
            "file": str(self._rows.path) if self._rows.path is not None else None,
            "trouble": self._trouble.text,
            "destination": self._names.destination,
        }

    def abandon(self) -> None:
        """Play dead: leave the files to the process that adopts them, as the end of the process does.

        For a forked child that keeps this object, and for tests. It must not be used again.
        """
        self._adoption.abandon()
        self._rows.abandon()

    # --- what is held --------------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._clock() + self._epoch

    def _position(self, row: Row, event: Event) -> Position:
        self._next_seq += 1
        return Position(self._next_seq - 1, row.severity, event.fingerprint, row.size)

    def _hold(self, position: Position, row: Row) -> None:
        """Take *row* in, for now in memory; ``commit`` takes it to the file."""
        self._rows.hold(position.key, row)
        self._put_times[position.key] = row.put_time
        self._count += 1
        self._bytes += row.size
        self._wait(position)

    def _wait(self, position: Position) -> None:
        queues = self._in_memory if position.key in self._rows.in_memory else self._in_file
        if position.ready_at:
            queues.delay(position)
        else:
            queues.add(position)

    def _moved(self, seqs: Sequence[int]) -> None:
        """The waiting among *seqs*, now that their rows are in the file, queue there."""
        if self._in_memory:
            self._in_memory.pour(self._in_file, set(seqs) if self._rows.in_memory else None)

    def _forget(self, seq: int, row: Row) -> None:
        """Hold *row* no more; it is in no queue."""
        self._count -= 1
        self._bytes -= row.size
        self._attempts.pop(seq, None)
        self._put_times.pop(seq, None)
        self._rows.drop(seq)

    def _lose(self, seq: int | None, event: Event | None, reason: str) -> None:
        self._lost.append(Lost(seq, event.level if event is not None else None, reason))

    def _release_due(self) -> None:
        now = self._clock()
        self._in_file.release(now)
        self._in_memory.release(now)

    def _first(self) -> tuple[tuple[int, int, int], Queues] | None:
        """The event to lease next (its class, round and number) and the queues it stands in."""
        heads = [
            (first, queues)
            for queues in (self._in_file, self._in_memory)
            if (first := queues.first()) is not None
        ]
        return min(heads, key=lambda head: head[0], default=None)

    # --- which event is dropped ----------------------------------------------------------------------------

    def _make_room(self, newcomer: Row, evicted: list[Evicted]) -> bool:
        """Evict until *newcomer* fits; False if it is the one to drop."""
        if newcomer.size > min(self._content_bytes, self._capacity_bytes):
            return False
        if self._rows.memory_bytes + newcomer.size > self._capacity_bytes:
            self._rows.commit()  # what goes to the file needs no room here
        while True:
            if self._count >= self._capacity or self._bytes + newcomer.size > self._content_bytes:
                places: Sequence[Queues] = (self._in_file, self._in_memory)
            elif self._rows.memory_bytes + newcomer.size > self._capacity_bytes:
                places = (self._in_memory,)
            else:
                return True
            victim = self._victim(newcomer, [queues for queues in places if queues])
            if victim is None:
                return False
            row = self._rows.fetch(victim.key)
            if row is None:  # the file was given up to find out, and counts no more what was in it
                self._put_times.pop(victim.key, None)
                self._lose(victim.key, None, "damaged")
                continue
            self._forget(victim.key, row)
            event = event_of(row)
            if event is None:
                self._lose(victim.key, None, "damaged")
            else:
                evicted.append(Evicted(event, victim.key))

    def _victim(self, newcomer: Row, places: Sequence[Queues]) -> Position | None:
        """Take the event to drop out of its queue; None if that is the newcomer."""
        if self._policy == "drop_newest" or not places:
            return None
        self._release_due()
        queues = max(places, key=Queues.weakest)
        severity, _ = queues.weakest()
        return queues.pop_weakest(severity) if severity >= newcomer.severity else None

    # --- what rows and adoption ask for --------------------------------------------------------------------

    def _file_failed(self, read: Callable[[int], Row]) -> int:
        """Hold in memory what can still be read of a file that is given up; returns how many are lost."""
        for seq, (_, row) in self._leased.items():
            self._rows.hold(seq, row)
        waiting = sorted(self._in_file)
        self._in_file.clear()
        self._bytes, self._count = self._rows.memory_bytes, len(self._rows.in_memory)
        return sum(not self._rescue(position, read) for position in waiting)

    def _rescue(self, position: Position, read: Callable[[int], Row]) -> bool:
        """Take one event from a file that failed; False if it is past reading."""
        seq = position.key
        try:
            row = read(seq)
        except Exception:  # whatever SQLite makes of the damage
            self._attempts.pop(seq, None)
            self._put_times.pop(seq, None)
            self._lose(seq, None, "damaged")
            return False
        if len(self._rows.in_memory) >= CHUNK:
            self._rows.commit()
        evicted: list[Evicted] = []
        if self._make_room(row, evicted):
            self._hold(position, row)
        else:
            self._put_times.pop(seq, None)
            self._lose(seq, event_of(row), "overflow")
        self._lost.extend(Lost(lost.key, lost.event.level, "overflow") for lost in evicted)
        return True

    def _has_room(self, rows: int, size: int) -> bool:
        """Whether a dead process's file fits; into an empty buffer it goes in any case."""
        fits = self._count + rows <= self._capacity and self._bytes + size <= self._content_bytes
        return fits or not self._count

    def _take_in(self, rows: Sequence[Row]) -> None:
        evicted: list[Evicted] = []
        for row in rows:
            event = event_of(row)
            if event is None:
                self._lose(None, None, "damaged")
            elif self._now() - row.put_time > self._max_age_seconds:
                self._lose(None, event, "expired")
            elif self._make_room(row := row._replace(severity=class_of(event.level)), evicted):
                self._hold(self._position(row, event), row)
            else:
                self._lose(None, event, "overflow")
        self._lost.extend(Lost(one.key, one.event.level, "overflow") for one in evicted)
        self._rows.commit()


__all__ = ["SpoolBuffer"]
