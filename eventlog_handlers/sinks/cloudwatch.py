"""Events to CloudWatch Events (EventBridge) through boto3: the client's life, its exceptions, nothing else.

What is sent and what an answer means stands in ``wire/cloudwatch.py``. boto3 is imported with the first
client. Its own retries are off: they sleep, up to 20 s and without being woken, and never repeat an entry
that failed inside a 200 (botocore 1.44.5, read 2026-11-20).

Its exceptions are told apart by their classes' names, so that reading the tables loads none of its modules.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eventlog_handlers._version import __version__
from eventlog_handlers.errors import (
    MisconfiguredError,
    RefusedError,
    SinkError,
    TooLargeError,
    TransientError,
)
from eventlog_handlers.events import Event, Limits, Outcome, Payload
from eventlog_handlers.lifecycle import fork_gate
from eventlog_handlers.wire import cloudwatch as wire

if TYPE_CHECKING:
    from eventlog_handlers.settings import CloudWatchSettings

_MAX_CONNECTIONS = 64  # as many as there may be workers; urllib3 warns in the log where there are fewer
_STEPS_SECONDS = (60.0, 30.0, 20.0, 12.0, 8.0, 5.0, 4.0, 3.0, 2.0, 1.5, 1.0, 0.7, 0.5, 0.3, 0.2, 0.1)
"""The totals a client for a shorter call may have. A client's timeouts are fixed, and one costs 3 ms."""

_EXPIRED = ("ExpiredToken", "ExpiredTokenException")
_NO_CREDENTIALS = "no AWS credentials: give the process a role, a profile or AWS_ACCESS_KEY_ID and its secret"


_signing = threading.local()
"""``_signing.leave()`` lets forks go on: set by the thread that has a request signed."""


class CloudWatchEventsSink:
    """``PutEvents``. *clock* is monotonic seconds.

    A client handed in with the settings is used as it is, its timeouts and retries too; one call of it is one
    attempt here. Else clients are built from ``settings.session`` or a session of the sink's own: at the
    first ``send``, again once a token has expired, again after whatever a changed configuration may mend.

    *timeout* of ``send`` bounds connecting plus the wait for the answer. Not bounded by it: looking a name
    up, a name with several dead addresses (each gets the time to connect), an answer that comes in drops, and
    what botocore needs to fetch or renew temporary credentials.
    """

    def __init__(self, settings: CloudWatchSettings, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._limits = Limits(wire.MAX_ENTRIES, settings.max_request_bytes)
        self._lock = threading.Lock()  # a Session is not thread-safe, a client is; guards the next three
        self._session: Any = settings.session
        self._clients: dict[tuple[float, float], Any] = {}  # by connect and read timeout
        self._given_client_is_fresh = False

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
        deadline = self._clock() + timeout
        client = self._client(timeout)
        try:
            response = self._put(client, entries)
        except MisconfiguredError as error:
            self._forget(client)
            if error.code not in _EXPIRED or self._settings.client is not None:
                raise
            client = self._client(deadline - self._clock())
            try:
                response = self._put(client, entries)
            except MisconfiguredError:
                self._forget(client)
                raise
        return wire.decode(response, len(payloads))

    def close(self) -> None:
        """Close the connections of our own clients; one that was handed in is its owner's to close.

        Doesn't wait for a client another thread is building: it has no connection yet.
        """
        for client in list(self._clients.values()):
            client.close()

    def _client(self, seconds: float) -> Any:
        """The client whose call takes at most *seconds*, the time to build it included."""
        started = self._clock()
        if not self._lock.acquire(timeout=max(seconds, 0.0)):
            raise TransientError("timeout", "another thread was still building the client")
        try:
            if self._settings.client is not None:
                return self._given_client()
            timeouts = _timeouts(self._settings.timeout, seconds)
            if timeouts not in self._clients:
                self._prepare_session()
                if timeouts != self._settings.timeout:  # else the very first call may take a moment longer
                    timeouts = _timeouts(self._settings.timeout, seconds - (self._clock() - started))
            if timeouts not in self._clients:
                self._clients[timeouts] = self._build(*timeouts)
            return self._clients[timeouts]
        except SinkError:
            raise
        except Exception as error:
            raise _translated(error, _BUILDING, MisconfiguredError) from error
        finally:
            self._lock.release()

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

                self._session = boto3.Session()
        if self._settings.access_key_id is None and self._session.get_credentials() is None:
            self._session = self._settings.session  # ours would not look into changed files again
            raise MisconfiguredError("NoCredentialsError", _NO_CREDENTIALS)

    def _build(self, connect_seconds: float, read_seconds: float) -> Any:
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
                    connect_timeout=connect_seconds,
                    read_timeout=read_seconds,
                    max_pool_connections=_MAX_CONNECTIONS,
                    tcp_keepalive=True,
                    proxies=None if settings.proxies is None else dict(settings.proxies),
                ),
            )
            client.meta.events.register("before-send.events.PutEvents", _is_signed)
            return client

    def _put(self, client: Any, entries: list[dict[str, Any]]) -> Mapping[str, Any]:
        """The answer, or what went wrong as a SinkError."""
        try:
            response: Mapping[str, Any]
            if self._settings.client is not None:
                response = client.put_events(Entries=entries)
            else:
                with fork_gate.no_fork() as leave:
                    _signing.leave = leave
                    response = client.put_events(Entries=entries)
        except Exception as error:
            raise _translated(error, _CALLING, TransientError) from error
        return response

    def _forget(self, client: Any) -> None:
        """Build the next client anew, from a new session where it is ours: its credentials are read again.

        Only if *client* is still in use: another thread may have been quicker.
        """
        with self._lock:
            if all(client is not known for known in self._clients.values()):
                return
            self._clients = {}  # not closed: another thread may be about to send with one
            self._session = self._settings.session


