"""Our handlers beside their peers, on loopback, in one run.

    python -m benchmarks [--only caller,start] [--adapters cms,watchtower] [--quick] [--rounds 9]
                         [--json docs/benchmarks.json] [--chart docs/caller.svg] [--page docs/benchmarks.md]

The peers come with ``pip install -e '.[bench]'``; those that are not installed are left out. Ratios of one
run suffer less from a busy machine than microseconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import chart, measures, report
from benchmarks.adapters import NAMES, load, missing
from benchmarks.parts import PARTS

_OF_THE_EXTRA = re.compile("extra == .bench.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; returns the exit code."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=_words, default=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--adapters", type=_words, default=list(NAMES), help=", ".join(NAMES))
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a twentieth of the records; some minutes")
    size.add_argument("--tiny", action="store_true", help="only shows that everything runs")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--json", type=Path, metavar="FILE", help="parts not measured now are kept there")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="SVG of the part caller")
    parser.add_argument("--page", type=Path, metavar="FILE", help="Markdown of all parts, --json's too")
    given = parser.parse_args(arguments)
    for kind, asked, known in (("part", given.only, PARTS), ("adapter", given.adapters, NAMES)):
        if unknown := sorted(set(asked) - set(known)):
            parser.error(f"no {kind} called {', '.join(unknown)}: there are {', '.join(known)}")
    runs: dict[str, dict[str, Any]] = {}
    if given.json and given.json.exists():
        runs = json.loads(given.json.read_text("utf-8"))
    if given.chart and "caller" not in {*given.only, *runs}:
        parser.error("--chart draws the part caller: name it in --only")

    sizes = measures.QUICK if given.quick else measures.TINY if given.tiny else measures.FULL
    if given.rounds:
        sizes = sizes._replace(rounds=given.rounds)
    names = []
    for name in (name for name in NAMES if name in given.adapters):
        if lacks := missing(name):
            _say(f"{load(name).title}: left out, {', '.join(lacks)} not installed")
        else:
            names.append(name)

    about = {**_about(sys.argv[1:] if arguments is None else arguments), "sizes": sizes._asdict()}
    for part in given.only:
        rows = PARTS[part](names, sizes, _say)
        print(report.table(part, rows), flush=True)
        runs[part] = {**about, "rows": rows}
    runs = {part: runs[part] for part in PARTS if part in runs}
    if given.json:
        given.json.write_text(json.dumps(runs, indent=1) + "\n", "utf-8")
    if given.page:
        picture = os.path.relpath(given.chart, given.page.parent) if given.chart else ""
        given.page.write_text(report.page(runs, picture), "utf-8")
    if given.chart:
        given.chart.write_text(chart.draw(runs["caller"]["rows"]), "utf-8")
    return 0


def _about(arguments: Sequence[str]) -> dict[str, Any]:
    """What was measured, where and how."""
    asked: list[str] = []
    with contextlib.suppress(metadata.PackageNotFoundError):  # run from a checkout that is not installed
        asked = [line for line in metadata.requires("eventlog-handlers") or () if _OF_THE_EXTRA.search(line)]
    names = sorted({re.split(r"[^\w-]", line)[0] for line in asked} | {"boto3", "orjson", "requests"})
    versions = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "command": " ".join(["python -m benchmarks", *arguments]),
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "cpus": os.cpu_count(),
        "versions": versions,
    }


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _say(text: str) -> None:
    """Progress, beside the figures."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
