"""Tests of what an installation lacks are skipped, and fail in CI: a green run there means that they ran."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import needed
import pytest


@pytest.mark.parametrize("need", [needed.module, needed.program, needed.command])
@pytest.mark.parametrize(("ci", "outcome"), [("true", "Failed"), ("", "Skipped")])
def test_what_is_missing_skips_a_test_and_fails_it_in_ci(
    monkeypatch: pytest.MonkeyPatch, need: Callable[[str], object], ci: str, outcome: str
) -> None:
    """Whatever kind of thing it is."""
    monkeypatch.setenv("CI", ci)

    with pytest.raises(BaseException, match="no_such_thing is not installed") as caught:
        need("no_such_thing")

    assert type(caught.value).__name__ == outcome


def test_a_program_of_another_python_is_none_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It would not find the package's modules; a program of the system is taken from PATH."""
    path = tmp_path / "serve"
    path.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)

    assert needed.command("no_such_thing", "serve") == str(path)
    with pytest.raises(BaseException, match="serve is not installed"):
        needed.program("serve")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert needed.program("serve") == str(path)
