"""One deadline over every socket operation of an HTTP call: mixins for urllib3's connections and pools.

urllib3's timeouts bound each connect, send and recv; a server that drips a byte a second never meets them.
Here each operation is given no more than what is left of the whole call. Knows nothing of services, answers
or errors, and imports neither requests nor urllib3: ``timed`` derives its classes from those it is given, so
that it fits urllib3 1.26 and 2 alike.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import io
import os
import socket
import threading
import weakref
from typing import TYPE_CHECKING, Any

from eventlog_handlers.process import green
from eventlog_handlers.transport.call import Call, here

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_IDLE_SECONDS = 5.0
"""The services close idle connections without notice; one that was idle for longer is not used again."""

_SEND_BYTES = 16_384  # one TLS record: SSLSocket.sendall renews its timeout at each


class _TimedReader(io.RawIOBase):
    """A socket's reading end that asks the call for the time of each recv."""

    def __init__(self, raw: Any, sock: Any, call: Call) -> None:
        self._raw = raw
        self._sock = sock
        self._call = call

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        self._sock.settimeout(self._call.seconds(self._call.read_timeout))
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp: Any = io.BufferedReader(_TimedReader(self.fp.detach(), sock, here.call))


class _TimedConnection:
    """Mixed into urllib3's connections of both schemes, SOCKS proxies' too."""

    response_class = _TimedResponse
    idle_since = 0.0
    opened_by = 0
    sock: Any

    def send(self, data: bytes) -> None:
        call: Call = here.call
        if self.sock is None:
            self.connect()
        if call.is_parents():  # this green thread is a copy, and the socket is shared with the parent
            green.stand_still()
        call.has_sent = True
        call.is_sent_whole = False
        view = memoryview(data)
        for start in range(0, len(view), _SEND_BYTES):
            self.sock.settimeout(call.seconds(call.read_timeout))
            super().send(view[start : start + _SEND_BYTES])  # type: ignore[misc]
        call.is_sent_whole = True

    def connect(self) -> None:
        """Open the connection, for the thread that does it."""
        self.opened_by = threading.get_native_id()
        super().connect()  # type: ignore[misc]  # of urllib3's half

    def _tunnel(self) -> None:
        call: Call = here.call
        try:
            super()._tunnel()  # type: ignore[misc]
        finally:
            call.has_sent, call.is_sent_whole = False, True
        self.sock.settimeout(call.seconds(call.read_timeout))  # for the handshake that follows


class _TimedConnect:
    """Mixed in too where the connection is plain TCP: all addresses of a host share the deadline."""

    _dns_host: str
    port: int
    socket_options: Any

    def _new_conn(self) -> socket.socket:
        call: Call = here.call
        failure = OSError(f"no address for {self._dns_host}")
        host = self._dns_host.strip("[]")
        for family, kind, protocol, _, address in green.getaddrinfo()(
            host, self.port, type=socket.SOCK_STREAM
        ):
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError as error:  # IPv6 may be compiled in and switched off
                failure = error
                continue
            try:
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(call.seconds(call.connect_timeout))
                sock.connect(address)
                sock.settimeout(call.seconds(call.read_timeout))  # bounds a TLS handshake as a whole
            except OSError as error:
                sock.close()
                failure = error
            else:
                return sock
        raise failure


class _TimedPool:
    """Mixed into urllib3's pools: a connection idle for too long, or not wanted, is closed before use."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        call: Call = here.call
        conn = super()._get_conn(timeout)  # type: ignore[misc]
        if conn.sock is not None and (
            call.fresh or call.clock() - conn.idle_since > MAX_IDLE_SECONDS or _is_bound_elsewhere(conn)
        ):
            conn.close()  # urllib3 opens it again
        call.is_reused = conn.sock is not None
        if _is_green():
            _under_way.add(conn)
        return conn

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            _under_way.discard(conn)
            call: Call = here.call
            conn.idle_since = call.clock()
            call.pool = self
        super()._put_conn(conn)  # type: ignore[misc]


def _is_bound_elsewhere(conn: Any) -> bool:
    """Whether a green socket belongs to another thread than this one.

    gevent and eventlet, patched in after our import, give our real threads green sockets. Such a socket waits
    in the loop of the thread that opened it, and that thread may have ended.
    """
    return _is_green() and conn.opened_by != threading.get_native_id()


def _is_green() -> bool:
    return socket.socket.__module__ != "socket"


_under_way: weakref.WeakSet[Any] = weakref.WeakSet()
"""Green connections that carry a request."""


def _close_parents() -> None:
    """Close what a forked child has copied: its green threads would read the answers to its parent."""
    for conn in list(_under_way):
        with contextlib.suppress(Exception):  # not open, or of a kind that can't be closed so
            os.close(conn.sock.detach())  # ``close`` would wait for the reader of the answer
    _under_way.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_parents)


@functools.lru_cache(maxsize=8)
def _timed_pool(pool: type) -> type:
    connection: type = pool.ConnectionCls  # type: ignore[attr-defined]
    mixins = (_TimedConnection,) if "SOCKS" in connection.__name__ else (_TimedConnection, _TimedConnect)
    timed_connection = type(f"Timed{connection.__name__}", (*mixins, connection), {})
    return type(f"Timed{pool.__name__}", (_TimedPool, pool), {"ConnectionCls": timed_connection})


def timed(manager: Any) -> Any:
    """Return *manager*, an urllib3 PoolManager without pools, set to make those that obey ``here.call``."""
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _timed_pool(pool) for scheme, pool in pools.items()}
    return manager
