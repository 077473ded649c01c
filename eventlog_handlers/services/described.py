"""Writes an option's row as text: for the docs and for ``eventlog-handlers options``. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from eventlog_handlers.services.registry import Service
from eventlog_handlers.settings.option import Option


def literal(value: Any) -> str:
    """*value* as it is written in Python, and as the docs write it."""
    if isinstance(value, str):
        return json.dumps(value)
    return f"{value:_}" if type(value) is int and value >= 10_000 else repr(value)


def default_of(option: Option, services: Iterable[Service]) -> str:
    """The default, in Markdown, with those of *services* that have another one."""
    usual = f"`{literal(option.default)}`"
    others = [
        f"{service.title} `{literal(service.defaults()[option.name])}`"
        for service in services
        if option.name in service.defaults()
    ]
    return f"{', '.join(others)}, else {usual}" if others else usual


def plain(markdown: str) -> str:
    """*markdown* of a row as plain text."""
    return markdown.replace("`", "")
