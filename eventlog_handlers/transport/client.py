"""One POST with a deadline, through requests: proxies, trust, kept connections, and errors translated once.

Nothing of a service belongs here, and no verdict on an answer: any status, 3xx included, is handed back.
What a call can meet below HTTP becomes

    MisconfiguredError  tls (unknown CA, wrong name, no TLS there), proxy (refuses us), request (a URL or a
                        header that can't be sent)
    TransientError      dns, connect, tls (handshake cut off), proxy (ailing), timeout, reset, http (no HTTP);
                        ambiguous once a byte of the request was sent

whose texts are made in network.py: those of requests hold the URL's query, and its exceptions carry the
headers, so none of them is chained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from eventlog_handlers._version import __version__
from eventlog_handlers.errors import SinkError, TransientError
from eventlog_handlers.process.fork import fork_gate
from eventlog_handlers.transport.call import Call, here

if TYPE_CHECKING:
    from requests.adapters import HTTPAdapter

    from eventlog_handlers.transport.network import Route

MAX_ANSWER_BYTES = 65_536
_HEADERS = {
    "User-Agent": f"eventlog-handlers/{__version__}",
    "Accept-Encoding": "identity",  # and nothing is ever inflated: a small answer may not become a large one
    "Accept": "*/*",
    "Connection": "keep-alive",
}
_MAX_ROUTES = 64


class Answer(NamedTuple):
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; the values of a repeated header are joined by ", "."""
    body: bytes
    """As sent, never decompressed; at most MAX_ANSWER_BYTES, the rest is not read."""
    is_repeat: bool = False
    """The request was sent a second time: a kept connection was cut before any answer to the first."""


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
        self._routes: dict[str, Route] = {}

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
        repeated = self._exchange(url, headers, body, self._call(expires, fresh=True))
        return repeated._replace(is_repeat=True)

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
            from eventlog_handlers.transport.network import translate

            failure = translate(error, call, url)
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

    def _find_route(self, url: str) -> Route:
        from eventlog_handlers.transport.network import find_route

        found = find_route(url, self._proxies, self._ca_bundle)
        if len(self._routes) >= _MAX_ROUTES:  # somebody's URLs vary; forget them rather than grow
            self._routes = {}
        self._routes[url] = found
        return found


def _new_adapter() -> HTTPAdapter:
    from eventlog_handlers.transport.network import new_adapter

    return new_adapter()


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
