"""One queue, as one relay sees it: claims entries, keeps them, settles them. Asks Redis; decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from eventlog_handlers.services.relay import scripts
from eventlog_handlers.services.relay.entry import VERSION
from eventlog_handlers.share.fleet_scripts import prefix
from eventlog_handlers.share.redis_link import RedisLink

READABLE = (VERSION,)
MOST_DELIVERIES = 5
"""An entry that so many relays did not survive is given up."""
_UNPARKED_AT_ONCE = 100


class Ref(NamedTuple):
    """Where an entry stands: its stream's number and its id."""

    severity: int
    id: str


class Claimed(NamedTuple):
    """An entry that is now this relay's."""

    ref: Ref
    deliveries: int
    """How often it was handed out, this time included. 0: it was given up and is in ``dead``."""
    age: float
    """Seconds since it was put."""
    body: bytes


class Settled(NamedTuple):
    """An entry whose event is done with. *reason* is "" for a delivered one; *is_kept*: ``dead`` keeps it."""

    ref: Ref
    reason: str = ""
    is_kept: bool = False


class Stream:
    """The queue *queue* for the relay *relay*. *idle_seconds*: entries of a relay that was not heard of for
    so long are taken over. Every method may raise UnavailableError."""

    def __init__(
        self,
        link: RedisLink,
        queue: str,
        relay: str,
        *,
        idle_seconds: float,
        readable: Sequence[str] = READABLE,
    ) -> None:
        self.queue = queue
        self.relay = relay
        self.idle_seconds = idle_seconds
        self.link = link
        self._prefix = prefix(queue)
        self._readable = ",".join(readable)

    def claim(self, count: int) -> tuple[str, list[Claimed]]:
        """Up to *count* entries: those of relays that are gone, then new ones, the severest first. And when
        the queue was made, which is another moment after the server was flushed."""
        arguments = [self.relay, count, self.idle_seconds, MOST_DELIVERIES, self._readable]
        born, *rows = self.link.run(scripts.CLAIM, self._prefix, arguments)
        claimed = [
            Claimed(Ref(int(row[0]), row[1].decode()), int(row[2]), float(row[3]), row[4]) for row in rows
        ]
        return born.decode(), claimed

    def renew(self, refs: Sequence[Ref]) -> tuple[str, list[bool]]:
        """Which of *refs* are still this relay's; their time begins anew. And when the queue was made."""
        arguments: list[Any] = [self.relay]
        for severity, entry_id in refs:
            arguments += [severity, entry_id]
        born, digits = self.link.run(scripts.RENEW, self._prefix, arguments)
        return born.decode(), [digit == "1" for digit in digits.decode()]

    def settle(self, settled: Iterable[Settled]) -> None:
        """Take entries out of the queue. May be repeated."""
        arguments: list[Any] = [self.relay]
        for (severity, entry_id), reason, is_kept in settled:
            arguments += [severity, entry_id, reason, int(is_kept)]
        self.link.run(scripts.SETTLE, self._prefix, arguments, is_write=True, again=True)

    def hand_back(self, entries: Iterable[tuple[Ref, int]]) -> int:
        """Let the next relay have *entries* (with their deliveries) at once; how many that were."""
        arguments: list[Any] = [self.relay]
        for (severity, entry_id), deliveries in entries:
            arguments += [severity, entry_id, deliveries]
        return int(self.link.run(scripts.HAND_BACK, self._prefix, arguments, again=True))

    def register(self, destination: str, card: str, *, leaves: bool = False) -> str:
        """Say that this relay is here, or *leaves*. Returns "" or the other destination that relays have for
        this queue: a queue has one."""
        arguments = [self.relay, scripts.HERE_SECONDS, destination, card, int(leaves)]
        other: bytes = self.link.run(scripts.REGISTER, self._prefix, arguments)
        return other.decode("utf-8", "replace")

    def unpark(self) -> int:
        """Let entries that waited for a relay of this version join the queue; how many did."""
        arguments = [self.relay, self._readable, _UNPARKED_AT_ONCE]
        return int(self.link.run(scripts.UNPARK, self._prefix, arguments))
