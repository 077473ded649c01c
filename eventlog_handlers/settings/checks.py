"""Checks of one plain value at a time: each returns it in its proper type or raises SettingsError.

Every refusal is one sentence that names the option, what it takes and what to do. The value of a secret
never stands in it. Which options there are is not known here; see ``options``. Objects
that options name are checked in ``objects``, addresses and directories in ``places``.
"""

from __future__ import annotations

import contextlib
import logging
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.events import STATUSES
from eventlog_handlers.settings.secret import Secret
from eventlog_handlers.text.fit import ellipsis
from eventlog_handlers.text.template import fields_of


def refuse_unknown(
    where: str, options: Iterable[str], known: Iterable[str], instead: Mapping[str, str] | None = None
) -> None:
    """Every name in *options* is one of *known*. *instead*: what to use for names of another service."""
    for name in options:
        if name in known:
            continue
        if instead and name in instead:
            raise SettingsError(f"{where} has no option {short(name)}: use {instead[name]}")
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
    """A finite number; also one that stands as text, as the environment holds it."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value) if len(value) <= 40 else value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise SettingsError(f"{name} takes a number from {low:g} to {high:g}, not {short(value)}")
    return float(value)


def boolean(name: str, value: object) -> bool:
    """True or False; also as text, as the environment holds it."""
    if isinstance(value, str):
        value = _BOOLEANS.get(value.strip().lower(), value)
    if not isinstance(value, bool):
        raise SettingsError(f"{name} takes True or False, not {short(value)}")
    return value


_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def integer(name: str, value: object, low: int, high: int) -> int:
    """A whole number; also its digits as text, as the environment holds them."""
    if isinstance(value, str) and _is_digits(value.strip()):
        value = int(value)
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
    return ellipsis(shown, 100)


def _short_text(text: str) -> str:
    return ellipsis(text, 200)


Check = Callable[[str, Any], Any]


def optional(check: Check) -> Check:
    """*check*, or None."""
    return lambda name, value: None if value is None else check(name, value)


def whole(low: int, high: int) -> Check:
    """A whole number from *low* to *high*."""
    return lambda name, value: integer(name, value, low, high)


def real(low: float, high: float) -> Check:
    """A number from *low* to *high*."""
    return lambda name, value: number(name, value, low, high)


def choice(*allowed: str) -> Check:
    """One of some words."""
    return lambda name, value: one_of(name, value, allowed)


def unchecked(name: str, value: object) -> object:
    """The value as it is: its check needs more than the value."""
    return value


def one_of(name: str, value: Any, allowed: Sequence[str]) -> Any:
    if not isinstance(value, str) or value not in allowed:
        near = meant(value, allowed) if isinstance(value, str) else ""
        raise SettingsError(f"{name} takes {' or '.join(map(repr, allowed))}, not {short(value)}{near}")
    return value


def timeout(name: str, value: Any) -> tuple[float, float]:
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return (number(name, value[0], 0.01, 300), number(name, value[1], 0.01, 300))
    if isinstance(value, (list, tuple)):
        raise SettingsError(
            f"{name} takes seconds, or two numbers for connecting and reading, not {short(list(value))}"
        )
    seconds = number(name, value, 0.01, 300)
    return (min(seconds, 3.0), seconds)


def template(name: str, value: object) -> str:
    form = text(name, value)
    if "%(" in form:
        raise SettingsError(
            f"{name} {short(form)} is written for logging.Formatter: a template names fields in braces, such "
            "as {message} for %(message)s"
        )
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


def level_of(name: str, value: object) -> int:
    return level(value)


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


def tags(name: str, value: Any) -> Mapping[str, str]:
    labels = items(name, value, "{'team': 'shop'}")
    if not all(isinstance(key, str) and key for key in labels):
        raise SettingsError(f"{name} takes names that are text and not empty, such as {{'team': 'shop'}}")
    if not all(isinstance(item, (str, int, float)) for item in labels.values()):
        raise SettingsError(f"{name} takes plain values: text, numbers or booleans")
    return MappingProxyType({key: str(item) for key, item in labels.items()})


def level_map(name: str, value: Any) -> Mapping[int, str]:
    if value is None:
        return {}
    levels: dict[int, str] = {}
    for key, status in items(name, value, "{'WARNING': 'error'}").items():
        try:
            number = level(key)
        except SettingsError:
            raise SettingsError(f"{name} names the level {short(key)}, which logging doesn't know") from None
        levels[number] = one_of(f"{name}[{short(key)}]", status, STATUSES)
    return levels


def redact(name: str, value: Any) -> tuple[str, ...] | None:
    """True, False, or more names whose values are secrets."""
    if isinstance(value, bool):
        return () if value else None
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) and one for one in value):
        raise SettingsError(
            f"{name} takes true, false, or a list of more names such as ['iban'], not {short(value)}"
        )
    return tuple(value)
