"""Which file system a path is on, and whether a mapped file is safe there. Only Linux tells."""

from __future__ import annotations

import os
import re

from eventlog_handlers.process import proc_files

COPY_ON_WRITE = frozenset({"bcachefs", "btrfs", "nilfs2", "zfs"})
"""These write a changed block to a new place. Where the disk is full there is none, although all blocks of
the file were taken up before: a write(2) fails, but SIGBUS kills a process that writes to a mapped file."""
_OCTAL = re.compile(r"\\([0-7]{3})")


def danger_of_mapping(path: str) -> str | None:
    """Why no file in the directory *path* may be mapped; None where it may.

    An overlay does not tell what is below it. That btrfs is, shows in the number of inodes: it has no limit.
    """
    kind = file_system(path)
    if kind == "overlay":
        try:
            kind = "btrfs" if os.statvfs(path).f_files == 0 else kind
        except OSError:
            return None
    if kind not in COPY_ON_WRITE:
        return None
    return f"on {kind} a full disk would kill a process that writes to a mapped file"


def file_system(path: str) -> str:
    """The type of the file system that *path* is on, such as ``ext4``; "" where it is not known."""
    try:
        return type_of(os.path.realpath(path), proc_files.read("/proc/self/mountinfo"))
    except OSError:
        return ""


def type_of(path: str, mounted: str) -> str:
    """The file system of *path*, absolute and without links; *mounted* as /proc/self/mountinfo has it.

    https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
    """
    found, longest = "", -1
    for line in mounted.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split(" ")
        if not dash or len(fields) < 5:
            continue
        place = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]).rstrip("/")
        # A later line is mounted over an earlier one.
        if len(place) >= longest and (path == place or path.startswith(f"{place}/")):
            found, longest = after.split(" ")[0], len(place)
    return found
