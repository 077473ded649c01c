"""Randomness for event ids and for delays. Imports nothing of ours.

The numbers come from a generator in this process, and not from the system each time: ``os.urandom`` gives up
the GIL, and a thread that gave it up among busy ones waits for milliseconds to get it back. The generator is
seeded by the system, and again in each forked child, because two processes must never make the same ids.
Python's hook does that. uWSGI forks without the hooks: there it is done where a handler is made in a child,
or first used. Ids are unique, not secret.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from functools import partial

_generator = random.Random()  # noqa: S311 - not for cryptography
_seeded_by = os.getpid()

random_bits: Callable[[], int] = partial(_generator.getrandbits, 128)
"""128 of them. Safe in any thread and signal handler: one indivisible step of the interpreter."""

random_fraction = _generator.random
"""From 0 to 1. The ``random`` module's own is the application's, which may have seeded it for a purpose."""


def reseed() -> None:
    """Begin anew from the system's randomness."""
    global _seeded_by
    _seeded_by = os.getpid()
    _generator.seed()


def reseed_if_forked() -> None:
    """Begin anew if this process is a child of the one that was seeded. Called where a handler is made."""
    if _seeded_by != os.getpid():
        reseed()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reseed)
