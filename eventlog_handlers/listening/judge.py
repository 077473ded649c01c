"""Judges a picture of logging's tree: finds records that reach no handler, or that are sent twice. Pure."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator
from typing import NamedTuple

from eventlog_handlers.listening.picture import Listener, Node, Picture


class Problem(NamedTuple):
    """A finding for the user."""

    kind: str
    """``taken_off``, ``level``, ``twice``, ``unheard`` or ``disabled``."""
    logger: str
    handler: str
    text: str
    """A sentence with the fault and the remedy."""


def problems(picture: Picture) -> list[Problem]:
    """Each problem once: one per handler and logger that it is about."""
    found = (_taken_off, _kept_out, _twice, _unheard, _disabled)
    return [problem for finds in found for problem in finds(picture)]


def _taken_off(picture: Picture) -> Iterator[Problem]:
    """``configure`` attached a handler that is not there any more, and no other one sends to its place."""
    for expected in picture.expected:
        node = picture.nodes.get(expected.logger)
        if node is None:
            continue
        heard = [listener for passed in picture.passed(node.name) for listener in passed.listeners]
        is_there = any(listener.key == expected.key for listener in heard)
        reached = {place for listener in heard for place in listener.destinations}
        if not is_there and not expected.destinations <= reached:
            text = (
                f"{expected.name} was taken off {_called(node.name)} by a later logging "
                "configuration: call configure() after it, or name the handler in it"
            )
            yield Problem("taken_off", node.name, expected.name, text)


def _kept_out(picture: Picture) -> Iterator[Problem]:
    """No logger whose records reach the handler lets pass the least level that it was set to take."""
    lowest: dict[str, int] = {}
    for name, node in picture.nodes.items():
        for passed in picture.passed(name):
            lowest[passed.name] = min(lowest.get(passed.name, node.level), node.level)
    for node, listener in _attached(picture):
        if logging.NOTSET < listener.level < lowest[node.name]:
            wanted, passing = logging.getLevelName(listener.level), logging.getLevelName(lowest[node.name])
            target = "" if node.parent is None else repr(node.name)
            text = (
                f"{listener.name} takes {wanted} and above, but {_called(node.name)} lets pass {passing} and "
                f"above only: logging.getLogger({target}).setLevel({wanted!r}) lets the rest in"
            )
            yield Problem("level", node.name, listener.name, text)


def _twice(picture: Picture) -> Iterator[Problem]:
    """Two handlers, or one attached at two places, get one record and send it to one place."""
    seen: set[frozenset[tuple[str, int]]] = set()
    for name in picture.nodes:
        first: dict[Hashable, tuple[Node, Listener]] = {}
        for node in picture.passed(name):
            for listener in node.listeners:
                other = next((first[place] for place in listener.destinations if place in first), None)
                for place in listener.destinations:
                    first.setdefault(place, (node, listener))
                if other is None:
                    continue
                pair = frozenset({(node.name, listener.key), (other[0].name, other[1].key)})
                if pair in seen:
                    continue
                seen.add(pair)
                text = (
                    f"{other[1].name} of {_called(other[0].name)} and {listener.name} of "
                    f"{_called(node.name)} send each record that reaches both to one destination twice: "
                    "take one of them off"
                )
                yield Problem("twice", other[0].name, listener.name, text)


def _unheard(picture: Picture) -> Iterator[Problem]:
    """A handler has heard nothing, while records that it would take did not propagate to it."""
    for node, listener in _attached(picture):
        if listener.accepted:
            continue
        apart: dict[str, list[str]] = {}
        for name in picture.nodes:
            wall = _wall(picture, name, node.name)
            is_in_use = any(level >= listener.level for level in picture.nodes[name].asked)
            is_heard = any(passed.listeners for passed in picture.passed(name))
            if wall is not None and is_in_use and not is_heard:
                apart.setdefault(wall, []).append(name)
        for wall, names in apart.items():
            text = (
                f"{listener.name} of {_called(node.name)} has heard nothing, and records of "
                f"{', '.join(names)} do not reach it, for {wall} does not propagate: attach the handler to "
                f"{wall} too"
            )
            yield Problem("unheard", wall, listener.name, text)


def _disabled(picture: Picture) -> Iterator[Problem]:
    """Loggers that would reach the handler are disabled: by a ``dictConfig``, or on purpose."""
    for node, listener in _attached(picture):
        names = [
            name
            for name, other in picture.nodes.items()
            if other.is_disabled and any(passed.name == node.name for passed in picture.passed(name))
        ]
        if names:
            text = (
                f"records of {_some(names)} do not reach {listener.name} of {_called(node.name)}, for these "
                "loggers are disabled: set disable_existing_loggers to False in the logging configuration"
            )
            yield Problem("disabled", node.name, listener.name, text)


def _some(names: list[str]) -> str:
    """The first three, and how many more."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")


def _wall(picture: Picture, name: str, goal: str) -> str | None:
    """The first logger that keeps records of *name* from *goal*, a logger above it; None if there is none."""
    if goal not in [node.name for node in picture.above(name)]:
        return None
    passed = [node.name for node in picture.passed(name)]
    return None if goal in passed else passed[-1]


def _attached(picture: Picture) -> Iterator[tuple[Node, Listener]]:
    for node in picture.nodes.values():
        for listener in node.listeners:
            yield node, listener


def _called(logger: str) -> str:
    return "the root logger" if logger == "root" else f"logger {logger}"
