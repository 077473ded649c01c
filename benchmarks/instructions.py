"""The gate that a noisy machine can't fool: instructions of the hot paths against a recorded baseline.

    python -m benchmarks.instructions            compare with benchmarks/instructions.json; fails above +10 %
    python -m benchmarks.instructions --record   measure and write that file

valgrind's callgrind counts the instructions of one process, hash seed and all else fixed. Each piece of work
is done N times and then 2 N times: the difference, divided by N, is what one of it takes, and what happens
once cancels out. Numbers hold for one build of CPython; the file has a row of them for each build that
recorded it. On another build a path is compared by its ratio to the same log call on a ``NullHandler`` of
the same run, with the build of the file that is nearest in version.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.processes import ROOT, environment, running_sink

BASELINE = Path(__file__).with_suffix(".json")
TOLERANCE = 0.10
_COLLECTED = re.compile(r"^(?:summary|totals): (\d+)", re.M)

Counts = dict[str, int]
"""Instructions of one piece of work, by its name."""


class Change(NamedTuple):
    """One path beside its baseline. *before* and *now* are instructions, or ratios to the NullHandler."""

    path: str
    before: float
    now: float

    @property
    def growth(self) -> float:
        """0.1 is ten per cent more."""
        return self.now / self.before - 1


def null_of(path: str) -> str:
    """The path of the NullHandler that *path* is compared with."""
    kinds = (("exception", "folded"), ("five extras",))
    for names in kinds:
        if any(name in path for name in names):
            return f"NullHandler: {names[0]}"
    return "NullHandler: plain"


def ratios(counts: Mapping[str, int]) -> dict[str, float]:
    """Each path by the NullHandler's."""
    return {path: count / counts[null_of(path)] for path, count in counts.items()}


def compared(counts: Counts, recorded: Mapping[str, Counts], build: str) -> tuple[list[Change], str]:
    """What changed, and what it was compared with: this *build*'s counts, or the ratios of the nearest build.

    A path that was not recorded is left out.
    """
    if build in recorded:
        before: Mapping[str, float] = recorded[build]
        now: Mapping[str, float] = counts
        text = f"instructions of this build, {build}"
    else:
        nearest = min(recorded, key=lambda other: (_distance(other, build), other))
        before, now = ratios(recorded[nearest]), ratios(counts)
        text = f"ratios to the NullHandler of {nearest} (no baseline of {build})"
    return [Change(path, before[path], now[path]) for path in now if path in before], text


def _distance(build: str, other: str) -> tuple[int, ...]:
    numbers = ([int(part) for part in re.findall(r"\d+", name)[:3]] for name in (build, other))
    return tuple(abs(one - two) for one, two in zip(*numbers, strict=True))


def build_name() -> str:
    """Version of the interpreter, and a hash of how it was built: instructions depend on both."""
    how = (sys.version, sysconfig.get_config_var("CONFIG_ARGS"), sysconfig.get_config_var("CFLAGS"))
    digest = hashlib.blake2b(repr(how).encode(), digest_size=4).hexdigest()
    return f"{sys.implementation.cache_tag}-{'.'.join(map(str, sys.version_info[:3]))}-{digest}"


def measured() -> Counts:
    """Instructions of each path now. Takes about a minute."""
    with tempfile.TemporaryDirectory() as directory, running_sink() as sink:
        done = subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                f"--callgrind-out-file={directory}/out",
                "--dump-before=getpgid",
                "--log-file=/dev/null",
                sys.executable,
                "-m",
                "benchmarks.counted",
                str(sink.ports[0]),
            ],
            cwd=ROOT,
            env={**environment(), "PYTHONHASHSEED": "0", "HOME": directory},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=900,
        )
        parts = [_count(Path(f"{directory}/out.{number}")) for number in _numbers(directory)]
    counts: Counts = {}
    for turn, (name, times) in enumerate(json.loads(done.stdout)):
        once, twice = parts[3 * turn + 1 : 3 * turn + 3]
        counts[name] = round((twice - once) / times)
    return counts


def _numbers(directory: str) -> list[int]:
    return sorted(int(path.suffix[1:]) for path in Path(directory).glob("out.*"))


def _count(path: Path) -> int:
    found = _COLLECTED.search(path.read_text("ascii", "replace"))
    if found is None:
        raise SystemExit(f"callgrind wrote no count into {path}")
    return int(found[1])


def table(counts: Counts, changes: Sequence[Change]) -> str:
    """One line a path: instructions, ratio to the NullHandler, growth."""
    growths = {change.path: f"{change.growth:+.1%}" for change in changes}
    beside = ratios(counts)
    return "\n".join(
        f"{path:28}{count:12,}{beside[path]:10.2f} x{growths.get(path, 'new'):>10}"
        for path, count in counts.items()
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and compare, or record; returns the exit code."""
    parser = argparse.ArgumentParser("python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--record", action="store_true", help=f"write {BASELINE.name}")
    given = parser.parse_args(arguments)
    if shutil.which("valgrind") is None:
        parser.error("valgrind is not installed (Debian: apt-get install valgrind)")
    recorded: dict[str, Counts] = json.loads(BASELINE.read_text("utf-8")) if BASELINE.exists() else {}
    build, counts = build_name(), measured()
    if given.record:
        print(table(counts, compared(counts, recorded, build)[0] if recorded else []))
        recorded[build] = counts
        BASELINE.write_text(json.dumps(recorded, indent=1, sort_keys=True) + os.linesep, "utf-8")
        return 0
    if not recorded:
        parser.error(f"no baseline yet: record one with --record in {BASELINE}")
    changes, beside = compared(counts, recorded, build)
    print(f"{table(counts, changes)}\ncompared with {beside}")
    worse = [change for change in changes if change.growth > TOLERANCE]
    for change in worse:
        print(f"FAILED: {change.path} takes {change.growth:+.1%}, {TOLERANCE:.0%} are allowed")
    if worse:
        print("If that is meant: python -m benchmarks.instructions --record, and say why in the commit.")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
