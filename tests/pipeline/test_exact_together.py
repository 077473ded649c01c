"""Problems that processes share, and counters that a worker shows: each question and answer, in order."""

from __future__ import annotations

import json

import pytest

from eventlog_handlers.buffers.spool.journal import is_safe_here
from eventlog_handlers.events import ExceptionText
from eventlog_handlers.pipeline import open_buffer
from eventlog_handlers.pipeline import sharing as sharing_module
from eventlog_handlers.pipeline.budget import Spent
from eventlog_handlers.pipeline.dry_run import DryRun, DryRunSink, billing_units
from eventlog_handlers.pipeline.open_buffer import made_buffer
from eventlog_handlers.pipeline.open_sharing import made_coordinator, made_sharing
from eventlog_handlers.pipeline.sharing import Sharing, problem_of, sample_of, summary_id
from eventlog_handlers.pipeline.showing import Showing, made_showing
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.settings.values import PipelineSettings
from eventlog_handlers.share import contract
from eventlog_handlers.share.allowance import Allowances
from eventlog_handlers.share.contract import Member, Occurrence, Sums, Telling, Verdict
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_event

PROBLEM = bytes(range(16))


class Together:
    """A coordinator that answers as told and keeps what it was asked; and a part in it."""

    def __init__(self, *, folds: bool = True, has_rate: bool = False) -> None:
        self.asked: list[tuple] = []
        self.made = 0
        self.verdicts: list[Verdict] = []
        self.tellings: list[Telling] = []
        self.samples: dict[bytes, bytes] = {}
        self.elsewhere = 0
        self.look: float | None = None
        self.spent: contract.Spent | None = None
        self.clock = ManualClock(100.0)
        self.sharing = Sharing(
            self.make, address="group", folds=folds, has_rate=has_rate, own_event=make_event, clock=self.clock
        )

    def make(self) -> Together:
        self.made += 1
        return self

    def charge(self, criticals):
        self.asked.append(("charge", criticals))
        return [self.spent]

    def fold(self, occurrences):
        self.asked.append(("fold", occurrences))
        return [self.verdicts.pop(0) for _ in occurrences]

    def leave_sample(self, problem, sample):
        self.asked.append(("sample left", problem))
        self.samples[problem] = sample

    def sample(self, problem):
        return self.samples.get(problem)

    def due(self, *, everything):
        self.asked.append(("due", everything))
        tellings, self.tellings = self.tellings, []
        return tellings

    def told(self, tellings):
        self.asked.append(("told", tellings))

    def others(self):
        return self.elsewhere

    def next_look(self):
        return self.look

    def publish(self, counters):
        self.asked.append(("publish", counters))

    def members(self):
        return [
            Member("a", "a", 1, 0.0, True, {"accepted": 3, "told": 1}),
            Member("b", "b", 2, 0.0, True, {"accepted": 4}),
        ]

    def sums(self):
        return Sums(5, 20, 10, 7, 3, {"accepted": 100})

    def state(self):
        return {"scope": "host", "members": 2}

    def after_fork_in_child(self):
        self.asked.append(("forked",))

    def close(self):
        self.asked.append(("closed",))

    def summaries(self, *, is_flushed: bool = False) -> list:
        found: list = []
        self.sharing.summarize(found.append, is_flushed=is_flushed)
        return found


# --- one problem -------------------------------------------------------------------------------------------


def test_a_problem_has_the_same_sixteen_bytes_in_every_process_and_version():
    """Whatever is part of it changes them."""
    event = make_event("größe", tags={"b": "2", "a": "é"}, resources=("r",), event_name="n")
    assert problem_of(event, "group").hex() == "01b746c09d2bdab155a23bcfa0bacb3e"
    assert problem_of(event._replace(tags={"a": "é", "b": "2"}), "group") == problem_of(event, "group")
    others = [
        {"level": 50}, {"fingerprint": "f"}, {"status": "ok"}, {"service": "s"}, {"env": "e"},
        {"event_name": "m"}, {"group_id": "g"}, {"detail_type": "d"}, {"resources": ()}, {"tags": {}},
    ]  # fmt: skip
    problems = {problem_of(event._replace(**other), "group") for other in others}
    assert len(problems | {problem_of(event, "group"), problem_of(event, "bus")}) == len(others) + 2
    assert problem_of(event._replace(message="other", time=7.0), "group") == problem_of(event, "group")