def _is_signed(**_: object) -> None:
    """botocore calls this between signing and sending: a fork need not wait for the answer."""
    _signing.leave()


def _timeouts(configured: tuple[float, float], seconds: float) -> tuple[float, float]:
    """Connect and read timeouts that sum up to at most *seconds*: *configured*, or a step in proportion."""
    connect, read = configured
    total = connect + read
    if seconds >= total:
        return configured
    for step in _STEPS_SECONDS:
        if step <= seconds and step < total:
            return (step * connect / total, step * read / total)
    raise TransientError("timeout", "no time left to send")


# --- botocore's exceptions --------------------------------------------------------------------------------

_Maker = Callable[[Exception], SinkError]


def _translated(error: Exception, table: Mapping[str, _Maker], unknown: type[SinkError]) -> SinkError:
    """By the row of *table* for *error*'s class or its nearest base; else *unknown* with the class's name."""
    for cls in type(error).__mro__:
        if cls.__name__ in table:
            return table[cls.__name__](error)
    return unknown(type(error).__name__, "unexpected error of the AWS client")


def _client_error(error: Any) -> SinkError:
    """botocore's ClientError: the service's code, the status and the headers decide."""
    response = error.response
    cause = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code, message = str(cause.get("Code", "")), str(cause.get("Message", ""))
    meaning = wire.classify_error(code, status, message, wire.response_headers(response))
    operation = getattr(error, "operation_name", "PutEvents")
    if operation != "PutEvents" and isinstance(meaning, RefusedError | TooLargeError):
        # botocore asked for credentials (AssumeRole, ...) and that was refused: the events are blameless
        return MisconfiguredError(meaning.code, f"{operation} was refused: check the role and the profile")
    return meaning


def _transient(code: str, detail: str, *, ambiguous: bool = False) -> _Maker:
    return lambda error: TransientError(code, detail, ambiguous=ambiguous)


def _misconfigured(remedy: str) -> _Maker:
    return lambda error: MisconfiguredError(type(error).__name__, remedy)


