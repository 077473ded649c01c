"""The durable buffer: events in a spool directory, where they outlive the process.

Here stands the contract of ``buffers.Buffer``, and when the file is written. ``held`` knows which events are
held, in which order they go and which is dropped; ``rows`` whether a row is in the file or in memory;
``adoption`` adopts the files of dead processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from eventlog_handlers.buffers import Evicted, Lost
from eventlog_handlers.buffers.queues import Position
from eventlog_handlers.buffers.severity import class_of
from eventlog_handlers.buffers.spool.adoption import Adoption
from eventlog_handlers.buffers.spool.directory import Names
from eventlog_handlers.buffers.spool.event_rows import event_of, row_of
from eventlog_handlers.buffers.spool.file import Row
from eventlog_handlers.buffers.spool.held import Held
from eventlog_handlers.buffers.spool.journal import Journal
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
    bounds the number of events, *cap_bytes* the file, *capacity_bytes* the events in memory while the file
    takes nothing; *policy* names the event to drop, leased events never. Events older than *max_age_seconds*
    are dropped as ``expired``. *clock* gives seconds that go on while the machine sleeps, *wall_clock* epoch
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
        has_journal: bool = False,
    ) -> None:
        place = Path(directory).expanduser()
        self._max_age_seconds = max_age_seconds
        self._clock = clock
        self._epoch = wall_clock() - clock()
        self._trouble = Trouble(clock, report)
        self._names = Names(place, identity)
        self.journal = Journal(self._now, self._trouble.tell) if has_journal else None
        self._rows = Rows(
            place,
            self._names,
            self._trouble,
            cap_bytes=cap_bytes,
            clock=clock,
            now=self._now,
            moved=lambda seqs: self._held.moved(seqs),
            file_failed=self._file_failed,
            journal=self.journal,
        )
        self._held = Held(
            self._rows,
            capacity=capacity,
            capacity_bytes=capacity_bytes,
            content_bytes=int(cap_bytes * _FILL),
            policy=policy,
            clock=clock,
        )
        self._adoption = Adoption(
            place,
            self._names,
            self._rows,
            self._trouble,
            clock=clock,
            has_room=self._held.has_room,
            take_in=self._take_in,
            lose=self._held.lost.extend,
        )

    # --- the contract --------------------------------------------------------------------------------------

    def put(self, events: Sequence[Event]) -> list[Evicted]:
        held = self._held
        put_time = self._now()
        rows = [row_of(event, put_time) for event in events]
        evicted: list[Evicted] = []
        with fork_gate.no_fork():
            self._rows.look_after_file()
            for event, row in zip(events, rows, strict=True):
                if held.make_room(row, evicted):
                    held.hold(held.position(row, event), row)
                else:
                    evicted.append(Evicted(event, None))
            self._rows.commit()
        return evicted

    def lease(self, count: int) -> list[Lease]:
        held = self._held
        leases: list[Lease] = []
        expired = False
        with fork_gate.no_fork():
            self._rows.look_after_file()
            held.release_due()
            while len(leases) < count and (head := held.first()) is not None:
                (severity, _, seq), queues = head
                row = self._rows.fetch(seq)
                if row is None:
                    continue  # the queues are filled anew by now
                position = queues.pop(severity)
                age = max(0.0, self._now() - row.put_time)
                event = event_of(row)
                if event is None or age > self._max_age_seconds:
                    expired = True
                    held.forget(seq, row)
                    held.lose(seq, event, "expired" if event is not None else "damaged")
                    continue
                attempts = held.attempts.get(seq, row.attempts)
                held.leased[seq] = position, row._replace(attempts=attempts)
                leases.append(Lease(event, seq, attempts + 1, age))
            if expired:
                self._rows.commit()
        return leases

    def ack(self, leases: Iterable[Lease]) -> None:
        held = self._held
        for lease in leases:
            _, row = held.leased.pop(lease.key)
            held.forget(lease.key, row)
        with fork_gate.no_fork():
            self._rows.commit()

    def drop(self, leases: Iterable[Lease], reason: str) -> None:
        """As ``ack``: nothing is kept of a dropped event."""
        self.ack(leases)

    def nack(self, lease: Lease, delay: float, *, spent: bool = True) -> None:
        held = self._held
        seq = lease.key
        position, row = held.leased.pop(seq)
        if delay > 0:
            position.ready_at = self._clock() + delay
        held.wait(position)
        if spent:
            held.attempts[seq] = attempts = row.attempts + 1
            with fork_gate.no_fork():
                self._rows.note_attempts(seq, attempts)

    def ready(self) -> int:
        return self._held.ready()

    def ready_bytes(self) -> int:
        return self._held.ready_bytes()

    def ready_in(self) -> float | None:
        if self._rows.wants_a_look():
            with fork_gate.no_fork():
                self._rows.look_after_file()
                self._rows.commit()
        if self.ready():
            return 0.0
        due_at = self._held.due_at()
        return None if due_at is None else due_at - self._clock()

    def keys(self) -> set[int]:
        return self._held.keys()

    def next_key(self) -> int:
        return self._held.next_seq

    def __len__(self) -> int:
        return self._held.count

    def bytes(self) -> int:
        return self._held.bytes

    def oldest(self) -> float | None:
        held = self._held
        # Not the first: an event that was taken over is older than its number.
        return max(0.0, self._now() - min(held.put_times.values())) if held.put_times else None

    def adopt(self) -> int:
        """Move events of dead processes into this file; returns how many were adopted in this slice."""
        if not self._adoption.is_due():
            return 0
        with fork_gate.no_fork():
            return self._adoption.adopt()

    def lost(self) -> list[Lost]:
        held = self._held
        lost = held.lost.copy()
        held.lost.clear()
        return lost

    def rest(self) -> None:
        with fork_gate.no_fork():
            self._adoption.close()
            self._rows.rest()

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
            "in_journal": self.journal.waiting() if self.journal is not None else 0,
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

    def _now(self) -> float:
        return self._clock() + self._epoch

    # --- what rows and adoption ask for --------------------------------------------------------------------

    def _file_failed(self, read: Callable[[int], Row]) -> int:
        """Hold in memory the rows of a failed file that can still be read; returns how many are lost."""
        held = self._held
        for seq, (_, row) in held.leased.items():
            self._rows.hold(seq, row)
        waiting = sorted(held.in_file, key=attrgetter("key"))
        held.in_file.clear()
        held.bytes, held.count = self._rows.memory_bytes, len(self._rows.in_memory)
        return sum(not self._rescue(position, read) for position in waiting)

    def _rescue(self, position: Position, read: Callable[[int], Row]) -> bool:
        """Take one event from a file that failed; False if it can't be read."""
        held = self._held
        seq = position.key
        try:
            row = read(seq)
        except Exception:  # SQLite raises various errors for damage
            held.attempts.pop(seq, None)
            held.put_times.pop(seq, None)
            held.lose(seq, None, "damaged")
            return False
        if len(self._rows.in_memory) >= CHUNK:
            self._rows.commit()
        evicted: list[Evicted] = []
        if held.make_room(row, evicted):
            held.hold(position, row)
        else:
            held.put_times.pop(seq, None)
            held.lose(seq, event_of(row), "overflow")
        held.lost.extend(Lost(lost.key, lost.event.level, "overflow") for lost in evicted)
        return True

    def _take_in(self, rows: Sequence[Row]) -> None:
        held = self._held
        evicted: list[Evicted] = []
        for row in rows:
            event = event_of(row)
            if event is None:
                held.lose(None, None, "damaged")
            elif self._now() - row.put_time > self._max_age_seconds:
                held.lose(None, event, "expired")
            elif held.make_room(row := row._replace(severity=class_of(event.level)), evicted):
                held.hold(held.position(row, event), row)
            else:
                held.lose(None, event, "overflow")
        held.lost.extend(Lost(one.key, one.event.level, "overflow") for one in evicted)
        self._rows.commit()


__all__ = ["SpoolBuffer"]