def test_a_summary_that_is_told_again_has_the_same_id():
    """32 hex digits, as any event's."""
    telling = Telling(PROBLEM, 7, 3, 1.0, 2.0)

    assert summary_id(telling) == summary_id(telling._replace(count=9)) == "37834b579132769e112518adc4b8e32d"
    assert len(summary_id(telling)) == 32
    assert summary_id(telling._replace(number=8)) != summary_id(telling)


def test_the_coordinator_is_made_at_the_first_question_and_once():
    """Asking for what is known makes none."""
    together = Together()
    sharing = together.sharing
    assert (sharing.next_look(), sharing.has_to_tell(), sharing.state(), sharing.scope()) == (
        None,
        False,
        {},
        "host",
    )
    sharing.publish(dict)
    sharing.rest()
    sharing.after_fork_in_child()
    assert (together.made, together.asked) == (0, [])
    assert sharing.coordinator() is sharing.coordinator() is together
    assert together.made == 1
    sharing.rest()
    sharing.after_fork_in_child()
    assert together.asked == [("closed",), ("forked",)]
    assert sharing.pacer is None
    assert Together(has_rate=True).sharing.pacer is not None


def test_a_budget_of_all_is_asked_and_its_window_told_in_this_process_s_time():
    """Seconds from now become moments."""
    together = Together()
    assert together.sharing.charge(100.0, critical=True) is None
    together.spent = contract.Spent(5, "hour", -60.0, 3_540.0)

    assert together.sharing.charge(100.0, critical=False) == Spent(5, "hour", 40.0, 3_640.0)
    assert together.asked == [("charge", [True]), ("charge", [False])]


def test_events_are_sent_or_counted_as_the_coordinator_decides():
    """The first of a problem leaves a sample; a summary counts for all its calls."""
    together = Together()
    events = [
        make_event("a", time=5.0, fingerprint="a"),
        make_event("b", time=6.0, fingerprint="b", count=4, first_time=2.0),
        make_event("c", time=7.0, fingerprint="c"),
        make_event("d", time=8.0, fingerprint="d", count=2, first_time=7.5),
    ]
    together.verdicts = [Verdict.OPENED, Verdict.COUNTED, Verdict.SEND, Verdict.COUNTED]

    assert together.sharing.fold(events) == ([events[0], events[2]], 2)

    problems = [problem_of(event, "group") for event in events]
    spans = [(1, 5.0, 5.0), (4, 2.0, 6.0), (1, 7.0, 7.0), (2, 7.5, 8.0)]
    assert together.asked == [
        ("fold", [Occurrence(problem, *span) for problem, span in zip(problems, spans, strict=True)]),
        ("sample left", problems[0]),
    ]
    assert together.sharing.counted == 6
    assert list(together.sharing._last.values()) == events
    assert together.sharing.fold([]) == ([], 0)
    together.fold = lambda occurrences: [Verdict.SEND]
    with pytest.raises(ValueError, match="zip"):
        together.sharing.fold(events)
    plain = Together(folds=False)
    assert plain.sharing.fold(events) == (events, 0)
    assert plain.asked == []


def test_the_last_events_of_1024_problems_are_remembered(monkeypatch):
    """The problem that came longest ago is forgotten first."""
    assert sharing_module._LAST_EVENTS == 1_024
    monkeypatch.setattr(sharing_module, "_LAST_EVENTS", 2)
    sharing = Together().sharing
    for problem, message in ((b"a", "1"), (b"b", "2"), (b"a", "3"), (b"c", "4")):
        sharing._remember(problem, make_event(message))

    assert {problem: event.message for problem, event in sharing._last.items()} == {b"a": "3", b"c": "4"}


# --- summaries ---------------------------------------------------------------------------------------------


