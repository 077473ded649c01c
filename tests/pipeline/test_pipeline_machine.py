"""The whole pipeline against any order of records, failures, crashes, forks, floods and steps of the clock.

Invariant: the law, in every process at every moment; and over all processes, by id: what was accepted is
delivered, dropped and counted, still held, or was in the memory of a process that crashed. No event is
delivered twice, except one whose delivery a crash kept from being recorded.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections import Counter
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from law import assert_law, kill, submit

from eventlog_handlers.buffers.memory import MemoryBuffer
from eventlog_handlers.buffers.spool import file as spoolfile
from eventlog_handlers.buffers.spool.buffer import SpoolBuffer
from eventlog_handlers.errors import (
    MisconfiguredError,
    RefusedError,
    ThrottledError,
    TooLargeError,
    TransientError,
)
from eventlog_handlers.events import DELIVERED, Disposition, Outcome
from eventlog_handlers.testing import ManualClock, ScriptedSink, make_event, make_worker

RETRY = Outcome(Disposition.RETRY, "InternalFailure")
THROTTLED = Outcome(Disposition.RETRY, "Throttling", throttled=True)
REJECTED = Outcome(Disposition.REJECTED, "MalformedDetail")
FAILURES = [
    TransientError("connect"),
    TransientError("timeout", ambiguous=True, attempts_allowed=2),
    ThrottledError("429", retry_after=7.0),
    MisconfiguredError("InvalidAccessKeyId"),
    RefusedError("ValidationException"),
    TooLargeError("413"),
    RuntimeError("not foreseen"),
]
BATCH = 4


class TickingClock(ManualClock):
    """Time passes by being read, so that a flush comes to its end."""

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


class Killed(BaseException):
    """The process ends in the middle of a request."""


class Process:
    """One process: its worker, its service's answers, its buffer."""

    def __init__(self, make_buffer, clock, when_full):
        self.sink = ScriptedSink(max_events=BATCH)
        self.buffer = make_buffer()
        self.worker = make_worker(
            self.sink, clock, buffer=lambda: self.buffer, when_full=when_full, capacity=8, max_age=1_000.0
        )

    def stats(self):
        return self.worker.stats()


