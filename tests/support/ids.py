"""Names of parametrized cases."""

from __future__ import annotations

import re


def shown(value: object) -> str:
    """``repr`` without addresses, sets in order: the same in every process, as pytest-xdist needs it."""
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}({sorted(map(repr, value))})"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
