"""For type checkers: every handler's options. Made by ``docs/make_options.py``, not imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Literal, TypedDict

from eventlog_handlers.events import Event


class CommonOptions(TypedDict, total=False):
    """Every handler's options."""

    level: int | str
    """Least level, as of any `logging.Handler`, a name or a number; with `configure` the default is
    `"ERROR"`. Default: 0.
    """
    service: str | None
    """Name of the application; else `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, the script's name.
    Default: None.
    """
    env: str | None
    """Deployment environment; else `deployment.environment.name` of `OTEL_RESOURCE_ATTRIBUTES`. Default:
    None.
    """
    tags: Mapping[str, object]
    """Constant labels of every event. Default: {}."""
    capacity: int
    """Events held at most, waiting and in flight. Default: 10_000."""
    capacity_bytes: int
    """Their estimated size in memory at most. Default: 67_108_864."""
    when_full: Literal["drop_lowest", "drop_newest", "block"]
    """Which event is dropped: `"drop_lowest"` level, `"drop_newest"`; `"block"` lets the logging call wait up
    to 1 s for room first. Default: "drop_lowest".
    """
    batch_size: int | None
    """Events in one request at most; `None`: what the service takes (CMS 50, CloudWatch Events 10, Guance 1).
    Default: None.
    """
    flush_interval: float
    """Seconds a batch that is not full waits at most; the first event at an idle handler goes at once.
    Default: 1.0.
    """
    timeout: float | Sequence[float]
    """Seconds for connecting and for reading; one number bounds both. Default: (3.0, 10.0)."""
    exit_timeout: float
    """Seconds the end of the process, and `close()`, wait at most for what is pending. Default: 3.0."""
    max_age: float
    """Seconds after which an event that could not be delivered is dropped; with a spool `172_800.0`. Default:
    3600.0.
    """
    concurrency: int
    """Requests under way at once at most; further ones start only while more than a batch waits. Default: 4.
    """
    before_send: Callable[[Event], Event | None] | str | None
    """Function, or its dotted name, that gets each `Event` on a thread of the handler and returns it, another
    one, or `None` to drop it; if it raises or returns anything else, what goes out is the message's
    template with its numbers masked, types and places, and no value that came with the call. Default:
    None.
    """
    requests_per_second: float | None
    """Rate limit of this process, shared by its handlers of one endpoint and key; `None`: none. Default:
    None.
    """
    requests_per_minute: float | None
    """The same by the minute, and never more in any 61 s; give one of the two. Default: None."""
    burst: int
    """Requests that may go at once after a quiet time; with a rate limit by the minute a quarter of it, 1 to
    5. Default: 5.
    """
    share: int
    """This process is one of N: rate limit, burst, window and budgets are divided by N. Default: 1."""
    max_events_per_hour: int | None
    """Budget of this handler and process, in fixed windows from the first event on; an event is charged once,
    as it comes in; the rest is dropped and counted as `budget`. Default: None.
    """
    max_events_per_day: int | None
    """The same for 24 hours. Default: None."""
    budget_reserve: float
    """Share of each budget (0 to 0.9) that only events of level 50 and above may use. Default: 0.1."""
    level_map: Mapping[str | int, str] | None
    """Status by level where it is to differ: `{"WARNING": "error"}`. Default: None."""
    redact: bool | Sequence[str]
    """Take secrets out of events, by name and by form (see "Secrets in records"); a list adds names; `False`:
    leave them in. Default: True.
    """
    aggregate_seconds: float | None
    """What repeats an event within so many seconds (0.1 to 900; doubled while that goes on) is counted and
    goes as one event with count, first and last time; `None`: every record is an event. Default: None.
    """
    spool: str | PathLike[str] | None
    """Directory where events outlive the process, one per account, a string or a path; a relative one is made
    absolute at construction; `None`: they wait in memory. Default: None.
    """
    durability: Literal["staged", "commit"]
    """With a spool: written there within about 50 ms of the log call; `"commit"`: before it returns. Default:
    "staged".
    """
    observer: object
    """Object, or its dotted name, with any of the methods of `eventlog_handlers.observer.Observer`: told of
    deliveries, retries, drops and states. Default: None.
    """
    flush_on_sigterm: bool
    """Install a handler for SIGTERM that flushes and then does what would have been done without it. Default:
    False.
    """
    dry_run: bool
    """Make, encode and count every event and send none; needs no credentials, keeps no rate limit, touches no
    spool. Default: False.
    """
    proxies: Mapping[str, str] | None
    """Proxy by scheme: `{"https": "http://proxy.example:3128"}`; `None`: from the environment. Default: None.
    """
    ca_bundle: str | None
    """File of trusted certificates; `None`: from the environment, else the usual ones. Default: None."""
    allow_insecure: bool
    """Plain http to a host other than this machine. Default: False."""
