"""The logging handler of Alibaba Cloud CloudMonitor."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from eventlog_handlers.handler import Destination, EventHandler
from eventlog_handlers.pipeline.sink import Sink
from eventlog_handlers.process import clock
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.services.cms.options import TABLE, settings
from eventlog_handlers.services.cms.sink import CMSSink
from eventlog_handlers.settings.table import HandlerSignature

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from eventlog_handlers.services.cms.typed import CMSHandlerOptions


class CMSHandler(EventHandler):
    """Sends log records to Alibaba Cloud CloudMonitor as custom events (``PutCustomEvent``).

    All options are keywords. Raises SettingsError for a wrong one. Opens nothing, starts no thread and
    imports no client library before the first record.

    Options of its own, then those of every handler (default; meaning):

    region = "cn-hangzhou": makes the endpoint https://metrics.<region>.aliyuncs.com
    network = "public": "vpc": the region's address inside a VPC, https://metrics-vpc.<region>.aliyuncs.com
    endpoint = None: another endpoint: scheme, host and port
    access_key_id = None: else ALIBABA_CLOUD_ACCESS_KEY_ID, read at every call
    access_key_secret = None: else ALIBABA_CLOUD_ACCESS_KEY_SECRET
    security_token = None: of a temporary key; else ALIBABA_CLOUD_SECURITY_TOKEN
    credentials = None: instead of keys: a callable, an object with get_credential(), or its dotted name;
        asked at every call
    group_id = None: digits of an application group; None: no group
    event_name = "{logger}": template of the EventName; after 200 distinct names in a process the logger's
        name is taken
    signature = "v1": "v1" (RPC, HMAC-SHA1) or "v3" (ACS3-HMAC-SHA256)
    content_format = "text": Content as "text" for people or as one object of "json"
    max_content_bytes = 32_768: percent-encoded bytes of Content; a longer one is cut with a mark
    level = 0: the lowest level that becomes an event, a name or a number; with configure the default is
        "ERROR"
    service = None: the name of the application; None: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES or the
        script's name
    env = None: the deployment environment; None: deployment.environment.name of OTEL_RESOURCE_ATTRIBUTES
    tags = {}: labels that every event gets
    capacity = 10_000: how many events are held at most, waiting and in flight
    capacity_bytes = 67_108_864: how many bytes of memory these events take at most, as estimated
    when_full = "drop_lowest": which event is dropped when there is no room: "drop_lowest" the one of the
        lowest level, "drop_newest" the new one; "block": the logging call waits up to 1 s for room, then the
        lowest is dropped
    batch_size = None: how many events one request holds at most; None: as many as the service takes (CMS 50,
        CloudWatch Events 10, Guance 1)
    flush_interval = 1.0: how many seconds a batch that is not full waits at most; the first event of an idle
        handler goes at once
    timeout = (3.0, 10.0): seconds for connecting and seconds for reading; one number bounds both
    exit_timeout = 3.0: how many seconds the end of the process, and close(), wait at most for pending events
    max_age = 3600.0: an event that could not be delivered for so many seconds is dropped; with a spool the
        default is 172_800.0
    concurrency = 4: how many requests are under way at once at most; a second one starts only while more than
        one batch waits
    before_send = None: a function, or its dotted name; a thread of the handler calls it with each Event, and
        it returns this event, another one, or None to drop it; if it raises or returns anything else, the
        event keeps only the message's template with its numbers masked, types and places, and no value of the
        call
    requests_per_second = 10: rate limit of one endpoint and key, shared in the handler's scope; None: no
        limit
    requests_per_minute = None: the same by the minute, and never more in any 61 s; give one of the two
    burst = 5: how many requests may go at once after a quiet time; with a rate limit by the minute a quarter
        of it, 1 to 5
    scope = "host": which processes share rate limit, budgets and problems: "host", those of this user on this
        host; "process", this one alone; "redis://host:6379/0", all that use that Redis (see
        docs/processes.md)
    share = 1: this scope (host, pod, or process with scope="process") is one of N that share an account: rate
        limit, burst and budgets are divided by N
    max_events_per_hour = None: budget, shared in the handler's scope, in fixed windows from the first event
        on; further events are dropped and counted as budget
    max_events_per_day = None: the same for 24 hours
    budget_reserve = 0.1: the part of each budget (0 to 0.9) that only events of level 50 and above may use
    level_map = None: the status of a level, where it is to differ: {"WARNING": "error"}
    redact = True: take secrets out of events, by name and by form (see "Secrets in records"); a list: these
        names too; False: leave secrets in
    aggregate_seconds = None: repeats of an event within so many seconds (0.1 to 900) are counted, and go as
        one event with count, first and last time; the time doubles while repeats go on; None: every record is
        an event
    spool = None: a directory where events outlive the process, one for each account, as a string or a path; a
        relative path is made absolute at construction; None: events wait in memory
    durability = "staged": with a spool: "staged": an event is written there within about 50 ms of the log
        call; "commit": before the log call returns
    observer = None: an object, or its dotted name, with any of the methods of
        eventlog_handlers.observer.Observer; it is told of deliveries, retries, drops and states
    flush_on_sigterm = False: on SIGTERM flush first, then do what the process would have done without this
        option
    dry_run = False: make, encode and count every event, and send none; needs no credentials, keeps no rate
        limit, touches no spool
    proxies = None: proxy by scheme: {"https": "http://proxy.example:3128"}; None: from the environment
    ca_bundle = None: file of trusted certificates; None: from the environment, else the usual ones
    allow_insecure = False: allow plain http to a host other than this machine
    """

    __signature__ = HandlerSignature(TABLE)

    def __init__(self, **options: Unpack[CMSHandlerOptions]) -> None:
        own, pipeline = settings(options, os.environ)

        def make_sink(self_log: SelfLog) -> Sink:
            return CMSSink(
                own,
                clock=clock.monotonic,
                wall_clock=time.time,
                nonce=lambda: os.urandom(16).hex(),
                warn=self_log.say,
            )

        account = own.access_key_id or os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_ID", "")
        super().__init__(
            pipeline.level, pipeline, make_sink, Destination("cms", own.endpoint, account, repr(own.group_id))
        )
