"""One turn of the pipeline: render captures, deliver one lease of events, hand over reports.

The threads of the pool take turns; where there is no thread, a caller takes one (``inline``). A turn returns
how long to sleep; the pool sleeps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventlog_handlers.errors import described
from eventlog_handlers.events import Event
from eventlog_handlers.pipeline.charging import Charging
from eventlog_handlers.pipeline.delivery import Delivery
from eventlog_handlers.pipeline.folds import Folds
from eventlog_handlers.pipeline.gates import Idle
from eventlog_handlers.pipeline.intake import Intake
from eventlog_handlers.pipeline.ledger import Ledger
from eventlog_handlers.pipeline.rendering import render_some
from eventlog_handlers.pipeline.reports import Notes, Reports
from eventlog_handlers.pipeline.sharing import Sharing
from eventlog_handlers.pipeline.showing import Showing
from eventlog_handlers.pipeline.thread_pool import ThreadPool
from eventlog_handlers.process import exit as process_exit
from eventlog_handlers.record.captured import Capture


class Turns:
    """The work that the threads of *pool* share. Any thread may take a turn, several at once."""

    pool: ThreadPool
    """Set once, before the first turn: the pool is made for these turns."""

    def __init__(
        self,
        intake: Intake,
        folds: Folds | None,
        ledger: Ledger,
        delivery: Delivery,
        *,
        render: Callable[[Capture], Event | None],
        charging: Charging,
        notes: Notes,
        reports: Reports,
        sharing: Sharing | None,
        showing: Showing | None,
    ) -> None:
        self._intake = intake
        self._folds = folds
        self._ledger = ledger
        self._delivery = delivery
        self._render = render
        self._charging = charging
        self._notes = notes
        self._reports = reports
        self._sharing = sharing
        self._showing = showing

    def step(self, *, deadline: float | None = None) -> Idle | None:
        """One turn, without thread or sleep: render captures, then deliver at most one lease of events.

        Returns None if there was something to do, else what to wait for. *deadline* (monotonic) shortens the
        request's timeout.
        """
        delivery, pool = self._delivery, self.pool
        idle: Idle | None = None
        try:
            self._ledger.adopt()
            rendered = self.render_some()
            planned = delivery.plan()
            if isinstance(planned, Idle):
                idle = None if rendered else self._until_folds(planned)
                return idle
            try:
                if pool.threads and delivery.wants_another_thread(alone=pool.threads == 1):
                    pool.rouse()
            finally:
                delivery.deliver(planned, deadline=deadline)  # even after an exception, for it has leases
            return None
        finally:
            self.tell()
            self._publish()
            self._show(goes_to_sleep=idle is not None)

    def render_some(self) -> bool:
        """Render a chunk of the captures; False if there is none or another thread renders.

        While the interpreter is finalizing nothing is shared: other processes are asked under locks that a
        thread may hold for ever.
        """
        sharing = None if process_exit.is_finalizing() else self._sharing
        return render_some(self._ledger, self._intake, self._render, self._charging, self._notes, sharing)

    def tell(self) -> None:
        """Hand the noted reports and lines to the observer and stderr. Under no lock."""
        self._reports.tell()
        self._notes.tell()

    def _publish(self, *, now_at_once: bool = False) -> None:
        sharing, ledger = self._sharing, self._ledger
        if sharing is None:
            return
        try:
            sharing.publish(
                lambda: sharing.calls(ledger.sums(), ledger.added_summaries), now_at_once=now_at_once
            )
        except Exception as error:  # a fault of ours, and no event is concerned
            self._notes.say_once("publish", f"counters can't be shown to other processes: {described(error)}")

    def _show(self, *, goes_to_sleep: bool, leaves: bool = False) -> None:
        """Show counters and state to ``top``, if it is time to."""
        if self._showing is None:
            return
        try:
            self._showing.show(self._shown, goes_to_sleep=goes_to_sleep, leaves=leaves)
        except Exception as error:  # a fault of ours, and no event is concerned
            self._notes.say_once("show", f"counters can't be shown to `top`: {described(error)}")

    def _shown(self) -> dict[str, Any]:
        sums = self._ledger.sums()
        names = ("accepted", "delivered", "dropped", "aggregated", "pending", "oldest_seconds")
        scope = "process" if self._sharing is None else self._sharing.scope()
        return {**{name: sums[name] for name in names}, **self._delivery.state(), "scope": scope}

    def hide(self) -> None:
        """Show nothing to ``top`` until the next turn: the handler was closed, and nothing is pending."""
        if self._showing is not None and not self._ledger.pending():
            self._showing.remove()

    def _until_folds(self, idle: Idle) -> Idle:
        """*idle*, but not past the end of a window with unreported repeats."""
        looks = [self._ledger.wait_for_folds(), None if self._sharing is None else self._sharing.next_look()]
        seconds = min((look for look in looks if look is not None), default=None)
        if seconds is None or (idle.seconds is not None and idle.seconds <= seconds):
            return idle
        return Idle(seconds, idle.records)

    def waiting(self) -> int:
        """About how many captures wait to be rendered, as seen after all that this thread has written.

        A thread that goes to sleep first says so and then asks here; ``Worker.submit`` appends first and then
        asks whether a thread sleeps. Without the GIL a processor may delay a write past a later read, on both
        sides. Each side's call on the deque takes the deque's own lock, so that one of them sees the other.
        """
        captures = self._intake.captures
        captures.extend(())
        return len(captures)

    def another_renders(self) -> bool:
        """Whether another thread has captures in hand: one at a time renders, so that their order stays."""
        return self._ledger.is_rendering()

    def has_news(self) -> bool:
        """Whether a capture or a repeat came in that no thread has looked at."""
        return bool(self._intake.captures or (self._folds is not None and self._folds.approximate_open()))

    def pending(self) -> int:
        """How many events are not settled."""
        return self._ledger.pending()

    def drop_connections(self) -> None:
        """Close the connections that no request uses. The next request opens another."""
        self._delivery.close()

    def rest(self) -> None:
        """Close connections and files: the last thread leaves. The next turn opens them again."""
        self._delivery.close()
        if self.pool.is_parked:
            self._ledger.close()
        else:
            self._ledger.rest()
        if self._sharing is not None:
            self._publish(now_at_once=True)
            self._sharing.rest()
        self._show(goes_to_sleep=True, leaves=True)
        if self.pool.is_parked:
            self.hide()

    def is_in_use_here(self) -> bool:
        """Whether this thread holds one of the locks, and so may have left a change half done."""
        return self._ledger.is_in_use_here() or self._delivery.is_in_use_here()
