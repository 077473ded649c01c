"""What web applications raise, and what is logged in a request: by the middlewares and without a server."""

from __future__ import annotations

import asyncio
import contextvars
import io
import json
import logging
import sys
import threading
from typing import Any

import pytest
from django.conf import settings

from eventlog_handlers import CloudWatchEventsHandler, GuanceHandler, asgi, configure, context, wsgi
from eventlog_handlers.errors import SettingsError
from eventlog_handlers.listening import fields

HEADERS = {
    "x-request-id": "8c1f",
    "user-agent": "till/2",
    "authorization": "Bearer Tr0ub4dor",
    "cookie": "a=b",
}


@pytest.fixture
def events(eventlog_console: Any) -> Any:
    """The details of what arrived, once everything has."""
    handler = CloudWatchEventsHandler(level="INFO")
    logging.getLogger().addHandler(handler)

    def arrived() -> list[dict[str, Any]]:
        assert handler.flush(20)
        return [json.loads(event.body["Detail"]) for event in eventlog_console.events("cloudwatch")]

    return arrived


# --- WSGI --------------------------------------------------------------------------------------------------


def wsgi_environ(path: str = "/orders/A-1004", query: str = "page=2&token=Tr0ub4dor") -> dict[str, Any]:
    headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in HEADERS.items()}
    return {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query, **headers}


def ask(app: Any, environ: dict[str, Any] | None = None) -> bytes:
    """As a server does: call, iterate, close."""
    body = app(environ or wsgi_environ(), lambda status, headers, exc_info=None: None)
    try:
        return b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()


def raising(environ, start_response):
    raise LookupError("no order A-1004")


def raising_late(environ, start_response):
    start_response("206 Partial Content", [])
    yield b"order"
    raise LookupError("no order A-1004")


class RaisingClose:
    """A body whose ``close`` raises."""

    def __init__(self, environ, start_response):
        start_response("200 OK", [])

    def __iter__(self):
        return iter([b"order"])

    def close(self):
        raise LookupError("no order A-1004")


@pytest.mark.parametrize(
    ("app", "status"),
    [(raising, 500), (raising_late, 206), (RaisingClose, 200)],
    ids=["call", "body", "close"],
)
def test_an_exception_that_a_wsgi_application_raises_is_one_event(events: Any, app: Any, status: int) -> None:
    """With the request, as far as redaction allows; the server gets the exception and logs it in vain."""
    with pytest.raises(LookupError) as caught:
        ask(wsgi.wrap(app))
    logging.getLogger("gunicorn").error("Error handling request", exc_info=caught.value)

    (detail,) = events()
    assert detail["message"] == "GET /orders/A-1004 raised LookupError: no order A-1004"
    assert detail["logger"] == "eventlog_handlers.wsgi"
    assert detail["exception"]["type"] == "LookupError"
    assert detail["extra"] == {
        "request_id": "8c1f",
        "method": "GET",
        "path": "/orders/A-1004",
        "status_code": status,
        "query": {"page": "2", "token": "[redacted]"},
        "headers": {"user-agent": "till/2"},
    }
    assert "Tr0ub4dor" not in str(detail)


def test_what_is_logged_in_a_wsgi_request_has_its_fields_and_what_comes_after_has_none(events: Any) -> None:
    """Also while the body is made."""
    log = logging.getLogger("shop")

    def app(environ, start_response):
        log.error("before")
        start_response("200 OK", [])
        yield b"order"
        log.error("within")

    assert ask(wsgi.wrap(app)) == b"order"
    log.error("after")

    extras = {detail["message"]: detail.get("extra", {}) for detail in events()}
    of_request = {"request_id": "8c1f", "method": "GET", "path": "/orders/A-1004"}
    assert extras == {"before": of_request, "within": of_request, "after": {}}


def test_bodies_that_servers_treat_in_their_own_way_stay_what_they_are() -> None:
    """A list, and a file by ``wsgi.file_wrapper``."""

    class FileWrapper:
        def __init__(self, file: Any) -> None:
            self.file = file

    def listed(environ, start_response):
        return [b"order"]

    def file(environ, start_response):
        return environ["wsgi.file_wrapper"](io.BytesIO(b"order"))

    environ = {**wsgi_environ(), "wsgi.file_wrapper": FileWrapper}

    assert wsgi.wrap(listed)(environ, print) == [b"order"]
    assert type(wsgi.wrap(file)(environ, print)) is FileWrapper
    assert not fields.current()


