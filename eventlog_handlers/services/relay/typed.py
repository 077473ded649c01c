"""For type checkers: RelayHandler's options. Made by ``docs/make_options.py``, not imported."""

from __future__ import annotations

from eventlog_handlers.settings.typed import CommonOptions


class RelayHandlerOptions(CommonOptions, total=False):
    """``RelayHandler``'s own options."""

    url: str
    """Redis (6.2 or newer) or Valkey; `rediss://` for TLS; user and password from `EVENTLOG_REDIS_USERNAME`
    and `EVENTLOG_REDIS_PASSWORD`, or in a URL that is given in code. Default: "redis://127.0.0.1:6379/0".
    """
    queue: str
    """The queue that events are put into; a queue has one destination. Default: "events"."""
    queue_capacity: int
    """How many events wait in the queue at most; above it they stay with their processes. Default: 100_000.
    """
    wait_replicas: int
    """How many replicas must have an event before it counts as delivered; waits half a second at most.
    Default: 0.
    """
