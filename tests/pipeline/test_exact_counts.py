"""The law's sums to the unit: what comes in, what leaves, what is told of losses, which flush is finished."""

from __future__ import annotations

import logging

import pytest
from captures import capture

from eventlog_handlers.buffers import Lost
from eventlog_handlers.buffers.memory import MemoryBuffer
from eventlog_handlers.pipeline.budget import Budget, Spent
from eventlog_handlers.pipeline.charging import Charging
from eventlog_handlers.pipeline.counters import Losses, level_name, loss_record, note_record
from eventlog_handlers.pipeline.intake import Intake
from eventlog_handlers.pipeline.ledger import Ledger, Waiting
from eventlog_handlers.pipeline.reports import Notes, Reports
from eventlog_handlers.pipeline.tally import Tally
from eventlog_handlers.pipeline.tickets import Ticket, Tickets
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.record.captured import Capture
from eventlog_handlers.settings.values import PipelineSettings
from eventlog_handlers.testing import ManualClock, make_event


def captured(message: str = "boom", level: int = logging.ERROR, count: int = 1) -> Capture:
    record = logging.LogRecord("shop", level, "shop.py", 1, message, (), None)
    return capture(record, id_bits=hash(message) & (2**128 - 1))._replace(count=count)


class Heard:
    """An observer that keeps each report."""

    def __init__(self) -> None:
        self.reports: list[tuple] = []

    def on_delivered(self, *report) -> None:
        self.reports.append(("delivered", *report))

    def on_drop(self, *report) -> None:
        self.reports.append(("drop", *report))

    def on_retry(self, *report) -> None:
        self.reports.append(("retry", *report))

    def on_state(self, *report) -> None:
        self.reports.append(("state", *report))


class SomeFolds:
    """Folds with the numbers it is given."""

    def __init__(self, *, repeats: int = 0, folds: int = 0, open_: int = 0) -> None:
        self.now, self.opened = (repeats, folds), open_
        self.summaries: list[Capture] = []
        self.hurried = False

    def due(self) -> list[Capture]:
        summaries, self.summaries = self.summaries, []
        return summaries

    all_open = due

    def sums(self) -> tuple[int, int]:
        return self.now

    def approximate_open(self) -> int:
        return self.opened

    def wait(self) -> float:
        return 2.5


class Faulty(MemoryBuffer):
    """Loses, adopts and raises as it is told."""

    def __init__(self, clock, capacity: int = 100) -> None:
        super().__init__(capacity=capacity, capacity_bytes=1 << 26, policy="drop_lowest", clock=clock)
        self.gone: list[Lost] = []
        self.adopted = 0
        self.refused: set[str] = set()
        self.cannot_say = False
        self.closed: list[str] = []

    def put(self, events):
        if any(event.message in self.refused for event in events):
            raise ValueError("can't be kept")
        return super().put(events)

    def __len__(self):
        return super().__len__() + len(self.gone)  # until it has said so

    def lost(self):
        if self.cannot_say:
            raise OSError("not now")
        gone, self.gone = self.gone, []
        return gone

    def adopt(self):
        adopted, self.adopted = self.adopted, 0
        return adopted

    def rest(self):
        self.closed.append("rest")

    def close(self):
        self.closed.append("close")


class Books:
    """A ledger with all that it stands on."""

    def __init__(self, folds: SomeFolds | None = None, *, capacity: int = 100, journal=None) -> None:
        self.clock, self.heard, self.folds = ManualClock(), Heard(), folds
        self.buffer = Faulty(self.clock, capacity)
        self.reports = Reports(self.heard, "H", SelfLog("H"))
        self.intake = Intake("drop_lowest", 1_000, 1 << 26)
        self.settled: list[tuple[str, bool]] = []
        self.ledger = Ledger(
            self.intake,
            folds,
            self.buffer,
            self.clock,
            self.reports,
            lambda event, *, delivered: self.settled.append((event.message, delivered)),
            journal,
        )

    def put(self, *events, taken: int | None = None, **more) -> None:
        """Have as many captures taken out of the intake as are told, then *events* put."""
        count = len(events) if taken is None else taken
        self.intake.captures.extend(captured(str(number)) for number in range(count))
        if count:
            assert len(self.ledger.take(1_000)) == count
        self.ledger.put([make_event(message) for message in events], **{"dropped": [], "unread": [], **more})

    def sums(self) -> tuple[int, int, int, int, int]:
        """Accepted, delivered, dropped, aggregated and pending, which agree."""
        sums = self.ledger.sums()
        dropped = sum(sums["dropped"].values())
        assert dropped == sum(sums["dropped_by_level"].values())
        law = (sums["accepted"], sums["delivered"], dropped, sums["aggregated"], sums["pending"])
        assert law[0] == sum(law[1:]), sums
        return law

    def told(self) -> list[tuple]:
        self.heard.reports.clear()
        self.reports.tell()
        return self.heard.reports


