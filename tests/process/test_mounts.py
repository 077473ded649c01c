"""Which file system a path is on; and on one that copies blocks at each write, a full disk kills nobody."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import run

from eventlog_handlers.buffers.spool.inspect import entries
from eventlog_handlers.process import mounts
from eventlog_handlers.share.contract import UnavailableError
from eventlog_handlers.share.runtime_directory import VARIABLE, opened

MOUNTED = r"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
24 22 0:6 / /dev rw - devtmpfs devtmpfs rw
31 22 0:44 /@var /var rw,relatime shared:1 master:2 - btrfs /dev/sdb rw,space_cache=v2
32 31 0:45 / /var/lib/the\040shop rw - zfs tank/shop rw
33 31 0:46 / /var/tmp rw - xfs /dev/sdc rw
34 33 0:47 / /var/tmp rw - tmpfs tmpfs rw
a line that is none
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"), ("/home/shop", "ext4"), ("/var", "btrfs"), ("/var/lib/shop", "btrfs"),
        ("/variable", "ext4"), ("/var/lib/the shop", "zfs"), ("/var/lib/the shop/spool", "zfs"),
        ("/var/lib/the", "btrfs"), ("/var/tmp/x", "tmpfs"), ("/dev", "devtmpfs"),
    ],
)  # fmt: skip
def test_the_file_system_of_a_path_is_that_of_its_longest_and_last_mount_point(path: str, kind: str) -> None:
    """As /proc/self/mountinfo has them."""
    assert mounts.type_of(path, MOUNTED) == kind
    assert mounts.type_of(path, "") == ""


def test_the_file_system_of_a_path_is_asked_of_the_system(tmp_path: Path) -> None:
    """A link is followed; a system that has no such list tells nothing."""
    (tmp_path / "link").symlink_to("/proc")
    expected = "proc" if Path("/proc/self/mountinfo").exists() else ""
    assert mounts.file_system(str(tmp_path / "link")) == expected


@pytest.mark.parametrize(
    ("kind", "inodes", "danger"),
    [
        ("ext4", 1, None), ("xfs", 0, None), ("", 0, None), ("overlay", 1, None),
        ("overlay", 0, "btrfs"), ("btrfs", 0, "btrfs"), ("zfs", 1, "zfs"),
    ],
)  # fmt: skip
def test_a_mapped_file_is_dangerous_where_blocks_are_copied(
    monkeypatch: pytest.MonkeyPatch, kind: str, inodes: int, danger: str | None
) -> None:
    """btrfs below an overlay is known by its having no limit of inodes."""
    monkeypatch.setattr(mounts, "file_system", lambda path: kind)
    monkeypatch.setattr(os, "statvfs", lambda path: namedtuple("Told", "f_files")(inodes))

    told = mounts.danger_of_mapping("/var/lib/shop")

    assert told == (danger and f"on {danger} a full disk would kill a process that writes to a mapped file")


def test_a_directory_that_is_gone_is_no_danger(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be made there fails anyway."""
    monkeypatch.setattr(mounts, "file_system", lambda path: "overlay")

    assert mounts.danger_of_mapping("/no/such/place") is None


