"""A scripted HTTP server on loopback that misbehaves as told: one turn per request, the last one repeated.

    with FaultServer(Reply(status=503), Reply(b"fine")) as server:
        ...  # server.url; afterwards server.requests and server.connections

A turn is a Reply, or a function that looks at the request and decides. Raw sockets and threads, because no
HTTP server can be made to drip, to reset or to fall silent. Nothing waits longer than 30 s, and leaving the
block ends whatever still hangs.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import NamedTuple

LONGEST_SECONDS = 30.0


class Reply(NamedTuple):
    """What becomes of one request."""

    body: bytes = b"{}"
    status: int = 200
    headers: Mapping[str, str] = {}
    """Besides Content-Length, which is right unless given here."""
    raw: bytes | None = None
    """Sent as it stands instead of all the above."""
    drip_from: int | None = None
    """Byte of the answer from which on they come one at a time, every *drip_seconds*."""
    drip_seconds: float = 0.05
    hang_at: int | None = None
    """Byte of the answer before which the server falls silent."""
    reset_at: int | None = None
    """Byte of the answer before which the connection is reset; 0: processed, never answered."""
    reset_after_reading: int | None = None
    """Bytes of the request after which the connection is reset unprocessed; 0: the first is not awaited."""
    answers_anything: bool = False
    """Answer the first bytes that come, whole request or not."""
    close: bool = False
    """Close the connection after the answer, without having said so."""
    endless: bytes = b""
    """Sent after the answer again and again, until the client leaves."""


class Request(NamedTuple):
    """A request that was read whole: the server has acted on it."""

    method: str
    target: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    connection: int
    """From 1, in the order they were accepted."""


Turn = Reply | Callable[[Request], Reply]


class FaultServer:
    """Listens from construction to the end of the ``with`` block.

    *port* 0 takes any; *backlog* is how many connections wait while nobody accepts them, which begins with
    ``accept`` where *is_accepting* is false.
    """

    def __init__(
        self,
        *script: Turn,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
        backlog: int | None = None,
        is_accepting: bool = True,
    ) -> None:
        self._script = list(script) or [Reply()]
        self._tls = tls
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._sockets: list[socket.socket] = []
        self._turn = 0
        self.requests: list[Request] = []
        """What was processed, in order; a request that was reset while being read is not here."""
        self.connections = 0
        self.sent_bytes = 0
        """Of endless answers, as far as the kernel took them."""
        self._listener = socket.create_server(("127.0.0.1", port), backlog=backlog)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._threads: list[threading.Thread] = []
        if is_accepting:
            self.accept()

    def __enter__(self) -> FaultServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self.close_connections()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(LONGEST_SECONDS)

    def accept(self) -> None:
        """Begin to accept connections."""
        thread = threading.Thread(target=self._accept, daemon=True)
        self._threads.append(thread)
        thread.start()

    def close_connections(self) -> None:
        """End every connection politely, as a server does with idle ones."""
        with self._lock:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(LONGEST_SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                self._sockets.append(sock)
                thread = threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True)
                self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket, connection: int) -> None:
        sock = plain
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(plain, server_side=True)
                with self._lock:
                    self._sockets[self._sockets.index(plain)] = sock
            while self._answer(sock, connection):
                pass
        except OSError:  # the client left, or the block ended
            pass
        finally:
            sock.close()

    def _answer(self, sock: socket.socket, connection: int) -> bool:
        """Play one turn of the script; whether the connection goes on."""
        turn: Turn | None = None
        received = bytearray()
        length: int | None = None
        while True:
            if received and turn is None:
                turn = self._next()
            early = turn if isinstance(turn, Reply) else Reply()
            if early.reset_after_reading is not None and len(received) >= early.reset_after_reading:
                return _reset(sock)
            if early.answers_anything:
                return self._send(sock, early)
            length = length or _length(received)
            if length is not None and len(received) >= length and turn is not None:
                break
            chunk = sock.recv(65_536)
            if not chunk:
                return False
            received += chunk
        request = _parse(bytes(received), connection)
        with self._lock:
            self.requests.append(request)
        return self._send(sock, turn if isinstance(turn, Reply) else turn(request))

    def _next(self) -> Turn:
        with self._lock:
            turn = self._script[min(self._turn, len(self._script) - 1)]
            self._turn += 1
            return turn

    def _send(self, sock: socket.socket, reply: Reply) -> bool:
        answer = _render(reply)
        whole = [at for at in (reply.drip_from, reply.hang_at, reply.reset_at) if at is not None]
        sent = min([len(answer), *whole])
        sock.sendall(answer[:sent])
        while sent < len(answer) and sent == reply.drip_from:
            if self._stopped.wait(reply.drip_seconds):
                return False
            sock.sendall(answer[sent : sent + 1])
            sent += 1
            reply = reply._replace(drip_from=sent)
        if sent == reply.reset_at:
            return _reset(sock)
        if sent == reply.hang_at:
            self._stopped.wait(LONGEST_SECONDS)
            return False
        while reply.endless and not self._stopped.is_set():
            sock.sendall(reply.endless)
            self.sent_bytes += len(reply.endless)
        return not reply.close


def _length(received: bytearray) -> int | None:
    """How long the request is that has begun to come in, or None while its head is not complete."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    announced = re.search(rb"\r\ncontent-length: *(\d+)", received[: end + 2], re.IGNORECASE)
    return end + 4 + (int(announced[1]) if announced else 0)


def _parse(received: bytes, connection: int) -> Request:
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(method, target, headers, body, connection)


def _render(reply: Reply) -> bytes:
    if reply.raw is not None:
        return reply.raw
    headers = {"Content-Length": str(len(reply.body)), **reply.headers}
    lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + reply.body


def _reset(sock: socket.socket) -> bool:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    return False
