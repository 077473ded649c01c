"""An event as an entry of ``PutEvents`` (CloudWatch Events, EventBridge). Pure.

Here: the entry, and its size by the service's count. Not here: the content of ``Detail`` (``detail``), what
an answer means (``answers``), boto3 (``clients``).

Sources, read 2026-11-20: PutEventsRequestEntry and PutEventsResultEntry
(docs.aws.amazon.com/AmazonCloudWatchEvents/latest/APIReference), CalculatePutEventsEntrySize
(docs.aws.amazon.com/AmazonCloudWatch/latest/events), the service model in botocore 1.44.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from eventlog_handlers.events import Event, Payload
from eventlog_handlers.services.cloudwatch.detail import make, sendable, shortened, utc
from eventlog_handlers.text.fit import ellipsis, one_line, utf8_size
from eventlog_handlers.text.template import expand

MAX_ENTRIES = 10
_MAX_SOURCE = 256
_MAX_DETAIL_TYPE = 128
_MAX_RESOURCE = 2048
_TIME_BYTES = 14  # what the size formula takes for Time, however it is written


# --- an event's entry -------------------------------------------------------------------------------------


def encode(
    event: Event,
    *,
    source: str,
    detail_type: str | None,
    resources: Sequence[str],
    event_bus_name: str | None,
    max_bytes: int,
) -> Payload:
    """Make *event* an entry: ``Payload.body`` is the dict boto3 takes, ``Payload.size`` the bytes AWS counts.

    *source* and *detail_type* are templates; the event's own detail type and resources go before the given
    ones. The entry takes at most *max_bytes*: the longest texts in ``Detail`` are cut first, with a mark
    where something is missing and ``"truncated": true``; a traceback keeps its head and its tail. Under about
    1 KiB only the keys an event can't do without are kept, and under about 400 bytes nothing fits: the
    smallest form is returned, larger than asked.
    """
    moment = utc(event.time)
    defects = list(event.defects)
    share = max_bytes // 8  # for each of the three beside Detail, so that at any cap most of it is Detail's
    source_text = _source(expand(source, event)[: 2 * _MAX_SOURCE], share)
    detail_type_text = _detail_type(event, detail_type, share)
    kept = _resources(resources if event.resources is None else event.resources, share, defects)
    around = _TIME_BYTES + utf8_size(source_text) + utf8_size(detail_type_text) + sum(map(utf8_size, kept))
    text = make(event, moment, defects)
    size = utf8_size(text)
    if around + size > max_bytes:
        text = shortened(text, max_bytes - around)
        size = utf8_size(text)
    entry: dict[str, Any] = {
        "Time": moment,  # an aware datetime costs boto3 half of what a string does
        "Source": source_text,
        "DetailType": detail_type_text,
        "Detail": text,
    }
    if kept:
        entry["Resources"] = kept
    if event_bus_name is not None:
        entry["EventBusName"] = event_bus_name
    return Payload(event, entry, around + size)


def entry_size(entry: Mapping[str, Any]) -> int:
    """Bytes *entry* adds to a request: 14 for Time, the UTF-8 of Source, DetailType, Detail and Resources.

    Bus name and JSON punctuation don't count. Source: "Calculating PutEvents event entry size".
    """
    texts = [entry.get(name) or "" for name in ("Source", "DetailType", "Detail")]
    texts += entry.get("Resources") or ()
    return (_TIME_BYTES if entry.get("Time") is not None else 0) + sum(map(utf8_size, texts))


@lru_cache(maxsize=256)
def _source(text: str, most_bytes: int) -> str:
    """1 to 256 characters, never starting with ``aws.`` in any case: those are AWS's own sources."""
    text = _name(text) or "app"
    if text.lower().startswith("aws."):
        text = f"app.{text}"
    return _limited(text, _MAX_SOURCE, most_bytes)


def _detail_type(event: Event, template: str | None, most_bytes: int) -> str:
    text = event.detail_type or (expand(template, event) if template else "")
    otherwise = "Log Exception" if event.exception else "Log Record"
    return _limited_type(text[: 2 * _MAX_DETAIL_TYPE], otherwise, most_bytes)


@lru_cache(maxsize=256)
def _limited_type(text: str, otherwise: str, most_bytes: int) -> str:
    return _limited(_name(text) or otherwise, _MAX_DETAIL_TYPE, most_bytes)


def _resources(resources: Iterable[str], most_bytes: int, defects: list[str]) -> list[str]:
    """The resources that can be sent. One that is too long is left out and noted in *defects*: half an ARN
    names nothing."""
    kept: list[str] = []
    for resource in map(_name, resources):
        if not 0 < len(resource) <= _MAX_RESOURCE:
            defects.append(
                f"resource left out: it has {len(resource)} characters, 1 to {_MAX_RESOURCE} are taken"
            )
        elif utf8_size(resource) > most_bytes:
            defects.append(f"resource left out, there was no room for it: {resource[:100]}")
        else:
            most_bytes -= utf8_size(resource)
            kept.append(resource)
    return kept


def _name(text: str) -> str:
    return one_line(sendable(text)).strip()


def _limited(text: str, most_characters: int, most_bytes: int) -> str:
    """*text*, or as much of its head as leaves room for "…"."""
    text = ellipsis(text, most_characters)
    if utf8_size(text) <= most_bytes:
        return text
    return text.encode("utf-8")[: max(most_bytes - 3, 1)].decode("utf-8", "ignore") + "…"
