"""Our HTTP client below botocore: one deadline for the whole call, no hidden retry."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from eventlog_handlers.transport.client import HttpClient

_here = threading.local()
"""Of the call this thread makes: ``_here.expires`` in seconds of the sink's clock; ``_here.leave()`` lets
forks go on."""


class _HttpSession:
    """In the place of botocore's URLLib3Session: what an Endpoint asks of it, done by an HttpClient.

    Raises SinkErrors, which botocore hands through as they are.
    """

    def __init__(self, http: HttpClient, clock: Callable[[], float]) -> None:
        self._http = http
        self._clock = clock

    def send(self, request: Any) -> Any:
        """Send an AWSPreparedRequest; an AWSResponse that has been read to its end."""
        from botocore.awsrequest import AWSResponse

        headers = {
            name: value.decode("latin-1") if isinstance(value, bytes) else value
            for name, value in request.headers.items()
        }
        left = _here.expires - self._clock()
        answer = self._http.post(request.url, headers=headers, body=request.body, timeout=left)
        answered: Any = answer.headers
        return AWSResponse(request.url, answer.status, answered, _Body(answer.body))

    def close(self) -> None:
        self._http.close()


class _Body:
    """An answer's body as AWSResponse reads it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Iterator[bytes]:
        yield self._body


def _is_signed(**_: object) -> None:
    """botocore calls this between signing and sending: a fork need not wait for the answer."""
    _here.leave()
