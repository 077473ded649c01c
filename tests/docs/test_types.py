"""Type checkers understand the package as its users see it: the README's snippets, and a file of uses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import needed
import pytest
from processes import environment

ROOT = Path(__file__).parents[2]
USES = ROOT / "tests" / "support" / "data" / "typed_use.py"
PAGES = [ROOT / "README.md", ROOT / "docs" / "quickstart.md"]
SNIPPETS = [
    snippet
    for page in PAGES
    for snippet in re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
]


def mypy(directory: Path) -> set[tuple[str, int]]:
    """File and line of each error that mypy finds there, strict."""
    needed.module("mypy")
    arguments = [
        "--strict",
        "--allow-untyped-defs",
        "--no-error-summary",
        "--cache-dir",
        str(directory / "cache"),
    ]
    done = run("mypy", *arguments, *sorted(map(str, directory.glob("*.py"))), cwd=directory)

    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(r"^([^:\n]+):(\d+): error", done.stdout, re.MULTILINE)
    return {(Path(file).name, int(line)) for file, line in found}


def pyright(directory: Path) -> set[tuple[str, int]]:
    """The same of pyright, which comes as basedpyright, at pyright's usual strictness."""
    needed.module("basedpyright")
    settings = {"typeCheckingMode": "standard", "extraPaths": [str(ROOT)]}
    (directory / "pyrightconfig.json").write_text(json.dumps(settings))
    done = run(
        "basedpyright", "--pythonpath", sys.executable, "--outputjson", "-p", str(directory), cwd=directory
    )

    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1)
        for one in json.loads(done.stdout)["generalDiagnostics"]
        if one["severity"] == "error"
    }


def run(module: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env=environment(MYPYPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.parametrize("check", [mypy, pyright])
def test_type_checkers_take_what_is_right_and_refuse_what_is_wrong(tmp_path, check):
    """The README's snippets have no error, and the file of uses exactly those that it marks."""
    for number, snippet in enumerate(SNIPPETS):
        (tmp_path / f"snippet_{number}.py").write_text(snippet)
    (tmp_path / USES.name).write_text(USES.read_text())
    marked = {
        (USES.name, number)
        for number, line in enumerate(USES.read_text().splitlines(), start=1)
        if line.endswith("# refused")
    }

    assert check(tmp_path) == marked
    assert len(marked) > 8
