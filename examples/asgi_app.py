"""A Starlette application: what it raises is an event, and every event has its request's id.

EVENTLOG_CONSOLE=1 uvicorn --app-dir examples asgi_app:app     (then open /orders/A-1004)
EVENTLOG_CONSOLE=1 python examples/asgi_app.py                 (one request without a server, then it ends)

beside a running `eventlog-handlers console`. Needs the extra: pip install 'eventlog-handlers[console]'.
"""

import asyncio
import contextlib
import logging
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from eventlog_handlers import configure, context
from eventlog_handlers.asgi import wrap

configure("guance://cn1 cms://cn-hangzhou", service="shop")


async def order(request: Request) -> PlainTextResponse:
    """Fails; the server answers 500."""
    with context(customer="C-7"):
        logging.getLogger("shop.orders").error("order %s is late", request.path_params["number"])
    raise LookupError(f"no order {request.path_params['number']}")


app = wrap(Starlette(routes=[Route("/orders/{number}", order)]))


async def ask_once() -> None:
    """One request, as a server would make it."""
    headers = [(b"x-request-id", b"8c1f")]
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/orders/A-1004",
        "query_string": b"",
        "headers": headers,
    }

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            print(message["status"])

    with contextlib.suppress(LookupError):  # a server logs it, and that record is not sent again
        await app(scope, receive, send)


if __name__ == "__main__":
    asyncio.run(ask_once())
