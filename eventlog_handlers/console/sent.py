"""Finds the events in a request that the stand-in refused unread: for its signature, its rate, or cut off.

They show how often each event was tried. Reading is lenient here: a body that can't be read holds no events.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventlog_handlers.console import cms, cms_events
from eventlog_handlers.console.exchange import Answer, Request
from eventlog_handlers.console.json_text import strict_json
from eventlog_handlers.console.reading import facts_of


def uids_of(service: str, request: Request, answer: Answer) -> list[str]:
    """The ids of all events in *request*, accepted or not, in order; those without an id are left out."""
    bodies = [event.body for event in answer.accepted]
    if answer.refused:
        judged = [refused.body for refused in answer.refused if isinstance(refused.body, Mapping)]
        bodies = [*bodies, *judged] if bodies else events_in(service, request)
    uids = (facts_of(service, body).uid[:200] for body in bodies)
    return list(dict.fromkeys(uid for uid in uids if uid))


def events_in(service: str, request: Request) -> list[Mapping[str, Any]]:
    """The events that *request* was meant to bring, as they were sent."""
    if service == "cms":
        return _event_infos(request)
    try:
        sent = strict_json(request.body)
    except ValueError:
        return []
    if not isinstance(sent, Mapping):
        return []
    if service == "guance":
        return [sent]
    entries = sent.get("Entries")
    return [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []


def _event_infos(request: Request) -> list[Mapping[str, Any]]:
    by_number: dict[int, dict[str, str]] = {}
    for name, value in (*cms.query_of(request), *cms.form_of(request)):
        match = cms_events.ITEM.fullmatch(name)
        if match and len(match[1]) < 6:
            by_number.setdefault(int(match[1]), {})[match[2]] = value
    return [by_number[number] for number in sorted(by_number)]
