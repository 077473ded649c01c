"""What the relays of one queue agree on: the account's rate limit and budgets, and the queue's problems.

Rate limit and budgets belong to the account, whatever queue or process uses it. Problems were folded when
their events were put, and belong to the queue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eventlog_handlers.share.contract import (
    Coordinator,
    CoordinatorError,
    Member,
    Occurrence,
    Place,
    Spent,
    Sums,
    Telling,
    Verdict,
)
from eventlog_handlers.share.fleet import FleetCoordinator


class RelayCoordinator:
    """The contract ``Coordinator``, put together from two: *account* answers what is about requests, *queue*
    what is about problems. While Redis does not answer, *account* falls back by itself, *queue* has nothing
    to tell, and *say(key, text)* tells the user so."""

    def __init__(
        self, account: Coordinator, queue: FleetCoordinator, say: Callable[[str, str], None]
    ) -> None:
        self._account = account
        self._queue = queue
        self._say = say
        self._untold: list[Telling] = []

    @property
    def scope(self) -> str:
        """The scope of the account's rate limit."""
        return self._account.scope

    def take(self, *, must: bool = False) -> Place:
        """Take a place in the account's rate limit."""
        return self._account.take(must=must)

    def throttled(self, retry_after: float | None = None) -> None:
        """The service found the account too fast."""
        self._account.throttled(retry_after)

    def answered(self) -> None:
        """The service took a request of the account."""
        self._account.answered()

    def charge(self, criticals: Sequence[bool]) -> list[Spent | None]:
        """Charge the account's budgets, one event each."""
        return self._account.charge(criticals)

    def fold(self, occurrences: Sequence[Occurrence]) -> list[Verdict]:
        """A relay folds nothing: that was done when the events were put."""
        return [Verdict.SEND] * len(occurrences)

    def due(self, *, everything: bool = False) -> list[Telling]:
        """Summaries of the queue whose window is over; none while Redis does not answer.

        *everything* changes nothing: other relays, or the next start of this one, tell what is still open.
        """
        try:
            self._tell()
            return self._queue.due()
        except CoordinatorError as error:
            self._say("summaries", f"summaries wait until Redis answers: {error}")
            return []

    def told(self, tellings: Sequence[Telling]) -> None:
        """These summaries are settled. Where Redis does not answer now, it is told later."""
        self._untold += tellings
        try:
            self._tell()
        except CoordinatorError as error:
            self._say("summaries", f"summaries wait until Redis answers: {error}")

    def _tell(self) -> None:
        if self._untold:
            self._queue.told(self._untold)
            self._untold = []

    def next_look(self) -> float | None:
        """Seconds until ``due`` may have a summary of the queue."""
        return self._queue.next_look()

    def leave_sample(self, problem: bytes, sample: bytes) -> None:
        """Nothing to do: the application left the sample when it put the event."""

    def sample(self, problem: bytes) -> bytes | None:
        """The event that the application kept of *problem*, or None."""
        return self._queue.sample(problem)

    def publish(self, counters: Mapping[str, int]) -> None:
        """Show this relay's counters to the other relays of the queue."""
        self._queue.publish(counters)

    def members(self) -> list[Member]:
        """The relays that serve the queue."""
        return self._queue.members()

    def others(self) -> int:
        """How many other relays serve the queue; at least 1, so that no summary is told before its time."""
        return max(1, self._queue.others())

    def sums(self) -> Sums:
        """The queue's table of problems, added up."""
        return self._queue.sums()

    def state(self) -> dict[str, Any]:
        """The account's rate limit and budgets, for ``stats()``."""
        return self._account.state()

    def after_fork_in_child(self) -> None:
        """A relay does not fork. The contract asks for it."""
        self._account.after_fork_in_child()
        self._queue.after_fork_in_child()

    def close(self) -> None:
        """Leave both."""
        self._account.close()
        self._queue.close()
