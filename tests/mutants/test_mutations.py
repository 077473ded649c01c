"""The mutations themselves: each is one change that compiles, at the place it names."""

from __future__ import annotations

import pytest
from mutations import mutations

SOURCE = '''
def rest(self, error, now):
    """A docstring of 3 words is no number."""
    if error.throttled and not self.held:
        self.failures += 1
        self.until = now + min(60.0, 2 * error.delay)
        self.reports.state("failing")
    raise ValueError(f"not {1 + 1}")
'''


def test_each_kind_of_change_is_made_once_where_it_stands() -> None:
    """Comparisons, arithmetic, logic, numbers, and statements that are there for their effect."""
    changes = {(mutation.before, mutation.after) for mutation in mutations(SOURCE)}

    assert {
        ("and", "or"), ("not ", ""), ("+", "-"), ("*", "/"), ("min", "max"), ("60.0", "61.0"), ("2", "3"),
        ("1", "2"), ("self.failures += 1", "pass"), ('self.reports.state("failing")', "pass"),
    } <= changes  # fmt: skip
    assert not [change for change in changes if "docstring" in change[0] or "ValueError" in change[0]]


@pytest.mark.parametrize(
    ("sign", "other"), [("<", "<="), (">=", ">"), ("==", "!="), ("is", "is not"), ("in", "not in")]
)
def test_a_comparison_is_turned_at_its_edge(sign: str, other: str) -> None:
    """The neighbour of the operator, not a wild one: what only the edge case tells apart."""
    (mutation,) = mutations(f"due = a {sign} b")

    assert mutation.apply(f"due = a {sign} b") == f"due = a {other} b"


def test_every_mutation_of_this_package_compiles() -> None:
    """Offsets are in bytes: text that is not ASCII stands before many of them."""
    source = f"word = 'é–ü'\n{SOURCE}"

    for mutation in mutations(source):
        changed = mutation.apply(source)
        compile(changed, "changed", "exec")
        assert changed != source


@pytest.mark.parametrize(
    "condition", ["not a", "not (a)", "not(a)", "not (a or b)", "not (a).b", "(not\n a)"]
)
def test_a_condition_loses_its_not_and_no_bracket(condition: str) -> None:
    """A change that does not compile would be noticed by any test."""
    source = f"if {condition}:\n    pass\n"

    (mutation,) = [one for one in mutations(source) if one.after == ""]

    changed = mutation.apply(source)
    compile(changed, "changed", "exec")
    assert "not" not in changed


def test_the_length_of_a_text_in_a_message_stays() -> None:
    """Where a text is cut is nobody's business; a slice that starts somewhere is one's."""
    changes = {
        mutation.before for mutation in mutations("a = text[:200]\nb = row[:3]\nc = shorten(text, 80)")
    }

    assert changes == {"3"}


def test_a_mutation_knows_the_statement_it_stands_in() -> None:
    """Tracers name the lines of statements, defaults of arguments run at the import only."""
    (mutation,) = mutations("def f(\n    depth=3,\n):\n    return depth\n")

    assert (mutation.line, mutation.statement) == (2, (1, 4))
