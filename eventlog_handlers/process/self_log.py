"""Lines on stderr about the package itself: one per change of state, never through logging."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TextIO

from eventlog_handlers.process.own_traffic import at_work
from eventlog_handlers.text.fit import one_line


class SelfLog:
    """One plain line on stderr per change of state; never one per event, never an exception.

    *stream* is asked for the stream each time, because programs replace ``sys.stderr`` and daemons close it.
    Some programs replace it by one that logs each line. Such a record is refused as our own traffic, or each
    failed request would breed an event, and that one a line on stderr.
    """

    def __init__(self, name: str, stream: Callable[[], TextIO | None] = lambda: sys.stderr) -> None:
        self._name = name
        self._stream = stream
        self._said: set[str] = set()

    def say(self, text: str) -> None:
        """Write one line."""
        try:
            stream = self._stream()
            if stream is not None:
                with at_work():
                    _write(stream, f"eventlog_handlers: {self._name}: {one_line(text)}\n")
        except Exception:
            # There is no place left to report to; the counters in stats() still hold what happened.
            return

    def say_once(self, key: str, text: str) -> None:
        """Write one line the first time *key* comes up; ``forget`` lets it come up again."""
        if key not in self._said:
            self._said.add(key)
            self.say(text)

    def forget(self, key: str) -> bool:
        """Let *key* be said again; True if it had been said."""
        if key in self._said:
            self._said.discard(key)
            return True
        return False


def _write(stream: TextIO, line: str) -> None:
    """Write *line* and flush; by file descriptor where *stream* is the interpreter's own.

    A child that was forked while another thread wrote to that stream finds its lock taken for ever
    (python/cpython#84579; seen with CPython 3.14 and 3.15).
    """
    if stream is sys.__stderr__ and hasattr(os, "fork"):
        os.write(stream.fileno(), line.encode(stream.encoding, "backslashreplace"))
    else:
        stream.write(line)
        stream.flush()
