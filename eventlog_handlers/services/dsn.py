"""Destinations written as one line: ``cms://cn-hangzhou?group_id=7 guance://cn1``. Pure.

Only the form is known here; the values are checked where the handler's settings are made.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.services.cloudwatch.options import CLOUDWATCH_OPTIONS
from eventlog_handlers.services.cms.options import CMS_OPTIONS
from eventlog_handlers.services.guance.options import GUANCE_OPTIONS
from eventlog_handlers.settings import checks

_SCHEMES: Mapping[str, tuple[str, frozenset[str]]] = {
    # scheme: (the option its host part stands for, its options)
    "cms": ("region", CMS_OPTIONS),
    "guance": ("site", GUANCE_OPTIONS),
    "cloudwatch": ("event_bus_name", CLOUDWATCH_OPTIONS),
}
_NEVER_IN_A_DSN = {
    "access_key_id",
    "access_key_secret",
    "security_token",
    "api_key",
    "credentials",
    "session",
    "client",
}
_DSN_SHORT_NAMES = {"region": "region_name"}  # cloudwatch://default?region=… reads better


def parse_dsn(dsn: str) -> list[tuple[str, dict[str, Any]]]:
    """``cms://cn-hangzhou?group_id=7 guance://cn1`` as ``[("cms", {"region": …, "group_id": 7}), …]``.

    Values are read as JSON where they are JSON, else as text. Raises SettingsError, also where the DSN
    holds a user, a password or a secret option: DSNs end up in process lists and error trackers.
    """
    destinations = [_parse_one(part) for part in dsn.split()]
    if not destinations:
        raise SettingsError(
            "the DSN is empty: give one such as cms://cn-hangzhou or guance://cn1, or set EVENTLOG_DSN"
        )
    return destinations


def _parse_one(dsn: str) -> tuple[str, dict[str, Any]]:
    scheme, separator, _ = dsn.partition("://")
    if not separator or scheme not in _SCHEMES:
        # Of what is no DSN nothing is shown: it may be a key that went into the wrong variable.
        raise SettingsError(
            "a DSN begins with cms://, guance:// or cloudwatch://, such as guance://cn1"
            f"{checks.meant(scheme, _SCHEMES)}"
        )
    host_option, known = _SCHEMES[scheme]
    try:
        parts = urllib.parse.urlsplit(dsn)
    except ValueError:
        raise SettingsError(f"the {scheme}:// DSN is no URL: give one such as guance://cn1") from None
    if "@" in parts.netloc or ":" in parts.netloc:
        raise SettingsError(
            f"a {scheme}:// DSN holds neither credentials nor a port: what follows {scheme}:// is "
            f"{host_option}; credentials stand in the environment"
        )
    if parts.path not in ("", "/") or parts.fragment:
        raise SettingsError(f"a {scheme}:// DSN has no path: options follow a '?', joined by '&'")
    options: dict[str, Any] = {host_option: parts.netloc} if parts.netloc else {}
    for name, text in urllib.parse.parse_qsl(parts.query, keep_blank_values=True):
        if scheme == "cloudwatch":
            name = _DSN_SHORT_NAMES.get(name, name)
        if name in _NEVER_IN_A_DSN:
            raise SettingsError(f"{name} can't stand in a DSN: put credentials into the environment")
        if name in options and name in known:
            raise SettingsError(f"the {scheme}:// DSN gives {name} twice: leave one of them off")
        options[name] = _value(text)
    for name in options:
        # A name that resembles none is not shown: it may be a key that lost its own name.
        if name not in known and not checks.meant(name, known):
            raise SettingsError(f"the {scheme}:// DSN names an option that {scheme}:// does not have")
    checks.refuse_unknown(f"{scheme}://", options, known)
    if _has_user(options.get("proxies")):
        raise SettingsError(
            "proxies holds a user or a password, which can't stand in a DSN: put the proxy into HTTPS_PROXY"
        )
    return scheme, options


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _has_user(proxies: object) -> bool:
    return isinstance(proxies, Mapping) and any("@" in str(url) for url in proxies.values())
