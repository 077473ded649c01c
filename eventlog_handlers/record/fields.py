"""The fields of a LogRecord, by place and by name, and the one-line form of those that name something."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import Any

from eventlog_handlers.record.message import MAX_TEMPLATE
from eventlog_handlers.record.plain import note, safe_text, type_name
from eventlog_handlers.text.fit import encodable, shorten

FIELDS = list(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)
"""The fields that logging gives a record, in order: a record with no others has no extras."""
FIELD_COUNT = len(FIELDS)

KEPT = (
    "name", "levelname", "pathname", "module", "lineno", "funcName",
    "created", "thread", "threadName", "process",
)  # fmt: skip
"""Of FIELDS, what an event tells of."""

TAKEN = (
    "created", "msg", "args", "levelno",
    *(name for name in KEPT if name != "created"),
    "stack_info", "exc_text", "exc_info",
)  # fmt: skip
"""Of FIELDS, what a log call reads: each costs it time, and memory as long as the capture waits.

The time is first: two captures are compared (``deque.remove``), and it tells them apart at once. The fields
of an exception are last: they are cut off, for they would keep it alive.
"""

field_values: Callable[[dict[str, Any]], tuple[Any, ...]] = itemgetter(*TAKEN)

MSG, ARGS, LEVEL, EXC_INFO, EXC_TEXT, STACK_INFO, CREATED, NAME, FUNCTION, LINE, PROCESS = map(
    TAKEN.index,
    (
        "msg", "args", "levelno", "exc_info", "exc_text", "stack_info",
        "created", "name", "funcName", "lineno", "process",
    ),
)  # fmt: skip
"""Where these stand among TAKEN."""

STEERING = ("event_name", "group_id", "event_status", "resources", "detail_type", "fingerprint")
"""Extras that decide where and as what an event goes."""


NO_FIELDS: tuple[Any, ...] = (None,) * len(TAKEN)


def text_field(value: object, default: str, what: str, defects: list[str]) -> str:
    """A field that should be text; *default* where it is None or empty."""
    if value is None:
        return default
    if type(value) is str:
        return (_name(value) if len(value) <= _SHORT else _fitted(value)) or default
    note(defects, f"{what}: is no text but {type_name(type(value))}")
    return _fitted(safe_text(value, defects, what)) or default


def _fitted(text: str) -> str:
    return encodable(shorten(text, MAX_TEMPLATE))


_SHORT = 200  # characters; longer ones are not remembered
_name = lru_cache(maxsize=2_048)(_fitted)  # a program's loggers, functions, files and threads are few
