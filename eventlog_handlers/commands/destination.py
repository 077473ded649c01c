"""Makes the handler of one command from a DSN. At the end the outcome of each event is known."""

from __future__ import annotations

from typing import Any

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.handler import EventHandler
from eventlog_handlers.services.dsn import parse_dsn
from eventlog_handlers.services.registry import SERVICES


def handler_of(dsn: str, **options: Any) -> EventHandler:
    """The handler of the one destination that *dsn* names; *options* win over those in the DSN.

    Raises SettingsError, also for several destinations.
    """
    named = parse_dsn(dsn)
    if len(named) != 1:
        raise SettingsError("give one DSN: this command sends to one destination at a time")
    ((scheme, own),) = named
    return SERVICES[scheme].handler_class()(**{**own, **options})
