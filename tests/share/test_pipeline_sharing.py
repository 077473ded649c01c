"""A worker's part in what processes share, by steps: two workers over one state, with a clock set by hand."""

from __future__ import annotations

import logging
import tempfile

from backends import ProcessBackend
from law import assert_law, submit

from eventlog_handlers.pipeline.shared_pacer import SharedPacer
from eventlog_handlers.pipeline.sharing import Sharing, sample_of
from eventlog_handlers.share.allowance import Allowances
from eventlog_handlers.share.contract import MAX_SAMPLE_BYTES, Limits, Place
from eventlog_handlers.share.scopes import Agreement
from eventlog_handlers.testing import ScriptedSink, make_event, make_worker, settle


class Host:
    """Workers of several processes of one host."""

    def __init__(self, agreement: Agreement | None = None, **settings) -> None:
        agreement = agreement or Agreement(None, window_seconds=10.0)
        self.backend = ProcessBackend(tempfile.gettempdir(), agreement)
        self.clock = self.backend.clock
        self.settings = settings

    def worker(self, name: str):
        sink = ScriptedSink(max_events=5)
        sharing = Sharing(
            lambda: self.backend.member(name),
            address="",
            folds=True,
            has_rate=self.backend.agreement.limits is not None,
            own_event=make_event,
            clock=self.clock,
        )
        worker = make_worker(
            sink, self.clock, sharing=sharing, flush_interval=0.0, aggregate_seconds=10.0, **self.settings
        )
        return worker, sink


def test_the_first_event_goes_and_the_others_are_counted_and_told_by_whoever_looks() -> None:
    """By the process that had none of them, with the sample; and the law holds in each."""
    host = Host()
    (one, sink_one), (two, sink_two), (three, sink_three) = (host.worker(name) for name in "ABC")
    submit(one, "order failed")
    settle(one, host.clock)
    for _ in range(3):
        submit(two, "order failed")
        settle(two, host.clock)
    host.clock.advance(11.0)
    three.step()
    settle(three, host.clock)

    assert [event.count for event in sink_one.delivered] == [1]
    assert sink_two.delivered == []
    (summary,) = sink_three.delivered
    assert (summary.count, summary.message, summary.level) == (3, "order failed", logging.ERROR)
    assert two.stats()["aggregated"] == 3
    for worker in (one, two, three):
        assert_law(worker.stats())


def test_a_summary_whose_teller_dies_is_told_again_with_the_same_id() -> None:
    """Sent, but not yet said so: another process sends it once more, and consumers drop it by its id."""
    host = Host()
    (one, _), (two, sink_two), (three, sink_three) = (host.worker(name) for name in "ABC")
    submit(one, "order failed")
    settle(one, host.clock)
    submit(two, "order failed")
    settle(two, host.clock)
    host.clock.advance(11.0)
    host.backend.member("B").told = lambda tellings: None  # it dies before it can say so
    while not sink_two.delivered:
        two.step()
    host.clock.advance(31.0)  # it never looks again
    three.step()
    settle(three, host.clock)
    three.step()

    assert [event.id for event in sink_three.delivered] == [event.id for event in sink_two.delivered]
    assert host.backend.member("C").sums().telling == 0


def test_a_budget_is_spent_by_all_and_one_notice_tells_of_it() -> None:
    """The second process has what the first one left."""
    agreement = Agreement(None, Allowances(((3, "hour"),), 0.0), 10.0)
    host = Host(agreement, max_events_per_hour=3, budget_reserve=0.0)
    (one, sink_one), (two, sink_two) = (host.worker(name) for name in "AB")
    for number, worker in enumerate([one, one, two, two, two]):
        submit(worker, f"problem {'abcdefgh'[number]}")
        settle(worker, host.clock)

    sent = [event.message for event in (*sink_one.delivered, *sink_two.delivered)]
    assert sent[:3] == ["problem a", "problem b", "problem c"]
    assert two.stats()["dropped"] == {"budget": 2}
    assert sum("budget spent" in message for message in sent) == 1


def test_a_rate_limit_is_asked_for_only_when_a_request_could_go() -> None:
    """One place a second for both; who waits asks nobody meanwhile."""
    host = Host(Agreement(Limits(1.0, 1), window_seconds=10.0), requests_per_second=1.0)
    (one, sink_one), (two, sink_two) = (host.worker(name) for name in "AB")
    asked = 0
    member = host.backend.member("B")
    take = member.take

    def counted(**options):
        nonlocal asked
        asked += 1
        return take(**options)

    member.take = counted
    submit(one, "problem a")
    settle(one, host.clock)
    submit(two, "problem b")
    for _ in range(20):
        two.step()
    assert sink_two.requests == []
    assert asked == 1
    host.clock.advance(1.0)
    settle(two, host.clock)

    assert len(sink_one.requests) == len(sink_two.requests) == 1
    assert asked == 2


def test_a_booked_place_is_used_when_it_comes_and_is_void_half_a_second_later() -> None:
    """No request goes by a place of a window that has moved on."""

    class Booking:
        def take(self) -> Place:
            return Place(2.0, True)

    pacer = SharedPacer(Booking)
    assert pacer.wait(100.0) is None
    pacer.ask(100.0)
    assert pacer.wait(100.0) == 2.0
    assert pacer.try_take(101.0) == 1.0
    assert pacer.try_take(102.1) == 0.0
    pacer.ask(103.0)
    assert pacer.wait(105.4) == 0.0
    assert pacer.wait(105.6) is None


def test_a_sample_fits_whatever_the_event_is() -> None:
    """What makes it large is left out, and that is said."""
    large = make_event("x" * 200_000, attributes={"a": "y" * 200_000}, template="x" * 200_000)

    sample = sample_of(large)

    assert len(sample) <= MAX_SAMPLE_BYTES
    assert b"shortened" in sample
