"""Changes the package line by line and asks the tests whether they notice.

    python tests/mutants map                        # which tests run which line; once, some minutes
    python tests/mutants map tests/buffers          # the same, of some tests only
    python tests/mutants map --append tests/text    # and of some more, or of new ones
    python tests/mutants run --sample 200           # so many mutants, drawn at random (--seed)
    python tests/mutants run --only eventlog_handlers/pipeline/retry.py

A mutant that the tests concerned pass is a survivor: a line that no test holds. Survivors are printed as they
would stand in ``tests/mutants/harmless.txt``, and ``.mutants/results.json`` tells which test noticed each of
the others. That list holds the mutants that nobody could notice, with reasons; they are counted, not tried.
The checkout is not changed: a mutant is made in a copy of the package. POSIX only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time

from forks import Forks
from harmless import LIST, Harmless, entry_of
from mutations import Mutant, mutations
from which_tests import PLACE, ROOT, Map

ROOMS = ("pipeline", "buffers", "settings")
"""What is mutated unless --only says something else."""


def draw_map(tests: list[str], is_addition: bool) -> int:
    """Run the tests under coverage, noting which test runs which line, and how long each test takes."""
    PLACE.mkdir(exist_ok=True)
    if not is_addition:
        for file in PLACE.glob("times*.xml"):
            file.unlink()
    times = PLACE / f"times{len(list(PLACE.glob('times*.xml')))}.xml"
    (PLACE / "coveragerc").write_text(
        f"[run]\nsource = {ROOT / 'eventlog_handlers'}\ndynamic_context = test_function\n"
        f"data_file = {PLACE / 'coverage'}\nconcurrency = thread\n"
    )
    command = [
        *(sys.executable, "-m", "coverage", "run", f"--rcfile={PLACE / 'coveragerc'}"),
        *(["--append"] if is_addition else []),
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=300"),
        *(f"--junitxml={times}", *tests),
    ]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


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
    """Try mutants; returns 1 where more than one in twenty survives, or an entry of the list is stale."""
    known = Map()
    harmless = Harmless(ROOT, LIST.read_text("utf-8"))
    mutants = all_mutants(only)
    stale = harmless.stale(mutants)
    if sample is not None and sample < len(mutants):
        mutants = random.Random(seed).sample(mutants, sample)
    drawn = len(mutants)
    mutants = [mutant for mutant in mutants if not harmless.has(mutant)]
    print(f"{drawn} mutants, {drawn - len(mutants)} of them harmless, by the list", flush=True)
    for entry in stale:
        print(f"{LIST.name}: no such mutant any more: {entry}", flush=True)
    killers: dict[str, str | None] = {}
    survivors = 0
    started = time.monotonic()
    with Forks(ROOT, PLACE, jobs) as forks:
        for name in forks.failing(sorted({test for mutant in mutants for test in known.tests_of(mutant)})):
            print(f"fails without any change, so it isn't asked: {name}", flush=True)
            known.seconds.pop(name, None)
        asked = ((mutant, known.tests_of(mutant)) for mutant in mutants)
        for mutant, killer in forks.attempt(asked):
            killers[str(mutant)] = killer
            if killer is None:
                survivors += 1
                print(f"survives  {mutant}", flush=True)
                print(entry_of(mutant, (ROOT / mutant.path).read_text("utf-8")), flush=True)
            if len(killers) % 20 == 0:
                seconds = time.monotonic() - started
                print(f"{len(killers)} tried, {survivors} survive, {seconds:.0f} s", flush=True)
            (PLACE / "results.json").write_text(json.dumps(killers, indent=1))
    print(f"{survivors} of {len(mutants)} survive, {drawn - len(mutants)} harmless, by the list")
    return int(bool(stale) or survivors * 20 > len(mutants))


def main() -> int:
    """Parse arguments, do it, return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    mapping = commands.add_parser("map", help="note which tests run which line")
    mapping.add_argument("tests", nargs="*", default=["tests"], help="what pytest is to run (tests)")
    mapping.add_argument("--append", action="store_true", help="add to the map that there is")
    running = commands.add_parser("run", help="try mutants")
    running.add_argument("--only", action="append", default=[], help="a file or folder; may be repeated")
    running.add_argument("--sample", type=int, help="so many mutants, drawn at random; else all")
    running.add_argument("--seed", type=int, default=0, help="of that draw (0)")
    running.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at once (as many as cores)")
    given = parser.parse_args()
    if given.command == "map":
        return draw_map(given.tests, given.append)
    if not list(PLACE.glob("times*.xml")):
        parser.error("there is no map yet: python tests/mutants map")
    return run(given.only, given.sample, given.seed, given.jobs)


if __name__ == "__main__":
    sys.exit(main())
