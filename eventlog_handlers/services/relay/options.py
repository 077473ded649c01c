"""RelayHandler's options, one row each, and the settings made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.services.relay.entry import MAX_BODY_BYTES
from eventlog_handlers.settings import checks
from eventlog_handlers.settings.local_console import console_url
from eventlog_handlers.settings.option import Option
from eventlog_handlers.settings.pipeline import pipeline_settings
from eventlog_handlers.settings.secret import Secret
from eventlog_handlers.settings.table import Table
from eventlog_handlers.settings.values import Frozen, PipelineSettings
from eventlog_handlers.share.fleet_url import FleetAddress, fleet_address

MAX_BATCH = 200
MAX_QUEUE_CHARACTERS = 64
REQUEST_BYTES = 4 * MAX_BODY_BYTES
HOSTS = ()
_EXAMPLE = "redis://host:6379/0"


def _url(name: str, value: object) -> Secret:
    """As a secret: it may hold a password."""
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f"{name} takes the URL of a Redis or Valkey, such as {_EXAMPLE}")
    return Secret(value.strip())


def queue_name(name: str, value: object) -> str:
    text = checks.word(name, value)
    if len(text) > MAX_QUEUE_CHARACTERS:
        raise SettingsError(f"{name} takes {MAX_QUEUE_CHARACTERS} characters at most")
    return text


OPTIONS = (
    Option(
        "url", "str", "redis://127.0.0.1:6379/0", _url,
        "Redis (6.2 or newer) or Valkey; `rediss://` for TLS; user and password from "
        "`EVENTLOG_REDIS_USERNAME` and `EVENTLOG_REDIS_PASSWORD`, or in a URL that is given in code",
    ),
    Option(
        "queue", "str", "events", queue_name,
        "the queue that events are put into; a queue has one destination",
    ),
    Option(
        "queue_capacity", "int", 100_000, checks.whole(1, 100_000_000),
        "how many events wait in the queue at most; above it they stay with their processes",
    ),
    Option(
        "wait_replicas", "int", 0, checks.whole(0, 100),
        "how many replicas must have an event before it counts as delivered; waits half a second at most",
    ),
)  # fmt: skip
DEFAULTS: Mapping[str, Any] = {"scope": "process", "aggregate_seconds": 60.0, "timeout": 1.0}
"""Of the options of every handler, those with another default here."""
INSTEAD: Mapping[str, str] = {
    "endpoint": "url, such as 'redis://host:6379/0'",
    "host": "url, such as 'redis://host:6379/0'",
    "group_id": "it where the relay is started: cms=cms://cn-hangzhou?group_id=7",
    "region": "it where the relay is started: cms=cms://cn-hangzhou",
    "site": "it where the relay is started: guance=guance://cn1",
}
"""What to use for names that people bring along from another service."""
TABLE = Table("RelayHandler", OPTIONS, DEFAULTS, INSTEAD)


class RelaySettings(Frozen):
    """Which queue events are put into, and where it is."""

    rows = TABLE.rows

    address: FleetAddress
    queue: str
    queue_capacity: int
    aggregate_seconds: float | None
    """The first window of a problem, for all processes that use the queue. None: nothing is folded."""
    max_age: float
    """How long an event waits here at most, in seconds."""
    timeout: tuple[float, float]
    proxies: Mapping[str, str] | None
    ca_bundle: str | None


def settings(
    options: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[RelaySettings, PipelineSettings]:
    """Settings of a ``RelayHandler``; raises SettingsError."""
    made = TABLE.values(options)
    pipeline = pipeline_settings(made, options, environ, max_batch=MAX_BATCH)
    _check_what_has_no_meaning(made)
    address = fleet_address(made["url"].reveal(), environ, option="url")
    if made["ca_bundle"] is not None:
        if not address.is_tls:
            raise SettingsError("ca_bundle belongs to TLS: write rediss:// in url (relay+rediss:// in a DSN)")
        address = address._replace(ca_bundle=made["ca_bundle"])
    if made["wait_replicas"]:
        address = address._replace(wait_replicas=made["wait_replicas"])
    changes: dict[str, Any] = {"counts_are_passed_on": made["aggregate_seconds"] is not None}
    if console_url(environ) and not pipeline.is_disabled:
        changes["notice"] = (
            f"EVENTLOG_CONSOLE is set, and events of this handler go to {address} all the same: set it where "
            "the relay runs"
        )
    made["max_age"] = pipeline.max_age  # another one with a spool
    own = RelaySettings(
        address=address, **{name: made[name] for name in RelaySettings.__annotations__ if name in made}
    )
    return own, PipelineSettings(**{**vars(pipeline), **changes})


def _check_what_has_no_meaning(made: Mapping[str, Any]) -> None:
    if made["scope"] != "process":
        raise SettingsError(
            'scope takes "process" here and nothing else: all that use a queue share its problems, and the '
            "relay has the rate limit and the budgets"
        )
    if made["proxies"] is not None:
        raise SettingsError("proxies are for HTTP, and Redis is reached without: leave the option off")
    if made["allow_insecure"]:
        raise SettingsError("allow_insecure has no meaning here: redis:// is plain, rediss:// is TLS")
