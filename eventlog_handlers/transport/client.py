"""One POST with a deadline, through requests: proxies, trust, kept connections, and errors translated once.

Nothing of a service belongs here, and no verdict on an answer: any status, 3xx included, is handed back.
What a call can meet below HTTP becomes

    MisconfiguredError  tls (unknown CA, wrong name, no TLS there), proxy (refuses us), request (a URL or a
                        header that can't be sent)
    TransientError      dns, connect, tls (handshake cut off), proxy (ailing), timeout, reset, http (no HTTP);
                        ambiguous once the request was sent whole

whose texts are made in ``network``: those of requests hold the URL's query, and its exceptions carry the
headers, so none of them is chained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from eventlog_handlers._version import __version__
from eventlog_handlers.errors import SinkError, TransientError, described
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
_KEPT = "adapter"


class Answer(NamedTuple):
    """An answer, of any status."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; the values of a repeated header are joined by ", "."""
    body: bytes
    """As sent, never decompressed; at most MAX_ANSWER_BYTES, the rest is not read."""


class HttpClient:
    """Posts with a total deadline; connections are kept for the next post, of any thread.

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
        self._network: ModuleType | None = None
        """The other half of this module, from the first call on."""
        self._adapters: dict[str, HTTPAdapter] = {}
        """None or one. In a dict, whose ``setdefault`` is one indivisible step, with the GIL or without."""
        self._routes: dict[str, Route] = {}
        self._pools: dict[str, Any] = {}
        """By URL, the pool of its connections; none where a proxy is between."""

    def post(self, url: str, *, headers: Mapping[str, str], body: bytes, timeout: float) -> Answer:
        """Send *body* and return the answer, within *timeout* seconds in all (name resolution excepted).

        Sent once. On a new connection, once more only where a kept one turned out to be closed before the
        request had left whole, so that the service can't have acted on it. A request that was sent
        whole and not answered is left to the caller, which counts requests and waits in between.
        Raises TransientError or MisconfiguredError.
        """
        expires = self._clock() + timeout
        try:
            return self._exchange(url, headers, body, call := self._call(expires))
        except TransientError as failure:
            if failure.code != "reset" or not call.is_reused or call.is_sent_whole:
                raise
        return self._exchange(url, headers, body, self._call(expires, fresh=True))

    def close(self) -> None:
        """Drop the kept connections and forget proxies and trust; a later post starts anew."""
        adapter = self._adapters.pop(_KEPT, None)
        self._routes, self._pools = {}, {}
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
        network = self._network or self._load()
        failure: SinkError
        here.call = call
        try:
            adapter = self._adapters.get(_KEPT) or self._connected(network)
            route = self._routes.get(url) or self._find_route(network, url)
            call.seconds(0.0)
            every = {**_HEADERS, "Content-Length": str(len(body)), **headers}
            pool = None if call.fresh else self._pools.get(url)
            if pool is not None and network.kept.is_unwatched():
                read = network.kept.exchange(pool, route.url, every, body, call, MAX_ANSWER_BYTES)
                if read is not None:
                    return Answer(read.status, read.headers, read.body[:MAX_ANSWER_BYTES])
            request = network.prepared(route.url, every, body)
            response = adapter.send(
                request,
                stream=True,
                timeout=(self._connect_timeout, self._read_timeout),
                verify=route.verify,
                proxies=route.proxies,
            )
            answer = _read(response.status_code, response.raw)
            if not route.proxies:
                self._pools[url] = call.pool
            return answer
        except SinkError:
            raise
        except Exception as error:  # requests lets a plain OSError through, and more
            failure = network.translate(error, call, url)
        finally:
            del here.call
        raise failure  # out of the handler, or its __context__ would lead to the request and its keys

    def _load(self) -> ModuleType:
        try:
            with fork_gate.no_fork():
                from eventlog_handlers.transport import network
        except Exception as error:  # no file descriptor left, or the interpreter is finalizing
            failure = TransientError("unexpected", f"requests can't be loaded ({described(error)})")
        else:
            self._network = network
            return network
        raise failure

    def _connected(self, network: Any) -> HTTPAdapter:
        with fork_gate.no_fork():
            made: HTTPAdapter = network.new_adapter()
        return self._adapters.setdefault(_KEPT, made)

    def _find_route(self, network: Any, url: str) -> Route:
        found: Route = network.find_route(url, self._proxies, self._ca_bundle)
        if len(self._routes) >= _MAX_ROUTES:  # URLs vary: forget them rather than grow
            self._routes, self._pools = {}, {}
        self._routes[url] = found
        return found


def _read(status: int, raw: Any) -> Answer:
    """Read the answer's body, and leave the connection to the next post only if nothing is left on it."""
    headers = by_name(raw.headers.items())
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


def by_name(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Header fields by lower-case name; the values of a repeated one are joined by ", "."""
    headers: dict[str, str] = {}
    for name, text in fields:
        key, value = name.lower(), text.strip()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers
