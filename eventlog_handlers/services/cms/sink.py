"""Sending to CMS: one signed POST a call, and the second tries that mend something at once.

``answers`` reads an answer, ``request`` makes a request. Here stands the memory of a process between calls:
the clock's offset, the signature that works, the names and codes it has seen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from eventlog_handlers.errors import TransientError
from eventlog_handlers.events import Event, Limits, Outcome, Payload
from eventlog_handlers.process.fork import fork_gate
from eventlog_handlers.services.cms.answers import verdict
from eventlog_handlers.services.cms.credentials import Credentials, checked, from_environment, from_source
from eventlog_handlers.services.cms.request import LIMITS, Scheme, encode, name_of, sign
from eventlog_handlers.services.cms.signing import percent
from eventlog_handlers.services.http_answers import server_time
from eventlog_handlers.services.verdict import Codes, Mend
from eventlog_handlers.transport.client import Answer, HttpClient

if TYPE_CHECKING:
    from eventlog_handlers.services.cms.options import CMSSettings

MAX_NAMES = 200
"""Distinct EventNames of one sink: alert rules match on them, so users keep a list of them."""

_DEFAULT_PORTS = {"https": 443, "http": 80}


class CardinalityGuard:
    """Lets the first *limit* distinct names through, and instead of any further one its logger's name.

    May be used from several threads; at the limit each of them may let one name more through.
    """

    def __init__(self, limit: int, warn: Callable[[str], None]) -> None:
        self._limit = limit
        self._warn = warn
        self._seen: set[str] = set()
        self._has_warned = False

    def admit(self, name: str, fallback: str) -> str:
        """*name*, or *fallback* once there were too many names before it."""
        if name in self._seen:
            return name
        if len(self._seen) < self._limit:
            self._seen.add(name)
            return name
        if not self._has_warned:
            self._has_warned = True
            self._warn(
                f"more than {self._limit} distinct event names: further ones are replaced by the logger's "
                "name; look at event_name and at extra={'event_name': ...}"
            )
        return fallback


class CMSSink:
    """Delivers events to CMS as custom events. May be called from several threads at once.

    *clock* gives monotonic seconds, *wall_clock* seconds since the epoch, *nonce* a text that no process
    ever gives twice (a uuid4 will do). *warn* is told, once each, of what the user should know although
    nothing was lost. Nothing is opened or imported before the first ``send``.
    """

    limits: Limits = LIMITS

    def __init__(
        self,
        settings: CMSSettings,
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        nonce: Callable[[], str],
        warn: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._wall_clock = wall_clock
        self._nonce = nonce
        self._warn = warn
        self._names = CardinalityGuard(MAX_NAMES, warn)
        self._codes = Codes()
        self._host = _host(settings.endpoint)
        self._scheme: Scheme = settings.signature
        self._clock_offset = 0.0  # seconds the service is ahead of wall_clock; one word, so no lock
        self._http = HttpClient(
            connect_timeout=settings.timeout[0],
            read_timeout=settings.timeout[1],
            proxies=settings.proxies,
            ca_bundle=settings.ca_bundle,
            clock=clock,
        )

    def encode(self, event: Event, max_bytes: int | None = None) -> Payload:
        """One event in the form of ``PutCustomEvent``; see ``request.encode``."""
        settings = self._settings
        name = self._names.admit(name_of(event, settings.event_name), event.logger)
        return encode(
            event,
            event_name=name,
            group_id=settings.group_id,
            content_format=settings.content_format,
            max_content_bytes=settings.max_content_bytes,
            max_bytes=max_bytes,
        )

    def send(self, payloads: Sequence[Payload], *, timeout: float) -> Sequence[Outcome]:
        """Deliver all of *payloads*, 1 to 50, or raise a SinkError for all of them.

        Within *timeout* seconds a call is repeated at once, with nonce, time and signature of its own, where
        the answer named something that can be mended here: a nonce that was refused, a clock that is off
        (by the answer's Date; the offset is kept), credentials that were replaced meanwhile, a form body
        that the service did not read under V3 (the sink then stays with RPC v1). Each at most once a call.
        """
        expires = self._clock() + timeout
        credentials = self._current_credentials()
        has_own_group = any(payload.event.group_id for payload in payloads)
        mended: set[Mend] = set()
        while True:
            scheme = self._scheme
            with fork_gate.no_fork():
                request = sign(
                    scheme,
                    payloads,
                    credentials=credentials,
                    host=self._host,
                    nonce=self._nonce(),
                    timestamp=self._wall_clock() + self._clock_offset,
                )
            left = expires - self._clock()
            if left <= 0:
                raise TransientError("timeout", "the time for this call was over before it could be sent")
            url = f"{self._settings.endpoint}/"
            answer = self._http.post(url, headers=request.headers, body=request.body, timeout=left)
            judged = verdict(
                answer.status,
                answer.headers,
                _without_secrets(answer.body, credentials),
                scheme=scheme,
                canonical_sha256=request.canonical_sha256,
                has_own_group=has_own_group,
            )
            better = None
            if judged.mend is not None and judged.mend not in mended:
                better = self._mend(judged.mend, answer, credentials)
            if better is None or judged.mend is None:
                return self._codes.admit(judged).outcomes(len(payloads))
            mended.add(judged.mend)
            credentials = better

    def close(self) -> None:
        """Drop the connections; a later ``send`` opens new ones."""
        self._http.close()

    def _mend(self, mend: Mend, answer: Answer, credentials: Credentials) -> Credentials | None:
        """Mend what *mend* names; the credentials for the second try, or None if there is no use in one."""
        if mend is Mend.CLOCK:
            moment = server_time(answer.headers)
            if moment is None:
                return None
            self._clock_offset = moment - self._wall_clock()
        elif mend is Mend.CREDENTIALS:
            fresh = self._current_credentials()
            return fresh if fresh != credentials else None
        elif mend is Mend.FORM and self._scheme != "v1":
            self._scheme = "v1"
            self._warn('CMS did not read the form body of a V3 call: staying with signature="v1" from now on')
        return credentials

    def _current_credentials(self) -> Credentials:
        """Asked anew for every call, so that a rotation takes effect; raises a SinkError if there is none."""
        settings = self._settings
        if settings.access_key_id is not None:
            return checked(
                settings.access_key_id,
                settings.access_key_secret,
                settings.security_token,
                origin="the handler's options",
            )
        if settings.credentials is not None:
            return from_source(settings.credentials)
        return from_environment(os.environ)


def _host(endpoint: str) -> str:
    """The Host header for *endpoint*, as V3 signs it: without a default port, without user and password."""
    parts = urlsplit(endpoint)
    host = parts.netloc.rpartition("@")[2]
    return host.removesuffix(f":{_DEFAULT_PORTS.get(parts.scheme)}")


def _without_secrets(body: bytes, credentials: Credentials) -> bytes:
    """An answer may quote the request: no key and no token of it reaches an error's text."""
    for secret in (credentials.access_key_secret, credentials.security_token):
        if secret and len(secret) >= 8:
            for form in (secret, percent(secret), percent(percent(secret)), secret.replace("/", "\\/")):
                body = body.replace(form.encode(), b"***")
    return body
