"""One POST with a deadline, through requests: proxies, trust, kept connections, and errors translated once.

Nothing of a service belongs here, and no verdict on an answer: any status, 3xx included, is handed back.
What a call can meet below HTTP becomes

    MisconfiguredError  tls (unknown CA, wrong name, no TLS there), proxy (refuses us), request (a URL or a
                        header that can't be sent)
    TransientError      dns, connect, tls (handshake cut off), proxy (ailing), timeout, reset, http (no HTTP);
                        ambiguous once a byte of the request was sent

whose texts are made here: those of requests hold the URL's query, and its exceptions carry the headers, so
none of them is chained.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from http.client import IncompleteRead
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from eventlog_handlers._version import __version__
from eventlog_handlers.errors import MisconfiguredError, SinkError, TransientError
from eventlog_handlers.lifecycle import fork_gate
from eventlog_handlers.sinks.deadline import Call, here, timed

if TYPE_CHECKING:
    from requests.adapters import HTTPAdapter

MAX_ANSWER_BYTES = 65_536
_HEADERS = {
    "User-Agent": f"eventlog-handlers/{__version__}",
    "Accept-Encoding": "identity",  # and nothing is ever inflated: a small answer may not become a large one
    "Accept": "*/*",
    "Connection": "keep-alive",
}
_MAX_KEPT_CONNECTIONS = 16
_MAX_ROUTES = 64
_REFUSED_BY_PROXY = re.compile(r"Tunnel connection failed: (\d{3})")


class Answer(NamedTuple):
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; the values of a repeated header are joined by ", "."""
    body: bytes
    """As sent, never decompressed; at most MAX_ANSWER_BYTES, the rest is not read."""


class _Route(NamedTuple):
    """How to get to one URL, looked up once."""

    url: str
    proxies: dict[str, str]
    verify: str | bool


class HttpClient:
    """Posts with a total deadline; connections are kept for the next post, of whatever thread.

    Several threads may post at once. Not to be used on both sides of a fork. *connect_timeout* and
    *read_timeout* bound a connect and a single recv, in seconds; *proxies* maps a scheme (or "all") to a
    proxy's URL and takes the place of the environment's (an empty mapping: no proxy at all); *ca_bundle* is a
    file or directory of trusted certificates, instead of REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE and the built-in
    ones. *clock* gives monotonic seconds. Loopback is never reached through the environment's proxies. No
    .netrc is read, no cookie kept, no redirect followed.
    """

    def __init__(
        self,
        *,
        connect_timeout: float,
        read_timeout: float,
        proxies: Mapping[str, str] | None = None,
        ca_bundle: str | None = None,
        clock: Callable[[], float],
    ) -> None:
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._proxies = None if proxies is None else dict(proxies)
        self._ca_bundle = ca_bundle
        self._clock = clock
        self._adapter: HTTPAdapter | None = None
        self._routes: dict[str, _Route] = {}

    def post(self, url: str, *, headers: Mapping[str, str], body: bytes, timeout: float) -> Answer:
        """Send *body* and give the answer back, within *timeout* seconds in all (name resolution excepted).

        Sent once; once more only where a kept connection turns out to have been closed before a byte of the
        answer came, which is how servers end idle connections. Raises TransientError or MisconfiguredError.
        """
        expires = self._clock() + timeout
        try:
            return self._exchange(url, headers, body, call := self._call(expires))
        except TransientError as failure:
            if failure.code != "reset" or not call.is_reused or call.has_received:
                raise
        return self._exchange(url, headers, body, self._call(expires, fresh=True))

    def close(self) -> None:
        """Drop the kept connections and forget proxies and trust; a later post starts anew."""
        adapter, self._adapter = self._adapter, None
        self._routes = {}
        if adapter is not None:
            adapter.close()

    def _call(self, expires: float, *, fresh: bool = False) -> Call:
        return Call(
            self._clock,
            expires=expires,
            connect_timeout=self._connect_timeout,
            read_timeout=self._read_timeout,
            fresh=fresh,
        )

    def _exchange(self, url: str, headers: Mapping[str, str], body: bytes, call: Call) -> Answer:
        here.call = call
        try:
            adapter = self._connected()
            from requests import PreparedRequest
            from requests.structures import CaseInsensitiveDict

            route = self._routes.get(url) or self._find_route(url)
            request = PreparedRequest()  # filled by hand: preparing one URL again and again costs half a post
            request.method = "POST"
            request.url = route.url
            request.headers = CaseInsensitiveDict({**_HEADERS, "Content-Length": str(len(body))})
            request.headers.update(headers)
            request.body = body
            call.seconds(0.0)
            response = adapter.send(
                request,
                stream=True,
                timeout=(self._connect_timeout, self._read_timeout),
                verify=route.verify,
                proxies=route.proxies,
            )
            return _read(response.status_code, response.raw)
        except SinkError:
            raise
        except Exception as error:  # requests lets a plain OSError through, and more
            failure = _translate(error, call, _place(url))
        finally:
            del here.call
        raise failure  # out of the handler, or its __context__ would lead to the request and its keys

    def _connected(self) -> HTTPAdapter:
        if self._adapter is None:
            with fork_gate.no_fork():
                self._adapter = (
                    _new_adapter()
                )  # two threads may each make one; the loser's closes with its call
        return self._adapter

    def _find_route(self, url: str) -> _Route:
        from requests import Request
        from requests.utils import get_environ_proxies

        proxies = self._proxies
        if proxies is None:
            proxies = {} if _is_loopback(url) else get_environ_proxies(url)
        bundle = self._ca_bundle or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        if bundle and not Path(bundle).exists():
            raise MisconfiguredError(
                "tls", f"no CA bundle at {bundle}: look at ca_bundle, REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE"
            )
        prepared = Request("POST", url).prepare()
        if len(self._routes) >= _MAX_ROUTES:  # somebody's URLs vary; forget them rather than grow
            self._routes = {}
        route = self._routes[url] = _Route(str(prepared.url), dict(proxies), bundle or True)
        return route


