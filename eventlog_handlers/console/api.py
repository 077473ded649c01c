"""The console's own HTTP API, which the page uses and scripts may use: JSON, and one stream.

``views`` finds the rows, ``admission`` decides which requests get here, ``queries`` reads a query. Each
route takes the query and the request, and returns a response.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from starlette.datastructures import QueryParams
from starlette.responses import Response, StreamingResponse

from eventlog_handlers._version import __version__
from eventlog_handlers.console import copies, faults, feed, static_files, views
from eventlog_handlers.console.exchange import Request
from eventlog_handlers.console.json_text import json_text
from eventlog_handlers.console.queries import (
    MOST_EVENTS,
    BadRequestError,
    filters_of,
    json_of,
    number_of,
    page_of,
    service_of,
    with_id,
)
from eventlog_handlers.console.reading import facts_of
from eventlog_handlers.console.records import SERVICES, StoredEvent, StoredRefusal
from eventlog_handlers.console.rules import RuleError, cms, eventbridge, guance
from eventlog_handlers.console.views import Filters, Mark
from eventlog_handlers.console.why import rule_behind
from eventlog_handlers.services import registry

if TYPE_CHECKING:
    from eventlog_handlers.console.app import Console

_MOST_ROWS = 200
_MOST_BODY = 256 * 1024
"""Of a request to the API."""
_SHOWN_BYTES = 64 * 1024
"""Of a body inside JSON; all of it can be downloaded."""
_WANTS = ("problems", "events", "refused", "requests", "none")
_RULES = {"eventbridge": eventbridge.read, "cms": cms.read, "guance": guance.read}


class Api:
    """The routes over one console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._store = console.store
        self._routes: dict[tuple[str, str], Callable[[QueryParams, Request], Response]] = {
            ("GET", "/api/health"): self._health,
            ("GET", "/api/events"): self._events,
            ("DELETE", "/api/events"): self._clear,
            ("GET", "/api/events/:id"): self._event,
            ("GET", "/api/export"): self._export,
            ("GET", "/api/facets"): self._facets,
            ("GET", "/api/faults"): self._faults,
            ("POST", "/api/faults"): self._start_fault,
            ("DELETE", "/api/faults"): self._end_faults,
            ("DELETE", "/api/faults/:id"): self._end_fault,
            ("GET", "/api/problems"): self._problems,
            ("GET", "/api/refused"): self._refused,
            ("GET", "/api/requests"): self._requests,
            ("GET", "/api/requests/:id"): self._request,
            ("GET", "/api/requests/:id/body"): self._body,
            ("POST", "/api/rules"): self._rules,
            ("GET", "/api/stats"): self._stats,
            ("GET", "/api/stream"): self._stream,
        }

    def respond(self, request: Request) -> Response:
        """Answer a request that is no call of a service."""
        if request.method == "GET" and request.path in static_files.paths():
            return static_files.response(request)
        path, number = with_id(request.path)
        route = self._routes.get((request.method, path))
        if route is None:
            known = {known for _, known in self._routes} | static_files.paths()
            message = (
                f"{request.method} {request.path} is no call of CMS, Guance or CloudWatch Events, and no page"
            )
            return answer({"error": message}, 405 if path in known else 404)
        if len(request.body) > _MOST_BODY:
            return answer({"error": f"a request takes at most {_MOST_BODY} bytes"}, 413)
        query = QueryParams([*QueryParams(request.query).multi_items(), ("id", str(number))])
        try:
            return route(query, request)
        except BadRequestError as error:
            return answer({"error": str(error)}, 400)

    # --- lists -------------------------------------------------------------------------------------------

    def _health(self, query: QueryParams, request: Request) -> Response:
        return answer({"status": "ok", "version": __version__})

    def _stats(self, query: QueryParams, request: Request) -> Response:
        return answer(self._console.stats())

    def _facets(self, query: QueryParams, request: Request) -> Response:
        titles = {name: registry.SERVICES[name].title for name in SERVICES}
        return answer(views.facets(self._store) | {"services": titles})

    def _events(self, query: QueryParams, request: Request) -> Response:
        wanted = filters_of(query)
        page = page_of(query, _MOST_ROWS if query.get("brief") else MOST_EVENTS)
        if query.get("brief"):
            rows = views.brief_events(self._store, wanted, **page)
        else:
            rows = [event._asdict() for event in views.events(self._store, wanted, **page)]
        total = views.count_events(self._store, wanted)
        return answer({"events": rows, "total": total, "next": _next(rows, page["limit"])} | self._place())

    def _problems(self, query: QueryParams, request: Request) -> Response:
        wanted, page, now = filters_of(query), page_of(query, _MOST_ROWS), self._console.now()
        bucket = number_of(query, "bucket", None) or views.bucket_for(self._store, wanted, now)
        rows = views.problems(self._store, wanted, now=now, bucket=bucket, **page)
        total = views.count_events(self._store, wanted)
        following = _next(rows, page["limit"], "newest")
        found = {"problems": rows, "bucket": bucket, "now": now, "total": total, "next": following}
        return answer(found | self._place())

    def _requests(self, query: QueryParams, request: Request) -> Response:
        page = page_of(query)
        found = views.requests(self._store, service=service_of(query), **page)
        rows = [one._asdict() for one in found]
        return answer({"requests": rows, "next": _next(rows, page["limit"])} | self._place())

    def _refused(self, query: QueryParams, request: Request) -> Response:
        page = page_of(query)
        found = views.refusals(self._store, service=service_of(query), **page)
        brief = views.brief_refusals(found)
        rows = brief if query.get("brief") else [one._asdict() for one in found]
        return answer({"refused": rows, "next": _next(rows, page["limit"])} | self._place())

    def _place(self) -> dict[str, Any]:
        """The mark from which a stream goes on behind the answer."""
        return {"mark": ".".join(map(str, views.mark(self._store)))}

    def _clear(self, query: QueryParams, request: Request) -> Response:
        self._store.clear()
        return Response(status_code=204)

    # --- one of them -------------------------------------------------------------------------------------

    def _event(self, query: QueryParams, request: Request) -> Response:
        event = views.event(self._store, int(query["id"]))
        if event is None:
            return answer({"error": "no such event: it was cleared, or never there"}, 404)
        facts = facts_of(event.service, event.body)._asdict()
        call = views.request(self._store, event.request)
        exchange = self._store.exchange(event.request)
        curl = copies.as_curl(call, exchange, self._url(request)) if call and exchange else ""
        return answer(
            {
                "event": event._asdict(),
                "facts": facts,
                "request": call._asdict() if call else None,
                "fellows": [
                    one
                    for one in views.events_of_request(self._store, event.request)
                    if one["id"] != event.id
                ],
                "tries": [one._asdict() for one in views.tries(self._store, event.uid, event.service)],
                "copy": {
                    "json": copies.as_json(event),
                    "curl": curl,
                    "pytest": copies.as_pytest(event, facts),
                },
            }
        )

    def _request(self, query: QueryParams, request: Request) -> Response:
        number = int(query["id"])
        call = views.request(self._store, number)
        if call is None:
            return answer({"error": "no such request: it was cleared, or never there"}, 404)
        exchange = self._store.exchange(number)
        found: dict[str, Any] = {
            "request": call._asdict(),
            "events": views.events_of_request(self._store, number),
            "refusals": [_explained(one) for one in views.refusals_of_request(self._store, number)],
            "exchange": None,
        }
        if exchange is not None:
            found["exchange"] = {
                "query": exchange.query,
                "headers": exchange.headers,
                "body": _shown(exchange.body),
                "answer_headers": exchange.answer_headers,
                "answer": _shown(exchange.answer),
                "curl": copies.as_curl(call, exchange, self._url(request)),
            }
        return answer(found)

    def _body(self, query: QueryParams, request: Request) -> Response:
        exchange = self._store.exchange(int(query["id"]))
        if exchange is None:
            return answer({"error": "the bytes of this request are no longer kept"}, 404)
        return _download(exchange.body, f"request-{int(query['id'])}.txt", "application/octet-stream")

    def _url(self, request: Request) -> str:
        return f"http://{request.header('host') or 'localhost'}"

    # --- export and rules --------------------------------------------------------------------------------

    def _export(self, query: QueryParams, request: Request) -> Response:
        wanted = filters_of(query)

        def lines() -> Iterator[str]:
            before: int | None = None
            while page := views.events(self._store, wanted, before=before, limit=200):
                yield from (f"{json_text(event._asdict())}\n" for event in page)
                before = page[-1].id

        headers = {"content-disposition": 'attachment; filename="events.jsonl"', **_DATA_HEADERS}
        return StreamingResponse(lines(), media_type="application/x-ndjson", headers=headers)

    def _rules(self, query: QueryParams, request: Request) -> Response:
        wanted = json_of(request)
        kind, text = wanted.get("kind"), wanted.get("rule")
        if kind not in _RULES or not isinstance(text, str):
            raise BadRequestError(f"kind is one of {', '.join(_RULES)}, and rule is a text")
        try:
            rule = _RULES[kind](text)
        except RuleError as error:
            return answer({"error": str(error)}, 422)
        events = views.events(self._store, Filters(service=rule.service), limit=MOST_EVENTS)
        judged = [(event, rule.why_not(event)) for event in events]
        matching = [event for event, reasons in judged if not reasons]
        return answer(
            {
                "service": rule.service,
                "tested": len(judged),
                "matched": len(matching),
                "summary": rule.summary(matching[::-1]),
                "matching": [_brief(event) for event in matching[:_MOST_ROWS]],
                "others": [_brief(event) | {"why_not": reasons} for event, reasons in judged if reasons][
                    :_MOST_ROWS
                ],
            }
        )

    # --- faults ------------------------------------------------------------------------------------------

    def _faults(self, query: QueryParams, request: Request) -> Response:
        return answer({"faults": self._lasting(), "kinds": faults.described()})

    def _start_fault(self, query: QueryParams, request: Request) -> Response:
        try:
            fault = faults.from_json(json_of(request))
        except ValueError as error:
            raise BadRequestError(str(error)) from error
        self._console.start_fault(fault)
        return answer({"faults": self._lasting()}, 201)

    def _end_faults(self, query: QueryParams, request: Request) -> Response:
        for lasting, _ in self._console.script.lasting():
            self._console.script.stop(lasting.number)
        return answer({"faults": self._lasting()})

    def _end_fault(self, query: QueryParams, request: Request) -> Response:
        found = self._console.script.stop(int(query["id"]))
        return answer({"faults": self._lasting()}, 200 if found else 404)

    def _lasting(self) -> list[dict[str, Any]]:
        return [
            {
                "id": one.number,
                "service": one.service,
                "kind": one.step.fault,
                "left": one.left,
                "seconds": None if seconds is None else math.ceil(seconds),
            }
            for one, seconds in self._console.script.lasting()
        ]

    # --- the stream --------------------------------------------------------------------------------------

    def _stream(self, query: QueryParams, request: Request) -> Response:
        want = query.get("want", "problems")
        if want not in _WANTS:
            raise BadRequestError(f"want is one of {', '.join(_WANTS)}")
        wanted, bucket = filters_of(query), number_of(query, "bucket", 60) or 60
        place = request.header("last-event-id") or query.get("mark", "")
        seen = feed.mark_of(place) or views.mark(self._store)

        def news(since: Mark, until: Mark) -> dict[str, Any]:
            return views.news(
                self._store, wanted, since, until, now=self._console.now(), bucket=bucket, want=want
            )

        def extra() -> dict[str, Any]:
            return {"faults": self._lasting()}

        lines: AsyncIterator[str] = feed.messages(
            self._console.feed, seen, lambda: views.mark(self._store), news, extra
        )
        return StreamingResponse(lines, media_type="text/event-stream", headers=_DATA_HEADERS)


