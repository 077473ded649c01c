"""Rows of plain values as a table for the terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def table(title: str, rows: Sequence[dict[str, Any]]) -> str:
    """All *rows* under the columns any of them has, numbers to the right; a blank line between cases."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [
        max(map(len, [column, *(line[place] for line in cells)])) for place, column in enumerate(columns)
    ]
    numeric = [any(isinstance(row.get(column), int | float) for row in rows) for column in columns]
    lines = [f"\n{title}", _line(columns, widths, numeric), "  ".join("-" * width for width in widths)]
    group = None
    for row, line in zip(rows, cells, strict=True):
        this = row.get("case", row.get("grows"))
        if group is not None and this != group:
            lines.append("")
        group = this
        lines.append(_line(line, widths, numeric))
    return "\n".join(lines if rows else [f"\n{title}: nothing to measure"])


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.4f}" if abs(value) < 0.1 and value else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    return "  ".join(
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, numeric, strict=True)
    ).rstrip()
