"""A counter without a lock, for log calls that may be interrupted at any instruction.

Any thread, and any signal handler within it, adds by drawing a number from ``itertools.count``. That is one
indivisible step, with the GIL and without it, so no count is lost and none is made twice. But
``itertools.count`` can't be read without drawing. So the side that reads draws too, and remembers how many
draws were its own: the number that it drew, less those, is how often the others have added.

Two draws of the reading side say how many were added in between. So the sides agree on nothing, and neither
waits for the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable


class Tally:
    """How often ``add`` was called. ``add`` is for any thread, ``total`` for one thread at a time."""

    __slots__ = ("add", "own_draws")

    def __init__(self) -> None:
        self.add: Callable[[], int] = itertools.count().__next__
        """Count one; gives how many numbers were drawn before, by both sides."""
        self.own_draws = 0
        """How often ``total`` was asked."""

    def total(self) -> int:
        """How often ``add`` has been called."""
        added = self.add() - self.own_draws
        self.own_draws += 1
        return added
