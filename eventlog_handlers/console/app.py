"""The port: which protocol a request speaks, what the script does to it, the API, the page.

What a service says about a request is decided in ``cms``, ``guance`` and ``cloudwatch``; the socket is
``server``'s.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from starlette.datastructures import QueryParams
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from eventlog_handlers._version import __version__
from eventlog_handlers.console import cloudwatch, cms, page
from eventlog_handlers.console.admission import COOKIE, Doors, denied, token_in_address
from eventlog_handlers.console.cloudwatch import CloudWatch
from eventlog_handlers.console.cms import CMS
from eventlog_handlers.console.exchange import Answer, Refused, Request, Service
from eventlog_handlers.console.guance import Guance
from eventlog_handlers.console.json_text import json_text
from eventlog_handlers.console.script import Reply, Script, Step
from eventlog_handlers.console.store import SERVICES, Store, StoredEvent, StoredRefusal, StoredRequest

_MOST_EVENTS = 1000
_GUANCE_PREFIX = "/api/v1/"


class Wire(Protocol):
    """The connection a request came over."""

    number: int

    def cut(self) -> None:
        """End it at once, without an answer."""


class Console:
    """The three stand-ins, what they accepted, and the ASGI application around them.

    Its attributes are the way to change what the services do: ``console.guance.keys``,
    ``console.cms.skew_seconds``, ``console.script.throttle("cms")``. *path* is the SQLite file, None for
    memory; *clock* gives wall time; *doors* says which requests are looked at. The ASGI side runs on one
    event loop; the rest may be called from any thread.
    """

    def __init__(
        self, *, path: str | None = None, clock: Callable[[], float] = time.time, doors: Doors | None = None
    ) -> None:
        self.doors = doors or Doors()
        self.store = Store(path)
        self.script = Script()
        self._clock = clock
        self._under_way: Counter[str] = Counter()
        self._most_parallel: Counter[str] = Counter()
        self._found_services()

    def restore(self) -> None:
        """Forget all events, faults, nonces and call times, and set every option of the services back."""
        self.store.clear()
        self.script.clear()
        self._most_parallel.clear()
        self._found_services()

    def _found_services(self) -> None:
        self.cms, self.guance = CMS(), Guance()
        self.cloudwatch = CloudWatch(fail_entry=self.script.entry_failure)

    def relax(self) -> None:
        """Lift the quotas and don't compare clocks: for tests, which are fast and may freeze time."""
        self.cms.calls_per_second = None
        self.guance.key_limit = self.guance.workspace_limit = None
        self.cms.skew_seconds = self.cloudwatch.skew_seconds = None

    # --- what arrived ------------------------------------------------------------------------------------

    def events(self, service: str | None = None) -> list[StoredEvent]:
        """Accepted events, oldest first."""
        return self.store.events(service)

    def requests(self, service: str | None = None) -> list[StoredRequest]:
        """Calls of the services' APIs, oldest first."""
        return self.store.requests(service)

    def refused(self, service: str | None = None) -> list[StoredRefusal]:
        """Refused requests and entries, oldest first, with the reasons."""
        return self.store.refused(service)

    def wait_for(self, count: int, timeout: float = 5.0, service: str | None = None) -> list[StoredEvent]:
        """Wait for *count* events in all; TimeoutError after *timeout* seconds says what came instead."""
        return self.store.wait_for(count, timeout, service)

    def stats(self) -> dict[str, dict[str, Any]]:
        """Per service: requests, accepted, refused by code, bytes, connections, parallel requests."""
        summaries = self.store.stats()
        for service, summary in summaries.items():
            summary["most_parallel"] = self._most_parallel[service]
        return summaries

    # --- the port ----------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Only HTTP comes in: ``server`` offers nothing else."""
        body = await _body(receive, self._most_bytes())
        if body is None:
            return
        request = Request(
            method=scope["method"],
            path=scope["raw_path"].decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            headers=tuple(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
            ),
            body=body,
        )
        response = await self._response(request, scope)
        if response is not None:
            await response(scope, receive, send)
            return
        while (await receive())["type"] != "http.disconnect":  # the server takes note of the cut connection
            pass

    def _most_bytes(self) -> int:
        """Of a body: what the most generous service takes."""
        return max(service.max_body_bytes for service in (self.cms, self.guance, self.cloudwatch))

    async def _response(self, request: Request, scope: Scope) -> Response | None:
        """None where the connection was cut instead."""
        service = _service_of(request)
        denial = denied(request, self.doors, is_call=service is not None)
        if denial is not None:
            return _json({"error": denial.message}, denial.status)
        if service is not None:
            return await self._serve(service, request, scope["state"]["wire"])
        if self.doors.token is not None and token_in_address(request):
            return _with_cookie(self.doors.token)
        return self._own(request, QueryParams(request.query))

    async def _serve(self, service: str, request: Request, wire: Wire) -> Response | None:
        """Answer one call of a service; None where the connection was cut instead."""
        self._under_way[service] += 1
        self._most_parallel[service] = max(self._most_parallel[service], self._under_way[service])
        try:
            step = self.script.next_step(service) or Step(handled=True)
            answer = self._judged(service, request, step)
            reply = step.reply or Reply(answer.status, answer.headers, answer.body)
            self.store.add(
                service,
                request,
                answer,
                received=self._clock(),
                connection=wire.number,
                http_status=None if step.cut else reply.status,
            )
            if step.delay:
                await asyncio.sleep(step.delay)
            if step.cut:
                wire.cut()
                return None
            return Response(reply.body, reply.status, dict(reply.headers))
        finally:
            self._under_way[service] -= 1

    def _judged(self, name: str, request: Request, step: Step) -> Answer:
        now = self._clock()
        service: Service = getattr(self, name)
        if step.throttled:
            return service.throttled(now)
        if not step.handled:
            return Answer(0, {}, b"", refused=(Refused("scripted", "answered by the script"),))
        answer = service.answer(request, now)
        rule = self.script.whole_refusal(name, answer.accepted)
        if rule is None:
            return answer
        return service.refusal(rule.status or 400, rule.code, rule.message)

    # --- the stand-in's own pages ------------------------------------------------------------------------

    def _own(self, request: Request, query: Mapping[str, str]) -> Response:
        routes: dict[tuple[str, str], Callable[[Mapping[str, str]], Response]] = {
            ("GET", "/"): self._page,
            ("GET", "/api/health"): self._health,
            ("GET", "/api/events"): self._api_events,
            ("DELETE", "/api/events"): self._api_clear,
            ("GET", "/api/requests"): self._api_requests,
            ("GET", "/api/refused"): self._api_refused,
            ("GET", "/api/stats"): self._api_stats,
        }
        route = routes.get((request.method, request.path))
        if route is not None:
            return route(query)
        known = request.path in {path for _, path in routes}
        message = (
            f"{request.method} {request.path} is no call of CMS, Guance or CloudWatch Events, and no page"
        )
        return _json({"error": message}, 405 if known else 404)

    def _page(self, query: Mapping[str, str]) -> Response:
        service, text = query.get("service", ""), query.get("q", "")[:200]
        events = self.store.events(
            service or None, text=text or None, limit=page.MOST_ROWS, newest_first=True
        )
        refusals = self.store.refused(service or None, limit=page.MOST_ROWS, newest_first=True)
        html = page.rendered(events, refusals, self.store.stats(), service=service, text=text)
        return HTMLResponse(html, headers=page.HEADERS)

    def _health(self, query: Mapping[str, str]) -> Response:
        return _json({"status": "ok", "version": __version__})

    def _api_events(self, query: Mapping[str, str]) -> Response:
        after, limit = _number(query, "after", 0), _number(query, "limit", 100)
        service = query.get("service") or None
        if after is None or limit is None or (service and service not in SERVICES):
            message = f"after and limit take numbers, service one of {', '.join(SERVICES)}"
            return _json({"error": message}, 400)
        events = self.store.events(
            service,
            text=query.get("q", "")[:200] or None,
            after=after,
            limit=min(limit, _MOST_EVENTS),
            newest_first=True,
        )
        return _json({"events": [event._asdict() for event in events]})

    def _api_clear(self, query: Mapping[str, str]) -> Response:
        self.store.clear()
        return Response(status_code=204)

    def _api_requests(self, query: Mapping[str, str]) -> Response:
        requests = self.store.requests(query.get("service"), limit=_MOST_EVENTS, newest_first=True)
        return _json({"requests": [request._asdict() for request in requests]})

    def _api_refused(self, query: Mapping[str, str]) -> Response:
        refusals = self.store.refused(query.get("service"), limit=_MOST_EVENTS, newest_first=True)
        return _json({"refused": [refusal._asdict() for refusal in refusals]})

    def _api_stats(self, query: Mapping[str, str]) -> Response:
        return _json(self.stats())


