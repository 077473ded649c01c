"""A server run and stopped as an operator would, with its output kept and its whole process group ended."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from processes import environment
from servers import free_port as free_port

APPS = Path(__file__).parent / "apps"
PATIENCE_SECONDS = 90.0  # gunicorn itself gives its workers 30 s


def eventually(happened: Callable[[], object], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for something in another process that tells nobody; AssertionError after *seconds*."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


class Operated:
    """Runs *command* in ``tests/apps`` for the length of a with block. *port* is where it answers HTTP."""

    def __init__(
        self, command: Sequence[str], *, console: str, port: int = 0, cwd: Path = APPS, **variables: str
    ) -> None:
        self._command = command
        self._environ: Mapping[str, str] = environment(
            EVENTLOG_CONSOLE=console, PYTHONUNBUFFERED="1", PYTHONWARNINGS="ignore", **variables
        )
        self._port = port
        self._cwd = cwd

    def __enter__(self) -> Operated:
        self._output = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            self._command,
            env=self._environ,
            cwd=self._cwd,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that __exit__ reaches every child that it left behind
        )
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self._last_output = self.output()
        self._output.close()

    def __repr__(self) -> str:
        """For a failed assertion: what there was to see."""
        return f"{' '.join(map(str, self._command))}, whose output ends in\n{self.output()[-4000:]}"

    def output(self) -> str:
        """What it wrote so far, on both streams."""
        if self._output.closed:
            return self._last_output
        descriptor = self._output.fileno()
        # pread: to seek would move the place at which the process writes, which it shares with this one.
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")

    def wait_for_output(self, text: str) -> None:
        """Wait until it has written *text*."""
        eventually(lambda: text in self.output() or self._has_ended(), text)
        assert text in self.output(), self.output()

    def wait_for_port(self) -> None:
        """Wait until it accepts connections."""
        eventually(lambda: self._accepts() or self._has_ended(), "a listening server")
        assert self.process.poll() is None, self.output()

    def try_get(self, path: str) -> str | None:
        """``get``, or None where that fails in whatever way."""
        try:
            return self.get(path)
        except (OSError, http.client.HTTPException, AssertionError):
            return None

    def get(self, path: str) -> str:
        """The body of the answer, over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            answer = connection.getresponse()
            body = answer.read().decode()
            assert answer.status == 200, (answer.status, body, self.output())
            return body
        finally:
            connection.close()

    def stop(self, number: int = signal.SIGTERM, *, group: bool = False) -> int:
        """Send the signal, to the whole group as a terminal does or to the first process; its exit code."""
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there after signal {number}: {self.output()}") from None

    def _has_ended(self) -> bool:
        return self.process.poll() is not None

    def _accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except OSError:
            return False
        return True
