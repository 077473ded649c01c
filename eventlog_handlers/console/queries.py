"""Reads queries and bodies of the console's API: filters, pages, numbers. Pure.

A value that makes no sense raises BadRequestError with the reason; it is never read as another one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import QueryParams

from eventlog_handlers.console.exchange import Request
from eventlog_handlers.console.json_text import strict_json
from eventlog_handlers.console.records import SERVICES
from eventlog_handlers.console.views import Filters

MOST_EVENTS = 1000
"""Of one page."""


class BadRequestError(Exception):
    """The request makes no sense; the message says why."""


def filters_of(query: QueryParams) -> Filters:
    """The filters of a query; raises BadRequestError for impossible ones."""
    return Filters(
        service=service_of(query),
        status=query.get("status", "")[:200],
        logger=query.get("logger", "")[:200],
        exception=query.get("exception", "")[:200],
        problem=query.get("problem", "")[:200],
        text=query.get("q", "")[:200],
        since=_seconds(query, "since"),
        until=_seconds(query, "until"),
    )


def with_id(path: str) -> tuple[str, int]:
    """*path* with its number replaced by ``:id``, and the number; 0 where there is none."""
    parts = path.split("/")
    if len(parts) > 3 and parts[3].isascii() and parts[3].isdigit() and len(parts[3]) < 19:
        return "/".join([*parts[:3], ":id", *parts[4:]]), int(parts[3])
    return path, 0


def service_of(query: QueryParams) -> str:
    """The service asked for; "" for all."""
    service = query.get("service", "")
    if service and service not in SERVICES:
        raise BadRequestError(f"service is one of {', '.join(SERVICES)}")
    return service


def page_of(query: QueryParams, most: int = MOST_EVENTS) -> dict[str, Any]:
    """after, before and limit, for the lists of ``views``; *most* rows at most, and 100 if none are asked."""
    return {
        "after": number_of(query, "after", 0) or 0,
        "before": number_of(query, "before", None),
        "limit": min(number_of(query, "limit", 100) or 0, most),
    }


def number_of(query: QueryParams, name: str, default: int | None) -> int | None:
    """A count or an id."""
    text = query.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadRequestError(f"{name} is a number, not {text[:40]!r}")
    return int(text)


def _seconds(query: QueryParams, name: str) -> float | None:
    text = query.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadRequestError(f"{name} is a time in seconds since 1970, not {text[:40]!r}")
    return value


def json_of(request: Request) -> Mapping[str, Any]:
    """The object in a body."""
    try:
        wanted = strict_json(request.body)
    except ValueError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error
    if not isinstance(wanted, dict):
        raise BadRequestError("the body is not an object")
    return wanted