def test_a_summary_shows_the_last_event_known_here_or_the_sample_or_says_that_nothing_is_kept():
    """With the count and the times of what it stands for."""
    together = Together()
    together.sharing._remember(PROBLEM, make_event("known", attributes={"a": 1}))
    sampled, unknown, odd = (bytes([number]) * 16 for number in (1, 2, 3))
    together.samples = {sampled: json.dumps(make_event("sampled").to_json()).encode(), odd: b'{"id": 1}'}
    together.tellings = [
        Telling(PROBLEM, 1, 3, 10.0, 20.0), Telling(sampled, 1, 1, 11.0, 21.0),
        Telling(unknown, 1, 7, 12.0, 22.0), Telling(odd, 1, 8, 12.0, 22.0),
    ]  # fmt: skip
    tellings = list(together.tellings)

    summaries = together.summaries()

    assert [(one.message, one.count, one.first_time, one.time) for one in summaries[:2]] == [
        ("known", 3, 10.0, 20.0), ("sampled", 1, None, 21.0),
    ]  # fmt: skip
    words = "repeats of a problem that another process had reported, and of which nothing else is kept"
    assert [one.message for one in summaries[2:]] == [f"7 {words}", f"8 {words}"]
    assert [one.id for one in summaries] == [summary_id(telling) for telling in tellings]
    assert summaries[0].attributes == {"a": 1}


@pytest.mark.parametrize(
    ("elsewhere", "look", "is_flushed", "everything"),
    [(0, 3.0, True, True), (1, 3.0, True, False), (0, None, True, False), (0, 3.0, False, False)],
)
def test_a_flush_asks_for_open_windows_only_where_no_other_process_tells_them(
    elsewhere, look, is_flushed, everything
):
    """Then it is the only one left."""
    together = Together()
    together.elsewhere, together.look = elsewhere, look
    together.summaries(is_flushed=is_flushed)

    assert together.asked == [("due", everything)]
    assert together.sharing.has_to_tell() is (look is not None and not (is_flushed and elsewhere))


def test_one_thread_at_a_time_tells_and_a_flush_waits_for_it():
    """The others go on with their turn."""
    together = Together()
    waits = []

    class Turn:
        def acquire(self, *, blocking=True, timeout=-1):
            waits.append(timeout)
            return False

    together.sharing._turn = Turn()
    assert together.summaries() == together.summaries(is_flushed=True) == []
    assert waits == [0, 1.0]
    together.sharing.coordinator()
    together.sharing.publish(dict)
    assert together.asked == []
    plain = Together(folds=False)
    assert plain.summaries() == []
    assert plain.asked == []


def test_a_summary_is_said_to_be_told_once_its_event_is_settled():
    """With the next question; delivered or dropped, it is settled."""
    together = Together()
    sharing = together.sharing
    first, second = Telling(PROBLEM, 1, 3, 10.0, 20.0), Telling(PROBLEM, 2, 4, 21.0, 30.0)
    together.tellings = [first, second]
    one, other = together.summaries()
    together.look = 9.0
    assert sharing.next_look() == 9.0
    sharing.settled(one, delivered=True)
    sharing.settled(other, delivered=False)
    assert sharing.next_look() == 0.0
    together.asked.clear()

    together.summaries()

    assert together.asked == [("told", [first, second]), ("due", False)]
    assert sharing.next_look() == 9.0
    sharing.settled(one, delivered=True)  # not a summary any more
    together.asked.clear()
    together.summaries()
    assert together.asked == [("due", False)]


SUMS = {
    "accepted": 50, "delivered": 20, "dropped": {"overflow": 3, "budget": 2},
    "requests": 9, "failed_requests": 4,
}  # fmt: skip


