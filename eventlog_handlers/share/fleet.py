"""A coordinator for a fleet: asks Redis or Valkey, whose scripts decide on the server's clock.

A question that gets no answer raises UnavailableError, and ``fallback`` goes on with the host's own scope.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eventlog_handlers.process import green
from eventlog_handlers.share import allowance, pace
from eventlog_handlers.share.allowance import Allowances
from eventlog_handlers.share.contract import (
    COUNTERS,
    MAX_SAMPLE_BYTES,
    MEMBER_SECONDS,
    PERIODS,
    TELL_SECONDS,
    Limits,
    Member,
    Occurrence,
    Place,
    Spent,
    Sums,
    Telling,
    Verdict,
)
from eventlog_handlers.share.coordinator import StoreCoordinator
from eventlog_handlers.share.fleet_scripts import Scripts, prefix
from eventlog_handlers.share.identity import process_id, program
from eventlog_handlers.share.redis_link import RedisLink

MAX_PROBLEMS = 10_000
LOOK_SECONDS = 30.0
"""How often a process looks for summaries that no living process tells."""
_AGAIN_SECONDS = 5.0
_SPREAD_SECONDS = 1.0
"""Processes look for a due summary within this time after it is due, each at another moment."""
_AT_ONCE = 100
_SAMPLE_SECONDS = 7 * 86_400
_VERDICTS = {"o": Verdict.OPENED, "s": Verdict.SEND, "c": Verdict.COUNTED}


class FleetCoordinator:
    """See ``contract.Coordinator``. *queue* names the account; *member* is the name under which this process,
    or the host it falls back to, is counted; *clock* gives monotonic seconds, *rand* 0 to 1.

    *book_ahead_seconds*: a place that comes within this time is given at once, to be used when it comes; a
    later one is asked for again after 5 to 10 s. Otherwise thousands of waiting processes would ask all the
    time. *look_seconds*: how often this process looks for summaries that it knows nothing of.
    """

    scope = "redis"

    def __init__(
        self,
        link: RedisLink,
        queue: str,
        *,
        limits: Limits | None,
        allowances: Allowances = allowance.NONE,
        window_seconds: float = 60.0,
        clock: Callable[[], float],
        rand: Callable[[], float],
        member: Callable[[], bytes] = lambda: os.urandom(8),
        book_ahead_seconds: float = pace.BOOK_AHEAD_SECONDS,
        look_seconds: float = LOOK_SECONDS,
        scripts: Scripts | None = None,
    ) -> None:
        self._link = link
        self._prefix = prefix(queue)
        self._limits = None if limits is None else pace.fitting(limits)
        self._allowances = allowances
        self._window = window_seconds
        self._clock = clock
        self._rand = rand
        self._make_member = member
        self._book_ahead = book_ahead_seconds
        self._look_seconds = look_seconds
        self._scripts = scripts or Scripts()
        self._new_member()

    def _new_member(self) -> None:
        self._member = ""
        self._caller = os.urandom(8).hex()
        self._calls = 0
        self._folding = green.Lock()
        """One call at a time has a number that may be asked for again, and guards *known*."""
        self._members = 1
        self._others = 1  # not known yet, so perhaps some
        self._slowdown = 1.0
        self._known: dict[bytes, float] = {}
        """Problems that this process counted: when to look for a due summary of each."""
        self._held: dict[tuple[bytes, int], None] = {}
        self._renew_at = self._scan_at = float("-inf")

    # --- the rate limit ------------------------------------------------------------------------------------

    def take(self, *, must: bool = False, places: int = 1, rank: int = 0) -> Place:
        """Take a place, or book one. *places* and *rank* are for scopes that are another one's part; a fleet
        is the largest there is."""
        if places != 1:
            raise ValueError(f"a fleet takes places for itself only, not {places} at once")
        limits = self._limits
        if limits is None:
            return Place(0.0, True, self._clock())
        self._member = self._member or self._make_member().hex()
        arguments = [*_numbers(limits), int(must), self._book_ahead, self._member, MEMBER_SECONDS]
        taken, wait, at, self._members, slowdown = self._link.run(self._scripts.take, self._prefix, arguments)
        self._slowdown = float(slowdown)
        seconds = max(0.0, float(wait))
        if not taken and self._book_ahead:
            seconds = _AGAIN_SECONDS * (1 + self._rand())
        return Place(seconds, bool(taken), float(at))

    def throttled(self, retry_after: float | None = None) -> None:
        """Slow down."""
        if self._limits is not None:
            arguments = [*_numbers(self._limits), -1 if retry_after is None else retry_after]
            self._slowdown = float(self._link.run(self._scripts.throttled, self._prefix, arguments))

    def answered(self) -> None:
        """Give back some of what throttling took; asks no server where this process knows of none."""
        if self._limits is not None and self._slowdown < 1.0:
            self._slowdown = float(self._link.run(self._scripts.answered, self._prefix, []))

    def charge(self, criticals: Sequence[bool], *, places: int = 1) -> list[Spent | None]:
        """Charge one event each; *places* as for ``take``."""
        if places != 1:
            raise ValueError(f"a fleet charges its own events only, not {places} for each")
        if not self._allowances.limits:
            return [None] * len(criticals)
        arguments: list[Any] = ["".join("1" if critical else "0" for critical in criticals)]
        for limit, period in self._allowances.limits:
            arguments += [period, PERIODS[period], limit, allowance.kept(limit, self._allowances.reserve)]
        answers = self._link.run(self._scripts.charge, self._prefix, arguments)
        return [_spent(answer.decode()) for answer in answers]

    # --- problems ------------------------------------------------------------------------------------------

    def fold(self, occurrences: Sequence[Occurrence]) -> list[Verdict]:
        """Decide which are sent. An answer that was lost is asked for again, and nothing is counted twice."""
        with self._folding:
            self._calls += 1
            arguments: list[Any] = [self._caller, self._calls, self._window, MAX_PROBLEMS]
            for problem, count, first, last in occurrences:
                arguments += [problem.hex(), count, repr(first), repr(last)]
            answer, wait = self._link.run(
                self._scripts.fold, self._prefix, arguments, is_write=True, again=True
            )
            verdicts = [_VERDICTS[letter] for letter in answer.decode()]
            look = self._clock() + float(wait) + _SPREAD_SECONDS * self._rand() * bool(self._book_ahead)
            for occurrence, verdict in zip(occurrences, verdicts, strict=True):
                if verdict is Verdict.COUNTED:
                    self._known.setdefault(occurrence.problem, look)
        return verdicts

    def due(self, *, everything: bool = False) -> list[Telling]:
        """Summaries to tell now."""
        now = self._clock()
        must_renew = bool(self._held) and now >= self._renew_at
        is_time = now >= min(self._scan_at, min(self._known.values(), default=self._scan_at))
        if not (must_renew or is_time or everything):
            return []
        arguments: list[Any] = [self._caller, self._window, int(everything), TELL_SECONDS, _AT_ONCE]
        for problem, number in list(self._held):
            arguments += [problem.hex(), number]
        with self._folding if everything else contextlib.nullcontext():  # nothing is counted meanwhile
            rows = self._link.run(self._scripts.tell, self._prefix, arguments, is_write=True)
            tellings = [_telling(*row) for row in rows]
            self._held.update(dict.fromkeys((telling.problem, telling.number) for telling in tellings))
            full = len(rows) >= _AT_ONCE
            if everything and not full:
                self._known.clear()
        for problem in [problem for problem, look in list(self._known.items()) if look <= now]:
            self._known.pop(problem, None)
        self._renew_at = now + TELL_SECONDS / 3
        self._scan_at = now if full else now + self._look_seconds * (0.5 + self._rand())
        return tellings

    def told(self, tellings: Sequence[Telling]) -> None:
        """These summaries are settled."""
        if tellings:
            arguments: list[Any] = []
            for telling in tellings:
                arguments += [telling.problem.hex(), telling.number]
            self._link.run(self._scripts.told, self._prefix, arguments, is_write=True, again=True)
            for telling in tellings:
                self._held.pop((telling.problem, telling.number), None)

    def next_look(self) -> float | None:
        """Seconds until ``due`` has something to do here."""
        moments = list(self._known.values())
        if self._held:
            moments.append(self._renew_at)
        return max(0.0, min(moments) - self._clock()) if moments else None

    def leave_sample(self, problem: bytes, sample: bytes) -> None:
        """Keep it for a week, unless it is too large."""
        if len(sample) <= MAX_SAMPLE_BYTES:
            self._link.command("SET", self._sample_key(problem), sample, "EX", _SAMPLE_SECONDS)

    def sample(self, problem: bytes) -> bytes | None:
        """The kept event, or None."""
        found: bytes | None = self._link.command("GET", self._sample_key(problem))
        return found

    def _sample_key(self, problem: bytes) -> str:
        return f"{self._prefix}f:{problem.hex()}:sample"

    def sums(self) -> Sums:
        """The table of problems, added up."""
        problems, counted, told, still, telling = map(
            int, self._link.run(self._scripts.sums, self._prefix, [])
        )
        return Sums(problems, counted, told, still, telling, dict.fromkeys(COUNTERS, 0))

    # --- members -------------------------------------------------------------------------------------------

    def publish(self, counters: Mapping[str, int]) -> None:
        """Show this process's counters for a day."""
        shown = {name: counters.get(name, 0) for name in COUNTERS}
        card = json.dumps({"pid": os.getpid(), "name": program(), "counters": shown})
        arguments = [self._caller, card, 86_400, MEMBER_SECONDS, process_id().hex()]
        self._others = int(self._link.run(self._scripts.publish, self._prefix, arguments)) - 1

    def members(self) -> list[Member]:
        """The processes that published counters within a day."""
        found = []
        for member, card, quiet in self._link.run(self._scripts.members, self._prefix, []):
            shown = json.loads(card)
            seconds = float(quiet)
            found.append(
                Member(
                    id=member.decode(),
                    name=shown["name"],
                    pid=shown["pid"],
                    quiet_seconds=seconds,
                    is_here=seconds < MEMBER_SECONDS,
                    counters=shown["counters"],
                )
            )
        return sorted(found)

    def others(self) -> int:
        """How many other processes published within 30 s, as of this one's last time."""
        return self._others

    def living(self) -> tuple[int, int]:
        """How many asked for a place in the last 30 s, as of the last answer. They have no order."""
        return self._members, 0

    def last_living(self) -> tuple[int, int]:
        """The same: without an answer no new count is possible."""
        return self._members, 0

    def seed_into(self, guard: StoreCoordinator) -> None:
        """Nothing can be read without an answer."""

    def alone_mark(self) -> float:
        """Nothing: the other processes could not see a note."""
        return float("-inf")

    def read_alone_mark(self) -> float:
        """See ``alone_mark``."""
        return float("-inf")

    def mark_alone(self, now: float) -> None:
        """See ``alone_mark``."""

    def state(self) -> dict[str, Any]:
        """For ``stats()``."""
        state: dict[str, Any] = {"scope": self.scope, "members": self._members}
        if self._link.address.wait_replicas:
            state["replicas_behind"] = self._link.replicas_behind
        return state

    def after_fork_in_child(self) -> None:
        """A new member with a connection of its own."""
        self._link.after_fork_in_child()
        self._new_member()

    def close(self) -> None:
        """Close the connections."""
        self._link.close()


def _numbers(limits: Limits) -> list[float]:
    count, seconds = limits.window or (0, 0.0)
    return [limits.rate, limits.burst, count, seconds]


def _telling(problem: bytes, number: bytes, count: bytes, first: bytes, last: bytes) -> Telling:
    return Telling(bytes.fromhex(problem.decode()), int(number), int(count), float(first), float(last))


def _spent(answer: str) -> Spent | None:
    if not answer:
        return None
    limit, period, since, until = answer.split("|")
    return Spent(int(limit), period, float(since), float(until))
