"""A spool that does not work: the line for stderr, and the time until the next attempt. No I/O."""

from __future__ import annotations

from collections.abc import Callable

PAUSE_SECONDS = (5.0, 60.0)  # before the file is tried again after a failure: at first, at most


class Trouble:
    """One spool's troubles: each is reported once, and each failure leaves the file alone for longer.

    *report(key, text)* is called once per change of state, never per event, with a key of its own each time.
    *clock* gives seconds.
    """

    def __init__(self, clock: Callable[[], float], report: Callable[[str, str], None]) -> None:
        self.text = ""
        """The trouble now, as a sentence; empty where there is none."""
        self.pause_seconds = PAUSE_SECONDS[0]
        """How long the next pause will be."""
        self._clock = clock
        self._report = report
        self._paused_until = float("-inf")
        self._incidents = 0
        self._told: set[str] = set()

    @property
    def is_paused(self) -> bool:
        """Whether the file is not to be tried now."""
        return self._clock() < self._paused_until

    def pause(self, why: str) -> None:
        """Leave the file alone for a while, longer each time."""
        self._paused_until = self._clock() + self.pause_seconds
        self.pause_seconds = min(2 * self.pause_seconds, PAUSE_SECONDS[1])
        if not self.text:
            self._incidents += 1
            self._report(f"spool trouble {self._incidents}", why)
        self.text = why

    def try_again(self) -> None:
        """End the pause: the file is another one, or the process is about to end."""
        self._paused_until = float("-inf")

    def over(self) -> None:
        """The file takes rows again."""
        if self.text:
            self.text = ""
            self.pause_seconds = PAUSE_SECONDS[0]
            self._report(f"spool recovered {self._incidents}", "events go to the spool again")

    def tell(self, key: str, text: str) -> None:
        """Report *text* the first time *key* comes up."""
        if key not in self._told:
            self._told.add(key)
            self._report(f"spool {key}", text)
