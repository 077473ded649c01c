"""The small file that a process keeps of each of its handlers, for ``eventlog-handlers top``.

It stands in the folder ``processes`` beside the mapped files, in every scope. Its name tells the process:
``<pid namespace>-<pid>-<start>-<random>.json``. So a dead process's file is known without being read, also
where the pid belongs to another process by now. ``pipeline.showing`` decides when it is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from eventlog_handlers.process import proc_files
from eventlog_handlers.share import runtime_directory
from eventlog_handlers.share.contract import UnavailableError
from eventlog_handlers.text.json_text import compact

SCHEMA = 1
_FOLDER = "processes"
_NAME = re.compile(r"\.?(\d+)-(\d+)-(\d+)-[0-9a-f]{8}\.json")
_MOST_BYTES = 65_536
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_ELSEWHERE_SECONDS = 86_400.0
"""A file of another pid namespace (another container) is kept for so long: no process here knows whether its
process lives. A process whose file was removed writes it again at its next change."""


class ProcessFile:
    """One handler's file. The first ``write`` makes the folder, and removes the files of dead processes."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._pid = os.getpid()
        self._folder = ""
        self._name = ""
        self._is_over = False

    def write(self, content: Mapping[str, Any]) -> None:
        """Replace the file; a reader finds the old content or the new one. One thread at a time.

        Raises UnavailableError or OSError where it can't be written. Writes nothing after ``end``.
        """
        if self._is_over or self._pid != os.getpid():
            return
        text = compact({"schema": SCHEMA, **content}).encode("utf-8", "backslashreplace")
        if self._folder:
            with contextlib.suppress(FileNotFoundError):  # the folder was removed
                self._replace(text)
                return
        self._folder = _made_folder(self._environ)
        self._name = f"{_namespace()}-{self._pid}-{_started(self._pid) or 0}-{os.urandom(4).hex()}.json"
        _sweep(self._folder)
        self._replace(text)

    def _replace(self, text: bytes) -> None:
        path, draft = f"{self._folder}/{self._name}", f"{self._folder}/.{self._name}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FLAGS, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
            os.replace(draft, path)  # noqa: PTH105 - pathlib slows each start
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(draft)  # noqa: PTH108
            raise
        if self._is_over:  # ended meanwhile, by another thread
            self.remove()

    def end(self) -> None:
        """Remove the file for good: the handler, or the process, is over."""
        self._is_over = True
        self.remove()

    def remove(self) -> None:
        """Remove the file until the next ``write``. A forked child leaves its parent's file alone."""
        if self._name and self._pid == os.getpid():
            with contextlib.suppress(OSError):
                os.unlink(f"{self._folder}/{self._name}")  # noqa: PTH108


class Found(NamedTuple):
    """The files of the living processes."""

    contents: list[dict[str, Any]]
    unreadable: int
    """Files of living processes that are not of this version's form."""


def found(environ: Mapping[str, str]) -> Found:
    """The files of this user's living processes; removes those of dead ones.

    Raises UnavailableError where the folder is there and can't be trusted or read.
    """
    contents: list[dict[str, Any]] = []
    unreadable = 0
    if not hasattr(os, "geteuid"):  # Windows
        raise UnavailableError("this system has no runtime directory")
    above = f"{runtime_directory.runtime(environ, os.geteuid())}/{runtime_directory.FOLDER}"
    if not os.path.lexists(f"{above}/{_FOLDER}"):
        return Found([], 0)
    folder = _made_folder(environ)
    try:
        _sweep(folder)
        names = [name for name, life in _lives(folder) if life == "here" and not name.startswith(".")]
    except OSError as error:
        raise UnavailableError(f"{folder} can't be read ({error.strerror})") from None
    for name in sorted(names):
        try:
            contents.append(_content(f"{folder}/{name}"))
        except FileNotFoundError:  # its process has just ended
            continue
        except (OSError, ValueError, RecursionError):
            unreadable += 1
    return Found(contents, unreadable)


def _content(path: str) -> dict[str, Any]:
    descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise ValueError("not a file of ours")
        content = json.loads(file.read(_MOST_BYTES))
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ValueError("another version's")
    return content


def _made_folder(environ: Mapping[str, str]) -> str:
    """The path of the folder, made if need be; raises UnavailableError."""
    if not hasattr(os, "geteuid"):  # Windows
        raise UnavailableError("this system has no runtime directory")
    descriptor, above = runtime_directory.opened(environ, os.geteuid())
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(_FOLDER, 0o700, dir_fd=descriptor)
        status = os.stat(_FOLDER, dir_fd=descriptor, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise UnavailableError(f"{above}/{_FOLDER} is not a directory of this user's", remedy="remove it")
    except OSError as error:
        raise UnavailableError(f"{above}/{_FOLDER} can't be used ({error.strerror})") from None
    finally:
        os.close(descriptor)
    return f"{above}/{_FOLDER}"


def _sweep(folder: str) -> None:
    """Remove the files of dead processes."""
    for name, life in _lives(folder):
        path = f"{folder}/{name}"
        with contextlib.suppress(OSError):  # another process removes them too
            age = time.time() - os.lstat(path).st_mtime
            if life == "dead" or (life == "elsewhere" and age > _ELSEWHERE_SECONDS):
                os.unlink(path)  # noqa: PTH108


def _lives(folder: str) -> Iterator[tuple[str, str]]:
    """The files' names, each with ``here``, ``dead`` or ``elsewhere``."""
    namespace = _namespace()
    for name in os.listdir(folder):  # noqa: PTH208
        parts = _NAME.fullmatch(name)
        if parts is None:
            continue
        if int(parts[1]) != namespace:
            yield name, "elsewhere"
        else:
            yield name, "here" if _is_alive(int(parts[2]), int(parts[3])) else "dead"


def _is_alive(pid: int, started: int) -> bool:
    """Whether the process that *started* then still runs. With 0, only the pid can tell."""
    if started:
        return _started(pid) == started
    try:
        os.kill(pid, 0)
    except OSError:  # there is none, or it is another user's
        return False
    return True


def _started(pid: int) -> int | None:
    """When *pid* started, in the kernel's ticks since the machine's start; None where it is not told, or the
    process has ended. Source: proc(5), ``/proc/pid/stat``, fields 3 and 22."""
    try:
        after_name = proc_files.read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        return None if after_name[0] in "ZXx" else int(after_name[19])
    except (OSError, ValueError, IndexError):
        return None


def _namespace() -> int:
    """The number of this process's pid namespace; 0 where there are none."""
    try:
        return int(re.sub(r"\D", "", os.readlink("/proc/self/ns/pid")) or 0)  # noqa: PTH115
    except OSError:
        return 0
