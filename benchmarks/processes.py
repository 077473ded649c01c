"""Starts and asks the processes of a measurement: the sink and the children. No figure is made here."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.request import ProxyHandler, build_opener

ROOT = Path(__file__).parent.parent
_open = build_opener(ProxyHandler({})).open


class FailedError(Exception):
    """A measured process ended, or did not answer in time."""


def environment() -> dict[str, str]:
    """Ours without proxies and settings of handlers, with dummy keys, and the package importable."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if "proxy" not in name.lower()
        and not name.startswith(("EVENTLOG_", "OTEL_", "SENTRY_", "AWS_"))
        and name != "PYTHONDONTWRITEBYTECODE"  # an installed package is compiled once, not at each start
    }
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        # Rate limits and problems are shared by the processes of a user: not with the run before.
        "EVENTLOG_RUNTIME_DIR": f"{_runtimes.name}/{next(_numbers)}",
    }


_runtimes = tempfile.TemporaryDirectory(prefix="eventlog-benchmarks")
_numbers = itertools.count()


def script(code: str) -> str:
    """What *code* prints in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise FailedError(done.stderr.strip().splitlines()[-1])
    return done.stdout


class Sink:
    """The loopback service in its process."""

    def __init__(self) -> None:
        self._process = _start("benchmarks.sink", stderr=None)
        assert self._process.stdout is not None
        ports = json.loads(self._process.stdout.readline())
        self.ports = [ports["http"], ports["lines"]]

    def reset(self, latency_ms: float = 0) -> None:
        """Forget what was counted; answer after *latency_ms* from now on."""
        self._get(f"reset/{latency_ms}")

    def counts(self) -> dict[str, float]:
        """``events``, ``requests`` and ``last_at``, monotonic."""
        return self._get("counts")

    def wait_for(self, events: int, *, patience: float) -> dict[str, float]:
        """The counts once *events* arrived, or once nothing has for *patience* seconds."""
        counts, moved = self.counts(), time.monotonic()
        while counts["events"] < events and time.monotonic() - moved < patience:
            time.sleep(0.05)
            before, counts = counts["events"], self.counts()
            if counts["events"] != before:
                moved = time.monotonic()
        return counts

    def close(self) -> None:
        """End it."""
        _stop(self._process)

    def _get(self, what: str) -> dict[str, float]:
        with _open(f"http://127.0.0.1:{self.ports[0]}/-/{what}", timeout=60) as answer:
            counts: dict[str, float] = json.load(answer)
        return counts


class Child:
    """A process that measures one adapter, see ``benchmarks.child``."""

    def __init__(self, name: str) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = _start("benchmarks.child", name, stderr=self._errors)

    def ask(self, do: str, *, timeout: float = 600, **arguments: Any) -> dict[str, float]:
        """Have the child do *do*; raises FailedError with its last words."""
        self.tell(do, **arguments)
        return self.answer(timeout)

    def tell(self, do: str, **arguments: Any) -> None:
        """Have the child do *do*, whose ``answer`` is asked for later."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise FailedError(self._last_words()) from None

    def end(self, timeout: float) -> float:
        """Seconds from the last line of the program to the end of its process; *timeout* if it takes that."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        ends = self.answer(timeout)["ends"]
        try:
            self._process.wait(max(0.01, timeout - (time.monotonic() - ends)))
        except subprocess.TimeoutExpired:
            return timeout
        return time.monotonic() - ends

    def close(self) -> None:
        """End it, whatever it still holds."""
        _stop(self._process)
        self._errors.close()

    def answer(self, timeout: float) -> dict[str, float]:
        """What the child says to the last command; raises FailedError."""
        pipe = self._process.stdout
        assert pipe is not None
        if not select.select([pipe], [], [], timeout)[0]:
            raise FailedError(f"no answer within {timeout:.0f} s")
        line = pipe.readline()
        if not line:
            raise FailedError(self._last_words())
        answer: dict[str, float] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        self._errors.seek(0)
        return (self._errors.read().decode("utf-8", "replace").strip().splitlines() or ["ended"])[-1]


@contextlib.contextmanager
def running_sink() -> Iterator[Sink]:
    """A sink for the length of a ``with``."""
    sink = Sink()
    try:
        yield sink
    finally:
        sink.close()


@contextlib.contextmanager
def running(name: str, ports: list[int], **opening: Any) -> Iterator[Child]:
    """A child with its adapter open; killed at the end."""
    child = Child(name)
    try:
        child.ask("open", ports=ports, **opening)
        yield child
    finally:
        child.close()


def _start(module: str, *arguments: str, stderr: IO[bytes] | None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def _stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
