"""One run of a program to its end, and what is wrong with it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from processes import environment
from programs import HEAD, OPTIONS, PROGRAMS

import eventlog_handlers

_OURS = f'File "{Path(eventlog_handlers.__file__).parent}{os.sep}'
"""So begins a traceback's line that is in the package. Other threads' lines may stand between its lines."""


def problems(program: str, options: str, console: Any, folder: Path, *, patience: float = 30) -> list[str]:
    """Run *program* in the empty *folder*, where its output stays. Empty where all is well.

    Well is: it ends within *patience* seconds, every order that it has printed arrives, once, and stderr has
    no traceback with a line of ours. Of one that hangs, stderr shows where its threads stand.
    """
    (folder / "program.py").write_text(HEAD.replace("OPTIONS", repr(OPTIONS[options])) + PROGRAMS[program])
    variables = {
        "EVENTLOG_CONSOLE": console.url,
        "EVENTLOG_RUNTIME_DIR": str(folder / "runtime"),
        "PYTHONFAULTHANDLER": "1",
    }
    before = len(console.events("cms"))
    with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "program.py"],
            cwd=folder,
            env=environment(**variables),
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        found = []
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            found.append(f"hangs: see {folder}/stderr")
            os.killpg(process.pid, signal.SIGABRT)
            process.wait()
        else:
            if process.returncode < 0:
                found.append(f"dies of {signal.Signals(-process.returncode).name}: see {folder}/stderr")
    events = console.events("cms")[before:]
    arrived = Counter(
        match[1] for event in events if (match := re.search(r"order (.+) is late", event.body["Content"]))
    )
    printed = (folder / "stdout").read_text().splitlines()
    if missing := sorted(set(printed) - set(arrived)):
        found.append(f"{len(missing)} of {len(printed)} orders have not arrived, the first: {missing[0]}")
    if twice := [name for name, times in arrived.items() if times > 1]:
        found.append(f"{len(twice)} orders have arrived twice, such as {twice[0]}")
    told = (folder / "stderr").read_text()
    if _OURS in told and not found:  # a process that hangs or dies shows all its threads there
        found.append(f"a traceback of ours: see {folder}/stderr")
    if "not delivered" in told:
        found.append(f"events are not delivered: see {folder}/stderr")
    return found
