"""Secrets known by their form: keys, tokens, certificates, passwords in URLs."""

from __future__ import annotations

import re
from typing import NamedTuple

from eventlog_handlers.text.lazy_patterns import lazy

REDACTED = "[redacted]"


class _Form(NamedTuple):
    """What a secret looks like. *probes*, in lower case: without one of them in the text, it is not there."""

    probes: tuple[str, ...]
    pattern: re.Pattern[str]
    replacement: str


_FORMS = (
    _Form(
        ("-----begin",),
        # Broken off, it ends where no key goes on: at a quote, a bracket, an ellipsis.
        lazy(
            r"(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----)(?=[\w+/=\s\\:,.-]{16})"
            r"[\w+/=\s\\:,.]*(?:-(?!-)[\w+/=\s\\:,.]*)*(-----END [A-Z0-9 ]{0,60}-----)?"
        ),
        rf"\1{REDACTED}\2",
    ),
    _Form(
        ("eyj",),
        lazy(r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*){1,3}", re.ASCII),
        REDACTED,
    ),
    _Form(
        # docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes, looked up
        # 2026-11-20: AKIA access key, ASIA temporary access key, ABIA service bearer token, ACCA credential.
        ("akia", "asia", "abia", "acca"),
        lazy(r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
        REDACTED,
    ),
    _Form(
        # An Alibaba Cloud AccessKey id, of a RAM user or from STS.
        ("ltai", "sts."),
        lazy(r"(?<![A-Za-z0-9.])(?:LTAI[A-Za-z0-9]{12,}|STS\.[A-Za-z0-9]{16,})"),
        REDACTED,
    ),
    _Form(
        ("bearer", "basic"),
        # Not "basic authentication": what follows has a digit, an inner capital or a padding.
        lazy(
            r"\b([Bb]earer|BEARER|[Bb]asic|BASIC)([ \t]{1,3})"
            r"(?=[a-zA-Z._~+/-]{0,200}(?:[0-9=]|(?<=[a-z])[A-Z]))[\w.~+/=-]{6,}"
        ),
        rf"\1\2{REDACTED}",
    ),
    _Form(
        ("://",),
        # Up to the last @: a password may hold one unescaped. A port is no password.
        lazy(r"""(://[^\s/:@"'<>]{0,100}:)(?!\d{1,5}(?:[/?#"'\s]|$)|\[redacted\]@)[^\s"'<>]{1,200}@"""),
        rf"\1{REDACTED}@",
    ),
    _Form(
        ("signature=",),
        # A signed URL is a key to what it names.
        lazy(r"([?&](?:X-Amz-)?Signature=)(?!\[redacted\])[^&\s\"'<>]+"),
        rf"\1{REDACTED}",
    ),
)
