"""Regular expressions that are compiled when they are first used. Imports nothing of ours.

Compiling those of one module takes longer than importing three. It belongs on the worker's thread: where
events are rendered in the thread that logs, call ``compile_all`` beforehand.
"""

from __future__ import annotations

import re
from typing import Any, cast


class Lazy:
    """A regular expression compiled on first use."""

    def __init__(self, pattern: str, flags: int) -> None:
        self.pattern, self.flags = pattern, flags

    def __getattr__(self, name: str) -> Any:
        compiled = re.compile(self.pattern, self.flags)
        self.__dict__.update({method: getattr(compiled, method) for method in _METHODS})
        return getattr(compiled, name)


_METHODS = ("search", "match", "fullmatch", "sub", "findall", "finditer")
_made: list[Lazy] = []


def lazy(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """*pattern* as ``re.compile`` gives it, but compiled later. For modules: what is made here stays."""
    new = Lazy(pattern, flags)
    _made.append(new)
    return cast("re.Pattern[str]", new)


def made() -> tuple[Lazy, ...]:
    """Every pattern made so far."""
    return tuple(_made)


def compile_all() -> None:
    """Compile every pattern made so far, unless it has been."""
    for pattern in _made:
        pattern.search  # noqa: B018 - asking compiles
