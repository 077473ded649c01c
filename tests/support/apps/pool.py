"""Logs in children of multiprocessing: ``python pool.py METHOD KIND``."""

from __future__ import annotations

import logging
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

from eventlog_handlers import configure

configure("cms://cn-hangzhou")


def work(number):
    """Logs *number*."""
    logging.getLogger("shop").error("task %d", number)


def main(method, kind):
    """Have two children log forty times."""
    context = multiprocessing.get_context(method)
    if kind == "pool":  # whose block ends with SIGTERM for each child
        with context.Pool(2) as pool:
            pool.map(work, range(40), chunksize=1)
    else:
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            list(pool.map(work, range(40)))


if __name__ == "__main__":
    main(*sys.argv[1:])
