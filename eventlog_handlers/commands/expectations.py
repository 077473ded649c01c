"""Compares an event with the one that a test of a configuration expects. Pure.

The expected event may leave parts out: a mapping is compared by the names that it has, and other names of the
event are ignored. A value is equal, or a mapping with one of ``contains``, ``matches`` (a regular expression,
searched), ``absent: true``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_ASKED = {"contains", "matches", "absent"}


def differences(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    """A sentence for each difference."""
    if isinstance(expected, Mapping) and expected and set(expected) <= _ASKED:
        yield from _asked(expected, found, path)
    elif isinstance(expected, Mapping):
        if not isinstance(found, Mapping):
            yield f"{path or 'it'} is {_shown(found)}, not an object"
            return
        for name, value in expected.items():
            below = f"{path}.{name}" if path else str(name)
            yield from differences(value, found.get(name, _MISSING), below)
    elif found is _MISSING:
        yield f"{path} is missing: {_shown(expected)} is expected"
    elif found != expected:
        yield f"{path} is {_shown(found)}: {_shown(expected)} is expected"


def _asked(expected: Mapping[str, Any], found: Any, path: str) -> Iterator[str]:
    if expected.get("absent"):
        if found is not _MISSING and found is not None:
            yield f"{path} is {_shown(found)}: it is to be absent"
        return
    if found is _MISSING:
        yield f"{path} is missing"
        return
    text = found if isinstance(found, str) else str(found)
    if "contains" in expected and str(expected["contains"]) not in text:
        yield f"{path} is {_shown(found)}: it is to contain {_shown(expected['contains'])}"
    if "matches" in expected and not re.search(str(expected["matches"]), text):
        yield f"{path} is {_shown(found)}: it is to match {_shown(expected['matches'])}"


def _shown(value: Any) -> str:
    text = "missing" if value is _MISSING else repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


_MISSING = object()
