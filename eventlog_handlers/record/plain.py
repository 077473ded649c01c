"""Any Python value as plain, bounded JSON. Pure; runs foreign ``__str__`` and the like, and survives them.

Here: the rules by which a value becomes None, bool, int, float, str, list or dict. Not here: which values of
a record are taken (capture.py) and how a service wants them written (services/).

Bounds, so that no extra can cost more than its event is worth: depth MAX_DEPTH, MAX_ITEMS a container,
MAX_VALUES and MAX_CHARACTERS a record, MAX_STRING a string. A cut value carries a visible mark, and
turning a result into JSON once more changes nothing.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import islice
from math import isfinite, isnan
from typing import Any, TypeVar

from eventlog_handlers.events import JSON
from eventlog_handlers.record.unevaluated import MISSING, attribute_of, shown_unevaluated
from eventlog_handlers.text.fit import encodable, shorten, unused

MAX_DEPTH = 6
MAX_ITEMS = 200
MAX_VALUES = 2_000
MAX_STRING = 16_384
MAX_CHARACTERS = 262_144
MAX_KEY = 200
MAX_DEFECTS = 20

ATOMS = frozenset({str, int, float, bool, type(None)})
"""Exact types that can neither change nor hold anything alive."""

EXIT_EXCEPTIONS = (KeyboardInterrupt, SystemExit)
"""Exceptions that foreign code may raise through us: the user or the interpreter wants to stop."""

_DECIMAL_BITS = (
    256  # a longer integer is written in hex: int -> decimal text is quadratic, and capped by CPython
)

T = TypeVar("T")


def note(defects: list[str], words: str) -> None:
    """Add *words* to *defects* unless it is there already or the list is full."""
    if len(defects) < MAX_DEFECTS and words not in defects:
        defects.append(words)


def decoded(value: bytes | bytearray | memoryview, limit: int = MAX_CHARACTERS) -> str:
    """Bytes as text: UTF-8, what is not UTF-8 as ``\\x..``; only the head of a long one is read."""
    text = bytes(value[:limit]).decode("utf-8", "backslashreplace")
    return text if len(value) <= limit else f"{text}… [cut: {len(value)} bytes in all]"


def safe_text(value: object, defects: list[str], what: str) -> str:
    """``str(value)`` as an exact str; raises EXIT_EXCEPTIONS alone. *what* names it in a defect."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[return-value]
    try:
        if issubclass(kind, str):
            return str.__str__(value)  # past any method a subclass may have redefined
        if issubclass(kind, (bytes, bytearray)):
            return decoded(value)  # type: ignore[arg-type]
        return str.__str__(str(value))
    except EXIT_EXCEPTIONS:
        raise
    except BaseException as error:
        note(defects, f"{what}: __str__ of {type_name(kind)} raised {type_name(type(error))}")
        return f"<unprintable {type_name(kind)}: {type_name(type(error))}>"


def type_name(kind: type) -> str:
    """The bare name of a class, even with a metaclass that lies."""
    return str.__str__(type.__dict__["__name__"].__get__(kind))


