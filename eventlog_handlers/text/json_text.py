"""JSON as it leaves us: compact, not escaped to ASCII, the same bytes with orjson and without. Pure.

orjson is used where it is installed (the extra ``fast``) and sure to agree with the standard library. What an
event always consists of is written field by field by the encoders themselves, at the price of a string's
quoting; this is for what may hold anything: extras, tags, rows of the spool.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from json import JSONEncoder
from json.encoder import encode_basestring
from math import isfinite
from typing import Any

_orjson: Callable[[object], bytes] | None = None
_MOST_VALUES = 10_000

quoted = encode_basestring
"""A text as JSON, in quotes. A lone surrogate stays one."""

# ensure_ascii would make two to six bytes of what the services count as one to four.
_encode = JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode


def use_orjson() -> None:
    """Write with orjson from now on, if it is installed. The import takes 6 ms: once there are events.

    Not where this process runs without the GIL: the import would switch it on for the whole program. Nor
    while the interpreter is finalizing (see ``process.fork.importing``).
    """
    global _orjson
    if _orjson is None and not sys.is_finalizing() and getattr(sys, "_is_gil_enabled", _yes)():
        with contextlib.suppress(ImportError):
            from orjson import dumps as _orjson


def _yes() -> bool:
    return True


def compact(value: object) -> str:
    """Anything without cycles as JSON without blanks.

    A lone surrogate stays one. Raises ValueError for NaN and infinity, TypeError for what JSON has no form
    for.
    """
    if _orjson is not None and _is_alike(value):
        try:
            return _orjson(value).decode()
        except TypeError:  # a lone surrogate, an integer past 64 bits, a name that is no text
            pass
    return _encode(value)


def _is_alike(value: object) -> bool:
    """Whether orjson writes *value* as the standard library does, or refuses to.

    It has forms of its own for floats that take an exponent, for NaN, and for types that are not JSON's.
    """
    waiting: list[Any] = [value]
    for one in waiting:
        kind = type(one)
        if kind is str or kind is int or kind is bool or one is None:
            continue
        if kind is float:
            if one != 0 and not 1e-4 <= abs(one) < 1e16:
                return False
        elif kind is dict:
            waiting += one.values()
        elif kind is list:
            waiting += one
        else:
            return False
        if len(waiting) > _MOST_VALUES:
            return False  # a circle, perhaps
    return True


def scalar(value: object) -> str | None:
    """An integer, a boolean or a finite float as JSON, at a tenth of an encoder's price; else None."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if type(value) is int or (type(value) is float and isfinite(value)):
        return repr(value)
    return None
