"""GuanceHandler's options: names, types, checks, and the settings made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.settings import checks
from eventlog_handlers.settings.checks import _endpoint
from eventlog_handlers.settings.local_console import CONSOLE_GUANCE_KEY, console_url
from eventlog_handlers.settings.options import CommonOptions
from eventlog_handlers.settings.pipeline import is_dry, pipeline_settings
from eventlog_handlers.settings.secret import Secret
from eventlog_handlers.settings.values import Frozen, PipelineSettings

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


def guance(options: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[GuanceSettings, PipelineSettings]:
    """Settings of a ``GuanceHandler``; raises SettingsError."""
    checks.refuse_unknown("GuanceHandler", options, GUANCE_OPTIONS)
    site = options.get("site", "cn1")
    if not isinstance(site, str) or site not in GUANCE_SITES:
        # The value isn't shown: in a DSN the key is easily put in its place.
        raise SettingsError(
            f"site is not known{checks.meant(str(site), GUANCE_SITES)}: it takes one of "
            f"{', '.join(GUANCE_SITES)}; for another host give endpoint="
        )
    api_key = checks.secret("api_key", options.get("api_key"))
    if console_url(environ):
        api_key = Secret(CONSOLE_GUANCE_KEY)
    elif (
        api_key is None
        and not is_dry(options)
        and checks.secret("DF_API_KEY", environ.get("DF_API_KEY")) is None
    ):
        raise SettingsError("no credentials: set DF_API_KEY in the environment, or give api_key")
    pipeline = pipeline_settings(
        options, max_batch=1, pace={"requests_per_minute": 20}, aggregate_seconds=60.0
    )
    return (
        GuanceSettings(
            endpoint=_endpoint(options, "endpoint", GUANCE_SITES[site], environ, path=True),
            api_key=api_key,
            origin=checks.template("origin", options.get("origin", "{logger}")),
            title=checks.template("title", options.get("title", "{message}")),
            max_message_bytes=checks.integer(
                "max_message_bytes", options.get("max_message_bytes", 32_768), 1024, 900_000
            ),
            timeout=pipeline.timeout,
            proxies=checks.proxies(options.get("proxies")),
            ca_bundle=checks.optional_text("ca_bundle", options.get("ca_bundle")),
        ),
        pipeline,
    )


class GuanceSettings(Frozen):
    """Where and as whom ``events/create`` is called."""

    endpoint: str
    api_key: Secret | None = None
    origin: str = "{logger}"
    title: str = "{message}"
    max_message_bytes: int = 32_768
    timeout: tuple[float, float] = (3.0, 10.0)
    proxies: Mapping[str, str] | None = None
    ca_bundle: str | None = None


class GuanceOptions(CommonOptions, total=False):
    """``GuanceHandler``'s own options."""

    site: str
    endpoint: str | None
    api_key: str | None
    origin: str
    title: str
    max_message_bytes: int


GUANCE_OPTIONS = frozenset(GuanceOptions.__annotations__)
