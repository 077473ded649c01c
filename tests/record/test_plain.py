"""Any value becomes plain, bounded JSON that says what was cut."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import math
import pathlib
import types
import uuid
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ids import shown

from eventlog_handlers.record import plain
from eventlog_handlers.record.plain import MAX_DEPTH, MAX_ITEMS, MAX_STRING, Plain


def made_plain(value: object) -> Any:
    return Plain([]).of(value, "value")


def defects_of(value: object) -> list[str]:
    defects: list[str] = []
    Plain(defects).of(value, "value")
    return defects


class Colour(enum.Enum):
    RED = "red"


class Weight(enum.IntEnum):
    HEAVY = 7


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Order:
    id: int
    lines: list[str]


class Slotted:
    __slots__ = ("a",)
    __attrs_attrs__ = (types.SimpleNamespace(name="a"),)

    def __init__(self, a: object) -> None:
        self.a = a


class Array:
    """As numpy's arrays and scalars show themselves."""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    @property
    def size(self) -> int:
        return len(self.values)

    def tolist(self) -> list[float]:
        return self.values

    def __str__(self) -> str:
        return "[1. ... 9.]"


class LoudStr(str):
    """A str that no method of can be trusted."""

    def __str__(self) -> str:
        raise RuntimeError

    __len__ = __hash__ = __eq__ = __getitem__ = __str__  # type: ignore[assignment]


class Odd:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class NoText:
    def __str__(self) -> str:
        return None  # type: ignore[return-value]


class Impostor:
    """Claims to be a str."""

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return str

    def __str__(self) -> str:
        return "impostor"


