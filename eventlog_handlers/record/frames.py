"""The frames of a traceback, captured as code objects and offsets. Runs in the thread that logs.

No frame is kept: it would keep its local variables alive. Here: walking a traceback within bounds.
Not here: printing (traceback_text.py).
"""

from __future__ import annotations

import linecache
import sys
from collections import deque
from types import CodeType, TracebackType
from typing import Any, TypeAlias

from eventlog_handlers.process.own_traffic import MAX_READING_DEPTH, reading
from eventlog_handlers.record.plain import EXIT_EXCEPTIONS

FRAMES_FIRST = 50
FRAMES_LAST = 150
HAS_POSITIONS = sys.version_info >= (3, 11)
"""Code objects know columns, and lines better than tb_lineno does."""

Frames: TypeAlias = tuple[CodeType | None, int, int, int]
"""Entries of a traceback that are the same: code, offset of the instruction, line (0: ask the code object),
how many of them. Without code: so many were left out. A plain tuple, because one is made for each frame."""


def walked(tb: TracebackType | None) -> list[Frames]:
    """The entries of a traceback, outermost first; past the bounds the first and the last of them."""
    frames: list[Frames] = []
    loaded = linecache.cache
    entry = tb
    while entry is not None:
        frame = entry.tb_frame
        code = frame.f_code
        offset = entry.tb_lasti
        if code.co_filename not in loaded:
            _remember_loader(code.co_filename, frame.f_globals)
        frames.append((code, offset, 0 if HAS_POSITIONS and offset >= 0 else entry.tb_lineno, 1))
        if len(frames) > FRAMES_FIRST + FRAMES_LAST:
            return _walked_far(tb)
        entry = entry.tb_next
    return frames


def _walked_far(tb: TracebackType | None) -> list[Frames]:
    """As ``walked``, for deep tracebacks: equal neighbours become one, then the middle is left out."""
    first: list[Frames] = []
    last: deque[Frames] = deque(maxlen=FRAMES_LAST)
    left_out = times = 0
    code: CodeType | None = None
    offset = line = 0
    while True:
        if tb is not None and tb.tb_frame.f_code is code and tb.tb_lasti == offset:
            times += 1
            tb = tb.tb_next
            continue
        if code is not None:
            if len(first) < FRAMES_FIRST:
                first.append((code, offset, line, times))
            else:
                left_out += last[0][3] if len(last) == FRAMES_LAST else 0
                last.append((code, offset, line, times))
        if tb is None:
            break
        code, offset, times = tb.tb_frame.f_code, tb.tb_lasti, 1
        line = 0 if HAS_POSITIONS and offset >= 0 else tb.tb_lineno
        if code.co_filename not in linecache.cache:
            _remember_loader(code.co_filename, tb.tb_frame.f_globals)
        tb = tb.tb_next
    return [*first, (None, 0, 0, left_out), *last] if left_out else [*first, *last]


def _remember_loader(file: str, module_globals: dict[str, Any]) -> None:
    """Let ``linecache`` find the source of modules from an archive; failing costs source lines."""
    depth = reading.depth
    if depth >= MAX_READING_DEPTH:  # the loader logs while it is asked
        return
    reading.depth = depth + 1
    try:
        linecache.lazycache(file, module_globals)
    except EXIT_EXCEPTIONS:
        raise
    except BaseException:  # a module with a strange __loader__ or __spec__
        return
    finally:
        reading.depth = depth
