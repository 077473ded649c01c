"""Secrets known by their name: the words, and how a name is read."""

from __future__ import annotations

from typing import NamedTuple

from eventlog_handlers.text.lazy_patterns import lazy

SECRET_PARTS = (
    "password", "passwd", "passphrase", "passcode", "credential", "api_key", "access_key", "private_key",
    "secret_key", "authorization", "csrf", "xsrf", "session_id", "sessid",
)  # fmt: skip
"""A name that holds one of these anywhere is a secret's: ``userpassword``, ``OPENAI_APIKEY``, PHPSESSID."""


SECRET_ENDS = ("secret", "pwd")
"""So is one with a word that ends so, or in the plural: ``client_secret``, ``mysqlpwd``."""


KEY_KINDS = ("signing", "encryption", "master", "shared", "ssh", "account", "aws")
"""So is a "key" or "keys" after one of these words."""


WEAK_ENDS = ("token", "cookie")


WEAK_WORDS = ("auth", "oauth", "session", "jwt", "bearer", "sid")
"""These make a secret's name as well, as the end of a word and as a whole one; but where a text goes on with
``name: `` as prose does ("auth: accepted"), only a value that looks random is taken for one."""


ABOUT = frozenset(
    [
        "age", "at", "backend", "class", "count", "created", "duration", "endpoint", "engine", "error",
        "errors", "expires", "expiry", "failures", "file", "filename", "kind", "len", "length", "limit",
        "max", "method", "ms", "name", "path", "policy", "provider", "seconds", "size", "state", "status",
        "total", "ttl", "type", "updated", "uri", "url", "user", "username", "version",
    ]
)  # fmt: skip
"""A name whose last word is one of these tells something about a secret, not the secret: ``token_type``."""


_WORD = lazy(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_A-Za-z]+")


_STRONG = lazy(
    "|".join(
        [
            *(part.replace("_", "_?") for part in SECRET_PARTS),
            *(f"{end}s?_" for end in SECRET_ENDS),
            f"_(?:{'|'.join(KEY_KINDS)})_?keys?_",
        ]
    )
)


_WEAK = lazy(f"(?:{'|'.join(WEAK_ENDS)})s?_|_(?:{'|'.join(WEAK_WORDS)})s?_")


_HAS_BLANKS = lazy("(?:authorization|cookie)_$")


class _Kind(NamedTuple):
    """What sort of secret a name names."""

    is_strong: bool
    is_plural: bool
    has_blanks: bool
    """A header whose value goes to the end of the line."""
