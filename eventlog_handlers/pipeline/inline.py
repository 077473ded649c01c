"""Work in the application's own thread, where the system refuses us a thread.

The caller waits for a bounded time, and never sees an exception of this work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from eventlog_handlers.errors import described
from eventlog_handlers.pipeline.gates import Idle
from eventlog_handlers.pipeline.ledger import Ledger
from eventlog_handlers.pipeline.turns import Turns
from eventlog_handlers.process import own_traffic
from eventlog_handlers.process.self_log import SelfLog

T = TypeVar("T")


class Inline:
    """Takes turns in the calling thread. A log call that sends does so for *seconds* at most."""

    def __init__(
        self,
        turns: Turns,
        ledger: Ledger,
        *,
        clock: Callable[[], float],
        self_log: SelfLog,
        seconds: float,
    ) -> None:
        self._turns = turns
        self._ledger = ledger
        self._clock = clock
        self._self_log = self_log
        self._seconds = seconds

    def send(self) -> None:
        """Send waiting events from a log call, so that they do not wait for the end of the process."""
        if (
            self._turns.is_in_use_here()
        ):  # a signal handler logs within stats() or flush() of this very thread
            return
        deadline = self._clock() + self._seconds
        ticket = self._ledger.open_ticket(sum_up=False)  # so that nothing waits for a full batch
        try:
            self.step_until_idle(deadline)
        finally:
            self._ledger.close_ticket(ticket)

    def step_until_idle(self, deadline: float, is_done: Callable[[], bool] = lambda: False) -> None:
        """Take turns while there is something to do, until *is_done* or *deadline* (monotonic)."""
        while not is_done() and self._clock() < deadline and self.step(deadline) is None:
            pass

    def step(self, deadline: float) -> Idle | None:
        """One turn; what to wait for, or None if there was something to do."""
        idle = self.attempt(lambda: (self._turns.step(deadline=deadline),))
        return idle[0] if idle else Idle(None, 1)

    def render(self, until: Callable[[], bool]) -> None:
        """Render captures until *until* says that it is enough, or none is left."""
        while not until() and self.attempt(self._turns.render_some):
            pass

    def attempt(self, work: Callable[[], T]) -> T | None:
        """Do *work*; None if it raised."""
        with own_traffic.at_work():
            try:
                return work()
            except Exception as error:
                self._self_log.say_once("broke off", f"a turn broke off: {described(error)}")
                return None