def _new_adapter() -> HTTPAdapter:
    """With all that a first request would import, for the caller holds off forks while this imports."""
    import encodings.idna  # noqa: F401 - what a host's name is looked up with

    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        """Every pool it makes, a proxy's too, obeys the deadline of the call. Retries nothing."""

        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            timed(self.poolmanager)

        def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
            known = proxy in self.proxy_manager
            manager = super().proxy_manager_for(proxy, **kwargs)
            return manager if known else timed(manager)

    return Adapter(pool_connections=4, pool_maxsize=_MAX_KEPT_CONNECTIONS, max_retries=0)


def _read(status: int, raw: Any) -> Answer:
    """Read the answer's body, and leave the connection to the next post only if nothing is left on it."""
    headers = {name.lower(): value for name, value in raw.headers.items()}
    try:
        body: bytes = raw.read(MAX_ANSWER_BYTES + 1, decode_content=False)
        length = headers.get("content-length", "")
        # urllib3 1.26 takes an answer that was cut off for a whole one
        if length.isdecimal() and len(body) < min(int(length), MAX_ANSWER_BYTES):
            raise ConnectionResetError("the answer is shorter than it says")
    except BaseException:
        raw.close()
        raise
    if len(body) > MAX_ANSWER_BYTES:
        raw.close()
    else:
        raw.release_conn()
    return Answer(status, headers, body[:MAX_ANSWER_BYTES])


def _place(url: str) -> str:
    """Host and port of *url*, without what may be secret in it: user, path and query."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        return "an impossible URL"
    return f"{parts.hostname}:{port}"


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _translate(error: Exception, call: Call, place: str) -> SinkError:
    """Say in our words what went wrong; *call* tells how far it had come."""
    causes = _causes(error)
    if call.has_sent:
        return _translate_after_sending(causes, place)
    return _translate_before_sending(error, causes, place)


def _translate_after_sending(causes: list[BaseException], place: str) -> SinkError:
    for kinds, code, text in (
        ((TimeoutError,), "timeout", "no whole answer in time from"),
        (
            (ConnectionError, ssl.SSLError, IncompleteRead),
            "reset",
            "connection lost before the whole answer of",
        ),
    ):
        if any(isinstance(cause, kinds) for cause in causes):
            return TransientError(code, f"{text} {place}", ambiguous=True)
    return TransientError("http", f"what answered was not HTTP, or broken, at {place}", ambiguous=True)


def _translate_before_sending(error: Exception, causes: list[BaseException], place: str) -> SinkError:
    from requests.exceptions import InvalidProxyURL, InvalidSchema, SSLError

    def first(*kinds: type[BaseException]) -> BaseException | None:
        return next((cause for cause in causes if isinstance(cause, kinds)), None)

    if first(TimeoutError):
        return TransientError("timeout", f"no connection in time to {place}")
    if first(socket.gaierror):
        return TransientError("dns", f"no address known for {place}, or for the proxy before it")
    refusal = next(filter(None, (_REFUSED_BY_PROXY.search(str(cause)) for cause in causes)), None)
    if refusal:
        kind = MisconfiguredError if refusal[1].startswith("4") else TransientError
        return kind("proxy", f"the proxy before {place} answers {refusal[1]}")
    if first(ssl.SSLError, SSLError):
        if first(ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError, ConnectionError):
            return TransientError("tls", f"handshake cut off by {place}")
        unverified = first(ssl.SSLCertVerificationError)
        reason = getattr(unverified, "verify_message", "") or getattr(first(ssl.SSLError), "reason", None)
        reason = reason or "its certificate is not valid for this name"
        return MisconfiguredError("tls", f"{place} is not trusted ({reason}): look at endpoint and ca_bundle")
    if isinstance(error, (InvalidProxyURL, InvalidSchema)):
        hint = "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY (a SOCKS proxy needs pip install requests[socks])"
        return MisconfiguredError("proxy", f"no way to {place}: look at endpoint, proxies, {hint}")
    failed = next((cause for cause in causes if isinstance(cause, OSError) and cause.strerror), None)
    if failed is not None:
        return TransientError("connect", f"no connection to {place}: {failed.strerror}")
    if isinstance(error, ValueError):
        return MisconfiguredError(
            "request", f"can't be sent to {place}: a URL or header, maybe a key, holds impossible characters"
        )
    return TransientError("unexpected", f"{type(error).__name__} on the way to {place}")


def _causes(error: BaseException) -> list[BaseException]:
    """*error* and what it was made from, by every road requests and urllib3 use, nearest first."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(found) < 20:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and not any(cause is known for known in found):
            found.append(cause)
            waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
    return found
