"""Events to CloudWatch Events (EventBridge) through boto3: the client's life, its exceptions, nothing else.

What is sent and what an answer means stands in ``wire/cloudwatch.py``. boto3 is imported with the first
client. Of it we use the credentials, the endpoint, the signature and the reading of answers; the request
itself goes through ``http.py``, because botocore (1.44.5, read 2026-11-20) bounds each wait but not the call,
gives every address of a host the whole time to connect, and reads an answer of any length. Its own retries
are off: they sleep, up to 20 s and without being woken, and never repeat an entry that failed inside a 200.

Its exceptions are told apart by their classes' names, so that reading the tables loads none of its modules.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eventlog_handlers._version import __version__
from eventlog_handlers.errors import (
    MisconfiguredError,
    SinkError,
    TransientError,
)
from eventlog_handlers.events import Event, Limits, Outcome, Payload
from eventlog_handlers.process.fork import fork_gate
from eventlog_handlers.services.cloudwatch import entry as wire
from eventlog_handlers.services.cloudwatch.answers import outcomes
from eventlog_handlers.services.cloudwatch.boto_errors import (
    _BUILDING,
    _CALLING,
    _NO_CREDENTIALS,
    _translated,
)
from eventlog_handlers.services.cloudwatch.boto_http import _here, _HttpSession, _is_signed
from eventlog_handlers.services.verdict import Codes
from eventlog_handlers.text.json_text import use_orjson
from eventlog_handlers.transport.client import HttpClient

if TYPE_CHECKING:
    from eventlog_handlers.services.cloudwatch.options import CloudWatchSettings

_EXPIRED = ("ExpiredToken", "ExpiredTokenException")


class CloudWatchEventsSink:
    """``PutEvents``. *clock* is monotonic seconds.

    A client handed in with the settings is used as it is, its timeouts and retries too; one call of it is one
    attempt here. Else clients are built from ``settings.session`` or a session of the sink's own: at the
    first ``send``, again once a token has expired, again after whatever a changed configuration may mend.

    *timeout* of ``send`` bounds the whole call. Not bounded by it: looking a name up, what botocore needs to
    fetch or renew temporary credentials, a client that was handed in, and the time to build the first client
    where the call has all of the handler's own timeout.
    """

    def __init__(self, settings: CloudWatchSettings, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._limits = Limits(wire.MAX_ENTRIES, settings.max_request_bytes)
        self._lock = threading.Lock()  # a Session is not thread-safe, a client is; guards the next three
        self._session: Any = settings.session
        self._built: Any = None
        self._given_client_is_fresh = False
        self._codes = Codes()

    @property
    def limits(self) -> Limits:
        return self._limits

    def encode(self, event: Event, max_bytes: int | None = None) -> Payload:
        """See ``wire.cloudwatch.encode``; *max_bytes* lowers the cap of the settings, never raises it."""
        settings = self._settings
        cap = self._limits.request_bytes
        return wire.encode(
            event,
            source=settings.source,
            detail_type=settings.detail_type,
            resources=settings.resources,
            event_bus_name=settings.event_bus_name,
            max_bytes=cap if max_bytes is None else min(cap, max_bytes),
        )

    def send(self, payloads: Sequence[Payload], *, timeout: float) -> list[Outcome]:
        """One ``PutEvents``; a second one only where the first found its session token expired."""
        entries = [payload.body for payload in payloads]
        expires = self._clock() + timeout
        client = self._client(timeout)
        if timeout >= sum(self._settings.timeout):
            expires = self._clock() + timeout
        try:
            response = self._put(client, entries, expires)
        except MisconfiguredError as error:
            self._forget(client)
            if error.code not in _EXPIRED or self._settings.client is not None:
                raise
            client = self._client(expires - self._clock())
            try:
                response = self._put(client, entries, expires)
            except MisconfiguredError:
                self._forget(client)
                raise
        return outcomes(response, len(payloads), self._codes.admit)

    def close(self) -> None:
        """Close the connections of our own client; one that was handed in is its owner's to close.

        Doesn't wait for a client another thread is building: it has no connection yet.
        """
        client = self._built
        if client is not None:
            client.close()

    def _client(self, seconds: float) -> Any:
        """The client, built if need be; waits *seconds* at most for another thread that builds it."""
        if not self._lock.acquire(timeout=max(seconds, 0.0)):
            raise TransientError("timeout", "another thread was still building the client")
        try:
            if self._settings.client is not None:
                return self._given_client()
            if self._built is None:
                self._prepare_session()
                self._built = self._build()
            return self._built
        except SinkError:
            raise
        except Exception as error:
            failure = _translated(error, _BUILDING, MisconfiguredError)
        finally:
            self._lock.release()
        raise failure  # out of the handler: boto3's exceptions hold requests, and so tokens

    def _given_client(self) -> Any:
        client: Any = self._settings.client
        if not self._given_client_is_fresh:
            # It may have come over a fork together with its connections, and two processes on one connection
            # get each other's answers. Closing drops the idle ones; the client stays usable.
            client.close()
            self._given_client_is_fresh = True
        return client

    def _prepare_session(self) -> None:
        """Have a session that knows its credentials; the slow part: imports, files, perhaps the network."""
        if self._session is None:
            with fork_gate.no_fork():
                import boto3

                use_orjson()
                self._session = boto3.Session()
        if self._settings.access_key_id is None and self._session.get_credentials() is None:
            self._session = self._settings.session  # ours would not look into changed files again
            raise MisconfiguredError("NoCredentialsError", _NO_CREDENTIALS)

    def _build(self) -> Any:
        with fork_gate.no_fork():  # the first client of a process loads half of botocore
            from botocore.config import Config

            settings = self._settings
            key_id, secret = settings.access_key_id, settings.access_key_secret
            client = self._session.client(
                "events",
                region_name=settings.region_name,
                endpoint_url=settings.endpoint_url,
                verify=settings.ca_bundle,
                aws_access_key_id=key_id and key_id.reveal(),
                aws_secret_access_key=secret and secret.reveal(),
                config=Config(
                    retries={"mode": "standard", "total_max_attempts": 1},
                    parameter_validation=False,  # a tenth of a call's cost; entries are right by construction
                    user_agent=f"eventlog-handlers/{__version__}",  # replaces one built anew for each request
                    connect_timeout=settings.timeout[0],
                    read_timeout=settings.timeout[1],
                    proxies=None if settings.proxies is None else dict(settings.proxies),
                ),
            )
            client.meta.events.register("before-send.events.PutEvents", _is_signed)
            self._take_over_sending(client)
            return client

    def _take_over_sending(self, client: Any) -> None:
        """Have *client* send through an HttpClient, whose deadline is the call's."""
        try:
            theirs = client._endpoint.http_session
            verify, certificate = theirs._verify, theirs._cert_file
        except AttributeError:
            return  # a botocore made otherwise: its own timeouts bound connecting and each wait, not the call
        if certificate is not None:
            return  # asked for in a session's default configuration, and not for an HttpClient to present
        connect_timeout, read_timeout = self._settings.timeout
        http = HttpClient(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            proxies=self._settings.proxies,
            ca_bundle=verify if isinstance(verify, str) else None,  # ca_bundle, AWS_CA_BUNDLE, the profile's
            clock=self._clock,
        )
        client._endpoint.http_session = _HttpSession(http, self._clock)

    def _put(self, client: Any, entries: list[dict[str, Any]], expires: float) -> Mapping[str, Any]:
        """The answer, or what went wrong as a SinkError."""
        if expires <= self._clock():
            raise TransientError("timeout", "no time left to send")
        response: Mapping[str, Any]
        try:
            if self._settings.client is not None:
                response = client.put_events(Entries=entries)
            else:
                with fork_gate.no_fork() as leave:
                    _here.leave, _here.expires = leave, expires
                    response = client.put_events(Entries=entries)
            return response
        except SinkError:
            raise
        except Exception as error:
            failure = _translated(error, _CALLING, TransientError)
        raise failure  # out of the handler: boto3's exceptions hold requests, and so tokens

    def _forget(self, client: Any) -> None:
        """Build the next client anew, from a new session where it is ours: its credentials are read again.

        Only if *client* is still in use: another thread may have been quicker.
        """
        with self._lock:
            if client is self._built:
                self._built = None  # not closed: another thread may be about to send with it
                self._session = self._settings.session


# --- botocore's exceptions --------------------------------------------------------------------------------
