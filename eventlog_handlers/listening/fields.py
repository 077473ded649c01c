"""Fields that are put on every event of the current request, task or block; kept in one context variable.

Python carries a context variable along: into coroutines and tasks, ``asyncio.to_thread``, greenlets, and into
threads from 3.14 on where Python is built or set to do so. As long as nothing is bound in a process, a log
call only looks at ``is_used``.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Any

MAX_FIELDS = 50
NONE: Mapping[str, Any] = {}
_current: ContextVar[Mapping[str, Any]] = ContextVar("eventlog_handlers", default=NONE)

is_used = False
"""Whether anything was ever bound in this process."""


def bind(more: Mapping[str, Any]) -> Token[Mapping[str, Any]]:
    """Add *more*, plain values that can't change, to the fields of this context; ``unbind`` takes them off.

    Where both have a name *more* wins. No more than MAX_FIELDS are kept.
    """
    global is_used
    is_used = True
    together = {**_current.get(), **more}
    for name in list(together)[MAX_FIELDS:]:
        del together[name]
    return _current.set(together)


def unbind(token: Token[Mapping[str, Any]]) -> None:
    """Undo that ``bind``. In another context than its own (a generator closed elsewhere) nothing is done."""
    try:
        _current.reset(token)
    except ValueError:
        return


def current() -> Mapping[str, Any]:
    """The fields of this context. Never changed in place."""
    return _current.get()


def under(extras: dict[str, Any] | None) -> dict[str, Any] | None:
    """*extras* of one log call with the context's fields below them: a name of its own wins."""
    fields = _current.get()
    if not fields:
        return extras
    return {**fields, **extras} if extras else dict(fields)
