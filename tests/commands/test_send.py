"""``eventlog-handlers send``: done only when the service has confirmed every event."""

from __future__ import annotations

import io
import json

import pytest

from eventlog_handlers.cli import main
from eventlog_handlers.commands.send import Line, of_json


@pytest.fixture(autouse=True)
def _to_the_console(monkeypatch, eventlog_console):
    monkeypatch.setenv("EVENTLOG_CONSOLE", eventlog_console.url)


def test_a_message_is_one_event_and_its_id_is_printed(capsys, eventlog_console):
    """Level, logger, tags and extras as given."""
    options = ["--level", "info", "--logger", "cron.backup", "--tag", "team=db", "--extra", "files=1042"]

    code = main(["send", "guance://cn1", "backup done", *options])

    (event,) = eventlog_console.events("guance")
    assert code == 0
    assert capsys.readouterr().out.split() == [event.stored["event_uid"]]
    assert (event.title, event.status, event.body["origin"]) == ("backup done", "info", "cron.backup")
    assert (event.stored["team"], event.stored["files"]) == ("db", "1042")


def test_lines_of_standard_input_are_events_json_lines_by_name(capsys, monkeypatch, eventlog_console):
    """A line that is no JSON object is a message."""
    monkeypatch.setattr(
        "sys.stdin",
        io.StringIO(
            'plain text\n\n{"message": "from json", "level": "critical", "logger": "shop", "n": 7}\n'
        ),
    )

    assert main(["send", "cms://cn-hangzhou", "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["sent"], told["delivered"], len(told["ids"])) == (2, 2, 2)
    contents = sorted(event.body["Content"] for event in eventlog_console.events("cms"))
    assert contents[0].startswith("CRITICAL from json")
    assert "n: 7" in contents[0]
    assert contents[1].startswith("ERROR plain text")


def test_a_traceback_goes_along(tmp_path, eventlog_console):
    """From a file or standard input, as a shell has it."""
    text = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\n    1/0\nZeroDivisionError: x\n'
    (tmp_path / "err").write_text(text)

    assert (
        main(["send", "cloudwatch://default", "job failed", "--exception-from", str(tmp_path / "err")]) == 0
    )

    (event,) = eventlog_console.events("cloudwatch")
    assert "ZeroDivisionError" in json.loads(event.body["Detail"])["exception"]["stacktrace"]


def test_a_refused_event_is_a_failure(capsys, eventlog_console):
    """So is one that nobody confirmed within the time."""
    eventlog_console.script.refuse("guance", "hello", code="ft.DefectiveEvent")

    code = main(["send", "guance://cn1", "hello", "--timeout", "2"])

    assert code == 1
    assert "0 of 1 events were confirmed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["send", "gance://cn1", "x"],
        ["send", "guance://cn1 cms://cn-hangzhou", "x"],
        ["send", "guance://cn1", "x", "--level", "LOUD"],
        ["send", "guance://cn1", "x", "--tag", "novalue"],
        ["send", "guance://cn1", "--exception-from", "-"],
    ],
)
def test_wrong_arguments_end_with_2(arguments, capsys):
    """And with a sentence on stderr."""
    try:
        code = main(arguments)
    except SystemExit as error:
        code = error.code

    assert code == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"msg": "m", "levelname": "warning", "name": "a.b"}', Line("m", 30, "a.b")),
        ('{"event": "m", "level": 50, "exc_info": "Traceback"}', Line("m", 50, "shell", "Traceback")),
        ('{"message": "m", "level": "no such"}', Line("m", 40, "shell")),
        ('{"other": 1}', Line("as it is", 40, "shell")),
        ("{broken", Line("as it is", 40, "shell")),
        ("[1]", Line("as it is", 40, "shell")),
    ],
)
def test_what_a_line_of_json_says(text, line):
    """By the names that loggers use."""
    assert of_json(text, Line("as it is", 40, "shell")) == line
