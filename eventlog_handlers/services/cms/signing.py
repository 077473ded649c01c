"""Alibaba Cloud's two signatures of a request. Pure: nonce, time and keys are arguments.

``request`` makes the parts of a request; this module only signs them.

- RPC v1, ``HMAC-SHA1``. Query and form parameters together, without ``Signature``, are sorted by name:
  https://help.aliyun.com/en/sdk/product-overview/rpc-mechanism (read 2026-11-20).
- V3, ``ACS3-HMAC-SHA256``. A canonical request of method, path, query, headers and the body's hash:
  https://www.alibabacloud.com/help/en/doc-detail/2593177.htm (read 2026-11-20).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from operator import itemgetter
from string import ascii_letters, digits

ACS3 = "ACS3-HMAC-SHA256"

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
    if text.isalnum() and text.isascii():
        return text
    raw = text.encode("utf-8", "replace")
    if not text.isascii() or raw.translate(None, _ASCII_TEXT):
        return "".join(itemgetter(*raw)(_OF_BYTE))
    for character, replacement in _REPLACEMENTS:  # a third of the price of looking at every byte
        if character in text:
            text = text.replace(character, replacement)
    return text


# --- RPC v1 ----------------------------------------------------------------------------------------------


def sign_v1_canonical(method: str, canonical: str, secret: str) -> str:
    """The value of ``Signature``, not encoded, for parameters that are percent-encoded, sorted and joined."""
    # The result of percent() needs a second encoding only at these three characters.
    encoded = canonical.encode().replace(b"%", b"%25").replace(b"=", b"%3D").replace(b"&", b"%26")
    digest = hmac.digest(f"{secret}&".encode(), f"{method}&%2F&".encode() + encoded, "sha1")
    return base64.b64encode(digest).decode("ascii")


# --- V3 --------------------------------------------------------------------------------------------------


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


def _sign_v3(canonical: str, secret: str) -> str:
    return hmac.digest(secret.encode(), f"{ACS3}\n{canonical}".encode(), "sha256").hex()
