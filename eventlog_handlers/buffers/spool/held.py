"""Which events of the spool are held, in which order they go, and which one is dropped for want of room.

Every event is in one of two queues, of those in the file and of those in memory, or leased. ``rows`` alone
knows where an event's row is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from eventlog_handlers.buffers import Evicted, Lost
from eventlog_handlers.buffers.queues import Position, Queues, Rounds
from eventlog_handlers.buffers.spool.event_rows import event_of
from eventlog_handlers.buffers.spool.file import Row
from eventlog_handlers.buffers.spool.rows import Rows
from eventlog_handlers.events import Event


class Held:
    """The tables of one ``SpoolBuffer``, whose arguments *capacity*, *capacity_bytes*, *policy* and *clock*
    are. *content_bytes* bounds the sum of the events' sizes."""

    def __init__(
        self,
        rows: Rows,
        *,
        capacity: int,
        capacity_bytes: int,
        content_bytes: int,
        policy: str,
        clock: Callable[[], float],
    ) -> None:
        self._rows = rows
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._content_bytes = content_bytes
        self._policy = policy
        self._clock = clock
        self.next_seq = 1
        """The key of the next event that comes in."""
        rounds = Rounds()
        self.in_file: Queues[Position] = Queues(rounds)
        self.in_memory: Queues[Position] = Queues(rounds)
        self.leased: dict[int, tuple[Position, Row]] = {}
        self.attempts: dict[int, int] = {}
        """Of events that came back."""
        self.put_times: dict[int, float] = {}
        """Of all that is held."""
        self.count = 0
        self.bytes = 0
        self.lost: list[Lost] = []
        """Not asked for yet."""

    def position(self, row: Row, event: Event) -> Position:
        """The next number, for an event that comes in."""
        self.next_seq += 1
        return Position(self.next_seq - 1, row.severity, event.fingerprint, row.size)

    def hold(self, position: Position, row: Row) -> None:
        """Take *row* in, for now in memory; ``commit`` takes it to the file."""
        self._rows.hold(position.key, row)
        self.put_times[position.key] = row.put_time
        self.count += 1
        self.bytes += row.size
        self.wait(position)

    def wait(self, position: Position) -> None:
        """Put an event that is held into its queue."""
        queues = self.in_memory if position.key in self._rows.in_memory else self.in_file
        if position.ready_at:
            queues.delay(position)
        else:
            queues.add(position)

    def moved(self, seqs: Sequence[int]) -> None:
        """The waiting among *seqs*, now that their rows are in the file, queue there."""
        if self.in_memory:
            self.in_memory.pour(self.in_file, set(seqs) if self._rows.in_memory else None)

    def forget(self, seq: int, row: Row) -> None:
        """Hold *row* no more; it is in no queue."""
        self.count -= 1
        self.bytes -= row.size
        self.attempts.pop(seq, None)
        self.put_times.pop(seq, None)
        self._rows.drop(seq)

    def lose(self, seq: int | None, event: Event | None, reason: str) -> None:
        """Note one event lost; *seq* is None where it was never held here."""
        self.lost.append(Lost(seq, event.level if event is not None else None, reason))

    # --- the order -----------------------------------------------------------------------------------------

    def release_due(self) -> None:
        """Put events whose delay is over back into their turn."""
        now = self._clock()
        self.in_file.release(now)
        self.in_memory.release(now)

    def first(self) -> tuple[tuple[int, int, int], Queues[Position]] | None:
        """The event to lease next (its class, round and number) and the queues it stands in."""
        heads = [
            (first, queues)
            for queues in (self.in_file, self.in_memory)
            if (first := queues.first()) is not None
        ]
        return min(heads, key=lambda head: head[0], default=None)

    def ready(self) -> int:
        """How many events could be leased now."""
        self.release_due()
        return self.in_file.ready + self.in_memory.ready

    def ready_bytes(self) -> int:
        """Their estimated size."""
        return self.in_file.ready_bytes + self.in_memory.ready_bytes

    def due_at(self) -> float | None:
        """When the first delayed event can be leased, by the clock; None if none is delayed."""
        due = [at for at in (self.in_file.due_at(), self.in_memory.due_at()) if at is not None]
        return min(due, default=None)

    def keys(self) -> set[int]:
        """Keys of everything held, leased or not."""
        waiting = (position.key for queues in (self.in_file, self.in_memory) for position in queues)
        return set(self.leased).union(waiting)

    # --- which event is dropped ----------------------------------------------------------------------------

    def has_room(self, rows: int, size: int) -> bool:
        """Whether a dead process's file fits; into an empty buffer it goes in any case."""
        fits = self.count + rows <= self._capacity and self.bytes + size <= self._content_bytes
        return fits or not self.count

    def make_room(self, newcomer: Row, evicted: list[Evicted]) -> bool:
        """Evict until *newcomer* fits; False if it is the one to drop."""
        if newcomer.size > min(self._content_bytes, self._capacity_bytes):
            return False
        if self._rows.memory_bytes + newcomer.size > self._capacity_bytes:
            self._rows.commit()  # rows in the file need no room here
        while True:
            if self.count >= self._capacity or self.bytes + newcomer.size > self._content_bytes:
                places: Sequence[Queues[Position]] = (self.in_file, self.in_memory)
            elif self._rows.memory_bytes + newcomer.size > self._capacity_bytes:
                places = (self.in_memory,)
            else:
                return True
            victim = self._victim(newcomer, [queues for queues in places if queues])
            if victim is None:
                return False
            row = self._rows.fetch(victim.key)
            if row is None:  # the file failed at this read, and its rows are not counted any more
                self.put_times.pop(victim.key, None)
                self.lose(victim.key, None, "damaged")
                continue
            self.forget(victim.key, row)
            event = event_of(row)
            if event is None:
                self.lose(victim.key, None, "damaged")
            else:
                evicted.append(Evicted(event, victim.key))

    def _victim(self, newcomer: Row, places: Sequence[Queues[Position]]) -> Position | None:
        """Take the event to drop out of its queue; None if that is the newcomer."""
        if self._policy == "drop_newest" or not places:
            return None
        self.release_due()
        queues = max(places, key=Queues.weakest)
        severity, _ = queues.weakest()
        return queues.pop_weakest(severity) if severity >= newcomer.severity else None
