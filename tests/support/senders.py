"""Processes with a GuanceHandler each, named ``shop.py``, that log what they are told to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from processes import environment

KEY = "wsak_never_shown"
_SCRIPT = f"""
import json, logging, os, signal, sys
from eventlog_handlers import GuanceHandler
options = {{"aggregate_seconds": None, "api_key": "{KEY}", **json.loads(sys.argv[1])}}
handler = GuanceHandler(**options)
log = logging.getLogger("shop")
log.addHandler(handler)
for line in sys.stdin:
    if line.strip() == "fork":
        handler.flush(20)
        if os.fork() == 0:
            log.error("from the child")
            handler.flush(20)
            signal.signal(signal.SIGUSR1, lambda *_: sys.exit())
            while True:
                signal.pause()
    else:
        log.error("order %s failed", line.strip())
"""


class Senders:
    """Starts them in *directory*, and ends all with ``stop``."""

    def __init__(self, directory: Path) -> None:
        self._script = directory / "shop.py"
        self._script.write_text(_SCRIPT)
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *messages: object, console: str = "", **options: Any) -> subprocess.Popen[str]:
        """A process whose handler has *options*; it logs *messages* at once."""
        process = subprocess.Popen(
            [sys.executable, str(self._script), json.dumps(options)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(EVENTLOG_CONSOLE=console),
        )
        self._started.append(process)
        tell(process, *messages)
        return process

    def stop(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()


def tell(process: subprocess.Popen[str], *lines: object) -> None:
    """Have *process* log each line; ``fork`` has it fork: the child logs, and ends at SIGUSR1."""
    assert process.stdin is not None
    process.stdin.writelines(f"{line}\n" for line in lines)
    process.stdin.flush()


def folder() -> Path:
    """Where they write about themselves."""
    return Path(os.environ["EVENTLOG_RUNTIME_DIR"]) / "eventlog-handlers" / "processes"


Rows = Callable[[], dict[int, dict[str, Any]]]
