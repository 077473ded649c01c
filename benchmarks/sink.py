"""The service that answers at once: one process, any of the services, as little work per request as can be.

    python -m benchmarks.sink

Prints its HTTP port and its port for lines as JSON, then serves until its standard input ends. What is
measured runs elsewhere; here is nothing but reading, counting and the answer each client takes for success.
"""

from __future__ import annotations

import asyncio
import gzip
import importlib
import json
import re
import sys
import time
import zlib
from collections.abc import Callable

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ITEMS = re.compile(rb'"item_count": ?(\d+)')
_RAW_SIZE = re.compile(rb"\r\nx-log-bodyrawsize: *(\d+)", re.IGNORECASE)
_JSON = b"application/json"
_AMZ_JSON = b"application/x-amz-json-1.1"
_PROTOBUF = b"application/x-protobuf"


class Counts:
    """What arrived so far; ``last_at`` is monotonic, the same clock in every process of the machine."""

    def __init__(self) -> None:
        self.events = 0
        self.requests = 0
        self.last_at = 0.0
        self.last_body = b""
        self.latency = 0.0


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A protobuf number at *at*, and where the next thing begins."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def count_nested(data: bytes, start: int, end: int, path: tuple[int, ...]) -> int:
    """How many messages a protobuf holds under *path*, a field number for each depth."""
    found, at = 0, start
    while at < end:
        key, at = varint(data, at)
        kind = key & 7
        if kind == 2:
            size, at = varint(data, at)
            if key >> 3 == path[0]:
                found += count_nested(data, at, at + size, path[1:]) if path[1:] else 1
            at += size
        elif kind == 0:
            _, at = varint(data, at)
        else:
            at += 8 if kind == 1 else 4
    return found


# --- how many events a request holds ---------------------------------------------------------------------


def _cms(head: bytes, body: bytes) -> int:
    return body.count(b".EventName=")


def _guance(head: bytes, body: bytes) -> int:
    return 1


def _events(head: bytes, body: bytes) -> int:
    return body.count(b'"DetailType":')  # within Detail it would stand with a backslash


def _logs(head: bytes, body: bytes) -> int:
    return body.count(b'"timestamp":')


def _otlp(head: bytes, body: bytes) -> int:
    data = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    return count_nested(data, 0, len(data), (1, 2, 2))


def _sentry(head: bytes, body: bytes) -> int:
    data = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    return sum(map(int, _ITEMS.findall(data)))


def _aliyun(head: bytes, body: bytes) -> int:
    if b"lz4" in head:
        size = _RAW_SIZE.search(head)
        lz4 = importlib.import_module("lz4.block")
        data = lz4.decompress(body, uncompressed_size=int(size[1]) if size else len(body) * 255)
    else:
        data = zlib.decompress(body) if b"deflate" in head else body
    return count_nested(data, 0, len(data), (1,))


# --- what the client takes for success -------------------------------------------------------------------

_ENTRY = '{"EventId":"00000000-0000-0000-0000-000000000000"}'
_PUT_EVENTS = [
    f'{{"FailedEntryCount":0,"Entries":[{",".join([_ENTRY] * count)}]}}'.encode() for count in range(11)
]


def route(head: bytes, body: bytes) -> tuple[Callable[[bytes, bytes], int] | None, bytes, bytes]:
    """How to count this request, the answer's type and the answer."""
    line = head[: head.index(b"\r\n")]
    if b"/api/v1/events/create" in line:
        return _guance, _JSON, b'{"code":200,"content":{},"errorCode":"","message":"","success":true}'
    if b"/v1/logs" in line:
        return _otlp, _PROTOBUF, b""
    if b"/envelope/" in line:
        return _sentry, _JSON, b"{}"
    if b"/logstores/" in line:
        return _aliyun, _JSON, b""
    if b"AWSEvents.PutEvents" in head:
        return _events, _AMZ_JSON, _PUT_EVENTS[_events(head, body)]
    if b"PutLogEvents" in head:
        return _logs, _AMZ_JSON, b'{"nextSequenceToken":"1"}'
    if b"Logs_20140328" in head:
        return None, _AMZ_JSON, b"{}"
    return _cms, _JSON, b'{"Code":"200","Message":"success","RequestId":"0"}'


class Http(asyncio.Protocol):
    """One kept-alive connection; nothing is pipelined by any of the clients."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._received = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer once the request is whole, and only then count: the client need not wait for that."""
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._received, 0, end)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self._received) < whole:
            return
        head, body = bytes(self._received[: end + 2]), bytes(self._received[end + 4 : whole])
        del self._received[:whole]
        if head.startswith(b"GET /-/"):
            self._answer(_JSON, self._control(head))
            return
        count, kind, answer = route(head, body)
        counts = self._counts
        if counts.latency:
            asyncio.get_running_loop().call_later(counts.latency, self._answer, kind, answer)
        else:
            self._answer(kind, answer)
        if count is not None:
            counts.last_at = time.monotonic() + counts.latency
            counts.requests += 1
            counts.events += count(head, body)
            counts.last_body = body

    def _answer(self, kind: bytes, body: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nx-log-requestid: 0\r\nContent-Length: %d\r\n\r\n%b"
            % (kind, len(body), body)
        )

    def _control(self, head: bytes) -> bytes:
        """``/-/counts``, ``/-/last`` (the body that came last) or ``/-/reset/<milliseconds of latency>``."""
        _, _, name, *rest = head.split(b" ")[1].decode().split("/")
        counts = self._counts
        if name == "last":
            return counts.last_body
        if name == "reset":
            counts.events = counts.requests = 0
            counts.last_at, counts.latency = 0.0, float(rest[0]) / 1000
        return json.dumps(
            {"events": counts.events, "requests": counts.requests, "last_at": counts.last_at}
        ).encode()


class Lines(asyncio.Protocol):
    """A receiver of lines, one an event; there are no requests to count."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def data_received(self, data: bytes) -> None:
        self._counts.events += data.count(b"\n")
        self._counts.last_at = time.monotonic()


async def serve() -> None:
    """Listen on two ports, say which, and stay until whoever started this is gone."""
    counts = Counts()
    loop = asyncio.get_running_loop()
    http = await loop.create_server(lambda: Http(counts), "127.0.0.1", 0, backlog=512)
    lines = await loop.create_server(lambda: Lines(counts), "127.0.0.1", 0, backlog=512)
    ports = [server.sockets[0].getsockname()[1] for server in (http, lines)]
    print(json.dumps({"http": ports[0], "lines": ports[1]}), flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(serve())
