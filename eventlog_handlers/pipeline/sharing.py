"""Shares problems with other processes: one process sends a problem's event, the others count repeats.

The worker asks for each rendered event, before it takes room in the buffer or a place in the rate limit. If
another process already reports the problem, the event is only counted. After the end of a problem's window
the first process that looks sends the summary: from its own last event of that problem, or from the sample
that the problem's first process left.

The worker's threads do all of this, and hold no lock of the pipeline's. ``settled`` only notes, and
``has_to_tell`` only reads.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from eventlog_handlers.events import Event
from eventlog_handlers.pipeline.budget import Spent
from eventlog_handlers.pipeline.shared_pacer import SharedPacer
from eventlog_handlers.process import green
from eventlog_handlers.process.fork import fork_gate
from eventlog_handlers.share.contract import Coordinator, Occurrence, Telling, Verdict
from eventlog_handlers.text import shallow_json

PUBLISH_SECONDS = 5.0
HANDOVER_SECONDS = 1.0
"""Repeats are counted in this process for so long before they are handed over; doubled while they come."""
LONGEST_HANDOVER_SECONDS = 8.0
_LAST_EVENTS = 1_024
_SAMPLE_BYTES = 65_536
_SHORT_TEXT = 8_192
_FLUSH_WAIT_SECONDS = 1.0
_UNKNOWN = "{} repeats of a problem that another process had reported, and of which nothing else is kept"


def problem_of(event: Event, address: str) -> bytes:
    """16 bytes that events of one problem share in all processes: a hash of destination and fields."""
    parts = (
        address, event.level, event.fingerprint, event.status, event.service, event.env, event.event_name,
        event.group_id, event.detail_type, event.resources, sorted(event.tags.items()),
    )  # fmt: skip
    text = json.dumps(parts, default=str, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=16, person=b"eventlog-problem").digest()


def summary_id(telling: Telling) -> str:
    """The id of a summary's event: the same if it is sent again, also by another process."""
    return hashlib.blake2b(telling.id.encode(), digest_size=16).hexdigest()


