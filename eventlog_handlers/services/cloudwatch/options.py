"""CloudWatchEventsHandler's options, one row each, and the settings made of them."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.settings import checks, objects, places
from eventlog_handlers.settings.local_console import (
    CONSOLE_AWS_ACCESS_KEY_ID,
    CONSOLE_AWS_REGION,
    CONSOLE_AWS_SECRET_ACCESS_KEY,
    console_url,
)
from eventlog_handlers.settings.option import Option
from eventlog_handlers.settings.pipeline import pipeline_settings
from eventlog_handlers.settings.secret import Secret
from eventlog_handlers.settings.table import Table
from eventlog_handlers.settings.values import Frozen, PipelineSettings

MAX_BATCH = 10
HOSTS = ("default",)
"""Hosts that may follow ``cloudwatch://``, as far as they can be listed."""
MAX_REQUEST_BYTES = 1_047_552
"""1 MiB - 1 KiB: an entry of exactly 1 MiB was accepted and never delivered."""


def _resources(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise SettingsError(f"{name} takes a list of strings, usually ARNs")
    arns = tuple(value[index] for index in range(len(value)))  # by index, as in ``checks.items``
    if not all(isinstance(arn, str) and 0 < len(arn) <= 2048 for arn in arns):
        raise SettingsError(f"{name} takes strings of 1 to 2048 characters each, usually ARNs")
    return arns


def _region(name: str, value: object) -> str | None:
    """``us-east-1``, ``us-gov-west-1``, ``eu-isoe-west-1``: words in lower case, at the end a number."""
    if value is None:
        return None
    region = checks.text(name, value).strip()
    *words, number = region.split("-")
    zone = number[:-1].isdigit() and number[-1:].isalpha()
    is_region = len(words) >= 2 and number.isdigit() and all(map(str.isalpha, words)) and region.islower()
    if is_region and region.isascii():
        return region
    also = f"; {region} is an availability zone of {region[:-1]}" if zone else ""
    raise SettingsError(
        f"{name} takes a region of AWS, such as 'us-east-1', not {checks.short(value)}{also}; with "
        "endpoint_url it takes any name"
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


def _session(name: str, value: object) -> object:
    session = objects.resolve(name, value)
    if session is not None and not callable(getattr(session, "client", None)):
        raise SettingsError(f"{name} takes a boto3.Session or its dotted name, not {type(session).__name__}")
    return session


def _client(name: str, value: object) -> object:
    """A boto3 client of the service ``events``; one of another service would refuse each call."""
    client = objects.resolve(name, value)
    if client is None:
        return None
    model = getattr(getattr(client, "meta", None), "service_model", None)
    service = getattr(model, "service_name", None)
    if isinstance(service, str) and service != "events":
        raise SettingsError(f"{name} is one for {service!r}, and PutEvents needs boto3.client('events')")
    if not callable(getattr(client, "put_events", None)):
        raise SettingsError(
            f"{name} takes a boto3 client for 'events' or its dotted name, not {type(client).__name__}"
        )
    return client


OPTIONS = (
    Option("region_name", "str | None", None, checks.optional(checks.text), "else as boto3 finds it"),
    Option(
        "event_bus_name", "str | None", None, _bus,
        "name or ARN of a classic event bus; `None`: the default bus",
    ),
    Option("endpoint_url", "str | None", None, checks.unchecked, "another endpoint"),
    Option(
        "source", "str", "{logger}", checks.template,
        "template of Source; `app.` is put before one that starts with `aws.`, which AWS reserves",
    ),
    Option(
        "detail_type", "str | None", None, checks.optional(checks.template),
        "template of DetailType; `None`: `Log Exception` with an exception, else `Log Record`",
    ),
    Option("resources", "Sequence[str]", (), _resources, "ARNs put into every event"),
    Option(
        "session", "object", None, _session,
        "boto3 session, or its dotted name; credentials come from boto3's own chain in any case",
        is_secret=True,
    ),
    Option(
        "client", "object", None, _client,
        "boto3 client for `events`, used as it is, its timeouts and retries too",
        is_secret=True,
    ),
    Option(
        "max_request_bytes", "int", 261_120, checks.whole(4096, MAX_REQUEST_BYTES),
        "bytes of a request and of an entry by AWS's formula; up to 1_047_552",
    ),
)  # fmt: skip
DEFAULTS: Mapping[str, Any] = {}
"""Of the options of every handler, those with another default here."""
INSTEAD: Mapping[str, str] = {
    "region": "region_name",
    "endpoint": "endpoint_url",
    "event_bus": "event_bus_name",
    "group_id": "resources or tags",
}
"""The options to use instead of those of another service."""
TABLE = Table("CloudWatchEventsHandler", OPTIONS, DEFAULTS, INSTEAD)


class CloudWatchSettings(Frozen):
    """Endpoint, region and profile for ``PutEvents``; the access key only for the local stand-in."""

    rows = TABLE.rows

    region_name: str | None
    event_bus_name: str | None
    endpoint_url: str | None
    source: str
    detail_type: str | None
    resources: tuple[str, ...]
    session: object | None
    client: object | None
    access_key_id: Secret | None = None
    access_key_secret: Secret | None = None
    max_request_bytes: int
    timeout: tuple[float, float]
    proxies: Mapping[str, str] | None
    ca_bundle: str | None


def settings(
    options: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[CloudWatchSettings, PipelineSettings]:
    """Settings of a ``CloudWatchEventsHandler``; raises SettingsError."""
    made = TABLE.values(options)
    pipeline = pipeline_settings(made, options, environ, max_batch=MAX_BATCH)
    if made["endpoint_url"] is None:
        made["region_name"] = _region("region_name", made["region_name"])
    has_client = made["client"] is not None
    if made["session"] is not None and has_client:
        raise SettingsError("session and client exclude each other: a client already has its session")
    for name in ("region_name", "endpoint_url", "proxies", "ca_bundle"):
        if has_client and made[name] is not None:
            raise SettingsError(f"{name} and client exclude each other: a client is used as it was made")
    made["endpoint_url"] = places.destination(
        "endpoint_url",
        made["endpoint_url"],
        None,
        environ,
        allow_insecure=made["allow_insecure"],
        path=True,
    )
    if console_url(environ):
        made.update(
            region_name=made["region_name"] or CONSOLE_AWS_REGION,
            session=None,
            client=None,
            access_key_id=Secret(CONSOLE_AWS_ACCESS_KEY_ID),
            access_key_secret=Secret(CONSOLE_AWS_SECRET_ACCESS_KEY),
            proxies={},  # botocore would look for the stand-in behind the proxy that the environment names
        )
    fields = {name: made[name] for name in CloudWatchSettings.__annotations__ if name in made}
    return CloudWatchSettings(**fields), pipeline
