"""Incidents: an error when something breaks, one ok when it works again, and nothing else."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from processes import SERVICES, run
from shop import open_shop

from eventlog_handlers import incident, incidents, resolve
from eventlog_handlers.errors import SettingsError
from eventlog_handlers.services.cloudwatch import entry as cloudwatch
from eventlog_handlers.services.cms import request as cms
from eventlog_handlers.services.guance import body as guance
from eventlog_handlers.testing import ManualClock


class Kept(logging.Handler):
    """Keeps the records of a logger of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.log = logging.Logger("shop.db")
        self.log.addHandler(self)
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def said(self) -> list[tuple[str, str]]:
        """Status asked for, and the message, of each record."""
        return [(getattr(each, "event_status", "error"), each.getMessage()) for each in self.records]


@pytest.fixture
def kept() -> Iterator[Kept]:
    incidents._forget()
    yield Kept()
    incidents._forget()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    made = ManualClock()
    monkeypatch.setattr("eventlog_handlers.process.clock.monotonic", made)
    return made


def fail(kept: Kept, name: str = "db", error: BaseException | None = None) -> None:
    with pytest.raises(type(error or OSError())), incident(name, logger=kept.log):
        raise error or OSError("no route")


def work(kept: Kept, name: str = "db") -> None:
    with incident(name, logger=kept.log):
        pass


def test_nothing_is_said_while_all_is_well(kept: Kept) -> None:
    """Entering and leaving a block is no news."""
    work(kept)

    assert kept.records == []


def test_each_failure_is_an_error_and_the_next_success_one_ok(kept: Kept, clock: ManualClock) -> None:
    """The ok tells how long it took and how often it failed; a second success is no news."""
    for _ in range(3):
        fail(kept)
        clock.advance(10)
    work(kept)
    work(kept)

    assert kept.said() == [
        *[("error", "db is failing: OSError: no route")] * 3,
        ("ok", "db works again after 30.0 s, 3 failures"),
    ]
    *failures, recovery = kept.records
    assert [each.failures for each in failures] == [1, 2, 3]
    assert failures[0].exc_info[0] is OSError
    assert (recovery.duration_seconds, recovery.failures, recovery.exc_info) == (30.0, 3, None)
    assert {each.levelno for each in kept.records} == {logging.ERROR}
    assert {each.funcName for each in failures} == {"fail"}
    assert (recovery.funcName, recovery.filename) == ("work", "test_incidents.py")


def test_the_exception_is_the_blocks_own(kept: Kept) -> None:
    """It propagates as it was raised."""
    error = OSError("no route")

    with pytest.raises(OSError, match="no route") as caught, incident("db", logger=kept.log):
        raise error

    assert caught.value is error


def test_a_fixed_incident_breaks_anew(kept: Kept) -> None:
    """Counts begin again with each."""
    fail(kept)
    work(kept)
    fail(kept)

    assert [each.failures for each in kept.records] == [1, 1, 1]


def test_incidents_are_told_apart_by_name_and_logger(kept: Kept) -> None:
    """One that works says nothing of another."""
    other = Kept()
    other.log.name = "shop.cache"
    fail(kept)
    work(kept, "cache")
    work(other)

    assert resolve("db", logger=other.log) is False
    assert len(kept.records) == 1
    assert other.records == []


def test_resolve_closes_by_hand_once(kept: Kept) -> None:
    """The second time there is nothing to close."""
    fail(kept)

    assert [resolve("db", logger=kept.log) for _ in range(2)] == [True, False]
    assert [status for status, _ in kept.said()] == ["error", "ok"]


def test_a_pass_that_began_before_the_failure_proves_nothing(kept: Kept) -> None:
    """A long block that ends well after another failed is no recovery; the next one is."""
    with incident("db", logger=kept.log):
        fail(kept)
    assert len(kept.records) == 1

    work(kept)

    assert [status for status, _ in kept.said()] == ["error", "ok"]


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(), asyncio.CancelledError(), GeneratorExit()]
)
def test_what_ends_a_program_or_task_says_nothing(kept: Kept, error: BaseException) -> None:
    """It neither breaks nor mends."""
    fail(kept)
    fail(kept, error=error)

    assert len(kept.records) == 1
    assert resolve("db", logger=kept.log)


def test_functions_and_coroutines_can_be_decorated(kept: Kept) -> None:
    """Each call is a pass; a coroutine's is over when it ended, not when it was made."""
    broken = [True]

    @incident("db", logger=kept.log)
    def call(value: int) -> int:
        if broken[0]:
            raise OSError("x")
        return value

    @incident("db", logger=kept.log)
    async def wait(value: int) -> int:
        await asyncio.sleep(0)
        return call(value)

    with pytest.raises(OSError, match="x"):
        asyncio.run(wait(1))
    made = wait(2)
    assert len(kept.records) == 2  # the inner call failed, and so did the outer
    broken[0] = False

    assert asyncio.run(made) == 2
    assert (call.__name__, [status for status, _ in kept.said()]) == ("call", ["error", "error", "ok"])


