"""Tests of an application's events with the fixture ``eventlog_console``; no account, no network, no mock.

    python -m pytest examples/pytest_example.py

The fixture is there once the package is installed with its extra: pip install 'eventlog-handlers[console]'.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from eventlog_handlers import GuanceHandler

if TYPE_CHECKING:
    from eventlog_handlers.console.server import LocalConsole

log = logging.getLogger("shop.payments")


def charge(order: str) -> None:
    """The code under test."""
    log.critical("payment provider unreachable", extra={"order_id": order})


@pytest.fixture
def handler(eventlog_console: LocalConsole) -> GuanceHandler:
    """A handler as the application has it; with the fixture it sends to the stand-in."""
    return GuanceHandler(service="shop")


def test_an_outage_is_a_critical_event(
    eventlog_console: LocalConsole, handler: GuanceHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is on call gets the order's number."""
    monkeypatch.setattr(log, "handlers", [handler])

    charge("A-1002")

    (event,) = eventlog_console.wait_for(1)
    assert event.status == "critical"
    assert event.title == "payment provider unreachable"
    assert event.stored["order_id"] == "A-1002"
    assert not eventlog_console.refused()


def test_a_throttled_event_arrives_later(
    eventlog_console: LocalConsole, handler: GuanceHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in makes faults on demand."""
    monkeypatch.setattr(log, "handlers", [handler])
    eventlog_console.script.reply("guance", 503)

    charge("A-1002")

    (event,) = eventlog_console.wait_for(1)
    assert event.title == "payment provider unreachable"
    assert handler.stats()["failed_requests"] == 1


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
