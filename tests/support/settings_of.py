"""The three services' options by name, for tests that go through all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventlog_handlers.services.cloudwatch.options import cloudwatch
from eventlog_handlers.services.cms.options import cms
from eventlog_handlers.services.guance.options import guance

SETTINGS_OF: dict[str, Callable[..., Any]] = {"cms": cms, "guance": guance, "cloudwatch": cloudwatch}
