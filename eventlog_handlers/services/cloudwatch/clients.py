"""boto3's clients: how one is built, when it is built anew, and how it is called. No verdicts here.

boto3 is imported with the first client. Of botocore we use the credentials, the endpoint and the first
request, see ``direct``. The request itself goes through our HttpClient, because botocore (1.44.8, read
2026-11-28) bounds each wait but not the call, gives every address of a host the whole time to connect, and
reads an answer of any length. Its own retries are off: they sleep, up to 20 s and without being woken, and
never repeat an entry that failed inside a 200.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from eventlog_handlers._version import __version__
from eventlog_handlers.errors import MisconfiguredError, SinkError, TransientError
from eventlog_handlers.process import green
from eventlog_handlers.process.fork import fork_gate
from eventlog_handlers.services.cloudwatch.boto_errors import BUILDING, FETCHING, NO_CREDENTIALS, translated
from eventlog_handlers.services.cloudwatch.boto_http import HttpSession, here, is_signed
from eventlog_handlers.services.cloudwatch.direct import Direct, Keys, has_foreign_hooks, learned
from eventlog_handlers.text.json_text import use_orjson
from eventlog_handlers.transport.client import HttpClient

if TYPE_CHECKING:
    from eventlog_handlers.services.cloudwatch.options import CloudWatchSettings

_CHANCES = 3  # to learn from a client's requests; credentials may be renewed while one is made


class GivenClient:
    """A client that was handed in: used as it is."""

    direct: Direct | None = None

    def __init__(self, boto: Any) -> None:
        self._boto = boto
        service = getattr(getattr(getattr(boto, "meta", None), "service_model", None), "service_name", None)
        if not callable(getattr(boto, "put_events", None)) or service not in (None, "events"):
            raise MisconfiguredError("client", "client= is not one for 'events': give boto3.client('events')")
        # It may have come over a fork together with its connections, and two processes on one connection get
        # each other's answers. Closing drops the idle ones; the client stays usable.
        boto.close()

    def put_events(self, entries: Sequence[Mapping[str, Any]], expires: float) -> Mapping[str, Any]:
        """boto3's answer; nothing bounds the call but the client's own timeouts."""
        response: Mapping[str, Any] = self._boto.put_events(Entries=entries)
        return response


class BuiltClient:
    """A client of our own. *credentials* is botocore's object, which renews them.

    *http* has taken over its sending; None where this botocore is made otherwise.
    """

    def __init__(self, boto: Any, credentials: Any, http: HttpClient | None) -> None:
        self._boto = boto
        self._credentials = credentials
        self.http = http
        self._direct: Direct | None = None
        self._chances = _CHANCES
        self._make_api_call = _make_api_call(boto)

    @property
    def direct(self) -> Direct | None:
        """The way to send without the client; None while it is not known, and where calls are watched."""
        if self._direct is not None and _make_api_call(self._boto) is not self._make_api_call:
            return None  # a test of the application's, or a tracer, has put its own in botocore's place
        return self._direct

    def keys(self) -> Keys:
        """The access key of this moment; may fetch or renew it over the network. Raises SinkErrors."""
        try:
            frozen = self._credentials.get_frozen_credentials()
            return Keys(frozen.access_key, frozen.secret_key, frozen.token)
        except Exception as error:  # a provider of the application's may raise anything: no event's fault
            failure = translated(error, FETCHING, TransientError)
        raise failure  # out of the handler: boto3's exceptions hold requests, and so tokens

    def study(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Learn from a request of the client's how to make such requests."""
        if self._direct is None and self._chances > 0:
            self._chances -= 1
            if not has_foreign_hooks(self._boto):
                with suppress(SinkError):
                    self._direct = learned(url, headers, body, self.keys())

    def put_events(self, entries: Sequence[Mapping[str, Any]], expires: float) -> Mapping[str, Any]:
        """boto3's answer, by *expires* in seconds of the sink's clock."""
        with fork_gate.no_fork() as leave:
            here.leave, here.expires = leave, expires
            response: Mapping[str, Any] = self._boto.put_events(Entries=entries)
        return response

    def close(self) -> None:
        """Close its connections; it stays usable."""
        self._boto.close()


