"""Fixtures: a redis-server for the tests that need one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis_server
from redis_server import RedisServer


@pytest.fixture(scope="session")
def _common_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    redis_server.require()
    started = RedisServer(tmp_path_factory.mktemp("redis"))
    yield started
    started.stop()


@pytest.fixture
def server(_common_server: RedisServer) -> RedisServer:
    """An empty Redis, for a test that does not change how it works."""
    _common_server.client().flushall()
    return _common_server


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts a Redis of the test's own."""
    redis_server.require()
    started: list[RedisServer] = []

    def start(**settings: str) -> RedisServer:
        started.append(RedisServer(tmp_path, **settings))
        return started[-1]

    yield start
    for one in started:
        one.stop()
