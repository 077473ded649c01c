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
    max_content_bytes = 32_768: percent-encoded bytes of Content; what is longer is cut with a mark
    level = 0: least level, as of any logging.Handler, a name or a number; with configure the default is
        "ERROR"
    service = None: name of the application; else OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, the script's
        name
    env = None: deployment environment; else deployment.environment.name of OTEL_RESOURCE_ATTRIBUTES
    tags = {}: constant labels of every event
    capacity = 10_000: events held at most, waiting and in flight
    capacity_bytes = 67_108_864: their estimated size in memory at most
    when_full = "drop_lowest": which event is dropped: "drop_lowest" level, "drop_newest"; "block" lets the
        logging call wait up to 1 s for room first
    batch_size = None: events in one request at most; None: what the service takes (CMS 50, CloudWatch Events
        10, Guance 1)
    flush_interval = 1.0: seconds a batch that is not full waits at most; the first event at an idle handler
        goes at once
    timeout = (3.0, 10.0): seconds for connecting and for reading; one number bounds both
    exit_timeout = 3.0: seconds the end of the process, and close(), wait at most for what is pending
    max_age = 3600.0: seconds after which an event that could not be delivered is dropped; with a spool
        172_800.0
    concurrency = 4: requests under way at once at most; further ones start only while more than a batch waits
    before_send = None: function, or its dotted name, that gets each Event on a thread of the handler and
        returns it, another one, or None to drop it; if it raises or returns anything else, what goes out is
        the message's template with its numbers masked, types and places, and no value that came with the call
    requests_per_second = 10: rate limit of this process, shared by its handlers of one endpoint and key;
        None: none
    requests_per_minute = None: the same by the minute, and never more in any 61 s; give one of the two
    burst = 5: requests that may go at once after a quiet time; with a rate limit by the minute a quarter of
        it, 1 to 5
    share = 1: this process is one of N: rate limit, burst, window and budgets are divided by N
    max_events_per_hour = None: budget of this handler and process, in fixed windows from the first event on;
        an event is charged once, as it comes in; the rest is dropped and counted as budget
    max_events_per_day = None: the same for 24 hours
    budget_reserve = 0.1: share of each budget (0 to 0.9) that only events of level 50 and above may use
    level_map = None: status by level where it is to differ: {"WARNING": "error"}
    redact = True: take secrets out of events, by name and by form (see "Secrets in records"); a list adds
        names; False: leave them in
    aggregate_seconds = None: what repeats an event within so many seconds (0.1 to 900; doubled while that
        goes on) is counted and goes as one event with count, first and last time; None: every record is an
        event
    spool = None: directory where events outlive the process, one per account, a string or a path; a relative
        one is made absolute at construction; None: they wait in memory
    durability = "staged": with a spool: written there within about 50 ms of the log call; "commit": before it
        returns
    observer = None: object, or its dotted name, with any of the methods of
        eventlog_handlers.observer.Observer: told of deliveries, retries, drops and states
    flush_on_sigterm = False: install a handler for SIGTERM that flushes and then does what would have been
        done without it
    dry_run = False: make, encode and count every event and send none; needs no credentials, keeps no rate
        limit, touches no spool
    proxies = None: proxy by scheme: {"https": "http://proxy.example:3128"}; None: from the environment
    ca_bundle = None: file of trusted certificates; None: from the environment, else the usual ones
    allow_insecure = False: plain http to a host other than this machine
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
