"""Randomness for event ids and for delays. Imports nothing of ours.

From a generator in this process and not from the system each time: ``os.urandom`` gives up the GIL, and a
thread that gave it up among busy ones waits for milliseconds to get it back. It is seeded by the system and
again in each forked child, for two processes must never make the same ids. Ids are unique, not secret.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

_generator = random.Random()  # noqa: S311 - not for cryptography

random_bits: Callable[[], int] = partial(_generator.getrandbits, 128)
"""128 of them. Safe in any thread and signal handler: one indivisible step of the interpreter."""

random_fraction = _generator.random
"""From 0 to 1. The ``random`` module's own is the application's, which may have seeded it for a purpose."""

reseed = _generator.seed
"""Begin anew from the system's randomness, as every worker does in a forked child."""
