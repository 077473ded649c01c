"""Alibaba Cloud's two signatures of a request as it arrived: which text has to be signed, and how.

Written from the documents alone and not from the client's code, so that each tests the other.

- RPC v1, ``HMAC-SHA1``: https://help.aliyun.com/en/sdk/product-overview/rpc-mechanism (read 2026-11-20).
- V3, ``ACS3-HMAC-SHA256``: https://www.alibabacloud.com/help/en/doc-detail/2593177.htm (read 2026-11-20).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

from eventlog_handlers.console.exchange import Request

ACS3 = "ACS3-HMAC-SHA256"
CONTENT_HASH = "x-acs-content-sha256"
_AUTHORIZATION = re.compile(
    ACS3 + r"\s+Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})"
)


class Claim(NamedTuple):
    """The parts of a V3 ``Authorization`` header."""

    key_id: str
    names: tuple[str, ...]
    """The signed headers, in lower case."""
    signature: str


def encoded(text: str) -> str:
    """RFC 3986: nothing is kept but letters, digits and ``-_.~``."""
    return quote(text, safe="", errors="replace")


# --- RPC v1 ----------------------------------------------------------------------------------------------


def text_v1(method: str, parameters: Iterable[tuple[str, str]]) -> str:
    """The string to sign of decoded *parameters*, query and form together; ``Signature`` is left out."""
    pairs = sorted((name, value) for name, value in parameters if name != "Signature")
    canonical = "&".join(f"{encoded(name)}={encoded(value)}" for name, value in pairs)
    return f"{method}&%2F&{encoded(canonical)}"


def signature_v1(text: str, secret: str) -> str:
    """The signature of the string *text*, in base64."""
    return base64.b64encode(hmac.digest(f"{secret}&".encode(), text.encode(), "sha1")).decode()


# --- V3 --------------------------------------------------------------------------------------------------


def parsed(authorization: str) -> Claim | None:
    """Take an ``Authorization`` header apart; None if it isn't one of V3."""
    match = _AUTHORIZATION.fullmatch(authorization.strip())
    return None if match is None else Claim(match[1], tuple(match[2].lower().split(";")), match[3])


def required_names(request: Request) -> set[str]:
    """The headers that have to be signed: host, ``content-type`` and every ``x-acs-*`` there is."""
    present = {name for name, _ in request.headers}
    return {"host"} | {name for name in present if name.startswith("x-acs-") or name == "content-type"}


def body_sha256(request: Request) -> str:
    """The hash that ``x-acs-content-sha256`` has to hold."""
    return hashlib.sha256(request.body).hexdigest()


def canonical_v3(
    request: Request, query: Iterable[tuple[str, str]], names: Iterable[str], payload: str
) -> str:
    """The canonical request over the headers *names*; *query* is decoded, *payload* the body's hash."""
    ordered = sorted(set(names))
    pairs = sorted((encoded(name), encoded(value)) for name, value in query)
    return "\n".join(
        (
            request.method,
            request.path,
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{(request.header(name) or '').strip()}" for name in ordered),
            "",
            ";".join(ordered),
            payload,
        )
    )


def text_v3(canonical: str) -> str:
    """The string to sign of a canonical request."""
    return f"{ACS3}\n{hashlib.sha256(canonical.encode('utf-8', 'replace')).hexdigest()}"


def signature_v3(text: str, secret: str) -> str:
    """The signature of the string *text*, in hex."""
    return hmac.digest(secret.encode(), text.encode(), "sha256").hex()


def same(given: str, right: str) -> bool:
    """Whether two signatures are equal, compared in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), right.encode())
