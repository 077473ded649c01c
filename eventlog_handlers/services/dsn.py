"""Destinations written as one line: ``cms://cn-hangzhou?group_id=7 guance://cn1``. Pure.

Only the form is known here; the values are checked where the handler's settings are made.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.services import registry
from eventlog_handlers.settings import checks
from eventlog_handlers.settings.options import OPTIONS as COMMON_OPTIONS


def parse_dsn(dsn: str) -> list[tuple[str, dict[str, Any]]]:
    """``cms://cn-hangzhou?group_id=7 guance://cn1`` as ``[("cms", {"region": …, "group_id": 7}), …]``.

    Values are read as JSON where they are JSON, else as text. Raises SettingsError, also where the DSN
    holds a user, a password or a secret option: DSNs end up in process lists and error trackers.
    """
    _check_separators(dsn)
    destinations = [_parse_one(part) for part in dsn.split()]
    if not destinations:
        raise SettingsError(
            "the DSN is empty: give one such as cms://cn-hangzhou or guance://cn1, or set EVENTLOG_DSN"
        )
    return destinations


def _parse_one(dsn: str) -> tuple[str, dict[str, Any]]:
    written, separator, _ = dsn.partition("://")
    service = registry.find(written.lower()) if separator else None
    if service is None:
        raise _no_dsn(dsn)
    scheme = service.scheme
    rows = {row.name: row for row in (*service.options(), *COMMON_OPTIONS)}
    host_option = service.host_option
    try:
        parts = urllib.parse.urlsplit(dsn)
    except ValueError:
        raise SettingsError(f"the {scheme}:// DSN is no URL: give one such as guance://cn1") from None
    if service.urls and "@" in parts.netloc:
        raise _no_redis_user(written)
    if not service.urls and ("@" in parts.netloc or ":" in parts.netloc):
        raise SettingsError(
            f"a {scheme}:// DSN holds neither credentials nor a port: what follows {scheme}:// is "
            f"{host_option}; credentials stand in the environment"
        )
    if (parts.path not in ("", "/") and not service.urls) or parts.fragment:
        raise SettingsError(f"a {scheme}:// DSN has no path: options follow a '?', joined by '&'")
    place = parts.netloc
    if service.urls and place:
        place = f"{service.urls[written.lower()]}://{parts.netloc}{parts.path}"
    options: dict[str, Any] = {host_option: place} if place else {}
    for name, text in urllib.parse.parse_qsl(parts.query, keep_blank_values=True):
        name = service.short_names.get(name, name)
        if name in rows and rows[name].is_secret:
            raise SettingsError(f"{name} can't stand in a DSN: put credentials into the environment")
        if name in options and name in rows:
            raise SettingsError(f"the {scheme}:// DSN gives {name} twice: leave one of them off")
        options[name] = _value(text, rows[name].type if name in rows else "")
    for name in options:
        # A name that resembles none is not shown: it may be a key that lost its own name.
        if name not in rows and name not in service.instead() and not checks.meant(name, rows):
            raise SettingsError(f"the {scheme}:// DSN names an option that {scheme}:// does not have")
    checks.refuse_unknown(f"{scheme}://", options, rows, service.instead())
    if service.urls and "@" in str(options.get(host_option, "")):
        raise _no_redis_user(written)
    if _has_user(options.get("proxies")):
        raise SettingsError(
            "proxies holds a user or a password, which can't stand in a DSN: put the proxy into HTTPS_PROXY"
        )
    if "@" in str(options.get("scope", "")):
        raise SettingsError(
            "scope holds a user or a password, which can't stand in a DSN: set EVENTLOG_REDIS_USERNAME and "
            "EVENTLOG_REDIS_PASSWORD"
        )
    return service.scheme, options


def _no_redis_user(scheme: str) -> SettingsError:
    return SettingsError(
        f"a {scheme}:// DSN can't hold a user or a password: set EVENTLOG_REDIS_USERNAME and "
        "EVENTLOG_REDIS_PASSWORD"
    )


def _check_separators(dsn: str) -> None:
    schemes = [name for service in registry.SERVICES.values() for name in (service.scheme, *service.aliases)]
    closer = dsn.replace(" ", "")
    if any(f"{sign}{scheme}://" in closer for sign in ",;" for scheme in schemes):
        raise SettingsError(
            "several DSNs are separated by blanks and by nothing else: guance://cn1 cms://cn-hangzhou"
        )


def _no_dsn(dsn: str) -> SettingsError:
    """A sentence on *dsn* that quotes none of it: it may be a key in the wrong variable."""
    if dsn[:1] in ("'", '"'):
        return SettingsError("the DSN begins with a quotation mark: leave the quotation marks off")
    scheme = dsn.partition(":")[0].lower()
    if ":" in dsn and registry.find(scheme) is not None:
        return SettingsError(f"after {scheme} a DSN has a colon and two slashes: {scheme}://")
    *others, last = (f"{name}://" for name in registry.SERVICES)
    return SettingsError(
        f"a DSN begins with {', '.join(others)} or {last}, such as guance://cn1"
        f"{checks.meant(scheme, registry.SERVICES)}"
    )


def _value(text: str, kind: str) -> Any:
    """*text* as JSON where it is JSON, unless the option is a text (*kind* is its type)."""
    if kind == "str" or (kind == "str | None" and text != "null"):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _has_user(proxies: object) -> bool:
    return isinstance(proxies, Mapping) and any("@" in str(url) for url in proxies.values())
