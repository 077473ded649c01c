"""How long repeats of one problem are counted before their summary goes: the windows of folding. Pure.

The rule is the same for the folds of one handler, for problems that processes share, and for the estimate.
"""

from __future__ import annotations

MAX_WINDOW_SECONDS = 900.0


def next_window(window: float, first: float) -> float:
    """Seconds of the window after one of *window* seconds in which repeats came; *first* is the setting."""
    return min(2 * window, max(MAX_WINDOW_SECONDS, first))


def window_after_quiet(window: float, quiet_seconds: float, first: float) -> float:
    """Seconds of a new window, *quiet_seconds* after one of *window* seconds ended without a repeat."""
    window /= 2
    while window > first and quiet_seconds >= window:
        quiet_seconds -= window
        window /= 2
    return max(window, first)
