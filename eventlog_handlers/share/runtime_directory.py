"""Where the mapped files of one user stand, and whether a directory may be trusted. Opens directories only.

A cron job and a login session of one user must find the same place, so the choice looks at the machine and
not at the session's variables, apart from EVENTLOG_RUNTIME_DIR.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from eventlog_handlers.process import mounts, proc_files
from eventlog_handlers.share.contract import UnavailableError

VARIABLE = "EVENTLOG_RUNTIME_DIR"
FOLDER = "eventlog-handlers"
_REMOTE = ("nfs", "cifs", "smb", "9p", "fuse", "ceph", "gluster", "lustre", "afs", "virtiofs")
"""File systems on which a mapping, or a lock, of one machine means nothing to another."""


def runtime(environ: Mapping[str, str], uid: int) -> str:
    """The directory that *uid*'s processes on this machine share."""
    given = environ.get(VARIABLE, "").strip()
    if given:
        return given
    session = f"/run/user/{uid}"
    if _is_owned(session, uid):
        return session
    if os.path.isdir("/dev/shm"):  # noqa: PTH112, S108 - pathlib slows each start; its owner is checked below
        return f"/dev/shm/{FOLDER}-{uid}"  # noqa: S108
    return f"{environ.get('TMPDIR', '').strip() or '/tmp'}/{FOLDER}-{uid}"  # noqa: S108


def opened(environ: Mapping[str, str], uid: int) -> tuple[int, str]:
    """Descriptor and path of the directory for mapped files, made if need be; raises UnavailableError."""
    above = runtime(environ, uid)
    path = f"{above}/{FOLDER}"
    remedy = f"give a directory of this user's in {VARIABLE}"
    try:
        if not environ.get(VARIABLE, "").strip():
            _make(above)
            os.close(_checked(above, uid, remedy))
        else:
            os.makedirs(above, mode=0o700, exist_ok=True)  # noqa: PTH103 - as above
        _make(path)
        descriptor = _checked(path, uid, remedy)
    except OSError as error:
        raise UnavailableError(f"{path} can't be used ({error.strerror})", remedy=remedy) from None
    kind = mounts.file_system(path)
    why = f"it is on {kind}, where processes can't share a mapped file" if kind.startswith(_REMOTE) else None
    why = why or mounts.danger_of_mapping(path)
    if why:
        os.close(descriptor)
        raise UnavailableError(f"{path} can't be used ({why})", remedy=remedy)
    return descriptor, path


def _make(path: str) -> None:
    try:
        os.mkdir(path, 0o700)  # noqa: PTH102
    except FileExistsError:
        return


def _checked(path: str, uid: int, remedy: str) -> int:
    """A descriptor of *path* if it is a directory that only *uid* can write in."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if os.path.islink(path):  # noqa: PTH114
            raise UnavailableError(f"{path} is a symbolic link", remedy=remedy) from None
        raise UnavailableError(f"{path} can't be opened ({error.strerror})", remedy=remedy) from None
    status = os.fstat(descriptor)
    why = ""
    if status.st_uid != uid:
        why = f"{path} belongs to user {status.st_uid} and not to {uid}"
    elif status.st_mode & 0o022:
        why = f"others may write in {path}"
    if why:
        os.close(descriptor)
        raise UnavailableError(why, remedy=remedy)
    if status.st_mode & 0o077 and path.endswith(FOLDER):
        os.fchmod(descriptor, 0o700)
    return descriptor


def _is_owned(path: str, uid: int) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == uid


def boot_id() -> bytes:
    """16 bytes that tell this start of the machine from others; zeros where it is not known."""
    try:
        return bytes.fromhex(proc_files.read("/proc/sys/kernel/random/boot_id").strip().replace("-", ""))
    except (OSError, ValueError):
        return bytes(16)
