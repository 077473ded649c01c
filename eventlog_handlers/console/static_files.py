"""The page's own files: HTML, CSS and small JavaScript modules out of the package, and nothing else."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from starlette.responses import Response

from eventlog_handlers.console.exchange import Request

SECURITY_HEADERS = {
    # Nothing is loaded from anywhere else, nothing an event holds may run, and no script can make HTML of it.
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@cache
def _all() -> dict[str, tuple[bytes, str]]:
    """Content and ETag by path. The files are part of the package: they don't change while it runs."""
    found = {}
    for entry in files(__package__).joinpath("static").iterdir():
        if entry.is_file() and any(entry.name.endswith(ending) for ending in _TYPES):
            content = entry.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            found["/" if entry.name == "index.html" else f"/static/{entry.name}"] = (content, etag)
    return found


def paths() -> set[str]:
    """The paths there is a file for."""
    return set(_all())


def response(request: Request) -> Response:
    """The file at one of ``paths()``, or 304 where the browser still has it."""
    content, etag = _all()[request.path]
    headers = {"etag": etag, "cache-control": "no-cache", **SECURITY_HEADERS}
    if request.header("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    ending = ".html" if request.path == "/" else request.path[request.path.rfind(".") :]
    return Response(content, headers=headers | {"content-type": _TYPES[ending]})
