"""Event patterns of EventBridge, as its rules match them against an event's envelope.

Source: docs.aws.amazon.com/eventbridge/latest/userguide, "Comparison operators for use in event patterns"
and "Creating event patterns" (read 2026-11-28). Exact numbers are compared as they are written, so that 300
and 300.0 differ.
"""

from __future__ import annotations

import ipaddress
import json
import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from eventlog_handlers.console.json_text import strict_json
from eventlog_handlers.console.rules import Rule, RuleError, no_summary

MOST_LEVELS = 50
"""Of a pattern: far more than a person writes."""

_Test = Callable[[Any], bool]
_RELATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def read(text: str) -> Rule:
    """A rule from the JSON of its pattern. Raises RuleError."""
    try:
        pattern = strict_json(text)
    except ValueError as error:
        raise RuleError(f"the pattern is not JSON: {error}") from error
    _check_object(pattern, "the pattern", 0)
    return Rule("cloudwatch", lambda event: why_not(pattern, event.stored), no_summary)


def why_not(pattern: Mapping[str, Any], envelope: Mapping[str, Any]) -> list[str]:
    """Why *envelope* does not match a checked *pattern*: one sentence per field, none if it matches."""
    return _object(pattern, [envelope], "")


# --- matching --------------------------------------------------------------------------------------------


def _object(pattern: Mapping[str, Any], places: list[Any], path: str) -> list[str]:
    """*places* are the objects that stand at *path*; where it leads through a list there are several."""
    reasons: list[str] = []
    for name, wanted in pattern.items():
        if name == "$or":
            branches = [_object(branch, places, path) for branch in wanted]
            if all(branches):
                each = "; ".join(reason for branch in branches for reason in branch)
                reasons.append(f"no branch of $or at {path or 'the top'}: {each}")
            continue
        values = [place[name] for place in places if isinstance(place, Mapping) and name in place]
        reasons += _field(wanted, values, f"{path}.{name}".lstrip("."))
    return reasons


def _field(wanted: Any, values: list[Any], path: str) -> list[str]:
    found = [part for value in values for part in (value if isinstance(value, list) else [value])]
    if isinstance(wanted, Mapping):
        inner = [value for value in found if isinstance(value, Mapping)]
        # Without an object there, a pattern that only asks for absence still matches.
        return _object(wanted, inner, path)
    leaves = [value for value in found if not isinstance(value, Mapping)]
    for condition in wanted:
        test = _test_of(condition)
        if isinstance(condition, Mapping) and condition.get("exists") is False:
            if not leaves:
                return []
        elif any(test(leaf) for leaf in leaves):
            return []
    shown = "is missing" if not leaves else f"is {', '.join(_shown(leaf) for leaf in leaves[:3])}"
    return [f"{path} {shown}: {_described(wanted)}"]


def _described(wanted: list[Any]) -> str:
    words = [_condition_words(condition) for condition in wanted]
    return f"not {words[0]}" if len(words) == 1 else f"none of {', '.join(words)}"


def _condition_words(condition: Any) -> str:
    if not isinstance(condition, Mapping):
        return _shown(condition)
    ((name, value),) = condition.items()
    if name == "numeric":
        pairs = zip(value[::2], value[1::2], strict=True)
        return " and ".join(f"{relation} {limit}" for relation, limit in pairs)
    if name == "exists":
        return "there" if value else "absent"
    return f"{name} {_shown(value)}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _test_of(condition: Any) -> _Test:
    """Whether one leaf of the event satisfies one checked condition."""
    if not isinstance(condition, Mapping):
        return partial(_same, condition)
    ((name, value),) = condition.items()
    tests: Mapping[str, Callable[[Any], _Test]] = {
        "prefix": lambda wanted: _affix(wanted, str.startswith),
        "suffix": lambda wanted: _affix(wanted, str.endswith),
        "equals-ignore-case": lambda wanted: partial(_same_letters, wanted),
        "wildcard": lambda wanted: partial(_wild, wanted),
        "anything-but": _anything_but,
        "numeric": lambda wanted: partial(_numeric, wanted),
        "cidr": lambda wanted: partial(_in_network, wanted),
        "exists": lambda wanted: lambda leaf: bool(wanted),
    }
    return tests[name](value)


def _same(wanted: Any, leaf: Any) -> bool:
    return type(leaf) is type(wanted) and bool(leaf == wanted)


def _same_letters(wanted: str, leaf: Any) -> bool:
    return isinstance(leaf, str) and leaf.lower() == wanted.lower()


def _affix(wanted: Any, has: Callable[[str, str], bool]) -> _Test:
    if isinstance(wanted, Mapping):
        folded = wanted["equals-ignore-case"].lower()
        return lambda leaf: isinstance(leaf, str) and has(leaf.lower(), folded)
    return lambda leaf: isinstance(leaf, str) and has(leaf, wanted)


