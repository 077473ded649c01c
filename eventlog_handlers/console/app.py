"""The port: it tells protocols apart, applies the script, and remembers each call.

``cms``, ``guance`` and ``cloudwatch`` judge a request; ``api`` serves page and API; ``server`` has the
socket.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.utils import formatdate
from typing import Any, Protocol

from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from eventlog_handlers.console.admission import COOKIE, Doors, denied, token_in_address
from eventlog_handlers.console.api import Api
from eventlog_handlers.console.api import answer as answer_json
from eventlog_handlers.console.cloudwatch import CloudWatch
from eventlog_handlers.console.cloudwatch_entries import Verdict
from eventlog_handlers.console.cms import CMS
from eventlog_handlers.console.exchange import Answer, Refused, Request, Service
from eventlog_handlers.console.faults import Fault, checked, step_of
from eventlog_handlers.console.feed import Feed
from eventlog_handlers.console.guance import Guance
from eventlog_handlers.console.records import SERVICES, StoredEvent, StoredRefusal, StoredRequest
from eventlog_handlers.console.script import Script, Step
from eventlog_handlers.console.sent import uids_of
from eventlog_handlers.console.store import Store
from eventlog_handlers.services import registry


class Wire(Protocol):
    """The connection a request came over."""

    number: int

    def cut(self) -> None:
        """End it at once, without an answer."""


class Console:
    """The three stand-ins, the events they accepted, and the ASGI application around them.

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
        self.feed = Feed()
        self.store.on_change(self.feed.notify)
        self.script.on_change = self.feed.notify
        self.api = Api(self)
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
        self._services: dict[str, Service] = {
            name: getattr(self, name, None) or registry.SERVICES[name].stand_in_module().stand_in(self.script)
            for name in SERVICES
        }

    def relax(self) -> None:
        """Lift the quotas and don't compare clocks: for tests, which are fast and may freeze time."""
        self.lift_quotas()
        self.cms.skew_seconds = self.cloudwatch.skew_seconds = None

    def lift_quotas(self) -> None:
        """No limit of calls per second or minute any more."""
        self.cms.calls_per_second = None
        self.guance.key_limit = self.guance.workspace_limit = None

    def start_fault(self, fault: Fault) -> None:
        """Switch *fault* on; raises ValueError for an unknown one."""
        checked(fault)
        self.script.start(fault.service, step_of(fault), count=fault.count, seconds=fault.seconds)

    def now(self) -> float:
        """Wall time, seconds since the epoch."""
        return self._clock()

    # --- arrivals ---------------------------------------------------------------------------------------

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
        """Wait for *count* events in all; TimeoutError after *timeout* seconds tells the refusals instead."""
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
        """The limit of a body: that of the most generous service."""
        return max(service.max_body_bytes for service in self._services.values())

    async def _response(self, request: Request, scope: Scope) -> Response | None:
        """None where the connection was cut instead."""
        service = _service_of(request)
        denial = denied(request, self.doors, is_call=service is not None)
        if denial is not None:
            return answer_json({"error": denial.message}, denial.status)
        if service is not None:
            return await self._serve(service, request, scope["state"]["wire"])
        if self.doors.token is not None and token_in_address(request):
            return _with_cookie(self.doors.token)
        return self.api.respond(request)

    async def _serve(self, service: str, request: Request, wire: Wire) -> Response | None:
        """Answer one call of a service; None where the connection was cut instead."""
        self._under_way[service] += 1
        self._most_parallel[service] = max(self._most_parallel[service], self._under_way[service])
        try:
            step = self.script.next_step(service) or Step(handled=True)
            answer = self._judged(service, request, step)
            if step.reply:
                answer = answer._replace(
                    status=step.reply.status, headers=step.reply.headers, body=step.reply.body
                )
            date = formatdate(self._clock() + step.clock_offset, usegmt=True)
            answer = answer._replace(headers={"date": date, **answer.headers})
            self._remember(service, request, answer, step, wire)
            if step.delay:
                await asyncio.sleep(step.delay)
            if step.cut:
                wire.cut()
                return None
            return Response(answer.body, answer.status, dict(answer.headers))
        finally:
            self._under_way[service] -= 1

    def _judged(self, name: str, request: Request, step: Step) -> Answer:
        now = self._clock()
        service: Service = getattr(self, name, self._services[name])  # tests put others in place
        if step.throttled:
            return service.throttled(now)
        if step.failed:
            return service.refusal(500, *_INTERNAL_ERROR.get(name, _ANY_ERROR))
        if not step.handled:
            return Answer(0, {}, b"", refused=(Refused("scripted", "answered by the script"),))
        if step.half:
            service = replace(self.cloudwatch, fail_entry=_EverySecond(self.script.entry_failure))
        if step.clock_offset:
            service = _comparing_clocks(service)
        answer = service.answer(request, now + step.clock_offset)
        rule = self.script.whole_refusal(name, answer.accepted)
        if rule is None:
            return answer
        return service.refusal(rule.status or 400, rule.code, rule.message)

    def _remember(self, service: str, request: Request, answer: Answer, step: Step, wire: Wire) -> None:
        uids = uids_of(service, request, answer)
        self.store.add(
            service,
            request._replace(headers=_masked(request.headers, self.guance.keys)),
            answer._replace(headers={}, body=b"") if step.cut else answer,
            received=self._clock(),
            connection=wire.number,
            http_status=None if step.cut else answer.status,
            uids=uids,
            fault=step.fault,
        )


