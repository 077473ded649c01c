"""GuanceHandler's options, one row each, and the settings made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.settings import checks, places
from eventlog_handlers.settings.local_console import CONSOLE_GUANCE_KEY, console_url
from eventlog_handlers.settings.option import Option
from eventlog_handlers.settings.pipeline import pipeline_settings
from eventlog_handlers.settings.secret import Secret
from eventlog_handlers.settings.switches import WITHOUT_CREDENTIALS
from eventlog_handlers.settings.table import Table
from eventlog_handlers.settings.values import Frozen, PipelineSettings

MAX_BATCH = 1

GUANCE_SITES: Mapping[str, str] = {
    # docs.guance.com/en/open-api and docs.truewatch.com/open-api, read 2026-11-20. The mixture of .com and
    # .one is theirs: the hosts follow no pattern.
    "cn1": "https://openapi.guance.com",
    "cn2": "https://aws-openapi.guance.com",
    "cn3": "https://cn3-openapi.guance.com",
    "cn4": "https://cn4-openapi.guance.com",
    "cn5": "https://cn5-openapi.guance.com",
    "cn6": "https://cn6-openapi.guance.one",
    "us1": "https://us1-openapi.guance.com",
    "eu1": "https://eu1-openapi.guance.one",
    "ap1": "https://ap1-openapi.guance.one",
    "za1": "https://za1-openapi.guance.com",
    "id1": "https://id1-openapi.guance.com",
    "me1": "https://me1-openapi.guance.com",
    "truewatch-us1": "https://us1-openapi.truewatch.com",
    "truewatch-eu1": "https://eu1-openapi.truewatch.com",
    "truewatch-ap1": "https://ap1-openapi.truewatch.com",
    "truewatch-za1": "https://za1-openapi.truewatch.com",
    "truewatch-id1": "https://id1-openapi.truewatch.com",
}


HOSTS = tuple(GUANCE_SITES)
"""Hosts that may follow ``guance://``, as far as they can be listed."""


def _site(name: str, value: object) -> str:
    if isinstance(value, str) and value in GUANCE_SITES:
        return value
    # The value isn't shown: in a DSN the key is easily put in its place.
    text = value.strip().lower() if isinstance(value, str) else ""
    host = text.partition("://")[2] or text
    of_host = {url.partition("://")[2]: site for site, url in GUANCE_SITES.items()}
    site = of_host.get(host.partition("/")[0])
    if site is not None:
        raise SettingsError(f"{name} takes a name and no address: that address is the one of {name}={site!r}")
    raise SettingsError(
        f"{name} is not known{checks.meant(text, GUANCE_SITES)}: it takes one of {', '.join(GUANCE_SITES)}; "
        "for another host give endpoint="
    )


OPTIONS = (
    Option("site", "str", "cn1", _site, ", ".join(f"`{site}`" for site in GUANCE_SITES)),
    Option(
        "endpoint", "str | None", None, checks.unchecked,
        "another one, such as that of a private deployment; may have a path",
    ),
    Option(
        "api_key", "str | None", None, checks.secret, "else `DF_API_KEY`, read at every call", is_secret=True
    ),
    Option("origin", "str", "{logger}", checks.template, "template of the event's source"),
    Option(
        "title", "str", "{message}", checks.template,
        "template of the title: one line of at most 256 characters",
    ),
    Option(
        "max_message_bytes", "int", 32_768, checks.whole(1024, 900_000),
        "bytes of the message; a longer one is cut with a mark",
    ),
)  # fmt: skip
DEFAULTS: Mapping[str, Any] = {"requests_per_minute": 20, "aggregate_seconds": 60.0}
"""Of the options of every handler, those with another default here."""
INSTEAD: Mapping[str, str] = {
    "region": "site, such as 'cn1'",
    "region_name": "site, such as 'cn1'",
    "endpoint_url": "endpoint",
    "access_key_id": "api_key",
}
"""The options to use instead of those of another service."""
TABLE = Table("GuanceHandler", OPTIONS, DEFAULTS, INSTEAD)


class GuanceSettings(Frozen):
    """Endpoint and key for ``events/create``."""

    rows = TABLE.rows

    endpoint: str
    api_key: Secret | None
    origin: str
    title: str
    max_message_bytes: int
    timeout: tuple[float, float]
    proxies: Mapping[str, str] | None
    ca_bundle: str | None


def settings(
    options: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[GuanceSettings, PipelineSettings]:
    """Settings of a ``GuanceHandler``; raises SettingsError."""
    made = TABLE.values(options)
    pipeline = pipeline_settings(made, options, environ, max_batch=MAX_BATCH)
    if console_url(environ):
        made["api_key"] = Secret(CONSOLE_GUANCE_KEY)
    elif made["api_key"] is None and pipeline.needs_credentials:
        _check_environment(environ)
    made["endpoint"] = places.destination(
        "endpoint",
        made["endpoint"],
        GUANCE_SITES[made["site"]],
        environ,
        allow_insecure=made["allow_insecure"],
        path=True,
    )
    return GuanceSettings(**{name: made[name] for name in GuanceSettings.__annotations__}), pipeline


def _check_environment(environ: Mapping[str, str]) -> None:
    if checks.secret("DF_API_KEY", environ.get("DF_API_KEY")) is None:
        raise SettingsError(
            f"no credentials: set DF_API_KEY in the environment, or give api_key; {WITHOUT_CREDENTIALS}"
        )
