"""Make the pictures of docs/console.md: ``python docs/make_screenshots.py [FOLDER]``.

A small shop logs two hours of trouble to the local stand-in, on a clock that this script sets; then a browser
goes through the page. Needs the extra ``browser``, and chromium. The same events make the same pictures, but
for the times and the fonts.
"""

from __future__ import annotations

import linecache
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))

import browser  # noqa: E402
import requests  # noqa: E402

from eventlog_handlers import CloudWatchEventsHandler, CMSHandler, GuanceHandler  # noqa: E402
from eventlog_handlers.console import acs  # noqa: E402
from eventlog_handlers.console.faults import Fault  # noqa: E402
from eventlog_handlers.console.server import LocalConsole  # noqa: E402
from eventlog_handlers.settings.local_console import (  # noqa: E402
    CONSOLE_ACCESS_KEY_ID,
    CONSOLE_ACCESS_KEY_SECRET,
    CONSOLE_GUANCE_KEY,
)

WIDE = {"width": 1360, "height": 850}
PHONE = {"width": 390, "height": 844}
MINUTES = 110
PICTURES = frozenset(
    f"console-{name}"
    for name in (
        "problems-light", "problems-dark", "event-light", "event-dark", "refused-light", "refused-dark",
        "faults-light", "rules-dark", "phone-light", "phone-dark", "phone-event-dark",
    )
)  # fmt: skip
"""Those that docs/console.md shows."""

SHOP = """\
import logging

import psycopg
from payments import client

orders = logging.getLogger("shop.orders")
stock = logging.getLogger("shop.stock")
payments = logging.getLogger("shop.payments")
mail = logging.getLogger("shop.mail")


def price_each(total_cents, pieces):
    return total_cents // pieces


def place(order):
    try:
        price_each(order.total_cents, order.pieces)
    except ZeroDivisionError:
        orders.exception("order %s can't be priced", order.id, extra={"order_id": order.id, "pieces": 0})


def pay(order):
    try:
        client.charge(order.id, order.total_cents)
    except TimeoutError:
        payments.exception("payment of order %s timed out, trying again", order.id,
                           extra={"order_id": order.id, "provider": "acme-pay", "attempt": order.attempt})


def take(item):
    try:
        psycopg.connect("dbname=stock")
    except ConnectionRefusedError:
        stock.critical("stock database unreachable, checkout closed", exc_info=True, extra={"item": item})


def told(order):
    mail.warning("confirmation of order %s is late by %d s", order.id, order.late, extra={"queue": "mail-2"})


def paid(order):
    orders.info("order %s paid", order.id, extra={"order_id": order.id, "amount": 59.8, "currency": "EUR"})
"""
CLIENT = """\
from payments import _transport


def charge(order, cents):
    return _transport.post("/v1/charges", {"order": order, "amount": cents})
"""
TRANSPORT = """\
def post(path, body):
    raise TimeoutError("no answer from acme-pay.example within 3.0 s")
"""
PSYCOPG = """\
def connect(dsn):
    raise ConnectionRefusedError(111, "Connection refused: stock-db:5432")
"""


class Order:
    """What the shop's functions look at."""

    def __init__(self, number: int) -> None:
        self.id = f"A-{number}"
        self.total_cents, self.pieces, self.attempt, self.late = 1990, 0, 1, 40 + number % 50


def module(name: str, path: str, source: str, **names: Any) -> Any:
    """A module whose tracebacks name *path*, which need not exist."""
    made = type(sys)(name)
    vars(made).update(names)
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    exec(compile(source, path, "exec"), vars(made))
    return made


def shop() -> Any:
    """The application, as if it were installed under /srv/shop."""
    site = "/srv/shop/.venv/lib/python3.12/site-packages"
    package = type(sys)("payments")
    sys.modules["payments"] = package
    transport = module("payments._transport", f"{site}/payments/_transport.py", TRANSPORT)
    sys.modules["payments._transport"] = package._transport = transport  # type: ignore[attr-defined]
    package.client = module("payments.client", f"{site}/payments/client.py", CLIENT)  # type: ignore[attr-defined]
    sys.modules["psycopg"] = module("psycopg", f"{site}/psycopg/__init__.py", PSYCOPG)
    return module("shop", "/srv/shop/shop.py", SHOP)


class Clock:
    """Wall time of the stand-in and of the records: it runs from some past minute to now."""

    def __init__(self) -> None:
        self.behind = MINUTES * 60.0

    def __call__(self) -> float:
        return time.time() - self.behind


def on_a_server(event: Any) -> Any:
    """Not the machine that makes the pictures."""
    return event._replace(host="web-3")


