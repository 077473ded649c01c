"""Records of the mapped file: whole after a crash at any byte, found again, never outside their place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eventlog_handlers.share import layout
from eventlog_handlers.share.layout import AT, ENTRY, HEAD

OLD = (1.5, 7, 0.0, 1.0, b"b" * 16)
NEW = (2.5, 8, 9.0, 0.5, b"c" * 16)


class Torn(bytearray):
    """Memory whose writer is killed after *left* bytes."""

    left = 10**9

    def __setitem__(self, where, value):
        kept = value[: max(0, self.left)]
        self.left -= len(value)
        super().__setitem__(slice(where.start, where.start + len(kept)), kept)


@given(st.integers(0, HEAD.stride), st.integers(1, 5))
def test_a_torn_write_leaves_the_version_before_it(left: int, writes: int) -> None:
    """Whatever byte the writer got to, a reader finds the old values or the new ones."""
    memory = Torn(AT.size)
    for sequence in range(writes):
        HEAD.write(memory, AT.head, sequence, *OLD)
    memory.left = left

    HEAD.write(memory, AT.head, writes, *NEW)

    values = HEAD.read(memory, AT.head)
    assert values is not None
    assert values[1:] == (NEW if values[0] == writes + 1 else OLD)
    assert values[0] in (writes, writes + 1)
    memory.left = 10**9
    HEAD.write(memory, AT.head, values[0], *NEW)
    assert HEAD.read(memory, AT.head) == (values[0] + 1, *NEW)


def test_a_torn_first_write_leaves_nothing() -> None:
    """A record that was never whole is none."""
    for left in range(HEAD.stride - 8):
        memory = Torn(AT.size)
        memory.left = left

        HEAD.write(memory, AT.head, 0, *OLD)

        assert HEAD.read(memory, AT.head) in (None, (1, *OLD))


@given(st.integers(0, 2 * HEAD.stride - 1), st.integers(1, 255))
def test_a_damaged_byte_never_gives_other_values(offset: int, flipped: int) -> None:
    """A checksum stands over each version."""
    memory = bytearray(AT.size)
    HEAD.write(memory, AT.head, 0, *OLD)
    HEAD.write(memory, AT.head, 1, *NEW)

    memory[AT.head + offset] ^= flipped

    assert HEAD.read(memory, AT.head) in ((1, *OLD), (2, *NEW))


def test_the_parts_of_the_file_do_not_overlap() -> None:
    """Each part ends before the next one begins, a member's counters within its part."""
    ends = [
        (layout.ALONE + 8, AT.head),
        (AT.head + HEAD.size, AT.budgets["hour"]),
        (AT.budgets["hour"] + layout.BUDGET.size, AT.budgets["day"]),
        (AT.budgets["day"] + layout.BUDGET.size, AT.departed),
        (AT.departed + layout.DEPARTED.size, AT.ring),
        (AT.ring + layout.RING_SLOTS * layout.MOMENT.size, AT.members),
        (AT.members + layout.MEMBERS * layout.MEMBER_STRIDE, AT.entries),
        (AT.entries + layout.ENTRIES * ENTRY.size, AT.size),
        (layout.MEMBER_COUNTS + layout.COUNTS.size, layout.MEMBER_STRIDE),
        (layout.OWNER.size, layout.MEMBER_SEEN),
        (layout.HEADER.size, layout.ALONE),
    ]

    assert [(end, start) for end, start in ends if end > start] == []


def test_a_header_of_another_kind_is_not_ours() -> None:
    """Schema, size and checksum are looked at."""
    good = layout.header(b"i" * 16).ljust(64, b"\0")

    assert layout.file_id(good) == b"i" * 16
    for offset in range(layout.HEADER.size):
        bad = bytearray(good)
        bad[offset] ^= 1
        assert layout.file_id(bad) is None


@given(st.binary(min_size=16, max_size=16))
def test_a_problem_has_the_same_slots_every_time(problem: bytes) -> None:
    """Different ones, all of them entries."""
    slots = list(layout.slots(problem))

    assert slots == list(layout.slots(problem))
    assert len(set(slots)) == layout.PROBES
    assert all(AT.entries <= at <= AT.size - ENTRY.size for at in slots)
    assert all((at - AT.entries) % ENTRY.size == 0 for at in slots)
