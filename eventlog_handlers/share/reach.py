"""Whether the shared coordinator answers, and when to ask it again. Pure: time and chance are arguments.

It answers, or it is busy (another process holds its lock), or it is away: then this process decides alone and
asks again at growing distances.
"""

from __future__ import annotations

TOLERANCE_SECONDS = 0.25
"""A lock held for longer than that belongs to a stopped process."""
FIRST_PROBE_SECONDS = 0.25
LAST_PROBE_SECONDS = 10.0
REMEDY_PROBE_SECONDS = 60.0
"""The longest time between two looks whether a human hand has mended what needs one."""


class Reach:
    """The state of one shared coordinator. Moments are seconds of one clock."""

    def __init__(self) -> None:
        self.is_away = False
        """It gives no answer, so this process decides alone."""
        self.why = ""
        """The last reason, "" while it answers."""
        self.probe_at = float("-inf")
        self._probes = 0
        self._busy_since: float | None = None

    def is_steady(self) -> bool:
        """Whether it answered last time."""
        return self._busy_since is None and not self.is_away

    def may_ask(self, now: float) -> bool:
        """Whether to ask it now."""
        return not self.is_away or now >= self.probe_at

    def answered(self) -> None:
        """It gave an answer."""
        self.is_away, self._busy_since = False, None
        self._probes = 0
        self.why = ""

    def is_busy_for_a_moment(self, now: float) -> bool:
        """Note that another process holds its lock; False once that lasts longer than TOLERANCE_SECONDS."""
        if self._busy_since is None:
            self._busy_since = now
        return now - self._busy_since < TOLERANCE_SECONDS

    def went_away(self, why: str, now: float, rand: float, *, is_busy: bool, has_remedy: bool) -> None:
        """It gave no answer, because of *why*. *has_remedy*: the user has to change something first."""
        self.is_away = True
        self.why = why
        longest = REMEDY_PROBE_SECONDS if has_remedy else LAST_PROBE_SECONDS
        delay = FIRST_PROBE_SECONDS * (1 if is_busy else 2 ** min(self._probes, 10))
        self._probes += 1
        self.probe_at = now + min(longest, delay) * (0.5 + rand)
