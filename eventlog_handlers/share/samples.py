"""One event of each problem in a small file, for the summary that another process may have to write.

A sample is a convenience: where it can't be written or read, the summary has a count and no message.
"""

from __future__ import annotations

import contextlib
import os

from eventlog_handlers.share.contract import MAX_SAMPLE_BYTES

_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class Samples:
    """The files in *directory*, which stands in a directory that only this user can enter."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def leave(self, problem: bytes, sample: bytes) -> None:
        """Write *sample*; a reader finds all of it or none of it."""
        path = self._path(problem)
        draft = f"{path}.{os.urandom(4).hex()}"
        with contextlib.suppress(OSError):
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._directory, 0o700)  # noqa: PTH102 - pathlib slows each start
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(sample)
                os.replace(draft, path)  # noqa: PTH105
            except OSError:
                os.unlink(draft)  # noqa: PTH108

    def read(self, problem: bytes) -> bytes | None:
        """The event that was left, or None."""
        try:
            descriptor = os.open(self._path(problem), os.O_RDONLY | _FLAGS)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read(MAX_SAMPLE_BYTES)

    def remove(self, problem: bytes) -> None:
        """The problem left the table."""
        with contextlib.suppress(OSError):
            os.unlink(self._path(problem))  # noqa: PTH108

    def _path(self, problem: bytes) -> str:
        return f"{self._directory}/{problem.hex()}"
