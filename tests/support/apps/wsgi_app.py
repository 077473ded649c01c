"""Logs one record per request, and one while the module is loaded: for gunicorn and uWSGI."""

from __future__ import annotations

import logging
import logging.config
import os
import time
from urllib.parse import unquote

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            # An hour: after the first, only the end of the process sends.
            "cms": {
                "class": "eventlog_handlers.CMSHandler",
                "requests_per_second": None,
                "flush_interval": 3600,
            },
            "cloudwatch": {"class": "eventlog_handlers.CloudWatchEventsHandler", "flush_interval": 3600},
        },
        "loggers": {"shop": {"level": "INFO", "handlers": os.environ.get("SHOP_HANDLERS", "cms").split()}},
    }
)
log = logging.getLogger("shop")
log.info("loaded")


def application(environ, start_response):
    """Answers with the number of the process."""
    path = environ["PATH_INFO"]
    if path.startswith("/log/"):
        log.info("%s", unquote(path.removeprefix("/log/")))
    elif path == "/hang":
        log.info("before hanging")
        time.sleep(60)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