@pytest.mark.parametrize("given", [None, "", "two\nlines", "x" * 129])
def test_a_request_without_a_fit_id_gets_one(events: Any, given: str | None) -> None:
    """32 hex digits, the same on every event of the request."""
    environ = {**wsgi_environ(), "HTTP_X_REQUEST_ID": given}

    def app(environ, start_response):
        logging.getLogger("shop").error("before")
        raise LookupError

    with pytest.raises(LookupError):
        ask(wsgi.wrap(app), environ)

    (first, second) = (detail["extra"]["request_id"] for detail in events())
    assert first == second
    assert len(first) == 32
    assert int(first, 16)


def test_an_application_that_logs_and_raises_is_one_event(events: Any) -> None:
    """The record it logged; the middleware and the server add none."""

    def app(environ, start_response):
        try:
            raise LookupError("no order")
        except LookupError:
            logging.getLogger("shop").exception("sale failed")
            raise

    with pytest.raises(LookupError):
        ask(wsgi.wrap(app))

    (detail,) = events()
    assert detail["message"] == "sale failed"


def test_an_exception_is_known_for_ten_seconds_after_it_was_last_logged_as_an_error(monkeypatch: Any) -> None:
    """Whatever is logged of it below: a place on its way may call it a warning."""
    from eventlog_handlers.listening import told

    now = [1_000.0]
    monkeypatch.setattr(told, "monotonic", lambda: now[0])
    error = LookupError("no order A-1004")
    for level in (logging.ERROR, logging.ERROR, logging.WARNING):
        assert told.admits((LookupError, error, None), level)
        now[0] += 6.0

    now[0] -= 3.0
    assert told.is_known(error)  # 9 s after the second
    now[0] += 2.0
    assert not told.is_known(error)


def test_one_exception_object_raised_again_and_again_is_news_each_time(events: Any, monkeypatch: Any) -> None:
    """A module's constant, a future's result: the mark on it does not last."""
    from eventlog_handlers.listening import told

    now = [1_000.0]
    monkeypatch.setattr(told, "monotonic", lambda: now[0])
    error = LookupError("no order A-1004")

    def app(environ, start_response):
        raise error

    for _ in range(3):
        with pytest.raises(LookupError):
            ask(wsgi.wrap(wsgi.wrap(app)))
        logging.getLogger("gunicorn").error("Error handling request", exc_info=error)
        now[0] += 1.5

    assert [detail["logger"] for detail in events()] == ["eventlog_handlers.wsgi"] * 3
    (handler,) = (one for one in logging.getLogger().handlers if isinstance(one, CloudWatchEventsHandler))
    assert handler.stats()["already_reported"] == 3  # not taken, but told


# --- Flask and Django --------------------------------------------------------------------------------------


@pytest.fixture
def flask_app(eventlog_console: Any) -> Any:
    from flask import Flask

    configure("cloudwatch://default", level="INFO")
    app = Flask("shop")

    @app.get("/orders/<number>")
    def order(number):
        raise LookupError(f"no order {number}")

    return app


@pytest.mark.parametrize("is_wrapped", [True, False], ids=["wrapped", "bare"])
@pytest.mark.parametrize("is_debug", [True, False], ids=["debug", "production"])
def test_what_a_flask_view_raises_is_one_event(
    eventlog_console: Any, flask_app: Any, is_debug: bool, is_wrapped: bool
) -> None:
    """Flask logs it, or in debug mode raises it on; either way with the route."""
    flask_app.debug = is_debug
    if is_wrapped:
        flask_app.wsgi_app = wsgi.wrap(flask_app.wsgi_app)

    if is_debug:
        with pytest.raises(LookupError):
            flask_app.test_client().get("/orders/A-1004?token=Tr0ub4dor", headers=HEADERS)
    else:
        flask_app.test_client().get("/orders/A-1004?token=Tr0ub4dor", headers=HEADERS).close()

    (event,) = eventlog_console.wait_for(1, timeout=20)
    detail = json.loads(event.body["Detail"])
    assert detail["logger"] == ("eventlog_handlers.flask" if is_debug else "shop")
    assert detail["extra"]["route"] == "/orders/<number>"
    assert detail["extra"]["request_id"] == "8c1f"
    assert detail["extra"]["status_code"] == 500
    assert detail["extra"]["query"] == {"token": "[redacted]"}
    assert not fields.current()


