"""Runs a script in a process of its own, as a user's program would, with the console behind it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]

THREE_HANDLERS = """
import logging, logging.config, os, sys, threading, time
CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "cms": {"class": "eventlog_handlers.CMSHandler", "requests_per_second": None},
        "guance": {
            "class": "eventlog_handlers.GuanceHandler",
            "requests_per_minute": None,
            "aggregate_seconds": None,
        },
        "cloudwatch": {"class": "eventlog_handlers.CloudWatchEventsHandler"},
    },
    "root": {"level": "DEBUG", "handlers": ["cms", "guance", "cloudwatch"]},
}
for handler in CONFIG["handlers"].values():
    handler["exit_timeout"] = 60  # what a script is to deliver does not depend on how slow the machine is
logging.config.dictConfig(CONFIG)
log = logging.getLogger("shop")
"""
SERVICES = ("cms", "guance", "cloudwatch")


def environment(**variables: str) -> dict[str, str]:
    """This process's environment with *variables*, and the package importable."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **variables}


def run(
    script: str,
    *,
    console: str | None = None,
    timeout: float = 60,
    preamble: str = THREE_HANDLERS,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run *script* after *preamble*; raises TimeoutExpired if it hangs.

    The line about EVENTLOG_CONSOLE, which is said in each of them, is taken out of stderr.
    """
    if console is not None:
        variables["EVENTLOG_CONSOLE"] = console
    return _run([sys.executable, "-c", preamble + textwrap.dedent(script)], timeout, variables)


def run_file(
    path: Path, *arguments: str, console: str, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a script that must be a file: multiprocessing imports it again."""
    return _run([sys.executable, str(path), *arguments], timeout, {"EVENTLOG_CONSOLE": console})


def _run(command: list[str], timeout: float, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, env=environment(**variables), capture_output=True, text=True, timeout=timeout
    )
    done.stderr = re.sub(r"eventlog_handlers: \w+: EVENTLOG_CONSOLE is set: .*\n", "", done.stderr)
    return done
