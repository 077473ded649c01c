"""One finding of a check: a topic, a level, a sentence and the remedy. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """One line of ``eventlog-handlers check``."""

    level: Literal["ok", "warning", "problem"]
    topic: str
    """The checked thing: ``credentials``, ``TLS``, ``logger shop`` …"""
    text: str
    """A sentence, without secrets."""
    remedy: str = ""
    """The remedy; "" where all is well."""
