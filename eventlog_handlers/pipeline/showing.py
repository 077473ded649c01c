"""When a worker shows its counters and its state to ``eventlog-handlers top``.

A busy thread writes once a second at most, and only what has changed. A thread that is about to sleep also
writes if the state, the last error or the number of pending events has changed: no thread is awake to do it
later. The last thread writes before it ends. No thread wakes for this, and a log call does nothing for it.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from eventlog_handlers.process import clock, green
from eventlog_handlers.settings.values import PipelineSettings
from eventlog_handlers.share.contract import UnavailableError
from eventlog_handlers.share.identity import program
from eventlog_handlers.share.process_files import ProcessFile

BUSY_SECONDS = 1.0
_RETRY_SECONDS = 60.0  # after a write that failed
_BEFORE_SLEEP = ("state", "last_error", "pending")


class Showing:
    """One worker's side of *file*. *described* gives what never changes; clocks give seconds."""

    def __init__(
        self,
        file: ProcessFile,
        described: Callable[[], Mapping[str, Any]],
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._file = file
        self._described = described
        self._clock = clock
        self._wall_clock = wall_clock
        self._lock = green.Lock()
        self._busy_until = self._failed_until = float("-inf")
        self._shown: Mapping[str, Any] = {}
        weakref.finalize(self, file.end)  # when the worker is collected, and at the interpreter's exit

    def show(
        self, look: Callable[[], Mapping[str, Any]], *, goes_to_sleep: bool, leaves: bool = False
    ) -> None:
        """Write what *look* gives, if it is time to. *leaves*: this was the worker's last thread.

        *look* is called in between only. A failed write is tried again later: no other part depends on it.
        """
        now = self._clock()
        is_time = now >= self._busy_until
        if now < self._failed_until or not (is_time or goes_to_sleep or leaves):
            return
        # Another thread may just be writing; a busy thread comes again.
        if not self._lock.acquire(timeout=0.1 if goes_to_sleep or leaves else 0):
            return
        try:
            seen = dict(look())
            oldest = seen.pop("oldest_seconds")  # changes by itself
            shown = self._shown
            if seen == shown or not (
                is_time or leaves or any(seen[name] != shown.get(name) for name in _BEFORE_SLEEP)
            ):
                return
            wall_now = self._wall_clock()
            more = {"oldest_at": None if oldest is None else wall_now - oldest, "written_at": wall_now}
            self._file.write({**self._described(), **seen, **more})
            self._busy_until, self._shown = now + BUSY_SECONDS, seen
        except (OSError, UnavailableError):  # a full or read-only directory; the host scope says so
            self._failed_until = now + _RETRY_SECONDS
        finally:
            self._lock.release()

    def remove(self) -> None:
        """The handler was closed, and nothing of it is pending. Its next record shows it again."""
        self._shown = {}
        self._file.remove()


def made_showing(handler: str, destination: str, settings: PipelineSettings) -> Showing:
    """What `eventlog-handlers top` sees of a handler; writes nothing before its worker's first turn."""
    return Showing(
        ProcessFile(os.environ),
        lambda: {
            "pid": os.getpid(),
            "program": program(),
            "handler": handler,
            "destination": f"{destination} (dry run)" if settings.dry_run else destination,
        },
        clock=clock.monotonic,
        wall_clock=time.time,
    )
