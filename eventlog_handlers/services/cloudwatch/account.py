"""Checks an AWS account for ``check``: the key's source, whether AWS takes it, whether the bus exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eventlog_handlers.errors import MisconfiguredError
from eventlog_handlers.process import clock
from eventlog_handlers.services.cloudwatch.boto_errors import NO_CREDENTIALS
from eventlog_handlers.services.cloudwatch.options import CloudWatchSettings
from eventlog_handlers.services.cloudwatch.sink import CloudWatchEventsSink
from eventlog_handlers.services.finding import Finding

PROOF = "a signed PutEvents without an entry, which makes none"


def origin(own: CloudWatchSettings, environ: Mapping[str, str]) -> str:
    """The part of boto3's chain that has the credentials. Raises MisconfiguredError where none has."""
    if own.client is not None:
        return "the client that was given"
    if own.access_key_id is not None:
        return "the local stand-in's dummy key"
    found = _session(own).get_credentials()
    if found is None:
        raise MisconfiguredError("NoCredentialsError", NO_CREDENTIALS)
    return f"boto3's chain: {found.method}"


def endpoint(own: CloudWatchSettings) -> str:
    """The URL that events go to."""
    return str(_client(own).meta.endpoint_url)


def ask(own: CloudWatchSettings, timeout: float) -> None:
    """Make the call named in PROOF; a RefusedError proves that the key was accepted. Raises SinkError."""
    sink = CloudWatchEventsSink(own, clock=clock.monotonic)
    try:
        sink.send((), timeout=timeout)
    finally:
        sink.close()


def more(own: CloudWatchSettings, timeout: float) -> Iterator[Finding]:
    """Whether the bus exists: AWS takes events for one that does not, and drops them in silence."""
    bus = own.event_bus_name or "default"
    remedy = f"aws events create-event-bus --name {bus.rpartition('/')[2]}, or correct event_bus_name"
    try:
        _client(own).describe_event_bus(Name=bus)
    except Exception as error:  # botocore raises various errors; told by its name
        code = str(getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__))
        if code == "ResourceNotFoundException":
            yield Finding("problem", "bus", f"there is no event bus {bus} in this account and region", remedy)
        else:
            yield Finding(
                "warning",
                "bus",
                f"AWS does not allow this key to ask whether the bus {bus} exists ({code})",
                "grant events:DescribeEventBus for this check; sending does not need it",
            )
    else:
        yield Finding("ok", "bus", f"the bus {bus} exists")


def _session(own: CloudWatchSettings) -> Any:
    import boto3

    return own.session or boto3.Session()


def _client(own: CloudWatchSettings) -> Any:
    if own.client is not None:
        return own.client
    from botocore.config import Config

    key_id, secret = own.access_key_id, own.access_key_secret
    return _session(own).client(
        "events",
        region_name=own.region_name,
        endpoint_url=own.endpoint_url,
        verify=own.ca_bundle,
        aws_access_key_id=key_id and key_id.reveal(),
        aws_secret_access_key=secret and secret.reveal(),
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=5),
    )
