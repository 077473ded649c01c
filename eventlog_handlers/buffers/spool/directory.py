"""The spool directory: its owner and mode, the names of its files, the process that owns each. No SQL here.

One process, one connection, one file. A file ``X.spool`` belongs to the process that holds ``flock`` on
``X.lock``; the kernel lets go of it when the process ends, however it ends. The lock lies beside the
database, not on it, because closing any descriptor of the database would drop the locks that SQLite itself
holds there.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SCHEMA = "v1"
"""Of the tables and of a row's JSON. Part of the file's name, so that damage can't disguise it."""
SIDE_FILES = ("-wal", "-shm", "-journal")
_BAD_KEPT = 2  # quarantined files of a destination that may lie about


class UnusableError(Exception):
    """The directory can't serve as a spool; the text says why and what to do."""


def prepare(directory: Path) -> None:
    """Make sure that *directory* exists and is ours alone to write in; raises UnusableError."""
    if fcntl is None:
        raise UnusableError("a spool needs flock, which this system lacks")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        if directory.is_symlink():
            raise UnusableError(f"{directory} is a symbolic link: name the directory itself") from None
        raise UnusableError(f"{directory} can't be used: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if status.st_uid != os.geteuid():
        raise UnusableError(
            f"{directory} belongs to user {status.st_uid}, not to {os.geteuid()}: name a new directory in it"
        )
    if status.st_mode & 0o022:
        raise UnusableError(f"others may write in {directory}: chmod 700 it")


class Names:
    """The names of the files of one destination. *identity* may be any text; only its hash is used."""

    def __init__(self, directory: Path, identity: str) -> None:
        self._directory = directory
        self.destination = hashlib.blake2b(identity.encode("utf-8", "replace"), digest_size=8).hexdigest()
        """16 hex digits, with which the names of the files begin."""

    def new(self, wall_time: float) -> Path:
        """A new name; names sort by age."""
        age = f"{max(0, int(wall_time * 1e6)):017d}"
        name = f"{self.destination}-{SCHEMA}-{age}-{os.getpid()}-{os.urandom(4).hex()}.spool"
        return self._directory / name

    def listed(self) -> tuple[list[Path], list[Path]]:
        """Files of this destination: those in our schema, oldest first, and those in another schema.

        From one reading of the directory: between two of them another process makes and deletes files.
        """
        found = self._matching(f"{self.destination}-v*.spool")
        ours = [path for path in found if path.name.startswith(f"{self.destination}-{SCHEMA}-")]
        return ours, [path for path in found if path not in ours]

    def sweep(self) -> None:
        """Remove locks whose file is gone, and all but the newest quarantined files."""
        for path in self._matching(f"{self.destination}-{SCHEMA}-*.lock"):
            if not path.with_suffix(".spool").exists():
                lock = Lock.take(path, new=False)
                if lock is not None:
                    if not path.with_suffix(".spool").exists():
                        path.unlink(missing_ok=True)
                    lock.let_go()
        for path in self._matching(f"{self.destination}-*.spool.bad")[:-_BAD_KEPT]:
            remove(path)

    def stray(self) -> list[Path]:
        """The spool files of this destination that are gone, while a journal of theirs is there."""
        found = {
            path.with_name(f"{path.name.split('.')[0]}.spool")
            for path in self._matching(f"{self.destination}-{SCHEMA}-*.journal")
        }
        return sorted(path for path in found if not path.exists())

    def _matching(self, pattern: str) -> list[Path]:
        try:
            return sorted(self._directory.glob(pattern))
        except OSError:
            return []


def remove(path: Path) -> None:
    """Delete a database and what SQLite keeps beside it."""
    for suffix in ("", *SIDE_FILES):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def journals_of(path: Path) -> list[Path]:
    """The journals beside the spool file *path*, oldest first."""
    try:
        return sorted(path.parent.glob(f"{path.stem}.*.journal"))
    except OSError:
        return []


def quarantine(path: Path) -> None:
    """Put a damaged database aside under a name that no process adopts."""
    for suffix in ("", *SIDE_FILES):
        aside = Path(f"{path}{suffix}")
        if aside.exists():
            aside.rename(f"{path}.bad{suffix}")


def is_plain(path: Path) -> bool:
    """Whether *path* is a regular file of ours: no link, no other owner."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return is_regular(status) and status.st_uid == os.geteuid() and status.st_nlink == 1


def is_regular(status: os.stat_result) -> bool:
    """Whether *status* is that of a regular file."""
    return status.st_mode & 0o170000 == 0o100000


class Lock:
    """Ownership of a spool file, held until ``let_go`` or the end of this process.

    A forked child shares the descriptor, and with it the lock: it closes its copy at once, so that the
    parent's death frees the file.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._pid = os.getpid()
        self._identity = _file_identity(os.fstat(descriptor))
        _locks.add(self)

    @classmethod
    def take(cls, path: Path, *, new: bool) -> Lock | None:
        """Lock *path* without waiting, made for it if need be; None if another has it. Raises OSError."""
        close_inherited()
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | (os.O_EXCL if new else 0)
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        lock = cls(path, descriptor)
        if not lock.is_in_place():  # its owner deleted it between our open and our flock
            lock.let_go()
            return None
        return lock

    def is_in_place(self) -> bool:
        """Whether the locked file still bears its name."""
        return file_identity(self.path) == self._identity

    def let_go(self) -> None:
        """Let others have it. Harmless twice, and in a forked child."""
        _locks.discard(self)
        if self._descriptor >= 0:
            os.close(self._descriptor)  # never LOCK_UN: in a forked child that would unlock the parent's
            self._descriptor = -1

    def is_inherited(self) -> bool:
        """Whether another process adopted it."""
        return self._pid != os.getpid()


_locks: set[Lock] = set()


def close_inherited() -> None:
    """In a forked child: close the copies of the parent's locks. Cheap; uWSGI forks without the hook."""
    for lock in list(_locks):
        if lock.is_inherited():
            lock.let_go()


def file_identity(path: Path) -> tuple[int, int] | None:
    """A value that another file of this name would not have; None if there is no file at *path*."""
    try:
        return _file_identity(path.lstat())
    except OSError:
        return None


def _file_identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=close_inherited)
