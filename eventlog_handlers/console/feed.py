"""Server-sent events: an open page gets new rows, and nothing else.

The store may change from any thread; the streams run on the server's event loop. Source: the HTML standard,
"Server-sent events" (read 2026-11-28).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from eventlog_handlers.console.json_text import json_text
from eventlog_handlers.console.views import Mark
from eventlog_handlers.process.clock import monotonic

_REST_SECONDS = 0.2
"""Between two messages at least, so that a flood of events needs few."""
_REST_FACTOR = 4.0
"""And so many times as long as the last message took to make: at most a fifth of the loop's time."""
_HEARTBEAT_SECONDS = 15.0


class Feed:
    """Wakes the open streams. ``notify`` may be called from any thread."""

    def __init__(self) -> None:
        self.closed = False
        self._lock = threading.Lock()
        self._open: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def notify(self) -> None:
        """Something has changed."""
        with self._lock:
            waiting = tuple(self._open)
        for loop, event in waiting:
            if not event.is_set():
                with suppress(RuntimeError):  # its loop has ended, and the stream with it
                    loop.call_soon_threadsafe(event.set)

    def close(self) -> None:
        """End all streams, so that a server can stop at once."""
        self.closed = True
        self.notify()

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """An event that is set at every change, for the running loop."""
        entry = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._open.add(entry)
        try:
            yield entry[1]
        finally:
            with self._lock:
                self._open.discard(entry)


async def messages(
    feed: Feed,
    seen: Mark,
    mark: Callable[[], Mark],
    news: Callable[[Mark, Mark], dict[str, Any]],
    extra: Callable[[], dict[str, Any]],
) -> AsyncIterator[str]:
    """The text of a stream that begins behind *seen*.

    *mark* gives the store's position; *news* makes a message of the rows between two marks; *extra* is sent
    with every message, and whenever it changes.
    """
    yield "retry: 1000\n\n"
    told: dict[str, Any] | None = None
    with feed.listening() as changed:
        while not feed.closed:
            changed.clear()
            began = monotonic()
            now, more = mark(), extra()
            if now != seen or more != told:
                cleared = now.generation != seen.generation
                since = now if cleared else seen  # ids of another store say nothing about this one
                message = news(since, now) | more | {"cleared": cleared}
                yield f"id: {_id_of(now)}\ndata: {json_text(message)}\n\n"
                seen, told = now, more
            await asyncio.sleep(max(_REST_SECONDS, _REST_FACTOR * (monotonic() - began)))
            if not changed.is_set():
                try:
                    await asyncio.wait_for(changed.wait(), _HEARTBEAT_SECONDS)
                except asyncio.TimeoutError:
                    yield ": still here\n\n"


def _id_of(mark: Mark) -> str:
    return ".".join(map(str, mark))


def mark_of(text: str) -> Mark | None:
    """The mark that an ``id`` of the stream stands for; None if it is none."""
    parts = text.split(".")
    if len(parts) != len(Mark._fields) or not all(
        part.isascii() and part.isdigit() and len(part) < 19 for part in parts
    ):
        return None
    return Mark._make(map(int, parts))
