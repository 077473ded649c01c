"""Regular expressions that are compiled when they are first used. Imports nothing of ours.

Compiling those of one module takes longer than importing three. It belongs on the worker's thread: where
events are rendered in the thread that logs, call ``compile_all`` beforehand.
"""

from __future__ import annotations

import re
from typing import Any, cast


class _Lazy:
    """Stands for a compiled pattern: has its methods from the first use on, compiles it at that use."""

    def __init__(self, pattern: str, flags: int) -> None:
        self._source = pattern, flags

    def __getattr__(self, name: str) -> Any:
        compiled = re.compile(*self._source)
        self.__dict__.update({method: getattr(compiled, method) for method in _METHODS})
        return getattr(compiled, name)


_METHODS = ("search", "match", "fullmatch", "sub", "findall")
_made: list[_Lazy] = []


def lazy(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """*pattern* as ``re.compile`` gives it, but compiled later. For modules: what is made here stays."""
    made = _Lazy(pattern, flags)
    _made.append(made)
    return cast("re.Pattern[str]", made)


def compile_all() -> None:
    """Compile every pattern made so far, unless it has been."""
    for made in _made:
        made.search  # noqa: B018 - asking compiles
