"""Each question to the mapped file, broken off at every third byte it writes: it happened, or it did not."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path

import pytest

from eventlog_handlers.share import mapped_file
from eventlog_handlers.share.allowance import Allowances
from eventlog_handlers.share.contract import Limits, Occurrence
from eventlog_handlers.share.coordinator import StoreCoordinator
from eventlog_handlers.share.host import MappedStore

PROBLEM = b"p" * 16


class Died(BaseException):
    """The process ends here."""


class Dying(mmap.mmap):
    """Memory whose writer dies after ``left`` bytes."""

    left: float = float("inf")

    def __setitem__(self, where, value):
        kept = min(len(value), self.left)
        Dying.left -= kept
        super().__setitem__(slice(where.start, where.start + int(kept)), bytes(value)[: int(kept)])
        if kept < len(value):
            raise Died


class Members:
    """Members of one file at one time."""

    def __init__(self, runtime: Path) -> None:
        self.now = 1_000.0
        self._environ = {"EVENTLOG_RUNTIME_DIR": str(runtime)}

    def new(self) -> StoreCoordinator:
        def clock() -> float:
            return self.now

        return StoreCoordinator(
            MappedStore("a-v1.share", self._environ, clock=clock, wall_clock=clock),
            limits=Limits(1.0, 5, (5, 60.0)),
            allowances=Allowances(((10, "hour"),), 0.0),
            window_seconds=10.0,
            clock=clock,
            wall_clock=clock,
        )


def state_of(member: StoreCoordinator) -> tuple[object, ...]:
    """All that members agree on."""
    store = member.store
    return store.history(5), store.spending("hour"), dict(store.snapshot())


def count(member: StoreCoordinator, calls: int = 3) -> None:
    member.fold([Occurrence(PROBLEM, calls, 1.0, 2.0)])


QUESTIONS: dict[str, tuple[list[Callable[[StoreCoordinator], object]], float]] = {
    # what was asked before, and how much later it is then
    "take": ([lambda member: member.take()], 0.0),
    "take at all costs": ([], 0.0),
    "throttled": ([lambda member: member.take()], 0.0),
    "charge": ([lambda member: member.charge([True])], 0.0),
    "open": ([], 0.0),
    "count": ([count], 0.0),
    "tell": ([count, count], 11.0),
    "tell everything": ([count, count], 1.0),
    "told": (
        [count, count, lambda member: setattr(member, "tellings", member.due(everything=True))],
        0.0,
    ),
}


def ask(name: str, member: StoreCoordinator, tellings: list) -> object:
    if name == "take":
        return member.take()
    if name == "take at all costs":
        return member.take(must=True)
    if name == "throttled":
        return member.throttled(5.0)
    if name == "charge":
        return member.charge([False])
    if name in ("open", "count"):
        return count(member)
    if name == "told":
        return member.told(tellings)
    return member.due(everything=name == "tell everything")


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_happened_or_it_did_not(runtime: Path, monkeypatch, name: str) -> None:
    """Whatever byte it got to; and the next member goes on from there."""
    monkeypatch.setattr(mapped_file.mmap, "mmap", Dying)
    Dying.left = float("inf")
    members = Members(runtime)
    member, observer = members.new(), members.new()
    before, seconds = QUESTIONS[name]
    for question in before:
        question(member)
    members.now += seconds
    observer.living()
    file = bytes(observer.store._memory)
    was, tellings, now = state_of(observer), getattr(member, "tellings", []), members.now
    befores = afters = left = 0

    has_finished = False
    while not has_finished:
        Dying.left = left
        try:
            ask(name, member, tellings)
            has_finished = True
        except Died:
            pass
        Dying.left = float("inf")

        if state_of(observer) == was:
            befores += 1
        else:
            afters += 1
            assert has_finished, "only the last byte may decide"
        sums = observer.sums()
        assert sums.counted == sums.told + sums.open + sums.telling
        count(observer, 2)
        for _ in range(2):  # what was being told when it died, and what was counted since
            members.now += 1_000.0
            observer.told(observer.due(everything=True))
        assert observer.sums().open == observer.sums().telling == 0
        assert observer.take().is_taken

        observer.store._memory[0 : len(file)] = file
        members.now = now
        member, observer = members.new(), members.new()
        left += 3
    assert afters == 1
    assert befores > 6
