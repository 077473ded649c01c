"""How programs use the package, for type checkers alone: each line marked ``# refused`` must be an error."""

from __future__ import annotations

import logging
import logging.handlers
import os
from pathlib import Path
from typing import Any

from typing_extensions import assert_type

from eventlog_handlers import (
    CloudWatchEventsHandler,
    CMSHandler,
    GuanceHandler,
    Handler,
    configure,
    flush,
    incident,
    stats,
)
from eventlog_handlers.events import Event


def without_debug(event: Event) -> Event | None:
    return event if event.level > logging.DEBUG else None


# What configure returns, as far as the DSN's text says it.
assert_type(configure("guance://cn1"), GuanceHandler)
assert_type(configure("cms://cn-hangzhou", group_id=7, level="ERROR", spool=Path("/var/events")), CMSHandler)
assert_type(configure("eventbridge://default", region_name="us-east-1"), CloudWatchEventsHandler)
assert_type(configure("guance://cn1?max_age=60", level=logging.INFO), Handler)
assert_type(configure("cms://cn-hangzhou guance://cn1", service="shop", before_send=without_debug), Handler)
assert_type(configure(logger="shop", uncaught=False), Handler)

# What is done with it.
handler = configure(
    os.environ["DESTINATION"], before_send="shop.hooks.clean", tags={"team": "shop", "zone": 3}
)
assert_type(handler.flush(2.0), bool)
assert_type(handler.flush(), bool)
assert_type(handler.stats(), dict[str, Any])
handler.close(1.0)
logging.getLogger().removeHandler(handler)
logging.handlers.MemoryHandler(100, target=GuanceHandler(timeout=[3, 10], redact=["iban"]))
assert_type(flush(1), bool)
assert_type(stats(), dict[str, Any])
with incident("db"):
    pass

# What is wrong.
configure(dsn=5)  # refused
configure(sight="cn1")  # refused
configure("cms://cn-hangzhou", group_id=[7])  # refused
configure(os.environ["DESTINATION"], capacity="many")  # refused
CMSHandler("cn-hangzhou")  # refused
CMSHandler(site="cn1")  # refused
GuanceHandler(capasity=5)  # refused
GuanceHandler(when_full="drop-lowest")  # refused
CloudWatchEventsHandler(resources=5)  # refused
handler.flush("soon")  # refused
print(handler.stats().delivered)  # refused
