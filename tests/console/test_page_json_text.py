"""JSON of any depth: as the standard library reads and writes it, and also what is too deep for that."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog_handlers.console import json_text
from eventlog_handlers.console.json_text import MOST_LEVELS, strict_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


def nested(levels: int, inner: str = "1") -> str:
    return '{"a": [' * (levels // 2) + inner + "]}" * (levels // 2)


def depth_of(value: Any) -> int:
    levels = 0
    while isinstance(value, (dict, list)):
        levels += 1
        value = value["a"] if isinstance(value, dict) else value[0]
    return levels


@given(VALUES, st.sampled_from([None, 1, "\t"]))
def test_reads_and_writes_as_the_standard_library(value: Any, indent: Any) -> None:
    """With the stack as with the calls."""
    text = json.dumps(value, indent=indent)

    assert json_text._read(text) == value
    assert "".join(json_text._written(value)) == json.dumps(value)


@given(st.text('[]{},:"1 ae-.\\', max_size=12))
def test_refuses_what_the_standard_library_refuses(text: str) -> None:
    """Every malformed text is a ValueError, and no well-formed one is."""
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - the words are the standard library's
            json_text._read(text)
    else:
        assert json_text._read(text) == expected


@pytest.mark.parametrize("levels", [900, 980, 1000, 1002, 9000, MOST_LEVELS])
@pytest.mark.usefixtures("no_collection")
def test_depth_needs_no_recursion(levels: int) -> None:
    """Both ways, well beyond the interpreter's own limit."""
    value = strict_json(nested(levels))

    assert depth_of(value) == levels
    assert json_text.json_text(value) == nested(levels)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, nested(MOST_LEVELS + 2), "[" * 5000 + "NaN" + "]" * 5000, "[" * 5000 + "]" * 4999]
)
@pytest.mark.usefixtures("no_collection")
def test_refuses_deep_texts_that_are_wrong(text: str) -> None:
    """As a ValueError, like any other."""
    with pytest.raises(ValueError):  # noqa: PT011 - the words are the standard library's
        strict_json(text)