async def _body(receive: Receive, most_bytes: int) -> bytes | None:
    """The body, or its first *most_bytes* and one more where it is longer; None if the client has gone.

    The rest is never kept: the server drops what comes in after the answer.
    """
    chunks: list[bytes] = []
    size = 0
    while size <= most_bytes:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if not message.get("more_body"):
            break
    return b"".join(chunks)[: most_bytes + 1]


def _service_of(request: Request) -> str | None:
    """Which service *request* is for, or None: path, headers and parameters leave no doubt."""
    if request.path.startswith(_GUANCE_PREFIX):
        return "guance"
    if request.path != "/":
        return None
    if cloudwatch.is_call(request):
        return "cloudwatch"
    return "cms" if cms.is_call(request) else None


def _with_cookie(token: str) -> Response:
    """To the page, without the token in its address, and so in no history and no referrer."""
    response = RedirectResponse("/", 303, headers={"cache-control": "no-store"})
    response.set_cookie(COOKIE, token, httponly=True, samesite="lax")
    return response


def _json(content: Any, status: int = 200) -> Response:
    """As ASCII, since an event may hold what UTF-8 can't."""
    return Response(json_text(content), status, media_type="application/json")


def _number(query: Mapping[str, str], name: str, default: int) -> int | None:
    """A count from the query; None if what stands there isn't one."""
    text = query.get(name)
    if not text:
        return default
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
