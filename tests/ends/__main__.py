"""Ends programs again and again, several beside each other, and says which end went wrong.

    python tests/ends                                    # five seconds for each program with each option
    python tests/ends --seconds 60 --only pool --options memory

Races at the end of a process (signals, forks, locks) show once in hundreds of ends, and on a busy machine:
leave --beside above the number of processors. What a run that went wrong has printed stays in its folder.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/support")]

from ended import problems  # noqa: E402
from programs import OPTIONS, PROGRAMS  # noqa: E402

from eventlog_handlers.console.server import LocalConsole  # noqa: E402


def repeat(program: str, options: str, seconds: float, place: Path) -> tuple[int, list[str]]:
    """End *program* for so many seconds; the number of runs, and what went wrong."""
    until = time.monotonic() + seconds
    wrong: list[str] = []
    runs = 0
    while time.monotonic() < until:
        runs += 1
        folder = Path(tempfile.mkdtemp(dir=place))
        with LocalConsole() as console:
            found = problems(program, options, console, folder)
        wrong += found
        if not found:
            shutil.rmtree(folder)
    return runs, wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/ends", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="for each program with each option")
    parser.add_argument("--beside", type=int, default=6, help="how many run at once")
    parser.add_argument("--only", default="", help="programs whose name has this text")
    parser.add_argument("--options", choices=[*OPTIONS], help="with these options only")
    chosen = parser.parse_args()
    cases = [
        (program, options)
        for program in PROGRAMS
        if chosen.only in program
        for options in ([chosen.options] if chosen.options else OPTIONS)
    ]
    place = Path(tempfile.mkdtemp(prefix="ends-"))
    is_well = bool(cases)
    with ThreadPoolExecutor(chosen.beside) as executor:
        done = executor.map(lambda case: repeat(case[0], case[1], chosen.seconds, place), cases)
        for (program, options), (runs, wrong) in zip(cases, done, strict=True):
            print(f"{program} ({options}): {runs} ends, {len(wrong)} wrong", *wrong, sep="\n  ", flush=True)
            is_well = is_well and not wrong
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
