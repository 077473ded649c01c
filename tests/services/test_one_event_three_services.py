"""One event in the forms of the three services: what must be the same in all of them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from cloudwatch_events import event
from hypothesis import given
from hypothesis import strategies as st

from eventlog_handlers.events import Event
from eventlog_handlers.services.cloudwatch.entry import encode as encode_entry
from eventlog_handlers.services.cloudwatch.options import CloudWatchSettings
from eventlog_handlers.services.cms.request import encode as encode_parameters
from eventlog_handlers.services.guance.body import encode as encode_body


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
