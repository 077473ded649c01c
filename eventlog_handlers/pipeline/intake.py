"""Where emit leaves its captures: the caller's side of the pipeline, without a lock.

A signal handler, a ``__del__`` or a weakref callback may log at any instruction of another emit on the same
thread. ``deque.append`` and ``popleft`` are the only operations that survive that on every version, so
there is nothing else here. What must be counted is left as a level number for the worker to count.
"""

from __future__ import annotations

from collections import deque

from eventlog_handlers.record.capture import Capture


class Intake:
    """Captures waiting to be rendered. *policy* is the setting ``when_full``."""

    def __init__(self, policy: str) -> None:
        # Never rebound: an emit under way in a thread that forks must lose nothing.
        self.captures: deque[Capture] = deque()
        self.shed: deque[int] = deque()
        """Levels of captures that had to give way here, not yet counted."""
        self._policy = policy

    def clear(self) -> None:
        """Forget everything: it is the parent's."""
        self.captures.clear()
        self.shed.clear()

    def shed_one(self, newest: Capture) -> None:
        """Storms may outrun the worker: the lesser of the oldest and the newest capture gives way."""
        captures = self.captures
        try:
            if self._policy == "drop_newest":
                victim = captures.pop()
            else:
                victim = captures.popleft()
                if victim.level > newest.level:
                    captures.appendleft(victim)
                    victim = captures.pop()
        except IndexError:
            return  # the worker emptied it meanwhile: there is room
        self.shed.append(victim.level)

    def take(self, count: int) -> list[Capture]:
        """Up to *count* captures, oldest first. Worker's side."""
        chunk: list[Capture] = []
        try:
            while len(chunk) < count:
                chunk.append(self.captures.popleft())
        except IndexError:
            pass  # empty now; emit may append at any moment, so asking for the length first proves nothing
        return chunk
