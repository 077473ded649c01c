"""CMSHandler's options, one row each, and the settings made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.settings import checks, objects, places
from eventlog_handlers.settings.local_console import (
    CONSOLE_ACCESS_KEY_ID,
    CONSOLE_ACCESS_KEY_SECRET,
    console_url,
)
from eventlog_handlers.settings.option import Option
from eventlog_handlers.settings.pipeline import pipeline_settings
from eventlog_handlers.settings.secret import Secret
from eventlog_handlers.settings.switches import WITHOUT_CREDENTIALS
from eventlog_handlers.settings.table import Table
from eventlog_handlers.settings.values import Frozen, PipelineSettings

MAX_BATCH = 50
REGIONS = (
    # The SDK alibabacloud_cms20190101 4.0.10, ``client.py``, ``_endpoint_map``, read 2026-11-28.
    "cn-hangzhou", "cn-shanghai", "cn-beijing", "cn-shenzhen", "cn-guangzhou", "cn-qingdao", "cn-zhangjiakou",
    "cn-huhehaote", "cn-wulanchabu", "cn-heyuan", "cn-chengdu", "cn-nanjing", "cn-fuzhou", "cn-zhongwei",
    "cn-hongkong", "cn-wuhan-lr", "cn-zhengzhou-jva", "cn-hangzhou-finance", "cn-shanghai-finance-1",
    "cn-shenzhen-finance-1", "cn-beijing-finance-1", "cn-north-2-gov-1", "cn-heyuan-acdr-1",
    "cn-wulanchabu-gic-1", "ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1",
    "ap-southeast-2", "ap-southeast-3", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7",
    "ap-southeast-8", "eu-central-1", "eu-west-1", "eu-west-2", "me-central-1", "me-east-1", "na-south-1",
    "us-east-1", "us-southeast-1", "us-west-1",
)  # fmt: skip
HOSTS = REGIONS
"""Hosts that may follow ``cms://``, as far as they can be listed."""


def _region(name: str, value: object) -> str:
    region = value.strip() if isinstance(value, str) else value
    if isinstance(region, str) and region in REGIONS:
        return region
    near = checks.meant(region.lower(), REGIONS) if isinstance(region, str) else ""
    raise SettingsError(
        f"{name} takes a region of Alibaba Cloud, such as 'cn-hangzhou', not {checks.short(value)}{near}; "
        "for one that is newer than this package give endpoint='https://metrics.<region>.aliyuncs.com'"
    )


def _group_id(name: str, value: object) -> str | None:
    if value is None:
        return None
    digits = value.strip() if isinstance(value, str) else checks.short(value)
    is_number = isinstance(value, (int, str)) and not isinstance(value, bool)
    if is_number and digits.isascii() and digits.isdigit() and len(digits) <= 20:
        return digits
    shown = checks.short(value)
    raise SettingsError(f"{name} takes the digits of an application group's id, not {shown}")


def _credentials(name: str, value: object) -> object:
    credentials = objects.resolve(name, value)
    if credentials is None or callable(credentials) or hasattr(credentials, "get_credential"):
        return credentials
    raise SettingsError(f"{name} takes a callable or an object with get_credential()")


