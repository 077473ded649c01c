"""Our ``GuanceHandler``, without the service's pace."""

from __future__ import annotations

import logging
from typing import Any

from benchmarks.adapters import Adapter, Where
from benchmarks.adapters.cms import Ours


class Guance(Ours):
    title = "GuanceHandler"

    def make(self, where: Where, capacity: int, **options: Any) -> logging.Handler:
        from eventlog_handlers import GuanceHandler

        return GuanceHandler(
            endpoint=where.url,
            api_key="key",
            requests_per_minute=None,
            **self.common(capacity, options),
        )


def adapter() -> Adapter:
    return Guance()
