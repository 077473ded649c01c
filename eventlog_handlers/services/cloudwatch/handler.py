"""The logging handler of CloudWatch Events (EventBridge)."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from eventlog_handlers.errors import MissingExtraError
from eventlog_handlers.handler import Destination, EventHandler
from eventlog_handlers.pipeline.sink import Sink
from eventlog_handlers.process import clock
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.services.cloudwatch import options as cloudwatch_options
from eventlog_handlers.services.cloudwatch.sink import CloudWatchEventsSink

if TYPE_CHECKING:
    from typing_extensions import Unpack


class CloudWatchEventsHandler(EventHandler):
    """Sends log records to CloudWatch Events, now EventBridge, through boto3 (``PutEvents``).

    All options are keywords; see ``settings.CloudWatchEventsOptions`` and the README's table. Raises
    SettingsError for a wrong one, MissingExtraError without boto3. Opens nothing, starts no thread and
    imports no client library before the first record.
    """

    def __init__(
        self,
        *,
        level: int | str = logging.NOTSET,
        **options: Unpack[cloudwatch_options.CloudWatchEventsOptions],
    ) -> None:
        own, pipeline = cloudwatch_options.cloudwatch(options, os.environ)
        if own.client is None and not pipeline.dry_run and not _is_installed("boto3"):
            raise MissingExtraError(
                "CloudWatchEventsHandler needs boto3: pip install 'eventlog-handlers[aws]'"
            )

        def make_sink(self_log: SelfLog) -> Sink:
            return CloudWatchEventsSink(own, clock=clock.monotonic)

        bus = repr((own.region_name, own.event_bus_name))
        super().__init__(
            level, pipeline, make_sink, Destination("cloudwatch", own.endpoint_url or "", "", bus)
        )


def _is_installed(module: str) -> bool:
    if module in sys.modules:
        return True
    try:
        return any(finder.find_spec(module, None) for finder in sys.meta_path)
    except ImportError:
        return False
