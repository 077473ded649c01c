"""Checks of one setting at a time: each returns the value in its proper type or raises SettingsError.

Every refusal is one sentence that names the option, what it takes and what to do. The value of a secret
never stands in it. Which options there are is not known here; see ``settings``.
"""

from __future__ import annotations

import importlib
import logging
import os
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.events import STATUSES
from eventlog_handlers.settings import checks
from eventlog_handlers.settings.local_console import console_url
from eventlog_handlers.settings.secret import Secret
from eventlog_handlers.text.loopback import is_loopback
from eventlog_handlers.text.template import fields_of


def refuse_unknown(where: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Every name in *options* is one of *known*."""
    for name in options:
        if name not in known:
            raise SettingsError(f"{where} has no option {short(name)}{meant(name, known)}")


def meant(word: str, known: Iterable[str]) -> str:
    """`` (did you mean …?)`` where something in *known* looks like *word*, else ""."""
    import difflib  # only ever needed on the way to an error

    near = difflib.get_close_matches(word[:100], list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f"{name} takes a string that isn't empty, not {short(value)}")
    return value


def optional_text(name: str, value: object) -> str | None:
    return None if value is None else text(name, value)


def word(name: str, value: object) -> str:
    if not isinstance(value, str) or not value or set(value) - _WORD:
        raise SettingsError(
            f"{name} takes letters, digits and hyphens, such as 'cn-hangzhou', not {short(value)}"
        )
    return value


_WORD = set(string.ascii_letters + string.digits + "-_")


def secret(name: str, value: object) -> Secret | None:
    if value is None or value == "":
        return None
    if isinstance(value, Secret):
        value = value.reveal()
    if not isinstance(value, str):
        raise SettingsError(f"{name} takes a string")
    stripped = value.strip(" ")
    if not stripped:
        raise SettingsError(f"{name} holds only blanks: copy it anew")
    if not stripped.isascii() or not stripped.isprintable() or " " in stripped:
        raise SettingsError(
            f"{name} holds a blank, a line break or a character outside ASCII: copy it anew and alone"
        )
    return Secret(stripped)


def number(name: str, value: object, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise SettingsError(f"{name} takes a number from {low:g} to {high:g}, not {short(value)}")
    return float(value)


def optional_number(name: str, value: object, low: float, high: float) -> float | None:
    return None if value is None else number(name, value, low, high)


def boolean(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise SettingsError(f"{name} takes True or False, not {short(value)}")
    return value


def integer(name: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        numbers = f"a whole number from {low} to {high}" if low < high else f"{low} and nothing else"
        raise SettingsError(f"{name} takes {numbers}, not {short(value)}")
    return value


def short(value: object) -> str:
    """*value* for a message. It may be a number of thousands of digits, or an object that can't be shown."""
    if isinstance(value, int) and abs(value) > 10**18:
        return "a far larger one"
    try:
        shown = repr(value)
    except Exception:
        return f"this {type(value).__name__}"
    return shown if len(shown) <= 100 else f"{shown[:100]}…"


def _short_text(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"


def one_of(name: str, value: Any, allowed: Sequence[str]) -> Any:
    if not isinstance(value, str) or value not in allowed:
        near = meant(value, allowed) if isinstance(value, str) else ""
        raise SettingsError(f"{name} takes {' or '.join(map(repr, allowed))}, not {short(value)}{near}")
    return value


def timeout(value: Any) -> tuple[float, float]:
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return (number("timeout", value[0], 0.01, 300), number("timeout", value[1], 0.01, 300))
    if isinstance(value, (list, tuple)):
        raise SettingsError(
            f"timeout takes seconds, or two numbers for connecting and reading, not {short(list(value))}"
        )
    seconds = number("timeout", value, 0.01, 300)
    return (min(seconds, 3.0), seconds)


def template(name: str, value: object) -> str:
    form = text(name, value)
    try:
        fields_of(form)
    except ValueError as error:
        raise SettingsError(f"{name} {short(form)} is no template: {_short_text(str(error))}") from None
    return form


def items(name: str, value: Any, example: str) -> dict[Any, Any]:
    """*value* as a dict, read by key: only so does dictConfig put in what ``ext://`` and ``cfg://`` name."""
    if not isinstance(value, Mapping):
        raise SettingsError(f"{name} takes a dict such as {example}, not {type(value).__name__}")
    return {key: value[key] for key in value}


def level(value: object) -> int:
    """A level's number. Names are taken in any case, and digits as text, as the environment holds them."""
    found: object = value
    if isinstance(value, str):
        name = value.strip()
        found = int(name) if _is_digits(name) else logging.getLevelName(name)
        if not isinstance(found, int):
            found = logging.getLevelName(name.upper())
    if isinstance(found, bool) or not isinstance(found, int) or abs(found) > 10**9:
        near = meant(value.upper(), _LEVELS) if isinstance(value, str) else ""
        raise SettingsError(
            f"level takes a level's name or number, such as 'ERROR', not {short(value)}{near}"
        )
    return found


def _is_digits(text: str) -> bool:
    """Whether *text* is a number of usual length (int() refuses one of thousands of digits)."""
    return text.isascii() and text.isdigit() and len(text) <= 18


_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def tags(value: Any) -> Mapping[str, str]:
    labels = items("tags", value, "{'team': 'shop'}")
    if not all(isinstance(key, str) and key for key in labels):
        raise SettingsError("tags takes names that are text and not empty, such as {'team': 'shop'}")
    if not all(isinstance(item, (str, int, float)) for item in labels.values()):
        raise SettingsError("tags takes plain values: text, numbers or booleans")
    return {key: str(item) for key, item in labels.items()}


def resources(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise SettingsError("resources takes a list of strings, usually ARNs")
    names = tuple(value[index] for index in range(len(value)))  # by index, as in ``items``
    if not all(isinstance(name, str) and 0 < len(name) <= 2048 for name in names):
        raise SettingsError("resources takes strings of 1 to 2048 characters each, usually ARNs")
    return names


def group_id(value: object) -> str | None:
    if value is None:
        return None
    digits = short(value) if isinstance(value, int) else str(value)
    if isinstance(value, bool) or not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        raise SettingsError(f"group_id takes the digits of an application group's id, not {short(value)}")
    return digits


def level_map(value: Any) -> Mapping[int, str]:
    if value is None:
        return {}
    levels: dict[int, str] = {}
    for name, status in items("level_map", value, "{'WARNING': 'error'}").items():
        level = name
        if isinstance(name, str):
            # JSON turns numbers into text where they are keys.
            level = int(name) if _is_digits(name) else logging.getLevelName(name)
        if isinstance(level, bool) or not isinstance(level, int):
            raise SettingsError(f"level_map names the level {short(name)}, which logging doesn't know")
        levels[level] = one_of(f"level_map[{short(name)}]", status, STATUSES)
    return levels


def resolve(name: str, value: object) -> object:
    """*value* itself, or what a dotted string such as ``shop.alerts.credentials`` names."""
    if not isinstance(value, str):
        return value
    module, _, attribute = value.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # the module is the user's: it may raise anything while it is imported
        why = type(error).__name__
    # Out of the handler: what importlib says quotes the text, and somebody may have put a key there.
    shown = "its text" if name == "credentials" else short(value)
    raise SettingsError(
        f"{name} takes an object or its dotted name, such as 'shop.alerts.{name}'; {shown} can't be "
        f"imported ({why})"
    )


def function(name: str, value: object) -> Any:
    resolved = resolve(name, value)
    if resolved is not None and not callable(resolved):
        raise SettingsError(f"{name} takes a callable or its dotted name, not {type(resolved).__name__}")
    return resolved


def redact(value: Any) -> tuple[str, ...] | None:
    """True, False, or more names whose values are secrets."""
    if isinstance(value, bool):
        return () if value else None
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) and name for name in value):
        raise SettingsError(
            f"redact takes true, false, or a list of more names such as ['iban'], not {short(value)}"
        )
    return tuple(value)


def observer(value: object) -> Any:
    """An object with some of the observer's methods, or its dotted name."""
    resolved = resolve("observer", value)
    methods = ("on_delivered", "on_retry", "on_drop", "on_state")
    if resolved is not None and not any(callable(getattr(resolved, name, None)) for name in methods):
        raise SettingsError(f"observer takes an object with at least one of {', '.join(methods)}")
    return resolved


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


def proxies(value: Any) -> Mapping[str, str] | None:
    if value is None:
        return None
    example = "{'https': 'http://proxy.example:3128'}"
    ways = items("proxies", value, example)
    if not all(isinstance(part, str) for way in ways.items() for part in way):
        raise SettingsError(f"proxies takes URLs by scheme, such as {example}")
    return Proxies(ways)


def directory(name: str, value: object) -> str | None:
    """An absolute path: the program may change its working directory before the path is used."""
    if value is None:
        return None
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        raise SettingsError(f"{name} takes the path of a directory, not {short(value)}")
    if path.startswith("~"):
        expanded = os.path.expanduser(path)  # noqa: PTH111 - pathlib would slow each start
        if expanded.startswith("~"):
            raise SettingsError(
                f"{name}: this system has no home directory for {short(path.split('/')[0])}: "
                "give the whole path of a directory"
            )
        path = expanded
    try:
        return os.path.abspath(path)  # noqa: PTH100 - as above
    except OSError:
        raise SettingsError(
            f"{name} {short(path)} is relative, and the working directory is gone: give the whole path"
        ) from None


def endpoint(name: str, value: object, options: Mapping[str, Any], *, path: bool) -> str:
    from urllib.parse import urlsplit  # no default address needs it

    url = text(name, value)
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
    if parts.scheme == "http" and not is_loopback(host) and options.get("allow_insecure") is not True:
        raise SettingsError(
            f"{name} is plain http to {host}: use https, or allow_insecure=True if you trust that network"
        )
    return url


Default = TypeVar("Default", str, None)


def _endpoint(
    options: Mapping[str, Any], name: str, default: Default, environ: Mapping[str, str], *, path: bool
) -> str | Default:
    """Where to send; *default* is an address of ours and not checked again."""
    console = console_url(environ)
    if console:
        return checks.endpoint("EVENTLOG_CONSOLE", console, options, path=path)
    given = options.get(name)
    return default if given is None else checks.endpoint(name, given, options, path=path)
