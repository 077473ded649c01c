"""One event in the forms of the three services: what must be the same in all of them."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl

import pytest
from captures import capture
from cloudwatch_events import event
from hypothesis import given
from hypothesis import strategies as st

from eventlog_handlers.events import Event
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.record.renderer import Renderer
from eventlog_handlers.services.cloudwatch.entry import encode as encode_entry
from eventlog_handlers.services.cloudwatch.options import CloudWatchSettings
from eventlog_handlers.services.cms.request import encode as encode_parameters
from eventlog_handlers.services.guance.body import encode as encode_body
from eventlog_handlers.settings.values import PipelineSettings


def entry(subject: Event) -> dict[str, Any]:
    payload = encode_entry(
        subject,
        source="{logger}",
        detail_type=None,
        resources=(),
        event_bus_name=None,
        max_bytes=CloudWatchSettings().max_request_bytes,
    )
    body: dict[str, Any] = payload.body
    return body


def parameters(subject: Event) -> dict[str, str]:
    payload = encode_parameters(
        subject, event_name="log", group_id=None, content_format="json", max_content_bytes=32_768
    )
    return dict(parse_qsl("&".join(payload.body), strict_parsing=True))


def body(subject: Event) -> dict[str, Any]:
    payload = encode_body(subject, origin="{logger}", title="{message}", max_message_bytes=32_768)
    decoded: dict[str, Any] = json.loads(payload.body)
    return decoded


@given(st.floats(0, 4e9))
def test_the_time_is_rounded_once(time: float) -> None:
    """To the same millisecond everywhere, so that an event is found by its time at each service."""
    subject = event(time=time)

    date = body(subject)["date"]
    moment = entry(subject)["Time"]

    assert round(moment.timestamp() * 1000) == date
    assert parameters(subject)["Time"][-8:-5] == f"{date % 1000:03d}"
    assert moment.isoformat(timespec="milliseconds")[20:23] == f"{date % 1000:03d}"


class Odd:
    """What no JSON has a form for."""

    def __str__(self) -> str:
        return "odd"


HOOKS_VALUES: dict[Any, Any] = {
    "nan": float("nan"),
    "infinite": float("-inf"),
    "bytes": b"caf\xc3\xa9",
    "set": {3, 1, 2},
    "datetime": datetime(2026, 11, 20, 11, 44, tzinfo=timezone.utc),
    "tuple": (1, "two"),
    "odd": Odd(),
    "long": 2**70,
    "surrogate": "\ud800",
    "nested": {1: {"deep": {b"x"}}},
    7: "an integer's name",
    None: "no name",
}


def test_what_a_hook_puts_in_is_the_same_everywhere() -> None:
    """Values that are no JSON become JSON once, after the hook: no service loses what another is sent."""

    def hook(subject: Event) -> Event:
        return subject._replace(attributes=HOOKS_VALUES)

    pipeline = PipelineSettings(batch_size=1, before_send=hook)
    record = logging.makeLogRecord({"msg": "m", "levelno": logging.ERROR})
    rendered = Renderer(pipeline, SelfLog("test"))(capture(record, id_bits=1))
    assert rendered is not None

    at_cloudwatch = json.loads(entry(rendered)["Detail"], parse_constant=pytest.fail)["extra"]
    at_cms = json.loads(parameters(rendered)["Content"], parse_constant=pytest.fail)["attributes"]
    at_guance = body(rendered)

    assert at_cloudwatch == at_cms == rendered.attributes
    assert at_cms["set"] == [1, 2, 3]
    assert (at_cms["nan"], at_cms["bytes"], at_cms["7"]) == ("NaN", "café", "an integer's name")
    assert at_guance["customTags"]["ext_7"] == "an integer's name"
    assert all(f"\n{name}: " in at_guance["message"] for name in rendered.attributes)


@pytest.mark.parametrize("message", ["x" * 300_000, "支付" * 100_000, '"\\' * 200_000])
def test_a_large_event_is_delivered_within_256_kib(message: str) -> None:
    """By default; what a target gets is the entry in AWS's envelope, and targets take 256 KiB."""
    sent = entry(event(message=message))
    envelope = {
        "version": "0",
        "id": "12345678-1234-1234-1234-123456789012",
        "detail-type": sent["DetailType"],
        "source": sent["Source"],
        "account": "123456789012",
        "time": "2026-11-20T11:44:24Z",
        "region": "ap-southeast-99",
        "resources": sent.get("Resources", []),
        "detail": json.loads(sent["Detail"]),
    }

    delivered = json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()

    assert 250_000 < len(delivered) <= 262_144
