"""Strategies for what may stand where JSON is expected: any value or text, almost JSON, and none at all."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

TEXTS = st.one_of(
    st.text(max_size=30),
    st.text("\x00\x1b\r\n\u202e\ud800²٣ ¼{}%$<>&;:'\"\\", max_size=8),
    st.sampled_from(["9" * 5_000, "1e999", "-1", "0x10", "200", "true", "null", "x" * 3_000]),
)


def values(texts: st.SearchStrategy[str] = TEXTS) -> st.SearchStrategy[Any]:
    """JSON values, with *texts* for texts and names."""
    return st.recursive(
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(), texts, st.sampled_from([10**400, -(2**63)])
        ),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=8,
    )


def bodies(names: list[str], texts: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    """Bodies of answers: an object with some of *names*, whole or damaged; other JSON; XML; any bytes."""
    known = st.sampled_from(names)
    value = texts | values(texts)
    whole = st.dictionaries(known | known.map(str.upper) | TEXTS, value, max_size=6).map(_dumped)
    return st.one_of(
        whole,
        st.builds(_cut, whole, st.integers(0, 400), st.binary(max_size=4)),
        values(texts).map(_dumped),
        st.builds(_xml, st.lists(st.tuples(known, texts), max_size=4)),
        st.binary(max_size=300),
        st.sampled_from([b"", b"[" * 30_000, b'{"a":' * 30_000, b"\xef\xbb\xbf{}", b"9" * 5_000]),
    )


def _dumped(value: object) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    except ValueError:  # an integer too long to be printed
        return b"1"


def _cut(body: bytes, at: int, between: bytes) -> bytes:
    return body[:at] + between + body[at + 1 :]


def _xml(parts: list[tuple[str, str]]) -> bytes:
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in parts)
    return f"<?xml version='1.0'?><Error>{inner}</Error>".encode("utf-8", "surrogatepass")
