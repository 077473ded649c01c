"""A store in a mapped file that all processes of one user on one host share: ``scope="host"``.

The lock is held for microseconds. A process killed inside it leaves every record whole (``layout``), and
the kernel gives the lock to the next one. A process stopped inside it (SIGSTOP, a debugger) keeps the lock:
others get BusyError, and ``fallback`` decides alone.

One class, a little longer than others: each read and write of the store's protocol once, over one file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from eventlog_handlers.process import green
from eventlog_handlers.share import layout, mapped_file, parts, problems, runtime_directory
from eventlog_handlers.share.allowance import Spending
from eventlog_handlers.share.contract import BusyError, Member
from eventlog_handlers.share.identity import new_member
from eventlog_handlers.share.layout import AT, BUDGET, ENTRY, HEAD, MOMENT
from eventlog_handlers.share.mapped_file import MappedFile
from eventlog_handlers.share.pace import Pace, on_another_clock
from eventlog_handlers.share.parts import Part
from eventlog_handlers.share.problems import Entry
from eventlog_handlers.share.samples import Samples


class _Hold:
    """The lock for one block. Not a generator: this is the hottest path of a take."""

    __slots__ = ("_file", "_patience", "_store")

    def __init__(self, store: MappedStore, patience_seconds: float) -> None:
        self._store = store
        self._patience = patience_seconds

    def __enter__(self) -> None:
        store = self._store
        threads = store._threads
        # Most often it is free, and a try costs a quarter of a wait.
        if not (threads.acquire(blocking=False) or threads.acquire(timeout=self._patience)):
            raise BusyError("another thread holds the lock")
        try:
            self._file = file = store._in_place()
            file.lock(self._patience)
        except BaseException:
            store._threads.release()
            raise
        store._locked_file = file
        if not store._is_settled:
            try:
                store._settle_in(file)
            except BaseException:
                self.__exit__(None, None, None)
                raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store._locked_file = None
        try:
            self._file.unlock()
        finally:
            self._store._threads.release()


class MappedStore:
    """See ``store.Store``. *name* is the file's; *clock* is the system's monotonic clock, *environ* names the
    directory. Opens the file at the first question."""

    scope = "host"

    def __init__(
        self,
        name: str,
        environ: Mapping[str, str],
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self.name = name
        self._environ = dict(environ)
        self._clock = clock
        self._wall_clock = wall_clock
        self._file: MappedFile | None = None
        self._new_life()

    def _new_life(self) -> None:
        self.member = new_member()
        self._pid = os.getpid()
        self._threads = green.Lock()
        self._locked_file: MappedFile | None = None
        """The file while this process holds its lock."""
        self._is_settled = False
        """This member has taken a part of the file."""
        self._part = Part(self.member)
        self._head: tuple[Any, ...] | None = None
        """What ``pace`` read last."""
        self._slot = 0, 0, b""
        """Offset, sequence number and problem that stood there, of the entry asked for last."""
        self._samples: Samples | None = None

    def locked(self, patience_seconds: float) -> _Hold:
        """Hold the lock for a block; opens the file if need be. Raises BusyError, UnavailableError."""
        return _Hold(self, patience_seconds)

    def _in_place(self) -> MappedFile:
        """The file, opened anew where it was removed or replaced. With the thread lock."""
        if self._pid != os.getpid():  # uWSGI forks without Python's hooks
            self._let_go()
            threads = self._threads
            self._new_life()
            self._threads = threads
        file = self._file
        if file is not None and file.is_in_place():
            return file
        self._let_go()
        self._file = file = mapped_file.opened(self.name, self._environ)
        self._samples = Samples(f"{file.path}.samples")
        self._is_settled = False
        self._part.at = 0
        return file

    def _let_go(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        if self._pid == os.getpid():
            file.let_go()
        else:
            file.close_in_child()

    @property
    def _memory(self) -> layout.Memory:
        """The file's bytes. Looked at first where the lock is not held: reading a file that was cut short
        kills the process."""
        locked_file = self._locked_file
        if locked_file is not None:
            return locked_file.memory
        file = self._file
        if file is None or not file.is_in_place():
            if not self._threads.acquire(timeout=1.0):
                raise BusyError("another thread opens the file")
            try:
                file = self._in_place()
            finally:
                self._threads.release()
        return file.memory

    def file_id(self) -> bytes:
        """The random id of the file: what its members are, all together."""
        return layout.file_id(self._memory) or self.member

    # --- the rate limit ------------------------------------------------------------------------------------

    def pace(self) -> Pace:
        """The rate limit's state; remembers it, for ``moment`` and ``put_pace`` under the same lock."""
        self._head = values = HEAD.read(self._memory, AT.head)
        return Pace() if values is None else Pace(*values[1:5])

    def moment(self, back: int) -> float | None:
        """The moment of the place *back* places before the next one. After ``pace``."""
        values = self._head
        index = (0 if values is None else values[2]) - back
        if index < 0:
            return None
        moment: float = MOMENT.unpack_from(self._memory, _ring(index))[0]
        return moment

    def put_pace(self, pace: Pace, moments: Sequence[float] = ()) -> None:
        """Write the moments first: nothing refers to them before the head does."""
        memory = self._memory
        for index, moment in enumerate(moments, pace.taken - len(moments)):
            MOMENT.pack_into(memory, _ring(index), moment)
        values = self._head
        sequence, boot = (0, _boot()) if values is None else (values[0], values[5])
        HEAD.write(memory, AT.head, sequence, *pace, boot)

    def history(self, count: int) -> tuple[Pace, list[float]]:
        """The state and the last moments."""
        memory = self._memory
        values = HEAD.read(memory, AT.head)
        pace = Pace() if values is None else Pace(*values[1:5])
        indexes = range(max(0, pace.taken - count), pace.taken)
        return pace, [MOMENT.unpack_from(memory, _ring(index))[0] for index in indexes]

    def alone_mark(self) -> float:
        """When a member last took a place without the file."""
        moment: float = MOMENT.unpack_from(self._memory, layout.ALONE)[0]
        return moment if 0.0 < moment <= self._clock() else float("-inf")

    def mark_alone(self, now: float) -> None:
        """Note that this member does."""
        MOMENT.pack_into(self._memory, layout.ALONE, now)

    def spending(self, period: str) -> Spending:
        """The spent part of a budget."""
        values = BUDGET.read(self._memory, AT.budgets[period])
        return Spending() if values is None else Spending(*values[1:])

    def put_spending(self, period: str, spending: Spending) -> None:
        """Replace it."""
        values = BUDGET.read(self._memory, AT.budgets[period])
        BUDGET.write(self._memory, AT.budgets[period], 0 if values is None else values[0], *spending)

    # --- problems ------------------------------------------------------------------------------------------

    def entry(self, problem: bytes) -> Entry | None:
        """The entry of *problem*; remembers its place, for ``put``."""
        memory, now = self._memory, self._clock()
        free: tuple[int, int, bytes] | None = None
        idle: tuple[float, int, int, bytes] | None = None
        for at in layout.slots(problem):
            values = ENTRY.read(memory, at)
            if values is None:
                free = free or (at, 0, b"")
                if ENTRY.is_blank(memory, at):
                    break  # a slot is never emptied, so the problem stands in none of the others
                continue
            if values[1] == problem:
                self._slot = at, values[0], problem
                return Entry(*values[2:])
            known = Entry(*values[2:])
            if problems.is_idle(known, now) and (idle is None or known.due < idle[0]):
                idle = known.due, at, values[0], values[1]
        if free is None and idle is not None:
            free = idle[1:]
        self._slot = free or (0, 0, b"")
        return None

    def put(self, problem: bytes, entry: Entry, now: float) -> bool:
        """Write *entry* where ``entry`` has just found *problem*, or found room for it."""
        at, sequence, before = self._slot
        if not at:
            return False
        ENTRY.write(self._memory, at, sequence, problem, *entry)
        self._slot = at, sequence + 1, problem
        if before and before != problem and self._samples is not None:
            self._samples.remove(before)
        return True

    def snapshot(self) -> list[tuple[bytes, Entry]]:
        """All problems, as they stand now."""
        table = self._memory[AT.entries : AT.entries + layout.ENTRIES * ENTRY.size]
        blank = bytes(8)
        found = []
        for at in range(0, len(table), ENTRY.size):
            # A first version has the sequence number 1 and stands second.
            if table[at + ENTRY.stride : at + ENTRY.stride + 8] == blank:
                continue
            values = ENTRY.read(table, at)
            if values is not None:
                found.append((values[1], Entry(*values[2:])))
        return found

    def leave_sample(self, problem: bytes, sample: bytes) -> None:
        """Keep *sample* in a file."""
        self._samples_here().leave(problem, sample)

    def sample(self, problem: bytes) -> bytes | None:
        """The kept event, or None."""
        return self._samples_here().read(problem)

    def _samples_here(self) -> Samples:
        """Beside the file, which is opened if need be."""
        if self._samples is None:
            with self._threads:
                return Samples(f"{self._in_place().path}.samples")
        return self._samples

    # --- members -------------------------------------------------------------------------------------------

    def beat(self, now: float) -> None:
        """Note that this member is here. Its part may have been given away while it was stopped."""
        if not self._part.is_kept(self._memory):
            with self.locked(0.02):  # which settles in, if that was still to do
                if not self._part.is_kept(self._memory):
                    self._part.claim(self._memory, now, self._wall_clock())
        if self._part.at:
            self._part.beat(self._memory, now)

    def join(self, now: float) -> None:
        """Be listed as a member. Without the lock."""
        memory = self._memory
        if not self._part.is_kept(memory):
            self._part.claim_blank(memory, now, self._wall_clock())
        if self._part.at:
            self._part.beat(memory, now)

    def publish(self, counters: Mapping[str, int]) -> None:
        """Show this member's counters."""
        self.beat(self._clock())
        if self._part.at:
            self._part.publish(self._memory, counters)

    def members(self, now: float) -> list[Member]:
        """All members in the order of their parts."""
        return parts.members(self._memory, now)

    def departed(self) -> Mapping[str, int]:
        """The added counters of members whose part was given to another."""
        return parts.departed(self._memory)

    def _settle_in(self, file: MappedFile) -> None:
        """Take a part of the file, and see to it that its moments are of this start of the machine."""
        memory, now = file.memory, self._clock()
        values = HEAD.read(memory, AT.head)
        boot = _boot()
        if values is not None and values[5] != boot:
            self._renew(memory, values, now, boot)
        if not self._part.is_kept(memory):
            self._part.claim(memory, now, self._wall_clock())
        self._is_settled = True

    def _renew(self, memory: layout.Memory, head: tuple[Any, ...], now: float, boot: bytes) -> None:
        """The machine was started anew. Counts and spent budgets stay; every moment is at most now."""
        for period, at in AT.budgets.items():
            spending = self.spending(period)
            if spending.spent:
                values = BUDGET.read(memory, at)
                BUDGET.write(memory, at, values[0] if values else 0, *spending._replace(since=now))
        for at in range(AT.entries, AT.entries + layout.ENTRIES * ENTRY.size, ENTRY.size):
            values = ENTRY.read(memory, at)
            if values is not None:
                entry = Entry(*values[2:])
                entry = entry._replace(due=now + entry.window, until=0.0)
                ENTRY.write(memory, at, values[0], values[1], *entry)
        for slot in range(layout.RING_SLOTS):
            moment = MOMENT.unpack_from(memory, _ring(slot))[0]
            MOMENT.pack_into(memory, _ring(slot), min(moment, now))
        parts.end_all(memory)
        pace = on_another_clock(Pace(*head[1:5]), now)
        HEAD.write(memory, AT.head, head[0], *pace, boot)  # last: a crash before it begins this again

    def after_fork_in_child(self) -> None:
        """The parent's file, lock and part are the parent's."""
        self._let_go()
        self._new_life()

    def close(self) -> None:
        """Leave, and let the file go."""
        with self._threads:
            file = self._file
            if file is not None and self._pid == os.getpid() and self._part.is_kept(file.memory):
                self._part.beat(file.memory, parts.ENDED)
            self._let_go()


def _ring(index: int) -> int:
    return AT.ring + index % layout.RING_SLOTS * MOMENT.size


def _boot() -> bytes:
    return runtime_directory.boot_id()
