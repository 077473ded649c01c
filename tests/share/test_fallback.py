"""While the shared coordinator gives no answer a process decides alone, within its part, and comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from around import Said, surroundings

from eventlog_handlers.share import fallback
from eventlog_handlers.share.allowance import Allowances
from eventlog_handlers.share.contract import BusyError, Limits, Occurrence, UnavailableError, Verdict
from eventlog_handlers.share.scopes import Agreement, host_scope
from eventlog_handlers.testing import ManualClock

LIMITS = Limits(100.0, 100, (20, 60.0))
PROBLEM = b"p" * 16
AGREEMENT = Agreement(LIMITS, Allowances(((40, "hour"),), 0.0), 10.0)


class Members:
    """Processes of one host by hand: ``fail`` is raised by every lock while it is set."""

    def __init__(self, runtime: Path, agreement: Agreement = AGREEMENT) -> None:
        self.runtime = runtime
        self.agreement = agreement
        self.clock = ManualClock()
        self.said = Said()
        self.fail: Exception | None = None

    def new(self) -> fallback.Fallback:
        member = host_scope(
            "account",
            self.agreement,
            surroundings(
                self.runtime,
                self.said,
                clock=self.clock,
                wall_clock=lambda: 1e9 + self.clock(),
                pause=self.clock.advance,
            ),
        )
        store = member._shared.store
        locked = store.locked

        def failing(patience_seconds: float):
            if self.fail is not None:
                raise self.fail
            return locked(patience_seconds)

        store.locked = failing
        return member

    def stop(self) -> None:
        """A process stops inside the lock, and the others have noticed it."""
        self.fail = BusyError("another process holds the lock")

    def go_on(self) -> None:
        self.fail = None


def takes(member: fallback.Fallback) -> int:
    """How many places it gets now."""
    count = 0
    while member.take().is_taken:
        count += 1
    return count


@pytest.fixture
def members(runtime: Path) -> Members:
    return Members(runtime)


def test_a_lock_that_is_held_for_a_moment_is_asked_for_again(members: Members) -> None:
    """Two milliseconds later; nobody decides alone, nothing is said."""
    member = members.new()
    member.take()
    members.stop()

    place = member.take()

    assert (place.is_taken, place.wait) == (False, 0.002)
    members.clock.advance(0.2)
    assert member.take().wait == 0.002
    members.go_on()
    assert member.take().is_taken
    assert member.scope == "host"
    assert members.said.texts == []


def test_after_a_quarter_of_a_second_each_has_its_part_of_what_is_left(members: Members) -> None:
    """Four processes, eight of twenty places gone: twelve are left, three for each."""
    four = [members.new() for _ in range(4)]
    for member in four:
        for _ in range(2):
            assert member.take().is_taken
    members.stop()
    for member in four:
        member.take()
    members.clock.advance(0.3)

    assert [takes(member) for member in four] == [3, 3, 3, 3]
    assert four[0].state() == {
        "scope": "process",
        "members": 4,
        "instead_of": "host",
        "why": "another process holds the lock",
    }
    assert len(members.said.texts) == 1
    assert "divided by 4" in members.said.texts[0]


def test_the_limit_holds_while_they_come_back_one_by_one(members: Members) -> None:
    """Also for a process that asked for nothing meanwhile."""
    four = [members.new() for _ in range(4)]
    moments = []

    def all_take(some) -> None:
        for member in some:
            moments.extend([members.clock()] * takes(member))

    for member in four:
        assert member.take().is_taken
        moments.append(members.clock())
    members.clock.advance(61.0)
    members.stop()
    for member in four[:3]:
        member.take()
    members.clock.advance(0.3)
    all_take(four[:3])
    members.go_on()
    for _ in range(30):
        all_take(reversed(four))
        members.clock.advance(4.9)

    window = [sum(start <= other < start + 60.0 for other in moments) for start in moments]
    assert max(window) <= 20
    assert len(moments) > 40
    assert {member.scope for member in four} == {"host"}


def test_a_process_that_starts_meanwhile_waits_a_window(members: Members) -> None:
    """The others do not count it yet, so their places are all there are."""
    old = members.new()
    old.take()
    members.stop()
    old.take()
    members.clock.advance(0.3)
    assert takes(old) == 19
    new = members.new()
    new.take()
    members.clock.advance(0.3)

    assert takes(new) == 0
    members.clock.advance(30.0)
    assert takes(new) == 0
    members.clock.advance(31.0)
    assert takes(new) + takes(old) <= 20


def test_more_processes_than_places_take_turns(runtime: Path) -> None:
    """Three places a minute for five processes: each has its own of five."""
    members = Members(runtime, AGREEMENT._replace(limits=Limits(100.0, 100, (3, 60.0))))
    five = [members.new() for _ in range(5)]
    for member in five:
        member.take()
    members.clock.advance(61.0)
    members.stop()
    for member in five:
        member.take()
    members.clock.advance(0.3)
    moments: list[float] = []
    for _ in range(400):
        for member in five:
            if member.take().is_taken:
                moments.append(members.clock())
        members.clock.advance(1.0)

    assert max(sum(start <= other < start + 59.9 for other in moments) for start in moments) <= 3
    assert len(moments) >= 10


def test_budgets_are_divided_too(members: Members) -> None:
    """Forty an hour, ten spent, three processes alone: a third of what is left for each."""
    three = [members.new() for _ in range(3)]
    for member in three:
        member.take()
    assert three[0].charge([False] * 10) == [None] * 10
    members.stop()
    charged = [sum(spent is None for spent in member.charge([False] * 40)) for member in three]

    assert charged == [10, 10, 10]


def test_problems_are_folded_alone_and_every_count_is_told(members: Members) -> None:
    """Counts stay where they were made: the host's are told when the file answers again."""
    member = members.new()
    assert member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)]) == [Verdict.OPENED]
    assert member.fold([Occurrence(PROBLEM, 3, 0.0, 0.0)]) == [Verdict.COUNTED]
    members.stop()
    assert member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)]) == [Verdict.OPENED]
    assert member.fold([Occurrence(PROBLEM, 5, 0.0, 0.0)]) == [Verdict.COUNTED]
    member.leave_sample(PROBLEM, b"{}")
    assert member.sample(PROBLEM) == b"{}"
    members.clock.advance(11.0)

    own = member.due()
    member.told(own)
    assert [telling.count for telling in own] == [5]
    members.go_on()
    members.clock.advance(30.0)
    shared = member.due()
    assert [telling.count for telling in shared] == [3]
    member.told(shared)
    assert (member.sums().open, member.sums().telling) == (0, 0)


