"""The events of a PutCustomEvent call: the numbering of the list, the fields of an event, its stored form.

Source: the PutCustomEvent page (read 2026-11-20). Pure: parameters in, events or an InvalidEventsError out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from eventlog_handlers.console.exchange import Accepted, timestamp
from eventlog_handlers.console.json_text import strict_json

FIELDS = ("Content", "EventName", "GroupId", "Time")
ITEM = re.compile(r"EventInfo\.([1-9][0-9]*)\.([A-Za-z]+)")
_TIME = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{3}[+-][0-9]{4}")
_MILLISECONDS = re.compile(r"[0-9]{13}")
_STATUS_LINE = re.compile(r"^(status): (\w+)$", re.MULTILINE)
_FIRST_WORD = re.compile(r"\W*(\w*).*", re.DOTALL)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_STATUS_OF_WORD = {
    "critical": "critical",
    "fatal": "critical",
    "error": "error",
    "warning": "warning",
    "warn": "warning",
    "info": "info",
    "debug": "info",
    "ok": "ok",
    "nodata": "nodata",
}


class InvalidEventsError(Exception):
    """The list, or the event *body* in it, is not as the page asks; the whole call is refused."""

    def __init__(
        self, message: str, body: Mapping[str, str] | None = None, code: str = "ParameterInvalid"
    ) -> None:
        self.refusal = (400, code, message, body)


def events_of(parameters: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """The events in order; raises for a list that isn't 1 to 50 events numbered without a gap."""
    by_number: dict[int, dict[str, str]] = {}
    for name, value in parameters:
        if not name.startswith("EventInfo"):
            continue
        match = ITEM.fullmatch(name)
        if match is None or match[2] not in FIELDS:
            raise InvalidEventsError(f"The specified parameter {name} is not valid.")
        event = by_number.setdefault(int(match[1]), {})
        if match[2] in event:
            raise InvalidEventsError(f"The specified parameter {name} is given twice.")
        event[match[2]] = value
    if not by_number:
        raise InvalidEventsError("EventInfo is mandatory for this action.", code="MissingEventInfo")
    if len(by_number) > 50:
        raise InvalidEventsError(f"EventInfo has {len(by_number)} items: 1 to 50 are valid.")
    if sorted(by_number) != list(range(1, len(by_number) + 1)):
        raise InvalidEventsError("EventInfo is not numbered from 1 without a gap.")
    return [_checked(number, by_number[number]) for number in sorted(by_number)]


def _checked(number: int, event: dict[str, str]) -> dict[str, str]:
    for name in ("Content", "EventName"):
        if not event.get(name):
            message = f"EventInfo.{number}.{name} is mandatory for this action."
            raise InvalidEventsError(message, event, code=f"Missing{name}")
    group_id = event.get("GroupId", "0")
    if not (group_id.isascii() and group_id.isdigit()):
        raise InvalidEventsError(f"The specified parameter EventInfo.{number}.GroupId is not valid.", event)
    if "Time" in event and _seconds(event["Time"]) is None:
        raise InvalidEventsError(f"The specified parameter EventInfo.{number}.Time is not valid.", event)
    return event


def _seconds(text: str) -> float | None:
    """Time in either documented form, in seconds since the epoch; None if it has neither."""
    if _MILLISECONDS.fullmatch(text):
        return int(text) / 1000
    return timestamp(text, "%Y%m%dT%H%M%S.%f%z") if _TIME.fullmatch(text) else None


def accepted(event: Mapping[str, str]) -> Accepted:
    """The event as the service keeps it."""
    time = _seconds(event["Time"]) if "Time" in event else None
    content = event["Content"]
    return Accepted(
        title=event["EventName"],
        status=_status(content),
        time=time,
        body=event,
        stored={
            "Name": event["EventName"],
            "Content": content,
            "GroupId": event.get("GroupId", "0"),
            "Time": None if time is None else round(time * 1000),
        },
        flags=tuple(f"control_character:{name}" for name in FIELDS if _CONTROL.search(event.get(name, ""))),
    )


def _status(content: str) -> str:
    """The severity a reader would see in *content*, for the page: the service has no field for it."""
    try:
        fields = strict_json(content)
    except ValueError:
        fields = dict(_STATUS_LINE.findall(content)) or {"level": _FIRST_WORD.sub(r"\1", content)}
    if not isinstance(fields, dict):
        return ""
    return _STATUS_OF_WORD.get(str(fields.get("status") or fields.get("level") or "").lower(), "")
