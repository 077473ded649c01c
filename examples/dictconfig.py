"""Handlers from a dict, as most applications and Django's LOGGING have it.

EVENTLOG_CONSOLE=1 python examples/dictconfig.py        (beside a running `eventlog-handlers console`)
"""

import logging.config

from eventlog_handlers import flush, stats

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "cms": {
            "class": "eventlog_handlers.CMSHandler",
            "level": "WARNING",
            "region": "cn-hangzhou",
            "group_id": 7301,
            "service": "shop",
        },
        "guance": {
            "class": "eventlog_handlers.GuanceHandler",
            "level": "ERROR",
            "site": "cn1",
            "service": "shop",
            "tags": {"team": "checkout"},
        },
        "cloudwatch": {
            "class": "eventlog_handlers.CloudWatchEventsHandler",
            "level": "INFO",
            "region_name": "us-east-1",
            "source": "shop.{module}",
            "service": "shop",
        },
    },
    "root": {"level": "INFO", "handlers": ["cms", "guance", "cloudwatch"]},
}

logging.config.dictConfig(LOGGING)
log = logging.getLogger("shop.stock")

log.info("shelf filled", extra={"item": "teapot", "pieces": 12})
log.warning("only %d left of %s", 2, "cup")
log.error("no %s on the shelf", "samovar", extra={"event_name": "out-of-stock"})

flush(timeout=10)
for name, counters in sorted(stats().items()):
    print(f"{name}: {counters['delivered']} of {counters['accepted']} delivered")
