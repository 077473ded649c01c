"""Our HTTP client below botocore: one deadline for the whole call, no hidden retry."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from eventlog_handlers.services.cloudwatch.answers import of_answer
from eventlog_handlers.services.http_answers import server_time
from eventlog_handlers.services.verdict import Mend
from eventlog_handlers.transport.client import HttpClient


class _Here(threading.local):
    """Of the call that this thread makes through a client."""

    def __init__(self) -> None:
        self.expires = 0.0
        """In seconds of the sink's clock."""
        self.leave: Callable[[], object] = bool
        """Lets forks go on; does nothing outside of a call."""
        self.server_time: float | None = None
        """The service's time where it refused the request's time; None if it did not."""


here = _Here()


class HttpSession:
    """In the place of botocore's URLLib3Session: what an Endpoint asks of it, done by an HttpClient.

    *study* is shown each request before it is sent: its URL, its headers by lower-case names, its body.
    Raises SinkErrors, which botocore hands through as they are.
    """

    def __init__(
        self,
        http: HttpClient,
        clock: Callable[[], float],
        study: Callable[[str, Mapping[str, str], bytes], None],
    ) -> None:
        self._http = http
        self._clock = clock
        self._study = study

    def send(self, request: Any) -> Any:
        """Send an AWSPreparedRequest; an AWSResponse that has been read to its end."""
        from botocore.awsrequest import AWSResponse

        headers = {
            name.lower(): value.decode("latin-1") if isinstance(value, bytes) else str(value)
            for name, value in request.headers.items()
        }
        self._study(request.url, headers, request.body)
        left = here.expires - self._clock()
        answer = self._http.post(request.url, headers=headers, body=request.body, timeout=left)
        if answer.status >= 400 and of_answer(*answer[:3]).mend is Mend.CLOCK:
            here.server_time = server_time(answer.headers)
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


def is_signed(**_: object) -> None:
    """botocore calls this between signing and sending: a fork need not wait for the answer."""
    here.leave()