# --- what comes in -----------------------------------------------------------------------------------------


def test_a_capture_is_accepted_when_it_waits_in_hand_and_in_the_buffer():
    """Nothing is counted twice on its way, and one thread at a time takes captures."""
    books = Books()
    assert books.sums() == (0, 0, 0, 0, 0)
    books.intake.captures.extend([captured("a"), captured("b"), captured("c")])
    assert books.sums() == (3, 0, 0, 0, 3)

    taken = books.ledger.take(2)

    assert len(taken) == 2
    assert books.ledger.take(2) is None
    assert books.sums() == (3, 0, 0, 0, 3)
    assert (books.ledger.approximate_held(), books.ledger.pending()) == (3, 3)
    books.ledger.put([make_event("a")], dropped=[], unread=taken[1:])
    assert next(one.fields for one in books.intake.captures) == taken[1].fields
    assert books.sums() == (3, 0, 0, 0, 3)
    assert len(books.ledger.take(9)) == 2
    books.ledger.put([make_event("b")], dropped=[(20, "before_send")], unread=[])
    assert books.sums() == (3, 0, 1, 0, 2)
    assert books.ledger.sums()["dropped_by_level"] == {"INFO": 1}
    assert books.ledger.take(9) == []


def test_what_the_intake_dropped_is_accepted_and_dropped():
    """With the level it had."""
    books = Books()
    books.intake.dropped.extend([40, 20])

    assert books.sums() == (2, 0, 2, 0, 0)
    assert books.ledger.sums()["dropped"] == {"overflow": 2}
    assert books.ledger.sums()["dropped_by_level"] == {"ERROR": 1, "INFO": 1}
    assert books.sums() == (2, 0, 2, 0, 0)


def test_repeats_that_no_summary_tells_yet_are_one_event_pending_for_each_problem():
    """The rest is aggregated; a summary that goes through the intake changes no sum."""
    folds = SomeFolds(repeats=7, folds=2, open_=2)
    books = Books(folds)
    assert books.sums() == (7, 0, 0, 5, 2)
    assert books.ledger.approximate_pending() == 2

    folds.now, folds.opened, folds.summaries = (0, 0), 0, [captured("one", count=4), captured("two", count=3)]
    assert len(books.ledger.take(1)) == 1

    assert books.sums() == (7, 0, 0, 5, 2)
    books.ledger.put([make_event("one")], dropped=[], unread=[])
    assert books.sums() == (7, 0, 0, 5, 2)
    assert books.ledger.wait_for_folds() == 2.5
    books.ledger.hurry_folds()
    assert folds.hurried


def test_without_folds_there_is_nothing_to_wait_for_or_to_hurry():
    """Folding is a setting."""
    ledger = Books().ledger

    ledger.hurry_folds()

    assert ledger.wait_for_folds() is None
    assert ledger.approximate_pending() == 0


def test_captures_of_which_nothing_came_are_counted_as_lost():
    """An event that its buffer neither keeps nor counts is in the law's sums all the same."""
    books = Books()

    class Forgetful(Faulty):
        def put(self, events):
            return []

    books.buffer.__class__ = Forgetful
    books.put("a", "b", "c", dropped=[(40, "budget")], taken=4)

    assert books.ledger.sums()["dropped"] == {"budget": 1, "worker_died": 3}
    assert books.ledger.sums()["dropped_by_level"] == {"ERROR": 1, "NOTSET": 3}
    assert books.sums() == (4, 0, 4, 0, 0)


