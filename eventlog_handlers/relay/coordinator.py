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
    """See ``contract.Coordinator``. *account* falls back by itself; while Redis is away *queue* has nothing
    to tell, and *say(key, text)* is told so."""

    def __init__(
        self, account: Coordinator, queue: FleetCoordinator, say: Callable[[str, str], None]
    ) -> None:
        self._account = account
        self._queue = queue
        self._say = say
        self._untold: list[Telling] = []

    @property
    def scope(self) -> str:
        """Who shares."""
        return self._account.scope

    def take(self, *, must: bool = False) -> Place:
        """Of the account."""
        return self._account.take(must=must)

    def throttled(self, retry_after: float | None = None) -> None:
        """Of the account."""
        self._account.throttled(retry_after)

    def answered(self) -> None:
        """Of the account."""
        self._account.answered()

    def charge(self, criticals: Sequence[bool]) -> list[Spent | None]:
        """Of the account."""
        return self._account.charge(criticals)

    def fold(self, occurrences: Sequence[Occurrence]) -> list[Verdict]:
        """A relay folds nothing: that was done when the events were put."""
        return [Verdict.SEND] * len(occurrences)

    def due(self, *, everything: bool = False) -> list[Telling]:
        """Of the queue; none while Redis is away. Never all at once: other relays, or the next start of this
        one, tell what is open."""
        try:
            self._tell()
            return self._queue.due()
        except CoordinatorError as error:
            self._say("summaries", f"summaries wait until Redis answers: {error}")
            return []

    def told(self, tellings: Sequence[Telling]) -> None:
        """Of the queue; said again later where Redis is away now."""
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
        """Of the queue."""
        return self._queue.next_look()

    def leave_sample(self, problem: bytes, sample: bytes) -> None:
        """Was left when the event was put."""

    def sample(self, problem: bytes) -> bytes | None:
        """Of the queue."""
        return self._queue.sample(problem)

    def publish(self, counters: Mapping[str, int]) -> None:
        """To the relays of the queue."""
        self._queue.publish(counters)

    def members(self) -> list[Member]:
        """The relays of the queue."""
        return self._queue.members()

    def others(self) -> int:
        """Other relays of the queue; one at least, so that nothing is told before its time."""
        return max(1, self._queue.others())

    def sums(self) -> Sums:
        """Of the queue."""
        return self._queue.sums()

    def state(self) -> dict[str, Any]:
        """Of the account."""
        return self._account.state()

    def after_fork_in_child(self) -> None:
        """A relay does not fork; for the contract's sake."""
        self._account.after_fork_in_child()
        self._queue.after_fork_in_child()

    def close(self) -> None:
        """Leave."""
        self._account.close()
        self._queue.close()
