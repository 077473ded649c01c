"""A coordinator that always answers: while the shared one gives no answer, this process decides alone.

How many processes decide alone at that moment is known: the members of the last look. So each request of one
process costs as many places as there are members, and the sum stays within the limit, even where they know
nothing of each other. It begins with the shared history, where that can still be read. It ends one whole
window after the last place that any process took alone: until then both limits must agree.

One class, longer than others: it has each of a coordinator's questions once, and every step of the rate limit
reads and writes the same few fields. ``reach`` knows whether the shared coordinator answers.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eventlog_handlers.process import green
from eventlog_handlers.share.contract import (
    MEMBER_SECONDS,
    BusyError,
    CoordinatorError,
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
from eventlog_handlers.share.reach import Reach
from eventlog_handlers.share.roles import AloneCoordinator, SharedCoordinator

BUSY_SECONDS = 0.002
"""A held lock: ask again after so long."""
_COUNT_SECONDS = 0.25
"""Between two counts of the members that decide alone."""
_UNTOLD = 4_096


class Fallback:
    """See ``contract.Coordinator``; raises nothing.

    *shared* is asked first, *alone* while that gives no answer. *guard* is this process's own rate limit,
    which always runs as well; it may be *alone* itself. *rand* gives 0 to 1, *pause* sleeps. *say(key, text)*
    tells the user something once per key, *unsay(key)* lets it come again and says whether it had come.
    """

    def __init__(
        self,
        shared: SharedCoordinator,
        alone: AloneCoordinator,
        guard: StoreCoordinator,
        *,
        limits: Limits | None,
        clock: Callable[[], float],
        rand: Callable[[], float],
        pause: Callable[[float], None],
        say: Callable[[str, str], None],
        unsay: Callable[[str], bool],
    ) -> None:
        self._shared = shared
        self._alone = alone
        self._guard = guard
        self._limits = limits
        self._window = limits.window[1] if limits is not None and limits.window is not None else 1.0
        self._clock = clock
        self._rand = rand
        self._pause = pause
        self._say = say
        self._unsay = unsay
        self._key = f"scope {shared.scope}"
        self._new_life()

    def _new_life(self) -> None:
        self._lock = green.Lock()
        """Guards the fields below; never held while a backend is asked."""
        self._taking = green.Lock()
        self._reach = Reach()
        self._agree_until = float("-inf")
        self._living = (1, 0)
        self._here_at = float("-inf")
        """When others last saw this process as a member."""
        self._count_at = self._silent_until = float("-inf")
        self._own: dict[str, None] = {}
        """Ids of summaries that come from *alone*."""
        self._untold: deque[Telling] = deque(maxlen=_UNTOLD)
        """Settled summaries that *shared* does not know about yet."""

    @property
    def scope(self) -> str:
        """The scope at this moment."""
        return self._alone.scope if self._reach.is_away else self._shared.scope

    # --- the rate limit ------------------------------------------------------------------------------------

    def take(self, *, must: bool = False, places: int = 1, rank: int = 0) -> Place:
        """Take a place that both the shared coordinator and this process's own limit allow."""
        if self._limits is None:
            return Place(0.0, True, self._clock())
        with self._taking:
            if self._may_ask():
                place = self._take_shared(must, places, rank)
                if place is not None:
                    return place
            self._count_members()
            with contextlib.suppress(CoordinatorError):
                self._shared.mark_alone(self._clock())
            if not must and (wait := self._silent_until - self._clock()) > 0:
                return Place(wait, False)
            members, own = self._living
            # A host is one of *members* scopes; a process may itself stand for *places* of them.
            return self._alone.take(must=must, places=members * places, rank=own + members * rank)

    def _take_shared(self, must: bool, places: int, rank: int) -> Place | None:
        """The shared coordinator's answer; None if this process decides alone."""
        agrees = self._clock() < self._agree_until
        members, own = (1, 0)
        if agrees or self._reach.is_away:
            self._count_members()
            members, own = self._living
            wait = max(self._guard.wait(places=members, rank=own), self._silent_until - self._clock())
            if wait > 0 and not must:
                return Place(wait, False)
        try:
            place = self._shared.take(must=must, places=places, rank=rank)
            self._living = self._shared.living()
        except CoordinatorError as error:
            return None if self._failed(error) or must else Place(BUSY_SECONDS, False)
        self._answered()
        if self._must_agree() and not agrees and not must:
            return Place(0.0, False)  # asked again at once, and then for all members
        self._here_at = self._clock()
        if not place.is_taken:
            return place
        allowed = self._guard.take(must=must or agrees, places=members, rank=own)
        return place if allowed.is_taken else allowed

    def _must_agree(self) -> bool:
        """Whether some process took places alone within the last window, so that this one counts for all."""
        now, until = self._clock(), self._shared.alone_mark() + self._window
        if until > self._agree_until:
            if not self._reach.is_away and self._agree_until <= now < until:
                self._begin()
            self._agree_until = until
        return now < self._agree_until

    def _begin(self) -> None:
        """The guard begins with everybody's places, as far as they can be read."""
        with contextlib.suppress(CoordinatorError):
            self._shared.seed_into(self._guard)
        self._count_at = self._clock()
        self._count_members()

    def _count_members(self) -> None:
        """Count anew who decides alone, and be counted.

        A process that has just started, or was quiet for long, may find others that have decided alone for
        some time without counting it. It lets one window pass, and the time they take to count it.
        """
        now = self._clock()
        if now < self._count_at:
            return
        with contextlib.suppress(CoordinatorError):
            is_new = now - self._here_at >= MEMBER_SECONDS - 1.0
            if is_new and now - self._shared.read_alone_mark() < self._window:
                self._silent_until = now + self._window + 2 * _COUNT_SECONDS
            self._living = self._shared.last_living()
            self._here_at = now
        self._count_at = now + _COUNT_SECONDS

    def throttled(self, retry_after: float | None = None) -> None:
        """Slow down: everybody that can be told."""
        self._guard.throttled(retry_after)
        if self._alone is not self._guard:
            self._alone.throttled(retry_after)
        self._ask(lambda: self._shared.throttled(retry_after))

    def answered(self) -> None:
        """Give back some of what throttling took."""
        self._guard.answered()
        if self._alone is not self._guard:
            self._alone.answered()
        self._ask(self._shared.answered)

    # --- asking --------------------------------------------------------------------------------------------

    def _ask(self, question: Callable[[], Any]) -> tuple[Any] | None:
        """The shared coordinator's answer in a tuple; None if there is none. Waits TOLERANCE_SECONDS at most
        for a held lock, once: after that this process decides alone."""
        while self._may_ask():
            try:
                answer = question()
            except CoordinatorError as error:
                if self._failed(error):
                    return None
                self._pause(BUSY_SECONDS)
            else:
                self._answered()
                return (answer,)
        return None

    def _may_ask(self) -> bool:
        return self._reach.may_ask(self._clock())

    def _answered(self) -> None:
        """The shared coordinator gave an answer."""
        if self._reach.is_steady():
            return
        with self._lock:
            was_alone = self._reach.is_away
            self._reach.answered()
            if was_alone:
                self._agree_until = self._clock() + self._window
        if was_alone and self._unsay(self._key):
            again = f"{self._key} again"
            self._say(again, f"sharing with other processes again (scope {self._shared.scope})")
            self._unsay(again)

    def _failed(self, error: CoordinatorError) -> bool:
        """Note a failure; True if this process decides alone now, False if it should ask again soon."""
        now, is_busy, reach = self._clock(), isinstance(error, BusyError), self._reach
        with self._lock:
            begins = not reach.is_away
            if is_busy and begins:
                if reach.is_steady():
                    self._count_at = now
                if reach.is_busy_for_a_moment(now):
                    self._count_members()  # and so be counted by the others
                    return False
            has_remedy = bool(getattr(error, "remedy", ""))
            reach.went_away(str(error), now, self._rand(), is_busy=is_busy, has_remedy=has_remedy)
        if begins:
            if now >= self._agree_until:
                self._begin()
            self._say(
                self._key,
                f"{error}. Meanwhile scope {self._alone.scope}, and the rate limit is divided by "
                f"{self._living[0]}",
            )
        return True

    # --- budgets and problems ------------------------------------------------------------------------------

    def charge(self, criticals: Sequence[bool], *, places: int = 1) -> list[Spent | None]:
        """Charge the shared budget; while alone, this process's own part of it."""
        answer = self._ask(lambda: self._shared.charge(criticals, places=places))
        if answer is not None:
            answers: list[Spent | None] = answer[0]
            return answers
        return self._alone.charge(criticals, places=self._living[0] * places)

    def fold(self, occurrences: Sequence[Occurrence]) -> list[Verdict]:
        """Decide which are sent."""
        answer = self._ask(lambda: self._shared.fold(occurrences))
        return self._alone.fold(occurrences) if answer is None else answer[0]

    def due(self, *, everything: bool = False) -> list[Telling]:
        """Summaries of both."""
        self._send_untold()
        answer = self._ask(lambda: self._shared.due(everything=everything))
        own = self._alone.due(everything=everything)
        self._own.update(dict.fromkeys(telling.id for telling in own))
        return own if answer is None else [*answer[0], *own]

    def told(self, tellings: Sequence[Telling]) -> None:
        """Settled. The shared coordinator hears it later if it can't now; if this process dies before that,
        another one tells that summary again, with the same id."""
        for telling in tellings:
            if telling.id in self._own:
                self._alone.told([telling])
                self._own.pop(telling.id, None)
            else:
                self._untold.append(telling)
        self._send_untold()

    def _send_untold(self) -> None:
        while self._untold:
            try:
                telling = self._untold.popleft()
            except IndexError:  # another thread was faster
                return
            if self._ask(lambda one=telling: self._shared.told([one])) is None:  # type: ignore[misc]
                self._untold.appendleft(telling)
                return

    def next_look(self) -> float | None:
        """Seconds until ``due`` has something to do."""
        looks = [look for look in (self._shared.next_look(), self._alone.next_look()) if look is not None]
        if self._untold:
            looks.append(0.0)
        if self._reach.is_away:
            looks = [max(look, self._reach.probe_at - self._clock(), 0.05) for look in looks]
        return min(looks, default=None)

    def leave_sample(self, problem: bytes, sample: bytes) -> None:
        """Keep it where the problem is counted."""
        if self._ask(lambda: self._shared.leave_sample(problem, sample)) is None:
            self._alone.leave_sample(problem, sample)

    def sample(self, problem: bytes) -> bytes | None:
        """The kept event of either, or None."""
        found = self._alone.sample(problem)
        if found is None:
            answer = self._ask(lambda: self._shared.sample(problem))
            found = None if answer is None else answer[0]
        return found

    # --- members -------------------------------------------------------------------------------------------

    def publish(self, counters: Mapping[str, int]) -> None:
        """Show this process's counters."""
        self._ask(lambda: self._shared.publish(counters))

    def members(self) -> list[Member]:
        """The processes that take part; while alone, those of the smaller scope."""
        answer = self._ask(self._shared.members)
        return self._alone.members() if answer is None else answer[0]

    def sums(self) -> Sums:
        """The table of problems, added up."""
        answer = self._ask(self._shared.sums)
        return self._alone.sums() if answer is None else answer[0]

    def others(self) -> int:
        """How many other processes would tell what is due; while alone, none would."""
        answer = self._ask(self._shared.others)
        return self._alone.others() if answer is None else answer[0]

    def state(self) -> dict[str, Any]:
        """The scope at this moment, how many members, and why it is not the scope asked for. Asks no one."""
        state: dict[str, Any] = {"scope": self.scope, "members": self._living[0]}
        if self._reach.is_away:
            state["instead_of"] = self._shared.scope
            state["why"] = self._reach.why
        return state

    def after_fork_in_child(self) -> None:
        """A new member."""
        for one in {id(one): one for one in (self._shared, self._alone, self._guard)}.values():
            one.after_fork_in_child()
        self._new_life()

    def close(self) -> None:
        """Leave."""
        self._shared.close()
        self._alone.close()
