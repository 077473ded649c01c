"""Every backend gives the answers of the in-process one, whatever several members ask in whatever order.

Members come, ask, crash and fork. Invariant: what was counted was told once, or is still there to be told.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from backends import BACKENDS, Backend
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from eventlog_handlers.share.allowance import Allowances
from eventlog_handlers.share.contract import Limits, Occurrence
from eventlog_handlers.share.scopes import Agreement

PROBLEMS = [bytes([number]) * 16 for number in range(1, 5)]
AGREEMENTS = [
    Agreement(Limits(2.0, 3, (4, 10.0)), Allowances(((6, "hour"), (9, "day")), 0.2), 8.0),
    Agreement(Limits(0.5, 1, None), Allowances(((3, "day"),), 0.0), 1.0),
    Agreement(None, Allowances(), 60.0),
]


class Coordinators(RuleBasedStateMachine):
    """The same questions to the oracle and to one backend, by members of the same names."""

    backend: type[Backend]
    tellings = Bundle("tellings")

    @initialize(agreement=st.sampled_from(AGREEMENTS))
    def begin(self, agreement: Agreement) -> None:
        self.directory = tempfile.mkdtemp(prefix="share")
        self.both = [kind(self.directory, agreement) for kind in (BACKENDS["process"], self.backend)]
        self.counted = self.told_sum = 0
        self.held = {name: {} for name in "ABC"}

    def teardown(self) -> None:
        for backend in getattr(self, "both", []):
            backend.close()
        shutil.rmtree(getattr(self, "directory", ""), ignore_errors=True)

    def asked(self, name: str, question):
        """The common answer of both."""
        expected, given = (question(backend.member(name)) for backend in self.both)
        assert given == expected
        return given

    @rule(seconds=st.sampled_from([0.0, 0.25, 1.0, 7.0, 31.0, 400.0, 3601.0]))
    def time_passes(self, seconds: float) -> None:
        for backend in self.both:
            backend.clock.now += seconds

    @rule(name=st.sampled_from("ABC"), must=st.sampled_from([False, False, False, True]))
    def take(self, name: str, must: bool) -> None:
        expected, given = (backend.member(name).take(must=must) for backend in self.both)
        assert given.is_taken == expected.is_taken
        assert given.wait == pytest.approx(expected.wait, abs=1e-4)

    @rule(name=st.sampled_from("ABC"), after=st.sampled_from([None, 2.0]))
    def throttled(self, name: str, after: float | None) -> None:
        self.asked(name, lambda member: member.throttled(after))

    @rule(name=st.sampled_from("ABC"))
    def answered(self, name: str) -> None:
        self.asked(name, lambda member: member.answered())

    @rule(name=st.sampled_from("ABC"), criticals=st.lists(st.booleans(), min_size=1, max_size=4))
    def charge(self, name: str, criticals: list[bool]) -> None:
        expected, given = (backend.member(name).charge(criticals) for backend in self.both)
        assert [spent is None for spent in given] == [spent is None for spent in expected]
        for spent, other in zip(given, expected, strict=True):
            if spent is not None:
                assert spent[:2] == other[:2]
                assert spent[2:] == pytest.approx(other[2:], abs=1e-3)

    @rule(
        name=st.sampled_from("ABC"),
        problems=st.lists(st.sampled_from(PROBLEMS), min_size=1, max_size=3),
        count=st.sampled_from([1, 1, 40]),
        at=st.sampled_from([1000.0, 1001.5, 999.0]),
    )
    def fold(self, name: str, problems: list[bytes], count: int, at: float) -> None:
        occurrences = [Occurrence(problem, count, at, at + 1) for problem in problems]
        verdicts = self.asked(name, lambda member: member.fold(occurrences))
        self.counted += sum(count for verdict in verdicts if verdict.value == "counted")

    @rule(name=st.sampled_from("ABC"), everything=st.sampled_from([False, False, True]))
    def due(self, name: str, everything: bool) -> None:
        for telling in self.asked(name, lambda member: sorted(member.due(everything=everything))):
            self.held[name][telling.id] = telling

    @rule(name=st.sampled_from("ABC"))
    def told(self, name: str) -> None:
        """One member's oldest summary is settled; it may be another's by now, told already or not."""
        if self.held[name]:
            telling = self.held[name].pop(next(iter(self.held[name])))
            before = self.telling()
            self.asked(name, lambda member: member.told([telling]))
            cleared = before - self.telling()
            assert cleared in (0, telling.count)
            self.told_sum += cleared

    @rule(name=st.sampled_from("ABC"))
    def crash(self, name: str) -> None:
        """A new process of the same name begins; what the former told is told again, later."""
        self.held[name].clear()
        for backend in self.both:
            backend.crash(name)

    @rule(name=st.sampled_from("ABC"), sample=st.sampled_from([b"", b"{}", b"more"]))
    def sample(self, name: str, sample: bytes) -> None:
        self.asked(name, lambda member: member.leave_sample(PROBLEMS[0], sample))
        self.asked("A", lambda member: member.sample(PROBLEMS[0]))

    def telling(self) -> int:
        return self.both[0].member("A").sums().telling

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "both"):
            for backend in self.both:
                sums = backend.member("A").sums()
                assert sums.open + sums.telling + self.told_sum == self.counted == sums.counted
                assert sums.told == self.told_sum


@pytest.mark.parametrize("kind", [kind for kind in BACKENDS if kind != "process"])
def test_a_backend_answers_as_the_oracle_does(kind: str) -> None:
    """Rate limit, budgets, problems and summaries."""
    BACKENDS[kind].require()
    machine = type(f"{kind.title()}Coordinators", (Coordinators,), {"backend": BACKENDS[kind]})
    examples = 60 if kind == "host" else 40

    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            phases=[Phase.generate],  # a run of forty steps is short enough to read
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("kind", BACKENDS)
def test_a_member_that_has_told_everything_looks_for_nothing(kind: str, tmp_path: Path) -> None:
    """So a flush that has told everything is over."""
    BACKENDS[kind].require()
    backend = BACKENDS[kind](str(tmp_path), AGREEMENTS[0])
    member = backend.member("A")
    for _ in range(2):
        member.fold([Occurrence(PROBLEMS[0], 1, 0.0, 0.0)])
    assert member.next_look() is not None

    tellings = member.due(everything=True)
    assert [telling.count for telling in tellings] == [1]
    assert member.next_look() is not None  # until it is settled
    member.told(tellings)
    assert member.due(everything=True) == []

    assert member.next_look() is None
    member.fold([Occurrence(PROBLEMS[0], 1, 0.0, 0.0)])
    assert member.next_look() is not None
    backend.close()
