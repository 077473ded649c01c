"""The options that every handler takes, one row each. Those of one service stand in its folder."""

from __future__ import annotations

from eventlog_handlers.settings import checks, objects, places
from eventlog_handlers.settings.option import Option

MiB = 1024 * 1024

OPTIONS = (
    Option(
        "level", "int | str", 0, checks.level_of,
        'the lowest level that becomes an event, a name or a number; with `configure` the default is '
        '`"ERROR"`',
    ),
    Option(
        "service", "str | None", None, checks.optional(checks.text),
        "the name of the application; `None`: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` or the "
        "script's name",
    ),
    Option(
        "env", "str | None", None, checks.optional(checks.text),
        "the deployment environment; `None`: `deployment.environment.name` of `OTEL_RESOURCE_ATTRIBUTES`",
    ),
    Option("tags", "Mapping[str, object]", {}, checks.tags, "labels that every event gets"),
    Option(
        "capacity", "int", 10_000, checks.whole(1, 10_000_000),
        "how many events are held at most, waiting and in flight",
    ),
    Option(
        "capacity_bytes", "int", 64 * MiB, checks.whole(65_536, 2**40),
        "how many bytes of memory these events take at most, as estimated",
    ),
    Option(
        "when_full", 'Literal["drop_lowest", "drop_newest", "block"]', "drop_lowest",
        checks.choice("drop_lowest", "drop_newest", "block"),
        'which event is dropped when there is no room: `"drop_lowest"` the one of the lowest level, '
        '`"drop_newest"` the new one; `"block"`: the logging call waits up to 1 s for room, then the '
        'lowest is dropped',
    ),
    Option(
        "batch_size", "int | None", None, checks.unchecked,  # the service's bound: ``pipeline_settings``
        "how many events one request holds at most; `None`: as many as the service takes (CMS 50, "
        "CloudWatch Events 10, Guance 1)",
    ),
    Option(
        "flush_interval", "float", 1.0, checks.real(0, 3600),
        "how many seconds a batch that is not full waits at most; the first event of an idle handler "
        "goes at once",
    ),
    Option(
        "timeout", "float | Sequence[float]", (3.0, 10.0), checks.timeout,
        "seconds for connecting and seconds for reading; one number bounds both",
    ),
    Option(
        "exit_timeout", "float", 3.0, checks.real(0, 600),
        "how many seconds the end of the process, and `close()`, wait at most for pending events",
    ),
    Option(
        "max_age", "float", 3600.0, checks.real(1, 30 * 86_400),
        "an event that could not be delivered for so many seconds is dropped; with a spool the default "
        "is `172_800.0`",
    ),
    Option(
        "concurrency", "int", 4, checks.whole(1, 64),
        "how many requests are under way at once at most; a second one starts only while more than one "
        "batch waits",
    ),
    Option(
        "before_send", "Callable[[Event], Event | None] | str | None", None, objects.function,
        "a function, or its dotted name; a thread of the handler calls it with each `Event`, and it "
        "returns this event, another one, or `None` to drop it; if it raises or returns anything else, "
        "the event keeps only the message's template with its numbers masked, types and places, and no "
        "value of the call",
    ),
    Option(
        "requests_per_second", "float | None", None, checks.optional(checks.real(0.001, 10_000)),
        "rate limit of one endpoint and key, shared in the handler's `scope`; `None`: no limit",
    ),
    Option(
        "requests_per_minute", "float | None", None, checks.optional(checks.real(0.01, 100_000)),
        "the same by the minute, and never more in any 61 s; give one of the two",
    ),
    Option(
        "burst", "int", 5, checks.whole(1, 1000),
        "how many requests may go at once after a quiet time; with a rate limit by the minute a quarter "
        "of it, 1 to 5",
    ),
    Option(
        "scope", "str", "host", places.scope,
        'which processes share rate limit, budgets and problems: `"host"`, those of this user on this host; '
        '`"process"`, this one alone; `"redis://host:6379/0"`, all that use that Redis (see '
        "`docs/processes.md`)",
    ),
    Option(
        "share", "int", 1, checks.whole(1, 10_000),
        "this scope (host, pod, or process with `scope=\"process\"`) is one of N that share an account: rate "
        "limit, burst and budgets are divided by N",
    ),
    Option(
        "max_events_per_hour", "int | None", None, checks.optional(checks.whole(1, 10**9)),
        "budget, shared in the handler's `scope`, in fixed windows from the first event on; further "
        "events are dropped and counted as `budget`",
    ),
    Option(
        "max_events_per_day", "int | None", None, checks.optional(checks.whole(1, 10**9)),
        "the same for 24 hours",
    ),
    Option(
        "budget_reserve", "float", 0.1, checks.real(0, 0.9),
        "the part of each budget (0 to 0.9) that only events of level 50 and above may use",
    ),
    Option(
        "level_map", "Mapping[str | int, str] | None", None, checks.level_map,
        'the status of a level, where it is to differ: `{"WARNING": "error"}`',
    ),
    Option(
        "redact", "bool | Sequence[str]", True, checks.redact,
        'take secrets out of events, by name and by form (see "Secrets in records"); a list: these names '
        'too; `False`: leave secrets in',
    ),
    Option(
        "aggregate_seconds", "float | None", None, checks.optional(checks.real(0.1, 900)),
        "repeats of an event within so many seconds (0.1 to 900) are counted, and go as one event with "
        "count, first and last time; the time doubles while repeats go on; `None`: every record is an "
        "event",
    ),
    Option(
        "spool", "str | PathLike[str] | None", None, places.directory,
        "a directory where events outlive the process, one for each account, as a string or a path; a "
        "relative path is made absolute at construction; `None`: events wait in memory",
    ),
    Option(
        "durability", 'Literal["staged", "commit"]', "staged", checks.choice("staged", "commit"),
        'with a spool: `"staged"`: an event is written there within about 50 ms of the log call; '
        '`"commit"`: before the log call returns',
    ),
    Option(
        "observer", "object", None, objects.observer,
        "an object, or its dotted name, with any of the methods of "
        "`eventlog_handlers.observer.Observer`; it is told of deliveries, retries, drops and states",
    ),
    Option(
        "flush_on_sigterm", "bool", False, checks.boolean,
        "on SIGTERM flush first, then do what the process would have done without this option",
    ),
    Option(
        "dry_run", "bool", False, checks.boolean,
        "make, encode and count every event, and send none; needs no credentials, keeps no rate limit, "
        "touches no spool",
    ),
    Option(
        "proxies", "Mapping[str, str] | None", None, places.proxies,
        'proxy by scheme: `{"https": "http://proxy.example:3128"}`; `None`: from the environment',
    ),
    Option(
        "ca_bundle", "str | None", None, checks.optional(checks.text),
        "file of trusted certificates; `None`: from the environment, else the usual ones",
    ),
    Option(
        "allow_insecure", "bool", False, checks.boolean,
        "allow plain http to a host other than this machine",
    ),
)  # fmt: skip
