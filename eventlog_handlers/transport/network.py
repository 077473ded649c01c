"""The half of ``client`` that needs sockets, TLS and requests: how to get to a URL, and what went wrong.

Imported with the first call, while forks wait: no handler needs it before. It imports all that any later call
needs: while the interpreter takes itself apart nothing can be imported, and in a forked child a module that
the parent had half imported stays so.
"""

from __future__ import annotations

import email.utils  # noqa: F401 - what answers are read with
import encodings.idna  # noqa: F401 - what a host's name is looked up with
import html  # noqa: F401 - what answers are read with
import os
import re
import socket
import ssl
from collections.abc import Mapping
from http.client import IncompleteRead
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from requests import PreparedRequest, Request
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidProxyURL, InvalidSchema, SSLError
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies

from eventlog_handlers.errors import MisconfiguredError, SinkError, TransientError
from eventlog_handlers.text.loopback import is_loopback
from eventlog_handlers.transport import kept  # noqa: F401 - what client uses from the second call on
from eventlog_handlers.transport.call import Call
from eventlog_handlers.transport.timed_urllib3 import timed

_MAX_KEPT_CONNECTIONS = 16
_REFUSED_BY_PROXY = re.compile(r"Tunnel connection failed: (\d{3})")


class Route(NamedTuple):
    """How to get to one URL, looked up once."""

    url: str
    proxies: dict[str, str]
    verify: str | bool


class _TimedAdapter(HTTPAdapter):
    """Every pool it makes, a proxy's too, obeys the deadline of the call. Retries nothing."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        timed(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **kwargs)
        return manager if known else timed(manager)


def new_adapter() -> HTTPAdapter:
    """Connections of one client."""
    return _TimedAdapter(pool_connections=4, pool_maxsize=_MAX_KEPT_CONNECTIONS, max_retries=0)


def prepared(url: str, headers: Mapping[str, str], body: bytes) -> PreparedRequest:
    """A POST, filled in by hand: preparing one URL again and again costs half a post."""
    request = PreparedRequest()
    request.method = "POST"
    request.url = url
    request.headers = CaseInsensitiveDict(headers)
    request.body = body
    return request


def find_route(url: str, proxies: Mapping[str, str] | None, ca_bundle: str | None) -> Route:
    """Through *proxies* and trusting *ca_bundle*, or those of the environment where these are None.

    Raises MisconfiguredError where no file of certificates is at that place.
    """
    if proxies is None:
        proxies = {} if is_loopback(urlsplit(url).hostname or "") else get_environ_proxies(url)
    bundle = ca_bundle or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if bundle and not Path(bundle).exists():
        raise MisconfiguredError(
            "tls", f"no CA bundle at {bundle}: look at ca_bundle, REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE"
        )
    return Route(str(Request("POST", url).prepare().url), dict(proxies), bundle or True)


def translate(error: Exception, call: Call, url: str) -> SinkError:
    """The error of a call to *url*, in our words; *call* knows how far it came."""
    causes, place = _causes(error), _place(url)
    if call.has_sent:
        return _translate_after_sending(causes, place, ambiguous=call.is_sent_whole)
    return _translate_before_sending(error, causes, place)


def _translate_after_sending(causes: list[BaseException], place: str, *, ambiguous: bool) -> SinkError:
    for kinds, code, text in (
        ((TimeoutError,), "timeout", "no whole answer in time from"),
        (
            (ConnectionError, ssl.SSLError, IncompleteRead),
            "reset",
            "connection lost before the whole answer of",
        ),
    ):
        if any(isinstance(cause, kinds) for cause in causes):
            return TransientError(code, f"{text} {place}", ambiguous=ambiguous)
    return TransientError("http", f"what answered was not HTTP, or broken, at {place}", ambiguous=ambiguous)


def _translate_before_sending(error: Exception, causes: list[BaseException], place: str) -> SinkError:
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
    """*error* and its causes, by every attribute that requests and urllib3 use, nearest first."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(found) < 20:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and not any(cause is known for known in found):
            found.append(cause)
            waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
    return found


def _place(url: str) -> str:
    """Host and port of *url*, without the parts that may be secret: user, path and query."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        return "an impossible URL"
    return f"{parts.hostname}:{port}"
