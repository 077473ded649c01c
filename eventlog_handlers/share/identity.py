"""Ids of members: random; those of one process begin alike, so that it does not take itself for another one.

Also the name by which people know the process.
"""

from __future__ import annotations

import os
import sys

PROCESS_BYTES = 4
_process: tuple[int, bytes] = (0, b"")


def process_id() -> bytes:
    """PROCESS_BYTES random bytes of this process; a forked child has others."""
    global _process
    pid, found = _process
    if pid != os.getpid():
        found = os.urandom(PROCESS_BYTES)
        _process = os.getpid(), found
    return found


def new_member() -> bytes:
    """8 bytes for one handler's coordinator."""
    return process_id() + os.urandom(8 - PROCESS_BYTES)


def program() -> str:
    """The program's name, without its arguments, which may hold secrets: ``shop.py``, ``gunicorn``."""
    path = sys.argv[0] if getattr(sys, "argv", None) else ""
    folder, _, name = path.replace(os.sep, "/").rpartition("/")
    if name == "__main__.py":  # python -m celery
        name = folder.rpartition("/")[2]
    return "python" if name in ("", "-c", "-m", "-") else name
