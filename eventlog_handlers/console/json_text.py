"""JSON as its standard has it, however deeply it is nested, read and written. Values and texts only.

``json`` of the standard library calls itself once a level and gives up near a thousand levels; a ``Detail``
of PutEvents may have exactly that many. So texts that are too deep for it are read and written here with a
stack. Not here: how deep each service allows.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

MOST_LEVELS = 10_000
"""Deeper than any service allows, and a bound for everything that walks through a value."""

_SPACE = re.compile(r"[ \t\n\r]*")


def strict_json(text: str | bytes) -> Any:
    """Parse JSON as its standard has it: no NaN, nothing past a double. Raises ValueError, also for depth."""
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    if text.count("[") + text.count("{") > MOST_LEVELS:
        return _read(text)  # from CPython 3.14 on json itself may read deeper ones
    try:
        return _DECODER.decode(text)
    except RecursionError:
        return _read(text)


def json_text(value: Any) -> str:
    """*value* as JSON in ASCII, which holds half a surrogate pair too. The inverse of ``strict_json``."""
    try:
        return json.dumps(value)
    except RecursionError:
        return "".join(_written(value))


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number} is out of range")
    return value


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def _read(text: str) -> Any:
    """The same as ``json.loads`` with a stack of open containers instead of calls."""
    reader = _Reader(text)
    while not reader.step():
        pass
    return reader.whole


class _Reader:
    """One pass over a text. ``step`` takes one value or one closing bracket; ``whole`` is the result."""

    def __init__(self, text: str) -> None:
        self.whole: Any = None
        self._text = text
        self._at = self._skip(0)
        self._open: list[tuple[Any, str]] = []
        """Each container that is not closed yet, with the key its next value belongs to."""

    def step(self) -> bool:
        """Whether the text is read to its end."""
        text, at = self._text, self._at
        if text[at : at + 1] in ("[", "{"):
            if len(self._open) == MOST_LEVELS:
                raise ValueError("nested too deeply")
            self._at = self._skip(at + 1)
            self._open.append(([] if text[at] == "[" else {}, ""))
            if not self._closes():
                self._read_key()
                return False
            self._keep(self._open.pop()[0])
        else:
            self._keep(self._scalar())
        return self._go_on()

    def _go_on(self) -> bool:
        """After a value: close the containers that end here, or go past the comma to the next value."""
        while self._open:
            if self._closes():
                self._keep(self._open.pop()[0])
                continue
            if self._text[self._at : self._at + 1] != ",":
                raise ValueError(f"a comma or a bracket is missing at {self._at}")
            self._at = self._skip(self._at + 1)
            self._read_key()
            return False
        if self._at != len(self._text):
            raise ValueError(f"extra characters at {self._at}")
        return True

    def _closes(self) -> bool:
        container = self._open[-1][0]
        closing = "]" if isinstance(container, list) else "}"
        if self._text[self._at : self._at + 1] != closing:
            return False
        self._at = self._skip(self._at + 1)
        return True

    def _read_key(self) -> None:
        container = self._open[-1][0]
        if isinstance(container, list):
            return
        if self._text[self._at : self._at + 1] != '"':
            raise ValueError(f"a key is missing at {self._at}")
        key = self._scalar()
        if self._text[self._at : self._at + 1] != ":":
            raise ValueError(f"a colon is missing at {self._at}")
        self._at = self._skip(self._at + 1)
        self._open[-1] = (container, key)

    def _keep(self, value: Any) -> None:
        if not self._open:
            self.whole = value
            return
        container, key = self._open[-1]
        if isinstance(container, list):
            container.append(value)
        else:
            container[key] = value

    def _scalar(self) -> Any:
        """Take a string, a number or a constant."""
        value, end = _DECODER.raw_decode(self._text, self._at)
        self._at = self._skip(end)
        return value

    def _skip(self, at: int) -> int:
        match = _SPACE.match(self._text, at)
        return match.end() if match else at


def _written(value: Any) -> Iterator[str]:
    """The pieces of ``json.dumps(value)`` for the values that JSON can hold."""
    waiting: list[Any] = [(value,)]
    """Values in a tuple still to be written, and finished texts; the last comes first."""
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
            continue
        (value,) = item
        if isinstance(value, dict):
            parts: list[Any] = ["{"]
            for key, part in value.items():
                parts += [", "] * (len(parts) > 1) + [f"{json.dumps(str(key))}: ", (part,)]
            waiting += reversed([*parts, "}"])
        elif isinstance(value, (list, tuple)):
            parts = ["["]
            for part in value:
                parts += [", "] * (len(parts) > 1) + [(part,)]
            waiting += reversed([*parts, "]"])
        else:
            yield json.dumps(value)
