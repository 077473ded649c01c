"""A logger with a real handler on it, and a scripted service behind that: what a log call made of itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from law import assert_law

from eventlog_handlers.events import Event
from eventlog_handlers.handler import Destination, EventHandler
from eventlog_handlers.settings.values import PipelineSettings
from eventlog_handlers.testing import ScriptedSink

_SETTINGS = {"batch_size": 50, "flush_interval": 0.0, "concurrency": 1, "scope": "process"}


class Shop:
    """``log`` is a logger of its own: pytest's handler, which keeps records, listens at the root.

    One request at a time, so that events of one severity arrive in the order of their records.
    """

    def __init__(self, **settings: Any) -> None:
        self.sink = sink = ScriptedSink(max_events=50, request_bytes=10_000_000)
        self.handler = EventHandler(
            logging.NOTSET,
            PipelineSettings(**{**_SETTINGS, **settings}),
            lambda self_log: sink,
            Destination("scripted", "", "", ""),
        )
        self.log = logging.Logger("shop.cart", 1)
        self.log.addHandler(self.handler)
        self._seen = 0

    def events(self) -> list[Event]:
        """What arrived since the last look; the law holds, nothing is dropped, and no id came twice."""
        assert self.handler.flush(60)
        stats = self.handler.stats()
        assert_law(stats)
        assert not stats["dropped"], stats
        delivered = self.sink.delivered
        assert stats["delivered"] == len(delivered) == len({event.id for event in delivered})
        new = delivered[self._seen :]
        self._seen = len(delivered)
        return new

    def event(self) -> Event:
        """The one event that arrived since the last look."""
        (event,) = self.events()
        return event


@contextmanager
def open_shop(**settings: Any) -> Iterator[Shop]:
    """*settings* are fields of PipelineSettings."""
    shop = Shop(**settings)
    try:
        yield shop
    finally:
        shop.handler.close()
