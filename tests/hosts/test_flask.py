"""Flask as it runs: a server in a process of its own, a view that raises, the event at the services."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from processes import environment
from servers import Server, free_port

SITE = Path(__file__).parents[1] / "support" / "data" / "flask_site.py"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "cms": {"class": "eventlog_handlers.CMSHandler", "level": "ERROR"},
        "guance": {"class": "eventlog_handlers.GuanceHandler", "level": "ERROR"},
    },
    "root": {"level": "INFO", "handlers": ["cms", "guance"]},
}


@pytest.mark.parametrize(
    "variables",
    [{"LOGGING": json.dumps(LOGGING)}, {"EVENTLOG_DSN": "cms://cn-hangzhou guance://cn1"}],
    ids=["dictConfig", "configure"],
)
def test_what_views_raise_and_log_arrives(eventlog_console: Any, variables: dict[str, str]) -> None:
    """An unhandled exception is a 500 and an event with the path; a logged one is an event. Once each."""
    port = free_port()
    environ = environment(EVENTLOG_CONSOLE=eventlog_console.url, **variables)

    with Server([sys.executable, str(SITE), str(port)], port, environ) as server:
        raised = server.get("/orders/A-1004")
        logged = server.get("/prices/0")
        eventlog_console.wait_for(4, timeout=20)

    assert (raised[0], logged) == (500, (200, "unknown"))
    events = {event.title: event for event in eventlog_console.events("guance")}
    assert set(events) == {"Exception on /orders/A-1004 [GET]", "no price for 0 pieces"}
    unhandled, handled = events["Exception on /orders/A-1004 [GET]"], events["no price for 0 pieces"]
    assert unhandled.stored["exc_type"] == "LookupError"
    assert "LookupError: no order A-1004" in unhandled.body["message"]
    assert handled.stored["exc_type"] == "ZeroDivisionError"
    assert (handled.stored["pieces"], handled.stored["logger"]) == ("0", "shop")
    contents = sorted(event.body["Content"].splitlines()[0] for event in eventlog_console.events("cms"))
    assert contents == ["ERROR Exception on /orders/A-1004 [GET]", "ERROR no price for 0 pieces"]
    assert not eventlog_console.refused()