def test_an_event_that_cannot_be_kept_costs_itself_and_those_evicted_for_it_are_counted():
    """The others are put one by one."""
    books = Books(capacity=2)
    books.buffer.refused = {"bad"}
    books.put("a", "bad", "b", "c")

    assert books.ledger.sums()["dropped"] == {"unencodable": 1, "overflow": 1}
    assert books.sums() == (4, 0, 2, 0, 2)
    assert books.settled == [("a", False)]
    assert sorted(books.told()) == [
        ("drop", "H", 1, "overflow", "ERROR"),
        ("drop", "H", 1, "unencodable", "ERROR"),
    ]

    class Evicting(Faulty):
        def put(self, events):
            if len(events) == 1 and events[0].message == "worse":
                self.ack(self.lease(2))
            return super().put(events)

    books.buffer.__class__ = Evicting
    books.buffer.refused = {"worse"}
    ticket = books.ledger.open_ticket()
    books.ledger.take(1)  # none waits: the ticket has its keys now
    assert ticket.before is not None
    assert not ticket.finished
    books.put("worse", "fine")

    assert books.ledger.sums()["dropped"] == {"unencodable": 2, "overflow": 3}
    assert books.ledger.sums()["dropped_by_level"] == {"ERROR": 3, "NOTSET": 2}
    assert books.sums() == (6, 0, 5, 0, 1)
    assert ticket.finished


def test_an_event_that_is_kept_although_the_buffer_raised_is_not_counted_as_lost():
    """The number that it holds afterwards tells."""

    class Late(Faulty):
        def put(self, events):
            if len(events) == 1:
                super().put(events)
            raise OSError("after the write")

    books = Books()
    books.buffer.__class__ = Late
    books.put("a", "b")

    assert books.sums() == (2, 0, 0, 0, 2)


def test_events_of_our_own_and_adopted_ones_are_accepted():
    """They come by no log call of this process."""
    books = Books()
    books.buffer.put([make_event("of a dead process")] * 2)
    books.buffer.adopted = 3
    books.buffer.gone = [Lost(None, None, "damaged")]
    books.ledger.adopt()
    books.ledger.add(make_event("own"))

    assert books.sums() == (4, 0, 1, 0, 3)
    assert books.ledger.sums()["dropped_by_level"] == {"NOTSET": 1}
    books.buffer.cannot_say = True
    assert books.sums() == (4, 0, 1, 0, 3)


def test_a_summary_that_processes_share_stands_for_events_counted_here_or_comes_from_outside():
    """Whichever comes first, the count or the summary."""
    books = Books()
    books.put(taken=3, counted=3)
    assert books.sums() == (3, 0, 0, 3, 0)
    books.ledger.add_summary(make_event("summary", count=3))
    assert books.sums() == (3, 0, 0, 2, 1)
    assert books.ledger.added_summaries == 0

    books = Books()
    books.ledger.add_summary(make_event("early", count=2))
    books.ledger.add_summary(make_event("outside", count=5))
    assert books.sums() == (2, 0, 0, 0, 2)
    assert books.ledger.added_summaries == 2
    books.put(taken=3, counted=3)
    assert books.sums() == (3, 0, 0, 1, 2)
    assert books.ledger.added_summaries == 0


def test_a_summary_without_a_budget_is_accepted_and_dropped():
    """It never gets into the buffer, and is settled for those that share it."""
    books = Books()
    books.put(taken=2, counted=2, summaries=[(make_event("summary", level=20), "budget")])

    assert books.sums() == (2, 0, 1, 1, 0)
    assert books.ledger.sums()["dropped_by_level"] == {"INFO": 1}
    assert books.settled == [("summary", False)]


def test_a_journal_is_told_which_captures_have_left_the_intake():
    """By the bits of their ids."""

    class Journal:
        def moved(self, ids) -> None:
            self.ids = list(ids)

    journal = Journal()
    read = [captured("a"), captured("b")]
    Books(journal=journal).put("a", "b", read=read)

    assert journal.ids == [one.id_bits for one in read]


# --- what leaves -------------------------------------------------------------------------------------------