@contextmanager
def handlers(clock: Clock) -> Iterator[list[Any]]:
    """One for each service, on the loggers of the shop; records carry *clock*'s time."""
    options = {"service": "shop", "env": "production", "flush_interval": 0.01, "before_send": on_a_server}
    made: list[Any] = [
        CMSHandler(**options),
        GuanceHandler(aggregate_seconds=None, requests_per_minute=600, **options),
        CloudWatchEventsHandler(**options),
    ]
    logger = logging.getLogger("shop")
    logger.propagate, logger.level = False, logging.INFO

    class Past(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            record.created = clock()
            return True

    for handler in made:
        handler.addFilter(Past())
        logger.addHandler(handler)
    try:
        yield made
    finally:
        for handler in made:
            logger.removeHandler(handler)
            handler.close()


def live(console: LocalConsole, clock: Clock) -> None:
    """Two hours of the shop, and what was refused meanwhile."""
    app, chance = shop(), random.Random(7)
    number = 1000
    with handlers(clock) as made:
        for minute in range(MINUTES):
            clock.behind = (MINUTES - minute) * 60.0 - 8
            number += 1
            if chance.random() < 0.5:
                app.paid(Order(number))
            if chance.random() < 0.12 or 70 < minute < 84:
                app.pay(Order(number))
            if minute in (31, 58, 59, 90):
                app.place(Order(number))
            if minute > 96 and minute % 3 == 0:
                app.take("teapot")
            if chance.random() < 0.1 + minute / 500:
                app.told(Order(number))
            assert all(handler.flush(30) for handler in made)
        clock.behind = 20.0
        console.start_fault(Fault("cloudwatch", "500", count=1))
        app.pay(Order(number))
        assert all(handler.flush(30) for handler in made)
    refused(console)
    clock.behind = 0.0


def refused(console: LocalConsole) -> None:
    """What other scripts sent: one encodes blanks as "+" where it signs, one has a status of its own."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    common = {
        "Action": "PutCustomEvent", "Version": "2019-01-01", "Format": "JSON",
        "AccessKeyId": CONSOLE_ACCESS_KEY_ID, "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
        "SignatureNonce": "5f2c1e", "Timestamp": now,
    }  # fmt: skip
    event = {"EventInfo.1.EventName": "nightly report", "EventInfo.1.Content": "ERROR no space left"}
    pairs = sorted((common | event).items())
    signed = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)
    common["Signature"] = acs.signature_v1(f"POST&%2F&{acs.encoded(signed)}", CONSOLE_ACCESS_KEY_SECRET)
    with requests.Session() as http:
        http.trust_env = False
        http.headers["User-Agent"] = "nightly.py"
        http.post(console.url, params=common, data=event, timeout=5)
        http.post(
            f"{console.url}/api/v1/events/create",
            json={"date": int(time.time()), "status": "fatal", "title": "backup of /srv failed"},
            headers={"DF-API-KEY": CONSOLE_GUANCE_KEY},
            timeout=5,
        )


def pictures(console: LocalConsole, folder: Path) -> None:
    """Go through the page, dark and light, wide and on a phone; of PICTURES only."""
    with tempfile.TemporaryDirectory() as profile, browser.context(Path(profile), viewport=WIDE) as opened:
        page = opened.pages[0]

        def take(name: str) -> None:
            page.evaluate("document.activeElement.blur()")
            page.mouse.move(0, 0)
            page.wait_for_timeout(500)  # the list's highlight of what is new fades
            if name in PICTURES:
                page.screenshot(path=folder / f"{name}.png")

        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size(WIDE)
            page.goto(f"{console.url}/#/problems")
            page.wait_for_selector("#list .row")
            take(f"console-problems-{scheme}")
            page.locator("#list .row", has_text="timed out").click()
            page.locator("#detail .row", has_text="CloudWatch").first.click()
            page.wait_for_selector("#detail .trace")
            take(f"console-event-{scheme}")
            page.goto(f"{console.url}/#/refused")
            page.locator("#list .row", has_text="SignatureDoesNotMatch").first.click()
            page.wait_for_selector("#detail .sides")
            take(f"console-refused-{scheme}")
            page.goto(f"{console.url}/#/faults")
            page.wait_for_selector(".card")
            take(f"console-faults-{scheme}")
            page.goto(f"{console.url}/#/rules")
            page.click("#try")
            page.wait_for_selector("#verdict .row")
            take(f"console-rules-{scheme}")
            page.set_viewport_size(PHONE)
            page.goto(f"{console.url}/#/problems")
            page.wait_for_selector("#list .row")
            take(f"console-phone-{scheme}")
            page.locator("#list .row", has_text="timed out").click()
            page.locator("#detail .row").first.click()
            page.wait_for_selector("#detail .trace")
            take(f"console-phone-event-{scheme}")


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "images"
    folder.mkdir(exist_ok=True)
    clock = Clock()
    with LocalConsole(clock=clock) as console:
        console.relax()
        os.environ["EVENTLOG_CONSOLE"] = console.url
        live(console, clock)
        pictures(console, folder)


if __name__ == "__main__":
    main()
