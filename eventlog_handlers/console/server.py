"""The socket: the console on a thread for tests and the demo, or in the foreground for people.

uvicorn runs it. Nothing here knows a service.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import threading
from collections.abc import Iterable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from eventlog_handlers.console.admission import Doors
from eventlog_handlers.console.app import Console
from eventlog_handlers.text.loopback import is_loopback

_KEEP_ALIVE_SECONDS = 10  # CMS was seen to end idle connections after about as long
_LOGGERS = ("uvicorn.error", "uvicorn.asgi", "asyncio")


class _Protocol(H11Protocol):
    """uvicorn's protocol, numbered, and with its way out in reach of the application."""

    _numbers = itertools.count(1)

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, "wire": self}, _loop)
        self.number = next(self._numbers)

    def cut(self) -> None:
        self.transport.abort()


class _Server(uvicorn.Server):
    """uvicorn's server, which ends the pages' streams before it waits for connections to end."""

    def __init__(self, console: Console) -> None:
        super().__init__(_configuration(console))
        self._feed = console.feed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._feed.close()
        await super().shutdown(sockets)


class LocalConsole(Console):
    """A Console that listens on loopback from a thread of its own. Also a context manager.

    The caller has to ``stop()`` it; a forgotten one does not hold up the interpreter's exit. Records that the
    server would log stays out of the application's logging, which it is there to test: warnings and worse
    go to stderr.
    """

    def __init__(
        self, *, path: str | None = None, host: str = "127.0.0.1", port: int = 0, **options: Any
    ) -> None:
        super().__init__(path=path, **{"doors": doors_of(host)} | options)
        self._host = host
        self._port = port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Base URL, for EVENTLOG_CONSOLE and for a browser. Its port is known after ``start()``."""
        return _url(self._host, self._port)

    def start(self) -> LocalConsole:
        """Bind and serve; the port answers when this returns. Raises OSError if it can't be had."""
        listener = listen(self._host, self._port)
        self.feed.closed = False
        self._port = listener.getsockname()[1]
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._run, args=(self._server, listener), name="eventlog-console", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port and wait for the thread. The stored events can still be read."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(5.0)
        self._server = self._thread = None

    def __enter__(self) -> LocalConsole:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @staticmethod
    def _run(server: uvicorn.Server, listener: socket.socket) -> None:
        aside = _Aside(threading.get_ident())
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(aside)
        try:
            server.run(sockets=[listener])
        finally:
            for name in _LOGGERS:
                logging.getLogger(name).removeFilter(aside)


class _Aside(logging.Filter):
    """Keeps one thread's records out of the application's handlers."""

    def __init__(self, thread: int) -> None:
        super().__init__()
        self._thread = thread

    def filter(self, record: logging.LogRecord) -> bool:
        if record.thread != self._thread:
            return True
        if logging.lastResort is not None and record.levelno >= logging.WARNING:
            logging.lastResort.handle(record)
        return False


def doors_of(host: str, *, names: Iterable[str] = (), token: str | None = None) -> Doors:
    """The requests that a console on *host*, a name or an address, lets in."""
    beyond = not is_loopback(host)
    known = frozenset(name.lower() for name in (host, *names))
    return Doors(known, any_address=beyond, token=token)


def serve(console: Console, *, listener: socket.socket) -> None:
    """Serve in the foreground until SIGINT or SIGTERM."""
    asyncio.run(_Server(console).serve(sockets=[listener]))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; connections wait in its queue until a server accepts them. Raises OSError."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _configuration(console: Console) -> uvicorn.Config:
    return uvicorn.Config(
        console,
        http=_Protocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,  # each answer of a service has the date of its own clock
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=1024 * 1024,  # a URL that is too long is for the service to refuse
    )


def url_of(listener: socket.socket) -> str:
    """The base URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return _url(host, port)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
