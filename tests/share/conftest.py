"""Each test of sharing has a runtime directory of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis_fixtures import _common_server as _common_server
from redis_fixtures import own as own
from redis_fixtures import server as server


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A runtime directory."""
    directory = tmp_path / "run"
    directory.mkdir(mode=0o700)
    return directory
