"""The logging handler of Guance."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from eventlog_handlers.handler import Destination, EventHandler
from eventlog_handlers.pipeline.sink import Sink
from eventlog_handlers.process import clock
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.services.guance import options as guance_options
from eventlog_handlers.services.guance.sink import GuanceSink

if TYPE_CHECKING:
    from typing_extensions import Unpack


class GuanceHandler(EventHandler):
    """Sends log records to Guance or TrueWatch as events (``POST /api/v1/events/create``).

    All options are keywords; see ``settings.GuanceOptions`` and the README's table. Raises SettingsError for
    a wrong one. Opens nothing, starts no thread and imports no client library before the first record.
    """

    def __init__(
        self, *, level: int | str = logging.NOTSET, **options: Unpack[guance_options.GuanceOptions]
    ) -> None:
        own, pipeline = guance_options.guance(options, os.environ)

        def make_sink(self_log: SelfLog) -> Sink:
            return GuanceSink(own, clock=clock.monotonic)

        key = own.api_key or os.environ.get("DF_API_KEY", "")
        super().__init__(level, pipeline, make_sink, Destination("guance", own.endpoint, key, ""))
