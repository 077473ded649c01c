"""Each test of the relay has a Redis."""

from __future__ import annotations

from redis_fixtures import _common_server as _common_server
from redis_fixtures import own as own
from redis_fixtures import server as server