def _wild(wanted: str, leaf: Any) -> bool:
    """``*`` stands for any characters, ``\\*`` for itself. Linear: each part is looked for once, in order."""
    if not isinstance(leaf, str):
        return False
    first, *parts = wanted.replace("\\\\", "\0").replace("\\*", "\1").split("*")
    first, *parts = (part.replace("\1", "*").replace("\0", "\\") for part in (first, *parts))
    if not parts:
        return leaf == first
    if not leaf.startswith(first):
        return False
    at = len(first)
    *middle, last = parts
    for part in middle:
        found = leaf.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(leaf) - len(last) >= at and leaf.endswith(last)


def _anything_but(wanted: Any) -> _Test:
    if isinstance(wanted, Mapping):
        ((name, inner),) = wanted.items()
        tests = [_test_of({name: one}) for one in (inner if isinstance(inner, list) else [inner])]
    else:
        tests = [partial(_same, one) for one in (wanted if isinstance(wanted, list) else [wanted])]
    return lambda leaf: not any(test(leaf) for test in tests)


def _numeric(wanted: list[Any], leaf: Any) -> bool:
    if isinstance(leaf, bool) or not isinstance(leaf, (int, float)):
        return False
    return all(_RELATIONS[name](leaf, limit) for name, limit in zip(wanted[::2], wanted[1::2], strict=True))


def _in_network(wanted: str, leaf: Any) -> bool:
    try:
        return ipaddress.ip_address(leaf) in ipaddress.ip_network(wanted, strict=False)
    except (ValueError, TypeError):
        return False


# --- refusals -------------------------------------------------------------------------------------------


def _check_object(pattern: Any, path: str, level: int) -> None:
    if not isinstance(pattern, dict):
        raise RuleError(f"{path} is not an object")
    if not pattern:
        raise RuleError(f"{path} is empty")
    if level > MOST_LEVELS:
        raise RuleError(f"{path} is nested too deeply")
    for name, wanted in pattern.items():
        where = name if level == 0 else f"{path}.{name}"
        if name == "$or":
            if not isinstance(wanted, list) or len(wanted) < 2:
                raise RuleError(f"{where} takes a list of two or more objects")
            for branch in wanted:
                _check_object(branch, where, level + 1)
        elif isinstance(wanted, dict):
            _check_object(wanted, where, level + 1)
        elif isinstance(wanted, list) and wanted:
            for condition in wanted:
                _check_condition(condition, where)
        else:
            raise RuleError(f"{where} takes a list of values, such as {json.dumps([wanted])[:60]}")


def _check_condition(condition: Any, path: str) -> None:
    if isinstance(condition, list):
        raise RuleError(f"{path}: a list inside a list matches nothing")
    if not isinstance(condition, dict):
        return
    if len(condition) != 1:
        raise RuleError(f"{path}: one operator in each object, not {len(condition)}")
    ((name, value),) = condition.items()
    checks: Mapping[str, Callable[[Any], bool]] = {
        "prefix": _is_affix,
        "suffix": _is_affix,
        "equals-ignore-case": _is_text,
        "wildcard": lambda given: isinstance(given, str) and "**" not in given,
        "anything-but": _is_anything_but,
        "numeric": _is_numeric,
        "cidr": _is_network,
        "exists": lambda given: isinstance(given, bool),
    }
    if name not in checks:
        raise RuleError(f"{path}: no operator {name!r}: there are {', '.join(checks)}")
    if not checks[name](value):
        raise RuleError(f"{path}: {name} doesn't take {_shown(value)}")


def _is_text(given: Any) -> bool:
    return isinstance(given, str)


def _is_affix(given: Any) -> bool:
    if isinstance(given, dict):
        return list(given) == ["equals-ignore-case"] and isinstance(given["equals-ignore-case"], str)
    return isinstance(given, str)


def _is_anything_but(given: Any) -> bool:
    if isinstance(given, dict):
        if len(given) != 1:
            return False
        ((name, inner),) = given.items()
        texts = inner if isinstance(inner, list) else [inner]
        known = name in ("prefix", "suffix", "equals-ignore-case", "wildcard")
        return known and bool(texts) and all(map(_is_text, texts))
    values = given if isinstance(given, list) else [given]
    return bool(values) and all(isinstance(value, (str, int, float)) for value in values)


def _is_numeric(given: Any) -> bool:
    if not isinstance(given, list) or len(given) not in (2, 4):
        return False
    return all(isinstance(name, str) and name in _RELATIONS for name in given[::2]) and all(
        isinstance(limit, (int, float)) and not isinstance(limit, bool) for limit in given[1::2]
    )


def _is_network(given: Any) -> bool:
    try:
        ipaddress.ip_network(given, strict=False)
    except (ValueError, TypeError):
        return False
    return True
