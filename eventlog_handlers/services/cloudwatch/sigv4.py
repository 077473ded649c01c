"""AWS's Signature Version 4 of a POST of the path ``/`` without a query. Pure: time and keys are arguments.

botocore makes the same signature, at seven times the price; ``direct`` uses this one only after it has made,
byte for byte, what botocore made of the same request.

Source, read 2026-11-28: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple

ALGORITHM = "AWS4-HMAC-SHA256"


class Scope(NamedTuple):
    """The scope of a signing key."""

    date: str
    """``yyyymmdd``."""
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def signing_key(secret: str, scope: Scope) -> bytes:
    """The key for all requests of *scope*."""
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def authorization(key_id: str, key: bytes, scope: Scope, headers: Mapping[str, str], body: bytes) -> str:
    """The ``Authorization`` header of a POST of *body* with *headers*, all of which are signed.

    The names of *headers* are in lower case; ``host`` and ``x-amz-date`` are among them.
    """
    names = sorted(headers)
    signed = ";".join(names)
    lines = "".join([f"{name}:{' '.join(headers[name].split())}\n" for name in names])
    canonical = f"POST\n/\n\n{lines}\n{signed}\n{hashlib.sha256(body).hexdigest()}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{ALGORITHM}\n{headers['x-amz-date']}\n{scope}\n{digest}"
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return f"{ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={signed}, Signature={signature}"
