"""A record logged through dictConfig arrives at each service, right in every field, at the price it must."""

from __future__ import annotations

import json
import logging
import logging.config
import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import freezegun
import jsonschema
import pytest

import eventlog_handlers
from eventlog_handlers.schemas import load

SERVICES = ("cms", "guance", "cloudwatch")
log = logging.getLogger("shop.orders")


@pytest.fixture
def handlers(eventlog_console) -> Iterator[dict[str, Any]]:
    """The three handlers on the logger ``shop``, from one dictConfig."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "cms": {
                    "class": "eventlog_handlers.CMSHandler",
                    "group_id": 7,
                    "event_name": "{logger}:{exception}",
                    "requests_per_second": None,
                    "service": "shop",
                    "env": "test",
                },
                "guance": {
                    "class": "eventlog_handlers.GuanceHandler",
                    "requests_per_minute": None,
                    "aggregate_seconds": None,
                    "service": "shop",
                    "env": "test",
                    "tags": {"team": "orders"},
                },
                "cloudwatch": {
                    "class": "eventlog_handlers.CloudWatchEventsHandler",
                    "resources": ["arn:aws:s3:::orders"],
                    "service": "shop",
                    "env": "test",
                },
            },
            "loggers": {
                "shop": {"level": "DEBUG", "handlers": ["cms", "guance", "cloudwatch"], "propagate": False}
            },
        }
    )
    shop = logging.getLogger("shop")
    yield dict(zip(SERVICES, shop.handlers, strict=True))
    for handler in list(shop.handlers):
        shop.removeHandler(handler)
        handler.close()


def assert_all_delivered(handlers: dict[str, Any]) -> None:
    for handler in handlers.values():
        stats = handler.stats()
        assert stats["accepted"] == stats["delivered"], stats
        assert not stats["dropped"]
        assert stats["pending"] == 0


def test_every_field_arrives_at_every_service(eventlog_console, handlers):
    """Info, warning, exception and critical: nothing is refused, each field is where users look for it."""
    with freezegun.freeze_time("2026-03-01T12:30:45.678Z"):
        log.info("order %s placed", 17, extra={"customer": "c-9", "amount": 12.5})
        log.warning(
            "stock is low", extra={"event_name": "stock-low", "group_id": "8", "event_status": "nodata"}
        )
        try:
            {}["sku-1"]
        except KeyError:
            log.exception("lookup of %s failed", "sku-1")
        log.critical("database is down", extra={"detail_type": "Outage", "resources": ["arn:aws:rds:::db"]})
    assert eventlog_handlers.flush(30)

    assert eventlog_console.refused() == []
    assert_all_delivered(handlers)

    cms = {e.body["Content"].splitlines()[0]: e.body for e in eventlog_console.events("cms")}
    assert set(cms) == {
        "INFO order 17 placed",
        "WARNING stock is low",
        "ERROR lookup of sku-1 failed",
        "CRITICAL database is down",
    }
    assert {body["Time"] for body in cms.values()} == {"20260301T123045.678+0000"}
    assert cms["ERROR lookup of sku-1 failed"]["EventName"] == "shop.orders:KeyError"
    assert cms["WARNING stock is low"]["EventName"] == "stock-low"
    assert [body["GroupId"] for body in cms.values()].count("7") == 3
    assert cms["WARNING stock is low"]["GroupId"] == "8"
    assert "KeyError: 'sku-1'" in cms["ERROR lookup of sku-1 failed"]["Content"]
    assert "customer: c-9" in cms["INFO order 17 placed"]["Content"]

    guance = {e.body["title"]: e.body for e in eventlog_console.events("guance")}
    assert {title: body["status"] for title, body in guance.items()} == {
        "order 17 placed": "info",
        "stock is low": "nodata",
        "lookup of sku-1 failed": "error",
        "database is down": "critical",
    }
    assert {body["date"] for body in guance.values()} == {1772368245678}
    assert {body["origin"] for body in guance.values()} == {"shop.orders"}
    failed = guance["lookup of sku-1 failed"]
    assert failed["customTags"]["exc_type"] == "KeyError"
    assert failed["customTags"]["team"] == "orders"
    assert failed["customTags"]["env"] == "test"
    assert guance["order 17 placed"]["customTags"]["customer"] == "c-9"
    assert "Traceback (most recent call last):" in failed["message"]

    cloudwatch = {}
    for event in eventlog_console.events("cloudwatch"):
        detail = json.loads(event.body["Detail"])
        jsonschema.validate(detail, load("detail-1"))
        cloudwatch[detail["message"]] = (event.body, detail)
    assert {message: body["DetailType"] for message, (body, _) in cloudwatch.items()} == {
        "order 17 placed": "Log Record",
        "stock is low": "Log Record",
        "lookup of sku-1 failed": "Log Exception",
        "database is down": "Outage",
    }
    assert {body["Source"] for body, _ in cloudwatch.values()} == {"shop.orders"}
    assert cloudwatch["order 17 placed"][0]["Resources"] == ["arn:aws:s3:::orders"]
    assert cloudwatch["database is down"][0]["Resources"] == ["arn:aws:rds:::db"]
    detail = cloudwatch["lookup of sku-1 failed"][1]
    assert detail["level"] == "ERROR"
    assert detail["severity_number"] == 17
    assert detail["message_template"] == "lookup of %s failed"
    assert detail["exception"]["type"] == "KeyError"
    assert detail["exception"]["stacktrace"].endswith("KeyError: 'sku-1'")
    assert detail["service"]["name"] == "shop"
    assert detail["process"]["pid"] == os.getpid()
    assert detail["code"]["function"]["name"] == "test_every_field_arrives_at_every_service"
    assert cloudwatch["order 17 placed"][1]["extra"] == {"customer": "c-9", "amount": 12.5}


def test_two_hundred_records_make_few_calls(eventlog_console, handlers):
    """At most 8 PutCustomEvent and 26 PutEvents calls, and every record once at each service."""
    for number in range(200):
        log.error("record %d", number)
    assert eventlog_handlers.flush(60)

    assert_all_delivered(handlers)
    assert len(eventlog_console.requests("cms")) <= 8
    assert len(eventlog_console.requests("cloudwatch")) <= 26
    assert len(eventlog_console.requests("guance")) == 200
    for service in SERVICES:
        assert len(eventlog_console.events(service)) == 200


def ids_of(console: Any, service: str) -> Counter[str]:
    """Event ids accepted by *service*."""
    take = {
        "cms": lambda body: body["Content"].rpartition("event_id: ")[2].split()[0],
        "guance": lambda body: body["customTags"]["event_uid"],
        "cloudwatch": lambda body: json.loads(body["Detail"])["event"]["id"],
    }[service]
    return Counter(take(event.body) for event in console.events(service))


@pytest.mark.parametrize(
    ("service", "code"),
    [("cms", "ParameterInvalid"), ("guance", "ft.InvalidParameter"), ("cloudwatch", "ValidationException")],
)
def test_one_bad_event_among_fifty_costs_exactly_itself(eventlog_console, handlers, service, code):
    """The service refuses whatever holds it; its 49 neighbours arrive once each, and the loss is counted."""
    eventlog_console.script.refuse(service, "the poisoned one", code=code)

    for number in range(50):
        log.error("%s %d", "the poisoned one" if number == 31 else "good", number)
    assert eventlog_handlers.flush(60)

    arrived = ids_of(eventlog_console, service)
    assert (len(arrived), max(arrived.values())) == (49, 1)
    stats = handlers[service].stats()
    assert (stats["delivered"], stats["dropped"]) == (49, {f"rejected: {code}": 1})
    assert stats["accepted"] == 50
    for other in SERVICES:
        if other != service:
            assert handlers[other].stats()["delivered"] == 50


def test_entries_throttled_one_by_one_are_the_only_ones_sent_again(eventlog_console, handlers):
    """PutEvents judges each entry: delivered neighbours don't go twice."""
    eventlog_console.script.fail_entries("slow down", code="ThrottlingException", times=3)

    for number in range(10):
        log.error("slow down %d" if number in (2, 5, 7) else "fine %d", number)
    assert eventlog_handlers.flush(60)

    arrived = ids_of(eventlog_console, "cloudwatch")
    assert (len(arrived), max(arrived.values())) == (10, 1)
    stats = handlers["cloudwatch"].stats()
    assert (stats["delivered"], stats["retried"]) == (10, 3)


