"""Django as it runs: a server in a process of its own, a view that raises, the event at the services."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from processes import environment
from servers import Server, free_port

SITE = Path(__file__).parents[1] / "support" / "data" / "django_site.py"
APPLICATION = {"INSTALLED_APPS": ["eventlog_handlers.django"]}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "cms": {"class": "eventlog_handlers.CMSHandler", "level": "ERROR", "service": "shop"},
        "guance": {"class": "eventlog_handlers.GuanceHandler", "level": "ERROR", "service": "shop"},
        "cloudwatch": {
            "class": "eventlog_handlers.CloudWatchEventsHandler",
            "level": "ERROR",
            "service": "shop",
        },
    },
    "root": {"handlers": ["cms", "guance", "cloudwatch"]},
}


def manage(*arguments: str, settings: dict[str, Any], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a management command to its end."""
    return subprocess.run(
        [sys.executable, str(SITE), *arguments],
        env=environment(SITE_SETTINGS=json.dumps(settings), **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def serve(console: Any, settings: dict[str, Any], **variables: str) -> Server:
    """The development server, without its reloader, so that there is one process to end."""
    port = free_port()
    return Server(
        [sys.executable, str(SITE), "runserver", "--noreload", f"127.0.0.1:{port}"],
        port,
        environment(SITE_SETTINGS=json.dumps(settings), EVENTLOG_CONSOLE=console.url, **variables),
    )


def test_handlers_in_logging_send_what_a_view_raises(eventlog_console):
    """The visitor gets a 500, the services the exception with path, status and traceback; once each."""
    with serve(eventlog_console, {"LOGGING": LOGGING}) as server:
        fine = server.get("/fine")
        status, _ = server.get("/orders/A-1004")
        eventlog_console.wait_for(3, timeout=20)

    assert fine == (200, "fine")
    assert status == 500
    (cms,), (guance,), (cloudwatch,) = map(eventlog_console.events, ("cms", "guance", "cloudwatch"))
    content = cms.body["Content"]
    assert content.startswith(
        "ERROR Internal Server Error: /orders/A-1004\nTraceback (most recent call last):"
    )
    assert "LookupError: no order A-1004" in content
    assert "status_code: 500" in content
    assert (guance.title, guance.status) == ("Internal Server Error: /orders/A-1004", "error")
    assert guance.stored["exc_type"] == "LookupError"
    assert guance.stored["request"] == "<WSGIRequest: GET '/orders/A-1004'>"
    detail = cloudwatch.stored["detail"]
    assert detail["exception"]["message"] == "no order A-1004"
    assert detail["logger"] == "django.request"
    assert detail["extra"]["status_code"] == 500
    assert not eventlog_console.refused()


@pytest.mark.parametrize(
    ("eventlog", "variables"),
    [
        ({"EVENTLOG": "guance://cn1"}, {}),
        ({"EVENTLOG": {"dsn": "guance://cn1", "level": "ERROR", "tags": {"team": "shop"}}}, {}),
        ({}, {"EVENTLOG_DSN": "guance://cn1"}),
        ({"EVENTLOG": {"level": "ERROR"}}, {"EVENTLOG_DSN": "guance://cn1"}),
    ],
    ids=["dsn", "dict", "environment", "dict and environment"],
)
def test_the_application_attaches_the_handler(eventlog_console, eventlog, variables):
    """INSTALLED_APPS and EVENTLOG, or EVENTLOG_DSN, are all it takes; LOGGING is left as it is."""
    with serve(eventlog_console, {**APPLICATION, **eventlog}, **variables) as server:
        status, _ = server.get("/orders/A-1004")
        (event,) = eventlog_console.wait_for(1, timeout=20)

    assert status == 500
    assert event.service == "guance"
    assert event.title == "Internal Server Error: /orders/A-1004"
    assert "LookupError: no order A-1004" in event.body["message"]


@pytest.mark.parametrize(
    ("eventlog", "words"),
    [
        ("gaunce://cn1", "EVENTLOG: a DSN begins with cms://"),
        ("guance://cn1?capasity=5", "did you mean 'capacity'?"),
        ({"dsn": "guance://cn1", "level": "EROR"}, "EVENTLOG: level takes"),
        ({"dsn": "guance://cn1", "api_key": "Tr0ub4dor\n"}, "EVENTLOG: api_key holds a blank"),
        ({"dsn": 5}, "EVENTLOG: dsn takes a string"),
        ({"dsn": "guance://cn1", "logger": 5}, "EVENTLOG: "),
        (["guance://cn1"], "EVENTLOG takes a DSN such as"),
        ("guance://cn1", "EVENTLOG: no credentials: set DF_API_KEY"),
    ],
)
def test_a_wrong_setting_stops_django(eventlog, words):
    """In Django's words, with our sentence, and without the secret."""
    done = manage("check", settings={**APPLICATION, "EVENTLOG": eventlog})

    assert done.returncode == 1
    assert "ImproperlyConfigured" in done.stderr
    assert words in done.stderr
    assert "Tr0ub4dor" not in done.stderr


@pytest.mark.parametrize(
    ("eventlog", "warns"),
    [
        ({}, True),
        ({"EVENTLOG": ""}, True),
        ({"EVENTLOG": {"level": "ERROR"}}, True),
        ({"EVENTLOG": None}, False),
    ],
    ids=["absent", "blank", "without dsn", "None"],
)
def test_without_a_destination_django_starts_and_its_check_warns(eventlog, warns):
    """One settings file serves where nothing is to be sent; None says that it is meant."""
    done = manage("check", settings={**APPLICATION, **eventlog})

    assert done.returncode == 0, done.stderr
    assert ("eventlog_handlers.W001" in done.stderr) is warns


def test_none_switches_off_whatever_the_environment_says():
    """The setting is nearer than the variable; no credentials are asked for."""
    done = manage("check", settings={**APPLICATION, "EVENTLOG": None}, EVENTLOG_DSN="guance://cn1")

    assert done.returncode == 0, done.stderr


def test_switched_off_django_starts_without_a_key_and_without_a_warning():
    """``migrate``, ``collectstatic`` and image builds have no key, and need none."""
    for eventlog in ({}, {"EVENTLOG": "guance://cn1"}, {"LOGGING": LOGGING}):
        done = manage("check", settings={**APPLICATION, **eventlog}, EVENTLOG_DISABLED="1")

        assert done.returncode == 0, done.stderr
        assert "eventlog_handlers" not in done.stderr


def test_both_ways_of_attaching_at_once_are_warned_of(eventlog_console):
    """Both have a handler for one destination: the check says so, and so does each start of a process."""
    both = {**APPLICATION, "LOGGING": LOGGING, "EVENTLOG": "guance://cn1"}
    elsewhere = {**both, "EVENTLOG": "cms://cn-hangzhou?group_id=7"}
    keys = {
        "DF_API_KEY": "wsak_test",
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAItest",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s3cr3t",
    }

    warned = manage("check", settings=both, **keys)
    silent = manage("check", settings=elsewhere, **keys)

    words = "LOGGING and EVENTLOG each attach a GuanceHandler for the same destination"
    assert f"(eventlog_handlers.W002) {words}" in warned.stderr
    assert f"eventlog_handlers: django: {words}" in warned.stderr
    assert "wsak_test" not in warned.stderr
    assert "each attach" not in silent.stderr


COMMAND = """
from django.core.management.base import BaseCommand, CommandError

class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("how")

    def handle(self, *args, how, **options):
        if how == "raise":
            raise LookupError("no supplier")
        if how == "refuse":
            raise CommandError("supplier is closed")
        if how == "inner":
            from django.core.management import call_command
            try:
                call_command("restock", "raise")
            except LookupError:
                self.stdout.write("mended")
"""


@pytest.fixture
def restock(tmp_path):
    """An application with the management command ``restock``, and what makes it importable."""
    home = tmp_path / "shelf" / "management" / "commands"
    home.mkdir(parents=True)
    for package in (tmp_path / "shelf", home.parent, home):
        (package / "__init__.py").write_text("")
    (home / "restock.py").write_text(COMMAND)
    python_path = environment()["PYTHONPATH"]

    def run(console, *arguments, **settings):
        applications = ["shelf", *APPLICATION["INSTALLED_APPS"]]
        return manage(
            "restock",
            *arguments,
            settings={"INSTALLED_APPS": applications, **settings},
            EVENTLOG_CONSOLE=console.url,
            PYTHONPATH=f"{tmp_path}{os.pathsep}{python_path}",
        )

    return run


@pytest.mark.parametrize("way", ["EVENTLOG", "LOGGING"])
@pytest.mark.parametrize(
    ("how", "kind", "code", "printed"),
    [
        ("raise", "LookupError", 1, "LookupError: no supplier"),
        ("refuse", "CommandError", 1, "supplier is closed"),
    ],
)
def test_a_management_command_that_raises_is_one_event(
    eventlog_console, restock, way, how, kind, code, printed
):
    """As a cron job runs it; what is printed and the exit code are Django's."""
    guance = {**LOGGING, "root": {"handlers": ["guance"]}}
    done = restock(eventlog_console, how, **{way: "guance://cn1" if way == "EVENTLOG" else guance})

    assert done.returncode == code
    assert printed in done.stderr
    (event,) = eventlog_console.events("guance")
    assert event.title == "management command restock failed"
    assert (event.stored["exc_type"].rpartition(".")[2], event.stored["command"]) == (kind, "restock")


@pytest.mark.parametrize("how", ["fine", "inner"])
def test_a_management_command_that_ends_well_is_no_event(eventlog_console, restock, how):
    """Nor is what it calls, catches and mends."""
    done = restock(eventlog_console, how, EVENTLOG="guance://cn1")

    assert done.returncode == 0, done.stderr
    assert eventlog_console.events() == []


def test_wrong_arguments_of_a_management_command_are_no_event(eventlog_console, restock):
    """A typing mistake at a terminal calls nobody at night."""
    done = restock(eventlog_console, EVENTLOG="guance://cn1")

    assert done.returncode == 2
    assert eventlog_console.events() == []


def test_the_package_can_be_imported_without_django():
    """Tools walk through packages; only ``apps`` needs Django."""
    script = "import sys; import eventlog_handlers.django; assert 'django' not in sys.modules"

    done = subprocess.run([sys.executable, "-c", script], env=environment(), timeout=60, check=False)

    assert done.returncode == 0
