"""Whatever stands in a spool directory: whole events come out as they went in, once; nothing is raised."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import tempfile
from functools import cache
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlog_handlers.buffers.spool.buffer import SpoolBuffer
from eventlog_handlers.buffers.spool.inspect import entries
from eventlog_handlers.events import Event
from eventlog_handlers.testing import ManualClock, make_event

_EPOCH = 1_790_000_000.0


def spool(place: Path) -> SpoolBuffer:
    return SpoolBuffer(
        place,
        capacity=10_000,
        capacity_bytes=64 << 20,
        policy="drop_lowest",
        clock=ManualClock(),
        wall_clock=lambda: _EPOCH,
        report=lambda key, text: None,
        identity="cms-of-a-test",
    )


@cache
def left() -> tuple[Path, dict[str, Event]]:
    """A directory as a killed process leaves it, half of it in the WAL, and every event it ever held."""
    chance = random.Random(7)
    place = Path(tempfile.mkdtemp(prefix="eventlog-fuzz-"))
    buffer = spool(place / "written")
    put = [
        make_event(f"event {n}", stack="x" * chance.choice([10, 900, 9_000]), tags={"team": "shop"})
        for n in range(40)
    ]
    buffer.put(put[:20])
    buffer.ack(buffer.lease(4))
    buffer.close()
    for event in put[20:]:
        buffer.put([event])
    buffer.ack(buffer.lease(4))
    buffer.abandon()
    # Without what SQLite shares in memory: as another machine's process, or the next start, finds it.
    shutil.copytree(place / "written", place / "left", ignore=shutil.ignore_patterns("*-shm"))
    return place / "left", {event.id: event for event in put}


CHANGES = st.one_of(
    st.tuples(st.just("flip"), st.floats(0, 0.9999), st.sampled_from([1, 99, 4_096]), st.integers(1, 255)),
    st.tuples(st.just("cut"), st.floats(0, 0.9999)),
    st.tuples(st.just("append"), st.binary(max_size=5_000)),
    st.tuples(st.just("insert"), st.floats(0, 0.9999), st.binary(min_size=1, max_size=50)),
    st.tuples(st.just("copy"), st.floats(0, 0.9), st.floats(0, 0.9), st.integers(1, 9_000)),
    st.tuples(st.just("replace"), st.binary(max_size=200)),
    st.tuples(st.just("zero"), st.floats(0, 0.9999), st.integers(1, 9_000)),
)  # fmt: skip
STRANGERS = st.lists(
    st.sampled_from([".spool", "x.spool", "cms-of-a-test.spool", "x.spool-wal", "x.lock", "x.spool.bad"]),
    max_size=3,
    unique=True,
)  # fmt: skip


def changed(content: bytearray, change: tuple) -> bytearray:
    """*content* after one of CHANGES."""
    kind, *how = change
    size = len(content)
    if kind == "flip":
        start = int(how[0] * size)
        for at in range(start, min(start + how[1], size)):
            content[at] ^= how[2]
        return content
    if kind == "cut":
        return content[: int(how[0] * size)]
    if kind == "append":
        return content + how[0]
    if kind == "insert":
        at = int(how[0] * size)
        return content[:at] + how[1] + content[at:]
    if kind == "copy":
        source, target = int(how[0] * size), int(how[1] * size)
        piece = content[source : source + how[2]]
        return content[:target] + piece + content[target + len(piece) :]
    if kind == "zero":
        at = int(how[0] * size)
        piece = content[at : at + how[1]]
        return content[:at] + bytes(len(piece)) + content[at + len(piece) :]
    return bytearray(how[0])


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    changes=st.lists(st.tuples(st.sampled_from(["", "-wal", ".lock"]), CHANGES), min_size=1, max_size=4),
    strangers=STRANGERS,
    junk=st.binary(max_size=100),
)
def test_no_file_makes_an_heir_fail_or_deliver_what_was_never_put(
    changes: list, strangers: list[str], junk: bytes
) -> None:
    """Nor does looking into the directory; and nothing is left that would be taken over again and again."""
    source, put = left()
    with tempfile.TemporaryDirectory() as temporary:
        place = shutil.copytree(source, Path(temporary) / "spool")
        (database,) = place.glob("*.spool")
        for where, change in changes:
            target = database.with_suffix(where) if where == ".lock" else Path(f"{database}{where}")
            target.write_bytes(changed(bytearray(target.read_bytes() if target.exists() else b""), change))
        for name in strangers:
            (place / name).write_bytes(junk)
        for entry in entries(place):
            with contextlib.suppress(OSError, sqlite3.Error):  # of a damaged file; `spool ls` says so
                entry.read()

        heir = spool(place)
        got: list[Event] = []
        heir.adopt()
        while leases := heir.lease(100):
            got += [lease.event for lease in leases]
            heir.ack(leases)
        lost = heir.lost()
        heir.close()

        assert len({event.id for event in got}) == len(got)
        assert all(put.get(event.id) == event for event in got)
        assert {one.reason for one in lost} <= {"damaged"}
        assert not database.exists()
