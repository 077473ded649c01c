"""Alibaba Cloud's two request signatures, made and verified. Pure: nonce, time and keys are arguments.

What a request consists of is not known here, see ``wire.cms``; only how what it consists of is signed.

- RPC v1, ``HMAC-SHA1``. Query and form parameters together, without ``Signature``, are sorted by name:
  https://help.aliyun.com/en/sdk/product-overview/rpc-mechanism (read 2026-11-20).
- V3, ``ACS3-HMAC-SHA256``. A canonical request of method, path, query, headers and the body's hash:
  https://www.alibabacloud.com/help/en/doc-detail/2593177.htm (read 2026-11-20).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from operator import itemgetter
from string import ascii_letters, digits
from typing import NamedTuple

ACS3 = "ACS3-HMAC-SHA256"

_AUTHORIZATION = re.compile(
    ACS3
    + r"\s+Credential=(?P<id>[^,\s]+),\s*SignedHeaders=(?P<names>[^,\s]+),\s*Signature=(?P<hex>[0-9a-f]{64})"
)

UNRESERVED = (ascii_letters + digits + "-_.~").encode()
"""The bytes that ``percent`` leaves as they are."""

_OF_BYTE = [chr(byte) if byte in UNRESERVED else f"%{byte:02X}" for byte in range(256)]
_ASCII_TEXT = b"\n" + bytes(range(0x20, 0x7F))
_RESERVED = b"%" + bytes(set(_ASCII_TEXT) - {*UNRESERVED, *b"%"})  # "%" first: the others bring it in
_REPLACEMENTS = [(chr(byte), _OF_BYTE[byte]) for byte in _RESERVED]


def percent(text: str) -> str:
    """Percent-encode as both signatures ask: RFC 3986, nothing kept but letters, digits and ``-_.~``.

    A lone surrogate becomes what "?" does.
    """
    raw = text.encode("utf-8", "replace")
    if not text.isascii() or raw.translate(None, _ASCII_TEXT):
        return "".join(itemgetter(*raw)(_OF_BYTE))
    for character, replacement in _REPLACEMENTS:  # a third of the price of looking at every byte
        if character in text:
            text = text.replace(character, replacement)
    return text


# --- RPC v1 ----------------------------------------------------------------------------------------------


def sign_v1(method: str, parameters: Iterable[tuple[str, str]], secret: str) -> str:
    """The value of ``Signature`` for plain, unencoded *parameters* in any order, itself not yet encoded."""
    pairs = (f"{percent(name)}={percent(value)}" for name, value in sorted(parameters))
    return sign_v1_canonical(method, "&".join(pairs), secret)


def sign_v1_canonical(method: str, canonical: str, secret: str) -> str:
    """The same for parameters that are percent-encoded, sorted and joined already."""
    # What percent() left standing needs a second encoding only at these three characters.
    encoded = canonical.encode().replace(b"%", b"%25").replace(b"=", b"%3D").replace(b"&", b"%26")
    digest = hmac.digest(f"{secret}&".encode(), f"{method}&%2F&".encode() + encoded, "sha1")
    return base64.b64encode(digest).decode("ascii")


def verify_v1(method: str, parameters: Iterable[tuple[str, str]], secret: str) -> bool:
    """Whether *parameters*, query and form together and decoded, hold the one right ``Signature``."""
    unsigned, given = [], []
    for name, value in parameters:
        if name == "Signature":
            given.append(value)
        else:
            unsigned.append((name, value))
    return len(given) == 1 and _same(given[0], sign_v1(method, unsigned, secret))


# --- V3 --------------------------------------------------------------------------------------------------


class Authorization(NamedTuple):
    """The parts of a V3 ``Authorization`` header."""

    access_key_id: str
    signed_headers: tuple[str, ...]
    """Lower-case, in the order given."""
    signature: str
    """64 hex digits."""


def content_sha256(body: bytes) -> str:
    """The value of ``x-acs-content-sha256``."""
    return hashlib.sha256(body).hexdigest()


def canonical_sha256_v3(
    method: str, path: str, query: Iterable[tuple[str, str]], headers: Mapping[str, str], body_sha256: str
) -> str:
    """The hash that V3 signs, which the service quotes when a signature doesn't match.

    *headers* are those to be signed, with lower-case names; *query* is decoded.
    """
    names = sorted(headers)
    pairs = sorted((percent(name), percent(value)) for name, value in query)
    canonical = "\n".join(
        (
            method,
            path,
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{headers[name].strip()}" for name in names),
            "",
            ";".join(names),
            body_sha256,
        )
    )
    return hashlib.sha256(canonical.encode("utf-8", "replace")).hexdigest()


def authorization_v3(access_key_id: str, secret: str, signed_headers: Iterable[str], canonical: str) -> str:
    """The ``Authorization`` header for a request whose ``canonical_sha256_v3`` is *canonical*."""
    names = ";".join(sorted(signed_headers))
    return f"{ACS3} Credential={access_key_id},SignedHeaders={names},Signature={_sign_v3(canonical, secret)}"


def parse_authorization_v3(value: str) -> Authorization | None:
    """Take an ``Authorization`` header apart; None if it isn't one of V3."""
    match = _AUTHORIZATION.fullmatch(value.strip())
    if match is None:
        return None
    return Authorization(match["id"], tuple(match["names"].lower().split(";")), match["hex"])


def verify_v3(
    method: str,
    path: str,
    query: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    body: bytes,
    secret: str,
) -> bool:
    """Whether a request as it arrived carries the right signature over everything that has to be signed.

    *headers* have lower-case names. ``host``, every ``x-acs-*`` header and, where there is one,
    ``content-type`` must be among the signed ones, and ``x-acs-content-sha256`` must be the body's.
    """
    given = parse_authorization_v3(headers.get("authorization", ""))
    if given is None:
        return False
    required = {name for name in headers if name.startswith("x-acs-") or name == "content-type"}
    required |= {"host", "x-acs-content-sha256"}
    if not required <= set(given.signed_headers) <= set(headers):
        return False
    body_sha256 = content_sha256(body)
    signed = {name: headers[name] for name in given.signed_headers}
    canonical = canonical_sha256_v3(method, path, query, signed, body_sha256)
    return _same(headers["x-acs-content-sha256"], body_sha256) and _same(
        given.signature, _sign_v3(canonical, secret)
    )


def _sign_v3(canonical: str, secret: str) -> str:
    return hmac.digest(secret.encode(), f"{ACS3}\n{canonical}".encode(), "sha256").hex()


def _same(given: str, right: str) -> bool:
    # Bytes: compare_digest refuses text that isn't ASCII, and what came over the wire may be anything.
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), right.encode("ascii"))
