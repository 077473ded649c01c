"""One option as a row: docs, ``--help``, docstrings and types are all made from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Option(NamedTuple):
    """A row: the settings, the docs, the docstrings, the types and the command's help are made of it."""

    name: str
    type: str
    """As an annotation is written: ``docs/make_options.py`` puts it into the TypedDict."""
    default: Any
    """The value where the option isn't given; None also where the environment is asked instead."""
    check: Callable[[str, Any], Any]
    """Called with the name and the value; returns it in its proper type, or raises SettingsError."""
    meaning: str
    """Its meaning, in Markdown, without a stop at its end."""
    is_secret: bool = False
    """Whether it may not stand in a DSN."""
