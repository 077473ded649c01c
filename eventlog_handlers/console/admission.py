"""Decides which requests are let in: by the host name in them, the page they come from, and their token.

Any page of the web can make a browser on this machine send requests: by a link, a form, a script, or by a
host name that the page's owner points at 127.0.0.1 ("DNS rebinding"). None of these may read or change the
events. Pure: headers in, a refusal or None out. Sources: RFC 9110 section 15.5.20 (421), the
Fetch standard ("Origin" header), the W3C draft "Fetch Metadata Request Headers" (read 2026-11-28).
"""

from __future__ import annotations

import hmac
import ipaddress
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from eventlog_handlers.console.exchange import Request
from eventlog_handlers.text.loopback import is_loopback

COOKIE = "eventlog_console"
_HEALTH = "/api/health"
"""For probes: the answer holds only the version."""


class Doors(NamedTuple):
    """The requests that are let in."""

    names: frozenset[str] = frozenset()
    """Host names, in lower case, that the console answers to beside those of loopback."""
    any_address: bool = False
    """Answer to every literal IP address: it listens on more than loopback. A rebound name is never one."""
    token: str | None = None
    """The token of the page and the API; None: none is needed. The services' calls bring their own keys."""


class Denied(NamedTuple):
    """Status and words of a refusal before anything else is looked at."""

    status: int
    message: str


def denied(request: Request, doors: Doors, *, is_call: bool) -> Denied | None:
    """Why *request* is not let in, or None. *is_call*: it calls a service, so it needs no token."""
    host = request.header("host")
    if host is not None and not _answers_to(host, doors):
        return Denied(
            421,
            f"this console does not answer to the name {host[:200]!r}: "
            "start it with --name for each name it is reached by",
        )
    if not _same_origin(request, host) or _cross_site(request, is_call):
        return Denied(403, "requests made by pages of other sites are refused")
    asks = doors.token is not None and not is_call and request.path != _HEALTH
    if asks and not _holds_token(request, doors.token or ""):
        return Denied(401, "a token is needed: open the address with ?token=... that the console printed")
    return None


def _answers_to(host: str, doors: Doors) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name) or name in doors.names or (doors.any_address and _address(name) is not None)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _same_origin(request: Request, host: str | None) -> bool:
    """Whether the page behind *request*, if a browser names one, is the console's own."""
    origin = request.header("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == (host or "").lower() != ""
    except ValueError:
        return False


def _cross_site(request: Request, is_call: bool) -> bool:
    """Whether another site's page made the browser send this; a link that opens the page is no harm."""
    if request.header("sec-fetch-site") not in ("cross-site", "same-site"):
        return False
    opens_page = request.method == "GET" and request.path == "/" and not is_call
    return not (opens_page and request.header("sec-fetch-mode") == "navigate")


def _holds_token(request: Request, token: str) -> bool:
    scheme, _, given = (request.header("authorization") or "").partition(" ")
    if scheme.lower() != "bearer":
        given = token_in_address(request) or _cookie(request)
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def token_in_address(request: Request) -> str:
    """The token of ``GET /?token=...``, which a person opens once; the page then gets it as a cookie."""
    if request.method != "GET" or request.path != "/":
        return ""
    return dict(parse_qsl(request.query)).get("token", "")


def _cookie(request: Request) -> str:
    for name, value in request.headers:
        if name == "cookie":
            try:
                cookie = SimpleCookie(value).get(COOKIE)
            except CookieError:
                continue
            if cookie is not None:
                return cookie.value
    return ""
