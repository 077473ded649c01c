"""The mutants that nobody could notice: ``harmless.txt``, where each has its reason.

An entry is matched by text, never by a line number: the function, and the line before and after the change.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import NamedTuple

from mutations import Mutant, Mutation

LIST = Path(__file__).with_name("harmless.txt")


class Entry(NamedTuple):
    """One change that makes no difference which a user could see."""

    place: str
    """``path``, or ``path::Class.method`` where the line stands in one."""
    before: str
    after: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.before!r} -> {self.after!r}"


class Harmless:
    """The entries of a list, and which mutants they mean. *root* is where their paths start."""

    def __init__(self, root: Path, text: str) -> None:
        """Raises ValueError where *text* is not written as ``entries_of`` says."""
        self._root = root
        self._entries = entries_of(text)
        self._keys = {entry[:3] for entry in self._entries}
        self._sources: dict[str, str] = {}

    def has(self, mutant: Mutant) -> bool:
        """Whether *mutant* is on the list."""
        return _key(mutant, self._source(mutant.path)) in self._keys

    def stale(self, mutants: list[Mutant]) -> list[Entry]:
        """The entries about the files of *mutants*, which are all of those files, that mean none of them."""
        paths = {mutant.path for mutant in mutants}
        found = {_key(mutant, self._source(mutant.path)) for mutant in mutants}
        return [
            entry
            for entry in self._entries
            if entry[:3] not in found and (_path(entry) in paths or not (self._root / _path(entry)).exists())
        ]

    def _source(self, path: str) -> str:
        if path not in self._sources:
            self._sources[path] = (self._root / path).read_text("utf-8")
        return self._sources[path]


def entries_of(text: str) -> list[Entry]:
    """Blocks of four lines, with empty lines between them; a line that begins with ``#`` is a comment.

    The place; ``- `` and the line as it is; ``+ `` and the line with the change; ``= `` and the reason.
    """
    entries: list[Entry] = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.strip() and not line.startswith("#")]
        if not lines:
            continue
        place, *rest = lines
        if [line[:2] for line in rest] != ["- ", "+ ", "= "] or not rest[2][2:].strip():
            raise ValueError(f"not a place, '- before', '+ after' and '= reason': {block!r}")
        before, after, reason = (_words(line[2:]) for line in rest)
        entries.append(Entry(place.strip(), before, after, reason))
    return entries


def entry_of(mutant: Mutant, source: str) -> str:
    """The first three lines of an entry that means *mutant* of a file with this *source*."""
    place, before, after = _key(mutant, source)
    return f"{place}\n- {before}\n+ {after}"


def _key(mutant: Mutant, source: str) -> tuple[str, str, str]:
    change = mutant.mutation
    name = function_at(source, change.line)
    before, after = lines_of(change, source)
    return f"{mutant.path}::{name}" if name else mutant.path, before, after


def lines_of(change: Mutation, source: str) -> tuple[str, str]:
    """The lines where *change* stands, before and after it, each run of white space as one space."""
    raw = source.encode()
    first = raw.rfind(b"\n", 0, change.start) + 1
    last = raw.find(b"\n", change.end)
    last = len(raw) if last < 0 else last
    after = raw[first : change.start] + change.after.encode() + raw[change.end : last]
    return _words(raw[first:last].decode()), _words(after.decode())


def function_at(source: str, line: int) -> str:
    """The dotted name of the innermost function or class around *line*; empty outside of any."""
    around = [(first, name) for first, last, name in _functions(source) if first <= line <= last]
    return ".".join(name for _, name in sorted(around))


@functools.cache
def _functions(source: str) -> list[tuple[int, int, str]]:
    return [
        (node.lineno, node.end_lineno or node.lineno, node.name)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]


def _path(entry: Entry) -> str:
    return entry.place.partition("::")[0]


def _words(text: str) -> str:
    return " ".join(text.split())
