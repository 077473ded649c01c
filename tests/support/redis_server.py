"""A redis-server of the test's own: started on a free port of loopback, ended by its id."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import needed
from servers import free_port


def require() -> None:
    """Skip where there is no redis-server or redis-py."""
    needed.command("redis-server")
    needed.module("redis")


class RedisServer:
    """Runs in *directory* until ``stop``; *settings* are its configuration."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.port = free_port()
        while self.port > 55_000:  # a cluster's bus listens 10,000 above
            self.port = free_port()
        self._directory = directory
        self._settings = {"save": "", "appendonly": "no", "bind": "127.0.0.1", **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers (or wants a password)."""
        words = [
            word for name, value in self._settings.items() for word in (f"--{name.replace('_', '-')}", value)
        ]
        command = ["redis-server", "--port", str(self.port), "--dir", str(self._directory), *words]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not self._is_ready():
            assert self._process.poll() is None, "redis-server ended"
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        import redis

        try:
            self.client().ping()
        except (redis.exceptions.BusyLoadingError, redis.exceptions.AuthenticationError) as error:
            return isinstance(error, redis.exceptions.AuthenticationError)
        except redis.ConnectionError:
            return False
        except redis.ResponseError:
            return True
        return True

    def client(self, **options):
        """A client for the test's own questions."""
        import redis

        options.setdefault("password", self._settings.get("requirepass"))
        return redis.Redis(port=self.port, protocol=2, **options)

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(20)

    def stop(self) -> None:
        """End it, also a stopped one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
