"""For Django: reads the request on a record of ``django.request``. Imports nothing of Django's.

Django puts the request that failed on the record, as an extra called ``request``, beside ``status_code``.
Read in the source of Django 5.2: ``django.utils.log.log_response``, ``HttpRequest``, ``ResolverMatch``.
"""

from __future__ import annotations

import sys
from typing import Any

from eventlog_handlers.listening import web


def request_fields(request: Any) -> dict[str, object]:
    """Method, path, route, request id, parameters and headers; nothing where *request* isn't Django's.

    Reads what Django has parsed already: neither the body nor the database is touched.
    """
    kind = getattr(sys.modules.get("django.http.request"), "HttpRequest", None)
    if kind is None or not isinstance(request, kind):
        return {}
    try:
        meta = request.META

        def header(name: str) -> str | None:
            key = name.upper().replace("-", "_")
            value = meta.get(key if key.startswith("CONTENT_") else f"HTTP_{key}")
            return value if isinstance(value, str) else None

        match = request.resolver_match
        route = None if match is None else match.route
        query = meta.get("QUERY_STRING", "")
        named = {"request_id": web.given_id(header), "method": request.method, "path": request.path}
        told = {name: value for name, value in named.items() if value}
        return {**told, **web.failed(route, None, query, header)}
    except Exception:  # a request that is half made
        return {}
