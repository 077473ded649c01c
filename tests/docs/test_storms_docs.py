"""docs/storms.md: its rule patterns match what they say, with events sent to moto by our handler."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cloudwatch_events import event
from law import assert_law
from moto.server import ThreadedMotoServer

from eventlog_handlers import CloudWatchEventsHandler, incident, incidents
from eventlog_handlers.process import clock
from eventlog_handlers.services.cloudwatch.options import CloudWatchSettings
from eventlog_handlers.services.cloudwatch.sink import CloudWatchEventsSink
from eventlog_handlers.settings.secret import Secret

PAGE = (Path(__file__).parents[2] / "docs" / "storms.md").read_text()
RULES = dict(re.findall(r"<!-- rule: (\w+) -->\n```json\n(.*?)```", PAGE, re.DOTALL))
BUS = "storms"
REPEATS = 150


MATCHED = {
    # message, or what begins it: which rules
    "stock is low": {"source"},
    "no stock": {"errors", "source"},
    "on fire": {"errors", "critical", "source"},
    "till on fire": {"critical"},
    "refused": {"errors", "exception", "cause", "source"},
    "wrapped": {"errors", "cause", "source"},
    "probe": {"errors"},
    "storm": {"errors", "source"},
    "storm, repeated": {"errors", "storm", "source"},
    "db is failing: OSError: no route": {"errors", "source"},
    "db works again": {"recovered", "source"},
    "7 events lost": {"lost"},
}


def log_everything(log: logging.Logger, till: logging.Logger, health: logging.Logger) -> None:
    """A record of each kind; incidents too."""
    log.warning("stock is low")
    log.error("no stock")
    log.critical("on fire")
    till.critical("till on fire")
    health.error("probe")
    try:
        raise ConnectionRefusedError("x")
    except ConnectionRefusedError as error:
        log.exception("refused")
        try:
            raise KeyError("y") from error
        except KeyError:
            log.exception("wrapped")
    with pytest.raises(OSError, match="no route"), incident("db", logger=log):
        raise OSError("no route")
    with incident("db", logger=log):
        pass


@pytest.fixture(scope="module")
def arrived() -> Iterator[dict[str, set[str]]]:
    """By message, the rules of the page that passed it on."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield passed_on("http://{}:{}".format(*server.get_host_and_port()))
    finally:
        server.stop()


def passed_on(url: str) -> dict[str, set[str]]:
    session = boto3.Session("AKIAMOTO", "moto-secret", region_name="us-east-1")
    events, sqs = (session.client(service, endpoint_url=url) for service in ("events", "sqs"))
    events.create_event_bus(Name=BUS)
    queues = {}
    for name, pattern in {**RULES, "all": '{"account": [{"prefix": ""}]}'}.items():
        # Names of its own: what moto holds is the process's, other tests' queues too.
        queues[name] = sqs.create_queue(QueueName=f"storms-{name}")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=queues[name], AttributeNames=["QueueArn"])
        events.put_rule(Name=name, EventBusName=BUS, EventPattern=pattern)
        target = {"Id": "queue", "Arn": attributes["Attributes"]["QueueArn"]}
        assert events.put_targets(Rule=name, EventBusName=BUS, Targets=[target])["FailedEntryCount"] == 0

    incidents._forget()
    handler = CloudWatchEventsHandler(session=session, event_bus_name=BUS, endpoint_url=url)
    folding = CloudWatchEventsHandler(
        session=session, event_bus_name=BUS, endpoint_url=url, aggregate_seconds=60
    )
    log, till, health = (logging.Logger(name) for name in ("shop.cart", "till", "shop.health"))
    for logger in (log, till, health):
        logger.addHandler(handler)
    log_everything(log, till, health)
    stormy = logging.Logger("shop.cart")
    stormy.addHandler(folding)
    for number in range(REPEATS + 1):
        stormy.error("storm %s", number)
    for each in (handler, folding):
        assert each.flush(60)
        assert_law(each.stats())
        assert each.stats()["dropped"] == {}
        each.close()
    # The handler's own report, which takes an outage of a service to come about.
    settings = CloudWatchSettings(
        region_name="us-east-1",
        event_bus_name=BUS,
        endpoint_url=url,
        access_key_id=Secret("AKIAMOTO"),
        access_key_secret=Secret("moto-secret"),
    )
    sink = CloudWatchEventsSink(settings, clock=clock.monotonic)
    report = event(
        logger="eventlog_handlers", message="7 events lost", exception=None, level=30, status="warning"
    )
    sink.send([sink.encode(report)], timeout=10)
    sink.close()

    found: dict[str, set[str]] = {}
    for name, queue_url in queues.items():
        for detail in details(sqs, queue_url):
            found.setdefault(title_of(detail), set()).add(name)
    assert all("all" in rules for rules in found.values())
    return {title: rules - {"all"} for title, rules in found.items()}


def details(sqs: Any, queue_url: str) -> Iterator[dict[str, Any]]:
    """Of everything in the queue."""
    while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            yield json.loads(message["Body"])["detail"]
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])


def title_of(detail: dict[str, Any]) -> str:
    """The message, without what differs from run to run."""
    message = str(detail["message"])
    if message.startswith("storm "):
        assert detail["count"] in (1, REPEATS)
        return "storm" if detail["count"] == 1 else "storm, repeated"
    return message.partition(" after ")[0]


def test_the_page_has_the_rules_that_are_tried() -> None:
    """No pattern on it goes untested, and each is one event pattern in JSON."""
    assert set(RULES) == set().union(*MATCHED.values())
    assert PAGE.count("```json") == len(RULES)
    assert all(isinstance(json.loads(pattern), dict) for pattern in RULES.values())


@pytest.mark.parametrize("rule", list(RULES))
def test_a_rule_passes_on_what_the_page_says_and_nothing_else(
    rule: str, arrived: dict[str, set[str]]
) -> None:
    """Each event that matches is in the rule's queue, and no other."""
    assert {title for title, rules in arrived.items() if rule in rules} == {
        title for title, rules in MATCHED.items() if rule in rules
    }


def test_every_event_arrived(arrived: dict[str, set[str]]) -> None:
    """What a rule left out it saw: all of them reached the bus."""
    assert set(arrived) == set(MATCHED)
