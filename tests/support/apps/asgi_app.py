"""Logs one record per request, wrapped for the server's shutdown: for uvicorn and hypercorn."""

from __future__ import annotations

import logging
import logging.config
import os

from eventlog_handlers.asgi import wrap
from eventlog_handlers.process import sigterm

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "cms": {
                "class": "eventlog_handlers.CMSHandler",
                "requests_per_second": None,
                "flush_interval": 3600,
            }
        },
        "loggers": {"shop": {"level": "INFO", "handlers": ["cms"]}},
    }
)
log = logging.getLogger("shop")
if "SHOP_SIGTERM" in os.environ:
    sigterm.install()


async def bare(scope, receive, send):
    """An application without lifespan."""
    if scope["type"] != "http":
        raise ValueError("http only")
    if scope["path"].startswith("/log/"):
        log.info("%s", scope["path"].removeprefix("/log/"))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


async def full(scope, receive, send):
    """The same with lifespan, which it logs."""
    if scope["type"] != "lifespan":
        return await bare(scope, receive, send)
    await receive()
    log.info("startup %d", os.getpid())
    await send({"type": "lifespan.startup.complete"})
    await receive()
    log.info("shutdown %d", os.getpid())
    await send({"type": "lifespan.shutdown.complete"})


application = wrap(bare)
with_lifespan = wrap(full)