def test_counters_are_published_in_log_calls():
    """An event of forty calls is forty; summaries of shared problems are no calls of this process."""
    together = Together()
    sharing = together.sharing
    assert sharing.calls(SUMS, 0) == {
        "accepted": 50, "delivered": 20, "dropped": 5, "counted": 0, "told": 0, "pending": 25,
        "requests": 9, "failed_requests": 4,
    }  # fmt: skip
    together.tellings = [Telling(PROBLEM, 1, 3, 10.0, 20.0), Telling(PROBLEM, 2, 4, 21.0, 30.0)]
    one, other = together.summaries()
    sharing.settled(one, delivered=True)
    sharing.settled(other, delivered=False)
    sharing.settled(make_event(count=40), delivered=True)
    sharing.settled(make_event(count=6), delivered=False)
    sharing.settled(make_event(), delivered=True)
    sharing.counted = 8

    assert sharing.calls(SUMS, 2) == {
        "accepted": 48, "delivered": 20 + 39 - 1, "dropped": 5 + 5 - 1, "counted": 8, "told": 7,
        "pending": 48 - 58 - 9 - 8, "requests": 9, "failed_requests": 4,
    }  # fmt: skip


def test_counters_are_shown_every_five_seconds_and_at_once_when_asked():
    """And those of the others are read: added up, those of departed processes too."""
    together = Together()
    together.elsewhere = 1
    sharing = together.sharing
    sharing.coordinator()
    for seconds, now_at_once in ((0.0, False), (4.0, False), (0.5, True), (4.5, False), (0.5, False)):
        together.clock.advance(seconds)
        sharing.publish(lambda: {"accepted": int(together.clock())}, now_at_once=now_at_once)

    assert together.asked == [("publish", {"accepted": at}) for at in (100, 104, 109)]
    assert sharing.state() == {
        "scope": "host", "members": 2,
        "totals": {"accepted": 107, "told": 1, "open": 10, "problems": 5},
    }  # fmt: skip
    assert sharing.scope() == "host"
    together.look = 1.0
    assert not sharing.has_to_tell()
    together.elsewhere = 0
    sharing.publish(dict, now_at_once=True)
    assert sharing.has_to_tell()


def test_a_forked_child_tells_and_counts_nothing_of_its_parents():
    """Nor does it wait for a lock that the parent held."""
    together = Together(has_rate=True)
    sharing = together.sharing
    together.tellings = [Telling(PROBLEM, 1, 3, 10.0, 20.0)]
    (summary,) = together.summaries()
    sharing.settled(summary, delivered=True)
    sharing.settled(make_event(count=5), delivered=True)
    sharing.settled(make_event(count=5), delivered=False)
    sharing.publish(dict)
    sharing.counted = 5
    sharing._turn.acquire()
    sharing._making.acquire()
    sharing.pacer._lock.acquire()
    together.elsewhere = 1
    together.asked.clear()

    sharing.after_fork_in_child()

    assert together.asked == [("forked",)]
    assert sharing.calls({**SUMS, "delivered": 0, "dropped": {}}, 0)["pending"] == 50
    assert (sharing._telling, sharing._last, sharing.next_look()) == ({}, {}, None)
    sharing.publish(dict)
    together.summaries()
    assert [asked[0] for asked in together.asked] == ["forked", "publish", "due"]
    assert sharing.pacer.wait(100.0) is None


def test_a_sample_is_the_event_unless_it_is_larger_than_64_kib():
    """Then what makes it large is left out."""
    small = make_event(attributes={"a": "x" * 1_000}, stack="s", defects=tuple("abcdefghij"))
    assert json.loads(sample_of(small)) == small.to_json()
    room = 65_536 - len(sample_of(small._replace(stack="")))
    exact = small._replace(stack="s" * room)
    assert json.loads(sample_of(exact)) == exact.to_json()

    large = exact._replace(
        stack="s" * (room + 1), message="m" * 9_000, template="t" * 9_000,
        exception=ExceptionText("E", "e" * 9_000, "trace", ("E",)),
    )  # fmt: skip
    sample = json.loads(sample_of(large))
    assert (sample["stack"], sample["attributes"]) == ("", {})
    assert (sample["message"], sample["template"]) == ("m" * 8_192, "t" * 8_192)
    assert sample["exception"] == {"type": "E", "message": "e" * 8_192, "stacktrace": "", "chain": ["E"]}
    assert sample["defects"] == [
        *"abcdefgh", "shortened: the event was too large to be kept for a summary",
    ]  # fmt: skip


# --- made of settings --------------------------------------------------------------------------------------

