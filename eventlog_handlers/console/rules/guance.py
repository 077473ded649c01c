"""Filters of Guance's event explorer and of its monitors over events: ``status:error AND -env:test``.

Source: GuanceCloud/guance-docs, getting-started/function-details/explorer-search (read 2026-11-28): words and
"phrases", ``key:value``, ``-key:value``, wildcards ``?`` and ``*`` (not at the beginning), ``key:*`` for
existence, ``key:>1``, ``key:[1 TO 9]``, ``key:(a OR b)``, AND, OR, NOT and parentheses; a blank means AND;
NOT binds before AND, AND before OR. The page does not say whether letter case counts: here it counts in
values and not in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, NamedTuple

from eventlog_handlers.console.json_text import json_text
from eventlog_handlers.console.rules import Rule, RuleError, no_summary

_TOKEN = re.compile(
    r"""\s*(?:(?P<mark>[()])|(?P<word>-?[^\s():"\[\]]+:(?:\[[^\]]*\]|"[^"]*"|\(|[^\s()"]*)|"[^"]*"|[^\s()"]+))"""
)
_RANGE = re.compile(r"\[\s*(\S+)\s+(?:TO|-)\s+(\S+)\s*\]")
_COMPARED = re.compile(r"(>=|<=|>|<)(.+)")
_MOST_TOKENS = 500
_ALIASES = {"status": "df_status", "title": "df_title", "message": "df_message", "source": "df_source"}


class _Node(NamedTuple):
    """One part of a filter: whether it holds for an event, and how it is written."""

    holds: Callable[[Mapping[str, Any]], bool]
    why_not: Callable[[Mapping[str, Any]], list[str]]
    text: str


def read(text: str) -> Rule:
    """A rule from the text of its filter. Raises RuleError."""
    reader = _Reader(_tokens(text))
    whole = reader.either()
    if reader.rest:
        raise RuleError(f"{reader.rest[0]!r} is one too many")
    return Rule("guance", lambda event: whole.why_not(event.stored), no_summary)


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    text = text.strip()
    if not text:
        raise RuleError("the filter is empty")
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise RuleError(f"can't be read from {text[at : at + 20]!r} on")
        token = match["mark"] or match["word"]
        if token.endswith(":("):  # key:( a OR b ) is one condition
            end = text.find(")", match.end())
            if end < 0:
                raise RuleError(f"the parenthesis of {token!r} is not closed")
            token, at = text[match.start("word") : end + 1], end + 1
        else:
            at = match.end()
        tokens.append(token)
        if len(tokens) > _MOST_TOKENS:
            raise RuleError(f"more than {_MOST_TOKENS} words")
    return tokens


class _Reader:
    """Reads a filter from its tokens: NOT before AND before OR."""

    def __init__(self, tokens: list[str]) -> None:
        self.rest = tokens
        self._level = 0

    def either(self) -> _Node:
        nodes = [self._all()]
        while self.rest and self.rest[0] == "OR":
            self.rest = self.rest[1:]
            nodes.append(self._all())
        return nodes[0] if len(nodes) == 1 else _any_of(nodes)

    def _all(self) -> _Node:
        nodes = [self._one()]
        while self.rest and self.rest[0] not in ("OR", ")"):
            if self.rest[0] == "AND":
                self.rest = self.rest[1:]
            nodes.append(self._one())
        return nodes[0] if len(nodes) == 1 else _all_of(nodes)

    def _one(self) -> _Node:
        if not self.rest or self.rest[0] in ("AND", "OR", ")"):
            raise RuleError(f"a condition is missing before {self.rest[0] if self.rest else 'the end'!r}")
        token, self.rest = self.rest[0], self.rest[1:]
        if token == "NOT":  # noqa: S105 - a word of the language
            return _negated(self._one())
        if token == "(":  # noqa: S105 - as above
            self._level += 1
            if self._level > 50:
                raise RuleError("nested too deeply")
            node = self.either()
            if not self.rest:
                raise RuleError("a parenthesis is not closed")
            self.rest = self.rest[1:]
            self._level -= 1
            return node
        return _condition(token)


def _any_of(nodes: list[_Node]) -> _Node:
    def why_not(event: Mapping[str, Any]) -> list[str]:
        reasons = [node.why_not(event) for node in nodes]
        return [] if not all(reasons) else [" and ".join(chain.from_iterable(reasons))]

    return _Node(lambda event: any(node.holds(event) for node in nodes), why_not, _joined(nodes, "OR"))


def _all_of(nodes: list[_Node]) -> _Node:
    return _Node(
        lambda event: all(node.holds(event) for node in nodes),
        lambda event: list(chain.from_iterable(node.why_not(event) for node in nodes)),
        _joined(nodes, "AND"),
    )


def _joined(nodes: list[_Node], word: str) -> str:
    return f" {word} ".join(node.text for node in nodes)


def _negated(node: _Node) -> _Node:
    return _Node(
        lambda event: not node.holds(event),
        lambda event: [f"{node.text} holds"] if node.holds(event) else [],
        f"NOT {node.text}",
    )


def _condition(token: str) -> _Node:
    if token.startswith('"') or ":" not in token:
        return _search(token)
    name, _, wanted = token.partition(":")
    if name.startswith("-"):
        return _negated(_filter(name[1:], wanted))
    return _filter(name, wanted)


def _search(token: str) -> _Node:
    """A word or a phrase, looked for in all texts of the event."""
    phrase = token.startswith('"')
    wanted = token.strip('"').lower()
    if wanted.startswith(("*", "?")) and not phrase:
        raise RuleError(f"{token!r}: a wildcard can't be the first character")
    parts = _parts("") + ([re.compile(re.escape(wanted))] if phrase else _parts(wanted)) + _parts("")

    def holds(event: Mapping[str, Any]) -> bool:
        return any(_fits(parts, text.lower()) for text in map(_text, event.values()))

    return _Node(holds, lambda event: [] if holds(event) else [f"{token} stands nowhere in it"], token)


def _filter(name: str, wanted: str) -> _Node:
    if not name or not wanted:
        raise RuleError(f"{name}:{wanted} lacks a {'value' if name else 'key'}")
    test = _test_of(wanted)

    def value_of(event: Mapping[str, Any]) -> Any:
        return event.get(name, event.get(_ALIASES.get(name, name)))

    def why_not(event: Mapping[str, Any]) -> list[str]:
        value = value_of(event)
        if value is None:
            return [f"{name} is missing"]
        text = _text(value)
        shown = text if len(text) <= 80 else f"{text[:79]}…"
        return [] if test(value) else [f"{name} is {shown!r}: not {wanted}"]

    return _Node(lambda event: not why_not(event), why_not, f"{name}:{wanted}")


def _test_of(wanted: str) -> Callable[[Any], bool]:
    """Whether a value is as *wanted* says."""
    if wanted.startswith("("):
        return _group(wanted)
    if between := _RANGE.fullmatch(wanted):
        low, high = _number(between[1]), _number(between[2])
        return lambda value: (given := _number_in(value)) is not None and low <= given <= high
    if compared := _COMPARED.fullmatch(wanted):
        limit, relation = _number(compared[2]), compared[1]
        return lambda value: (
            (given := _number_in(value)) is not None
            and {
                ">": given > limit,
                ">=": given >= limit,
                "<": given < limit,
                "<=": given <= limit,
            }[relation]
        )
    if wanted.startswith('"'):
        plain = wanted.strip('"')
        return lambda value: _text(value) == plain
    if wanted != "*" and wanted.startswith(("*", "?")):
        raise RuleError(f"{wanted!r}: a wildcard can't be the first character")
    parts = _parts(wanted)
    return lambda value: _fits(parts, _text(value))


def _group(wanted: str) -> Callable[[Any], bool]:
    """``(a AND b OR c)`` as the values of one key."""
    branches = []
    for branch in re.split(r"\s+OR\s+", wanted[1:-1].strip()):
        words = re.findall(r'"[^"]*"|\S+', branch)
        tests = [_test_of(word) for word in words if word != "AND"]
        if not tests:
            raise RuleError(f"{wanted} lacks a value")
        branches.append(tests)
    return lambda value: any(all(test(value) for test in tests) for tests in branches)


def _parts(wanted: str) -> list[re.Pattern[str]]:
    """The parts between the stars of *wanted*, each with its question marks as any character."""
    return [
        re.compile("".join("." if letter == "?" else re.escape(letter) for letter in part), re.DOTALL)
        for part in wanted.split("*")
    ]


def _fits(parts: list[re.Pattern[str]], text: str) -> bool:
    """Whether *text* is *parts* with anything in between. Linear: each is looked for once, from the left."""
    first, *rest = parts
    if not rest:
        return first.fullmatch(text) is not None
    found = first.match(text)
    if found is None:
        return False
    *middle, last = rest
    for part in middle:
        found = part.search(text, found.end())
        if found is None:
            return False
    begin = len(text) - _length(last)
    return begin >= found.end() and last.fullmatch(text, begin) is not None


def _length(part: re.Pattern[str]) -> int:
    """Characters that a part of _parts matches: each of them is one, or one with a backslash before it."""
    return len(re.sub(r"\\(.)", r"\1", part.pattern, flags=re.DOTALL))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise RuleError(f"{text!r} is no number") from None


def _number_in(value: Any) -> float | None:
    """A value, or the text of a tag, as a number."""
    try:
        return float(value) if isinstance(value, (int, float, str)) else None
    except (ValueError, OverflowError):
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value)