def test_a_frozen_clock_in_a_users_test_hangs_nothing(eventlog_console, handlers):
    """freezegun freezes time.monotonic too; batching, flush and close go on by another clock."""
    with freezegun.freeze_time("2001-02-03T04:05:06Z"):
        for number in range(120):
            log.error("record %d", number)
        settled = eventlog_handlers.flush(30)

    assert settled
    assert_all_delivered(handlers)
    assert {event.body["Time"] for event in eventlog_console.events("cms")} == {"20010203T040506.000+0000"}


def test_the_applications_random_numbers_are_left_alone(eventlog_console, handlers):
    """A simulation with a seed repeats itself, whatever is logged and retried beside it."""
    eventlog_console.script.fail_entries("try again", code="InternalFailure", times=3)
    before = random.getstate()

    for number in range(30):
        log.error("try again %d", number)
    assert eventlog_handlers.flush(60)

    assert random.getstate() == before
    assert handlers["cloudwatch"].stats()["retried"] == 3


def test_before_send_may_change_an_event_or_drop_it(eventlog_console):
    """The hook runs on the worker's thread; None is a counted drop."""
    threads = set()

    def hook(event):
        threads.add(threading.current_thread().name)
        return None if "secret" in event.message else event._replace(message=event.message.upper())

    handler = eventlog_handlers.GuanceHandler(before_send=hook, requests_per_minute=None)
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    logger.error("hello")
    logger.error("a secret")
    assert handler.flush(20)

    assert [event.body["title"] for event in eventlog_console.events("guance")] == ["HELLO"]
    assert handler.stats()["dropped"] == {"before_send": 1}
    assert threads == {"eventlog-GuanceHandler"}
    handler.close()


