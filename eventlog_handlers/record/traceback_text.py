"""Prints a captured exception as the standard library would. Runs in the worker's thread.

Reads source lines through ``linecache``. The text is made by the running interpreter's own formatter.
"""

from __future__ import annotations

import contextlib
import itertools
import linecache
import sys
import traceback
from collections.abc import Generator, Iterable
from types import CodeType
from typing import Any

from eventlog_handlers.events import ExceptionText
from eventlog_handlers.process.fork import importing
from eventlog_handlers.record.exceptions import GROUP_DEPTH, GROUP_WIDTH, Link, import_for_last_lines
from eventlog_handlers.record.frames import HAS_POSITIONS, Frames
from eventlog_handlers.text.fit import cut, encodable, shorten

MAX_STACKTRACE_BYTES = 262_144
TRACEBACK = "Traceback (most recent call last):"
"""The first line of every printed traceback."""


_REPEATED = 3  # frames printed before "[Previous line repeated …]"; traceback._RECURSIVE_CUTOFF


_CACHED_FRAMES = 2_000


def render(link: Link) -> ExceptionText:
    """The exception as text. Reads source files through ``linecache``; touches no live exception."""
    import_for_printing()
    text = "".join(_printed(link, _StackTexts()).format())
    return ExceptionText(
        type=encodable(link.type),
        message=encodable(link.message),
        stacktrace=cut(encodable(text.removesuffix("\n")), MAX_STACKTRACE_BYTES, tail=0.5),
        chain=tuple(encodable(below.type) for below in link.chain()),
    )


_has_printed = False


def import_for_printing() -> None:
    """Import what printing a traceback imports at its first use, while forks wait.

    Beside what its last lines need, ``traceback`` imports ``ast`` for a line with carets, and ``linecache``
    ``tokenize`` for any line. That takes milliseconds, so it is not done in the log call.
    """
    global _has_printed
    if not _has_printed:
        import_for_last_lines()
        with contextlib.suppress(ImportError), importing():
            import ast  # noqa: F401
            import tokenize  # noqa: F401

            _has_printed = True


class _Printed(traceback.TracebackException):
    """Has the attributes of a ``TracebackException`` that its ``format`` reads."""

    def __init__(self, lines: Iterable[str], stack: list[str], suppress: bool) -> None:
        # The base is not called: it wants the live exception.
        self._lines = tuple(lines)
        self.stack = _Stack(stack)  # type: ignore[arg-type]
        self.exceptions = None
        self.max_group_width = GROUP_WIDTH
        self.max_group_depth = GROUP_DEPTH
        self.__cause__ = None
        self.__context__ = None
        self.__suppress_context__ = suppress

    def format_exception_only(self, **_: Any) -> Generator[str, None, None]:
        yield from self._lines


class _Stack(traceback.StackSummary):
    """A stack whose items are already printed."""

    def format(self, **_: Any) -> list[str]:
        return list(self)  # type: ignore[arg-type]


def _printed(top: Link, stack_texts: _StackTexts) -> _Printed:
    def alone(link: Link) -> _Printed:
        return _Printed(link.lines, stack_texts.of(link.frames), link.suppress)

    result = alone(top)
    waiting = [(result, top)]
    while waiting:
        printed, link = waiting.pop()
        for name, below in (("__cause__", link.cause), ("__context__", link.context)):
            if below is not None:
                shown = alone(below)
                waiting.append((shown, below))
                if link.gap:
                    gap = _Printed((f"[… {link.gap} exceptions of the chain left out …]\n",), [], False)
                    gap.__context__ = shown
                    shown = gap
                setattr(printed, name, shown)
        if link.members is not None:
            members = [alone(member) for member in link.members]
            waiting.extend(zip(members, link.members, strict=True))
            missing = min(link.member_count, GROUP_WIDTH) - len(members)
            members += [_Printed(("[… left out …]\n",), [], False)] * max(missing, 0)
            printed.exceptions = _Members(members, link.member_count)  # type: ignore[assignment]
    return result