def test_generators_are_refused(kept: Kept) -> None:
    """They end when their reader likes, which says nothing."""

    def rows() -> Iterator[int]:
        yield 1

    with pytest.raises(TypeError, match="generator"):
        incident("db")(rows)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [(("",), {}), ((7,), {}), (("db",), {"level": "LOUD"}), (("db",), {"logger": 7})],
)
def test_wrong_arguments_are_refused(arguments: Any, options: Any) -> None:
    """Where it is made, in one sentence."""
    with pytest.raises(SettingsError):
        incident(*arguments, **options)


def test_a_broken_handler_does_not_hide_the_error(kept: Kept) -> None:
    """What a handler or filter raises takes nobody's place."""

    def broken(record: logging.LogRecord) -> bool:
        raise RuntimeError("filter")

    kept.log.addFilter(broken)

    fail(kept)
    work(kept)


def test_an_exception_that_cannot_be_printed_is_logged(kept: Kept) -> None:
    """Its type is named."""

    class ShyError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    fail(kept, error=ShyError())

    assert "Shy" in kept.records[0].getMessage()


def test_levels_are_the_callers(kept: Kept) -> None:
    """The end has the error's level, so that who sees one sees the other, unless told otherwise."""
    for options in ({"level": "CRITICAL"}, {"level": 40, "recovered_level": "INFO"}):
        with pytest.raises(OSError, match="x"), incident("db", logger=kept.log, **options):
            raise OSError("x")
        with incident("db", logger=kept.log, **options):
            pass

    assert [each.levelno for each in kept.records] == [50, 50, 40, 20]


def test_the_default_logger_is_incidents(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    """It propagates to the root logger's handlers as any other."""
    with pytest.raises(OSError, match="x"), incident("db"):
        raise OSError("x")
    resolve("db")

    assert [each.name for each in caplog.records] == ["incidents"] * 2


def test_no_failure_is_lost_between_threads(kept: Kept) -> None:
    """The failures of all recoveries and of what is still open add up to those logged."""
    barrier = threading.Barrier(8, timeout=30)

    def passes(number: int) -> None:
        barrier.wait()
        for turn in range(200):
            fail(kept) if (turn + number) % 3 else work(kept)

    threads = [threading.Thread(target=passes, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    resolve("db", logger=kept.log)

    recoveries = [each for each in kept.records if hasattr(each, "event_status")]
    assert sum(each.failures for each in recoveries) == len(kept.records) - len(recoveries)
    assert incidents._register.open == {}


def test_names_without_end_cost_bounded_memory(kept: Kept) -> None:
    """The one open longest is forgotten, without a word that it works."""
    for number in range(incidents.MAX_OPEN + 1):
        fail(kept, f"db {number}")

    assert len(incidents._register.open) == incidents.MAX_OPEN
    assert resolve("db 0", logger=kept.log) is False
    assert resolve("db 1", logger=kept.log) is True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_starts_with_none_open(kept: Kept) -> None:
    """Even where a thread of the parent's held the lock; the parent's stays open."""
    fail(kept)
    with incidents._register.lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if resolve("db", logger=kept.log) is False and not incidents._register.open else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert resolve("db", logger=kept.log)


def test_each_service_is_told_in_its_own_way(kept: Kept) -> None:
    """Guance by the status, CMS by the name, CloudWatch Events by the detail type; fingerprints differ."""
    with open_shop() as shop:
        with pytest.raises(OSError, match="x"), incident("db", logger=shop.log):
            raise OSError("x")
        with incident("db", logger=shop.log):
            pass
        failure, recovery = sorted(shop.events(), key=lambda event: event.time)

    assert (failure.status, recovery.status) == ("error", "ok")
    assert failure.exception is not None
    assert recovery.attributes["failures"] == 1
    assert failure.fingerprint != recovery.fingerprint
    assert [cms.name_of(event, "{logger}") for event in (failure, recovery)] == [
        "incident db",
        "recovered incident db",
    ]
    body = guance.encode(recovery, origin="{logger}", title="{message}", max_message_bytes=32_768).body
    assert b'"status":"ok"' in body
    entry = cloudwatch.encode(
        recovery, source="{logger}", detail_type=None, resources=(), event_bus_name=None, max_bytes=262_144
    ).body
    assert entry["DetailType"] == "recovered incident db"


def test_folding_folds_failures_and_never_the_recovery(kept: Kept) -> None:
    """Five failures are one event and one summary; the recovery goes at once, as an event of its own."""
    with open_shop(aggregate_seconds=60.0) as shop:
        for _ in range(5):
            with pytest.raises(OSError, match="x"), incident("db", logger=shop.log):
                raise OSError("x")
        with incident("db", logger=shop.log):
            pass
        events = shop.events()

    assert sorted((event.status, event.count) for event in events) == [("error", 1), ("error", 4), ("ok", 1)]
    (recovery,) = (event for event in events if event.status == "ok")
    assert recovery.attributes["failures"] == 5
    assert recovery.time >= max(event.time for event in events)


def test_the_end_of_the_process_closes_nothing(eventlog_console: Any) -> None:
    """What was open stays open: nobody says that it works."""
    ended = run(
        """
        from eventlog_handlers import incident
        try:
            with incident("db"):
                raise OSError("no route")
        except OSError:
            pass
        """,
        console=eventlog_console.url,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    events = [event for service in SERVICES for event in eventlog_console.events(service)]
    assert len(events) == 3
    assert "works again" not in str(events)
