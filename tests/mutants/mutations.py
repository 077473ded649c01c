"""Which small changes a line of Python may suffer: each makes the program wrong, if the line matters. Pure.

A mutation changes one expression or takes away one statement. What nobody can notice by design is left out:
docstrings, annotations, messages, names of loggers, what is only for type checkers.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple


class Mutation(NamedTuple):
    """One change: the text between two offsets of the file (in UTF-8 bytes) becomes *after*."""

    line: int
    start: int
    end: int
    before: str
    after: str

    def apply(self, source: str) -> str:
        """*source* with the change made."""
        raw = source.encode()
        return (raw[: self.start] + self.after.encode() + raw[self.end :]).decode()


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
        return Mutation(node.lineno, first, last, raw[first:last].decode(), after)

    def between(left: ast.expr, right: ast.expr, sign: str, after: str) -> Iterator[Mutation]:
        first = raw.find(sign.encode(), end(left), start(right))
        if first >= 0:
            yield change(left, first, first + len(sign), after)

    found: list[Mutation] = []
    for node in _meant(tree):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            kind = type(node.ops[0])
            found += between(node.left, node.comparators[0], _WRITTEN[kind], _COMPARED[kind])
        elif isinstance(node, ast.BinOp) and type(node.op) in _COMPUTED and not _is_text(node):
            sign, other = _COMPUTED[type(node.op)]
            found += between(node.left, node.right, sign, other)
        elif isinstance(node, ast.BoolOp):
            sign, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            found += between(node.values[0], node.values[1], sign, other)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            found.append(change(node, start(node), start(node.operand), ""))
        elif isinstance(node, ast.Constant):
            found += [change(node, start(node), end(node), after) for after in _others(node.value)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _SWAPPED:
            found.append(change(node, start(node.func), end(node.func), _SWAPPED[node.func.id]))
        elif isinstance(node, ast.stmt) and _can_go(node):
            found.append(change(node, start(node), end(node), "pass"))
    return sorted(set(found))


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
    return isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Raise | ast.Assert)


def _meant(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes whose change a test could notice."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if _is_beside_the_point(node):
            continue
        yield node
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            todo += [
                child
                for child in (value if isinstance(value, list) else [value])
                if isinstance(child, ast.AST)
            ]
