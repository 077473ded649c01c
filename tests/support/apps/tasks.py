"""A Celery application whose task logs, and the client that calls it: ``python tasks.py COUNT``."""

from __future__ import annotations

import logging
import logging.config
import os
import sys

from celery import Celery

app = Celery("tasks", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
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


@app.task(name="work")
def work(number):
    """Logs *number*."""
    logging.getLogger("shop").info("task %d", number)
    return os.getpid()


if __name__ == "__main__":
    results = [work.delay(number) for number in range(int(sys.argv[1]))]
    print(len({result.get(timeout=30) for result in results}))
