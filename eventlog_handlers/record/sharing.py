"""One capture, one rendering and one redaction for all handlers that one log call goes to.

logging hands one record to each handler in turn, within one log call. The first handler of ours captures it
and leaves the capture in a slot; the next one finds it there. The capture has a table in which the first
worker that renders it leaves the event; the workers of the other handlers find it there.

The slot is one tuple for the whole process, replaced as a whole: a signal handler, another thread or a fork
that comes between two handlers costs a second capture and nothing else. The slot keeps no record, argument or
exception alive: of those it holds addresses. An address alone would be given again to the next record, so the
slot also holds the record's ``relativeCreated``: a number that logging makes anew for each record, with a
frozen clock too, and that has an address of its own as long as the slot holds it.

A record that was changed between two handlers is captured again: a field more or fewer, another message,
other arguments, another exception. A handler with filters of its own always captures for itself.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from eventlog_handlers.events import Event
from eventlog_handlers.record.capture import Capture
from eventlog_handlers.record.plain import EXIT_EXCEPTIONS
from eventlog_handlers.record.sender import Identity

is_used = False
"""Whether there is more than one handler in this process. With one, nothing is left in the slot."""

_Slot = tuple[int, object, int, int, int, int, int, "Capture | None"]
_slot: _Slot = (0, None, 0, 0, 0, 0, 0, None)


def found(record: logging.LogRecord, formatter: logging.Formatter | None, handler: int) -> Capture | None:
    """The capture that another handler made of this very record with this *formatter*; None if there is none.

    *handler* is the number of the one that asks: a handler that is given a record twice makes two events of
    it. For the thread that logs. Raises only EXIT_EXCEPTIONS.
    """
    slot = _slot
    if slot[0] != id(record):
        return None
    try:
        fields = record.__dict__
        if (
            fields["relativeCreated"] is slot[1]
            and len(fields) == slot[2]
            and id(fields["msg"]) == slot[3]
            and id(fields["args"]) == slot[4]
            and id(fields["exc_info"]) == slot[5]
            and id(formatter) == slot[6]
        ):
            captured = slot[7]
            if captured is not None and captured.events is not None and handler not in captured.events:
                captured.events[handler] = None
                return captured
    except EXIT_EXCEPTIONS:
        raise
    except BaseException:  # a misshapen record
        return None
    return None


def leave(record: logging.LogRecord, formatter: logging.Formatter | None, captured: Capture) -> None:
    """Leave *captured*, made of *record*, for the next handler. Raises only EXIT_EXCEPTIONS.

    Its table has the number of the handler that made it.
    """
    global _slot
    try:
        fields = record.__dict__
        made = fields["relativeCreated"]
        if type(made) is float:
            _slot = (
                id(record), made, len(fields), id(fields["msg"]), id(fields["args"]), id(fields["exc_info"]),
                id(formatter), captured,
            )  # fmt: skip
    except EXIT_EXCEPTIONS:
        raise
    except BaseException:  # a misshapen record: each handler captures it
        return


class Rendering:
    """How a handler renders. Handlers whose events would be equal have the same object.

    It is a key in the table of a capture.
    """

    __slots__ = ("__weakref__",)


_renderings: WeakValueDictionary[tuple[Any, ...], Rendering] = WeakValueDictionary()


def rendering(
    who: Identity, level_map: Mapping[int, str] | None, redact: tuple[str, ...] | None
) -> Rendering:
    """The Rendering of all that an event depends on besides its capture."""
    what = (
        who.service, who.env, who.host, tuple(who.tags.items()),
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
