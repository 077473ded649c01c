"""CloudWatchEventsHandler's options: names, types, checks, and the settings made of them."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.settings import checks
from eventlog_handlers.settings.checks import _endpoint
from eventlog_handlers.settings.local_console import (
    CONSOLE_AWS_ACCESS_KEY_ID,
    CONSOLE_AWS_REGION,
    CONSOLE_AWS_SECRET_ACCESS_KEY,
    console_url,
)
from eventlog_handlers.settings.options import CommonOptions
from eventlog_handlers.settings.pipeline import pipeline_settings
from eventlog_handlers.settings.secret import Secret
from eventlog_handlers.settings.values import Frozen, PipelineSettings

CLOUDWATCH_MAX_BATCH = 10


CLOUDWATCH_REQUEST_BYTES = 261_120
"""256 KiB - 1 KiB, the default: what is delivered is larger by the envelope, and targets take 256 KiB."""
CLOUDWATCH_MAX_REQUEST_BYTES = (
    1_047_552  # 1 MiB - 1 KiB: an entry of exactly 1 MiB was accepted and never delivered
)


def cloudwatch(
    options: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[CloudWatchSettings, PipelineSettings]:
    """Settings of a ``CloudWatchEventsHandler``; raises SettingsError."""
    checks.refuse_unknown("CloudWatchEventsHandler", options, CLOUDWATCH_OPTIONS)
    session = _session(options.get("session"))
    client = _client(options.get("client"))
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
            event_bus_name=_bus("event_bus_name", options.get("event_bus_name")),
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
                options.get("max_request_bytes", CLOUDWATCH_REQUEST_BYTES),
                4096,
                CLOUDWATCH_MAX_REQUEST_BYTES,
            ),
            timeout=pipeline.timeout,
            proxies=proxies,
            ca_bundle=checks.optional_text("ca_bundle", options.get("ca_bundle")),
        ),
        pipeline,
    )


def _bus(name: str, value: object) -> str | None:
    """Name or ARN of an event bus.

    1 to 1,600 characters, by the pattern of NonPartnerEventBusNameOrArn in the PutEvents reference (read
    2026-11-20).
    """
    if value is None:
        return None
    bus = checks.text(name, value)
    if ":event-busv2/" in bus:
        raise SettingsError(
            f"{name} is the ARN of a custom event bus of the new kind (event-busv2), which PutEvents of the "
            "client 'events' does not reach: give the name or ARN of a classic event bus"
        )
    arn, separator, own = bus.rpartition(":event-bus/")
    if len(bus) > 1600 or not own or set(own) - _BUS_CHARACTERS or (separator and not _is_events_arn(arn)):
        raise SettingsError(
            f"{name} takes the name of an event bus (letters, digits, '.', '-' and '_'), or its ARN "
            f"arn:aws:events:<region>:<12 digits>:event-bus/<name>, not {checks.short(value)}"
        )
    return bus


_BUS_CHARACTERS = set(string.ascii_letters + string.digits + ".-_")


def _is_events_arn(arn: str) -> bool:
    """Whether *arn* is ``arn:aws…:events:<region>:<account>``."""
    parts = arn.split(":")
    return (
        len(parts) == 5
        and parts[0] == "arn"
        and parts[1].startswith("aws")
        and parts[2] == "events"
        and parts[3].count("-") >= 2
        and not set(parts[1] + parts[3]) - _BUS_CHARACTERS
        and len(parts[4]) == 12
        and parts[4].isascii()
        and parts[4].isdigit()
    )


def _session(value: object) -> object:
    session = checks.resolve("session", value)
    if session is not None and not callable(getattr(session, "client", None)):
        raise SettingsError(f"session takes a boto3.Session or its dotted name, not {type(session).__name__}")
    return session


def _client(value: object) -> object:
    """A boto3 client of the service ``events``; one of another service would refuse each call."""
    client = checks.resolve("client", value)
    if client is None:
        return None
    model = getattr(getattr(client, "meta", None), "service_model", None)
    service = getattr(model, "service_name", None)
    if isinstance(service, str) and service != "events":
        raise SettingsError(f"client is one for {service!r}, and PutEvents needs boto3.client('events')")
    if not callable(getattr(client, "put_events", None)):
        raise SettingsError(
            f"client takes a boto3 client for 'events' or its dotted name, not {type(client).__name__}"
        )
    return client


class CloudWatchSettings(Frozen):
    """Where and as whom ``PutEvents`` is called; the access key only for the local stand-in."""

    region_name: str | None = None
    event_bus_name: str | None = None
    endpoint_url: str | None = None
    source: str = "{logger}"
    detail_type: str | None = None
    resources: tuple[str, ...] = ()
    session: object | None = None
    client: object | None = None
    access_key_id: Secret | None = None
    access_key_secret: Secret | None = None
    max_request_bytes: int = CLOUDWATCH_REQUEST_BYTES
    timeout: tuple[float, float] = (3.0, 10.0)
    proxies: Mapping[str, str] | None = None
    ca_bundle: str | None = None


class CloudWatchEventsOptions(CommonOptions, total=False):
    """``CloudWatchEventsHandler``'s own options."""

    region_name: str | None
    event_bus_name: str | None
    endpoint_url: str | None
    source: str
    detail_type: str | None
    resources: Sequence[str]
    session: object
    client: object
    max_request_bytes: int


CLOUDWATCH_OPTIONS = frozenset(CloudWatchEventsOptions.__annotations__)