class Plain:
    """Turns the values of one record into JSON within one budget; what had to be degraded is in *defects*."""

    __slots__ = ("_above", "_characters_left", "_defects", "_values_left")

    def __init__(self, defects: list[str]) -> None:
        self._defects = defects
        self._values_left = MAX_VALUES
        self._characters_left = MAX_CHARACTERS
        self._above: set[int] = set()  # ids of the containers we are inside of

    def of(self, value: object, what: str, depth: int = 0) -> JSON:
        """*value* as JSON. *what* names it in a defect; *depth* counts from 0.

        Of all that the application's code may raise, only EXIT_EXCEPTIONS leave here.
        """
        self._values_left -= 1
        if self._values_left < 0:
            note(self._defects, f"{what}: left out, more than {MAX_VALUES} values")
            return "[left out]"
        try:
            return self._converted(value, what, depth)
        except EXIT_EXCEPTIONS:
            raise
        except BaseException as error:
            note(self._defects, f"{what}: {type_name(type(value))} raised {type_name(type(error))}")
            return f"<unreadable {type_name(type(value))}: {type_name(type(error))}>"

    def object_of(self, items: Iterable[tuple[object, object]], count: int, what: str, depth: int) -> JSON:
        """A JSON object of at most MAX_ITEMS members; names are made strings and told apart."""
        result: dict[str, JSON] = {}
        for key, value in self._bounded(items, count, what):
            name = self.name(key, result, what)
            result[name] = self.of(value, what, depth + 1)
        if count > MAX_ITEMS:
            result[unused("…", result)] = f"[{count - len(result)} more]"
        return result

    def name(self, key: object, taken: Mapping[str, Any], what: str) -> str:
        """*key* as the name of a member that *taken* does not have yet."""
        text = encodable(shorten(safe_text(key, self._defects, f"{what}: a name"), MAX_KEY))
        if text in taken:
            note(self._defects, f"{what}: two names read {text!r}")
        return unused(text, taken)

    def _converted(self, value: Any, what: str, depth: int) -> JSON:
        kind = type(value)
        if value is None or kind is bool:
            return value  # type: ignore[no-any-return]
        convert = _EXACT_CASES.get(kind)
        if convert is not None:
            return convert(self, value, what, depth)
        for types, convert in _CASES:
            if issubclass(kind, types):
                return convert(self, value, what, depth)
        members = _members(value, kind)
        if members is not None:
            return self._inside(
                value, what, depth, lambda: self.object_of(members, len(members), what, depth)
            )
        if hasattr(kind, "isoformat"):
            return self._string(safe_text(value.isoformat(), self._defects, what))
        if hasattr(kind, "tolist") and _is_small(value):
            return self.of(value.tolist(), what, depth)
        shown = shown_unevaluated(value)
        return self._string(safe_text(value, self._defects, what) if shown is None else shown)

    def _string(self, text: str) -> str:
        kept = encodable(shorten(text, min(MAX_STRING, max(self._characters_left, 40))))
        self._characters_left -= len(kept)
        return kept

    def _bounded(self, items: Iterable[T], count: int, what: str) -> list[T]:
        if count <= MAX_ITEMS:
            return list(islice(items, MAX_ITEMS))
        note(self._defects, f"{what}: {count} items, {MAX_ITEMS - 1} kept")
        return list(islice(items, MAX_ITEMS - 1))  # the last place is the mark's

    def _inside(self, value: object, what: str, depth: int, convert: Callable[[], JSON]) -> JSON:
        if id(value) in self._above:
            note(self._defects, f"{what}: contains itself")
            return f"[circular: {type_name(type(value))}]"
        if depth >= MAX_DEPTH:
            note(self._defects, f"{what}: deeper than {MAX_DEPTH}")
            return f"[too deep: {type_name(type(value))}]"
        self._above.add(id(value))
        try:
            return convert()
        finally:
            self._above.discard(id(value))

    # One method per case of the table below.

    def _enum(self, value: enum.Enum, what: str, depth: int) -> JSON:
        return self.of(value.value, what, depth + 1) if depth < MAX_DEPTH else "[too deep: enum]"

    def _text(self, value: object, what: str, _depth: int) -> JSON:
        return self._string(safe_text(value, self._defects, what))

    def _int(self, value: int, _what: str, _depth: int) -> JSON:
        number = int.__index__(value)
        if -(2**63) <= number < 2**63:
            return number
        return str(number) if number.bit_length() <= _DECIMAL_BITS else self._string(hex(number))

    def _float(self, value: float, _what: str, _depth: int) -> JSON:
        number = float.__float__(value)
        if isfinite(number):
            return number
        return "NaN" if isnan(number) else "Infinity" if number > 0 else "-Infinity"

    def _bytes(self, value: bytes | bytearray | memoryview, _what: str, _depth: int) -> JSON:
        return self._string(decoded(value))

    def _exception(self, value: BaseException, what: str, _depth: int) -> JSON:
        text = safe_text(value, self._defects, what)
        return self._string(f"{type_name(type(value))}: {text}" if text else type_name(type(value)))

    def _mapping(self, value: Mapping[Any, Any], what: str, depth: int) -> JSON:
        return self._inside(
            value, what, depth, lambda: self.object_of(value.items(), len(value), what, depth)
        )

    def _set(self, value: Set[Any], what: str, depth: int) -> JSON:
        def convert() -> JSON:
            items = [self.of(item, what, depth + 1) for item in self._bounded(value, len(value), what)]
            items.sort(key=lambda item: (type(item).__name__, item if _is_ordered(item) else str(item)))
            return [*items, f"[{len(value) - len(items)} more]"] if len(value) > MAX_ITEMS else items

        return self._inside(value, what, depth, convert)

    def _sequence(self, value: Sequence[Any], what: str, depth: int) -> JSON:
        def convert() -> JSON:
            items = [self.of(item, what, depth + 1) for item in self._bounded(value, len(value), what)]
            return [*items, f"[{len(value) - len(items)} more]"] if len(value) > MAX_ITEMS else items

        return self._inside(value, what, depth, convert)

    def _tuple(self, value: tuple[Any, ...], what: str, depth: int) -> JSON:
        names = getattr(type(value), "_fields", None)
        if type(names) is not tuple:
            return self._sequence(value, what, depth)
        pairs = list(zip(names, value, strict=False))
        return self._inside(value, what, depth, lambda: self.object_of(pairs, len(pairs), what, depth))


