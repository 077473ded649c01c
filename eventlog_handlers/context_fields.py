"""``context``: fields for every event of a request, a task or any other block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.listening import fields as context_variable
from eventlog_handlers.record.fields import STEERING
from eventlog_handlers.record.plain import Plain


@contextmanager
def context(**fields: Any) -> Iterator[None]:
    """Put *fields* on every event that is logged within the block; blocks may nest.

        with context(request_id="8c1f", user="U-7"):
            ...

    Also a decorator of functions (not of coroutine functions). Values are read once, when the block begins,
    and shown as extras are, secrets redacted. A record's own extra of the same name wins. It reaches the
    block's own thread and what Python carries context into: coroutines, tasks and ``asyncio.to_thread``, not
    a ``threading.Thread`` (3.14 may be set to do that). Raises SettingsError for a name that steers an event,
    such as ``group_id``: give these in ``extra``.
    """
    steering = [name for name in fields if name in STEERING]
    if steering:
        raise SettingsError(f"context takes no {steering[0]!r}, which steers one event: give it in extra")
    plain = Plain([])
    token = context_variable.bind({name: plain.of(value, name) for name, value in fields.items()})
    try:
        yield
    finally:
        context_variable.unbind(token)
