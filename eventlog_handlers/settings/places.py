"""Checks of options that name a place: an address to send to, proxies on the way, a directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeVar

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.settings import checks
from eventlog_handlers.settings.local_console import console_url
from eventlog_handlers.settings.secret import Secret
from eventlog_handlers.text.loopback import is_loopback


class Proxies(dict[str, str]):
    """Proxy by scheme. Its repr shows no user and no password of a proxy, and it is not pickled."""

    def __repr__(self) -> str:
        return repr({scheme: _without_user(url) for scheme, url in self.items()})

    def __reduce__(self) -> Any:
        raise TypeError("proxies may hold a password and are not pickled; give them to the other process")


def _without_user(url: str) -> str:
    way, separator, rest = url.rpartition("@")
    scheme = way.partition("://")[0] if "://" in way else ""
    return f"{scheme}://***@{rest}" if separator and scheme else f"***@{rest}" if separator else url


def proxies(name: str, value: Any) -> Mapping[str, str] | None:
    if value is None:
        return None
    example = "{'https': 'http://proxy.example:3128'}"
    ways = checks.items(name, value, example)
    if not all(isinstance(part, str) for way in ways.items() for part in way):
        raise SettingsError(f"{name} takes URLs by scheme, such as {example}")
    return Proxies(ways)


def scope(name: str, value: object) -> Secret | str:
    """``host`` or ``process``, or a URL of redis:// as a secret: it may hold a password."""
    if not isinstance(value, str):
        raise SettingsError(f"{name} takes a text: host, process, or a URL such as redis://host:6379/0")
    text = value.strip()
    if text in ("host", "process"):
        return text
    if "://" in text:
        return Secret(text)
    raise SettingsError(
        f"{name} takes host, process, or a URL such as redis://host:6379/0{checks.meant(text, _SCOPES)}"
    )


_SCOPES = ("host", "process", "redis://", "rediss://")


def directory(name: str, value: object) -> str | None:
    """An absolute path: the program may change its working directory before the path is used."""
    if value is None:
        return None
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        raise SettingsError(f"{name} takes the path of a directory, not {checks.short(value)}")
    if path.startswith("~"):
        expanded = os.path.expanduser(path)  # noqa: PTH111 - pathlib would slow each start
        if expanded.startswith("~"):
            raise SettingsError(
                f"{name}: this system has no home directory for {checks.short(path.split('/')[0])}: "
                "give the whole path of a directory"
            )
        path = expanded
    try:
        return os.path.abspath(path)  # noqa: PTH100 - as above
    except OSError:
        raise SettingsError(
            f"{name} {checks.short(path)} is relative, and the working directory is gone: give the whole path"
        ) from None


def relative_notice(name: str, given: Any, absolute: str) -> str | None:
    """A sentence with the target of a relative path; None where *given* is absolute or the user's home."""
    path = os.fspath(given)
    if os.path.isabs(path) or path.startswith("~"):  # noqa: PTH117 - as above
        return None
    return f"the relative {name} {checks.short(path)} is {absolute}, also after a later change of directory"


def endpoint(name: str, value: object, *, allow_insecure: bool, path: bool) -> str:
    """A URL to send to, without a slash at its end; plain http to this machine alone, unless allowed."""
    from urllib.parse import urlsplit  # no default address needs it

    url = checks.text(name, value)
    if not url.isascii() or not url.isprintable() or " " in url:
        raise SettingsError(f"{name} holds a blank, a line break or a character outside ASCII: copy it anew")
    url = url.rstrip("/")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise SettingsError(f"{name} is no URL: give one such as https://host or https://host:port") from None
    if parts.scheme not in ("https", "http") or not host:
        raise SettingsError(f"{name} takes a whole URL with https:// and a host; add the scheme")
    if parts.username is not None or parts.password is not None:
        raise SettingsError(f"{name} holds a user or password: credentials have options of their own")
    if parts.query or parts.fragment or (parts.path and not path):
        raise SettingsError(f"{name} takes scheme, host and port only: leave off what follows them")
    if parts.scheme == "http" and not is_loopback(host) and not allow_insecure:
        raise SettingsError(
            f"{name} is plain http to {host}: use https, or allow_insecure=True if you trust that network"
        )
    return url


Default = TypeVar("Default", str, None)


def destination(
    name: str,
    given: object,
    default: Default,
    environ: Mapping[str, str],
    *,
    allow_insecure: bool,
    path: bool = False,
) -> str | Default:
    """The endpoint: the stand-in if the environment asks for it, else *given*, else *default*.

    *default* is an address of ours and not checked again. *path*: whether the address may have one.
    """
    console = console_url(environ)
    if console:
        return endpoint("EVENTLOG_CONSOLE", console, allow_insecure=allow_insecure, path=path)
    return default if given is None else endpoint(name, given, allow_insecure=allow_insecure, path=path)
