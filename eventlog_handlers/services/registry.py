"""One row per service. Every module that lists services asks here; no other module names them all.

A row names modules by text: only those of a service in use are imported. By convention the package *home* has

    options   OPTIONS (rows of ``settings.option.Option``), DEFAULTS (of the options that every handler has,
              those that differ), ``settings(options, environ)`` -> its own settings and PipelineSettings;
              if it likes INSTEAD (what to use for names of other services) and HOSTS (for the types)
    handler   the handler's class, an EventHandler
    cost      COST (a ``services.cost.Cost``), for ``eventlog-handlers estimate``
    account   PROOF, ``origin``, ``endpoint``, ``ask`` and ``more``, for ``eventlog-handlers check``
    probe     ``findings(own, timeout)``, for ``check`` where there is no account to ask
    alarm     FORMS and ``alarm(asked, own, service=None)`` -> ``services.alarm.Piece``s, for ``rules``
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from eventlog_handlers.handler import EventHandler
    from eventlog_handlers.services.cost import Cost
    from eventlog_handlers.settings.option import Option


class Service(NamedTuple):
    """One service, as the rest of the package knows it."""

    scheme: str
    """Of its DSNs, and its name everywhere else: ``cms``."""
    title: str
    """As people call it."""
    host_option: str
    """The option that what follows ``://`` stands for."""
    home: str
    """The package that holds it."""
    handler: str
    """The name of its class in ``<home>.handler``."""
    stand_in: str | None = None
    """Module of the console's stand-in (``console.exchange.Service``); None: it has none."""
    has_cost: bool = False
    """Whether ``<home>.cost`` is there."""
    has_account: bool = False
    """Whether ``<home>.account`` is there."""
    has_alarm: bool = False
    """Whether ``<home>.alarm`` is there."""
    has_probe: bool = False
    """Whether ``<home>.probe`` is there."""
    aliases: tuple[str, ...] = ()
    """Other schemes that mean the same."""
    short_names: Mapping[str, str] = {}
    """Names that options may have in a DSN besides their own."""
    urls: Mapping[str, str] = {}
    """By scheme of a DSN: the scheme of the URL that *host_option* gets, with port and path. Empty: what
    follows ``://`` is a name."""

    def handler_class(self) -> type[EventHandler]:
        """The handler; imports it."""
        found: type[EventHandler] = getattr(self._module("handler"), self.handler)
        return found

    def options(self) -> tuple[Option, ...]:
        """The rows of its own options."""
        found: tuple[Option, ...] = self._module("options").OPTIONS
        return found

    def defaults(self) -> Mapping[str, Any]:
        """Of the options that every handler has, those whose default differs."""
        found: Mapping[str, Any] = self._module("options").DEFAULTS
        return found

    def instead(self) -> Mapping[str, str]:
        """The options to use instead of names that it doesn't have."""
        return getattr(self._module("options"), "INSTEAD", {})

    def settings(self, options: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[Any, Any]:
        """Its own settings and the pipeline's; raises SettingsError."""
        found: tuple[Any, Any] = self._module("options").settings(options, environ)
        return found

    def cost(self) -> Cost:
        """The cost of its calls; only where ``has_cost``."""
        found: Cost = self._module("cost").COST
        return found

    def account(self) -> Any:
        """The module that ``check`` asks; only where ``has_account``."""
        return self._module("account")

    def alarm(self) -> Any:
        """The module with ``FORMS`` and ``alarm``; only where ``has_alarm``."""
        return self._module("alarm")

    def probe(self) -> Any:
        """The module with ``findings``; only where ``has_probe``."""
        return self._module("probe")

    def stand_in_module(self) -> Any:
        """The stand-in's module; only where there is one."""
        return importlib.import_module(str(self.stand_in))

    def _module(self, name: str) -> Any:
        return importlib.import_module(f"{self.home}.{name}")


SERVICES: dict[str, Service] = {}
"""By scheme, in the order in which they are shown."""


def register(service: Service) -> None:
    """Add *service*, or put it in the place of one with its scheme."""
    SERVICES[service.scheme] = service


def find(scheme: str) -> Service | None:
    """The service of *scheme*, which may be an alias; None where there is none."""
    if scheme in SERVICES:
        return SERVICES[scheme]
    return next((service for service in SERVICES.values() if scheme in service.aliases), None)


def handler_named(name: str) -> type[EventHandler]:
    """The handler's class of that name. AttributeError says which one was meant, if *name* resembles one."""
    for service in SERVICES.values():
        if service.handler == name:
            return service.handler_class()
    from eventlog_handlers.settings.checks import meant

    near = meant(name, [service.handler for service in SERVICES.values()])
    raise AttributeError(f"eventlog_handlers has no handler {name!r}{near}")


for _row in (
    Service(
        "cms",
        "CMS",
        host_option="region",
        home="eventlog_handlers.services.cms",
        handler="CMSHandler",
        stand_in="eventlog_handlers.console.cms",
        has_cost=True,
        has_account=True,
        has_alarm=True,
    ),
    Service(
        "guance",
        "Guance",
        host_option="site",
        home="eventlog_handlers.services.guance",
        handler="GuanceHandler",
        stand_in="eventlog_handlers.console.guance",
        has_cost=True,
        has_account=True,
        has_alarm=True,
    ),
    Service(
        "cloudwatch",
        "CloudWatch Events",
        host_option="event_bus_name",
        home="eventlog_handlers.services.cloudwatch",
        handler="CloudWatchEventsHandler",
        stand_in="eventlog_handlers.console.cloudwatch",
        has_cost=True,
        has_account=True,
        has_alarm=True,
        aliases=("eventbridge",),
        short_names={"region": "region_name"},
    ),
    Service(
        "relay",
        "Relay",
        host_option="url",
        home="eventlog_handlers.services.relay",
        handler="RelayHandler",
        has_probe=True,
        aliases=("relay+redis", "relay+rediss"),
        urls={"relay": "redis", "relay+redis": "redis", "relay+rediss": "rediss"},
    ),
):
    register(_row)
