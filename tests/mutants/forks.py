"""Runs tests on mutants: one forked child each, which finds pytest and all foreign imports loaded already.

The package is never imported here, so that each child imports its own copy, with the mutant in it.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from mutations import Mutant

PACKAGE = "eventlog_handlers"
_LINKED = ("tests", "docs", "examples", "benchmarks", "pyproject.toml", "README.md", "CHANGELOG.md")
_WHOLE_SECONDS = 240.0  # for all tests of one mutant; past it they hang, which is noticed
_TEST_SECONDS = 60  # for one test
HANGS = "(it hangs)"


class _Running(NamedTuple):
    mutant: Mutant
    copy: Path
    until: float


class Forks:
    """Copies of the package, and as many children at once as there are copies."""

    def __init__(self, root: Path, place: Path, jobs: int) -> None:
        self._root = root
        self._place = place
        self._jobs = jobs
        self._folder = tempfile.TemporaryDirectory(prefix="mutants-")
        self._free: list[Path] = []
        self._running: dict[int, _Running] = {}

    def __enter__(self) -> Forks:
        Path(self._folder.name).chmod(0o755)  # some tests look on as another user
        assert PACKAGE not in sys.modules
        for number in range(self._jobs):
            copy = Path(self._folder.name) / str(number)
            # With the compiled files, which stay valid for their times are kept: only the mutant is compiled.
            shutil.copytree(self._root / PACKAGE, copy / PACKAGE)
            for name in _LINKED:
                if (self._root / name).exists():
                    (copy / name).symlink_to(self._root / name)
            self._free.append(copy)
        preload(self._root / "tests")
        return self

    def __exit__(self, *_: object) -> None:
        for pid in list(self._running):
            _kill(pid)
            os.waitpid(pid, 0)
        self._folder.cleanup()

    def attempt(self, asked: Iterable[tuple[Mutant, list[str]]]) -> Iterator[tuple[Mutant, str | None]]:
        """Each mutant with the test that noticed it, or None: as they end, not in order."""
        for mutant, tests in asked:
            if not tests:
                yield mutant, None
                continue
            while not self._free:
                yield self._ended()
            copy = self._free.pop()
            target = (copy / mutant.path).rename(_aside(copy / mutant.path))
            (copy / mutant.path).write_text(mutant.mutation.apply(target.read_text("utf-8")), "utf-8")
            self._running[_fork(copy, tests)] = _Running(mutant, copy, time.monotonic() + _WHOLE_SECONDS)
        while self._running:
            yield self._ended()

    def failing(self, tests: list[str]) -> set[str]:
        """Those of *tests* that fail here without any change: they are no witnesses."""
        copy = self._free[-1]
        os.waitpid(_fork(copy, tests, "--maxfail=1000"), 0)
        log = _log(copy).read_text("utf-8", "replace")
        if not re.search(r"^(\d+ failed, )?\d+ passed.* in ", log, re.MULTILINE):
            raise RuntimeError(f"the tests don't run without a change: {killer(log)}")
        return {name.partition("[")[0] for name in re.findall(r"^(?:FAILED|ERROR) (\S+)", log, re.MULTILINE)}

    def _ended(self) -> tuple[Mutant, str | None]:
        """Wait for a child, and make its copy whole again."""
        while True:
            for pid, running in self._running.items():
                ended, status = os.waitpid(pid, os.WNOHANG)
                is_late = not ended and time.monotonic() > running.until
                if is_late:
                    _kill(pid)
                    os.waitpid(pid, 0)
                elif not ended:
                    continue
                else:
                    _kill(pid)  # what its tests have started and left behind
                del self._running[pid]
                path = running.copy / running.mutant.path
                _aside(path).replace(path)
                self._free.append(running.copy)
                if not is_late and status == 0:
                    return running.mutant, None
                return running.mutant, HANGS if is_late else killer(
                    _log(running.copy).read_text("utf-8", "replace")
                )
            time.sleep(0.02)


def killer(log: str) -> str:
    """The test that failed, from pytest's words."""
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", log, re.MULTILINE)
    return found[1] if found else (log.strip().splitlines() or ["(nothing said)"])[-1][:200]


def _aside(path: Path) -> Path:
    """Where a file waits while its mutant is tried; its time is kept, so its compiled form stays valid."""
    return path.with_suffix(".whole")


def _log(copy: Path) -> Path:
    return copy.parent / f"{copy.name}.log"


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _fork(copy: Path, tests: list[str], option: str = "-x") -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        os.setsid()
        os.chdir(copy)
        output = os.open(_log(copy), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update(PYTHONPATH=str(copy), PYTHONDONTWRITEBYTECODE="1")
        sys.dont_write_bytecode = True
        sys.path[0] = str(copy)  # where this script's folder stood
        for name in [name for name, module in sys.modules.items() if _is_of(module, Path(__file__).parent)]:
            del sys.modules[name]
        import pytest

        options = [option, "-q", "-p", "no:cacheprovider", f"--rootdir={copy}", f"--timeout={_TEST_SECONDS}"]
        status = int(pytest.main([*options, *tests]))
        sys.stdout.flush()
    finally:
        os._exit(status)


def _is_of(module: object, folder: Path) -> bool:
    return Path(getattr(module, "__file__", None) or "/").parent == folder


def preload(tests: Path) -> None:
    """Import what the tests import at their top, but nothing of this project."""
    own = {PACKAGE, "conftest", *(file.stem for file in tests.rglob("*.py"))}
    names = {name for file in tests.rglob("test_*.py") for name in imports(file.read_text("utf-8"))}
    for name in sorted(name for name in names if name.partition(".")[0] not in own):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    assert PACKAGE not in sys.modules


def imports(source: str) -> set[str]:
    """The modules that *source* imports at its top."""
    found: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found
