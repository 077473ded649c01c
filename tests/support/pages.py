"""Files and commands as they stand on a page of docs/, to be run by tests."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

from processes import ROOT

BIN = Path(sys.executable).parent


class Command(NamedTuple):
    """One line of a shell block."""

    page: str
    section: str
    line: str

    def words(self, **replaced: str) -> list[str]:
        """As a shell splits it, with *replaced* in their places, and with the programs beside this Python."""
        line = self.line
        for name, value in replaced.items():
            line = line.replace(_PLACES[name], value)
        return [_program(word) for word in shlex.split(line)]


_PLACES = {"port": "8000", "console": "http://127.0.0.1:8799"}


def _program(word: str) -> str:
    beside = BIN / word
    return str(beside) if re.fullmatch("[a-z]+", word) and beside.exists() else word


def pages_in(folder: str) -> list[str]:
    """The pages in a folder of docs/."""
    return sorted(f"{folder}/{path.name}" for path in (ROOT / "docs" / folder).glob("*.md"))


def commands(page: str) -> list[Command]:
    """Each line of each shell block, with the heading that it stands under."""
    found: list[Command] = []
    section = ""
    for part in re.split(r"^(###? .*)$", text(page), flags=re.M):
        if part.startswith("##"):
            section = part.lstrip("# ")
            continue
        for block in re.findall(r"^```sh\n(.*?)^```", part, re.M | re.S):
            found.extend(Command(page, section, line) for line in block.splitlines())
    return found


def files(page: str) -> dict[str, str]:
    """The Python blocks that begin with their file's name, by it."""
    blocks = re.findall(r"^```python\n(# ([\w.]+\.py)\n.*?)^```", text(page), re.M | re.S)
    return {name: code for code, name in blocks}


def text(page: str) -> str:
    """All of it."""
    return (ROOT / "docs" / page).read_text("utf-8")
