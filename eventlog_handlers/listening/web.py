"""The fields of an event about its HTTP request: method, path, request id, and more where the request failed.

Functions of values. *headers* is a function that gives a header's value, or None, by its name in lower case.
"""

from __future__ import annotations

from collections.abc import Callable

from eventlog_handlers.process.randomness import random_bits

Headers = Callable[[str], "str | None"]

_SHOWN_HEADERS = ("accept", "content-length", "content-type", "host", "referer", "user-agent")
"""None of them is made to carry a secret; a value that looks like one is redacted as in any field."""
_ID_HEADERS = ("x-request-id", "x-correlation-id", "x-amzn-trace-id")
_MAX_ID = 128
_MAX_PARAMETERS = 50


def given_id(headers: Headers) -> str | None:
    """The id that a proxy or client gave to the request, if it is plain text of some length."""
    for name in _ID_HEADERS:
        given = headers(name)
        if given and len(given) <= _MAX_ID and given.isascii() and given.isprintable():
            return given
    return None


def fields(method: str | None, path: str, headers: Headers) -> dict[str, str]:
    """The fields of every event of a request; a request without an id gets a new one."""
    named = {"request_id": given_id(headers) or f"{random_bits():032x}", "method": method, "path": path}
    return {name: value for name, value in named.items() if value}


def failed(route: str | None, status: int | None, query: str, headers: Headers) -> dict[str, object]:
    """The further fields of a failed request's event; *query* as the client sent it.

    The query is taken apart, so that each parameter is redacted by its name.
    """
    shown = {name: value for name in _SHOWN_HEADERS if (value := headers(name))}
    named = {"route": route, "status_code": status, "query": _parameters(query), "headers": shown}
    return {name: value for name, value in named.items() if value}


def _parameters(query: str) -> dict[str, str]:
    if not query:
        return {}
    from urllib.parse import parse_qsl

    try:
        return dict(parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS))
    except ValueError:  # more parameters than a person reads
        return {}
