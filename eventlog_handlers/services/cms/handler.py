"""The logging handler of Alibaba Cloud CloudMonitor."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

from eventlog_handlers.handler import Destination, EventHandler
from eventlog_handlers.pipeline.sink import Sink
from eventlog_handlers.process import clock
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.services.cms import options as cms_options
from eventlog_handlers.services.cms.sink import CMSSink

if TYPE_CHECKING:
    from typing_extensions import Unpack


class CMSHandler(EventHandler):
    """Sends log records to Alibaba Cloud CloudMonitor as custom events (``PutCustomEvent``).

    All options are keywords; see ``settings.CMSOptions`` and the README's table. Raises SettingsError for a
    wrong one. Opens nothing, starts no thread and imports no client library before the first record.
    """

    def __init__(
        self, *, level: int | str = logging.NOTSET, **options: Unpack[cms_options.CMSOptions]
    ) -> None:
        own, pipeline = cms_options.cms(options, os.environ)

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
            level, pipeline, make_sink, Destination("cms", own.endpoint, account, repr(own.group_id))
        )
