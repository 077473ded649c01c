"""One capture, one rendering and one redaction for all handlers that one log call goes to.

logging hands one record to each handler in turn, within one log call. The first handler of ours captures it
and leaves the capture in a slot; the next one finds it there. The capture has a table in which the first
worker that renders it leaves the event; the workers of the other handlers find it there.

The slot is one tuple for the whole process, replaced as a whole: a signal handler, another thread or a fork
that comes between two handlers costs a second capture and nothing else. The slot keeps no record alive, and
of the record's arguments and exception only what the capture holds anyway: of all else it has the address.
Addresses are given again when an object has died; but ``relativeCreated`` tells records apart. logging makes
a new number of it for each record, with a frozen clock too, and the slot holds that number.

A record that was changed between two handlers is captured again: a field more or fewer, another message,
other arguments, another exception. A handler with filters of its own captures for itself alone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from eventlog_handlers.events import Event
from eventlog_handlers.record.captured import Capture, Captured
from eventlog_handlers.record.fields import ARGS, EXC_INFO, MSG
from eventlog_handlers.record.plain import EXIT_EXCEPTIONS
from eventlog_handlers.record.sender import Identity

is_used = False
"""Whether there is more than one handler in this process. With one, nothing is left in the slot."""

_slot: tuple[Any, Any, Any, Any, Any, int, Any] = (None, None, None, None, None, 0, None)
"""relativeCreated, message, arguments, exception, formatter, number of fields, and the capture.

Of what may hold something alive it is the address.
"""


def found(record: logging.LogRecord, formatter: logging.Formatter | None, handler: int) -> Captured | None:
    """The capture that another handler made of this very record with this *formatter*; None if there is none.

    *handler* is the number of the one that asks: a handler that is given a record twice makes two events of
    it. For the thread that logs. Raises only EXIT_EXCEPTIONS.
    """
    try:
        last, fields = _slot, record.__dict__
        if fields["relativeCreated"] is not last[0]:
            return None
        captured: Captured = last[6]
        if (
            fields["msg"] is last[1]
            and ((args := fields["args"]) is last[2] or id(args) == last[2])
            and ((exc_info := fields["exc_info"]) is last[3] or id(exc_info) == last[3])
            and (formatter is last[4] or id(formatter) == last[4])
            and len(fields) == last[5]
            and handler not in (events := captured[-1])  # type: ignore[operator]
        ):
            events[handler] = None  # type: ignore[index]
            return captured
    except EXIT_EXCEPTIONS:
        raise
    except BaseException:  # a misshapen record
        return None
    return None


def leave(
    record: logging.LogRecord,
    formatter: logging.Formatter | None,
    captured: Captured,
    values: tuple[Any, ...] | None,
) -> None:
    """Leave *captured*, made of *record*, for the next handler. Raises only EXIT_EXCEPTIONS.

    *values* are the record's ``field_values``; None where it lacks some, and each handler captures it. The
    table of *captured* has the number of the handler that made it.
    """
    global _slot
    if values is None:
        return
    try:
        msg, args, exc_info = values[MSG], values[ARGS], values[EXC_INFO]
        fields = record.__dict__
        created = fields["relativeCreated"]
        if type(created) is float and type(msg) is str:
            _slot = (
                created,
                msg,
                args if captured[2][ARGS] is args else id(args),
                None if exc_info is None else id(exc_info),
                None if formatter is None else id(formatter),
                len(fields),
                captured,
            )
    except EXIT_EXCEPTIONS:
        raise
    except BaseException:  # a misshapen record: each handler captures it
        return


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