def _refused(error: Exception) -> SinkError:
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_globals.get("__name__") == "botocore.parsers":
            return wire.unreadable("the answer has another shape than the service's")  # the request was good
        step = step.tb_next
    # Only the class is told: the text quotes the entry.
    return RefusedError(type(error).__name__, "boto3 could not make a request of it")


def _tls(error: Exception) -> SinkError:
    text = str(error)
    if any(words in text for words in ("CERTIFICATE_VERIFY_FAILED", "doesn't match", "No such file")):
        return MisconfiguredError("tls", "the certificate is not trusted: check ca_bundle and AWS_CA_BUNDLE")
    return TransientError("tls", "the TLS handshake failed")


def _proxy(error: Exception) -> SinkError:
    if " 407 " in str(error):
        return MisconfiguredError("proxy", "the proxy wants a user and a password: check proxies")
    return TransientError("proxy", "the proxy could not be reached or refused the connection")


_CREDENTIALS = "the credentials could not be read or renewed: check the profile, role or login they come from"

_COMMON: Mapping[str, _Maker] = {
    "ClientError": _client_error,
    "SSLError": _tls,
    "ProxyConnectionError": _proxy,
    "ConnectTimeoutError": _transient("connect", "no connection in time"),
    "ReadTimeoutError": _transient("timeout", "no answer in time", ambiguous=True),
    "ConnectionClosedError": _transient("reset", "the connection broke before the answer", ambiguous=True),
    "HTTPClientError": _transient("broken", "the exchange broke", ambiguous=True),
    "ConnectionError": _transient("connect", "no connection could be made"),  # botocore's and Python's
    "OSError": _transient("os", "the operating system refused"),
    "MemoryError": _transient("memory", "out of memory"),
    "NoCredentialsError": _misconfigured(_NO_CREDENTIALS),
    "NoAuthTokenError": _misconfigured(_NO_CREDENTIALS),
    **dict.fromkeys(
        (
            "CredentialRetrievalError",
            "PartialCredentialsError",
            "TokenRetrievalError",
            "UnknownCredentialError",
            "MetadataRetrievalError",
            "InfiniteLoopConfigError",
            "RefreshWithMFAUnsupportedError",
            "SSOError",
            "LoginError",
        ),
        _misconfigured(_CREDENTIALS),
    ),
    "MissingDependencyException": _misconfigured("a package is missing: pip install 'botocore[crt]'"),
    "EndpointProviderError": _misconfigured("no endpoint for this: check region_name and endpoint_url"),
    "BaseEndpointResolverError": _misconfigured("no endpoint for this: check region_name and endpoint_url"),
    "InvalidProxiesConfigError": _misconfigured("check proxies"),
}

_BUILDING: Mapping[str, _Maker] = {
    **_COMMON,
    "NoRegionError": _misconfigured("no AWS region: give region_name, or set AWS_DEFAULT_REGION"),
    "InvalidRegionError": _misconfigured("region_name is not the name of a region"),
    "ProfileNotFound": _misconfigured("the profile does not exist: check AWS_PROFILE"),
    "ConfigParseError": _misconfigured("the AWS configuration file cannot be parsed"),
    "ImportError": _misconfigured("boto3 is missing: pip install 'eventlog-handlers[aws]'"),
    "BotoCoreError": _misconfigured("boto3 refuses to make a client: check region_name, endpoint_url, AWS_*"),
    "ValueError": _misconfigured("boto3 refuses to make a client: check region_name and endpoint_url"),
    # the interpreter is shutting down, or a thread or a descriptor could not be had
    "RuntimeError": _transient("runtime", "a client could not be made now"),
}

_CALLING: Mapping[str, _Maker] = {
    **_COMMON,
    **dict.fromkeys(("ParamValidationError", "ValidationError"), _refused),
    **dict.fromkeys(("AttributeError", "LookupError", "TypeError", "ValueError"), _refused),
}