def test_what_a_django_view_raises_has_the_request(events: Any) -> None:
    """By Django's own record, whichever way the handler was attached."""
    from django.core.exceptions import ImproperlyConfigured
    from django.http import HttpRequest
    from django.urls import ResolverMatch
    from django.utils.log import log_response

    try:
        assert settings.DEFAULT_CHARSET
    except ImproperlyConfigured:
        settings.configure()
    request = HttpRequest()
    request.method, request.path = "GET", "/orders/A-1004"
    request.META = wsgi_environ()
    request.resolver_match = ResolverMatch(print, (), {}, route="orders/<number>")

    class Response:
        status_code = 500

    try:
        raise LookupError("no order A-1004")
    except LookupError as error:
        log_response(
            "%s: %s",
            "Internal Server Error",
            request.path,
            response=Response(),
            request=request,
            exception=error,
        )

    (detail,) = events()
    assert detail["message"] == "Internal Server Error: /orders/A-1004"
    extra = detail["extra"]
    assert (extra["method"], extra["path"], extra["route"]) == ("GET", "/orders/A-1004", "orders/<number>")
    assert (extra["status_code"], extra["request_id"]) == (500, "8c1f")
    assert extra["query"] == {"page": "2", "token": "[redacted]"}
    assert "Tr0ub4dor" not in str(detail)


def test_an_extra_called_request_that_is_not_djangos_stays_an_extra(events: Any) -> None:
    """As it was given."""
    logging.getLogger("shop").error("sale failed", extra={"request": "A-1004"})

    (detail,) = events()
    assert detail["extra"] == {"request": "A-1004"}


# --- ASGI --------------------------------------------------------------------------------------------------


def asgi_scope(kind: str = "http", **more: Any) -> dict[str, Any]:
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    scope = {
        "type": kind,
        "path": "/orders/A-1004",
        "query_string": b"page=2&token=Tr0ub4dor",
        "headers": headers,
    }
    return {**scope, "method": "GET", **more} if kind == "http" else {**scope, **more}


async def nothing(*_: Any) -> Any:
    return {"type": "http.request"}


async def raising_asgi(scope, receive, send):
    raise LookupError("no order A-1004")


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_an_exception_that_an_asgi_application_raises_is_one_event(events: Any, kind: str) -> None:
    """As of WSGI; a connection that is no request has neither method nor status."""
    with pytest.raises(LookupError) as caught:
        asyncio.run(asgi.wrap(raising_asgi)(asgi_scope(kind), nothing, nothing))
    logging.getLogger("uvicorn.error").error("Exception in ASGI application", exc_info=caught.value)

    (detail,) = events()
    method = "GET" if kind == "http" else "WEBSOCKET"
    assert detail["message"] == f"{method} /orders/A-1004 raised LookupError: no order A-1004"
    extra = detail["extra"]
    assert extra["query"] == {"page": "2", "token": "[redacted]"}
    assert extra["headers"] == {"user-agent": "till/2"}
    assert (extra.get("status_code"), extra.get("method")) == (
        (500, "GET") if kind == "http" else (None, None)
    )


def starlette_app(middleware: bool) -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Route

    async def order(request):
        await asyncio.to_thread(logging.getLogger("shop").error, "looking")
        raise LookupError("no order A-1004")

    app = Starlette(routes=[Route("/orders/{number}", order)])
    if middleware:
        app.add_middleware(asgi.Middleware)
        return app
    return asgi.wrap(app)


def fastapi_app(middleware: bool) -> Any:
    fastapi = pytest.importorskip("fastapi")
    app = fastapi.FastAPI()

    @app.get("/orders/{number}")
    def order(number: str):
        logging.getLogger("shop").error("looking")
        raise LookupError(f"no order {number}")

    if middleware:
        app.add_middleware(asgi.Middleware)
        return app
    return asgi.wrap(app)