def test_a_formatter_makes_the_message_and_leaves_the_record_alone(eventlog_console):
    """What dictConfig's formatter key sets is the message; the traceback isn't doubled into it."""
    handler = eventlog_handlers.GuanceHandler(requests_per_minute=None)
    handler.setFormatter(logging.Formatter("<%(levelname)s> %(message)s"))
    records = []
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    logger.addFilter(lambda record: records.append(record) or True)
    try:
        raise ValueError("wrong")
    except ValueError:
        logger.exception("failed %d", 3)
    before = set(vars(records[0]))
    assert handler.flush(20)

    (event,) = eventlog_console.events("guance")
    assert event.body["title"] == "<ERROR> failed 3"
    assert event.body["message"].count("ValueError: wrong") == 1
    assert "message" not in before
    assert records[0].exc_text is None
    handler.close()


def test_cms_names_stay_few(eventlog_console, capsys):
    """Over 200 names a process no alarm rule can match any more: then it is the logger's name."""
    handler = eventlog_handlers.CMSHandler(event_name="{message}", requests_per_second=None)
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    for number in range(300):
        logger.error("name %d", number)
    assert handler.flush(30)

    names = Counter(event.body["EventName"] for event in eventlog_console.events("cms"))
    assert len(names) == 201
    assert names["shop"] == 100
    assert capsys.readouterr().err.count("eventlog_handlers: CMSHandler:") == 1
    handler.close()


@pytest.mark.parametrize("signature", ["v1", "v3"])
def test_both_signatures_are_accepted(eventlog_console, signature):
    """The stand-in recomputes each signature over what it received."""
    eventlog_console.cms.skew_seconds = 900
    handler = eventlog_handlers.CMSHandler(signature=signature, content_format="json")
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    logger.error("héllo wörld & %s=+~*", "名🚀")
    assert handler.flush(20)

    (event,) = eventlog_console.events("cms")
    assert json.loads(event.body["Content"])["message"] == "héllo wörld & 名🚀=+~*"
    assert eventlog_console.refused() == []
    handler.close()
