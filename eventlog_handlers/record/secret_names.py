"""Secrets known by their name: the words, and how a name is read. Pure.

Names are read as words, in any style: ``dbPassword``, ``DB_PASSWORD`` and ``db-password`` are the words
db and password. So "author", "monkey", "keyboard" and "tokenizer" stay readable, "X-Auth-Token" does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from eventlog_handlers.text.lazy_patterns import lazy

SECRET_PARTS = (
    "password", "passwd", "passphrase", "passcode", "credential", "api_key", "access_key", "private_key",
    "secret_key", "authorization", "csrf", "xsrf", "session_id", "sessid",
)  # fmt: skip
"""A name with one of these anywhere in it names a secret: ``userpassword``, ``OPENAI_APIKEY``, PHPSESSID."""

SECRET_ENDS = ("secret", "pwd")
"""So does a name with a word that ends so, or in the plural: ``client_secret``, ``mysqlpwd``."""

KEY_KINDS = ("signing", "encryption", "master", "shared", "ssh", "account", "aws")
"""So does "key" or "keys" after one of these words."""

PASS_OWNERS = (
    "db", "sql", "user", "admin", "root", "login", "auth", "smtp", "mail", "ftp", "ssh", "redis", "proxy",
)  # fmt: skip
"""So does "pass" in one word with one of these, and "pass" as the last word: ``DBPASS``, ``DB_PASS``."""

PASS_COUNTS = (
    "first", "second", "third", "last", "next", "single", "multi", "low", "high", "band", "by", "test",
    "tests",
    "render", "to", "no",
)  # fmt: skip
"""Except after one of these words: ``first_pass`` is a round, ``low_pass`` a filter."""

WEAK_ENDS = ("token", "cookie")

WEAK_WORDS = ("auth", "oauth", "session", "jwt", "bearer", "sid")
"""These name a secret as well, as the end of a word and as a whole word. But where a text goes on with
``name: `` as prose does ("auth: accepted"), only a value that looks random is taken for a secret."""

ABOUT = frozenset(
    [
        "age", "at", "backend", "class", "count", "created", "duration", "endpoint", "engine", "error",
        "errors", "expires", "expiry", "failures", "file", "filename", "kind", "len", "length", "limit",
        "max", "method", "ms", "name", "path", "policy", "provider", "seconds", "size", "state", "status",
        "total", "ttl", "type", "updated", "uri", "url", "user", "username", "version",
    ]
)  # fmt: skip
"""A name whose last word is one of these tells something about a secret, not the secret: ``token_type``."""

STEMS = (
    "pass", "pwd", "secret", "credential", "key", "token", "auth", "cookie", "sess", "srf", "jwt", "bearer",
    "sid",
)  # fmt: skip
"""The name of each secret has one of these in it, in lower case."""

_LONGEST_NAME = 300  # characters that are read of a name
_WORD = lazy(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_A-Za-z]+")
_STRONG = lazy(
    "|".join(
        [
            *(part.replace("_", "_?") for part in SECRET_PARTS),
            *(f"{end}s?_" for end in SECRET_ENDS),
            f"_(?:{'|'.join(KEY_KINDS)})_?keys?_",
            f"_(?:{'|'.join(PASS_OWNERS)})pass_",
            f"[a-z0-9]{''.join(f'(?<!_{word})' for word in PASS_COUNTS)}_pass_$",
        ]
    )
)
_WEAK = lazy(f"(?:{'|'.join(WEAK_ENDS)})s?_|_(?:{'|'.join(WEAK_WORDS)})s?_")
_HAS_BLANKS = lazy("(?:authorization|cookie)_$")


class Kind(NamedTuple):
    """The kind of secret that a name names."""

    is_strong: bool
    """A secret in prose too: ``password: x``."""
    is_countable: bool
    """A number under this name counts them: ``tokens``, ``pass``."""
    has_blanks: bool
    """A header whose value goes to the end of the line."""


_OWN = Kind(True, False, False)
_PASS = Kind(True, True, False)


class SecretNames:
    """Tells which names are those of secrets. *own* are further ones of the user's, in any style.

    ``"credit_card"`` also means ``creditCard``, ``CREDITCARD`` and ``customer-credit-card-2``. Immutable once
    made, so any thread may use it.
    """

    def __init__(self, own: Iterable[str] = ()) -> None:
        names = [[word.lower() for word in _WORD.findall(name)] for name in own]
        names = [words for words in names if words]
        # Between any two characters, for a program may split words otherwise than the user.
        spelled = "|".join("_?".join(map(re.escape, "".join(words))) for words in names)
        self._own = re.compile(f"_(?:{spelled})s?_") if spelled else None
        joined = (joint.join(words) for words in names for joint in ("", "_", "-"))
        self.stems = tuple(dict.fromkeys([*STEMS, *joined]))
        """The name of each secret has one of these in it, in lower case."""
        self.kind = lru_cache(maxsize=4096)(self._read)
        """The kind of secret that a name names; None for a name of no secret."""

    def _read(self, name: str) -> Kind | None:
        words = _WORD.findall(name[:_LONGEST_NAME])
        read = f"_{'_'.join(words).lower()}_"
        if self._own is not None and self._own.search(read):
            return _OWN
        if not words or words[-1].lower() in ABOUT:
            return None
        if read == "_pass_":
            return _PASS
        is_strong = _STRONG.search(read) is not None
        if not is_strong and _WEAK.search(read) is None:
            return None
        is_plural = read.endswith("s_") and not read.endswith("ss_")
        return Kind(is_strong, is_plural, _HAS_BLANKS.search(read) is not None)
