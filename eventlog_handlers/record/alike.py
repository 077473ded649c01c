"""Events of one log call are alike: what they have in common is rendered and redacted once.

A log call with arguments and nothing else makes events that differ in id, time, message and span. All their
other fields follow from what is compared here: level, template, place and thread. Any other capture is
rendered in full, and so is the first of a kind.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from eventlog_handlers.events import Event, split
from eventlog_handlers.record.captured import Capture
from eventlog_handlers.record.fields import ARGS, CREATED, KEPT, MSG, TAKEN
from eventlog_handlers.record.message import late_message
from eventlog_handlers.record.render import LATEST_TIME, message_text, uuid4

_MOST = 2_048  # kinds that are remembered
_LONGEST_TEMPLATE = 600  # characters

_NOTHING_ELSE = {
    "message": None,
    "has_arguments": True,
    "extras": None,
    "exception": None,
    "stack": "",
    "defects": (),
    "count": 1,
}
"""The fields of a Capture that has arguments and nothing else."""
_else_of = itemgetter(*map(Capture._fields.index, _NOTHING_ELSE))
_VALUES = tuple(_NOTHING_ELSE.values())

_COMPARED = ("msg", *(name for name in KEPT if name != "created"))
_compared: Callable[[tuple[Any, ...]], tuple[Any, ...]] = itemgetter(*map(TAKEN.index, _COMPARED))
_NUMBERS = frozenset({"lineno", "thread", "process"})
_TYPES = tuple(int if name in _NUMBERS else str for name in _COMPARED)

# Attributes and tags are the same, but a hook may change them: each event has its own.
_common_of, _in_order = split("id", "time", "message", "attributes", "tags", "trace_id", "span_id")
_new = tuple.__new__


class Alike:
    """What events have in common, by kind of log call. *redacted* takes secrets out of a message."""

    def __init__(self, redacted: Callable[[str], str]) -> None:
        self._redacted = redacted
        self._known: dict[tuple[Any, ...], tuple[tuple[Any, ...], dict[str, str]]] = {}

    def event_of(self, captured: Capture) -> Event | None:
        """The event of *captured*, as ``render`` and ``redact`` make it; None where its kind is not known."""
        kind = _kind_of(captured)
        known = None if kind is None else self._known.get(kind)
        if known is None:
            return None
        common, tags = known
        fields = captured.fields
        created = fields[CREATED]
        defects: list[str] = []
        if type(created) is not float or not 0 <= created <= LATEST_TIME:
            return None
        try:
            message = message_text(late_message(fields[MSG], fields[ARGS], defects))
        except Exception:
            return None
        if defects:
            return None
        apart = uuid4(captured.id_bits), created, self._redacted(message)
        return _new(Event, _in_order((*apart, {}, dict(tags), *captured.span, *common)))

    def remember(self, captured: Capture, event: Event) -> None:
        """*event* was made of *captured*."""
        kind = _kind_of(captured)
        if kind is None or event.defects:
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[kind] = _common_of(event), dict(event.tags)


def _kind_of(captured: Capture) -> tuple[Any, ...] | None:
    """What the captures of one log call have in common; None if *captured* has more than arguments."""
    if _else_of(captured) != _VALUES:
        return None
    compared = _compared(captured.fields)
    template = captured.template
    if compared[0] is not template or tuple(map(type, compared)) != _TYPES or type(captured.level) is not int:
        return None
    return (captured.level, compared) if len(template) <= _LONGEST_TEMPLATE else None
