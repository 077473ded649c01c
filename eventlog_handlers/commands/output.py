"""Prints for the commands: lines, tables, JSON; colours only on a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from eventlog_handlers.text.fit import one_line

GREEN, YELLOW, RED, DIM, BOLD = "32", "33", "31", "2", "1"


def coloured(text: str, colour: str, stream: TextIO | None = None) -> str:
    """*text* in *colour* where *stream* (stdout) is a terminal and ``NO_COLOR`` is not set (no-color.org)."""
    stream = stream or sys.stdout
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def print_json(value: object) -> None:
    """*value* as indented JSON on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns that fit their longest cell; numbers to the right."""
    cells = [[one_line(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    right = [
        bool(rows) and all(isinstance(row[index], int | float) for row in rows) for index in range(len(head))
    ]

    def line(texts: Sequence[str]) -> str:
        fitted = [
            text.rjust(width) if is_number else text.ljust(width)
            for text, width, is_number in zip(texts, widths, right, strict=True)
        ]
        return "  ".join(fitted).rstrip()

    print(coloured(line(head), BOLD))
    for row in cells:
        print(line(row))


def failure(text: str) -> int:
    """Say the error on stderr; returns the exit code for it."""
    print(coloured(text, RED, sys.stderr), file=sys.stderr)
    return 1


def ago(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3.5 h``, ``2.1 d``."""
    for size, unit in ((86_400.0, "d"), (3_600.0, "h")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{max(0.0, seconds):.0f} s"
