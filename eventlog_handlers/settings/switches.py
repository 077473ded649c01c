"""The environment variables that say where events go: to the local stand-in, or nowhere at all."""

from __future__ import annotations

from collections.abc import Mapping

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.settings.local_console import console_url

_ON, _OFF = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")
WITHOUT_CREDENTIALS = (
    "where nothing is to be sent set EVENTLOG_DISABLED=1 (in Django also EVENTLOG = None) or dry_run=True; "
    "to try it without an account set EVENTLOG_CONSOLE=1"
)
"""The end of each sentence that asks for credentials: a build, a migration or a test needs none."""


def is_disabled(environ: Mapping[str, str]) -> bool:
    """Whether ``EVENTLOG_DISABLED`` says that nothing is to be sent. Raises SettingsError for other words."""
    value = environ.get("EVENTLOG_DISABLED", "").strip().lower()
    if value not in (*_ON, *_OFF):
        raise SettingsError("EVENTLOG_DISABLED takes 1 (nothing is sent) or 0: set one of them, or unset it")
    return value in _ON


def notice(environ: Mapping[str, str]) -> str | None:
    """The notice for the first event where these variables redirect events; None where they don't."""
    if is_disabled(environ):
        return "EVENTLOG_DISABLED is set: no event of this process is sent"
    console = console_url(environ)
    if console is not None:
        return f"EVENTLOG_CONSOLE is set: all events of this process go to {console}, and to no service"
    return None
