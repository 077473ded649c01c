"""For ASGI applications: an exception that reaches the server becomes an event with its request.

Pending events are flushed when the server shuts the application down.

    application = wrap(application)

or, in Starlette and FastAPI, ``app.add_middleware(eventlog_handlers.asgi.Middleware)``. Records that
the application logs in a request get the request's id, method and path as well. On SIGTERM uvicorn runs no
exit hook of Python, so the flush at the lifespan's end is the only one; hypercorn runs both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from eventlog_handlers.listening import fields, report, web
from eventlog_handlers.process import exit as process_exit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

LOGGER = "eventlog_handlers.asgi"


class Middleware:
    """*app* (ASGI 3), with each exception that leaves it reported once and then raised as before.

    An exception that the application has logged as an error is not sent again, and neither is one that the
    server logs afterwards.

    At the lifespan's end every handler of the process is flushed. The flush comes after the application's own
    shutdown, so that its last records are sent too, and before the server is told that shutdown is complete.
    It waits *timeout* seconds at most (None: the handlers' ``exit_timeout``), on a thread: the event loop
    goes on. Works with applications that don't implement lifespan; where one fails in its startup the server
    learns it as it would without this.
    """

    def __init__(self, app: Application, *, timeout: float | None = None) -> None:
        self._app = app
        self._timeout = timeout

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(self._app, scope, receive, send, self._timeout)
        else:
            await _request(self._app, scope, receive, send)


def wrap(app: Application, *, timeout: float | None = None) -> Application:
    """*app* with the middleware around it."""
    return Middleware(app, timeout=timeout)


async def _request(app: Application, scope: Message, receive: Receive, send: Send) -> None:
    status: int | None = None

    async def send_noting(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message.get("status")
        await send(message)

    def header(name: str) -> str | None:
        wanted = name.encode("latin-1")
        return next(
            (value.decode("latin-1") for key, value in scope.get("headers", ()) if key.lower() == wanted),
            None,
        )

    of_request = web.fields(scope.get("method"), scope.get("path", ""), header)
    token = fields.bind(of_request)
    try:
        await app(scope, receive, send_noting)
    except Exception as error:
        report.report(
            error,
            "%s %s raised %s",
            (
                of_request.get("method", scope["type"].upper()),
                of_request.get("path", ""),
                report.described(error),
            ),
            logger=LOGGER,
            extra=web.failed(
                getattr(scope.get("route"), "path", None),
                status or (500 if scope["type"] == "http" else None),
                scope.get("query_string", b"").decode("latin-1"),
                header,
            ),
        )
        raise
    finally:
        fields.unbind(token)


async def _lifespan(
    app: Application, scope: Message, receive: Receive, send: Send, timeout: float | None
) -> None:
    received: list[str] = []
    sent: list[str] = []

    async def receive_noting() -> Message:
        message = await receive()
        received.append(message["type"])
        return message

    async def send_noting(message: Message) -> None:
        if message["type"].startswith("lifespan.shutdown."):
            await _flush(timeout)
        sent.append(message["type"])
        await send(message)

    try:
        await app(scope, receive_noting, send_noting)
    except Exception as error:
        if received:  # the application speaks lifespan and failed in it: the server must see that
            phase = received[-1].rpartition(".")[2]
            report.report(error, "%s raised %s", (phase, report.described(error)), logger=LOGGER)
            await _flush(timeout)
            raise
    # Send the messages that the server still expects and the application left out.
    if "lifespan.startup" not in received:
        await receive_noting()
    if not sent:
        await send_noting({"type": "lifespan.startup.complete"})
    if sent[-1] == "lifespan.startup.complete":
        if "lifespan.shutdown" not in received:
            await receive_noting()
        await send_noting({"type": "lifespan.shutdown.complete"})


async def _flush(timeout: float | None) -> None:
    try:
        await asyncio.to_thread(process_exit.flush_all, timeout)
    except RuntimeError:
        # No thread to be had, or no asyncio (hypercorn's trio worker). The loop has little left to do.
        process_exit.flush_all(timeout)