def test_what_was_told_while_the_file_did_not_answer_is_cleared_later(members: Members) -> None:
    """So that no other process tells it again."""
    member = members.new()
    member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)])
    member.fold([Occurrence(PROBLEM, 3, 0.0, 0.0)])
    members.clock.advance(11.0)
    tellings = member.due()
    members.stop()
    member.told(tellings)
    assert member._shared.sums().telling == 3
    assert member.next_look() is not None
    members.go_on()
    members.clock.advance(30.0)

    assert member.due() == []
    assert member.sums().telling == 0
    assert member.next_look() is None


def test_what_a_human_must_mend_is_said_once_and_looked_at_less_and_less(members: Members) -> None:
    """And said when it works again."""
    member = members.new()
    members.fail = UnavailableError("the directory is read-only", remedy="give another one")
    looks = 0
    for _ in range(600):
        before = member._reach._probes
        member.take()
        looks += member._reach._probes - before
        members.clock.advance(1.0)
    assert looks < 30
    members.go_on()
    members.clock.advance(100.0)
    assert member.charge([False]) == [None]

    assert len(members.said.texts) == 2
    assert "read-only: give another one" in members.said.texts[0]
    assert "sharing with other processes again" in members.said.texts[1]


def test_throttling_is_told_to_both(members: Members) -> None:
    """The process that falls back is as slow as the account is."""
    member = members.new()
    member.take()
    member.throttled(7.0)
    members.stop()
    member.take()
    members.clock.advance(0.3)

    assert member.take().wait == pytest.approx(6.7, abs=0.01)
    member.answered()


def test_no_limit_asks_nobody(runtime: Path) -> None:
    """Where there is no rate limit there is no file either."""
    member = Members(runtime, Agreement(None)).new()

    assert member.take().is_taken
    assert list(runtime.iterdir()) == []