def test_each_event_leaves_once_and_is_counted_and_told_where_it_goes():
    """Acked, dropped, or back into the buffer: the sums, the observer and the shared problems agree."""
    books = Books()
    books.put("a", "b", "c")
    one, two, three = books.ledger.lease(9, max_age=60.0)

    books.ledger.ack([one])
    books.ledger.drop(two, "expired")
    books.ledger.nack(three, 5.0, spent=True)

    assert books.sums() == (3, 1, 1, 0, 1)
    assert books.settled == [("a", True), ("b", False)]
    assert books.told() == [("delivered", "H", 1), ("drop", "H", 1, "expired", "ERROR")]
    assert books.ledger.waiting() == Waiting(5.0, 0, 0, False)
    books.clock.advance(5.0)
    (again,) = books.ledger.lease(9, max_age=60.0)
    assert again.attempts == 2
    books.ledger.nack_all([one, again])
    assert books.ledger.waiting().ready_in == 0.0
    assert books.ledger.waiting().events == 1
    assert books.ledger.waiting().bytes > 0
    (again,) = books.ledger.lease(9, max_age=60.0)
    assert again.attempts == 2  # none was spent
    books.ledger.rest()
    assert books.buffer.closed == ["rest"]
    books.ledger.close()
    assert books.buffer.closed == ["rest", "close"]


def test_events_past_their_age_are_dropped_on_the_way_some_at_a_time():
    """At their age exactly; 256 while the lock is held once."""
    books = Books(capacity=1_000)
    books.put(*(str(number) for number in range(300)))
    books.clock.advance(10.0)
    books.put("young")

    assert books.ledger.lease(1, max_age=10.0) == []
    assert books.ledger.sums()["dropped"] == {"expired": 256}
    (lease,) = books.ledger.lease(1, max_age=10.0)
    assert lease.event.message == "young"
    assert books.ledger.sums()["dropped"] == {"expired": 300}
    assert books.ledger.lease(1, max_age=10.0) == []


def test_a_lease_that_is_broken_off_keeps_every_event():
    """Those found young, and those found old and not yet dropped."""
    books = Books()
    books.put("old", "old too")
    books.clock.advance(10.0)
    books.put("young")

    def broken(leases, reason):
        raise KeyboardInterrupt

    books.buffer.drop = broken
    with pytest.raises(KeyboardInterrupt):
        books.ledger.lease(3, max_age=10.0)

    assert books.ledger.waiting().events == 3


def test_acked_events_are_counted_as_far_as_the_buffer_took_them_off():
    """Whatever it raises then."""
    books = Books()
    books.put("a", "b")
    leases = books.ledger.lease(2, max_age=60.0)

    def half(leases):
        MemoryBuffer.ack(books.buffer, leases[:1])
        raise OSError("disk full")

    books.buffer.ack = half
    with pytest.raises(OSError, match="disk full"):
        books.ledger.ack(leases)

    assert books.sums() == (2, 1, 0, 0, 1)


def test_requests_retries_and_possible_duplicates_are_counted():
    """A failed request counts no duplicates unless it may have been stored."""
    books = Books()
    books.ledger.count_request()
    books.ledger.count_request()
    books.ledger.count_failed_request()
    books.ledger.count_failed_request(perhaps_stored=3)
    books.ledger.count_failed_request(perhaps_stored=4)
    books.ledger.count_retry("busy")

    sums = books.ledger.sums()
    assert [sums[name] for name in ("requests", "failed_requests", "duplicates_possible", "retried")] == [
        2, 3, 7, 1,
    ]  # fmt: skip
    assert books.told() == [("retry", "H", 1, "busy")]
    assert (sums["pending_bytes"], sums["oldest_seconds"]) == (0, None)


# --- flushing ----------------------------------------------------------------------------------------------


def test_a_flush_waits_for_what_was_accepted_before_it_and_for_nothing_later():
    """First until its captures have left the intake, then for the keys that the buffer holds."""
    books = Books()
    books.intake.captures.extend([captured("a"), captured("b")])
    ticket = books.ledger.open_ticket()
    assert (ticket.after, ticket.before, ticket.finished) == (2, None, False)
    assert books.ledger.waiting().is_flushed
    assert len(books.ledger.take(1)) == 1
    books.ledger.put([make_event("a")], dropped=[], unread=[])
    assert ticket.before is None
    assert len(books.ledger.take(1)) == 1
    books.ledger.put([make_event("b")], dropped=[], unread=[])
    assert ticket.left == 2
    books.put("later")

    one, two, later = books.ledger.lease(9, max_age=60.0)
    books.ledger.ack([later])
    books.ledger.ack([one])
    assert not ticket.finished
    books.ledger.drop(two, "expired")

    assert ticket.finished
    assert ticket.done.get_nowait() is None
    assert not books.ledger.waiting().is_flushed


