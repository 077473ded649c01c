"""A picture of logging's tree: which handlers of ours are where, and which records can reach them.

Values only; ``taken`` reads the tree and makes one. ``judge`` finds the problems in it.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Iterator
from typing import Any, NamedTuple

from eventlog_handlers.listening import tree


class Listener(NamedTuple):
    """A handler of ours where it is attached. One that stands for several services is one."""

    key: int
    """Tells handlers apart."""
    name: str
    """Its class, such as ``GuanceHandler``; several are joined by ``+``."""
    level: int
    accepted: int
    """Records it has taken in this process."""
    destinations: frozenset[Hashable]
    """Its destination. Two handlers with an equal one send to one place."""
    address: tuple[str, ...]
    """The same for people: service and endpoint."""
    is_off: bool = False
    """Nothing is to be sent (``EVENTLOG_DISABLED``)."""


class Node(NamedTuple):
    """A logger."""

    name: str
    """``root`` for the root logger."""
    parent: str | None
    level: int
    """The effective one."""
    propagate: bool
    listeners: tuple[Listener, ...]
    asked: frozenset[int]
    """Levels of past log calls, as far as the logger remembers, that it lets pass."""
    is_disabled: bool = False
    """Its own records reach nothing (``disable_existing_loggers``)."""


class Expected(NamedTuple):
    """``configure`` attached this handler, and it was not closed since."""

    logger: str
    key: int
    name: str
    destinations: frozenset[Hashable]


class Picture(NamedTuple):
    """All loggers by name, and what ``configure`` did."""

    nodes: dict[str, Node]
    expected: tuple[Expected, ...]

    def passed(self, name: str) -> Iterator[Node]:
        """The loggers that a record of logger *name* passes, its own first."""
        node: Node | None = self.nodes[name]
        while node is not None:
            yield node
            node = self.nodes[node.parent] if node.propagate and node.parent is not None else None

    def above(self, name: str) -> Iterator[Node]:
        """The loggers above *name*, whether or not its records reach them."""
        node = self.nodes[name]
        while node.parent is not None:
            node = self.nodes[node.parent]
            yield node


def taken(attached: Iterable[tuple[logging.Logger, logging.Handler]] = ()) -> Picture:
    """The picture of this moment; *attached*: where ``configure`` attached which handler."""
    nodes = {node.name: node for node in map(_node, tree.loggers())}
    expected = [
        Expected(logger.name, id(handler), _name(handler), frozenset(_destinations(handler)))
        for logger, handler in attached
    ]
    return Picture(nodes, tuple(expected))


def _node(logger: logging.Logger) -> Node:
    # A private cache of logging has the levels; without it fewer problems are found.
    asked: dict[int, bool] = getattr(logger, "_cache", {})
    return Node(
        name=logger.name,
        parent=None if logger.parent is None else logger.parent.name,
        level=logger.getEffectiveLevel(),
        propagate=bool(logger.propagate),
        listeners=tuple(_listener(handler) for handler in list(logger.handlers) if tree.is_ours(handler)),
        asked=frozenset(level for level, is_let_pass in asked.copy().items() if is_let_pass),
        is_disabled=bool(logger.disabled),
    )


def _listener(handler: logging.Handler) -> Listener:
    stats = [one.stats() for one in _parts(handler)]
    return Listener(
        key=id(handler),
        name=_name(handler),
        level=handler.level,
        accepted=sum(one["accepted"] for one in stats),
        destinations=frozenset(_destinations(handler)),
        address=tuple(f"{place.service} {place.endpoint}" for place in _destinations(handler)),
        is_off=all(one["state"] == "disabled" for one in stats),
    )


def _parts(handler: logging.Handler) -> list[Any]:
    """The handlers that *handler* stands for: itself, or those of several services."""
    return list(getattr(handler, "handlers", (handler,)))


def _name(handler: logging.Handler) -> str:
    return " + ".join(type(one).__name__ for one in _parts(handler))


def _destinations(handler: logging.Handler) -> list[Any]:
    return [one.destination for one in _parts(handler)]