class _Members(list[_Printed]):
    """The members of a group that are printed. Its length counts all: the printer says how many are left."""

    def __init__(self, shown: list[_Printed], count: int) -> None:
        super().__init__(shown)
        self._count = count

    def __len__(self) -> int:
        return self._count


class _StackTexts:
    """Prints stacks; asks once per exception whether a source file has changed."""

    def __init__(self) -> None:
        self._checked: set[str] = set()

    def of(self, frames: Iterable[Frames]) -> list[str]:
        """As ``StackSummary.format`` prints these entries, repetitions folded."""
        limit = getattr(sys, "tracebacklimit", None)
        if limit is not None:
            frames = itertools.islice(frames, max(limit, 0))
        texts: list[str] = []
        previous: tuple[str, int | None, str] | None = None
        count = 0
        for code, offset, line, times in frames:
            if code is None:
                texts += [*_repetition(count), f"  [… {times} frames left out …]\n"]
                previous, count = None, 0
                continue
            number, text = self._frame(code, offset, line)
            place = (code.co_filename, number, code.co_name)
            if place != previous or number is None:
                texts += _repetition(count)
                previous, count = place, 0
            texts += [text] * min(times, max(_REPEATED - count, 0))
            count += times
        return texts + _repetition(count)

    def _frame(self, code: CodeType, offset: int, line: int) -> tuple[int | None, str]:
        file = code.co_filename
        if file not in self._checked:
            linecache.checkcache(file)
            self._checked.add(file)
        # Equal code objects may come from different files; a source read anew is another object.
        key = (file, code, offset, line)
        source = linecache.cache.get(file)
        found = _FRAME_TEXTS.get(key)
        if found is not None and found[0] is source:
            return found[1], found[2]
        number, end, column, end_column = _position(code, offset)
        if number is None:
            number = line or None
        columns = {"end_lineno": end, "colno": column, "end_colno": end_column} if HAS_POSITIONS else {}
        summary = traceback.FrameSummary(file, number, code.co_name, lookup_line=False, **columns)  # type: ignore[arg-type]
        text = "".join(traceback.StackSummary([summary]).format())
        if len(_FRAME_TEXTS) >= _CACHED_FRAMES:
            _FRAME_TEXTS.clear()
        # Formatting has loaded the source if it could be.
        _FRAME_TEXTS[key] = (linecache.cache.get(file), number, text)
        return number, text


# Printing a frame parses its source line to place the carets: 50 µs that the same frame need not cost again.
# Written by workers only; a lost update costs those 50 µs.
_FRAME_TEXTS: dict[tuple[str, CodeType, int, int], tuple[object, int | None, str]] = {}


def _position(code: CodeType, offset: int) -> tuple[int | None, int | None, int | None, int | None]:
    """Line, end line and columns of an instruction; all None where the code object does not know."""
    if not HAS_POSITIONS or offset < 0:
        return (None, None, None, None)
    nothing = (None, None, None, None)
    return next(itertools.islice(code.co_positions(), offset // 2, None), nothing)


def _repetition(count: int) -> list[str]:
    more = count - _REPEATED
    return [f"  [Previous line repeated {more} more time{'s' if more > 1 else ''}]\n"] if more > 0 else []


def parsed(text: str) -> ExceptionText:
    """An exception of which only the printed text is left: type and message are read off its last line."""
    shown = shorten(encodable(text.strip("\n")), MAX_STACKTRACE_BYTES)
    final = next((line for line in reversed(shown.split("\n")) if line and not line[0].isspace()), "")
    name, _, message = final.partition(": ")
    if not name or not all(part.isidentifier() or part == "<locals>" for part in name.split(".")):
        name, message = "Exception", final
    return ExceptionText(type=name, message=message, stacktrace=shown, chain=(name,))