def test_a_flush_of_captures_that_are_all_dropped_is_finished_with_them():
    """No event is left to wait for."""
    books = Books()
    books.intake.captures.append(captured())
    ticket = books.ledger.open_ticket()
    books.ledger.take(1)
    books.ledger.put([], dropped=[(40, "budget")], unread=[])

    assert ticket.finished


def test_captures_dropped_before_a_flush_do_not_finish_it_early():
    """They have left the intake already, whether they were counted by then or not."""
    books = Books()
    books.intake.dropped.extend([40, 40])
    books.intake.captures.append(captured())
    ticket = books.ledger.open_ticket()

    assert ticket.after == 3
    books.ledger.take(0)
    assert ticket.before is None


def test_a_flush_of_nothing_is_finished_at_once():
    """And one of what is only counted elsewhere is not."""
    books = Books()
    assert books.ledger.open_ticket().finished
    books.buffer.gone = [Lost(None, 40, "damaged")]
    assert books.ledger.open_ticket().finished
    books.buffer.gone = [Lost(None, 40, "damaged")]
    assert books.ledger.pending() == 0
    assert not books.ledger.waiting().is_flushed

    ticket = books.ledger.open_ticket(has_more=lambda: True)
    assert not ticket.finished
    books.ledger.close_ticket(ticket)
    assert not books.ledger.waiting().is_flushed
    books.ledger.close_ticket(ticket)


def test_a_flush_sums_up_the_folds_unless_told_not_to():
    """A log call that sends by itself only wants no full batch."""
    folds = SomeFolds()
    books = Books(folds)
    folds.summaries = [captured("summary", count=3)]

    books.ledger.open_ticket(sum_up=False)
    assert not books.intake.captures
    ticket = books.ledger.open_ticket()

    assert len(books.intake.captures) == 1
    assert ticket.after == 1
    assert books.sums() == (3, 0, 0, 2, 1)


def test_an_event_lost_by_the_buffer_or_evicted_finishes_the_flush_that_waits_for_it():
    """It will never be delivered."""
    books = Books(capacity=2)
    books.put("a", "b")
    first = books.ledger.open_ticket()
    books.ledger.take(1)
    (lease, *_) = books.ledger.lease(1, max_age=60.0)
    books.buffer.ack([lease])
    books.buffer.gone = [Lost(lease.key, 40, "damaged")]
    assert books.sums() == (2, 0, 1, 0, 1)
    assert first.left == 1
    books.put("c", "d")

    assert first.finished
    assert books.sums() == (4, 0, 2, 0, 2)


def test_a_summary_belongs_to_the_flushes_that_wait_for_summaries():
    """Those that have their keys already; the others find it in the buffer."""
    books = Books()
    more = [True]
    books.put("a")
    plain = books.ledger.open_ticket()
    waits = books.ledger.open_ticket(has_more=lambda: more[0])
    books.ledger.take(1)
    before = waits.left

    books.ledger.add_summary(make_event("summary"))

    assert (plain.left, waits.left) == (before, before + 1)
    more[0] = False
    a, summary = books.ledger.lease(9, max_age=60.0)
    books.ledger.ack([a])
    assert (plain.finished, waits.finished) == (True, False)
    books.ledger.ack([summary])
    assert waits.finished


def test_a_flush_that_waits_for_summaries_is_looked_at_again_when_its_keys_are_gone():
    """When a chunk has been taken, and when one has been put."""
    more = [True]
    tickets, ticket = Tickets(), Ticket(2, lambda: more[0])
    tickets.add(ticket)
    tickets.arm(1, lambda: (8, 1))
    assert ticket.before is None
    tickets.arm(2, lambda: (8, 1))
    assert (ticket.before, ticket.left) == (8, 1)
    tickets.settled(7)
    assert not ticket.finished
    more[0] = False
    tickets.arm(2, lambda: (9, 1))
    assert ticket.finished
    assert not tickets