def _make_api_call(boto: Any) -> Any:
    return getattr(type(boto), "_make_api_call", None)


class Clients:
    """The client that is in use, built if need be. *clock* is monotonic seconds. For several threads."""

    def __init__(self, settings: CloudWatchSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = green.Lock()  # a Session is not thread-safe, a client is; guards the next three
        self._session: Any = settings.session
        self._built: BuiltClient | None = None
        self._given: GivenClient | None = None

    def current(self, seconds: float) -> BuiltClient | GivenClient:
        """The client; waits *seconds* at most for another thread that builds it. Raises SinkErrors."""
        if not self._lock.acquire(timeout=max(seconds, 0.0)):
            raise TransientError("timeout", "another thread was still building the client")
        try:
            if self._settings.client is not None:
                self._given = self._given or GivenClient(self._settings.client)
                return self._given
            if self._built is None:
                self._prepare_session()
                self._built = self._build()
            return self._built
        except SinkError:
            raise
        except Exception as error:
            failure = translated(error, BUILDING, MisconfiguredError)
        finally:
            self._lock.release()
        raise failure  # out of the handler: boto3's exceptions hold requests, and so tokens

    def forget(self, client: BuiltClient | GivenClient) -> bool:
        """Build the next client anew, from a new session where it is ours: its credentials are read again.

        Only if *client* is still in use: another thread may have been quicker. False for one that was given.
        """
        with self._lock:
            if client is self._built:
                self._built = None  # not closed: another thread may be about to send with it
                self._session = self._settings.session
        return isinstance(client, BuiltClient)

    def close(self) -> None:
        """Close the connections of our own client; one that was handed in is its owner's to close.

        Doesn't wait for a client that another thread builds: it has no connection yet.
        """
        client = self._built
        if client is not None:
            client.close()

    def _prepare_session(self) -> None:
        """Have a session that knows its credentials; the slow part: imports, files, perhaps the network."""
        if self._session is None:
            with fork_gate.no_fork():
                # requests first, which each call needs: it hides a warning of urllib3's by a filter, and
                # botocore, at the end of its import, brings back the filters of its beginning. Another
                # handler's thread may import at the same time.
                from eventlog_handlers.transport import network  # noqa: F401

                import boto3  # isort: skip

                use_orjson()
                self._session = boto3.Session()
        if self._settings.access_key_id is None and self._session.get_credentials() is None:
            self._session = self._settings.session  # ours would not look into changed files again
            raise MisconfiguredError("NoCredentialsError", NO_CREDENTIALS)

    def _build(self) -> BuiltClient:
        with fork_gate.no_fork():  # the first client of a process loads half of botocore
            from botocore.config import Config
            from botocore.credentials import Credentials

            settings = self._settings
            key_id, secret = settings.access_key_id, settings.access_key_secret
            boto = self._session.client(
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
            boto.meta.events.register("before-send.events.PutEvents", is_signed)
            if key_id is not None and secret is not None:
                credentials: Any = Credentials(key_id.reveal(), secret.reveal())
            else:
                credentials = self._session.get_credentials()
            http = self._http_for(boto)
            client = BuiltClient(boto, credentials, http)
            if http is not None:
                boto._endpoint.http_session = HttpSession(http, self._clock, client.study)
            return client

    def _http_for(self, boto: Any) -> HttpClient | None:
        """An HttpClient that sends as *boto* would, with one deadline for the call; None if that can't be."""
        try:
            theirs = boto._endpoint.http_session
            verify, certificate = theirs._verify, theirs._cert_file
        except AttributeError:
            return None  # a botocore made otherwise: its own timeouts bound connecting and each wait
        if certificate is not None:
            return (
                None  # asked for in a session's default configuration, and not for an HttpClient to present
            )
        connect_timeout, read_timeout = self._settings.timeout
        return HttpClient(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            proxies=self._settings.proxies,
            ca_bundle=verify if isinstance(verify, str) else None,  # ca_bundle, AWS_CA_BUNDLE, the profile's
            clock=self._clock,
        )