class Sharing:
    """One handler's part in what its processes share.

    *make_coordinator* is called at the first question. *address* is the rest of the route, which a problem
    belongs to. *folds*: repeats are folded. *own_event* makes an event of our own of a text, for a summary
    of which nothing else is known. *clock* is monotonic.
    """

    def __init__(
        self,
        make_coordinator: Callable[[], Coordinator],
        *,
        address: str,
        folds: bool,
        has_rate: bool,
        own_event: Callable[[str], Event],
        clock: Callable[[], float],
        asked_for: str = "host",
    ) -> None:
        self.asked_for = asked_for
        """The scope that the user chose."""
        self._make_coordinator = make_coordinator
        self._address = address
        self._folds = folds
        self._own_event = own_event
        self._clock = clock
        self._coordinator: Coordinator | None = None
        self._making = green.Lock()
        self.pacer = SharedPacer(self.coordinator) if has_rate else None
        self._new_life()

    def _new_life(self) -> None:
        self._turn = green.Lock()  # one thread at a time; waited for with a bound only
        self._last: dict[bytes, Event] = {}
        """The last event of each problem that this process knows."""
        self._telling: dict[str, Telling] = {}
        """By event id: summaries that this process tells."""
        self._settled: deque[str] = deque()
        self._publish_at = float("-inf")
        self._is_alone = True
        self._state: dict[str, Any] = {}
        # Log calls. The ledger's lock guards those that ``settled`` touches.
        self.counted = 0
        self._told_calls = 0
        self._told_events = 0
        self._more_delivered = self._more_dropped = 0

    def coordinator(self) -> Coordinator:
        """The coordinator, made at the first question."""
        if self._coordinator is None:
            with self._making, fork_gate.no_fork():  # it imports: a child would inherit half a module
                if self._coordinator is None:
                    self._coordinator = self._make_coordinator()
        return self._coordinator

    def charge(self, now: float, *, critical: bool) -> Spent | None:
        """Charge one event to the budgets that all share; otherwise the one that is spent."""
        (spent,) = self.coordinator().charge([critical])
        if spent is None:
            return None
        return Spent(spent.limit, spent.period, now + spent.since, now + spent.until)

    # --- coming in -----------------------------------------------------------------------------------------

    def fold(self, events: Sequence[Event]) -> tuple[list[Event], int]:
        """The events that are sent, and how many are only counted."""
        if not self._folds or not events:
            return list(events), 0
        problems = [problem_of(event, self._address) for event in events]
        verdicts = self.coordinator().fold(
            [
                Occurrence(problem, event.count, event.first_time or event.time, event.time)
                for problem, event in zip(problems, events, strict=True)
            ]
        )
        kept: list[Event] = []
        for event, problem, verdict in zip(events, problems, verdicts, strict=True):
            self._remember(problem, event)
            if verdict is Verdict.COUNTED:
                self.counted += event.count
                continue
            kept.append(event)
            if verdict is Verdict.OPENED:
                self.coordinator().leave_sample(problem, sample_of(event))
        return kept, len(events) - len(kept)

    def _remember(self, problem: bytes, event: Event) -> None:
        self._last.pop(problem, None)
        if len(self._last) >= _LAST_EVENTS:
            self._last.pop(next(iter(self._last)), None)
        self._last[problem] = event

    def summarize(self, add: Callable[[Event], None], *, is_flushed: bool) -> None:
        """Call *add* with each summary to send now. *is_flushed*: also of windows that have not ended, if no
        other process is there to tell them; then it waits for another thread that does this."""
        if not self._folds or not self._turn.acquire(timeout=_FLUSH_WAIT_SECONDS if is_flushed else 0):
            return
        try:
            self._tell_settled()
            coordinator = self.coordinator()
            everything = is_flushed and self._alone_now() and self.has_to_tell()
            for telling in coordinator.due(everything=everything):
                add(self._summary(telling))
        finally:
            self._turn.release()

    def _alone_now(self) -> bool:
        self._is_alone = self.coordinator().others() == 0
        return self._is_alone

    def _summary(self, telling: Telling) -> Event:
        event = self._last.get(telling.problem) or self._sampled(telling)
        made = event._replace(
            id=summary_id(telling),
            count=telling.count,
            time=telling.last,
            first_time=telling.first if telling.count > 1 else None,
        )
        self._telling[made.id] = telling
        return made

    def _sampled(self, telling: Telling) -> Event:
        sample = self.coordinator().sample(telling.problem)
        try:
            if sample is not None:
                return Event.from_json(shallow_json.loads(sample))
        except (ValueError, TypeError, KeyError, AttributeError):  # of another version
            return self._own_event(_UNKNOWN.format(telling.count))
        return self._own_event(_UNKNOWN.format(telling.count))

    def _tell_settled(self) -> None:
        tellings = []
        while self._settled:
            telling = self._telling.pop(self._settled.popleft(), None)
            if telling is not None:
                tellings.append(telling)
        if tellings:
            self.coordinator().told(tellings)

    # --- going out -----------------------------------------------------------------------------------------

    def settled(self, event: Event, *, delivered: bool) -> None:
        """*event* was delivered, or dropped. With the ledger's lock: only noted."""
        telling = self._telling.get(event.id)
        if telling is not None:
            self._settled.append(event.id)
            self._told_calls += telling.count
            self._told_events += delivered
            self._more_dropped -= not delivered
        elif delivered:
            self._more_delivered += event.count - 1
        else:
            self._more_dropped += event.count - 1

    def has_to_tell(self) -> bool:
        """Whether this process knows of counts that no summary tells yet, and is alone as far as it knows.
        Asks no coordinator."""
        coordinator = self._coordinator
        return coordinator is not None and self._is_alone and coordinator.next_look() is not None

    def next_look(self) -> float | None:
        """Seconds until something is to be done here without a record; None: nothing is."""
        if self._settled:
            return 0.0
        return None if self._coordinator is None else self._coordinator.next_look()

    # --- showing -------------------------------------------------------------------------------------------

    def publish(self, calls: Callable[[], dict[str, int]], *, now_at_once: bool = False) -> None:
        """Show this process's counters to others, and read theirs, every PUBLISH_SECONDS. *calls* gives what
        ``calls`` makes of the ledger's sums."""
        now = self._clock()
        if self._coordinator is None or (now < self._publish_at and not now_at_once):
            return
        self._publish_at = now + PUBLISH_SECONDS
        if not self._turn.acquire(blocking=False):
            return
        try:
            self._tell_settled()
            coordinator = self._coordinator
            coordinator.publish(calls())
            self._is_alone = coordinator.others() == 0
            members, table = coordinator.members(), coordinator.sums()
            totals = dict(table.departed)
            for member in members:
                for name, count in member.counters.items():
                    totals[name] = totals.get(name, 0) + count
            self._state = {
                **coordinator.state(),
                "totals": {**totals, "open": table.open + table.telling, "problems": table.problems},
            }
        finally:
            self._turn.release()

    def calls(self, sums: dict[str, Any], added_summaries: int) -> dict[str, int]:
        """*sums* of the ledger in log calls: an event of 40 calls is 40. Summaries of shared problems are not
        among them, but for *told*; *added_summaries* of them count as accepted in *sums*."""
        dropped = sum(sums["dropped"].values()) + self._more_dropped
        delivered = sums["delivered"] + self._more_delivered - self._told_events
        accepted = sums["accepted"] - added_summaries
        return {
            "accepted": accepted,
            "delivered": delivered,
            "dropped": dropped,
            "counted": self.counted,
            "told": self._told_calls,
            "pending": accepted - delivered - dropped - self.counted,
            "requests": sums["requests"],
            "failed_requests": sums["failed_requests"],
        }

    def state(self) -> dict[str, Any]:
        """For ``stats()``: as of the last look. Asks no coordinator."""
        coordinator = self._coordinator
        return dict(self._state) if coordinator is None else {**self._state, **coordinator.state()}

    def scope(self) -> str:
        """The scope at this moment; before the first question, the one asked for. Asks no coordinator."""
        scope: str = self.state().get("scope", self.asked_for)
        return scope

    # --- life ----------------------------------------------------------------------------------------------

    def after_fork_in_child(self) -> None:
        """Forget the summaries that the parent sends."""
        self._making = green.Lock()
        if self._coordinator is not None:
            self._coordinator.after_fork_in_child()
        if self.pacer is not None:
            self.pacer.after_fork_in_child()
        self._new_life()

    def rest(self) -> None:
        """The last thread leaves."""
        if self._coordinator is not None:
            self._coordinator.close()


def sample_of(event: Event) -> bytes:
    """*event* as JSON, without what makes it large if it is."""
    sample = json.dumps(event.to_json()).encode()
    if len(sample) <= _SAMPLE_BYTES:
        return sample
    exception = event.exception
    if exception is not None:
        exception = exception._replace(message=exception.message[:_SHORT_TEXT], stacktrace="")
    short = event._replace(
        message=event.message[:_SHORT_TEXT],
        template=event.template[:_SHORT_TEXT],
        stack="",
        attributes={},
        exception=exception,
        defects=(*event.defects[:8], "shortened: the event was too large to be kept for a summary"),
    )
    return json.dumps(short.to_json()).encode()