def test_a_flush_keeps_only_what_the_buffer_still_holds():
    """And is finished where that is nothing."""
    tickets, one, other, unarmed = Tickets(), Ticket(0), Ticket(0), Ticket(5)
    for ticket in (one, other, unarmed):
        tickets.add(ticket)
    tickets.arm(0, lambda: (3, 2))
    tickets.settled(2)
    other.before, other.left = 4, 2

    tickets.keep_only({3, 4})

    assert one.finished
    assert (other.left, other.finished) == (1, False)
    assert (unarmed.before, unarmed.finished) == (None, False)
    assert not one.waits_for_summaries()
    assert Ticket(0, lambda: False).waits_for_summaries()


# --- losses, reports, budgets ------------------------------------------------------------------------------


def test_losses_are_told_once_with_their_levels_reasons_and_times():
    """Rejected events and those without a budget are not the price of an outage."""
    losses = Losses()
    assert not losses
    assert losses.take() == ({}, {}, 0.0, 0.0)
    losses.add("rejected: Bad", 50, 1.0)
    losses.add("budget", 50, 2.0)
    assert not losses
    for at, (reason, level) in enumerate(
        [("overflow", 20), ("expired", 40), ("given up: odd", 40), ("expired", 40)], start=10
    ):
        losses.add(reason, level, float(at))

    loss = losses.take()

    assert loss == ({20: 1, 40: 3}, {"overflow": 1, "expired": 2, "given up: odd": 1}, 10.0, 13.0)
    assert loss.sentence() == "4 events lost: 3 ERROR, 1 INFO (2 expired, 1 overflow, 1 given up: odd)"
    assert not losses
    losses.add("damaged", 30, 20.0)
    assert losses.take() == ({30: 1}, {"damaged": 1}, 20.0, 20.0)


def test_the_records_of_our_own_events():
    """As severe as the worst event lost; the fingerprint groups them at the service."""
    losses = Losses()
    losses.add("expired", 20, 60.0)
    losses.add("overflow", 50, 120.0)
    record = loss_record(losses.take())

    assert (record.levelno, record.lineno, record.getMessage()) == (
        50, 0, "2 events lost: 1 CRITICAL, 1 INFO (1 expired, 1 overflow)",
    )  # fmt: skip
    assert record.since == "1970-01-01T00:01:00+00:00"
    assert record.until == "1970-01-01T00:02:00+00:00"
    assert record.lost_by_level == {"CRITICAL": 1, "INFO": 1}
    assert record.lost_by_reason == {"expired": 1, "overflow": 1}
    assert record.fingerprint == "eventlog_handlers lost events"
    note = note_record("text")
    assert (note.levelno, note.lineno, note.getMessage()) == (40, 0, "text")
    assert note.fingerprint == "eventlog_handlers note"
    assert [level_name(level) for level in (40, 41, 10**5_000)] == [
        "ERROR", "Level 41", "Level out of range",
    ]  # fmt: skip


def test_a_tally_tells_how_often_was_added_however_often_it_was_asked():
    """Asking draws numbers too."""
    tally = Tally()
    totals = []
    for added in (0, 0, 1, 2, 0):
        for _ in range(added):
            tally.add()
        totals.append(tally.total())

    assert totals == [0, 0, 1, 3, 3]
    assert tally.own_draws == 5


def test_notes_and_reports_are_kept_until_told_and_told_once(capsys):
    """Reports of one kind are added up; a state is told when it or its error has changed."""
    notes, heard = Notes(SelfLog("H")), Heard()
    reports = Reports(heard, "H", SelfLog("H"))
    notes.say("one")
    notes.say("one")
    notes.say_once("key", "two")
    notes.say_once("key", "three")
    for word in ("a", "b", "a"):
        reports.count("on_retry", word)
    for state in (("ok",), ("ok",), ("failing", "x"), ("failing", "y"), ("ok",)):
        reports.state(*state)
    assert capsys.readouterr().err == ""
    assert heard.reports == []

    for _ in range(2):
        notes.tell()
        reports.tell()

    assert [line.rpartition(": ")[2] for line in capsys.readouterr().err.splitlines()] == [
        "one",
        "one",
        "two",
    ]
    assert heard.reports == [
        ("retry", "H", 2, "a"), ("retry", "H", 1, "b"),
        ("state", "H", "ok", ""), ("state", "H", "failing", "x"), ("state", "H", "failing", "y"),
        ("state", "H", "ok", ""),
    ]  # fmt: skip


