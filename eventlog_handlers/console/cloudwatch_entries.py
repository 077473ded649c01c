"""The entries of a PutEvents call: sizes, faults of the whole call, faults of one entry, the envelope.

Sources: the PutEventsRequestEntry and PutEventsResultEntry pages, "Calculating PutEvents event entry size",
and botocore's model of ``events`` (read 2026-11-20). No document names a code for a DetailType over 128
characters; InvalidArgument stands for it. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, TypeAlias

from eventlog_handlers.console.exchange import Accepted, has_half_pair, rfc3339
from eventlog_handlers.console.json_text import strict_json
from eventlog_handlers.events import STATUSES

MAX_DETAIL_TYPE, MAX_DEPTH = 128, 1000
_BUS = re.compile(
    r"(arn:aws[\w-]*:events:[a-z]+-[a-z]+-[\w-]+:[0-9]{12}:event-bus/)?[.\-_A-Za-z0-9]+", re.ASCII
)
_TEXTS = ("Source", "DetailType", "Detail", "EventBusName", "TraceHeader")
_REQUIRED = ("Source", "DetailType", "Detail")
Verdict: TypeAlias = tuple[str, str]
"""Error code and message of one entry."""

ACCOUNT = "000000000000"


class InvalidEntryError(Exception):
    """An entry that fails the whole call, with the code and the message of the refusal."""

    def __init__(self, code: str, message: str) -> None:
        self.refusal = (400, code, message)


def violated(member: str, constraint: str) -> InvalidEntryError:
    """The refusal of a member that breaks a constraint of the service's model."""
    return InvalidEntryError(
        "ValidationException",
        f"1 validation error detected: Value at '{member}' failed to satisfy constraint: "
        f"Member must {constraint}",
    )


def entry_size(entry: Mapping[str, Any]) -> int:
    """Bytes of one entry as PutEvents counts them: Time 14, and the UTF-8 of four fields.

    Source: docs.aws.amazon.com/AmazonCloudWatch/latest/events/CalculatePutEventsEntrySize.html
    """
    texts = [entry.get(name) or "" for name in _REQUIRED] + list(entry.get("Resources") or ())
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return size + (14 if entry.get("Time") is not None else 0)


def check_types(entry: Any) -> None:
    """Refuse values that don't fit the types of the service's model: the whole request fails."""
    if not isinstance(entry, dict):
        raise InvalidEntryError("SerializationException", "")
    texts = [entry[name] for name in _TEXTS if entry.get(name) is not None]
    resources = entry.get("Resources")
    if resources is not None:
        if not isinstance(resources, list):
            raise InvalidEntryError("SerializationException", "")
        texts += resources
    if not all(isinstance(text, str) for text in texts):
        raise InvalidEntryError("SerializationException", "")
    if entry.get("Time") is not None and _seconds(entry["Time"]) is None:
        raise InvalidEntryError("SerializationException", "")


def check_constraints(number: int, entry: Mapping[str, Any]) -> None:
    """Refuse values beyond the limits of botocore's model: the whole request fails."""
    member = f"entries.{number}.member"
    bus = entry.get("EventBusName")
    if bus is not None and not (1 <= len(bus) <= 1600 and _BUS.fullmatch(bus)):
        raise violated(f"{member}.eventBusName", "satisfy regular expression pattern: " + _BUS.pattern)
    trace = entry.get("TraceHeader")
    if trace is not None and not 1 <= len(trace) <= 500:
        raise violated(f"{member}.traceHeader", "have length between 1 and 500")
    for index, resource in enumerate(entry.get("Resources") or (), 1):
        if len(resource) > 2048:
            raise violated(f"{member}.resources.{index}.member", "have length less than or equal to 2048")


def judge(entry: Mapping[str, Any]) -> Verdict | None:
    """The fault of this entry alone, or None."""
    for name in _REQUIRED:
        if not entry.get(name):
            return (
                "InvalidArgument",
                f"Parameter {name} is not valid. Reason: {name} is a required argument.",
            )
    if entry["Source"].startswith("aws."):
        return "NotAuthorizedForSourceException", "Not authorized for the source."
    if len(entry["DetailType"]) > MAX_DETAIL_TYPE:
        reason = f"DetailType is longer than {MAX_DETAIL_TYPE} characters."
        return "InvalidArgument", f"Parameter DetailType is not valid. Reason: {reason}"
    try:
        detail = strict_json(entry["Detail"])
    except ValueError:
        detail = None
    if not isinstance(detail, dict) or not _within_limits(detail):
        return "MalformedDetail", "Detail is malformed."
    return None


def _within_limits(detail: Any) -> bool:
    """At most 1000 levels of objects and lists, and no integer past 64 bits."""
    level = [detail]
    for _ in range(MAX_DEPTH + 1):
        if not level:
            return True
        if any(type(value) is int and not -(2**63) <= value < 2**63 for value in level):
            return False
        level = [child for value in level for child in _children(value)]
    return not level


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def accepted(entry: Mapping[str, Any], event_id: str, region: str, now: float) -> Accepted:
    """The event as the bus hands it on, with the id that it was given."""
    time = now if entry.get("Time") is None else _seconds(entry["Time"])
    detail = strict_json(entry["Detail"])
    status = detail.get("status")
    return Accepted(
        title=entry["DetailType"],
        status=status if status in STATUSES else "",
        time=time,
        body=entry,
        stored={
            "version": "0",
            "id": event_id,
            "detail-type": entry["DetailType"],
            "source": entry["Source"],
            "account": ACCOUNT,
            "time": _whole_seconds(now if time is None else time),
            "region": region,
            "resources": entry.get("Resources") or [],
            "detail": detail,
        },
        flags=("half_pair",) if has_half_pair(entry["Detail"]) else (),
    )


_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
"""Of the years 1 and 9999, which a calendar date can be written for."""


def _seconds(time: Any) -> float | None:
    """Epoch seconds or RFC 3339 text as epoch seconds, before 1970 too; None if *time* is neither."""
    if isinstance(time, str):
        return rfc3339(time)
    if isinstance(time, bool) or not isinstance(time, (int, float)):
        return None
    return float(time) if _FIRST_SECOND <= time < _LAST_SECOND + 1 else None


def _whole_seconds(time: float) -> str:
    """*time* as the envelope has it, in whole seconds."""
    moment = _EPOCH + timedelta(seconds=math.floor(time))
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}".rjust(20, "0")  # a year before 1000 has four digits too


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
