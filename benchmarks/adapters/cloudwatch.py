"""Our ``CloudWatchEventsHandler``."""

from __future__ import annotations

import logging
from typing import Any

from benchmarks.adapters import Adapter, Where
from benchmarks.adapters.cms import Ours


class CloudWatch(Ours):
    title = "CloudWatchEventsHandler"

    def make(self, where: Where, capacity: int, **options: Any) -> logging.Handler:
        from eventlog_handlers import CloudWatchEventsHandler

        return CloudWatchEventsHandler(
            endpoint_url=where.url, region_name="us-east-1", **self.common(capacity, options)
        )


def adapter() -> Adapter:
    return CloudWatch()
