"""JSON is the same bytes whether orjson writes it or the standard library."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ids import shown
from processes import run

from eventlog_handlers.text import json_text
from eventlog_handlers.text.json_text import compact, use_orjson

orjson = pytest.importorskip("orjson")  # it would switch the GIL on where that is off

use_orjson()

texts = st.text(st.characters(exclude_categories=[]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def outcome(value: object) -> object:
    """What ``compact`` returns or which exception it raises."""
    try:
        return compact(value)
    except Exception as error:
        return type(error), str(error)


@given(values)
@example([0.0001, 0.00009999999999999999, 9999999999999998.0, 1e16, -0.0, 5e-324, 1e-4, -1e-5])
@example([2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1])
@example("".join(map(chr, range(0x250))))
@example(["\u2028\u2029\ufeff\ufffe\uffff", "\ud800", "\U0001f600"])
@example({"a": float("nan")})
def test_the_same_bytes_with_orjson_and_without(value):
    """Numbers, escapes and refusals alike; lone surrogates included."""
    assert json_text._orjson is not None
    with_orjson = outcome(value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_text, "_orjson", None)
        assert outcome(value) == with_orjson

    if isinstance(with_orjson, str):
        assert json.loads(with_orjson) == value or value != value


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [
        {2: "a", None: "b", True: "c"},
        [Text("a"), (1, 2)],
        {"a": object()},
        {"a": b"bytes"},
        [[[[1.5]]]],
        json.loads("[" * 80 + "]" * 80),
    ],
    ids=shown,
)
def test_what_is_not_plain_is_the_standard_librarys_to_judge(value):
    """Where orjson has a form of its own, or none, it isn't asked."""
    with_orjson = outcome(value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_text, "_orjson", None)
        assert outcome(value) == with_orjson


def test_plain_values_are_written_by_orjson(monkeypatch):
    """Else the extra would bring nothing."""
    asked = []
    monkeypatch.setattr(json_text, "_orjson", lambda value: asked.append(value) or orjson.dumps(value))

    compact({"order": "A-1001", "amount": 12.5, "retry": False})
    compact([1e-7])

    assert asked == [{"order": "A-1001", "amount": 12.5, "retry": False}]


@pytest.mark.parametrize("prepare", ["pass", "sys.modules['orjson'] = None"], ids=["with", "without"])
def test_an_event_is_the_same_in_a_process_without_orjson(eventlog_console, prepare):
    """It is looked for when the first event is sent."""
    done = run(
        f"""
        import logging, sys
        {prepare}
        from eventlog_handlers import CloudWatchEventsHandler, flush
        from eventlog_handlers.text import json_text
        log = logging.getLogger("shop")
        log.addHandler(CloudWatchEventsHandler())
        log.error("first")
        assert flush(20)
        log.error("failed", extra={{"amount": 12.5, "small": 1e-7, "places": ["K\u00f6ln", {{"a": None}}]}})
        assert flush(20)
        assert (json_text._orjson is None) is (sys.modules["orjson"] is None)
        """,
        console=eventlog_console.url,
        preamble="",
    )

    assert done.returncode == 0, done.stderr
    _, event = eventlog_console.events("cloudwatch")
    extra = '"extra":{"amount":12.5,"small":1e-07,"places":["K\u00f6ln",{"a":null}]}'
    assert extra in event.body["Detail"]
