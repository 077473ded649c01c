"""Every example runs as it is, and what it sends arrives."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from processes import environment

EXAMPLES = Path(__file__).parents[2] / "examples"

ARRIVES = {
    # example: (what it prints, service and title of each event)
    "asgi_app.py": (
        "500\n",
        [
            "guance: order A-1004 is late",
            "guance: GET /orders/A-1004 raised LookupError: no order A-1004",
            "cms: shop.orders",
            "cms: eventlog_handlers.asgi",
        ],
    ),
    "before_send.py": ("", ["guance: card **** 9010 refused"]),
    "dictconfig.py": (
        "CMSHandler: 2 of 2 delivered\n"
        "CloudWatchEventsHandler: 3 of 3 delivered\n"
        "GuanceHandler: 1 of 1 delivered\n",
        [
            "cms: shop.stock",
            "cms: out-of-stock",
            "guance: no samovar on the shelf",
            "cloudwatch: Log Record",
            "cloudwatch: Log Record",
            "cloudwatch: Log Record",
        ],
    ),
    "dictconfig_yaml.py": ("", ["cms: shop-KeyError", "guance: [shop] nothing on the shelf"]),
    "django_app.py": ("500\n", ["guance: Internal Server Error: /orders/A-1004", "cms: django.request"]),
    "flask_app.py": (
        "500 unknown\n",
        [
            "guance: Exception on /orders/A-1004 [GET]",
            "guance: no price for 0 pieces",
            "cms: shop",
            "cms: shop",
        ],
    ),
    "one_line.py": (
        "",
        ["cms: shop.orders", "guance: order A-1004 can't be priced", "cloudwatch: Log Exception"],
    ),
}
OWN_CONSOLE = {"pytest_example.py"}


def run_example(name: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """As a user runs it, from another directory than its own."""
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        env=environment(**variables),
        cwd=EXAMPLES.parent,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_every_example_is_tried():
    """A new one needs a line above."""
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*ARRIVES, *OWN_CONSOLE}


@pytest.mark.parametrize("name", ARRIVES)
def test_an_example_runs_and_its_events_arrive(eventlog_console: Any, name: str) -> None:
    """Against the stand-in, without an account; nothing is refused."""
    printed, arriving = ARRIVES[name]

    done = run_example(name, EVENTLOG_CONSOLE=eventlog_console.url)

    assert (done.returncode, done.stdout) == (0, printed), done.stderr
    arrived = Counter(f"{event.service}: {event.title}" for event in eventlog_console.events())
    assert arrived == Counter(arriving)
    assert not eventlog_console.refused()


def test_the_hook_s_example_lets_nothing_through_that_it_should_not(eventlog_console: Any) -> None:
    """Neither card number nor password, in no field."""
    run_example("before_send.py", EVENTLOG_CONSOLE=eventlog_console.url)

    (event,) = eventlog_console.events()
    assert "4000 1234" not in str(event)
    assert "hunter2" not in str(event)
    assert event.stored["customer"] == "C-7"


@pytest.mark.parametrize("name", sorted(OWN_CONSOLE))
def test_the_tests_among_the_examples_pass(name: str) -> None:
    """They bring the stand-in with them."""
    done = run_example(name)

    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
