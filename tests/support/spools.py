"""Spools as processes leave them: written by one that ended without a word, or that still writes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from processes import environment

from eventlog_handlers.buffers.spool.buffer import SpoolBuffer
from eventlog_handlers.testing import ManualClock

HEAD = """
import os, sys
sys.path.insert(0, {here!r})
from pathlib import Path
from spools import spool
from eventlog_handlers.events import ExceptionText
from eventlog_handlers.testing import make_event
buffer = spool(Path({place!r}))
"""
THREE = """
failed = ExceptionText("KeyError", "'A-7'", "Traceback (most recent call last):\\nKeyError: 'A-7'", ())
buffer.put([make_event("first"), make_event("second", exception=failed), make_event("third", level=20)])
(lease,) = buffer.lease(1)
buffer.nack(lease, 0.0)
os._exit(0)
"""


def spool(place: Path, identity: str = "guance-of-a-test") -> SpoolBuffer:
    """One of this process."""
    return SpoolBuffer(
        place,
        capacity=10_000,
        capacity_bytes=64 << 20,
        policy="drop_lowest",
        clock=ManualClock(),
        wall_clock=time.time,
        report=lambda key, text: None,
        identity=identity,
    )


def start(place: Path, script: str) -> subprocess.Popen[str]:
    """A process that runs *script* with ``buffer``, a spool in *place*."""
    head = HEAD.format(here=str(Path(__file__).parent), place=str(place))
    return subprocess.Popen(
        [sys.executable, "-c", head + script], stdout=subprocess.PIPE, env=environment(), text=True
    )


def leave_three(place: Path) -> None:
    """Three events of a process that ended, the first of them tried once in vain."""
    process = start(place, THREE)
    process.communicate(timeout=60)
    assert process.returncode == 0
