"""The checks of ``check --django`` and ``manage.py check --deploy``: LOGGING, EVENTLOG, logging's tree."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from eventlog_handlers.diagnosis import destination, dict_config
from eventlog_handlers.errors import SettingsError
from eventlog_handlers.listening.hearing import attached
from eventlog_handlers.services.dsn import parse_dsn
from eventlog_handlers.services.finding import Finding
from eventlog_handlers.services.registry import SERVICES


def findings(*, timeout: float, network_too: bool) -> Iterator[Finding]:
    """Set Django up as a management command does, and look."""
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        yield Finding(
            "problem", "Django", "DJANGO_SETTINGS_MODULE is not set", "export DJANGO_SETTINGS_MODULE=…"
        )
        return
    try:
        import django
        from django.conf import settings

        django.setup()
    except Exception as error:  # the project may raise anything
        yield Finding(
            "problem", "Django", f"it can't be set up: {type(error).__name__}: {error}", "see the error"
        )
        return
    yield Finding("ok", "Django", f"{django.get_version()} with {os.environ['DJANGO_SETTINGS_MODULE']}")
    yield from of_settings(settings, timeout=timeout, network_too=network_too)


def of_settings(settings: Any, *, timeout: float, network_too: bool) -> Iterator[Finding]:
    """The same where Django is set up already."""
    config = getattr(settings, "LOGGING", None)
    eventlog = getattr(settings, "EVENTLOG", {})
    if isinstance(config, Mapping) and _names_ours(config):
        yield from dict_config.check(config)
    for scheme, options in _destinations(eventlog):
        yield from destination.check(
            SERVICES[scheme], options, os.environ, timeout=timeout, network_too=network_too
        )
    for problem in attached()["problems"]:
        yield Finding("warning", f"logger {problem['logger'] or 'root'}", problem["text"])


def _names_ours(config: Mapping[str, Any]) -> bool:
    handlers = config.get("handlers", {})
    return any("eventlog_handlers" in str(one) for one in handlers.values())


def _destinations(eventlog: object) -> list[tuple[str, dict[str, Any]]]:
    given = {"dsn": eventlog} if isinstance(eventlog, str) else eventlog
    if not isinstance(given, Mapping):
        return []
    dsn = given.get("dsn") or os.environ.get("EVENTLOG_DSN", "")
    own = {name: value for name, value in given.items() if name not in ("dsn", "level", "logger", "uncaught")}
    try:
        return [(scheme, {**options, **own}) for scheme, options in parse_dsn(dsn)] if dsn.strip() else []
    except SettingsError:
        return []  # Django itself has refused it by now
