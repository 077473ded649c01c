"""docs/testing.md: its blocks run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eventlog_handlers.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text("utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return found


def test_the_tests_of_a_configuration_pass(tmp_path, capsys):
    """As the page says, by the command."""
    path = tmp_path / "rules.yaml"
    path.write_text(block("yaml"))

    assert main(["test", str(path)]) == 0, capsys.readouterr().out


def test_the_configuration_is_right_and_a_misspelt_one_is_not():
    """The page's own test, and what it is for."""
    names: dict = {}
    exec(block("python"), names)
    names["test_the_logging_configuration_is_right"]()

    exec(block("python").replace('"level": "ERROR"', '"levell": "ERROR"'), names)
    with pytest.raises(AssertionError, match="did you mean"):
        names["test_the_logging_configuration_is_right"]()
