"""Frozen settings: made from keywords, the environment and DSNs, checked here against the services' limits.

Nothing below reads the environment by itself, opens anything or imports a client library: the caller hands
in ``environ``. Every refusal is a SettingsError of one sentence that names the option, what it takes and
what to do, and never the value of a secret.

What belongs here: each service's own options. Their names and types are in options.py, what all services
share in pipeline.py, what comes out in values.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from eventlog_handlers import checks
from eventlog_handlers.errors import SettingsError
from eventlog_handlers.secret import Secret
from eventlog_handlers.settings.options import (
    CLOUDWATCH_OPTIONS,
    CMS_OPTIONS,
    GUANCE_OPTIONS,
    CloudWatchEventsOptions,
    CMSOptions,
    CommonOptions,
    GuanceOptions,
)
from eventlog_handlers.settings.pipeline import is_dry, pipeline_settings
from eventlog_handlers.settings.values import (
    CloudWatchSettings,
    CMSSettings,
    GuanceSettings,
    PipelineSettings,
)

Default = TypeVar("Default", str, None)

CONSOLE_URL = "http://127.0.0.1:8799"
CONSOLE_ACCESS_KEY_ID = "LTAIeventlogconsole0"
CONSOLE_ACCESS_KEY_SECRET = "eventlog-console-secret"  # noqa: S105 - known to all: opens only the local stand-in
CONSOLE_AWS_ACCESS_KEY_ID = "AKIAEVENTLOGCONSOLE0"
CONSOLE_AWS_SECRET_ACCESS_KEY = "eventlog-console-secret"  # noqa: S105 - as above
CONSOLE_GUANCE_KEY = "eventlog-console-key"
CONSOLE_AWS_REGION = "us-east-1"

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

CMS_MAX_BATCH = 50
CLOUDWATCH_MAX_BATCH = 10
CLOUDWATCH_MAX_REQUEST_BYTES = (
    1_047_552  # 1 MiB - 1 KiB: an entry of exactly 1 MiB was accepted and never delivered
)


def cms(options: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[CMSSettings, PipelineSettings]:
    """Settings of a ``CMSHandler``; raises SettingsError."""
    checks.refuse_unknown("CMSHandler", options, CMS_OPTIONS)
    region = checks.word("region", options.get("region", "cn-hangzhou"))
    key_id, key_secret, token, credentials = _alibaba_credentials(options, environ)
    pipeline = pipeline_settings(options, max_batch=CMS_MAX_BATCH, pace={"requests_per_second": 10})
    return (
        CMSSettings(
            endpoint=_endpoint(
                options, "endpoint", f"https://metrics.{region}.aliyuncs.com", environ, path=False
            ),
            region=region,
            access_key_id=key_id,
            access_key_secret=key_secret,
            security_token=token,
            credentials=credentials,
            group_id=checks.group_id(options.get("group_id")),
            event_name=checks.template("event_name", options.get("event_name", "{logger}")),
            signature=checks.one_of("signature", options.get("signature", "v1"), ("v1", "v3")),
            content_format=checks.one_of(
                "content_format", options.get("content_format", "text"), ("text", "json")
            ),
            max_content_bytes=checks.integer(
                "max_content_bytes", options.get("max_content_bytes", 32_768), 1024, 400_000
            ),
            timeout=pipeline.timeout,
            proxies=checks.proxies(options.get("proxies")),
            ca_bundle=checks.optional_text("ca_bundle", options.get("ca_bundle")),
        ),
        pipeline,
    )


def _alibaba_credentials(
    options: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[Secret | None, Secret | None, Secret | None, object]:
    """Key id, key secret, token, and what is asked for them instead; all None: the sink reads *environ*."""
    key_id = checks.secret("access_key_id", options.get("access_key_id"))
    key_secret = checks.secret("access_key_secret", options.get("access_key_secret"))
    token = checks.secret("security_token", options.get("security_token"))
    credentials = checks.resolve("credentials", options.get("credentials"))
    if (key_id is None) != (key_secret is None):
        missing = "access_key_id" if key_id is None else "access_key_secret"
        raise SettingsError(
            f"{missing} is missing: give both access_key_id and access_key_secret, or neither"
        )
    if token is not None and key_id is None:
        raise SettingsError(
            "security_token belongs to a temporary key: give access_key_id and access_key_secret with it"
        )
    if credentials is not None and key_id is not None:
        raise SettingsError("credentials and access_key_id exclude each other: leave one of them off")
    if credentials is not None and not (callable(credentials) or hasattr(credentials, "get_credential")):
        raise SettingsError("credentials takes a callable or an object with get_credential()")
    if console_url(environ):
        return Secret(CONSOLE_ACCESS_KEY_ID), Secret(CONSOLE_ACCESS_KEY_SECRET), None, None
    if key_id is None and credentials is None and not is_dry(options):
        for name in ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"):
            if checks.secret(name, environ.get(name)) is None:
                raise SettingsError(
                    f"no credentials: set {name} in the environment, or give access_key_id and "
                    "access_key_secret, or credentials="
                )
    return key_id, key_secret, token, credentials


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


def cloudwatch(
    options: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[CloudWatchSettings, PipelineSettings]:
    """Settings of a ``CloudWatchEventsHandler``; raises SettingsError."""
    checks.refuse_unknown("CloudWatchEventsHandler", options, CLOUDWATCH_OPTIONS)
    session = checks.resolve("session", options.get("session"))
    client = checks.resolve("client", options.get("client"))
    if session is not None and client is not None:
        raise SettingsError("session and client exclude each other: a client already has its session")
    for name in ("region_name", "endpoint_url", "proxies", "ca_bundle"):
        if client is not None and options.get(name) is not None:
            raise SettingsError(f"{name} and client exclude each other: a client is used as it was made")
    endpoint_url = _endpoint(options, "endpoint_url", None, environ, path=True)
    region_name = checks.optional_text("region_name", options.get("region_name"))
    proxies = checks.proxies(options.get("proxies"))
    key_id = key_secret = None
    if console_url(environ):
        session = client = None
        proxies = {}  # botocore would look for the stand-in behind the proxy that the environment names
        region_name = region_name or CONSOLE_AWS_REGION
        key_id, key_secret = Secret(CONSOLE_AWS_ACCESS_KEY_ID), Secret(CONSOLE_AWS_SECRET_ACCESS_KEY)
    detail_type = options.get("detail_type")
    pipeline = pipeline_settings(options, max_batch=CLOUDWATCH_MAX_BATCH, pace={})
    return (
        CloudWatchSettings(
            region_name=region_name,
            event_bus_name=checks.optional_text("event_bus_name", options.get("event_bus_name")),
            endpoint_url=endpoint_url,
            source=checks.template("source", options.get("source", "{logger}")),
            detail_type=None if detail_type is None else checks.template("detail_type", detail_type),
            resources=checks.resources(options.get("resources", ())),
            session=session,
            client=client,
            access_key_id=key_id,
            access_key_secret=key_secret,
            max_request_bytes=checks.integer(
                "max_request_bytes",
                options.get("max_request_bytes", 262_144),
                4096,
                CLOUDWATCH_MAX_REQUEST_BYTES,
            ),
            timeout=pipeline.timeout,
            proxies=proxies,
            ca_bundle=checks.optional_text("ca_bundle", options.get("ca_bundle")),
        ),
        pipeline,
    )


def _endpoint(
    options: Mapping[str, Any], name: str, default: Default, environ: Mapping[str, str], *, path: bool
) -> str | Default:
    """Where to send; *default* is an address of ours and not checked again."""
    console = console_url(environ)
    if console:
        return checks.endpoint("EVENTLOG_CONSOLE", console, options, path=path)
    given = options.get(name)
    return default if given is None else checks.endpoint(name, given, options, path=path)


def console_url(environ: Mapping[str, str]) -> str | None:
    """The local stand-in's address if ``EVENTLOG_CONSOLE`` asks for it (1, or its URL), else None."""
    value = environ.get("EVENTLOG_CONSOLE", "").strip()
    if value.lower() in ("", "0", "false", "no", "off"):
        return None
    if value.lower() in ("1", "true", "yes", "on"):
        return CONSOLE_URL
    return value.rstrip("/")


__all__ = [
    "CLOUDWATCH_MAX_BATCH",
    "CLOUDWATCH_MAX_REQUEST_BYTES",
    "CLOUDWATCH_OPTIONS",
    "CMS_MAX_BATCH",
    "CMS_OPTIONS",
    "CONSOLE_ACCESS_KEY_ID",
    "CONSOLE_ACCESS_KEY_SECRET",
    "CONSOLE_AWS_ACCESS_KEY_ID",
    "CONSOLE_AWS_REGION",
    "CONSOLE_AWS_SECRET_ACCESS_KEY",
    "CONSOLE_GUANCE_KEY",
    "CONSOLE_URL",
    "GUANCE_OPTIONS",
    "GUANCE_SITES",
    "CMSOptions",
    "CMSSettings",
    "CloudWatchEventsOptions",
    "CloudWatchSettings",
    "CommonOptions",
    "GuanceOptions",
    "GuanceSettings",
    "PipelineSettings",
    "cloudwatch",
    "cms",
    "console_url",
    "guance",
]
