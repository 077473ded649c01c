"""dry_run=True: everything is made and counted, nothing leaves the process."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from law import assert_law

from eventlog_handlers import CloudWatchEventsHandler, CMSHandler, GuanceHandler
from eventlog_handlers.errors import SettingsError
from eventlog_handlers.pipeline.dry_run import DryRunSink, billing_units
from eventlog_handlers.testing import ScriptedSink, make_event

HANDLERS = [CMSHandler, GuanceHandler, CloudWatchEventsHandler]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Addresses somebody tried to connect to or to look up."""
    asked: list[Any] = []

    def refused(*args: Any, **options: Any) -> Any:
        asked.append(args)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    return asked


def logger_of(handler: logging.Handler) -> logging.Logger:
    log = logging.Logger("shop.cart")
    log.addHandler(handler)
    return log


@pytest.mark.parametrize("handler_class", HANDLERS)
def test_everything_is_made_and_counted_and_nothing_sent(
    handler_class: Any, no_network: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """No credentials, no pace, no connection; stats as usual, one line on stderr."""
    handler = handler_class(dry_run=True)
    log = logger_of(handler)
    for number in range(60):
        log.error("order %d of %s", number, number * "x")

    assert handler.flush(30)
    stats = handler.stats()
    handler.close()

    assert_law(stats)
    assert (stats["accepted"], stats["pending"], stats["dropped"]) == (60, 0, {})
    counts = stats["dry_run"]
    sent = stats["delivered"]
    assert (counts["events"], counts["requests"]) == (sent, stats["requests"])
    assert counts["bytes"] > 60 * sent
    assert counts["billing_units"] == sent
    assert no_network == []
    said = capsys.readouterr().err.splitlines()
    name = handler_class.__name__
    assert said == [f"eventlog_handlers: {name}: dry run: events are made and counted, and nothing is sent"]


def test_hooks_and_redaction_see_the_events_as_they_would(capsys: pytest.CaptureFixture[str]) -> None:
    """The user's hook is called with each event, secrets already taken out."""
    seen = []
    handler = CloudWatchEventsHandler(dry_run=True, before_send=lambda event: seen.append(event) or event)
    logger_of(handler).error("failed", extra={"password": "hunter2"})
    handler.flush(30)
    handler.close()

    assert [event.message for event in seen] == ["failed"]
    assert "hunter2" not in str(seen)


def test_without_it_stats_have_no_such_key() -> None:
    """Whoever sends counts nothing twice."""
    handler = GuanceHandler(api_key="a")

    assert "dry_run" not in handler.stats()


def test_a_spool_is_left_alone(tmp_path: Path) -> None:
    """Delivering to nobody it would empty it of what others still have to send."""
    handler = CloudWatchEventsHandler(dry_run=True, spool=str(tmp_path), durability="commit")
    logger_of(handler).error("failed")
    handler.flush(30)
    handler.close()

    assert list(tmp_path.iterdir()) == []
    assert handler.stats()["delivered"] == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_counts_its_own() -> None:
    """It begins at nothing, as its other counters do."""
    handler = CloudWatchEventsHandler(dry_run=True)
    log = logger_of(handler)
    log.error("parent")
    handler.flush(30)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            before = handler.stats()["dry_run"]
            log.error("child")
            handler.flush(30)
            code = 0 if before == {} and handler.stats()["dry_run"]["events"] == 1 else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert handler.stats()["dry_run"]["events"] == 1
    handler.close()


@pytest.mark.parametrize("handler_class", HANDLERS)
@pytest.mark.parametrize("value", ["yes", 1, None])
def test_it_takes_a_boolean(handler_class: Any, value: Any) -> None:
    """A word for it would be a dry run nobody asked for, or none where one was."""
    with pytest.raises(SettingsError, match="dry_run takes True or False"):
        handler_class(dry_run=value)


@pytest.mark.parametrize("handler_class", [CMSHandler, GuanceHandler])
def test_false_wants_credentials_as_ever(handler_class: Any) -> None:
    """Only a dry run does without."""
    with pytest.raises(SettingsError, match="no credentials"):
        handler_class(dry_run=False)


@pytest.mark.parametrize(
    ("size", "units"), [(0, 1), (1, 1), (65_536, 1), (65_537, 2), (131_072, 2), (262_144, 4)]
)
def test_an_event_is_billed_by_every_64_kib_begun(size: int, units: int) -> None:
    """One at least."""
    assert billing_units(size) == units


def test_the_sink_behind_it_encodes_and_never_sends() -> None:
    """Limits and payloads are the service's own."""
    behind = ScriptedSink()
    sink = DryRunSink(behind)
    payloads = [sink.encode(make_event("x" * length)) for length in (10, 70_000)]

    outcomes = sink.send(payloads, timeout=1.0)
    sink.close()

    assert [outcome.disposition.value for outcome in outcomes] == ["delivered"] * 2
    assert (behind.requests, behind.closed, sink.limits) == ([], 1, behind.limits)
    assert sink.counts() == {
        "requests": 1,
        "events": 2,
        "bytes": sum(payload.size for payload in payloads),
        "billing_units": 4,  # the message stands in its template too
    }
