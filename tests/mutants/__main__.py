"""Changes the package line by line and asks the tests whether they notice.

    python tests/mutants map                        # which tests run which line; once, some minutes
    python tests/mutants run --sample 200           # so many mutants, drawn at random (--seed)
    python tests/mutants run --only eventlog_handlers/pipeline/retry.py

A mutant that the tests concerned pass is a survivor: a line that no test holds. Survivors are printed and
stand in ``.mutants/survivors.json``. The checkout is not changed: each mutant is a copy of the package.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from mutations import Mutation, mutations

ROOT = Path(__file__).parents[2]
PLACE = ROOT / ".mutants"
ROOMS = ("pipeline", "buffers", "settings")
"""What is mutated unless --only says something else."""
TIMEOUT_SECONDS = 120
SHORT_LIST = 60  # test functions that are asked about one line; the rest would tell the same


class Mutant(NamedTuple):
    """One change of one file."""

    path: str
    mutation: Mutation

    def __str__(self) -> str:
        change = self.mutation
        return f"{self.path}:{change.line}: {' '.join(change.before.split())[:90]!r} -> {change.after!r}"


def draw_map(rooms: list[str]) -> int:
    """Run the tests under coverage, noting which test runs which line."""
    PLACE.mkdir(exist_ok=True)
    (PLACE / "coveragerc").write_text(
        f"[run]\nsource = {ROOT / 'eventlog_handlers'}\ndynamic_context = test_function\n"
        f"data_file = {PLACE / 'coverage'}\nconcurrency = thread\n"
    )
    command = [
        *(sys.executable, "-m", "coverage", "run", f"--rcfile={PLACE / 'coveragerc'}"),
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=300", *rooms),
    ]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


class Map:
    """Which test functions run which line, from coverage's data."""

    def __init__(self) -> None:
        self._files = {path.stem: path for path in (ROOT / "tests").rglob("test_*.py")}
        self._lines: dict[tuple[str, int], set[str]] = {}
        import coverage

        data = coverage.CoverageData(str(PLACE / "coverage"))
        data.read()
        for measured in data.measured_files():
            path = Path(measured).relative_to(ROOT).as_posix()
            for line, contexts in data.contexts_by_lineno(measured).items():
                self._lines[path, line] = set(filter(None, contexts))

    def tests_of(self, mutant: Mutant) -> list[str]:
        """What to ask pytest for: the functions that run the line, else the room's tests."""
        names = set()
        for context in self._lines.get((mutant.path, mutant.mutation.line), ()):
            module, _, function = context.rpartition(".")
            path = self._files.get(module.rpartition(".")[2] or module)
            if path is not None and function.startswith("test_"):
                names.add(f"{path.relative_to(ROOT)}::{function}")
        if not names:
            room = mutant.path.split("/")[1].removesuffix(".py")
            folder = ROOT / "tests" / room
            return [str(folder.relative_to(ROOT))] if folder.is_dir() else ["tests/test_end_to_end.py"]
        chosen = sorted(names)
        return random.Random(0).sample(chosen, SHORT_LIST) if len(chosen) > SHORT_LIST else chosen


def survives(mutant: Mutant, tests: list[str]) -> bool:
    """Whether *tests* pass with the change made."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        place = Path(folder)
        shutil.copytree(ROOT / "eventlog_handlers", place / "eventlog_handlers", ignore=_compiled)
        for name in ("tests", "docs", "examples", "benchmarks", "pyproject.toml", "README.md"):
            if (ROOT / name).exists():
                (place / name).symlink_to(ROOT / name)
        target = place / mutant.path
        changed = mutant.mutation.apply(target.read_text("utf-8"))
        compile(changed, str(target), "exec")
        target.write_text(changed, "utf-8")
        command = [
            *(sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"),
            *(f"--rootdir={place}", f"--timeout={TIMEOUT_SECONDS // 2}", *tests),
        ]
        environment = {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                command, cwd=place, env=environment, capture_output=True, timeout=TIMEOUT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return False  # it hangs: noticed
        return done.returncode == 0


def _compiled(_: str, names: list[str]) -> set[str]:
    return {name for name in names if name == "__pycache__"}


def all_mutants(only: list[str]) -> list[Mutant]:
    """Every mutant of the files asked for."""
    paths = [ROOT / name for name in only] or [ROOT / "eventlog_handlers" / room for room in ROOMS]
    files = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    return [
        Mutant(file.relative_to(ROOT).as_posix(), mutation)
        for file in files
        for mutation in mutations(file.read_text("utf-8"))
    ]


def run(only: list[str], sample: int | None, seed: int, jobs: int) -> int:
    """Try mutants; returns 1 where more than one in twenty survives."""
    known = Map()
    mutants = all_mutants(only)
    if sample is not None and sample < len(mutants):
        mutants = random.Random(seed).sample(mutants, sample)
    print(f"{len(mutants)} mutants", flush=True)
    survivors: list[Mutant] = []
    started = time.monotonic()

    def attempt(mutant: Mutant) -> tuple[Mutant, bool]:
        return mutant, survives(mutant, known.tests_of(mutant))

    with ThreadPoolExecutor(jobs) as pool:
        for number, (mutant, is_alive) in enumerate(pool.map(attempt, mutants), 1):
            if is_alive:
                survivors.append(mutant)
                print(f"survives  {mutant}", flush=True)
            if number % 20 == 0:
                print(
                    f"{number} tried, {len(survivors)} survive, {time.monotonic() - started:.0f} s",
                    flush=True,
                )
    (PLACE / "survivors.json").write_text(json.dumps([str(mutant) for mutant in survivors], indent=1))
    print(f"{len(survivors)} of {len(mutants)} survive")
    return int(len(survivors) * 20 > len(mutants))


def main() -> int:
    """Parse arguments, do it, return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    mapping = commands.add_parser("map", help="note which tests run which line")
    mapping.add_argument("tests", nargs="*", default=["tests"], help="what pytest is to run (tests)")
    running = commands.add_parser("run", help="try mutants")
    running.add_argument("--only", action="append", default=[], help="a file or folder; may be repeated")
    running.add_argument("--sample", type=int, help="so many mutants, drawn at random; else all")
    running.add_argument("--seed", type=int, default=0, help="of that draw (0)")
    running.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at once (as many as cores)")
    given = parser.parse_args()
    if given.command == "map":
        return draw_map(given.tests)
    if not (PLACE / "coverage").exists():
        parser.error("there is no map yet: python tests/mutants map")
    return run(given.only, given.sample, given.seed, given.jobs)


if __name__ == "__main__":
    sys.exit(main())
