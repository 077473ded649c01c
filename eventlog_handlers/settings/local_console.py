"""The local stand-in: its address, and the dummy credentials that it takes."""

from __future__ import annotations

from collections.abc import Mapping

CONSOLE_URL = "http://127.0.0.1:8799"


CONSOLE_ACCESS_KEY_ID = "LTAIeventlogconsole0"


CONSOLE_ACCESS_KEY_SECRET = "eventlog-console-secret"  # noqa: S105 - known to all: opens only the local stand-in


CONSOLE_AWS_ACCESS_KEY_ID = "AKIAEVENTLOGCONSOLE0"


CONSOLE_AWS_SECRET_ACCESS_KEY = "eventlog-console-secret"  # noqa: S105 - as above


CONSOLE_GUANCE_KEY = "eventlog-console-key"


CONSOLE_AWS_REGION = "us-east-1"


def console_url(environ: Mapping[str, str]) -> str | None:
    """The local stand-in's address if ``EVENTLOG_CONSOLE`` asks for it (1, or its URL), else None."""
    value = environ.get("EVENTLOG_CONSOLE", "").strip()
    if value.lower() in ("", "0", "false", "no", "off"):
        return None
    if value.lower() in ("1", "true", "yes", "on"):
        return CONSOLE_URL
    return value.rstrip("/")
