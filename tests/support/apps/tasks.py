"""A Celery application with Celery's own defaults, and its client: ``python tasks.py COUNT``.

Each task logs twice, by the application's logger and by Celery's task logger. Every third task fails.
"""

from __future__ import annotations

import logging
import os
import sys

from celery import Celery
from celery.utils.log import get_task_logger

from eventlog_handlers import configure

configure("cms://cn-hangzhou", requests_per_second=1000)
app = Celery("tasks", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
task_log = get_task_logger(__name__)


@app.task(name="work")
def work(number):
    """Logs *number*."""
    logging.getLogger("shop").error("task %d", number)
    task_log.error("task logger %d", number)
    if number % 3 == 0:
        raise LookupError(f"no order {number}")
    return os.getpid()


if __name__ == "__main__":
    results = [work.delay(number) for number in range(int(sys.argv[1]))]
    for result in results:
        result.get(timeout=30, propagate=False)
    print(len({result.result for result in results if result.successful()}))