def test_without_an_observer_nothing_is_kept():
    """What waits for nobody would grow for ever."""
    reports = Reports(None, "H", SelfLog("H"))
    reports.count("on_delivered")
    reports.state("ok")
    reports.tell()

    assert not reports._counts
    assert not reports._states


def test_of_two_budgets_renewed_at_the_same_moment_the_first_is_named():
    """The hour that began in the day's last hour ends with it."""
    budget = Budget([(1, "hour"), (2, "day")], 0.0)
    budget.charge(0.0)
    budget.charge(23 * 3_600.0)

    assert budget.lacking(23 * 3_600.0, critical=False) == Spent(1, "hour", 82_800.0, 86_400.0)
    assert budget.lacking(86_400.0, critical=False) is None


class Tolls:
    """A charging with what it says and makes."""

    def __init__(self, sharing=None, **limits) -> None:
        self.clock, self.wall = ManualClock(100.0), ManualClock(1_790_000_100.0)
        self.losses: list[tuple] = []
        self.notes = Notes(SelfLog("H"))
        self.charging = Charging(
            PipelineSettings(**limits),
            clock=self.clock,
            wall_clock=self.wall,
            own_event=self.made,
            notes=self.notes,
            sharing=sharing,
        )

    def made(self, loss):
        self.losses.append(loss)
        return make_event("own", max(loss.by_level))

    def admitted(self, *levels: int) -> list[bool]:
        return [self.charging.admits(make_event(level=level)) for level in levels]


def test_without_a_budget_every_event_is_admitted():
    """And nothing shared is asked."""
    assert Tolls(sharing=object()).admitted(10, 50) == [True, True]


def test_a_spent_budget_is_told_once_a_window_with_its_limit_and_times(capsys):
    """Critical events have the reserve, which no other event may use."""
    tolls = Tolls(max_events_per_hour=3, budget_reserve=0.3)
    assert tolls.admitted(40, 40) == [True, True]
    tolls.clock.advance(60.0)
    tolls.wall.advance(60.0)
    assert tolls.admitted(40, 49, 50, 50) == [False, False, True, False]

    (notice,) = tolls.charging.take_notices()
    assert tolls.charging.take_notices() == []
    assert tolls.losses == [({30: 1}, {"budget": 1}, 1_790_000_100.0, 1_790_000_160.0)]
    assert notice.message == notice.template
    assert notice.message.startswith("budget spent: 3 events per hour; until 2026-09-21T15:15:00+00:00 only")
    assert notice.attributes == {
        "limit": 3, "per": "hour",
        "since": "2026-09-21T14:15:00+00:00", "until": "2026-09-21T15:15:00+00:00",
    }  # fmt: skip
    tolls.notes.tell()
    assert notice.message in capsys.readouterr().err
    tolls.clock.advance(3_540.0)
    assert tolls.admitted(40, 40, 40) == [True, True, False]
    assert len(tolls.charging.take_notices()) == 1


@pytest.mark.parametrize(
    ("untils", "told"),
    [
        ([900.0, 900.5, 899.5], 1),
        ([900.0, 901.0], 2),
        ([900.0, 899.0], 2),
        ([900.0, 901.5], 2),
        ([0.5], 1),
    ],
)
def test_ends_of_a_shared_window_less_than_a_second_apart_are_one(untils, told):
    """Each question computes them a little differently."""

    class Shares:
        asked: list[tuple] = []  # noqa: RUF012

        def charge(self, now, *, critical):
            self.asked.append((now, critical))
            return Spent(5, "day", 0.0, ends.pop(0))

    ends = list(untils)
    tolls = Tolls(Shares(), max_events_per_day=5)

    assert tolls.admitted(*[40] * len(untils)) == [False] * len(untils)
    assert len(tolls.charging.take_notices()) == told
    assert Shares.asked[-1] == (100.0, False)
