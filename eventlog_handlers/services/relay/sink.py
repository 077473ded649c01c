"""The sink that puts events into a queue: one script call a batch, a verdict for each event.

A batch whose answer was lost may have been put. Its events are put again in whatever batches the pipeline
makes of them, and each names the calls that may have had it: Redis remembers the ids of those calls, and
leaves out what it has.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eventlog_handlers.errors import MisconfiguredError, SinkError, TransientError
from eventlog_handlers.events import DELIVERED, Disposition, Event, Limits, Outcome, Payload
from eventlog_handlers.process import green
from eventlog_handlers.process.fork import fork_gate
from eventlog_handlers.services.relay.entry import MAX_BODY_BYTES, VERSION, Entry, entry_of
from eventlog_handlers.services.relay.options import MAX_BATCH, REQUEST_BYTES
from eventlog_handlers.services.relay.scripts import PUT
from eventlog_handlers.share.contract import UnavailableError
from eventlog_handlers.share.fleet import MAX_PROBLEMS
from eventlog_handlers.share.fleet_scripts import prefix
from eventlog_handlers.share.redis_link import RedisLink
from eventlog_handlers.text.json_text import use_orjson

if TYPE_CHECKING:
    from eventlog_handlers.services.relay.options import RelaySettings

_MOST_DOUBTS = 10_000
"""Events of lost answers that are remembered here."""
_OVERHEAD_BYTES = 200
_REMEMBERED_LONGER_SECONDS = 60
"""Redis knows the ids of a call for so much longer than its events may wait here."""
LIMITS = Limits(MAX_BATCH, REQUEST_BYTES)


class RelaySink:
    """Puts events into the queue that *settings* name. Connects at the first ``send``."""

    def __init__(self, settings: RelaySettings) -> None:
        with fork_gate.no_fork():  # it imports: a child would inherit half a module
            use_orjson()
        connect, answer = settings.timeout
        self._link = RedisLink(settings.address, connect_seconds=connect, answer_seconds=answer)
        self._settings = settings
        self._prefix = prefix(settings.queue)
        self._calls = Calls()

    @property
    def limits(self) -> Limits:
        return LIMITS

    def encode(self, event: Event, max_bytes: int | None = None) -> Payload:
        entry = entry_of(event, MAX_BODY_BYTES if max_bytes is None else min(max_bytes, MAX_BODY_BYTES))
        return Payload(event, entry, len(entry.body) + _OVERHEAD_BYTES)

    def send(self, payloads: Sequence[Payload], *, timeout: float) -> Sequence[Outcome]:
        """Put them. A call ends by the timeouts of the link, which are those of the option ``timeout``."""
        entries: list[Entry] = [payload.body for payload in payloads]
        number, settled, doubts = self._calls.begin(entries)
        arguments: list[object] = [
            self._calls.caller,
            number,
            _listed(settled),
            self._settings.aggregate_seconds or 0,
            MAX_PROBLEMS,
            self._settings.queue_capacity,
            VERSION,
            math.ceil(self._settings.max_age) + _REMEMBERED_LONGER_SECONDS,
        ]
        for entry, calls in zip(entries, doubts, strict=True):
            arguments += [
                entry.id,
                _listed(calls),
                entry.severity,
                entry.problem,
                entry.count,
                repr(entry.first),
                repr(entry.last),
                entry.fingerprint,
                entry.body,
            ]
        try:
            answer: bytes = self._link.run(PUT, self._prefix, arguments, is_write=True)
        except UnavailableError as error:
            self._calls.failed(number, settled, entries, is_doubtful=error.is_ambiguous)
            raise _translated(error) from None
        letters = answer.decode()
        if not letters:  # a later call has taken this one for lost, and made it void
            raise TransientError("redis", "the answer came too late", ambiguous=True)
        taken = [entry for entry, letter in zip(entries, letters, strict=True) if letter != "f"]
        self._calls.answered(number, taken)
        if set(letters) == {"f"}:
            raise TransientError("queue_full", self._full())
        return [self._outcome(letter) for letter in letters]

    def close(self) -> None:
        self._link.close()

    def _outcome(self, letter: str) -> Outcome:
        if letter == "f":
            return Outcome(Disposition.RETRY, "queue_full", self._full())
        return DELIVERED

    def _full(self) -> str:
        return (
            f"the queue {self._settings.queue} holds {self._settings.queue_capacity} events: look at the "
            "relay (eventlog-handlers relay status), or give a larger queue_capacity"
        )


class Calls:
    """Numbers of one sender's calls, and which of them may have put an event. Safe for several threads."""

    def __init__(self) -> None:
        self.caller = os.urandom(8).hex()
        self._lock = green.Lock()
        self._last = 0
        self._settled: list[int] = []
        """Calls whose ids Redis may forget."""
        self._doubts: dict[str, list[int]] = {}
        """By event id: calls whose answer was lost."""
        self._waiting: dict[int, set[str]] = {}
        """By such a call: the events that no later call has settled."""

    def begin(self, entries: Sequence[Entry]) -> tuple[int, list[int], list[list[int]]]:
        """The number of a new call, the calls to forget, and for each entry those that may have put it."""
        with self._lock:
            self._last += 1
            settled, self._settled = self._settled, []
            return self._last, settled, [list(self._doubts.get(entry.id, ())) for entry in entries]

    def answered(self, number: int, entries: Sequence[Entry]) -> None:
        """The call was answered, and *entries* are in the queue."""
        with self._lock:
            self._settled.append(number)
            for entry in entries:
                for call in self._doubts.pop(entry.id, ()):
                    waiting = self._waiting.get(call)
                    if waiting is not None:
                        waiting.discard(entry.id)
                        if not waiting:
                            del self._waiting[call]
                            self._settled.append(call)

    def failed(
        self, number: int, settled: Sequence[int], entries: Sequence[Entry], *, is_doubtful: bool
    ) -> None:
        """The call was not answered; *is_doubtful*: its events may have been put."""
        with self._lock:
            self._settled += settled
            if not is_doubtful:
                return
            self._waiting[number] = {entry.id for entry in entries}
            for entry in entries:
                self._doubts.setdefault(entry.id, []).append(number)
            while len(self._doubts) > _MOST_DOUBTS:  # the oldest are expired, or were dropped by their policy
                oldest = min(self._waiting)
                for event_id in self._waiting.pop(oldest):
                    calls = self._doubts.get(event_id, [])
                    if oldest in calls:
                        calls.remove(oldest)
                    if not calls:
                        self._doubts.pop(event_id, None)
                self._settled.append(oldest)


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))


def _translated(error: UnavailableError) -> SinkError:
    """Where somebody has to change something all events wait and one probes; else the request is retried."""
    if error.remedy and not error.may_pass:
        return MisconfiguredError("redis", str(error))
    return TransientError("redis", str(error), ambiguous=error.is_ambiguous)