_ANY_ERROR = ("InternalError", "An internal error occurred.")
_INTERNAL_ERROR = {
    "cms": ("InternalError", "The request processing has failed due to some unknown error."),
    "guance": ("ft.EmuInternalError", "internal error"),
    "cloudwatch": ("InternalFailure", "An internal failure occurred."),
}


class _EverySecond:
    """Fails the second, fourth, … entry of a request, unless a rule fails it anyway."""

    def __init__(self, rule: Callable[[Mapping[str, Any]], Verdict | None]) -> None:
        self._rule = rule
        self._seen = 0

    def __call__(self, entry: Mapping[str, Any]) -> Verdict | None:
        self._seen += 1
        failed = ("InternalFailure", "An internal failure occurred.") if self._seen % 2 == 0 else None
        return self._rule(entry) or failed


def _comparing_clocks(service: Service) -> Service:
    """The same service, which compares clocks even where that is switched off for tests."""
    if isinstance(service, CMS) and service.skew_seconds is None:
        return replace(service, skew_seconds=CMS.skew_seconds)
    if isinstance(service, CloudWatch) and service.skew_seconds is None:
        return replace(service, skew_seconds=CloudWatch.skew_seconds)
    return service


def _masked(headers: tuple[tuple[str, str], ...], known: set[str]) -> tuple[tuple[str, str], ...]:
    """*headers* to be kept and shown: keys and tokens that are not the stand-in's own may be real ones."""
    return tuple(
        (name, f"{value[:4]}… ({len(value)} characters)")
        if name in _SECRET_HEADERS and value not in known
        else (name, value)
        for name, value in headers
    )


_SECRET_HEADERS = frozenset(("df-api-key", "x-amz-security-token", "x-acs-security-token", "cookie"))


async def _body(receive: Receive, most_bytes: int) -> bytes | None:
    """The body, or its first *most_bytes* and one more where it is longer; None if the client has gone.

    The rest is never kept: the server drops bytes that come in after the answer.
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
    """The service that *request* is for, or None: path, headers and parameters leave no doubt."""
    services = (registry.SERVICES[name] for name in SERVICES)
    return next((row.scheme for row in services if row.stand_in_module().is_call(request)), None)


def _with_cookie(token: str) -> Response:
    """To the page, without the token in its address, and so in no history and no referrer."""
    response = RedirectResponse("/", 303, headers={"cache-control": "no-store"})
    response.set_cookie(COOKIE, token, httponly=True, samesite="lax")
    return response
