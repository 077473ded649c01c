"""The tool itself, on a small project: what it asks, and what it says of mutants."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from forks import imports, killer
from which_tests import seconds_of, within

_CODE = """
def fits(size, limit=5):
    return size <= limit
"""
_TEST = """
import json
from eventlog_handlers import fits

def test_small():
    assert fits(1)

def test_broken():
    assert not fits(1)

def test_edge():
    assert fits(5) and fits(6, limit=6)
"""
_ASK = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from forks import Forks
from mutations import Mutant, mutations

root = Path(sys.argv[1])
path = "eventlog_handlers/__init__.py"
mutants = [Mutant(path, one) for one in mutations((root / path).read_text())]
tests = ["tests/test_fits.py::test_small", "tests/test_fits.py::test_edge"]
with Forks(root, root, 2) as forks:
    failing = forks.failing([*tests, "tests/test_fits.py::test_broken"])
    assert failing == {"tests/test_fits.py::test_broken"}, failing
    noticed = forks.attempt((one, tests) for one in mutants)
    print(json.dumps({one.mutation.after: killer for one, killer in noticed}))
"""


def test_a_mutant_is_noticed_or_survives_and_the_checkout_stays_as_it_is(tmp_path: Path) -> None:
    """``<`` for ``<=`` fails at the edge; a default of 6 for 5 is noticed by nobody here."""
    code = tmp_path / "eventlog_handlers" / "__init__.py"
    code.parent.mkdir()
    code.write_text(_CODE)
    (code.parent / "pytest_plugin.py").write_text("")  # which pytest loads: an entry point
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_fits.py").write_text(_TEST)
    (tmp_path / "pyproject.toml").write_text("")

    done = subprocess.run(
        [sys.executable, "-c", _ASK, str(tmp_path), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert json.loads(done.stdout) == {"<": "tests/test_fits.py::test_edge", "6": None}, done.stderr
    assert code.read_text() == _CODE


def test_the_quickest_tests_are_asked_as_far_as_the_budget_goes() -> None:
    """At least one is asked; a test of which one case failed is no witness."""
    seconds = seconds_of(
        '<testsuites><testsuite><testcase classname="tests.a.test_a" name="test_one[x]" time="1.5"/>'
        '<testcase classname="tests.a.test_a" name="test_one[y[0]]" time="2"/>'
        '<testcase classname="tests.a.test_a" name="test_two" time="1"><failure/></testcase>'
        '<testcase classname="tests.a.test_a" name="test_three" time="9"/>'
        '<testcase classname="tests.a.test_a.TestX" name="runTest" time="9"/></testsuite></testsuites>'
    )

    one, three = "tests/a/test_a.py::test_one", "tests/a/test_a.py::test_three"
    assert seconds == {one: 3.5, three: 9.0}
    assert within(10, [one, three], seconds) == [one]
    assert within(1, [one, three], seconds) == [one]
    assert within(20, [one, three], seconds) == [one, three]


def test_what_pytest_says_names_the_test_that_noticed() -> None:
    """The first that failed; without such a line, the last word."""
    assert killer("F\nFAILED tests/a.py::test_b[c d] - assert\n1 failed") == "tests/a.py::test_b[c"
    assert killer("ERROR tests/a.py - ImportError") == "tests/a.py"
    assert killer("Timeout\n~~~\nat last\n") == "at last"


def test_only_imports_at_the_top_are_loaded_before() -> None:
    """What a function imports is none of the module's first needs; relative imports are the project's own."""
    source = "import a.b, c\nfrom d import e\nfrom . import f\ndef g():\n    import h\n"

    assert imports(source) == {"a.b", "c", "d"}