WHERE = {"service": "cms", "endpoint": "https://one", "key": "k", "address": "group"}
NOTHING = {"requests_per_second": None, "aggregate_seconds": None}


@pytest.mark.parametrize(
    ("settings", "is_shared", "folds", "has_rate"),
    [
        ({}, False, None, None),
        ({"requests_per_second": 2.0}, True, False, True),
        ({"max_events_per_hour": 2}, True, False, False),
        ({"max_events_per_day": 2}, True, False, False),
        ({"aggregate_seconds": 60.0}, True, True, False),
        ({"aggregate_seconds": 60.0, "scope": "process"}, False, None, None),
        ({"aggregate_seconds": 60.0, "dry_run": True}, False, None, None),
        ({"aggregate_seconds": 60.0, "is_disabled": True}, False, None, None),
    ],
)
def test_what_of_the_settings_is_shared(settings, is_shared, folds, has_rate):
    """A rate limit, a budget or folding, where something is sent."""
    pipeline = PipelineSettings(**{**NOTHING, "scope": "host", **settings})

    sharing = made_sharing(pipeline, SelfLog("H"), make_event, **WHERE)

    assert (sharing is not None) is is_shared
    if sharing is not None:
        assert (sharing._folds, sharing.pacer is not None, sharing.asked_for) == (folds, has_rate, "host")
        assert sharing._address == "group"


def test_a_buffer_is_as_the_settings_say(tmp_path):
    """In memory, or in a directory; with a journal where a log call commits and no hook is called."""
    where = {"service": "cms", "endpoint": "https://one", "address": "group"}
    memory = made_buffer(PipelineSettings(spool=None, capacity=7), lambda *_: None, **where)
    assert (type(memory).__name__, memory._capacity) == ("MemoryBuffer", 7)
    # Part of the name of a file that another version may have left.
    assert open_buffer._digest("https://one" + "group") == "2684a775a287627d"
    staged = {"spool": str(tmp_path), "durability": "staged", "before_send": None}
    journals = []
    for changed in (
        {},
        {"durability": "commit"},
        {"durability": "commit", "before_send": lambda event: event},
    ):
        buffer = made_buffer(PipelineSettings(**{**staged, **changed}), lambda *_: None, **where)
        journals.append(buffer.journal is not None)
        buffer.close()
    assert journals == [False, is_safe_here(), False]


@pytest.mark.parametrize(
    ("settings", "limits", "budgets", "window"),
    [
        ({}, None, (), 60.0),
        ({"aggregate_seconds": 7.0}, None, (), 7.0),
        (
            {"requests_per_second": 2.0, "burst": 3, "window": (7, 60.0)},
            contract.Limits(2.0, 3, (7, 60.0)), (), 60.0,
        ),
        ({"max_events_per_hour": 5}, None, ((5, "hour"),), 60.0),
        ({"max_events_per_hour": 5, "max_events_per_day": 9}, None, ((5, "hour"), (9, "day")), 60.0),
    ],
)  # fmt: skip
def test_what_the_processes_of_an_account_agree_by(settings, limits, budgets, window, monkeypatch):
    """The rate limit, the budgets, the first window of a problem."""
    opened = []
    monkeypatch.setattr(
        "eventlog_handlers.share.scopes.open_coordinator", lambda *given: opened.append(given)
    )
    pipeline = PipelineSettings(**{**NOTHING, "budget_reserve": 0.25, **settings})
    made_coordinator("host", pipeline, SelfLog("H"), "cms", "https://one", "k")

    ((scope, _, agreement, _),) = opened
    assert (scope, agreement.limits, agreement.window_seconds) == ("host", limits, window)
    assert agreement.allowances == Allowances(budgets, 0.25)


@pytest.mark.parametrize(
    ("size", "units"), [(0, 1), (1, 1), (65_536, 1), (65_537, 2), (131_072, 2), (131_073, 3)]
)
def test_each_64_kib_begun_is_a_unit(size, units):
    """One at least."""
    assert billing_units(size) == units


