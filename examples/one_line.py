"""One line in a program that logs already.

    EVENTLOG_CONSOLE=1 python examples/one_line.py        (beside a running `eventlog-handlers console`)

For the real services leave EVENTLOG_CONSOLE unset and put the credentials into the environment.
"""

import logging

from eventlog_handlers import configure

configure("cms://cn-hangzhou guance://cn1 cloudwatch://default?region=us-east-1", service="shop")

log = logging.getLogger("shop.orders")

try:
    total = 1990 / 0
except ZeroDivisionError:
    log.exception("order %s can't be priced", "A-1004", extra={"order_id": "A-1004"})

# What is still buffered when the program ends is sent then; no flush is needed.
