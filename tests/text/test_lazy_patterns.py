"""Patterns compiled late: the same answers as ``re``'s own, and compiled when they are told to be."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from eventlog_handlers.text import lazy_patterns


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[lazy_patterns.Lazy]:
    """The patterns this test makes, apart from those of the package."""
    kept: list[lazy_patterns.Lazy] = []
    monkeypatch.setattr(lazy_patterns, "_made", kept)
    return kept


def compiled(lazy: lazy_patterns.Lazy) -> bool:
    return "search" in vars(lazy)


@pytest.mark.parametrize("method", ["search", "match", "fullmatch", "findall"])
@pytest.mark.parametrize("text", ["", "ab", "AB ab", "x"])
def test_a_late_pattern_answers_as_a_compiled_one(made, method, text):
    """At its first use and at its second, whatever method comes first."""
    late, early = lazy_patterns.lazy("(a)(b)", re.IGNORECASE), re.compile("(a)(b)", re.IGNORECASE)

    for _ in range(2):
        ours, theirs = getattr(late, method)(text), getattr(early, method)(text)
        if isinstance(theirs, re.Match):
            ours, theirs = ours.groups(), theirs.groups()
        assert ours == theirs
        assert late.sub(r"\2", text) == early.sub(r"\2", text)


def test_it_is_compiled_at_its_first_use_or_with_all_others(made):
    """Not when it is made."""
    lazy_patterns.lazy("a")
    used = lazy_patterns.lazy("b")
    assert [compiled(lazy) for lazy in made] == [False, False]

    assert used.match("b")
    assert [compiled(lazy) for lazy in made] == [False, True]

    lazy_patterns.compile_all()
    assert [compiled(lazy) for lazy in made] == [True, True]


def test_a_wrong_pattern_is_told_of_where_it_is_used(made):
    """With re's own error."""
    wrong = lazy_patterns.lazy("(")

    with pytest.raises(re.error):
        wrong.search("")


def test_a_handler_that_renders_where_it_is_called_has_compiled_them_before(tmp_path: Path):
    """No logging call pays for it."""
    script = f"""
from eventlog_handlers import CMSHandler
from eventlog_handlers.text import lazy_patterns
handler = CMSHandler(
    access_key_id="a", access_key_secret="b", spool={str(tmp_path)!r}, durability="commit"
)
assert lazy_patterns._made
assert not [made for made in lazy_patterns._made if "search" not in vars(made)]
handler.close()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
