"""A queue as the buffer of a pipeline: claims entries of it, holds them, and gives back what is not sent.

A relay claims few entries at a time and leaves the others to any relay. It holds what it claimed in a
MemoryBuffer, which knows their order, their delays and their attempts. They stay with this relay only while
it renews its claim (``renew``). So it leases nothing whose claim is older than FRESH_SECONDS: another relay
may have taken it over and may be sending it.

One class, a little longer than others: it answers each question of the contract ``Buffer`` once.

The pipeline calls it under the ledger's lock, and most calls ask Redis. That is meant: a relay has no log
call that could wait for this lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from eventlog_handlers.buffers import Evicted, Lost
from eventlog_handlers.buffers.memory import MemoryBuffer
from eventlog_handlers.events import Event, Lease
from eventlog_handlers.relay.stream import Claimed, Ref, Settled, Stream
from eventlog_handlers.services.relay.entry import event_of
from eventlog_handlers.share.contract import CoordinatorError, UnavailableError

POLL_SECONDS = 0.25
RENEW_SECONDS = 2.0
FRESH_SECONDS = 5.0
"""What was renewed longer ago is not sent. With a request's timeout it is less than what makes others take
it over: ``idle_seconds``."""
SLACK_SECONDS = 10.0
"""``idle_seconds`` is a request's timeout and this."""
UNPARK_SECONDS = 60.0
_AGAIN_SECONDS = 1.0
_LOST_KILLERS = "relays killed"
_NOT_KEPT = ("expired", "budget", "overflow")
"""Reasons for which nothing is wrong with the event: ``dead`` is for those that somebody should look at."""


