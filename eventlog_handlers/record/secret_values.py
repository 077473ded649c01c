"""Where the value of a secret's name starts and ends in a text, and whether it is a secret at all. Pure.

A pattern may look again, for the next name of the text, at characters that it looked at before. So each
check that refuses looks at a bounded number of characters: the time is linear in the text.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from eventlog_handlers.record.secret_forms import REDACTED
from eventlog_handlers.record.secret_names import Kind
from eventlog_handlers.text.lazy_patterns import lazy

REST_OF_NAME = lazy(
    r"""(?P<rest>[\w-]{0,40})(?![\w-])(?P<quote>\\?["'])?\]?"""
    r"""[ \t]{0,40}(?![ \t])(?:=>|=(?![=>])|(?P<colon>:(?![:=/])))[ \t]{0,40}"""
)
"""The text between a stem and the value. The blanks are those of a table of settings."""
LONGEST_HEAD = 60
"""Characters of a name before its stem."""

_OPENED = lazy(r"""[bBrRuUfF]{0,2}(\\?["'])""")
_INSIDE = {
    '"': lazy(r'[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*'),
    "'": lazy(r"[^'\\\r\n]*(?:\\.[^'\\\r\n]*)*"),
    '\\"': lazy(r'[^"\\\r\n]*'),
    "\\'": lazy(r"[^'\\\r\n]*"),
}
_OPEN_CONTAINER = "[({"
_CONTAINER = lazy(r"[^\])}\r\n]*")
_BARE = lazy(r"""[^\s"'&,;]+""")
_LINE = lazy(r"""(?:(?:bearer|basic|token)[ \t]{1,3}([^\s"',;]+)|([^\r\n"']+))""", re.I)
_CLOSING = ")]}>"
_PLACEHOLDER = lazy(r"%(?:\(\w{1,60}\))?[-+#0-9.]{0,8}[a-zA-Z]|\{[\w.!:]{0,60}\}|\*{3,}")
_NO_SECRETS = frozenset(
    [
        "none", "null", "nil", "true", "false", "undefined", "str", "bytes", "int", "bool", "object", "any",
        "optional", "required", "missing", "ok", "done", "failed", "passed", "starting", "started",
        "finished",
        "completed",
    ]
)  # fmt: skip
_WITHIN = 200  # characters of a value that may tell that it is none
_SOURCE_LINES = lazy(r'^[ |]{0,200}File "[^\n]*", line \d+[^\n]*\n(?=([^\n]*))', re.M)


class SourceLines:
    """The lines of a traceback that are source code: each the one after the line of its frame."""

    def __init__(self, traceback: str) -> None:
        self._spans = [found.span(1) for found in _SOURCE_LINES.finditer(traceback)]
        self._starts = [start for start, _ in self._spans]

    def holds(self, at: int) -> bool:
        """Whether the character *at* stands in one of them."""
        before = bisect_right(self._starts, at) - 1
        return before >= 0 and at < self._spans[before][1]


def start_of_name(text: str, at: int) -> int:
    """Where the name begins that has a stem at *at*."""
    least = max(0, at - LONGEST_HEAD)
    while at > least and (text[at - 1].isalnum() or text[at - 1] in "_-"):
        at -= 1
    return at


def value_of(
    pair: re.Match[str], name: str, kind: Kind, source: SourceLines | None
) -> tuple[int, int] | None:
    """Where the value of a *name* starts and ends; None where no secret stands there.

    *pair* is a match of REST_OF_NAME. In a *source* line only literals are values.
    """
    text, at = pair.string, pair.end()
    opened = _OPENED.match(text, at)
    if opened is not None:
        start, stop = _INSIDE[opened[1]].match(text, opened.end()).span()  # type: ignore[union-attr]  # may be empty
        return (start, stop) if is_value(text[start:stop], name) else None
    if text.startswith(REDACTED, at) or (source is not None and source.holds(pair.start())):
        return None
    if kind.has_blanks:
        line = _LINE.match(text, at)
        span = (0, 0) if line is None else line.span(line.lastindex or 0)
        return span if is_value(text[slice(*span)], name) else None
    if text[at : at + 1] and text[at] in _OPEN_CONTAINER:
        return _inside_container(text, at + 1)
    if pair["colon"] and not pair["quote"] and not kind.is_strong:
        first = _BARE.match(text, at, at + _WITHIN)  # not all of it: it may be looked at again
        if first is None or not _looks_random(first[0]):
            return None  # prose: "auth: accepted", "unexpected token: else"
    bare = _BARE.match(text, at)
    if bare is None:
        return None
    value = bare[0].rstrip(_CLOSING)
    if not is_value(value, name) or (kind.is_countable and value.isdecimal()):
        return None
    return at, at + len(value)


def _inside_container(text: str, at: int) -> tuple[int, int] | None:
    if text.startswith(REDACTED[:-1], at):
        return None  # before the rest of the line is looked at: it may hold such a name again and again
    start, stop = _CONTAINER.match(text, at).span()  # type: ignore[union-attr]  # may be empty
    return (start, stop) if text[start:stop].strip() else None


def is_value(value: str, name: str) -> bool:
    """Whether *value* may be a secret, rather than a placeholder, a type, or the name of what holds it."""
    if len(value) > _WITHIN:
        return True
    if not value or value.startswith(REDACTED[:-1]) or value.lower() in _NO_SECRETS:
        return False
    last = value.removesuffix("()").rpartition(".")[2]
    if last.replace("_", "-").lower() == name.replace("_", "-").lower():
        return False  # password=self.password
    return _PLACEHOLDER.fullmatch(value) is None


def _looks_random(value: str) -> bool:
    return len(value) >= 12 and any(map(str.isdecimal, value)) and any(map(str.isalpha, value))
