"""Finds the rate limit of a destination: all handlers of the process with its endpoint and key share one."""

from __future__ import annotations

import os
import weakref

from eventlog_handlers.pipeline.pacing import Limit, Member, Pacer
from eventlog_handlers.process import green
from eventlog_handlers.settings.secret import Secret
from eventlog_handlers.settings.values import PipelineSettings

_lock = green.Lock()
_pacers: weakref.WeakValueDictionary[tuple[str, str, Secret | str], Pacer] = weakref.WeakValueDictionary()


def joined_pacer(
    pipeline: PipelineSettings, *, service: str, endpoint: str, key: Secret | str
) -> Member | None:
    """A part in the pacer of this destination; None where *pipeline* has no rate limit or no credentials."""
    if pipeline.requests_per_second is None or not pipeline.needs_credentials:
        return None
    name = (service, endpoint, key)
    limit = Limit(pipeline.requests_per_second, pipeline.burst, pipeline.window)
    with _lock:
        pacer = _pacers.get(name)
        if pacer is None:
            pacer = _pacers[name] = Pacer(*limit)
    return Member(pacer, limit)


def _after_fork_in_child() -> None:
    global _lock
    _lock = green.Lock()  # a thread of the parent's may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