def plain_attributes(values: Mapping[Any, Any], defects: list[str]) -> dict[str, JSON]:
    """The attributes of an event: *values* under names of text, as JSON that every service can be sent."""
    plain = Plain(defects)
    result: dict[str, JSON] = {}
    for name, value in values.items():
        result[plain.name(name, result, "extra")] = plain.of(value, f"extra {name!r}")
    return result


# The first case that fits; an enum of strings is an enum, a str is no sequence. Iterators and generators are
# in no case: to read them would use them up. Nor are mere iterables: a database query may be one.
_CASES: tuple[tuple[type | tuple[type, ...], Callable[[Plain, Any, str, int], JSON]], ...] = (
    (enum.Enum, Plain._enum),
    (str, Plain._text),
    (int, Plain._int),
    (float, Plain._float),
    ((bytes, bytearray, memoryview), Plain._bytes),
    (BaseException, Plain._exception),
    (Mapping, Plain._mapping),
    (tuple, Plain._tuple),
    (Set, Plain._set),
    ((Sequence, deque), Plain._sequence),
)
# The same for the commonest types, found at once.
_EXACT_CASES: dict[type, Callable[[Plain, Any, str, int], JSON]] = {
    str: Plain._text,
    int: Plain._int,
    float: Plain._float,
    dict: Plain._mapping,
    list: Plain._sequence,
    tuple: Plain._sequence,
}


def _members(value: Any, kind: type) -> list[tuple[object, object]] | None:
    """Names and values of a dataclass or attrs instance; None for anything else."""
    names: Iterable[str]
    if hasattr(kind, "__dataclass_fields__"):
        names = kind.__dataclass_fields__
    elif hasattr(kind, "__attrs_attrs__"):
        names = [attribute.name for attribute in kind.__attrs_attrs__]
    else:
        return None
    members = [(name, attribute_of(value, name)) for name in names]
    return [(name, member) for name, member in members if member is not MISSING]


def _is_small(value: Any) -> bool:
    """Numpy's arrays and scalars say how many they are; a large array is better printed as text."""
    size = getattr(value, "size", None)
    return isinstance(size, int) and size <= MAX_ITEMS


def _is_ordered(value: JSON) -> bool:
    return isinstance(value, (str, int, float))
