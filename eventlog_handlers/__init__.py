"""Logging handlers that turn log records into events of CMS, Guance and CloudWatch Events.

    from eventlog_handlers import CMSHandler, GuanceHandler, CloudWatchEventsHandler
    from eventlog_handlers import configure, flush, stats
    from eventlog_handlers import incident, resolve

The names are imported on first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from eventlog_handlers._version import __version__ as __version__

TYPE_CHECKING = False  # typing's own takes ten times as long to import as this package
if TYPE_CHECKING:
    from typing import Any

    from eventlog_handlers.base import Handler as Handler
    from eventlog_handlers.configuration import configure as configure
    from eventlog_handlers.configuration import flush as flush
    from eventlog_handlers.configuration import stats as stats
    from eventlog_handlers.context_fields import context as context
    from eventlog_handlers.incidents import incident as incident
    from eventlog_handlers.incidents import resolve as resolve
    from eventlog_handlers.listening.hearing import attached as attached
    from eventlog_handlers.metrics import health as health
    from eventlog_handlers.metrics import metrics_text as metrics_text
    from eventlog_handlers.services.cloudwatch.handler import (
        CloudWatchEventsHandler as CloudWatchEventsHandler,
    )
    from eventlog_handlers.services.cms.handler import CMSHandler as CMSHandler
    from eventlog_handlers.services.guance.handler import GuanceHandler as GuanceHandler
    from eventlog_handlers.services.relay.handler import RelayHandler as RelayHandler

_HOME = {
    "Handler": "base",
    "CMSHandler": "services.cms.handler",
    "GuanceHandler": "services.guance.handler",
    "CloudWatchEventsHandler": "services.cloudwatch.handler",
    "RelayHandler": "services.relay.handler",
    "attached": "listening.hearing",
    "configure": "configuration",
    "context": "context_fields",
    "flush": "configuration",
    "stats": "configuration",
    "incident": "incidents",
    "resolve": "incidents",
    "health": "metrics",
    "metrics_text": "metrics",
}

__all__ = [
    "CMSHandler",
    "CloudWatchEventsHandler",
    "GuanceHandler",
    "Handler",
    "RelayHandler",
    "attached",
    "configure",
    "context",
    "flush",
    "health",
    "incident",
    "metrics_text",
    "resolve",
    "stats",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    elif name.endswith("Handler"):  # of a service that was registered, or misspelt
        registry = importlib.import_module(f"{__name__}.services.registry")
        value = registry.handler_named(name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | _HOME.keys())
