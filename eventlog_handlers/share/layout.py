"""Where everything stands in the mapped file, and how a record survives a crash in the midst of a write.

Pure: works on any writable memory.

A record has two versions. A write goes to the older one, with a higher sequence number and a checksum. A
process killed while it writes leaves a version whose checksum is wrong, and the other version counts. The
kernel keeps the order of one process's writes for all others, also when that process is killed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from struct import Struct
from typing import Any, NamedTuple

from eventlog_handlers.share.contract import COUNTERS, MAX_WINDOW_PLACES

Memory = Any
"""A writable mmap or bytearray."""

SCHEMA = 1
MAGIC = b"evhshare"
HEADER = Struct("<8sII16sI")
"""Magic, schema, size of the file, random id of the file, checksum of all that."""

ALONE = 48
"""Offset of one aligned number: when a member last took a place without the file."""

_SEQUENCE = Struct("<Q")
_CRC = Struct("<I")


class Record:
    """The form of a record: *fields* in ``struct``'s letters. Its two versions take ``size`` bytes."""

    def __init__(self, fields: str) -> None:
        self._values = Struct(f"<Q{fields}")
        self._length = self._values.size
        self.stride = (self._length + _CRC.size + 15) // 16 * 16
        self.size = 2 * self.stride

    def read(self, memory: Memory, at: int) -> tuple[Any, ...] | None:
        """Sequence number and values of the newer valid version; None if there is none."""
        first, second = at, at + self.stride
        if _SEQUENCE.unpack_from(memory, first)[0] < _SEQUENCE.unpack_from(memory, second)[0]:
            first, second = second, first
        return self._version(memory, first) or self._version(memory, second)

    def write(self, memory: Memory, at: int, sequence: int, *values: Any) -> None:
        """Make *values* the newer version. *sequence* is that of the version before, 0 if there is none."""
        packed = self._values.pack(sequence + 1, *values)
        at += self.stride * ((sequence + 1) & 1)
        memory[at : at + self._length + 4] = packed + _CRC.pack(zlib.crc32(packed))

    def is_blank(self, memory: Memory, at: int) -> bool:
        """Whether nothing was ever written there."""
        return not any(memory[at : at + self.size])

    def _version(self, memory: Memory, at: int) -> tuple[Any, ...] | None:
        end = at + self._length
        packed = memory[at:end]
        if zlib.crc32(packed) != _CRC.unpack_from(memory, end)[0]:
            return None
        values = self._values.unpack(packed)
        return values if values[0] else None


HEAD = Record("dQdd16s")
"""full_at, taken, not_before, slowdown, boot id."""
BUDGET = Record("dQQ")
"""since, spent, critical."""
ENTRY = Record("16sqddqddBqqddd8sqq")
"""The problem, then ``problems.Entry``'s fields."""
COUNTS = Record(f"{len(COUNTERS)}q")
DEPARTED = Record(f"8s{len(COUNTERS)}q")
"""The member added last, and the sums of those that left."""
OWNER = Struct("<8sId48sI")
"""A member: id, process id, wall time of its start, name, checksum."""
MOMENT = Struct("<d")

RING_SLOTS = MAX_WINDOW_PLACES + 64
"""Moments of the last places. More than a window's: a moment is written before the head that counts it."""
MEMBERS = 256
MEMBER_STRIDE = 512
ENTRIES = 2_048
PROBES = 32
"""Slots in which a problem may stand, from its own on."""


class Offsets(NamedTuple):
    """Where each part begins, in bytes."""

    head: int
    budgets: dict[str, int]
    departed: int
    ring: int
    members: int
    entries: int
    size: int


def _offsets() -> Offsets:
    position = 64
    head, position = position, position + HEAD.size
    budgets = {}
    for period in ("hour", "day"):
        budgets[period], position = position, position + BUDGET.size
    departed, position = position, position + DEPARTED.size
    ring, position = _page(position), _page(position) + RING_SLOTS * MOMENT.size
    members, position = _page(position), _page(position) + MEMBERS * MEMBER_STRIDE
    entries, position = _page(position), _page(position) + ENTRIES * ENTRY.size
    return Offsets(head, budgets, departed, ring, members, entries, _page(position))


def _page(position: int) -> int:
    return (position + 4095) // 4096 * 4096


AT = _offsets()

MEMBER_SEEN = OWNER.size + 8 - OWNER.size % 8
"""Within a member's part: when it last asked, one aligned number; then its counters."""
MEMBER_COUNTS = MEMBER_SEEN + 8


def header(file_id: bytes) -> bytes:
    """The first bytes of a new file."""
    packed = HEADER.pack(MAGIC, SCHEMA, AT.size, file_id, 0)[: -_CRC.size]
    return packed + _CRC.pack(zlib.crc32(packed))


def file_id(memory: Memory) -> bytes | None:
    """The random id in a valid header of our schema; None where it is none."""
    packed = bytes(memory[: HEADER.size])
    magic, schema, size, identity, crc = HEADER.unpack(packed)
    is_ours = (magic, schema, size) == (MAGIC, SCHEMA, AT.size)
    return identity if is_ours and crc == zlib.crc32(packed[: -_CRC.size]) else None


def slots(problem: bytes) -> Iterable[int]:
    """Offsets of the entries in which *problem* may stand, its own first."""
    start = int.from_bytes(problem[:4], "little")
    for step in range(PROBES):
        yield AT.entries + (start + step) % ENTRIES * ENTRY.size


def owner(member: bytes, pid: int, started: float, name: str) -> bytes:
    """A member's description."""
    text = name.encode("utf-8", "replace")[:48]
    packed = OWNER.pack(member, pid, started, text, 0)[: -_CRC.size]
    return packed + _CRC.pack(zlib.crc32(packed))


def owner_of(memory: Memory, at: int) -> tuple[bytes, int, float, str] | None:
    """Id, process id, start and name; None where no member stands."""
    packed = bytes(memory[at : at + OWNER.size])
    member, pid, started, name, crc = OWNER.unpack(packed)
    if crc != zlib.crc32(packed[: -_CRC.size]) or member == b"\0" * 8:
        return None
    return member, pid, started, name.rstrip(b"\0").decode("utf-8", "replace")
