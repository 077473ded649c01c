"""Where ``emit`` leaves its captures: the caller's side of the pipeline, without a lock.

A signal handler, a ``__del__`` or a weakref callback may log at any instruction of another ``emit`` on the
same thread, and Ctrl-C may end a log call between any two. ``deque.append``, ``popleft`` and ``remove`` are
single operations that survive this on every version, so nothing else is used here. A drop is noted as a level
number, and the worker counts it.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

from eventlog_handlers.buffers.memory import weight_of
from eventlog_handlers.events import ExceptionText
from eventlog_handlers.process.green import TokenQueue
from eventlog_handlers.process.randomness import random_bits
from eventlog_handlers.record.captured import Capture, Captured
from eventlog_handlers.record.exceptions import Link
from eventlog_handlers.record.fields import ARGS, MSG
from eventlog_handlers.record.simple_exceptions import link_of

MEASURED = 16
"""About one capture in so many is measured, and counts for all of them.

How many are left out until the next is chance: else records that are long by turns would all be measured, or
none of them.
"""
_LONG_BYTES = 1_024  # shorter captures are bounded by their number alone
_CANDIDATES = 32  # captures that are compared when one has to be dropped
_CHUNK_BYTES = 1 << 20  # of long captures that are rendered at once
_MAX_DROPS = 64  # for one newcomer

_second: Callable[[Any], int] = itemgetter(1)
_texts: Callable[[Capture], tuple[Any, ...]] = itemgetter(
    *map(Capture._fields.index, ("fields", "message", "template", "extras", "exception", "stack"))
)


class Intake:
    """Captures that wait to be rendered.

    *policy* is the setting ``when_full``; *capacity* bounds their number, *capacity_bytes* the sum of the
    bytes of those that are long (more than a KiB each), as estimated from one capture in MEASURED.
    """

    def __init__(self, policy: str, capacity: int, capacity_bytes: int) -> None:
        # Never rebound: an emit under way in a thread that forks must lose nothing.
        self.captures: deque[Captured] = deque()
        self.dropped: deque[int] = deque()
        """Levels of captures that were dropped here, not yet counted."""
        self.long_bytes = 0
        """Of the long captures that wait. A rough sum, made without a lock; right again when none waits."""
        self._long: dict[int, int] = {}  # by id(): what a capture adds to it
        self._committing: dict[int, TokenQueue] = {}  # by id(): where a caller waits for its capture
        self._policy = policy
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes

    def clear(self) -> None:
        """Forget all captures: they are the parent's."""
        for held in (self.captures, self.dropped, self._long, self._committing):
            held.clear()
        self.long_bytes = 0

    # --- the caller's side ---------------------------------------------------------------------------------

    def bound_number(self, newest: Captured) -> None:
        """Drop a capture, *newest* perhaps, where too many wait. To be called once *newest* waits.

        The least severe goes first, of equals the oldest. Where very many wait, a sample of them is compared.
        """
        # Twice: a drop fails where another thread appends at that moment, and one too many would stay.
        for _ in range(2):
            if len(self.captures) > self._capacity:
                self._drop(self._least_severe(newest))

    def bound_bytes(self, newest: Captured) -> int:
        """Measure *newest*, which counts for MEASURED captures, and drop until those that are long fit.

        Returns after how many others one is to be measured again.
        """
        size = approximate_bytes(newest)
        if size > _LONG_BYTES:
            self._long[id(newest)] = size = MEASURED * size
            self.long_bytes += size
        if self.long_bytes > self._capacity_bytes:
            self._drop_long(newest)
        return random_bits() & (2 * MEASURED - 1)

    def _drop_long(self, newest: Captured) -> None:
        for _ in range(_MAX_DROPS):
            self._drop(self._least_severe(newest))
            if self.long_bytes <= self._capacity_bytes or not self.captures:
                return
        self._drop(newest)

    def expect(self, captured: Captured) -> TokenQueue:
        """A queue that gets its token once *captured*, which comes next, is in the buffer or dropped."""
        done = self._committing[id(captured)] = TokenQueue()
        return done

    def forget(self, captured: Captured) -> None:
        """Announce *captured* no more."""
        self._committing.pop(id(captured), None)

    def _least_severe(self, newest: Captured) -> Captured:
        if self._policy == "drop_newest":
            return newest
        victim = newest
        for candidate in self._sample():
            if candidate[0] < victim[0] or (candidate[0] == victim[0] and victim is newest):
                victim = candidate
        return victim

    def _sample(self) -> Iterator[Captured]:
        """The oldest captures, then some at even distances."""
        captures = self.captures
        count = len(captures)
        half = _CANDIDATES // 2
        step = max(1, (count - half) // half)
        try:
            for place in (*range(min(half, count)), *range(half, count, step)):
                yield captures[place]
        except IndexError:
            return  # the worker took some meanwhile

    def _drop(self, victim: Captured) -> None:
        try:
            # One step, all of it in C: nothing can come between the removal and the note of it.
            self.dropped.extend(
                map(_second, zip(map(self.captures.remove, (victim,)), (victim[0],), strict=False))
            )
        except (ValueError, IndexError):
            return  # the worker took it meanwhile, so there is room
        self._gone(victim)
        self.announce(victim)

    def _gone(self, captured: Captured) -> int:
        size = self._long.pop(id(captured), 0)
        self.long_bytes -= size
        return size

    # --- the worker's side ---------------------------------------------------------------------------------

    def take(self, count: int) -> list[Captured]:
        """Up to *count* captures, oldest first; fewer where they are long."""
        chunk: list[Captured] = []
        size = 0
        try:
            while len(chunk) < count and size < _CHUNK_BYTES:
                captured = self.captures.popleft()
                chunk.append(captured)
                if self._long:
                    size += self._gone(captured)
        except IndexError:
            # Empty now. emit may append at any moment, so asking for the length first would prove nothing.
            if not self._long:
                self.long_bytes = 0
        return chunk

    def put_back(self, chunk: list[Captured]) -> None:
        """Captures that were taken and not rendered; they come first again."""
        self.captures.extendleft(reversed(chunk))

    def announce(self, captured: Captured) -> None:
        """*captured* is in the buffer or dropped: wake the thread that waits for it, if one does."""
        if self._committing:
            done = self._committing.pop(id(captured), None)
            if done is not None:
                done.put()


def approximate_bytes(captured: Captured) -> int:
    """About what *captured* takes in memory: the size of its texts."""
    if not isinstance(captured, Capture):
        _, extras, fields, raised, _ = captured
        message, template, stack = None, fields[MSG], ""
        exception = None if raised is None else link_of(raised)
    else:
        fields, message, template, extras, exception, stack = _texts(captured)
    size = len(template) if message is None else sys.getsizeof(message)
    args = fields[ARGS]
    if type(args) is tuple:
        for value in args:
            if type(value) is str:
                size += len(value)
    if extras is not None:
        size += weight_of(extras)
    if exception is not None:
        size += _exception_bytes(exception)
    return size + len(stack)


def _exception_bytes(exception: Link | ExceptionText) -> int:
    if not isinstance(exception, Link):
        return sys.getsizeof(exception.message) + sys.getsizeof(exception.stacktrace)
    size, links = 0, exception.chain()
    while links:
        link = links.pop()
        size += sys.getsizeof(link.message) + sum(map(sys.getsizeof, link.lines))
        for member in link.members or ():
            links += member.chain()
    return size
