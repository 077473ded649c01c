"""The clocks of the package: monotonic, in seconds."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

monotonic: Callable[[], float] = (
    functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    if hasattr(time, "clock_gettime")
    else time.monotonic  # Windows
)
"""Seconds of the system's monotonic clock, in the one form that freezegun and time-machine don't reach."""

boot_time: Callable[[], float] = (
    functools.partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_BOOTTIME")
    else monotonic
)
"""The same, and it goes on while the machine sleeps; where the system has no such clock, ``monotonic``."""
