"""Django's side of ``configure()``: reads the setting EVENTLOG when Django starts, and checks it.

``configure`` checks the setting's value. This module reads it from Django's settings, and raises a refusal as
Django's own error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured

from eventlog_handlers.configuration import configure
from eventlog_handlers.django import commands
from eventlog_handlers.errors import EventlogError
from eventlog_handlers.listening import tree
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.settings.switches import is_disabled

_TWICE = "LOGGING and EVENTLOG each attach a {name} for the same destination, so it gets each record twice."
_DEPLOY_SECONDS = 5.0  # for each step that goes to the network
_ONCE = "Take the handler out of LOGGING, or set EVENTLOG = None."
_NO_DESTINATION = Warning(
    "eventlog_handlers.django is installed, but no destination is set, so it sends nothing.",
    hint="Set EVENTLOG (such as 'guance://cn1') or the environment variable EVENTLOG_DSN; "
    "EVENTLOG = None says that nothing is to be sent.",
    id="eventlog_handlers.W001",
)


class EventlogConfig(AppConfig):  # type: ignore[misc]  # Django has no annotations
    """Calls ``configure()`` with what the setting EVENTLOG holds, after Django has applied LOGGING.

    EVENTLOG is a DSN, or a dict of ``configure``'s arguments: ``dsn``, ``level``, ``logger`` and any option
    of the handler. Where it holds no DSN the environment variable EVENTLOG_DSN is taken. If that is missing
    too, nothing is attached and ``manage.py check`` warns (eventlog_handlers.W001): one settings file may
    serve places where nothing is to be sent. ``EVENTLOG = None`` switches it off, without the warning, even
    where EVENTLOG_DSN is set. A wrong value raises ImproperlyConfigured. Where LOGGING attaches a handler
    for the same destination too, a line on stderr and ``manage.py check`` (eventlog_handlers.W002) say so.

    Management commands that fail are events as well (``commands``), whichever of the two attaches the
    handler.
    """

    name = "eventlog_handlers.django"
    label = "eventlog_handlers"
    verbose_name = "Log events"

    def ready(self) -> None:
        """Attach the handler."""
        register(_check)
        register(_check_deployed, deploy=True)
        wanted = _wanted()
        if wanted is not None and _has_destination(wanted):
            try:
                configure(**wanted)
            except (EventlogError, TypeError) as error:
                raise ImproperlyConfigured(f"EVENTLOG: {error}") from error
        if any(tree.is_ours(handler) for logger in tree.loggers() for handler in logger.handlers):
            commands.report_failures()
        for name in _sent_twice():
            SelfLog("django").say(f"{_TWICE.format(name=name)} {_ONCE}")


def _wanted() -> dict[str, Any] | None:
    """``configure``'s arguments; None where EVENTLOG is None."""
    value: Any = getattr(settings, "EVENTLOG", {})
    if value is None:
        return None
    arguments = {"dsn": value} if isinstance(value, str) else value
    if not isinstance(arguments, Mapping) or not all(isinstance(name, str) for name in arguments):
        raise ImproperlyConfigured(
            "EVENTLOG takes a DSN such as 'guance://cn1', a dict such as {'dsn': 'guance://cn1', "
            f"'level': 'ERROR'}}, or None, not {type(value).__name__}"
        )
    # A blank DSN is what an unset variable leaves in a settings file: as good as none.
    return {name: arguments[name] for name in arguments if name != "dsn" or arguments[name] not in (None, "")}


def _has_destination(wanted: Mapping[str, Any]) -> bool:
    return "dsn" in wanted or bool(os.environ.get("EVENTLOG_DSN", "").strip())


def _check_deployed(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """For ``manage.py check --deploy``: what ``eventlog-handlers check --django`` looks at, network too."""
    from eventlog_handlers.diagnosis.django_project import of_settings

    kinds = {"warning": (Warning, "W003"), "problem": (Error, "E001")}
    return [
        kinds[finding.level][0](
            f"{finding.topic}: {finding.text}",
            hint=finding.remedy or None,
            id=f"eventlog_handlers.{kinds[finding.level][1]}",
        )
        for finding in of_settings(settings, timeout=_DEPLOY_SECONDS, network_too=True)
        if finding.level in kinds
    ]


def _check(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    twice = [
        Warning(_TWICE.format(name=name), hint=_ONCE, id="eventlog_handlers.W002") for name in _sent_twice()
    ]
    wanted = None if is_disabled(os.environ) else _wanted()
    return twice if wanted is None or _has_destination(wanted) else [*twice, _NO_DESTINATION]


def _sent_twice() -> list[str]:
    """Names of the handlers' classes of which a logger has two for one destination."""
    found = []
    for logger in tree.loggers():
        attached: list[Any] = []
        for handler in logger.handlers:
            attached += getattr(handler, "handlers", [handler]) if tree.is_ours(handler) else []
        destinations = [getattr(handler, "destination", None) for handler in attached]
        found += [
            type(handler).__name__
            for number, handler in enumerate(attached)
            if destinations[number] is not None and destinations[number] in destinations[:number]
        ]
    return list(dict.fromkeys(found))
