"""What a test needs and an installation may lack: without it the test is skipped; in CI it fails."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest


def module(*names: str) -> None:
    """Packages of this Python."""
    for name in names:
        _needed(importlib.util.find_spec(name) is not None, name)


def program(name: str) -> str:
    """The path of a program that a package of this Python brought: one on PATH may be of another Python."""
    path = Path(sys.executable).with_name(name)
    _needed(path.exists(), name)
    return str(path)


def command(*names: str) -> str:
    """The path of a program of the system, under the first of its *names* that is there."""
    path = next(filter(None, map(shutil.which, names)), None)
    _needed(path is not None, names[0])
    return str(path)


def _needed(is_there: bool, name: str) -> None:
    if is_there:
        return
    if os.environ.get("CI"):
        pytest.fail(f"{name} is not installed, and CI must run this test")
    pytest.skip(f"{name} is not installed")
