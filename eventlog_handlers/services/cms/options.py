"""CMSHandler's options: names, types, checks, and the settings made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.settings import checks
from eventlog_handlers.settings.checks import _endpoint
from eventlog_handlers.settings.local_console import (
    CONSOLE_ACCESS_KEY_ID,
    CONSOLE_ACCESS_KEY_SECRET,
    console_url,
)
from eventlog_handlers.settings.options import CommonOptions
from eventlog_handlers.settings.pipeline import is_dry, pipeline_settings
from eventlog_handlers.settings.secret import Secret
from eventlog_handlers.settings.values import Frozen, PipelineSettings

CMS_MAX_BATCH = 50


def cms(options: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[CMSSettings, PipelineSettings]:
    """Settings of a ``CMSHandler``; raises SettingsError."""
    checks.refuse_unknown("CMSHandler", options, CMS_OPTIONS)
    region = checks.word("region", options.get("region", "cn-hangzhou"))
    key_id, key_secret, token, credentials = _alibaba_credentials(options, environ)
    pipeline = pipeline_settings(options, max_batch=CMS_MAX_BATCH, pace={"requests_per_second": 10})
    return (
        CMSSettings(
            endpoint=_endpoint(options, "endpoint", _address(region, options), environ, path=False),
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


def _address(region: str, options: Mapping[str, Any]) -> str:
    """The region's endpoint, as the option ``network`` asks for it.

    Source: the product metadata of CMS and its SDKs (``metrics-vpc``), read 2026-11-20; an older help page
    names ``cms-vpc``.
    """
    network = checks.one_of("network", options.get("network", "public"), ("public", "vpc"))
    if network == "vpc" and options.get("endpoint") is not None:
        raise SettingsError(
            "network and endpoint exclude each other: an endpoint says where to send by itself"
        )
    return f"https://metrics{'-vpc' if network == 'vpc' else ''}.{region}.aliyuncs.com"


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


class CMSSettings(Frozen):
    """Where and as whom ``PutCustomEvent`` is called."""

    endpoint: str
    region: str = "cn-hangzhou"
    access_key_id: Secret | None = None
    access_key_secret: Secret | None = None
    security_token: Secret | None = None
    credentials: object | None = None
    group_id: str | None = None
    event_name: str = "{logger}"
    signature: Literal["v1", "v3"] = "v1"
    content_format: Literal["text", "json"] = "text"
    max_content_bytes: int = 32_768
    timeout: tuple[float, float] = (3.0, 10.0)
    proxies: Mapping[str, str] | None = None
    ca_bundle: str | None = None


class CMSOptions(CommonOptions, total=False):
    """``CMSHandler``'s own options."""

    region: str
    network: Literal["public", "vpc"]
    endpoint: str | None
    access_key_id: str | None
    access_key_secret: str | None
    security_token: str | None
    credentials: object
    group_id: str | int | None
    event_name: str
    signature: Literal["v1", "v3"]
    content_format: Literal["text", "json"]
    max_content_bytes: int


CMS_OPTIONS = frozenset(CMSOptions.__annotations__)
