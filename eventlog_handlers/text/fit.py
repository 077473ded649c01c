"""Making text fit: characters a service can take, sizes in bytes as it counts them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_NOT_PRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ud800-\udfff]")
_NOT_ON_ONE_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_CLEAN_ASCII = bytes([*b"\t\n\r", *range(0x20, 0x7F)])


def utf8_size(text: str) -> int:
    """Bytes of *text* in UTF-8; a lone surrogate counts as the three bytes of U+FFFD."""
    if text.isascii():
        return len(text)
    return len(text.encode("utf-8", "surrogatepass"))


def clean(text: str) -> str:
    """Text for a body: lone surrogates become U+FFFD, controls but tab, LF and CR ``\\x..`` escapes."""
    if text.isprintable() or (text.isascii() and not text.encode().translate(None, _CLEAN_ASCII)):
        return text  # found out at a third of what the expression costs
    return _NOT_PRINTABLE.sub(_escape, text)


def one_line(text: str) -> str:
    """Text for a title or a name: line breaks, tabs and bidirectional overrides are blanked or escaped."""
    if text.isprintable():
        return text
    return _NOT_ON_ONE_LINE.sub(_escape_or_blank, text)


def plain_line(text: str) -> str:
    """``one_line`` with single blanks: no run of white space, none at either end."""
    if text.isprintable() and " " not in text:  # the blank is the only white space that is printable
        return text
    return " ".join(one_line(text).split())


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    return "\ufffd" if _SURROGATE.match(character) else character.encode("unicode_escape").decode("ascii")


def _escape_or_blank(match: re.Match[str]) -> str:
    return " " if match.group() in "\r\n\t\u2028\u2029" else _escape(match)


def cut(text: str, max_bytes: int, *, size: Callable[[str], int] = utf8_size, tail: float = 0.0) -> str:
    """Return *text* if it takes at most *max_bytes* by *size*, else its head, a visible mark and its tail.

    *tail* is the share of the room that goes to the end of the text (0 keeps only the head; a traceback,
    whose last lines matter most, wants more). The cut falls between characters. *size* must grow with its
    argument and add up over concatenation. The result never takes more than *max_bytes*; where not even the
    mark fits it is a bare head.
    """
    total = size(text)
    if total <= max_bytes:
        return text
    mark = f"\n… [cut: {total} bytes in all] …\n" if tail else f"… [cut: {total} bytes in all]"
    room = max_bytes - size(mark)
    if room <= 0:
        return text[: _fitting(len(text), lambda count: size(text[:count]), max(max_bytes, 0))]
    tail_count = _fitting(len(text), lambda count: size(text[len(text) - count :]), int(room * tail))
    kept_tail = text[len(text) - tail_count :]
    head_room = room - size(kept_tail)
    head_count = _fitting(len(text) - tail_count, lambda count: size(text[:count]), head_room)
    return text[:head_count] + mark + kept_tail


def _fitting(most: int, size: Callable[[int], int], room: int) -> int:
    """The largest count of characters up to *most* whose size fits *room*."""
    low, high = 0, min(most, room)  # no character is smaller than a byte
    while low < high:
        middle = (low + high + 1) // 2
        if size(middle) <= room:
            low = middle
        else:
            high = middle - 1
    return low


def shorten(text: str, limit: int) -> str:
    """*text* in at most *limit* characters; what is missing is said in a mark at the end."""
    if len(text) <= limit:
        return text
    mark = f"… [cut: {len(text)} characters in all]"
    return text[: limit - len(mark)] + mark if limit > len(mark) else text[: max(limit, 0)]


def ellipsis(text: str, limit: int) -> str:
    """*text* in at most *limit* characters; the last of them is "…" where something is missing.

    For names and titles, which have no room for the longer mark of ``shorten``.
    """
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"[: max(limit, 0)]


def encodable(text: str) -> str:
    """*text* as UTF-8 can carry it: each lone surrogate becomes U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def unused(name: str, taken: Mapping[str, Any]) -> str:
    """*name*, or *name* with the first of _2, _3, … that *taken* does not have."""
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    return candidate