OPTIONS = (
    Option(
        "region", "str", "cn-hangzhou", _region,
        "makes the endpoint `https://metrics.<region>.aliyuncs.com`",
    ),
    Option(
        "network", 'Literal["public", "vpc"]', "public", checks.choice("public", "vpc"),
        '`"vpc"`: the region\'s address inside a VPC, `https://metrics-vpc.<region>.aliyuncs.com`',
    ),
    Option("endpoint", "str | None", None, checks.unchecked, "another endpoint: scheme, host and port"),
    Option(
        "access_key_id", "str | None", None, checks.secret,
        "else `ALIBABA_CLOUD_ACCESS_KEY_ID`, read at every call", is_secret=True,
    ),
    Option(
        "access_key_secret", "str | None", None, checks.secret,
        "else `ALIBABA_CLOUD_ACCESS_KEY_SECRET`", is_secret=True,
    ),
    Option(
        "security_token", "str | None", None, checks.secret,
        "of a temporary key; else `ALIBABA_CLOUD_SECURITY_TOKEN`", is_secret=True,
    ),
    Option(
        "credentials", "object", None, _credentials,
        "instead of keys: a callable, an object with `get_credential()`, or its dotted name; asked at "
        "every call",
        is_secret=True,
    ),
    Option(
        "group_id", "str | int | None", None, _group_id,
        "digits of an application group; `None`: no group",
    ),
    Option(
        "event_name", "str", "{logger}", checks.template,
        "template of the EventName; after 200 distinct names in a process the logger's name is taken",
    ),
    Option(
        "signature", 'Literal["v1", "v3"]', "v1", checks.choice("v1", "v3"),
        '`"v1"` (RPC, HMAC-SHA1) or `"v3"` (ACS3-HMAC-SHA256)',
    ),
    Option(
        "content_format", 'Literal["text", "json"]', "text", checks.choice("text", "json"),
        'Content as `"text"` for people or as one object of `"json"`',
    ),
    Option(
        "max_content_bytes", "int", 32_768, checks.whole(1024, 400_000),
        "percent-encoded bytes of Content; a longer one is cut with a mark",
    ),
)  # fmt: skip
DEFAULTS: Mapping[str, Any] = {"requests_per_second": 10}
"""Of the options of every handler, those with another default here."""
INSTEAD: Mapping[str, str] = {
    "region_name": "region",
    "site": "region",
    "endpoint_url": "endpoint",
    "api_key": "access_key_id",
}
"""The options to use instead of those of another service."""
TABLE = Table("CMSHandler", OPTIONS, DEFAULTS, INSTEAD)


class CMSSettings(Frozen):
    """Endpoint and credentials for ``PutCustomEvent``."""

    rows = TABLE.rows

    endpoint: str
    region: str
    access_key_id: Secret | None
    access_key_secret: Secret | None
    security_token: Secret | None
    credentials: object | None
    group_id: str | None
    event_name: str
    signature: Literal["v1", "v3"]
    content_format: Literal["text", "json"]
    max_content_bytes: int
    timeout: tuple[float, float]
    proxies: Mapping[str, str] | None
    ca_bundle: str | None


def settings(options: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[CMSSettings, PipelineSettings]:
    """Settings of a ``CMSHandler``; raises SettingsError."""
    made = TABLE.values(options)
    pipeline = pipeline_settings(made, options, environ, max_batch=MAX_BATCH)
    made.update(_keys(made, environ, is_needed=pipeline.needs_credentials))
    made["endpoint"] = places.destination(
        "endpoint", made["endpoint"], _address(made), environ, allow_insecure=made["allow_insecure"]
    )
    return CMSSettings(**{name: made[name] for name in CMSSettings.__annotations__}), pipeline


def _address(made: Mapping[str, Any]) -> str:
    """The region's endpoint, as the option ``network`` asks for it.

    Source: the product metadata of CMS and its SDKs (``metrics-vpc``), read 2026-11-20; an older help page
    names ``cms-vpc``.
    """
    is_inside = made["network"] == "vpc"
    if is_inside and made["endpoint"] is not None:
        raise SettingsError(
            "network and endpoint exclude each other: an endpoint says where to send by itself"
        )
    return f"https://metrics{'-vpc' if is_inside else ''}.{made['region']}.aliyuncs.com"


def _keys(made: Mapping[str, Any], environ: Mapping[str, str], *, is_needed: bool) -> dict[str, Any]:
    """Key id, key secret, token, and the source to ask instead; all None: the sink reads *environ*."""
    key_id, credentials = made["access_key_id"], made["credentials"]
    if (key_id is None) != (made["access_key_secret"] is None):
        missing = "access_key_id" if key_id is None else "access_key_secret"
        raise SettingsError(
            f"{missing} is missing: give both access_key_id and access_key_secret, or neither"
        )
    if made["security_token"] is not None and key_id is None:
        raise SettingsError(
            "security_token belongs to a temporary key: give access_key_id and access_key_secret with it"
        )
    if credentials is not None and key_id is not None:
        raise SettingsError("credentials and access_key_id exclude each other: leave one of them off")
    if console_url(environ):
        return {
            "access_key_id": Secret(CONSOLE_ACCESS_KEY_ID),
            "access_key_secret": Secret(CONSOLE_ACCESS_KEY_SECRET),
            "security_token": None,
            "credentials": None,
        }
    if key_id is None and credentials is None and is_needed:
        for name in ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"):
            if checks.secret(name, environ.get(name)) is None:
                raise SettingsError(
                    f"no credentials: set {name} in the environment, or give access_key_id and "
                    f"access_key_secret, or credentials=; {WITHOUT_CREDENTIALS}"
                )
    return {}
