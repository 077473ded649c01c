"""``eventlog-handlers demo``: a small shop with real faults, logging to all three services at once.

The services are the local stand-in on a thread, so it takes no account, no key and no network. The shop
knows nothing of the handlers; LOGGING is all that ties them together.
"""

from __future__ import annotations

import logging
import logging.config
import os
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import eventlog_handlers
from eventlog_handlers.console.records import SERVICES, StoredEvent
from eventlog_handlers.console.server import LocalConsole
from eventlog_handlers.events import STATUSES
from eventlog_handlers.process import notices
from eventlog_handlers.services import registry

LOG_CALLS = 5
_FLUSH_SECONDS = 20.0

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "cms": {"class": "eventlog_handlers.CMSHandler", "service": "shop", "env": "demo"},
        "guance": {"class": "eventlog_handlers.GuanceHandler", "service": "shop", "env": "demo"},
        "cloudwatch": {
            "class": "eventlog_handlers.CloudWatchEventsHandler",
            "service": "shop",
            "env": "demo",
        },
    },
    "loggers": {
        "shop": {"level": "INFO", "handlers": ["cms", "guance", "cloudwatch"], "propagate": False},
    },
}


# --- the shop --------------------------------------------------------------------------------------------

_orders = logging.getLogger("shop.orders")
_stock = logging.getLogger("shop.stock")
_payments = logging.getLogger("shop.payments")

_ON_SHELF = {"teapot": 12, "cup": 40}


class PricingError(Exception):
    """A price could not be worked out."""


def price_each(total_cents: int, pieces: int) -> int:
    """Cents for one piece; raises PricingError."""
    try:
        return total_cents // pieces
    except ZeroDivisionError as error:
        raise PricingError(f"no price for {pieces} pieces") from error


def take(item: str, pieces: int) -> int:
    """Take *pieces* of *item* off the shelf and say how many are left; raises KeyError."""
    _ON_SHELF[item] -= pieces
    return _ON_SHELF[item]


def charge(order: str, timeout_seconds: float) -> bytes:
    """Ask the payment provider, which happens to be silent today; raises TimeoutError."""
    ours, provider = socket.socketpair()
    with ours, provider:
        ours.settimeout(timeout_seconds)
        ours.sendall(order.encode())
        return ours.recv(1)


def open_for_a_minute() -> None:
    """Serve a few customers. Makes LOG_CALLS log calls, of every level from info to critical."""
    left = take("teapot", 2)
    _orders.info(
        "order %s paid",
        "A-1001",
        extra={"order_id": "A-1001", "amount": 59.8, "currency": "EUR", "left": left},
    )
    try:
        charge("A-1002", timeout_seconds=0.05)
    except TimeoutError:
        _payments.warning(
            "payment of order %s is late, trying again", "A-1002", exc_info=True, extra={"order_id": "A-1002"}
        )
    try:
        take("samovar", 1)
    except KeyError:
        _stock.exception("order %s asks for what we never had", "A-1003", extra={"order_id": "A-1003"})
    try:
        price_each(total_cents=1990, pieces=0)
    except PricingError:
        _orders.exception("order %s can't be priced", "A-1004", extra={"order_id": "A-1004", "pieces": 0})
    _payments.critical(
        "payment provider unreachable, checkout closed", extra={"event_name": "checkout-closed"}
    )


# --- the demonstration -----------------------------------------------------------------------------------


def run(*, port: int = 0, keep: bool = False, quota: bool = False) -> int:
    """Run the shop against a stand-in on *port* (0: a free one), print what arrived, return the exit code.

    *quota* keeps the services' quotas of calls. *keep* leaves the page open until KeyboardInterrupt. Raises
    OSError if the port can't be had.
    """
    with LocalConsole(port=port) as console:
        if not quota:
            console.lift_quotas()
        notices.hushed = True  # the variable is set on purpose
        with _environment(EVENTLOG_CONSOLE=console.url, EVENTLOG_DISABLED=""):
            logging.config.dictConfig(LOGGING)
        handlers = list(logging.getLogger("shop").handlers)
        try:
            open_for_a_minute()
            eventlog_handlers.flush(timeout=_FLUSH_SECONDS)
        finally:
            for handler in handlers:
                logging.getLogger("shop").removeHandler(handler)
                handler.close()
        print(f"A small shop made {LOG_CALLS} log calls, of every level from info to critical.\n")
        print("\n".join(_table(console)))
        complete = all(len(console.events(service)) == LOG_CALLS for service in SERVICES)
        print("\nEverything arrived." if complete else "\nNot everything arrived: see the refusals above.")
        if keep:
            print(f"Look at it: {console.url}/ - Ctrl-C ends it.", flush=True)
            try:
                threading.Event().wait()
            except KeyboardInterrupt:
                print()
        else:
            print("To look at the events themselves: eventlog-handlers demo --keep")
        return 0 if complete else 1


def _table(console: LocalConsole) -> list[str]:
    rows = [("service", "accepted", "refused", "statuses", "titles")]
    for service in SERVICES:
        events, refusals = console.events(service), console.refused(service)
        first, *rest = _titles(events) or [""]
        counts = (str(len(events)), str(len(refusals)))
        rows.append((registry.SERVICES[service].title, *counts, _statuses(events), first))
        rows += [("", "", "", "", title) for title in rest]
        rows += [("", "", "", "refused:", f"{refusal.code} {refusal.message}") for refusal in refusals]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    rule = "  ".join("-" * width for width in widths)
    return [line.rstrip() for line in (lines[0], rule, *lines[1:])]


def _statuses(events: Sequence[StoredEvent]) -> str:
    counts = Counter(event.status for event in events)
    return ", ".join(f"{counts[status]} {status}" for status in (*STATUSES, "") if counts[status])


def _titles(events: Sequence[StoredEvent]) -> list[str]:
    counts = Counter(event.title for event in events)
    return [f"{title} x{count}" if count > 1 else title for title, count in counts.items()]


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
