"""Writes docs/reliability.md: the rows of the fault matrix, each with the tests that carry its id.

python docs/make_reliability.py          # write
python docs/make_reliability.py --check  # fail if it is out of date or a row has no test
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path

from rows import SECTIONS

DOCS = Path(__file__).parent
TARGET = DOCS / "reliability.md"
HEAD = """# What goes wrong, and what happens then

Generated from the tests by `docs/make_reliability.py`; don't edit. A test carries the row's id in its name.

*Lost*: first with the buffer in memory, then with a spool. "–" nothing; "D" nothing, but an event may arrive
twice, with the same id; "counted": in `stats()` by reason, and told once. At every moment, per handler and
process: `accepted = delivered + dropped + aggregated + pending`.
"""


def tests_by_row() -> dict[str, list[str]]:
    """Test names, with their files, by the row ids they carry."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((DOCS.parent / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for letter, number in re.findall(r"(?<=_)([bprdcsf])(\d{2})(?=_)", node.name):
                    found[f"{letter.upper()}{int(number)}"].append(
                        f"[{node.name}](../{path.relative_to(DOCS.parent).as_posix()})"
                    )
    return found


def page(tests: dict[str, list[str]]) -> str:
    """The whole page."""
    parts = [HEAD]
    for title, rows in SECTIONS.items():
        parts.append(f"\n## {title}\n\n| row | fault | behaviour | lost | tests |\n|---|---|---|---|---|\n")
        for row in rows:
            cells = (row.id, row.fault, row.behaviour, row.lost, "<br>".join(tests[row.id]))
            parts.append(f"| {' | '.join(cells)} |\n")
    return "".join(parts)


def main() -> int:
    """Write or check; returns the exit code."""
    tests = tests_by_row()
    known = {row.id for rows in SECTIONS.values() for row in rows}
    missing = sorted(known - tests.keys(), key=lambda row: (row[0], int(row[1:])))
    if missing:
        print(f"rows without a test: {', '.join(missing)}", file=sys.stderr)
    if unknown := sorted(tests.keys() - known):
        print(f"tests for rows that don't exist: {', '.join(unknown)}", file=sys.stderr)
    text = page(tests)
    if "--check" not in sys.argv:
        TARGET.write_text(text, "utf-8")
        return 0
    is_current = TARGET.exists() and TARGET.read_text("utf-8") == text
    if not is_current:
        print("docs/reliability.md is out of date: run python docs/make_reliability.py", file=sys.stderr)
    return 0 if is_current and not missing and not unknown else 1


if __name__ == "__main__":
    sys.exit(main())
