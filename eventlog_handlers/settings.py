"""Frozen settings: made from keywords, the environment and DSNs, checked here against the services' limits.

Nothing below reads the environment by itself, opens anything or imports a client library: the caller hands
in ``environ``. Every refusal is a SettingsError of one sentence that names the option, what it takes and
what to do, and never the value of a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from eventlog_handlers import checks
from eventlog_handlers.errors import SettingsError
from eventlog_handlers.secret import Secret

if TYPE_CHECKING:
    from eventlog_handlers.events import Event
    from eventlog_handlers.observer import Observer

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
MiB = 1024 * 1024


WhenFull = Literal["drop_lowest", "drop_newest", "drop_oldest", "block"]
Durability = Literal["staged", "commit"]
SPOOL_MAX_AGE_SECONDS = 48 * 3600.0


class CommonOptions(TypedDict, total=False):
    """What every handler takes; the meaning of each is in the README's table and at ``PipelineSettings``."""

    service: str | None
    env: str | None
    tags: Mapping[str, str]
    capacity: int
    capacity_bytes: int
    when_full: WhenFull
    batch_size: int | None
    flush_interval: float
    timeout: float | Sequence[float]
    exit_timeout: float
    max_age: float
    concurrency: int
    before_send: Callable[[Event], Event | None] | str | None
    level_map: Mapping[str | int, str] | None
    redact: bool | Sequence[str]
    aggregate_seconds: float | None
    spool: str | None
    durability: Durability
    observer: object
    flush_on_sigterm: bool
    requests_per_second: float | None
    requests_per_minute: float | None
    burst: int
    share: int
    max_events_per_hour: int | None
    max_events_per_day: int | None
    budget_reserve: float
    dry_run: bool
    proxies: Mapping[str, str] | None
    ca_bundle: str | None
    allow_insecure: bool


class CMSOptions(CommonOptions, total=False):
    """``CMSHandler``'s own options."""

    region: str
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


class GuanceOptions(CommonOptions, total=False):
    """``GuanceHandler``'s own options."""

    site: str
    endpoint: str | None
    api_key: str | None
    origin: str
    title: str
    max_message_bytes: int


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


