"""What a log call leaves for the worker: a Capture, or of a plain record only what was taken of it.

Holds no record, frame or exception. Not here: how it is taken (capture.py), what becomes of it (render.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from eventlog_handlers.events import ExceptionText
from eventlog_handlers.process.randomness import random_bits
from eventlog_handlers.record import exceptions
from eventlog_handlers.record.fields import ARGS, MSG
from eventlog_handlers.record.simple_exceptions import Raised, link_of

Shared: TypeAlias = dict[Any, Any] | None
"""A table of several handlers: the event's id, and the events that their workers made."""

Taken: TypeAlias = tuple[int, dict[str, Any] | None, tuple[Any, ...], Raised | None, Shared]
"""Level, extras, the record's TAKEN, its exception and the handlers' table: all of a plain record. The rest
of its capture is made by ``whole`` on the worker's thread: this takes less of the caller's time, and less
memory while it waits. Level, fields and table have the places of a Capture's: first, third and last."""


class Capture(NamedTuple):
    """All values that an event is made of."""

    level: int
    id_bits: int
    fields: tuple[Any, ...]
    """The record's TAKEN, at the end perhaps without those of an exception; of these KEPT are looked at, and
    ``msg`` and ``args`` if message is None."""
    message: str | None
    """The formatted message, if it had to be formatted at once."""
    template: str
    """May be long still; cut when rendered."""
    has_arguments: bool
    extras: dict[str, Any] | None
    exception: exceptions.Link | ExceptionText | None
    stack: str
    span: tuple[str | None, str | None]
    """Trace and span id in hex."""
    defects: tuple[str, ...]
    count: int = 1  # type: ignore[assignment]  # hides tuple.count
    """How many log calls it stands for; of these the one that is shown is the last, or a late one."""
    first_time: float | None = None
    """When the first of them was, in seconds since the epoch; None where *count* is 1."""
    events: Shared = None
    """Events that several handlers' workers made of it, see sharing.py. None where there is one handler."""


Captured: TypeAlias = Capture | Taken
"""What a log call leaves for the worker. Both have the level at the first place."""

NO_SPAN = (None, None)
_ID = "id"
_new = tuple.__new__


def whole(captured: Captured) -> Capture:
    """The capture of what a log call left. For the worker's thread, or where more than taking is due."""
    if type(captured) is Capture:
        return captured
    level, extras, values, raised, events = captured  # type: ignore[misc]
    msg = values[MSG]
    return _new(
        Capture,
        (
            level, _id_of(events), values, None, msg, not not values[ARGS],  # noqa: SIM208 - no call
            extras, None if raised is None else link_of(raised), "", NO_SPAN, (), 1, None, events,
        ),
    )  # fmt: skip


def _id_of(events: Shared) -> int:
    """The event's id, the same for all handlers that share *events*."""
    if events is None:
        return random_bits()
    id_bits: int = events.setdefault(_ID, random_bits())
    return id_bits