class PipelineMachine(RuleBasedStateMachine):
    """Processes come, log, fork, crash and go; events may not."""

    kind = "memory"

    @initialize(when_full=st.sampled_from(["drop_lowest", "drop_newest"]))
    def start(self, when_full):
        self.directory = tempfile.mkdtemp()
        self.clock = TickingClock()
        self.wall_offset = 1_790_000_000.0
        self.when_full = when_full
        self.accepted: set[str] = set()
        self.processes = [self.make_process()]
        self.ended: Counter[str] = Counter()  # sums of processes that are no more
        self.delivered: Counter[str] = Counter()
        self.perhaps_again: set[str] = set()
        self.disk = ""
        insert = spoolfile.SpoolFile.insert

        def insert_if_it_can(file, rows):
            if self.disk:
                raise sqlite3.OperationalError(self.disk)
            insert(file, rows)

        self.own_events = mock.Mock(side_effect=make_event)  # those that tell of a loss
        self.patches = [
            mock.patch.object(spoolfile.SpoolFile, "insert", insert_if_it_can),
            mock.patch("eventlog_handlers.testing.make_event", self.own_events),
        ]
        for patch in self.patches:
            patch.start()

    def make_process(self):
        return Process(self.make_buffer, self.clock, self.when_full)

    def make_buffer(self):
        sizes = {"capacity": 8, "capacity_bytes": 1 << 20, "policy": self.when_full, "clock": self.clock}
        if self.kind == "memory":
            return MemoryBuffer(**sizes)
        return SpoolBuffer(
            self.directory,
            **sizes,
            max_age_seconds=1_000.0,
            wall_clock=lambda: self.clock() + self.wall_offset,
            report=lambda key, text: None,
            identity="machine",
        )

    def draw_process(self, data):
        return self.processes[data.draw(st.integers(0, len(self.processes) - 1))]

    # --- what happens --------------------------------------------------------------------------------------

    @rule(data=st.data(), levels=st.lists(st.sampled_from([10, 20, 30, 40, 50]), min_size=1, max_size=6))
    def records(self, data, levels):
        process = self.draw_process(data)
        for level in levels:
            self.accepted.add(submit(process.worker, f"record {len(self.accepted)}", level))

    @rule(data=st.data(), turns=st.integers(1, 6))
    def steps(self, data, turns):
        process = self.draw_process(data)
        for _ in range(turns):
            process.worker.step()

    @rule(data=st.data(), answers=st.lists(st.sampled_from([None, *FAILURES]), min_size=1, max_size=4))
    def service_fails(self, data, answers):
        self.draw_process(data).sink.answers.extend(answers)

    @rule(
        data=st.data(),
        verdicts=st.lists(st.sampled_from([DELIVERED, RETRY, THROTTLED, REJECTED]), min_size=BATCH),
    )
    def service_fails_in_part(self, data, verdicts):
        self.draw_process(data).sink.answers.append(lambda events: verdicts[: len(events)])

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0, 100.0, 600.0]))
    def time_passes(self, seconds):
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-3_600.0, 3_600.0]))
    def the_wall_clock_is_set(self, seconds):
        self.wall_offset += seconds

    @rule(data=st.data(), timeout=st.sampled_from([0.0, 0.02]))
    def flush(self, data, timeout):
        process = self.draw_process(data)
        if process.worker.flush(timeout):  # all that was accepted; what tells of a loss came after
            assert process.stats()["pending"] <= 1

    @rule(data=st.data())
    def close(self, data):
        process = self.draw_process(data)
        process.worker.flush(0.02)
        process.buffer.close()

    @precondition(lambda self: len(self.processes) < 4)
    @rule(data=st.data())
    def fork(self, data):
        """The child starts with a buffer of its own; the parent goes on."""
        self.processes.append(self.make_process())

    @rule(disk=st.sampled_from(["", "database or disk is full", "disk I/O error"]))
    def the_disk_changes(self, disk):
        self.disk = disk

    @rule(data=st.data(), restart=st.booleans())
    def crash(self, data, restart):
        process = self.draw_process(data)
        self.end(process, restart=restart)

    @rule(data=st.data(), received=st.integers(0, BATCH))
    def crash_in_a_request(self, data, received):
        """After the service took *received* events of it, before any of them was recorded."""
        process = self.draw_process(data)

        def die(events):
            process.sink.delivered.extend(events[:received])
            self.perhaps_again.update(event.id for event in events)
            raise Killed

        process.sink.answers.clear()
        process.sink.answers.append(die)
        for _ in range(20):
            try:
                process.worker.step()
            except Killed:
                break
            self.clock.advance(30.0)
        else:
            process.sink.answers.clear()
            return
        self.end(process, restart=True)

    def end(self, process, *, restart):
        """The process is no more; what it held in memory neither."""
        stats = process.stats()
        durable = 0
        if self.kind == "spool":
            state = process.buffer.state()
            durable = state["in_file"]
            if state["duplicates_possible"]:
                self.perhaps_again.update(event.id for event in process.sink.delivered)
                self.ended["counted twice"] += state["duplicates_possible"]
            process.buffer.abandon()
        self.ended["in memory"] += stats["pending"] - durable
        self.ended["dropped"] += sum(stats["dropped"].values())
        self.delivered.update(event.id for event in process.sink.delivered)
        kill(process.worker)
        self.processes.remove(process)
        if restart or not self.processes:
            self.processes.append(self.make_process())

    # --- what holds ----------------------------------------------------------------------------------------

    @invariant()
    def law(self):
        for process in getattr(self, "processes", ()):
            assert_law(process.stats())

    @invariant()
    def nothing_is_delivered_twice(self):
        if not hasattr(self, "processes"):
            return
        delivered = self.delivered.copy()
        for process in self.processes:
            delivered.update(event.id for event in process.sink.delivered)
        twice = {id for id, times in delivered.items() if times > 1}
        assert twice <= self.perhaps_again

    def teardown(self):
        if not hasattr(self, "processes"):
            return
        try:
            self.nothing_is_lost_in_silence()
        finally:
            for patch in self.patches:
                patch.stop()
            for process in self.processes:
                kill(process.worker)
                process.buffer.close()
            shutil.rmtree(self.directory, ignore_errors=True)

    def nothing_is_lost_in_silence(self):
        """In the end everything that is held anywhere comes out."""
        self.disk = ""
        for _ in range(400):
            for process in self.processes:
                process.sink.answers.clear()
                process.worker.step()
            self.clock.advance(5.0)
        assert [process.stats()["pending"] for process in self.processes] == [0] * len(self.processes)
        self.nothing_is_delivered_twice()
        everything, counted = self.delivered.copy(), self.ended["dropped"]
        for process in self.processes:
            everything.update(event.id for event in process.sink.delivered)
            counted += sum(process.stats()["dropped"].values())
        counted += self.ended["in memory"]
        missing = len(self.accepted - set(everything))
        counted_twice = len(self.perhaps_again) + self.ended["counted twice"]
        assert missing <= counted <= missing + counted_twice + self.own_events.call_count


class SpoolMachine(PipelineMachine):
    """The same with a spool: a crash costs only what no file had taken."""

    kind = "spool"


TestMemoryPipeline = PipelineMachine.TestCase
TestMemoryPipeline.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestSpoolPipeline = SpoolMachine.TestCase
TestSpoolPipeline.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
