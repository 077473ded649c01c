"""For type checkers: every handler's options. Made by ``docs/make_options.py``, not imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Literal, TypedDict

from eventlog_handlers.events import Event


class CommonOptions(TypedDict, total=False):
    """Every handler's options."""

    level: int | str
    """The lowest level that becomes an event, a name or a number; with `configure` the default is `"ERROR"`.
    Default: 0.
    """
    service: str | None
    """The name of the application; `None`: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` or the script's
    name. Default: None.
    """
    env: str | None
    """The deployment environment; `None`: `deployment.environment.name` of `OTEL_RESOURCE_ATTRIBUTES`.
    Default: None.
    """
    tags: Mapping[str, object]
    """Labels that every event gets. Default: {}."""
    capacity: int
    """How many events are held at most, waiting and in flight. Default: 10_000."""
    capacity_bytes: int
    """How many bytes of memory these events take at most, as estimated. Default: 67_108_864."""
    when_full: Literal["drop_lowest", "drop_newest", "block"]
    """Which event is dropped when there is no room: `"drop_lowest"` the one of the lowest level,
    `"drop_newest"` the new one; `"block"`: the logging call waits up to 1 s for room, then the lowest is
    dropped. Default: "drop_lowest".
    """
    batch_size: int | None
    """How many events one request holds at most; `None`: as many as the service takes (CMS 50, CloudWatch
    Events 10, Guance 1). Default: None.
    """
    flush_interval: float
    """How many seconds a batch that is not full waits at most; the first event of an idle handler goes at
    once. Default: 1.0.
    """
    timeout: float | Sequence[float]
    """Seconds for connecting and seconds for reading; one number bounds both. Default: (3.0, 10.0)."""
    exit_timeout: float
    """How many seconds the end of the process, and `close()`, wait at most for pending events. Default: 3.0.
    """
    max_age: float
    """An event that could not be delivered for so many seconds is dropped; with a spool the default is
    `172_800.0`. Default: 3600.0.
    """
    concurrency: int
    """How many requests are under way at once at most; a second one starts only while more than one batch
    waits. Default: 4.
    """
    before_send: Callable[[Event], Event | None] | str | None
    """A function, or its dotted name; a thread of the handler calls it with each `Event`, and it returns this
    event, another one, or `None` to drop it; if it raises or returns anything else, the event keeps only
    the message's template with its numbers masked, types and places, and no value of the call. Default:
    None.
    """
    requests_per_second: float | None
    """Rate limit of one endpoint and key, shared in the handler's `scope`; `None`: no limit. Default: None.
    """
    requests_per_minute: float | None
    """The same by the minute, and never more in any 61 s; give one of the two. Default: None."""
    burst: int
    """How many requests may go at once after a quiet time; with a rate limit by the minute a quarter of it, 1
    to 5. Default: 5.
    """
    scope: str
    """Which processes share rate limit, budgets and problems: `"host"`, those of this user on this host;
    `"process"`, this one alone; `"redis://host:6379/0"`, all that use that Redis (see
    `docs/processes.md`). Default: "host".
    """
    share: int
    """This scope (host, pod, or process with `scope="process"`) is one of N that share an account: rate
    limit, burst and budgets are divided by N. Default: 1.
    """
    max_events_per_hour: int | None
    """Budget, shared in the handler's `scope`, in fixed windows from the first event on; further events are
    dropped and counted as `budget`. Default: None.
    """
    max_events_per_day: int | None
    """The same for 24 hours. Default: None."""
    budget_reserve: float
    """The part of each budget (0 to 0.9) that only events of level 50 and above may use. Default: 0.1."""
    level_map: Mapping[str | int, str] | None
    """The status of a level, where it is to differ: `{"WARNING": "error"}`. Default: None."""
    redact: bool | Sequence[str]
    """Take secrets out of events, by name and by form (see "Secrets in records"); a list: these names too;
    `False`: leave secrets in. Default: True.
    """
    aggregate_seconds: float | None
    """Repeats of an event within so many seconds (0.1 to 900) are counted, and go as one event with count,
    first and last time; the time doubles while repeats go on; `None`: every record is an event. Default:
    None.
    """
    spool: str | PathLike[str] | None
    """A directory where events outlive the process, one for each account, as a string or a path; a relative
    path is made absolute at construction; `None`: events wait in memory. Default: None.
    """
    durability: Literal["staged", "commit"]
    """With a spool: `"staged"`: an event is written there within about 50 ms of the log call; `"commit"`:
    before the log call returns. Default: "staged".
    """
    observer: object
    """An object, or its dotted name, with any of the methods of `eventlog_handlers.observer.Observer`; it is
    told of deliveries, retries, drops and states. Default: None.
    """
    flush_on_sigterm: bool
    """On SIGTERM flush first, then do what the process would have done without this option. Default: False.
    """
    dry_run: bool
    """Make, encode and count every event, and send none; needs no credentials, keeps no rate limit, touches
    no spool. Default: False.
    """
    proxies: Mapping[str, str] | None
    """Proxy by scheme: `{"https": "http://proxy.example:3128"}`; `None`: from the environment. Default: None.
    """
    ca_bundle: str | None
    """File of trusted certificates; `None`: from the environment, else the usual ones. Default: None."""
    allow_insecure: bool
    """Allow plain http to a host other than this machine. Default: False."""
