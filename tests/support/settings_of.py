"""The services' settings by name, for tests that go through all of them."""

from __future__ import annotations

from eventlog_handlers.services.registry import SERVICES

SETTINGS_OF = {service.scheme: service.settings for service in SERVICES.values()}
