"""Names made from an event: ``{logger}``, ``{level}`` and their like. Pure."""

from __future__ import annotations

import string
from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter

from eventlog_handlers.events import Event

_VALUES: dict[str, Callable[[Event], str]] = {
    "logger": attrgetter("logger"),
    "level": attrgetter("level_name"),
    "status": attrgetter("status"),
    "exception": lambda event: event.exception.type.rpartition(".")[2] if event.exception else "",
    "message": attrgetter("message"),
    "service": attrgetter("service"),
    "env": lambda event: event.env or "",
    "host": attrgetter("host"),
    "function": attrgetter("code.function"),
    "module": attrgetter("code.module"),
    "": lambda event: "",  # after the last field
}
FIELDS = tuple(filter(None, _VALUES))
"""What a template may name. ``exception`` is the type's short name, "" where there is none."""


def fields_of(template: str) -> tuple[str, ...]:
    """The fields *template* names, in order; raises ValueError for what is not one of FIELDS."""
    names = []
    for _, name, specification, conversion in string.Formatter().parse(template):
        if name is None:
            continue
        if name not in FIELDS or specification or conversion:
            raise ValueError(f"{{{name}}} is not a field; the fields are {', '.join(FIELDS)}")
        names.append(name)
    return tuple(names)


def expand(template: str, event: Event) -> str:
    """Fill *template* in; a value the event lacks becomes "". Raises ValueError as ``fields_of`` does."""
    return _compiled(template)(event)


@lru_cache(maxsize=64)
def _compiled(template: str) -> Callable[[Event], str]:
    fields_of(template)  # raises
    parts = [
        (literal, _VALUES["" if name is None else name])
        for literal, name, _, _ in string.Formatter().parse(template)
    ]
    if len(parts) == 1 and not parts[0][0]:  # one field and nothing else, as the defaults are
        return parts[0][1]
    return lambda event: "".join([f"{literal}{value(event)}" for literal, value in parts])