@pytest.mark.parametrize("middleware", [True, False], ids=["add_middleware", "wrap"])
@pytest.mark.parametrize("make", [starlette_app, fastapi_app])
def test_in_starlette_and_fastapi_the_event_has_the_route(events: Any, make: Any, middleware: bool) -> None:
    """And what the view logs, in a thread too, has the request's id."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(LookupError):
        asyncio.run(make(middleware)(asgi_scope(), nothing, send))

    details = {detail["message"]: detail["extra"] for detail in events()}
    assert set(details) == {"looking", "GET /orders/A-1004 raised LookupError: no order A-1004"}
    assert {extra["request_id"] for extra in details.values()} == {"8c1f"}
    raised = details["GET /orders/A-1004 raised LookupError: no order A-1004"]
    assert raised["status_code"] == 500
    if make is fastapi_app:  # Starlette keeps no route
        assert raised["route"] == "/orders/{number}"
    assert sent[0]["status"] == 500


def test_concurrent_requests_keep_their_fields_apart(events: Any) -> None:
    """Each task has a context of its own."""

    async def app(scope, receive, send):
        await asyncio.sleep(0)
        logging.getLogger("shop").error("%s", scope["path"])

    async def main() -> None:
        wrapped = asgi.wrap(app)
        await asyncio.gather(
            *(wrapped(asgi_scope(path=f"/{number}"), nothing, nothing) for number in range(20))
        )

    asyncio.run(main())

    assert all(detail["message"] == detail["extra"]["path"] for detail in events())
    assert len(events()) == 20


def test_an_exception_in_the_lifespan_is_one_event(events: Any) -> None:
    """And the server learns it."""

    async def app(scope, receive, send):
        await receive()
        raise LookupError("no database")

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    with pytest.raises(LookupError):
        asyncio.run(asgi.wrap(app)({"type": "lifespan"}, receive, nothing))

    (detail,) = events()
    assert detail["message"] == "startup raised LookupError: no database"


# --- functions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attribute", ["aws_request_id", "request_id"])
@pytest.mark.parametrize("is_async", [False, True], ids=["def", "async def"])
def test_what_a_function_raises_is_one_event_with_the_requests_id(
    events: Any, is_async: bool, attribute: str
) -> None:
    """The platform catches it, so no hook of Python's sees it."""
    from eventlog_handlers.functions import flush_after

    class Context:
        pass

    platform = Context()
    setattr(platform, attribute, "8c1f")

    @flush_after(timeout=20)
    def handler(event, context):
        logging.getLogger("shop").error("order %s is late", event)
        raise LookupError("no order")

    @flush_after(timeout=20)
    async def async_handler(event, context):
        logging.getLogger("shop").error("order %s is late", event)
        raise LookupError("no order")

    def call() -> None:
        if is_async:
            asyncio.run(async_handler("A-1", platform))
        else:
            handler("A-1", platform)

    with pytest.raises(LookupError):
        call()

    messages = {detail["message"]: detail["extra"] for detail in events()}
    first, second = sorted(messages, key=len)
    assert first == "order A-1 is late"
    assert second.endswith("handler raised LookupError: no order")
    assert list(messages.values()) == [{"request_id": "8c1f"}] * 2


# --- context -----------------------------------------------------------------------------------------------


def test_context_puts_fields_on_every_event_of_the_block(events: Any) -> None:
    """Nested ones add to it, a record's own extra wins, secrets are redacted, and it ends with the block."""
    log = logging.getLogger("shop")

    with context(request_id="8c1f", user={"name": "U-7", "password": "Tr0ub4dor"}):
        log.error("outer", extra={"user": "U-8"})
        with context(step=2):
            log.error("inner %s", object())
        try:
            raise LookupError
        except LookupError:
            log.exception("failed")
    log.error("after")

    extras = {detail["message"].split()[0]: detail.get("extra", {}) for detail in events()}
    user = {"name": "U-7", "password": "[redacted]"}
    assert extras == {
        "outer": {"request_id": "8c1f", "user": "U-8"},
        "inner": {"request_id": "8c1f", "user": user, "step": 2},
        "failed": {"request_id": "8c1f", "user": user},
        "after": {},
    }


def test_context_decorates_a_function_and_reaches_where_python_carries_it(events: Any) -> None:
    """Coroutines, their tasks and threads started with the context; not any thread."""
    log = logging.getLogger("shop")

    async def task() -> None:
        await asyncio.to_thread(log.error, "thread of asyncio")
        log.error("task")

    async def main() -> None:
        await asyncio.create_task(task())

    @context(job="nightly")
    def work() -> None:
        asyncio.run(main())
        carried = contextvars.copy_context()
        for target in (lambda: carried.run(log.error, "carried"), lambda: log.error("plain thread")):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()

    work()

    jobs = {detail["message"]: detail.get("extra", {}).get("job") for detail in events()}
    inherits = getattr(sys.flags, "thread_inherit_context", 0)
    assert jobs == {
        "thread of asyncio": "nightly",
        "task": "nightly",
        "carried": "nightly",
        "plain thread": "nightly" if inherits else None,
    }


def test_context_refuses_what_steers_one_event() -> None:
    """Folding tells problems apart by it."""
    with pytest.raises(SettingsError, match="context takes no 'group_id'"), context(group_id="7"):
        pass


def test_context_is_on_folded_events_too(eventlog_console: Any) -> None:
    """Guance folds by default: the first event and the summary have the fields."""
    handler = GuanceHandler()
    log = logging.getLogger("shop")
    log.addHandler(handler)

    with context(request_id="8c1f"):
        for number in range(3):
            log.error("order %s failed", number)
    assert handler.flush(20)

    events = eventlog_console.events("guance")
    assert [event.stored["request_id"] for event in events] == ["8c1f", "8c1f"]
