"""Which small changes a line of Python may suffer: each makes the program wrong, if the line matters. Pure.

A mutation changes one expression or takes away one statement. What nobody can notice by design is left out:
docstrings, annotations, messages and where they are cut, names of loggers, what is only for type checkers.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple


class Mutation(NamedTuple):
    """One change: the text between two offsets of the file (in UTF-8 bytes) becomes *after*."""

    line: int
    """Where the change stands."""
    statement: tuple[int, int]
    """First and last line of the statement it stands in."""
    start: int
    end: int
    before: str
    after: str

    def apply(self, source: str) -> str:
        """*source* with the change made."""
        raw = source.encode()
        return (raw[: self.start] + self.after.encode() + raw[self.end :]).decode()


class Mutant(NamedTuple):
    """One change of one file."""

    path: str
    mutation: Mutation

    def __str__(self) -> str:
        change = self.mutation
        return f"{self.path}:{change.line}: {' '.join(change.before.split())[:90]!r} -> {change.after!r}"


_COMPARED: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
_WRITTEN: dict[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
_COMPUTED: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
}  # fmt: skip
_SWAPPED = {"min": "max", "max": "min"}


def mutations(source: str) -> list[Mutation]:
    """Every mutation of *source*, in the order of its lines."""
    tree = ast.parse(source)
    lines = source.splitlines(keepends=True)
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line.encode()))
    raw = source.encode()

    def start(node: ast.expr | ast.stmt) -> int:
        return offsets[node.lineno - 1] + node.col_offset

    def end(node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return offsets[node.end_lineno - 1] + node.end_col_offset

    def change(node: ast.expr | ast.stmt, first: int, last: int, after: str) -> Mutation:
        return Mutation(node.lineno, (0, 0), first, last, raw[first:last].decode(), after)

    def between(left: ast.expr, right: ast.expr, sign: str, after: str) -> Iterator[Mutation]:
        first = raw.find(sign.encode(), end(left), start(right))
        if first >= 0:
            yield change(left, first, first + len(sign), after)

    def of(node: ast.AST) -> Iterator[Mutation]:
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            kind = type(node.ops[0])
            yield from between(node.left, node.comparators[0], _WRITTEN[kind], _COMPARED[kind])
        elif isinstance(node, ast.BinOp) and type(node.op) in _COMPUTED and not _is_text(node):
            sign, other = _COMPUTED[type(node.op)]
            yield from between(node.left, node.right, sign, other)
        elif isinstance(node, ast.BoolOp):
            sign, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            yield from between(node.values[0], node.values[1], sign, other)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            last = start(node) + len(b"not")
            while raw[last:].startswith((b" ", b"\n")):  # a bracket may follow, which stays
                last += 1
            yield change(node, start(node), last, "")
        elif isinstance(node, ast.Constant):
            for after in _others(node.value):
                yield change(node, start(node), end(node), after)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _SWAPPED:
            yield change(node, start(node.func), end(node.func), _SWAPPED[node.func.id])
        elif isinstance(node, ast.stmt) and _can_go(node):
            yield change(node, start(node), end(node), "pass")

    return sorted({one._replace(statement=span) for node, span in _meant(tree) for one in of(node)})


def _others(value: object) -> list[str]:
    if value is True:
        return ["False"]
    if value is False:
        return ["True"]
    if type(value) is int:
        return [str(value + 1)]
    if type(value) is float:
        return [repr(value + 1.0)]
    return []


def _is_text(node: ast.BinOp) -> bool:
    return any(
        isinstance(side, ast.JoinedStr) or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )


def _can_go(node: ast.stmt) -> bool:
    """Whether the statement is there for its effect alone."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Attribute | ast.Subscript)
    return isinstance(node, ast.AugAssign | ast.Delete | ast.Break | ast.Continue)


def _is_beside_the_point(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.dump(node.test)
    if isinstance(node, ast.Subscript):  # where a text is cut for a message
        return isinstance(node.slice, ast.Slice) and node.slice.lower is None and _is_length(node.slice.upper)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "shorten" and _is_length(node.args[-1])
    return isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Raise | ast.Assert)


def _is_length(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value >= 20


def _meant(tree: ast.AST) -> Iterator[tuple[ast.AST, tuple[int, int]]]:
    """The nodes whose change a test could notice, with the lines of the statement they stand in."""
    todo: list[tuple[ast.AST, tuple[int, int]]] = [(tree, (1, 1))]
    while todo:
        node, span = todo.pop()
        if _is_beside_the_point(node):
            continue
        if isinstance(node, ast.stmt):
            span = (node.lineno, node.end_lineno or node.lineno)
        yield node, span
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            todo += [
                (child, span)
                for child in (value if isinstance(value, list) else [value])
                if isinstance(child, ast.AST)
            ]
