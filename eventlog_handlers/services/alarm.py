"""An alarm over a service's events, for ``eventlog-handlers rules``: the values in and out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class AlarmRequest(NamedTuple):
    """The alarm that the user asks for."""

    name: str
    """Of the alarm; lower-case letters, digits and hyphens."""
    statuses: tuple[str, ...] = ("critical", "error")
    """Of the events that count."""
    logger_prefix: str | None = None
    """Only events of loggers whose name begins so."""
    event_names: tuple[str, ...] = ()
    """Only events of these names, where the service matches names alone."""
    threshold: int = 1
    """How many events within *period_seconds* make an alarm."""
    period_seconds: int = 60
    notify: tuple[str, ...] = ()
    """Contact groups, addresses or policies, as the service calls them."""


class Piece(NamedTuple):
    """One text to paste."""

    form: str
    """Its tool: ``cli``, ``terraform``, ``cloudformation``, ``json``, ``sender-policy`` …"""
    title: str
    language: str
    text: str


def told_apart(pieces: Sequence[Piece], form: str | None) -> list[Piece]:
    """Those of *form*, or all where it is None."""
    return [piece for piece in pieces if form in (None, piece.form)]
