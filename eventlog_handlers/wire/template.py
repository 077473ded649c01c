"""Names made from an event: ``{logger}``, ``{level}`` and their like. Pure."""

from __future__ import annotations

import string

from eventlog_handlers.events import Event

FIELDS = ("logger", "level", "status", "exception", "message", "service", "env", "host", "function", "module")
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
    """Fill *template* in; a value the event lacks becomes ""."""
    if template == "{logger}":  # the default nearly everywhere, and a tenth of the price
        return event.logger
    return template.format_map(
        {
            "logger": event.logger,
            "level": event.level_name,
            "status": event.status,
            "exception": event.exception.type.rpartition(".")[2] if event.exception else "",
            "message": event.message,
            "service": event.service,
            "env": event.env or "",
            "host": event.host,
            "function": event.code.function,
            "module": event.code.module,
        }
    )