class StreamBuffer:
    """The contract of ``Buffer`` over *stream*. *room* bounds what is in hand. *charge* is asked for each new
    event whether there is budget for it (given: is it critical). *clock* is monotonic. *report(key, text)*
    tells the user something once.

    What is put here by the pipeline itself (summaries, notices) is held in memory only.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        room: int,
        charge: Callable[[Sequence[bool]], list[bool]],
        clock: Callable[[], float],
        report: Callable[[str, str], None],
    ) -> None:
        self._stream = stream
        self._room = room
        self._charge = charge
        self._clock = clock
        self._report = report
        self._memory = MemoryBuffer(
            capacity=10 * room + 10_000, capacity_bytes=1 << 40, policy="drop_newest", clock=clock
        )
        self._entries: dict[str, dict[Ref, int]] = {}
        """By event id: its entries in the queue, with their deliveries. There are two where it was put
        twice."""
        self._put_at: dict[str, float] = {}
        self._leased: set[str] = set()
        self._gone: set[str] = set()
        """Ids of events in memory that are another relay's by now."""
        self._doubtful: set[str] = set()
        """Ids of leased events of which another relay has taken over an entry."""
        self._to_settle: list[Settled] = []
        self._lost: list[Lost] = []
        self._born = ""
        self._renewed_at = self._renew_at = self._claim_at = self._unpark_at = float("-inf")
        self._taken = 0  # in, less those given back; not yet told to the ledger
        self._ask_at = float("-inf")  # Redis again, after it gave no answer
        self._is_stopping = False
        self._trouble: str | None = None
        self._outages = 0

    # --- the contract --------------------------------------------------------------------------------------

    @property
    def journal(self) -> None:
        """A relay has no log calls of its own."""

    def put(self, events: Sequence[Event]) -> Sequence[Evicted]:
        return self._memory.put(events)

    def lease(self, count: int) -> list[Lease]:
        leases: list[Lease] = []
        now = self._clock()
        if self._is_stale(now):
            return leases
        while len(leases) < count and (found := self._memory.lease(count - len(leases))):
            for lease in found:
                event_id = lease.event.id
                if event_id in self._gone:
                    self._memory.ack([lease])
                    self._gone.discard(event_id)
                    continue
                self._leased.add(event_id)
                put_at = self._put_at.get(event_id)
                leases.append(lease if put_at is None else lease._replace(age=max(0.0, now - put_at)))
        return leases

    def ack(self, leases: Iterable[Lease]) -> None:
        self._finish(leases, "")

    def drop(self, leases: Iterable[Lease], reason: str) -> None:
        self._finish(leases, reason)

    def nack(self, lease: Lease, delay: float, *, spent: bool = True) -> None:
        self._memory.nack(lease, delay, spent=spent)
        event_id = lease.event.id
        self._leased.discard(event_id)
        if event_id in self._doubtful:
            self._let_go(event_id)

    def ready(self) -> int:
        return 0 if self._is_stale(self._clock()) else self._memory.ready()

    def ready_bytes(self) -> int:
        return self._memory.ready_bytes()

    def ready_in(self) -> float | None:
        ready_in = self._memory.ready_in()
        if ready_in is None or not self._is_stale(now := self._clock()):
            return ready_in
        return max(ready_in, self._renew_at - now, 0.05)

    def keys(self) -> set[int]:
        return self._memory.keys()

    def next_key(self) -> int:
        return self._memory.next_key()

    def __len__(self) -> int:
        return len(self._memory) - len(self._gone)

    def bytes(self) -> int:
        return self._memory.bytes()

    def oldest(self) -> float | None:
        if self._put_at:
            return max(0.0, self._clock() - min(self._put_at.values()))
        return self._memory.oldest()

    def adopt(self) -> int:
        """Settle, renew and claim; how many events came in, less those that other relays have now."""
        if self._clock() >= self._ask_at:
            try:
                self._settle()
                self._renew()
                if self._is_stopping:
                    self._hand_back()
                else:
                    self._claim()
            except UnavailableError as error:
                self._gave_no_answer(error)
            else:
                self._answers()
        taken, self._taken = self._taken, 0
        return taken

    def _gave_no_answer(self, error: UnavailableError) -> None:
        self._outages += self._trouble is None
        self._trouble = str(error)
        self._ask_at = self._clock() + _AGAIN_SECONDS
        queue = self._stream.queue
        self._report(
            f"queue {self._outages}", f"the queue {queue} gives no answer; what waits stays there: {error}"
        )

    def _answers(self) -> None:
        if self._trouble is not None:
            self._trouble = None
            self._report(f"again {self._outages}", f"the queue {self._stream.queue} answers again")

    def lost(self) -> list[Lost]:
        lost, self._lost = self._lost, []
        return lost

    def state(self) -> dict[str, Any]:
        """For ``stats()``."""
        return {
            "queue": self._stream.queue,
            "in_hand": len(self._entries),
            "to_settle": len(self._to_settle),
            "trouble": self._trouble,
        }

    def rest(self) -> None:
        """The link is the relay's."""

    def close(self) -> None:
        """The same."""

    def stop(self) -> None:
        """Claim nothing more, and let the next ``adopt`` give back what no request is under way with."""
        self._is_stopping = True

    # --- with Redis ----------------------------------------------------------------------------------------

    def _claim(self) -> None:
        now = self._clock()
        room = self._room - len(self._entries)
        if now < self._claim_at or room <= 0:
            return
        if now >= self._unpark_at:
            self._unpark_at = now + UNPARK_SECONDS
            self._stream.unpark()
        born, claimed = self._stream.claim(room)
        self._flushed_if_not(born)
        if not self._entries:
            self._renewed_at, self._renew_at = now, now + RENEW_SECONDS
        # At once again while more may wait; each claim is one call.
        self._claim_at = now if len(claimed) >= room else now + POLL_SECONDS
        self._take_in(claimed, now)

    def _take_in(self, claimed: Sequence[Claimed], now: float) -> None:
        fresh: list[tuple[Event, Claimed]] = []
        for one in claimed:
            event = event_of(one.body)
            if one.deliveries == 0:
                self._taken += 1
                self._lost.append(Lost(None, None if event is None else event.level, _LOST_KILLERS))
            elif event is None:
                self._taken += 1
                self._lost.append(Lost(None, None, "damaged"))
                self._to_settle.append(Settled(one.ref, "damaged", is_kept=True))
            else:
                fresh.append((event, one))
        admitted = self._admitted(fresh)
        for (event, one), is_admitted in zip(fresh, admitted, strict=True):
            if not is_admitted:
                self._taken += 1
                self._lost.append(Lost(None, event.level, "budget"))
                self._to_settle.append(Settled(one.ref, "budget"))
                continue
            known = self._entries.setdefault(event.id, {})
            known[one.ref] = one.deliveries
            if event.id in self._gone:
                self._gone.discard(event.id)
                self._taken += 1
            elif event.id not in self._put_at:
                self._memory.put([event])
                self._taken += 1
            self._put_at[event.id] = min(now - one.age, self._put_at.get(event.id, now))
        self._settle()

    def _admitted(self, fresh: Sequence[tuple[Event, Claimed]]) -> list[bool]:
        """Whether there is budget for each. What another relay had is charged already."""
        new = [event for event, one in fresh if one.deliveries == 1]
        try:
            answers = iter(self._charge([event.level >= 50 for event in new]) if new else [])
        except CoordinatorError as error:
            self._report("charge", f"budgets can't be charged now, so events go without: {error}")
            answers = iter([True] * len(new))
        return [one.deliveries != 1 or next(answers) for _, one in fresh]

    def _renew(self) -> None:
        now = self._clock()
        if now < self._renew_at or not (self._entries or self._to_settle):
            return
        held = [(event_id, ref) for event_id, refs in self._entries.items() for ref in refs]
        waiting = [one.ref for one in self._to_settle]
        born, answers = self._stream.renew([*(ref for _, ref in held), *waiting])
        self._renewed_at, self._renew_at = now, now + RENEW_SECONDS
        if self._flushed_if_not(born):
            return
        for (event_id, ref), is_ours in zip(held, answers, strict=False):
            if is_ours:
                continue
            if event_id in self._leased:  # it may be delivered by now, and is taken out of the queue then
                self._doubtful.add(event_id)
            else:
                self._entries[event_id].pop(ref)
                if not self._entries[event_id]:
                    self._let_go(event_id)

    def _flushed_if_not(self, born: str) -> bool:
        """Whether the queue is another one than before. Then what is in hand is nobody else's any more, and
        only memory has it."""
        if not born:  # a full server, which can't note it
            return False
        was_flushed = self._born not in ("", born)
        self._born = born
        if was_flushed:
            self._report("flushed", f"the queue {self._stream.queue} was flushed: what waited in it is gone")
            self._entries.clear()
            self._put_at.clear()
            self._doubtful.clear()
            self._to_settle.clear()
        return was_flushed

    def _let_go(self, event_id: str) -> None:
        """Another relay has it: here it is neither delivered nor dropped."""
        self._entries.pop(event_id, None)
        self._put_at.pop(event_id, None)
        self._doubtful.discard(event_id)
        self._gone.add(event_id)
        self._taken -= 1

    def _finish(self, leases: Iterable[Lease], reason: str) -> None:
        leases = list(leases)
        self._memory.ack(leases)
        is_kept = bool(reason) and not reason.startswith(_NOT_KEPT)
        for lease in leases:
            event_id = lease.event.id
            self._leased.discard(event_id)
            self._doubtful.discard(event_id)
            self._put_at.pop(event_id, None)
            for ref in self._entries.pop(event_id, ()):
                self._to_settle.append(Settled(ref, reason, is_kept))
        if self._clock() >= self._ask_at:
            try:
                self._settle()
            except UnavailableError as error:  # again at the next turn; until then they are renewed
                self._gave_no_answer(error)

    def _settle(self) -> None:
        if self._to_settle:
            self._stream.settle(self._to_settle)
            self._to_settle = []

    def _hand_back(self) -> None:
        waiting = {event_id: refs for event_id, refs in self._entries.items() if event_id not in self._leased}
        if waiting:
            self._stream.hand_back(item for refs in waiting.values() for item in refs.items())
            for event_id in waiting:
                self._let_go(event_id)

    def _is_stale(self, now: float) -> bool:
        """Whether what is in hand may be another relay's by now."""
        return bool(self._entries) and now - self._renewed_at > FRESH_SECONDS
