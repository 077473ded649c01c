"""A request on a kept connection, written and read here: a fifth of the price of requests and urllib3.

They open every connection, through proxies and TLS, and speak on it first; what they keep in their pools is
used here. An answer of the usual form (HTTP/1.1, a Content-Length, no transfer coding) is read here. Any
other is read by ``http.client``, which gets the bytes that came. Where an application's tests replace parts
of requests or urllib3, every request goes through these.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from http.client import BadStatusLine, HTTPResponse, RemoteDisconnected
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool

from eventlog_handlers.transport.call import Call
from eventlog_handlers.transport.client import by_name

if TYPE_CHECKING:
    import socket

    from _typeshed import WriteableBuffer

MAX_HEAD_BYTES = 65_536
_RECEIVE_BYTES = 65_536
_HEAD_ENDS = re.compile(rb"\r?\n\r?\n")
_USUAL_STATUS = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2})(?: [^\r\n]*)?")
_WITHOUT_BODY = frozenset({204, 304})
_BREAKS = re.compile("[\r\n]")
_FOLDS = re.compile("\r?\n[ \t]*")


class Reading(NamedTuple):
    """An answer, read to its end or to the wanted length."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """At most one byte more than was wanted."""
    may_be_kept: bool
    """Nothing is left on the connection, and the server keeps it."""


def is_unwatched() -> bool:
    """Whether no test or tracer has replaced parts of requests and urllib3."""
    return (
        HTTPAdapter.send.__module__ == "requests.adapters"
        and HTTPConnectionPool.urlopen.__module__ == "urllib3.connectionpool"
    )


def exchange(
    pool: Any, url: str, headers: Mapping[str, str], body: bytes, call: Call, most_bytes: int
) -> Reading | None:
    """POST on a connection that *pool*, one of ours, keeps; None, and nothing sent, if that can't be.

    Reads *most_bytes* of the answer's body, and one more. Raises what a socket raises, TimeoutError where the
    time of *call* is over, HTTPException for an answer that is no HTTP.
    """
    request = _written(url, headers, body)
    if request is None:
        return None
    try:
        connection = pool._get_conn()
    except Exception:  # the pool was closed meanwhile
        return None
    if not call.is_reused:
        pool._put_conn(connection)
        return None
    try:
        connection.send(request)
        reading = _read(connection.sock, call, most_bytes)
    except BaseException:
        connection.close()
        pool._put_conn(None)
        raise
    if not reading.may_be_kept:
        connection.close()
    pool._put_conn(connection)
    return reading


def _written(url: str, headers: Mapping[str, str], body: bytes) -> bytes | None:
    """The request as it is sent; None if a part is not allowed in one: requests has the better error."""
    parts = urlsplit(url)
    target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    fields = {name.lower(): f"{name}: {value}" for name, value in headers.items()}
    if "host" not in fields:
        fields = {"host": f"Host: {parts.netloc.rpartition('@')[2]}", **fields}
    lines = [f"POST {target} HTTP/1.1", *fields.values()]
    if any(map(_BREAKS.search, lines)):
        return None
    try:
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
    except UnicodeEncodeError:
        return None


# --- the answer -------------------------------------------------------------------------------------------


def _read(sock: socket.socket, call: Call, most_bytes: int) -> Reading:
    came = b""
    while (end := _HEAD_ENDS.search(came)) is None:
        if len(came) > MAX_HEAD_BYTES or came[:7] != b"HTTP/1."[: len(came)]:
            raise BadStatusLine(repr(came[:40]))
        piece = _received(sock, call)
        if not piece:
            raise RemoteDisconnected("the connection ended before the whole answer")
        came += piece
    status, headers, length = _usual_head(came[: end.start()])
    if length is None or end[0] != b"\r\n\r\n":
        return _unusual(sock, came, call, most_bytes)
    wanted = min(length, most_bytes + 1)
    body = came[end.end() :]
    while len(body) < wanted:
        piece = _received(sock, call)
        if not piece:
            raise RemoteDisconnected("the answer is shorter than it says")
        body += piece
    closes = "close" in headers.get("connection", "").lower()
    return Reading(status, headers, body[:wanted], len(body) == length and not closes)


def _received(sock: socket.socket, call: Call) -> bytes:
    sock.settimeout(call.seconds(call.read_timeout))
    return sock.recv(_RECEIVE_BYTES)


def _usual_head(head: bytes) -> tuple[int, Mapping[str, str], int | None]:
    """Status, headers and Content-Length; None for the length where http.client has to read the answer."""
    first, *lines = head.split(b"\r\n")
    status = _USUAL_STATUS.fullmatch(first)
    fields = [line.decode("latin-1").partition(":")[::2] for line in lines]
    if not all(name and name == name.strip() for name, _ in fields):  # a folded line, or none that HTTP has
        return 0, {}, None
    headers = by_name(fields)
    length = headers.get("content-length", "")
    if (
        status is None
        or int(status[1]) in _WITHOUT_BODY
        or "transfer-encoding" in headers
        or not (length.isascii() and length.isdigit() and len(length) < 16)
    ):
        return 0, {}, None
    return int(status[1]), headers, int(length)


def _unusual(sock: socket.socket, came: bytes, call: Call, most_bytes: int) -> Reading:
    """Chunks, no length, an interim answer, a line that is none: as http.client reads it."""
    replay: Any = _Replay(sock, came, call)
    response = HTTPResponse(replay, method="POST")
    response.begin()
    body = response.read(most_bytes + 1)
    if response.length and len(body) <= most_bytes:
        raise RemoteDisconnected("the answer is shorter than it says")
    headers = by_name((name, _FOLDS.sub(" ", value)) for name, value in response.getheaders())
    may_be_kept = len(body) <= most_bytes and response.isclosed() and not response.will_close
    return Reading(response.status, headers, body, may_be_kept)


class _Replay(io.RawIOBase):
    """A socket's reading end that first gives the bytes that have come already."""

    def __init__(self, sock: socket.socket, came: bytes, call: Call) -> None:
        self._sock = sock
        self._came = memoryview(came)
        self._call = call

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if not self._came:
            self._sock.settimeout(self._call.seconds(self._call.read_timeout))
            return self._sock.recv_into(buffer)
        view = memoryview(buffer)
        count = min(len(view), len(self._came))
        view[:count] = self._came[:count]
        self._came = self._came[count:]
        return count