def _as_root(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{command[0]} is not allowed here: {done.stderr}")


@pytest.fixture
def btrfs(tmp_path: Path) -> Iterator[Path]:
    """A real one of 120 MB."""
    if os.geteuid() != 0 or not shutil.which("mkfs.btrfs"):
        pytest.skip("needs root and mkfs.btrfs")
    image, place = tmp_path / "image", tmp_path / "mounted"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(120 << 20)
    _as_root("mkfs.btrfs", "-q", str(image))
    _as_root("mount", "-o", "loop", str(image), str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def overlay(btrfs: Path, tmp_path: Path) -> Iterator[Path]:
    """One on top of it, as a container has."""
    place = tmp_path / "overlay"
    for directory in (place, tmp_path / "lower", btrfs / "upper", btrfs / "work"):
        directory.mkdir()
    layers = f"lowerdir={tmp_path}/lower,upperdir={btrfs}/upper,workdir={btrfs}/work"
    _as_root("mount", "-t", "overlay", "overlay", "-o", layers, str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("below", ["btrfs", "overlay"])
def test_d01_a_full_disk_that_copies_blocks_kills_no_process(
    request: pytest.FixtureRequest, below: str
) -> None:
    """Neither the journal nor SQLite maps a file there: events wait in memory."""
    place = request.getfixturevalue(below)
    done = run(
        f"""
        import os, subprocess, time
        from pathlib import Path
        from eventlog_handlers.buffers.spool.buffer import SpoolBuffer
        from eventlog_handlers.testing import make_event
        place, reports = Path({str(place)!r}), []
        def sync():  # of this file system alone
            subprocess.run(["sync", "--file-system", place], check=True)
        buffer = SpoolBuffer(
            place / "spool", capacity=100_000, capacity_bytes=1 << 26, policy="drop_lowest", identity="x",
            clock=time.monotonic, wall_clock=time.time, report=lambda _, text: reports.append(text),
            has_journal=True,
        )
        for _ in range(50):
            buffer.put([make_event("x" * 2_000)])
        assert buffer.state()["in_file"] == 50
        sync()
        with open(place / "fill", "wb", buffering=0) as file:
            for size in (1 << 20, 4096, 512):
                try:
                    while True:
                        file.write(os.urandom(size))
                except OSError as error:
                    assert error.errno == 28, error
        sync()
        for number in range(300):
            buffer.put([make_event("y" * 2_000)])
            buffer.ack(buffer.lease(1))
            if number % 50 == 0:
                sync()
        assert len(buffer) == 50, len(buffer)
        assert not list(place.glob("spool/*.journal")) and not list(place.glob("spool/*-shm"))
        assert any("on btrfs a full disk would kill a process" in text for text in reports), reports
        assert any("the spool takes no more" in text for text in reports), reports
        """,
        preamble="",
    )

    assert done.returncode == 0, (done.returncode, done.stderr)


ON_BTRFS = """
import os, time
from pathlib import PosixPath
from eventlog_handlers.buffers.spool.buffer import SpoolBuffer
from eventlog_handlers.buffers.spool.inspect import entries
from eventlog_handlers.testing import make_event
def opened(place):
    return SpoolBuffer(  # adopts in one slice, as its clock stands still
        place, capacity=100, capacity_bytes=1 << 20, policy="drop_lowest", identity="x",
        clock=lambda: 0.0, wall_clock=time.time, report=lambda key, text: print(text),
    )
"""


def test_p14_what_a_killed_process_left_there_is_listed_and_taken_over(btrfs: Path) -> None:
    """SQLite recovers a WAL without its index, and the commands read copies: no lock hides the events."""
    killed = run(
        f"""
        opened({str(btrfs)!r}).put([make_event("left"), make_event("behind")])
        os.kill(os.getpid(), 9)
        """,
        preamble=ON_BTRFS,
    )
    assert killed.returncode == -9, killed.stderr
    (entry,) = entries(btrfs)
    assert sorted(one.event.message for one in entry.read()[0]) == ["behind", "left"]
    taken_over = run(
        f"""
        heir = opened({str(btrfs)!r})
        assert heir.adopt() == 2
        (entry,) = entries({btrfs!r})
        assert (entry.state, len(entry.read()[0])) == ("in use", 2)
        leases = heir.lease(9)
        assert sorted(lease.event.message for lease in leases) == ["behind", "left"]
        heir.ack(leases)
        heir.close()
        """,
        preamble=ON_BTRFS,
    )

    assert (taken_over.returncode, taken_over.stdout) == (0, ""), taken_over.stderr
    assert list(btrfs.iterdir()) == []


def test_f03_a_runtime_directory_that_copies_blocks_is_refused(btrfs: Path) -> None:
    """The processes of one host share a mapped file in it."""
    with pytest.raises(UnavailableError, match="on btrfs a full disk would kill") as caught:
        opened({VARIABLE: str(btrfs)}, os.geteuid())

    assert VARIABLE in caught.value.remedy
