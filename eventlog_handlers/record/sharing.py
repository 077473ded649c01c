"""One rendering and one redaction for all handlers that one log call goes to.

They share the record's capture (``pipeline.entrance``). It has a table in which the first worker that renders
it leaves the event; the workers of the other handlers find it there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from eventlog_handlers.events import Event
from eventlog_handlers.record.captured import Capture
from eventlog_handlers.record.sender import Identity


class Rendering:
    """The settings for rendering. Handlers whose events would be equal have the same object.

    It is a key in the table of a capture.
    """

    __slots__ = ("__weakref__",)


_renderings: WeakValueDictionary[tuple[Any, ...], Rendering] = WeakValueDictionary()


def rendering(
    sender: Identity, level_map: Mapping[int, str] | None, redact: tuple[str, ...] | None
) -> Rendering:
    """The Rendering of all that an event depends on besides its capture."""
    what = (
        sender.service, sender.env, sender.host, tuple(sender.tags.items()),
        None if level_map is None else tuple(level_map.items()), redact,
    )  # fmt: skip
    return _renderings.setdefault(what, Rendering())


def rendered(captured: Capture, how: Rendering) -> Event | None:
    """The event that another handler's worker made of *captured*; None if there is none yet."""
    left = None if captured.events is None else captured.events.get(how)
    # A summary of repeats is made from a capture and has its table, but not its id.
    return left[1] if left is not None and left[0] == captured.id_bits else None


def leave_rendered(captured: Capture, how: Rendering, event: Event) -> None:
    """Leave *event*, made of *captured*, for the other handlers' workers."""
    if captured.events is not None:
        captured.events[how] = captured.id_bits, event