class BrokenDict(dict[str, int]):
    def items(self) -> Any:
        raise OSError("gone")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (0, 0),
        (-(2**63), -(2**63)),
        (2**63 - 1, 2**63 - 1),
        (2**63, "9223372036854775808"),
        (1.5, 1.5),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        ("text", "text"),
        (LoudStr("loud"), "loud"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        (b"caf\xc3\xa9 \xff", "café \\xff"),
        (bytearray(b"ab"), "ab"),
        (memoryview(b"ab"), "ab"),
        (datetime.datetime(2026, 11, 20, 1, 2, 3, tzinfo=datetime.timezone.utc), "2026-11-20T01:02:03+00:00"),
        (datetime.date(2026, 11, 20), "2026-11-20"),
        (datetime.timedelta(seconds=90), "0:01:30"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({1, "a"}, [1, "a"]),
        (Colour.RED, "red"),
        (Weight.HEAVY, 7),
        ((1, [2]), [1, [2]]),
        (Point(1, 2), {"x": 1, "y": 2}),
        (Order(1, ["a"]), {"id": 1, "lines": ["a"]}),
        (Slotted({"b": 1}), {"a": {"b": 1}}),
        (collections.deque([1, 2]), [1, 2]),
        (collections.OrderedDict(a=1), {"a": 1}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (range(3), [0, 1, 2]),
        (Array([1.0, 2.0]), [1.0, 2.0]),
        (Array([1.0] * 1000), "[1. ... 9.]"),
        (ValueError("bad"), "ValueError: bad"),
        (ValueError(), "ValueError"),
        (Impostor(), "impostor"),
        ({None: 1, 2: 3, b"k": 4}, {"None": 1, "2": 3, "k": 4}),
        ({1: "a", "1": "b"}, {"1": "a", "1_2": "b"}),
    ],
    ids=shown,
)
def test_values_have_a_fixed_form(value: object, expected: Any) -> None:
    """The table of what becomes of which type."""
    found = made_plain(value)

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "text", "defect"),
    [
        (Odd(), "<unprintable Odd: RuntimeError>", "__str__ of Odd raised RuntimeError"),
        (NoText(), "<unprintable NoText: TypeError>", "__str__ of NoText raised TypeError"),
        (BrokenDict(), "<unreadable BrokenDict: OSError>", "BrokenDict raised OSError"),
    ],
)
def test_a_hostile_value_costs_only_itself(value: object, text: str, defect: str) -> None:
    """What raises is named in its place and in the defects."""
    assert made_plain({"before": 1, "hostile": value, "after": 2}) == {
        "before": 1,
        "hostile": text,
        "after": 2,
    }
    assert defects_of(value) == [f"value: {defect}"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_wish_to_stop_passes(stop: type[BaseException]) -> None:
    """Control-C during a __str__ belongs to the user."""

    class Stopping:
        def __str__(self) -> str:
            raise stop

    with pytest.raises(stop):
        made_plain([Stopping()])


def test_a_huge_integer_is_hex() -> None:
    """More digits than CPython would print are no error."""
    found = made_plain(10**6000)

    assert found.startswith("0x")
    assert int(made_plain(2**1000), 16) == 2**1000


def test_a_generator_is_not_consumed() -> None:
    """Logging a generator does not use it up."""
    generator = (number for number in range(3))

    assert made_plain(generator).startswith("<generator")
    assert list(generator) == [0, 1, 2]


def test_circles_are_marked_and_shared_values_are_not() -> None:
    """Only what contains itself is a circle."""
    shared = [1]
    circle: list[Any] = [shared, shared]
    circle.append(circle)

    assert made_plain(circle) == [[1], [1], "[circular: list]"]
    assert defects_of(circle) == ["value: contains itself"]


def test_depth_is_bounded() -> None:
    """A hundred thousand levels become six."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    found = made_plain(deep)

    assert json.dumps(found) == "[" * MAX_DEPTH + '"[too deep: list]"' + "]" * MAX_DEPTH
    assert defects_of(deep) == [f"value: deeper than {MAX_DEPTH}"]
    while deep:  # freeing it in one go would recurse
        deep = deep[0]


@pytest.mark.parametrize("make", [list, set, tuple, dict.fromkeys])
def test_width_is_bounded(make: Any) -> None:
    """A container of a million keeps its first two hundred places, the last for the mark."""
    found = made_plain(make(range(1_000_000)))

    assert len(found) == MAX_ITEMS
    assert f"[{1_000_000 - MAX_ITEMS + 1} more]" in (found.values() if isinstance(found, dict) else found)


def test_values_and_characters_are_bounded_in_all() -> None:
    """Many containers of many long texts do not multiply."""
    wide = [["x" * MAX_STRING] * MAX_ITEMS for _ in range(MAX_ITEMS)]

    found = made_plain(wide)

    assert len(json.dumps(found)) < 2 * plain.MAX_CHARACTERS + 100 * plain.MAX_VALUES
    assert f"value: left out, more than {plain.MAX_VALUES} values" in defects_of(wide)


def test_a_long_string_is_cut_with_a_mark() -> None:
    """The mark says how long it was."""
    found = made_plain("x" * 1_000_000)

    assert len(found) == MAX_STRING
    assert found.endswith("… [cut: 1000000 characters in all]")


JSONISH = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(st.characters()),
        st.binary(),
        st.datetimes(),
        st.decimals(),
        st.uuids(),
        st.builds(Odd),
        st.fractions(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.one_of(st.text(), st.integers(), st.none(), st.binary()), inner, max_size=5),
        st.tuples(inner, inner),
        st.frozensets(st.one_of(st.integers(), st.text()), max_size=5),
    ),
    max_leaves=40,
)


@given(JSONISH)
def test_anything_survives_a_strict_parser(value: object) -> None:
    """Whatever comes in, strict JSON in UTF-8 goes out."""
    found = made_plain(value)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = json.dumps(found, allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert json.loads(text, parse_constant=refuse) == found


@given(JSONISH)
def test_plain_values_stay_as_they_are(value: object) -> None:
    """Done twice it is as done once."""
    once = made_plain(value)

    assert made_plain(once) == once


def test_cut_values_stay_as_they_are() -> None:
    """Also what was cut is not cut again."""
    once = made_plain({"a": list(range(1000)), "b": "x" * 100_000, "c": [[[[[[[[1]]]]]]]]})

    assert made_plain(once) == once
