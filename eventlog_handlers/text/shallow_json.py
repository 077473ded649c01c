"""Reads JSON that a server wrote, without going deep.

``json`` calls itself for each level, down to the interpreter's limit of recursion. A garbage collection that
happens to start down there runs finalizers of the application, and the limit breaks them off.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH = 100


def loads(body: bytes) -> Any:
    """The value; raises ValueError for what is no JSON, or is nested deeper than MAX_DEPTH."""
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    return json.loads(body)


def _depth(body: bytes) -> int:
    depth = deepest = 0
    is_in_string = False
    for piece in re.findall(rb'"|\\.|[][{}]', body, re.DOTALL):  # compiled now: hardly any answer gets here
        if piece == b'"':
            is_in_string = not is_in_string
        elif not is_in_string and piece in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif not is_in_string and piece in b"]}":
            depth -= 1
    return deepest