CMS_OPTIONS = frozenset(CMSOptions.__annotations__)
GUANCE_OPTIONS = frozenset(GuanceOptions.__annotations__)
CLOUDWATCH_OPTIONS = frozenset(CloudWatchEventsOptions.__annotations__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSettings:
    """How records are held and sent, whatever the service."""

    service: str | None = None
    env: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    capacity: int = 10_000
    """Events held at most, waiting and in flight."""
    capacity_bytes: int = 64 * MiB
    """Their estimated size in memory at most."""
    when_full: WhenFull = "drop_lowest"
    """``block`` makes the logging call wait up to one second for room, then drops the lowest."""
    batch_size: int
    flush_interval: float = 1.0
    """Seconds a batch that isn't full waits at most; the first event at an idle handler doesn't wait."""
    timeout: tuple[float, float] = (3.0, 10.0)
    """Seconds for connecting and for reading; one call takes their sum at most."""
    exit_timeout: float = 3.0
    """Seconds the interpreter's exit, and ``close``, wait at most."""
    max_age: float = 3600.0
    """Seconds after which an event that could not be delivered is dropped."""
    concurrency: int = 4
    """Requests under way at once at most."""
    before_send: Callable[[Event], Event | None] | None = None
    """Called on the worker's thread with each event: returns it, changed or not, or None to drop it."""
    level_map: Mapping[int, str] = field(default_factory=dict)
    redact: tuple[str, ...] | None = ()
    """Names whose values are secrets, besides the known ones. None: nothing is taken out of events."""
    spool: str | None = None
    """Directory where events outlive the process; None: they wait in memory."""
    durability: Durability = "staged"
    """With a spool: written there within 50 ms of the logging call, or (``commit``) before it returns."""
    aggregate_seconds: float | None = None
    """The first window in which repeats of one problem are counted, to go as one event. None: no folding."""
    observer: Observer | None = None
    flush_on_sigterm: bool = False
    dry_run: bool = False
    """Make and count every event, send none: needs no credentials, keeps no pace, touches no spool."""
    requests_per_second: float | None = None
    """Pace, shared by all handlers of this process that have the same destination. None: none."""
    burst: int = 1
    """Requests that may go at once after a quiet time."""
    window: tuple[int, float] | None = None
    """At most so many requests in any so many seconds, however they are spread."""
    max_events_per_hour: int | None = None
    """Budget of this handler: windows of an hour, each from its first event on; the rest is dropped."""
    max_events_per_day: int | None = None
    budget_reserve: float = 0.1
    """The share of each budget that only critical events may use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CMSSettings:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class GuanceSettings:
    """Where and as whom ``events/create`` is called."""

    endpoint: str
    api_key: Secret | None = None
    origin: str = "{logger}"
    title: str = "{message}"
    max_message_bytes: int = 32_768
    timeout: tuple[float, float] = (3.0, 10.0)
    proxies: Mapping[str, str] | None = None
    ca_bundle: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudWatchSettings:
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
    max_request_bytes: int = 262_144
    timeout: tuple[float, float] = (3.0, 10.0)
    proxies: Mapping[str, str] | None = None
    ca_bundle: str | None = None


# --- building them ---------------------------------------------------------------------------------------


def cms(options: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[CMSSettings, PipelineSettings]:
    """Settings of a ``CMSHandler``; raises SettingsError."""
    checks.refuse_unknown("CMSHandler", options, CMS_OPTIONS)
    region = checks.word("region", options.get("region", "cn-hangzhou"))
    endpoint_name, endpoint = _endpoint(
        options, "endpoint", f"https://metrics.{region}.aliyuncs.com", environ
    )
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
        token = credentials = None
        key_id, key_secret = Secret(CONSOLE_ACCESS_KEY_ID), Secret(CONSOLE_ACCESS_KEY_SECRET)
    elif key_id is None and credentials is None and not _is_dry(options):
        for name in ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"):
            if checks.secret(name, environ.get(name)) is None:
                raise SettingsError(
                    f"no credentials: set {name} in the environment, or give access_key_id and "
                    "access_key_secret, or credentials="
                )
    pipeline = _pipeline(options, max_batch=CMS_MAX_BATCH, pace={"requests_per_second": 10})
    return (
        CMSSettings(
            endpoint=checks.endpoint(endpoint_name, endpoint, options, path=False),
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
    endpoint_name, endpoint = _endpoint(options, "endpoint", GUANCE_SITES[site], environ)
    api_key = checks.secret("api_key", options.get("api_key"))
    if console_url(environ):
        api_key = Secret(CONSOLE_GUANCE_KEY)
    elif (
        api_key is None
        and not _is_dry(options)
        and checks.secret("DF_API_KEY", environ.get("DF_API_KEY")) is None
    ):
        raise SettingsError("no credentials: set DF_API_KEY in the environment, or give api_key")
    pipeline = _pipeline(options, max_batch=1, pace={"requests_per_minute": 20}, aggregate_seconds=60.0)
    return (
        GuanceSettings(
            endpoint=checks.endpoint(endpoint_name, endpoint, options, path=True),
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
    endpoint_name, endpoint_url = _endpoint(options, "endpoint_url", None, environ)
    if endpoint_url is not None:
        endpoint_url = checks.endpoint(endpoint_name, endpoint_url, options, path=True)
    region_name = checks.optional_text("region_name", options.get("region_name"))
    proxies = checks.proxies(options.get("proxies"))
    key_id = key_secret = None
    if console_url(environ):
        session = client = None
        proxies = {}  # botocore would look for the stand-in behind the proxy that the environment names
        region_name = region_name or CONSOLE_AWS_REGION
        key_id, key_secret = Secret(CONSOLE_AWS_ACCESS_KEY_ID), Secret(CONSOLE_AWS_SECRET_ACCESS_KEY)
    detail_type = options.get("detail_type")
    pipeline = _pipeline(options, max_batch=CLOUDWATCH_MAX_BATCH, pace={})
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


def _pipeline(
    options: Mapping[str, Any],
    *,
    max_batch: int,
    pace: Mapping[str, float],
    aggregate_seconds: float | None = None,
) -> PipelineSettings:
    """*pace* and *aggregate_seconds* are those that hold where the options give none."""
    checks.boolean(
        "allow_insecure", options.get("allow_insecure", False)
    )  # read where an endpoint is checked
    batch_size = options.get("batch_size")
    spool = checks.optional_text("spool", options.get("spool"))
    durability = checks.one_of("durability", options.get("durability", "staged"), ("staged", "commit"))
    if durability == "commit" and spool is None:
        raise SettingsError('durability="commit" needs a directory to commit to: give spool= as well')
    dry_run = _is_dry(options)
    if dry_run:  # delivering to nobody, it would empty a spool of what others still have to send
        spool, durability = None, "staged"
    default_max_age = 3600.0 if spool is None else SPOOL_MAX_AGE_SECONDS
    return PipelineSettings(
        service=checks.optional_text("service", options.get("service")),
        env=checks.optional_text("env", options.get("env")),
        tags=checks.tags(options.get("tags", {})),
        capacity=checks.integer("capacity", options.get("capacity", 10_000), 1, 10_000_000),
        capacity_bytes=checks.integer(
            "capacity_bytes", options.get("capacity_bytes", 64 * MiB), 65_536, 2**40
        ),
        when_full=checks.one_of(
            "when_full",
            options.get("when_full", "drop_lowest"),
            ("drop_lowest", "drop_newest", "drop_oldest", "block"),
        ),
        batch_size=max_batch
        if batch_size is None
        else checks.integer("batch_size", batch_size, 1, max_batch),
        flush_interval=checks.number("flush_interval", options.get("flush_interval", 1.0), 0, 3600),
        timeout=checks.timeout(options.get("timeout", (3.0, 10.0))),
        exit_timeout=checks.number("exit_timeout", options.get("exit_timeout", 3.0), 0, 600),
        max_age=checks.number("max_age", options.get("max_age", default_max_age), 1, 30 * 86_400),
        concurrency=checks.integer("concurrency", options.get("concurrency", 4), 1, 64),
        before_send=checks.function("before_send", options.get("before_send")),
        level_map=checks.level_map(options.get("level_map")),
        redact=checks.redact(options.get("redact", True)),
        spool=spool,
        durability=durability,
        aggregate_seconds=checks.optional_number(
            "aggregate_seconds", options.get("aggregate_seconds", aggregate_seconds), 0.1, 900
        ),
        observer=checks.observer(options.get("observer")),
        flush_on_sigterm=checks.boolean("flush_on_sigterm", options.get("flush_on_sigterm", False)),
        dry_run=dry_run,
        **_limits(options, pace),
    )


class _Limits(TypedDict):
    requests_per_second: float | None
    burst: int
    window: tuple[int, float] | None
    max_events_per_hour: int | None
    max_events_per_day: int | None
    budget_reserve: float


def _limits(options: Mapping[str, Any], pace: Mapping[str, float]) -> _Limits:
    """Pace and budgets of this process: what the options allow, divided by ``share``."""
    share = checks.integer("share", options.get("share", 1), 1, 10_000)
    given = {name: options[name] for name in _PACES if name in options} or pace
    per_second, per_minute = (checks.optional_number(name, given.get(name), *_PACES[name]) for name in _PACES)
    if per_second is not None and per_minute is not None:
        raise SettingsError(
            "requests_per_second and requests_per_minute exclude each other: leave one of them off"
        )
    has_pace = per_second is not None or per_minute is not None
    budgets = {
        name: None
        if options.get(name) is None
        else max(1, checks.integer(name, options[name], 1, 10**9) // share)
        for name in ("max_events_per_hour", "max_events_per_day")
    }
    has_budget = any(limit is not None for limit in budgets.values())
    if "burst" in options and not has_pace:
        raise SettingsError(
            "burst belongs to a pace: give requests_per_second or requests_per_minute with it"
        )
    if options.get("budget_reserve", 0.1) != 0.1 and not has_budget:
        raise SettingsError(
            "budget_reserve belongs to a budget: give max_events_per_hour or max_events_per_day with it"
        )
    if share > 1 and not has_pace and not has_budget:
        raise SettingsError(
            "share divides a pace or a budget: give requests_per_second, requests_per_minute, "
            "max_events_per_hour or max_events_per_day with it"
        )
    burst = 5 if per_minute is None else max(1, min(5, int(per_minute) // 4))
    rate = per_second if per_minute is None else per_minute / 60
    return {
        "requests_per_second": None if rate is None else rate / share,
        "burst": max(1, checks.integer("burst", options.get("burst", burst), 1, 1000) // share),
        "window": None if per_minute is None or per_minute < 1 else _window(int(per_minute), share),
        "max_events_per_hour": budgets["max_events_per_hour"],
        "max_events_per_day": budgets["max_events_per_day"],
        "budget_reserve": checks.number("budget_reserve", options.get("budget_reserve", 0.1), 0, 0.9),
    }


_PACES: Mapping[str, tuple[float, float]] = {
    "requests_per_second": (0.001, 10_000),
    "requests_per_minute": (0.01, 100_000),
}
# A second more than the minute: the service counts arrivals, and two calls may draw nearer on their way.
_WINDOW_SECONDS = 61.0


def _window(per_minute: int, share: int) -> tuple[int, float]:
    """One process's part of a minute's calls; where that is less than one, a whole one in a longer window."""
    if per_minute >= share:
        return per_minute // share, _WINDOW_SECONDS
    return 1, _WINDOW_SECONDS * share / per_minute


def _is_dry(options: Mapping[str, Any]) -> bool:
    return checks.boolean("dry_run", options.get("dry_run", False))


def _endpoint(
    options: Mapping[str, Any], name: str, default: str | None, environ: Mapping[str, str]
) -> tuple[str, Any]:
    """Where to send, unchecked, and what to call it in a refusal."""
    console = console_url(environ)
    if console:
        return "EVENTLOG_CONSOLE", console
    given = options.get(name)
    return name, default if given is None else given


def console_url(environ: Mapping[str, str]) -> str | None:
    """The local stand-in's address if ``EVENTLOG_CONSOLE`` asks for it (1, or its URL), else None."""
    value = environ.get("EVENTLOG_CONSOLE", "").strip()
    if value.lower() in ("", "0", "false", "no", "off"):
        return None
    if value.lower() in ("1", "true", "yes", "on"):
        return CONSOLE_URL
    return value.rstrip("/")
