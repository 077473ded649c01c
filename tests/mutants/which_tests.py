"""Which tests run a line, and in what order to ask them: from coverage's data and pytest's times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set as AbstractSet
from pathlib import Path
from xml.etree import ElementTree

from mutations import Mutant

ROOT = Path(__file__).parents[2]
PLACE = ROOT / ".mutants"
BUDGET_SECONDS = 90.0  # of tests for one mutant; the quickest go first, so what is left out is few and slow


class Map:
    """Test functions by the lines that they run, with their seconds; those that failed are left out."""

    def __init__(self, place: Path = PLACE) -> None:
        self.seconds: dict[str, float] = {}
        for file in sorted(place.glob("times*.xml")):
            self.seconds |= seconds_of(file.read_text("utf-8"))
        self._lines: dict[str, dict[int, set[str]]] = {}
        ids = {(Path(name.partition("::")[0]).stem, name.partition("::")[2]): name for name in self.seconds}
        import coverage

        data = coverage.CoverageData(str(place / "coverage"))
        data.read()
        for measured in data.measured_files():
            lines = self._lines[Path(measured).relative_to(ROOT).as_posix()] = {}
            for line, contexts in data.contexts_by_lineno(measured).items():
                split = (context.rpartition(".") for context in contexts)
                named = ((module.rpartition(".")[2], function) for module, _, function in split)
                lines[line] = {ids[name] for name in named if name in ids}

    def tests_of(self, mutant: Mutant) -> list[str]:
        """What to ask pytest for, the quickest first."""
        lines = self._lines.get(mutant.path, {})
        first, last = mutant.mutation.statement
        concerned = lines.get(mutant.mutation.line) or set().union(
            *(lines.get(line, ()) for line in range(first, last + 1))
        )
        chosen = self._quickest(concerned or set().union(*lines.values()))
        if not concerned:  # run at the import only, such as a constant or a table: any test may see it
            chosen += self._quickest(self.seconds.keys() - set(chosen))
        return within(BUDGET_SECONDS, chosen, self.seconds)

    def _quickest(self, names: AbstractSet[str]) -> list[str]:
        return sorted(self.seconds.keys() & names, key=lambda name: (self.seconds[name], name))


def seconds_of(junit: str) -> dict[str, float]:
    """Seconds by test function (``tests/room/test_file.py::test_name``) of the passed ones in a JUnit XML."""
    seconds: dict[str, float] = defaultdict(float)
    failed: set[str] = set()
    for case in ElementTree.fromstring(junit).iter("testcase"):
        path = case.get("classname", "").replace(".", "/") + ".py"
        if not path.rpartition("/")[2].startswith("test_"):
            continue  # in a class; there are hardly any
        name = f"{path}::{case.get('name', '').partition('[')[0]}"
        seconds[name] += float(case.get("time", 0))
        if case.find("failure") is not None or case.find("error") is not None:
            failed.add(name)
    return {name: spent for name, spent in seconds.items() if name not in failed}


def within(budget: float, names: list[str], seconds: dict[str, float]) -> list[str]:
    """The first of *names*, as many as take *budget* seconds together, and at least one."""
    chosen: list[str] = []
    for name in names:
        if chosen and seconds[name] > budget:
            continue
        budget -= seconds[name]
        chosen.append(name)
    return chosen
