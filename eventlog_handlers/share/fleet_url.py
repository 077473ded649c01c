"""A Redis URL as a value: ``redis://host:6379/0``, ``rediss://…`` for TLS. Pure.

User and password stand in the environment, or in a URL that is given in code. They are kept as secrets: no
repr, message or stat shows them.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from typing import NamedTuple

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.settings import checks
from eventlog_handlers.settings.secret import Secret

SCHEMES = ("redis", "rediss")
USERNAME, PASSWORD = "EVENTLOG_REDIS_USERNAME", "EVENTLOG_REDIS_PASSWORD"
OPTIONS = ("ca_bundle", "wait_replicas")
_EXAMPLE = "redis://host:6379/0"


class FleetAddress(NamedTuple):
    """The address of a Redis or Valkey, and the user for it."""

    host: str
    port: int = 6379
    database: int = 0
    is_tls: bool = False
    username: Secret | None = None
    password: Secret | None = None
    ca_bundle: str | None = None
    """A file with the authorities to trust; None: the system's."""
    wait_replicas: int = 0
    """How many replicas must have a count before it is answered."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.is_tls else 'redis'}://{host}:{self.port}/{self.database}"

    def __repr__(self) -> str:
        return str(self)


def fleet_address(url: str, environ: Mapping[str, str], *, option: str, in_dsn: bool = False) -> FleetAddress:
    """*url* as an address; raises SettingsError, which names *option* and never shows the URL.

    *in_dsn*: the URL comes from a DSN, which ends up in process lists and error trackers, so it may hold no
    password.
    """
    try:
        parts = urllib.parse.urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise SettingsError(f"{option} is no URL: give one such as {_EXAMPLE}") from None
    if parts.scheme not in SCHEMES:
        raise SettingsError(f"{option} takes a URL of redis:// or rediss:// (TLS), such as {_EXAMPLE}")
    if not host:
        raise SettingsError(f"{option} names no host: give one such as {_EXAMPLE}")
    if parts.fragment:
        raise SettingsError(f"{option} has a part after '#': percent-encode it in a password as %23")
    if in_dsn and (parts.username or parts.password):
        raise SettingsError(
            f"a password can't stand in a DSN: leave it out of {option} and set {USERNAME} and {PASSWORD}"
        )
    username = _unquoted(parts.username) or environ.get(USERNAME, "").strip() or None
    password = _unquoted(parts.password) or environ.get(PASSWORD, "").strip() or None
    if username is not None and password is None:
        raise SettingsError(f"{option} has a user and no password: set {PASSWORD}")
    ca_bundle, wait_replicas = _options(parts, option)
    return FleetAddress(
        host=host,
        port=6379 if port is None else port,
        database=_database(parts.path, option),
        is_tls=parts.scheme == "rediss",
        username=None if username is None else Secret(username),
        password=None if password is None else Secret(password),
        ca_bundle=ca_bundle,
        wait_replicas=wait_replicas,
    )


def _unquoted(text: str | None) -> str:
    return "" if text is None else urllib.parse.unquote(text)


def _database(path: str, option: str) -> int:
    number = path.strip("/")
    if not number:
        return 0
    if not number.isascii() or not number.isdigit() or int(number) > 1_000_000:
        raise SettingsError(f"{option} ends in the number of a database, such as {_EXAMPLE}")
    return int(number)


def _options(parts: urllib.parse.SplitResult, option: str) -> tuple[str | None, int]:
    given: dict[str, str] = {}
    for name, text in urllib.parse.parse_qsl(parts.query, keep_blank_values=True):
        if name not in OPTIONS:
            raise SettingsError(
                f"{option} has an unknown option{checks.meant(name, OPTIONS)}: it takes {', '.join(OPTIONS)}"
            )
        given[name] = text
    number = given.get("wait_replicas", "0")
    if not number.isascii() or not number.isdigit() or int(number) > 100:
        raise SettingsError(f"wait_replicas in {option} takes a whole number from 0 to 100")
    if "ca_bundle" in given and parts.scheme != "rediss":
        raise SettingsError(f"ca_bundle in {option} belongs to TLS: write rediss://")
    return given.get("ca_bundle") or None, int(number)
