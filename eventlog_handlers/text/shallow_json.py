"""Reads JSON that somebody else wrote, without going deep.

``json`` calls itself for each level, down to the interpreter's limit of recursion. A garbage collection that
happens to start down there runs finalizers of the application, and the limit breaks them off.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH = 100


def loads(text: str | bytes) -> Any:
    """The value; bytes are UTF-8. Raises ValueError where it is no JSON, or nested deeper than MAX_DEPTH."""
    if isinstance(text, bytes):
        # json would guess the encoding, and in another one levels could not be counted.
        text = text.decode("utf-8", "surrogatepass")
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    return json.loads(text)


def _depth(text: str) -> int:
    depth = deepest = 0
    is_in_string = False
    for piece in re.findall(r'"|\\.|[][{}]', text, re.DOTALL):  # compiled now: hardly any text gets here
        if piece == '"':
            is_in_string = not is_in_string
        elif not is_in_string and piece in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif not is_in_string and piece in "]}":
            depth -= 1
    return deepest
