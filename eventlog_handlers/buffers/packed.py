"""An event in half the memory: what the events of one problem have in common is kept once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from eventlog_handlers.buffers.queues import Position
from eventlog_handlers.buffers.severity import class_of
from eventlog_handlers.events import JSON, Event, ExceptionText, split

_MOST = 1_024  # problems, each in one thread, that are remembered

# Events of one problem and thread differ in these, and hardly ever in any other field.
_common_of, _in_order = split("id", "time", "message", "exception", "attributes")
_new = tuple.__new__

Common: TypeAlias = tuple[Any, ...]
"""All other fields of an event."""


class Packed(Position):
    """An event with its place in the queues, *attempts*, and the time when it was put."""

    __slots__ = ("_attributes", "_common", "_exception", "_id", "_message", "_time", "attempts", "put_at")

    def __init__(self, key: int, size: int, event: Event, common: Common, put_at: float) -> None:
        # Position's fields, too: to call its __init__ would take time for each event. ``nack`` sets ready_at.
        self.key = key
        self.severity = class_of(event.level)
        self.fingerprint = event.fingerprint
        self.size = size
        self.round = None
        self.attempts = 0
        self.put_at = put_at
        self._common = common
        self._id: str = event.id
        self._time: float = event.time
        self._message: str = event.message
        self._exception: ExceptionText | None = event.exception
        self._attributes: Mapping[str, JSON] | None = event.attributes or None  # an empty dict takes 64 bytes

    def event(self) -> Event:
        """The event, made anew at each call."""
        apart = (self._id, self._time, self._message, self._exception, self._attributes or {})
        return _new(Event, _in_order((*apart, *self._common)))


class Commons:
    """What events have in common, remembered by problem and thread."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], Common] = {}

    def of(self, event: Event) -> Common:
        """What *event* has in common: the last one's object of this problem and thread, if that is equal."""
        common = _common_of(event)
        kind = event.fingerprint, event.thread_id
        known = self._known.get(kind)
        if known is not None and known == common:
            return known
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[kind] = common
        return common