_DATA_HEADERS = {"cache-control": "no-store", **static_files.SECURITY_HEADERS}


def answer(content: Any, status: int = 200) -> Response:
    """JSON in ASCII, since an event may hold half a surrogate pair, which UTF-8 can't."""
    return Response(json_text(content), status, headers=_DATA_HEADERS, media_type="application/json")


def _next(rows: list[dict[str, Any]], limit: int, name: str = "id") -> int | None:
    """The value of *before* for the next page; None where there is none."""
    return rows[-1][name] if rows and len(rows) == limit else None


def _brief(event: StoredEvent) -> dict[str, Any]:
    whole = event._asdict()
    return {name: whole[name] for name in views.BRIEF}


def _explained(refusal: StoredRefusal) -> dict[str, Any]:
    rule = rule_behind(refusal.service, refusal.code, refusal.message)
    signing = refusal.signing and dict(zip(("expected", "received", "note"), refusal.signing, strict=True))
    return refusal._asdict() | {"rule": rule._asdict() if rule else None, "signing": signing}


def _shown(body: bytes) -> dict[str, Any]:
    """The beginning of a body as text, and how long it is; other bytes than UTF-8 as U+FFFD."""
    return {"text": body[:_SHOWN_BYTES].decode("utf-8", "replace"), "size": len(body)}


def _download(content: bytes, name: str, media_type: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"', **_DATA_HEADERS}
    return Response(content, headers=headers, media_type=media_type)
