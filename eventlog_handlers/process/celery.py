"""For Celery: keeps our handlers attached, names the task, flushes when a process ends. Imports none of it.

A worker that starts empties the root logger's list of handlers and makes its own
(``worker_hijack_root_logger``, on by default). The handlers of this package are noted right before, and put
back by Celery's own signals.

The children of Celery's prefork pool (warm shutdown, ``--max-tasks-per-child``) leave by ``os._exit`` and run
no exit hook of Python's, only Celery's signal ``worker_process_shutdown``.

Between the signals ``task_prerun`` and ``task_postrun`` each event has the task's name and id.

Nothing needs to be done for any of that. In a worker Celery is loaded before the application is, so its
signals are there when a handler is constructed. Read in the source of Celery 5.7: ``celery/app/log.py``,
``celery/app/trace.py`` and ``celery/apps/worker.py``.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from eventlog_handlers.listening import fields, tree

_ENDS = ("worker_process_shutdown", "worker_shutdown")
"""The end of a child of the prefork pool, and of the worker itself (threads, solo)."""
_BEFORE_SETUP = "celeryd_init"
_AFTER_SETUP = ("after_setup_logger", "after_setup_task_logger")

_BEFORE_TASK, _AFTER_TASK = "task_prerun", "task_postrun"
_tokens: dict[str, Any] = {}
"""The token that takes a task's fields off again, by the task's id."""

_attached: list[tuple[logging.Logger, logging.Handler]] = []
"""The handlers of ours, each with its logger, before Celery set logging up."""


def connect(flush: Callable[[], None]) -> bool:
    """Have Celery call *flush* when a worker process ends; False where Celery isn't loaded.

    *flush* must return within a few seconds. Calling it again changes nothing, also in a forked child.
    """

    def at_the_end(**_: Any) -> None:
        flush()

    return _connect(_ENDS, at_the_end)


def keep_attached() -> bool:
    """Have our handlers stay where they are when a worker starts, and events name the task they came from.

    False where Celery isn't loaded. Calling it again changes nothing.
    """
    return (
        _connect((_BEFORE_SETUP,), _note_attached)
        and _connect(_AFTER_SETUP, _put_back)
        and _connect((_BEFORE_TASK,), _begin_task)
        and _connect((_AFTER_TASK,), _end_task)
    )


def _connect(names: tuple[str, ...], receiver: Callable[..., None]) -> bool:
    signals = sys.modules.get("celery.signals")
    if signals is None or not all(hasattr(signals, name) for name in names):  # not, or not yet, loaded
        return False
    for name in names:
        getattr(signals, name).connect(receiver, weak=False, dispatch_uid=f"eventlog_handlers.{name}")
    return True


def _note_attached(**_: Any) -> None:
    _attached[:] = [
        (logger, handler) for logger in tree.loggers() for handler in logger.handlers if tree.is_ours(handler)
    ]


def _put_back(**_: Any) -> None:
    for logger, handler in _attached:
        if handler not in logger.handlers:
            logger.addHandler(handler)
    # Celery gives this logger a handler of its own and stops its records there.
    task_logger = logging.getLogger("celery.task")
    if not task_logger.propagate:
        for handler in _heard_by_root():
            if handler not in task_logger.handlers:
                task_logger.addHandler(handler)


def _begin_task(sender: Any = None, task_id: object = None, **_: Any) -> None:
    name = getattr(sender, "name", None)
    if type(task_id) is str and type(name) is str:
        _tokens[task_id] = fields.bind({"task_name": name, "task_id": task_id})


def _end_task(task_id: object = None, **_: Any) -> None:
    token = _tokens.pop(task_id, None) if type(task_id) is str else None
    if token is not None:
        fields.unbind(token)


def _heard_by_root() -> list[logging.Handler]:
    root = logging.getLogger()
    return [handler for logger, handler in _attached if logger is root]
