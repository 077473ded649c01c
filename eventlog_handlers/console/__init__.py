"""A local stand-in of CMS, Guance and CloudWatch Events: one port, three protocols, a page to look at.

It is as strict as the services' documents allow, and answers in their shapes. Nothing here reaches a real
service. ``server.LocalConsole`` runs it on a thread, ``eventlog-handlers console`` in the foreground.
This module only checks that the packages it needs are installed.
"""

from __future__ import annotations

from importlib.util import find_spec

from eventlog_handlers.errors import MissingExtraError

_EXTRA_OF = {"starlette": "console", "uvicorn": "console", "botocore": "console", "boto3": "aws"}


def require_extra(*more: str) -> None:
    """Raise MissingExtraError with the pip line that mends it, unless the stand-in can be imported.

    *more* are further packages that the caller needs, of those the extras bring.
    """
    needed = [name for name, extra in _EXTRA_OF.items() if extra == "console" or name in more]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        extras = ",".join(dict.fromkeys(_EXTRA_OF[name] for name in needed))
        raise MissingExtraError(
            f"{', '.join(missing)} not installed: pip install 'eventlog-handlers[{extras}]'"
        )
