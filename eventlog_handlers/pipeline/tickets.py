"""Tickets: a flush waits for one, and it is finished when everything accepted before it is settled.

A ticket is opened while captures still wait to be rendered. So it waits first until these captures have left
the intake, and then for the events that the buffer holds at that moment. Of these it knows how many are left,
not which: each is settled once, and later ones have higher keys. Under the ledger's lock.
"""

from __future__ import annotations

from collections.abc import Callable

from eventlog_handlers.process.green import TokenQueue


def nothing_more() -> bool:
    """Nothing comes later that belongs to a flush."""
    return False


class Ticket:
    """The events that one flush waits for. ``finished`` and ``done`` are read without a lock."""

    left: int
    """How many of these events are not settled; set with ``before``."""

    def __init__(self, after: int, has_more: Callable[[], bool] = nothing_more) -> None:
        self.after = after
        """How many captures must have left the intake before the events to wait for are known."""
        self.before: int | None = None
        """It waits for events with smaller keys; None while captures are still to be rendered."""
        self.summaries: set[int] = set()
        """Keys of summaries that it waits for, too."""
        self.has_more = has_more
        """Whether summaries of what is shared with other processes are still to come."""
        self.done = TokenQueue()
        self.finished = False

    def concerns(self, key: int) -> bool:
        """Whether it waits for the event of *key*."""
        return self.before is not None and (key < self.before or key in self.summaries)

    def waits_for_summaries(self) -> bool:
        """Whether a summary that comes later belongs to this flush."""
        return self.has_more is not nothing_more

    def finish(self) -> None:
        """Wake the thread that waits."""
        self.finished = True
        self.done.put()


class Tickets:
    """The open tickets of one handler."""

    def __init__(self) -> None:
        self._open: list[Ticket] = []

    def __bool__(self) -> bool:
        return bool(self._open)

    def add(self, ticket: Ticket) -> None:
        """Finish *ticket* later."""
        self._open.append(ticket)

    def discard(self, ticket: Ticket) -> None:
        """No thread waits for *ticket* any more."""
        if ticket in self._open:
            self._open.remove(ticket)

    def arm(self, left_the_intake: int, held: Callable[[], tuple[int, int]]) -> None:
        """Tell each ticket whose captures have all been put which events it waits for.

        *left_the_intake*: how many captures have, ever. *held* gives the key of the buffer's next event, and
        how many events the buffer holds.
        """
        for ticket in tuple(self._open):
            if ticket.before is not None:
                if not ticket.left:
                    self._finish_if_settled(ticket)
            elif left_the_intake >= ticket.after:
                ticket.before, ticket.left = held()
                self._finish_if_settled(ticket)

    def settled(self, key: int) -> None:
        """The event of *key* was acked or dropped."""
        for ticket in tuple(self._open):
            if ticket.concerns(key):
                ticket.left -= 1
                self._finish_if_settled(ticket)

    def keep_only(self, held: set[int]) -> None:
        """Every event whose key is not in *held* is settled."""
        for ticket in tuple(self._open):
            if ticket.before is not None:
                ticket.left = sum(map(ticket.concerns, held))
                self._finish_if_settled(ticket)

    def wait_for_summary(self, keys: set[int]) -> None:
        """A summary came in as *keys*: the flushes that it belongs to wait for it."""
        for ticket in self._open:
            if ticket.before is not None and ticket.waits_for_summaries():
                ticket.summaries |= keys
                ticket.left += len(keys)

    def _finish_if_settled(self, ticket: Ticket) -> None:
        if not ticket.left and not ticket.has_more():
            self._open.remove(ticket)
            ticket.finish()
