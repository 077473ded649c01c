"""One mapped file: made in full or not at all, opened only if it is ours, locked without waiting.

``layout`` knows the meaning of the bytes; this module makes, checks, maps and locks the file.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
import time
import weakref
from collections.abc import Mapping

from eventlog_handlers.process.clock import monotonic
from eventlog_handlers.share import layout, runtime_directory
from eventlog_handlers.share.contract import BusyError, UnavailableError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_TRIES = 10
_POLL_SECONDS = 0.0001


class MappedFile:
    """A file of ``layout``'s form in memory. A forked child opens its own."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)
        self._close.atexit = False
        self.memory = mmap.mmap(descriptor, layout.AT.size)
        status = os.fstat(descriptor)
        self._identity = status.st_ino, status.st_dev

    def is_in_place(self) -> bool:
        """Whether the path still leads to this file, in its full size: reading past its end would kill us."""
        try:
            status = os.lstat(self.path)
        except OSError:
            return False
        return (status.st_ino, status.st_dev) == self._identity and status.st_size >= layout.AT.size

    def lock(self, patience_seconds: float) -> None:
        """Lock the file; raises BusyError after *patience_seconds*."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            deadline = monotonic() + patience_seconds
        pause = 0.0
        while True:
            time.sleep(pause)
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if monotonic() >= deadline:
                    raise BusyError(f"another process holds {self.path}") from None
            pause = _POLL_SECONDS

    def unlock(self) -> None:
        """Let others have it."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def let_go(self) -> None:
        """Close the descriptor. The memory goes with its last reader: other threads may just be reading."""
        self._close()

    def close_in_child(self) -> None:
        """Close all that a forked child inherited: as long as it has a descriptor, its parent's death would
        not free the parent's lock."""
        self.memory.close()
        self._close()


def opened(name: str, environ: Mapping[str, str]) -> MappedFile:
    """The file *name* of this user, made if there is none; raises UnavailableError."""
    if fcntl is None:
        raise UnavailableError("this system has no flock, so processes can't share a file")
    directory, path = runtime_directory.opened(environ, os.geteuid())
    try:
        for _ in range(_TRIES):
            descriptor = _existing(directory, name, path)
            if descriptor is None:
                _make(directory, name)
                continue
            return MappedFile(f"{path}/{name}", descriptor)
    except (OSError, ValueError) as error:
        raise _unusable(f"{path}/{name}", error) from None
    finally:
        os.close(directory)
    raise UnavailableError(f"{path}/{name} is removed again and again")


def _existing(directory: int, name: str, path: str) -> int | None:
    """A descriptor of the valid file *name*; None if there is none (a damaged one is put aside)."""
    try:
        descriptor = os.open(name, _FLAGS, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise UnavailableError(f"{path}/{name} is a symbolic link", remedy="remove it") from None
        raise
    status = os.fstat(descriptor)
    is_ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink <= 2
    if not is_ours or status.st_mode & 0o077:
        os.close(descriptor)
        raise UnavailableError(
            f"{path}/{name} is not a private file of user {os.geteuid()}", remedy="remove it"
        )
    if status.st_size == layout.AT.size and layout.file_id(os.pread(descriptor, 64, 0)) is not None:
        return descriptor
    _put_aside(directory, name, descriptor)
    return None


def _put_aside(directory: int, name: str, descriptor: int) -> None:
    """Rename a damaged file, unless another process has already done that."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        there = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if there.st_ino == os.fstat(descriptor).st_ino:
            os.rename(name, f"{name}.bad", src_dir_fd=directory, dst_dir_fd=directory)
    except FileNotFoundError:
        return
    finally:
        os.close(descriptor)


def _make(directory: int, name: str) -> None:
    """Make the file under another name, in full, and give it its name in one step."""
    draft = f".{name}.{os.urandom(6).hex()}"
    descriptor = os.open(draft, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=directory)
    try:
        _allocate(descriptor)
        os.pwrite(descriptor, layout.header(os.urandom(16)), 0)
        os.link(draft, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
    except FileExistsError:
        return  # another process was faster
    finally:
        os.close(descriptor)
        os.unlink(draft, dir_fd=directory)


def _allocate(descriptor: int) -> None:
    """Take up all the room now: a page that can't be had later would kill the process that touches it."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, layout.AT.size)
    else:  # macOS
        os.pwrite(descriptor, bytes(layout.AT.size), 0)
    os.ftruncate(descriptor, layout.AT.size)


def _unusable(path: str, error: Exception) -> UnavailableError:
    is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    why = getattr(error, "strerror", None) or str(error)
    variable = runtime_directory.VARIABLE
    remedy = (
        f"free 1 MB there, or give another directory in {variable}"
        if is_full
        else f"give a directory in {variable}"
    )
    return UnavailableError(f"{path} can't be used ({why})", remedy=remedy)
