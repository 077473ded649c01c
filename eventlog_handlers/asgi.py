"""For ASGI applications: flushes when the server shuts the application down.

Only the lifespan protocol is spoken here; what a flush does is the workers' business. On SIGTERM uvicorn
runs no exit hook of Python's, the lifespan's end is all there is; hypercorn runs both.

    application = wrap(application)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from eventlog_handlers.process import exit as lifecycle

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


def wrap(app: Application, *, timeout: float | None = None) -> Application:
    """*app* (ASGI 3), and at the lifespan's end a flush of every handler of the process.

    The flush comes after the application's own shutdown, so that what it logs there is sent too, and before
    the server is told that shutdown is complete. It waits *timeout* seconds at most (None: the handlers'
    ``exit_timeout``), on a thread: the event loop goes on. Works with applications that don't implement
    lifespan; where one fails in its startup the server learns it as it would without this.
    """

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(app, scope, receive, send, timeout)
        else:
            await app(scope, receive, send)

    return application


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
    except Exception:
        if received:  # it does speak lifespan, and failed in it: not ours to hide
            await _flush(timeout)
            raise
    # Whatever the application left out, as far as the server still expects it.
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
        await asyncio.to_thread(lifecycle.flush_all, timeout)
    except RuntimeError:
        # No thread to be had, or no asyncio (hypercorn's trio worker). The loop has little left to do.
        lifecycle.flush_all(timeout)
