"""From an event to a queue: PutEvents, a rule with a pattern and SQS, played by moto's server on a socket."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import boto3
import jsonschema
import pytest
from cloudwatch_events import event
from moto.server import ThreadedMotoServer

from eventlog_handlers import schemas
from eventlog_handlers.events import DELIVERED
from eventlog_handlers.services.cloudwatch.options import CloudWatchSettings
from eventlog_handlers.services.cloudwatch.sink import CloudWatchEventsSink
from eventlog_handlers.settings.secret import Secret

BUS = "logs"
PATTERN = {"source": [{"prefix": "shop."}], "detail": {"severity_number": [{"numeric": [">=", 17]}]}}


class Bus(NamedTuple):
    sink: CloudWatchEventsSink
    sqs: Any
    queue_url: str

    def received(self) -> list[dict[str, Any]]:
        """The envelopes in the queue, taken out."""
        answer = self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in answer.get("Messages", ())]


@pytest.fixture(scope="module")
def bus() -> Iterator[Bus]:
    """A bus whose rule passes errors of the shop on to a queue."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    session = boto3.Session("AKIAMOTO", "moto-secret", region_name="us-east-1")
    events, sqs = (session.client(service, endpoint_url=url) for service in ("events", "sqs"))
    queue_url = sqs.create_queue(QueueName="errors")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
    events.create_event_bus(Name=BUS)
    events.put_rule(Name="errors", EventBusName=BUS, EventPattern=json.dumps(PATTERN))
    events.put_targets(
        Rule="errors", EventBusName=BUS, Targets=[{"Id": "queue", "Arn": attributes["QueueArn"]}]
    )
    settings = CloudWatchSettings(
        region_name="us-east-1",
        event_bus_name=BUS,
        endpoint_url=url,
        access_key_id=Secret("AKIAMOTO"),
        access_key_secret=Secret("moto-secret"),
    )
    yield Bus(CloudWatchEventsSink(settings, clock=time.monotonic), sqs, queue_url)
    server.stop()


def test_events_arrive_in_the_queue_as_they_were_sent(bus: Bus) -> None:
    """Source, detail type, resources, time and every key of the detail reach a rule's target."""
    message, resources = "“x” 漢 🦢 \x00", ("arn:aws:s3:::x",)
    subjects = [event(id=f"{n:032x}", message=message, resources=resources) for n in range(10)]
    payloads = [bus.sink.encode(subject) for subject in subjects]

    outcomes = bus.sink.send(payloads, timeout=10)

    envelopes = sorted(bus.received(), key=lambda envelope: str(envelope["detail"]["event"]["id"]))
    assert outcomes == [DELIVERED] * 10
    assert [each["detail"] for each in envelopes] == [json.loads(each.body["Detail"]) for each in payloads]
    assert {(each["source"], each["detail-type"], each["time"]) for each in envelopes} == {
        ("shop.orders", "Log Exception", "2026-11-20T11:44:24Z")
    }
    assert envelopes[0]["resources"] == ["arn:aws:s3:::x"]
    for envelope in envelopes:
        jsonschema.Draft202012Validator(schemas.load("detail-1")).validate(envelope["detail"])


def test_a_rule_can_tell_events_by_their_detail(bus: Bus) -> None:
    """The severity number is a number a pattern can compare: a warning stays out of the queue."""
    subjects = [event(level=30, level_name="WARNING"), event(level=50), event(logger="other")]

    bus.sink.send([bus.sink.encode(subject) for subject in subjects], timeout=10)

    assert [envelope["detail"]["severity_number"] for envelope in bus.received()] == [21]