def test_a_dry_run_counts_what_it_would_have_sent(monkeypatch, capsys):
    """Over all requests, of this process; said once, before the first event."""
    behind = ScriptedSink()
    dry_run = DryRun(lambda self_log: behind)
    assert dry_run.counts() == {}
    sink = dry_run(SelfLog("H"))
    payloads = [sink.encode(make_event()), sink.encode(make_event("x" * 70_000, template=""), 66_000)]
    assert isinstance(sink, DryRunSink)
    assert sink.limits is behind.limits
    assert payloads[1].size == 66_000
    assert len(sink.send(payloads, timeout=1.0)) == 2
    sink.send(payloads[:1], timeout=1.0)

    sizes = [payload.size for payload in payloads]
    assert dry_run.counts() == {
        "requests": 2,
        "events": 3,
        "bytes": sum(sizes) + sizes[0],
        "billing_units": 4,
    }
    assert "dry run: events are made and counted, and nothing is sent" in capsys.readouterr().err
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert dry_run.counts() == {}
    sink.close()
    assert (behind.closed, behind.requests) == (1, [])


# --- top ---------------------------------------------------------------------------------------------------


class Shown:
    """A Showing, its file and its clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.written: list[dict] = []
        self.fails = False
        self.stats = {"accepted": 0, "pending": 0, "state": "ok", "last_error": "", "oldest_seconds": 2.0}
        self.showing = Showing(
            self, lambda: {"pid": 7}, clock=lambda: self.now, wall_clock=lambda: self.now + 900.0
        )

    def write(self, content) -> None:
        if self.fails:
            raise OSError("full")
        self.written.append(content)

    def end(self) -> None: ...

    def remove(self) -> None:
        self.written.append({})

    def turn(self, at: float, *, sleeps: bool = False, leaves: bool = False, **stats) -> int:
        self.now = at
        self.stats.update(stats)
        self.showing.show(lambda: self.stats, goes_to_sleep=sleeps, leaves=leaves)
        return len(self.written)


def test_when_the_file_of_top_is_written():
    """A busy thread once a second; a sleeping one what would be stale; the last one whatever is new."""
    shown = Shown()
    assert shown.turn(100.0) == 1
    assert shown.written[0] == {
        "pid": 7, "accepted": 0, "pending": 0, "state": "ok", "last_error": "",
        "oldest_at": 998.0, "written_at": 1_000.0,
    }  # fmt: skip
    assert shown.turn(100.75, accepted=1, pending=1) == 1
    assert shown.turn(101.0) == 2
    assert shown.turn(101.5, sleeps=True, accepted=2) == 2
    assert shown.turn(101.5, sleeps=True, pending=0, oldest_seconds=None) == 3
    assert shown.written[2]["oldest_at"] is None
    assert shown.turn(101.75, leaves=True) == 3
    assert shown.turn(101.75, leaves=True, accepted=3) == 4
    assert shown.turn(102.5, accepted=4) == 4
    assert shown.turn(102.75) == 5
    shown.fails = True
    assert shown.turn(104.0, accepted=5) == 5
    shown.fails = False
    assert shown.turn(163.5, leaves=True) == 5
    assert shown.turn(164.0) == 6
    shown.showing.remove()
    assert shown.turn(165.0, sleeps=True) == 8


def test_a_thread_that_cannot_wait_goes_on_while_another_writes():
    """One that sleeps or leaves waits a tenth of a second for it."""
    shown = Shown()
    waits = []

    class Lock:
        def acquire(self, timeout):
            waits.append(timeout)
            return False

    shown.showing._lock = Lock()
    for sleeps, leaves in ((False, False), (True, False), (False, True)):
        shown.turn(100.0, sleeps=sleeps, leaves=leaves)

    assert waits == [0, 0.1, 0.1]
    assert shown.written == []


@pytest.mark.parametrize(("dry_run", "destination"), [(False, "cms"), (True, "cms (dry run)")])
def test_what_top_sees_of_a_handler(dry_run, destination):
    """Who it is, and where it sends."""
    described = made_showing("CMSHandler", "cms", PipelineSettings(dry_run=dry_run))._described()

    assert (described["handler"], described["destination"]) == ("CMSHandler", destination)
    assert described["pid"] > 0
