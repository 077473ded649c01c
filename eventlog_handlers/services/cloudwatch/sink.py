"""Events to CloudWatch Events (EventBridge): one PutEvents a call, and a second try that mends something.

``entry`` and ``detail`` make the request, ``answers`` reads the answer, ``clients`` and ``direct`` use boto3,
``boto_errors`` translates its exceptions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from eventlog_handlers.errors import MisconfiguredError, SinkError, TransientError
from eventlog_handlers.events import Event, Limits, Outcome, Payload
from eventlog_handlers.process.fork import fork_gate
from eventlog_handlers.services.cloudwatch.answers import of_answer, outcomes, parsed, response_headers
from eventlog_handlers.services.cloudwatch.boto_errors import CALLING, translated
from eventlog_handlers.services.cloudwatch.boto_http import here
from eventlog_handlers.services.cloudwatch.clients import BuiltClient, Clients, GivenClient
from eventlog_handlers.services.cloudwatch.direct import Direct, body_of
from eventlog_handlers.services.cloudwatch.entry import MAX_ENTRIES, encode
from eventlog_handlers.services.http_answers import server_time
from eventlog_handlers.services.verdict import Codes, Mend

if TYPE_CHECKING:
    from eventlog_handlers.services.cloudwatch.options import CloudWatchSettings

_EXPIRED = ("ExpiredToken", "ExpiredTokenException")


class CloudWatchEventsSink:
    """``PutEvents``. *clock* gives monotonic seconds, *wall_clock* seconds since the epoch.

    A client handed in with the settings is used as it is, its timeouts and retries too; one call of it is one
    attempt here. Else clients are built from ``settings.session`` or a session of the sink's own: at the
    first ``send``, again once a token has expired, again after an error that a new configuration may mend.

    *timeout* of ``send`` bounds the whole call. Not bounded by it: looking a name up, what botocore needs to
    fetch or renew temporary credentials, a client that was handed in, and the time to build the first client
    where the call has all of the handler's own timeout.
    """

    def __init__(
        self,
        settings: CloudWatchSettings,
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._wall_clock = wall_clock
        self._clock_offset = 0.0  # seconds the service is ahead of wall_clock; one word, so no lock
        self._limits = Limits(MAX_ENTRIES, settings.max_request_bytes)
        self._clients = Clients(settings, clock)
        self._codes = Codes()

    @property
    def limits(self) -> Limits:
        return self._limits

    def encode(self, event: Event, max_bytes: int | None = None) -> Payload:
        """See ``entry.encode``; *max_bytes* lowers the cap of the settings, never raises it."""
        settings = self._settings
        cap = self._limits.request_bytes
        return encode(
            event,
            source=settings.source,
            detail_type=settings.detail_type,
            resources=settings.resources,
            event_bus_name=settings.event_bus_name,
            max_bytes=cap if max_bytes is None else min(cap, max_bytes),
        )

    def send(self, payloads: Sequence[Payload], *, timeout: float) -> list[Outcome]:
        """One ``PutEvents``; a second one only where the first had its session token or its time refused."""
        expires = self._clock() + timeout
        client = self._clients.current(timeout)
        if timeout >= sum(self._settings.timeout):
            expires = self._clock() + timeout
        try:
            return self._put(client, payloads, expires)
        except MisconfiguredError as error:
            if not self._clients.forget(client) or error.code not in _EXPIRED:
                raise
        client = self._clients.current(expires - self._clock())
        try:
            return self._put(client, payloads, expires)
        except MisconfiguredError:
            self._clients.forget(client)
            raise

    def close(self) -> None:
        """Drop the connections of our own client; a later ``send`` opens new ones."""
        self._clients.close()

    def _put(
        self, client: BuiltClient | GivenClient, payloads: Sequence[Payload], expires: float
    ) -> list[Outcome]:
        """The outcomes, or what went wrong as a SinkError."""
        if expires <= self._clock():
            raise TransientError("timeout", "no time left to send")
        try:
            return self._call(client, payloads, expires)
        except SinkError:
            raise
        except Exception as error:
            failure = self._codes.admit_error(translated(error, CALLING, TransientError))
        raise failure  # out of the handler: boto3's exceptions hold requests, and so tokens

    def _call(
        self, client: BuiltClient | GivenClient, payloads: Sequence[Payload], expires: float
    ) -> list[Outcome]:
        """Directly if that has been learned, else through the client."""
        if isinstance(client, BuiltClient) and client.direct is not None:
            return self._put_directly(client, client.direct, payloads, expires)
        here.server_time = None
        try:
            response = client.put_events([payload.body for payload in payloads], expires)
        except Exception:
            if not isinstance(client, BuiltClient) or client.direct is None or here.server_time is None:
                raise
        else:
            return outcomes(response, len(payloads), response_headers(response), self._codes.admit)
        self._clock_offset = here.server_time - self._wall_clock()
        return self._put_directly(client, client.direct, payloads, expires)

    def _put_directly(
        self, client: BuiltClient, direct: Direct, payloads: Sequence[Payload], expires: float
    ) -> list[Outcome]:
        """The same without the client; where the request's time is refused, again by the answer's Date."""
        assert client.http is not None  # noqa: S101 - it was there to learn from
        body = body_of(payload.body for payload in payloads)
        is_mended = False
        while True:
            with fork_gate.no_fork():
                moment = self._wall_clock() + self._clock_offset
                headers = direct.headers(client.keys(), body, moment)
            left = expires - self._clock()
            if left <= 0:
                raise TransientError("timeout", "the time for this call was over before it could be sent")
            answer = client.http.post(direct.url, headers=headers, body=body, timeout=left)
            if 200 <= answer.status < 300:
                return outcomes(parsed(answer.body), len(payloads), answer.headers, self._codes.admit)
            judged = self._codes.admit(of_answer(answer.status, answer.headers, answer.body))
            theirs = server_time(answer.headers)
            if is_mended or judged.mend is not Mend.CLOCK or theirs is None:
                raise judged.error()
            self._clock_offset = theirs - self._wall_clock()
            is_mended = True
