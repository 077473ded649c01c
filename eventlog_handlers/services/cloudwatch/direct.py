"""PutEvents without botocore's machinery: the body is ours, one request of the client has shown the rest.

botocore serializes, runs some twenty hooks, parses and keeps a history for each call: most of its price.
A client's first request goes through all of it. From that request ``learned`` reads the URL, the headers, the
region and the name to sign for, and makes its signature once more. Later calls go directly only if that
signature is byte for byte botocore's, and only botocore listens to the client's events. Anything unexpected
(an unknown header, another kind of signature, another botocore, a test's stub) leaves all calls to the
client.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from eventlog_handlers.services.cloudwatch.sigv4 import ALGORITHM, Scope, authorization, signing_key
from eventlog_handlers.text.json_text import quoted

_OF_EVERY_REQUEST = frozenset({"content-type", "user-agent", "x-amz-target"})
_OF_ONE_REQUEST = frozenset(
    {"authorization", "x-amz-date", "x-amz-security-token", "content-length", "host"}
    | {"amz-sdk-invocation-id", "amz-sdk-request"}
)
_HOOKS = (
    "provide-client-params",
    "before-parameter-build",
    "before-endpoint-resolution",
    "before-call",
    "request-created",
    "choose-signer",
    "before-sign",
    "before-send",
    "response-received",
    "before-parse",
    "needs-retry",
    "after-call",
    "after-call-error",
)
_OURS = frozenset({"botocore", "boto3", "eventlog_handlers"})
_AUTHORIZATION = re.compile(
    ALGORITHM
    + r" Credential=(?P<id>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
    r"SignedHeaders=(?P<names>[^,]+), Signature=[0-9a-f]{64}"
)
_EPOCH = datetime(1970, 1, 1)


class Keys(NamedTuple):
    """An access key; only its id shows in a repr."""

    key_id: str
    secret: str
    token: str | None

    def __repr__(self) -> str:
        return f"Keys(key_id={self.key_id!r})"


class Direct:
    """Signs requests as a client does. Several threads may use it at once."""

    def __init__(self, url: str, headers: Mapping[str, str], region: str, service: str) -> None:
        self.url = url
        self._headers = dict(headers)
        self._signed = {name: value for name, value in headers.items() if name != "user-agent"}
        self._signed["host"] = _host(url)
        self._region = region
        self._service = service
        self._key: tuple[str, Scope, bytes] | None = None  # secret, scope and key, replaced as a whole

    def headers(self, keys: Keys, body: bytes, timestamp: float) -> dict[str, str]:
        """All headers of a request of *body*, signed at *timestamp*, in seconds since the epoch."""
        moment = f"{_EPOCH + timedelta(seconds=int(timestamp)):%Y%m%dT%H%M%SZ}"
        signed = {**self._signed, "x-amz-date": moment}
        if keys.token:
            signed["x-amz-security-token"] = keys.token
        scope = Scope(moment[:8], self._region, self._service)
        known = self._key
        if known is None or known[0] != keys.secret or known[1] != scope:
            known = self._key = (keys.secret, scope, signing_key(keys.secret, scope))
        headers = {**self._headers, **signed}
        headers["authorization"] = authorization(keys.key_id, known[2], scope, signed, body)
        return headers


def learned(url: str, headers: Mapping[str, str], body: bytes, keys: Keys) -> Direct | None:
    """A signer that repeats the client's signature of this request; None if it can't be repeated.

    *headers* are the client's, names in lower case.
    """
    given = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    parts = urlsplit(url)
    if given is None or parts.path not in ("", "/") or parts.query:
        return None
    if not _OF_EVERY_REQUEST <= headers.keys() <= _OF_EVERY_REQUEST | _OF_ONE_REQUEST:
        return None
    scope = Scope(given["date"], given["region"], given["service"])
    with_host = {**headers, "host": headers.get("host") or _host(url)}
    try:
        signed = {name: with_host[name] for name in given["names"].split(";")}
        again = authorization(keys.key_id, signing_key(keys.secret, scope), scope, signed, body)
    except KeyError:
        return None
    if again != headers["authorization"] or (keys.token or None) != headers.get("x-amz-security-token"):
        return None
    return Direct(url, {name: headers[name] for name in _OF_EVERY_REQUEST}, given["region"], given["service"])


def has_foreign_hooks(client: Any) -> bool:
    """Whether code other than botocore's listens to the events of *client*'s PutEvents, or may do so."""
    try:
        emitter = client.meta.events._emitter
        alias = client.meta.service_model.service_id.hyphenize()
        handlers = [
            handler
            for hook in _HOOKS
            for handler in emitter._handlers.prefix_search(f"{hook}.{alias}.PutEvents")
        ]
        return any(_package(handler) not in _OURS for handler in handlers)
    except Exception:  # a botocore made otherwise
        return True


def _package(handler: Callable[..., Any]) -> str:
    handler = getattr(handler, "func", handler)  # of a functools.partial
    module = getattr(handler, "__module__", None) or type(handler).__module__
    return str(module).partition(".")[0]


def body_of(entries: Iterable[Mapping[str, Any]]) -> bytes:
    """The request's body for *entries* as ``entry.encode`` makes them."""
    return f'{{"Entries":[{",".join([_entry(entry) for entry in entries])}]}}'.encode()


def _entry(entry: Mapping[str, Any]) -> str:
    text = (
        f'{{"Time":{entry["Time"].timestamp():.3f},"Source":{quoted(entry["Source"])},'
        f'"DetailType":{quoted(entry["DetailType"])},"Detail":{quoted(entry["Detail"])}'
    )
    resources: Sequence[str] = entry.get("Resources", ())
    if resources:
        text += f',"Resources":[{",".join(map(quoted, resources))}]'
    if "EventBusName" in entry:
        text += f',"EventBusName":{quoted(entry["EventBusName"])}'
    return f"{text}}}"


def _host(url: str) -> str:
    """The Host header, without a default port: as botocore signs it and as it is sent."""
    parts = urlsplit(url)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else str(parts.hostname)
    return host if parts.port in (None, default) else f"{host}:{parts.port}"
