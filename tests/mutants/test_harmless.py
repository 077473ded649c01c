"""The list of harmless mutants: what an entry means, and when it means nothing any more."""

from __future__ import annotations

from pathlib import Path

import pytest
from harmless import LIST, Entry, Harmless, entries_of, entry_of, function_at
from mutations import Mutant, mutations

SOURCE = """
WAIT_SECONDS = 180.0  # é

class Rows:
    def give_up(self):
        try:
            self.gone.clear()
        except OSError:
            def later():
                self.gone.clear()

    def rest(self):
        self.gone.clear()
"""
TEXT = """# A comment
# of two lines

rows.py
- WAIT_SECONDS = 180.0  # é
+ WAIT_SECONDS = 181.0  # é
= a second more

# A comment on this one.
rows.py::Rows.give_up
- self.gone.clear()
+ pass
= it is cleared once more
"""


def _listed(place: Path, text: str) -> tuple[Harmless, list[Mutant]]:
    (place / "rows.py").write_text(SOURCE, "utf-8")
    return Harmless(place, text), [Mutant("rows.py", one) for one in mutations(SOURCE)]


def test_an_entry_means_one_change_of_one_function(tmp_path: Path) -> None:
    """The same line in another function is another mutant; line numbers don't count."""
    harmless, mutants = _listed(tmp_path, TEXT)

    meant = [mutant.mutation.line for mutant in mutants if harmless.has(mutant)]

    assert meant == [2, 7]
    assert [mutant.mutation.line for mutant in mutants] == [2, 7, 10, 13]
    assert not harmless.stale(mutants)


def test_what_run_prints_of_a_survivor_is_an_entry(tmp_path: Path) -> None:
    """It lacks the reason alone."""
    _, mutants = _listed(tmp_path, "")
    text = "\n\n".join(f"{entry_of(mutant, SOURCE)}\n= because" for mutant in mutants)

    harmless, _ = _listed(tmp_path, text)

    assert all(harmless.has(mutant) for mutant in mutants)
    assert entries_of(text)[2] == Entry("rows.py::Rows.give_up.later", "self.gone.clear()", "pass", "because")


def test_an_entry_that_means_no_mutant_is_named(tmp_path: Path) -> None:
    """The line was changed, or its file is gone; files that are not asked about are left alone."""
    other = "- a = 1\n+ a = 2\n= because\n\n"
    (tmp_path / "other.py").write_text("a = 2\n")
    harmless, mutants = _listed(tmp_path, f"rows.py\n{other}other.py\n{other}gone.py\n{other}{TEXT}")

    stale = harmless.stale(mutants)

    assert list(map(str, stale)) == ["rows.py: 'a = 1' -> 'a = 2'", "gone.py: 'a = 1' -> 'a = 2'"]


@pytest.mark.parametrize(
    "block", ["rows.py\n- a\n+ b", "rows.py\n- a\n+ b\n=  ", "rows.py\n+ b\n- a\n= because", "rows.py"]
)
def test_an_entry_without_a_reason_is_refused(block: str) -> None:
    """So is one that is written in another way."""
    with pytest.raises(ValueError, match="reason"):
        entries_of(block)


def test_the_list_of_this_project_can_be_read() -> None:
    """Whether each entry still means a mutant is for ``run`` to say."""
    assert entries_of(LIST.read_text("utf-8"))


def test_a_line_outside_of_functions_has_no_name() -> None:
    """Constants, mostly."""
    assert not function_at(SOURCE, 2)
    assert function_at(SOURCE, 4) == "Rows"
