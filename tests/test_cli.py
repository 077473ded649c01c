"""The command, as a user types it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from eventlog_handlers import __version__
from eventlog_handlers.cli import main
from eventlog_handlers.console import demo
from eventlog_handlers.services.registry import SERVICES
from eventlog_handlers.settings.local_console import CONSOLE_GUANCE_KEY
from eventlog_handlers.settings.options import OPTIONS as COMMON_OPTIONS


def command(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, without any credentials in the environment."""
    return subprocess.run(
        [sys.executable, "-m", "eventlog_handlers", *arguments],
        env=clean_environment() | environ,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def clean_environment() -> dict[str, str]:
    ours = ("EVENTLOG", "ALIBABA", "AWS", "DF_API")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command while it runs, and the URL it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "eventlog_handlers", *arguments],
        env=clean_environment() | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            url = re.search(r"http://[^/\s]+", line)
            if url:
                yield process, url[0]
                break
        else:
            pytest.fail(f"no URL printed: {process.communicate()[1]}")
    finally:
        process.kill()
        process.communicate()


def test_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    """On stdout, with exit code 0."""
    with pytest.raises(SystemExit) as caught:
        main(["--version"])

    assert caught.value.code == 0
    assert capsys.readouterr().out == f"eventlog-handlers {__version__}\n"


def test_without_a_command_it_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 2."""
    assert main([]) == 2
    assert "console" in capsys.readouterr().out


@pytest.mark.parametrize("port", ["http", "-1", "70000"])
def test_refuses_what_is_no_port(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything starts."""
    with pytest.raises(SystemExit) as caught:
        main(["console", f"--port={port}"])

    assert caught.value.code == 2
    assert "0 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "missing", "extras"),
    [
        (["console"], "uvicorn", "console"),
        (["demo"], "uvicorn", "console,aws"),
        (["demo"], "boto3", "console,aws"),
    ],
)
def test_a_missing_extra_comes_with_its_pip_line(
    arguments: list[str],
    missing: str,
    extras: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With exit code 2."""
    monkeypatch.setattr(
        "eventlog_handlers.console.find_spec", lambda name: None if name == missing else object()
    )

    assert main(arguments) == 2
    assert f"{missing} not installed: pip install 'eventlog-handlers[{extras}]'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["console"], ["demo"]])
def test_a_taken_port_is_said_in_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code = main([*arguments, "--port", port])

    assert code == 1
    assert re.fullmatch(rf"can't listen on .*port {port}: .*\n", capsys.readouterr().err)


def test_a_file_that_is_no_database_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With exit code 1."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be looked at as one" * 20)

    assert main(["console", "--port", "0", "--db", str(path)]) == 1
    assert "not a database" in capsys.readouterr().err


def test_the_console_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    """Strict about quotas, and ends with exit code 0 and no traceback."""
    path = tmp_path / "events.sqlite"
    with running("console", "--port", "0", "--db", str(path)) as (process, url), requests.Session() as http:
        http.trust_env = False
        statuses = [
            http.post(
                f"{url}/api/v1/events/create",
                json={"date": 1_800_000_000_000, "status": "ok", "title": "hello"},
                headers={"DF-API-KEY": CONSOLE_GUANCE_KEY},
                timeout=5,
            ).status_code
            for _ in range(21)
        ]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)

    assert statuses == [200] * 20 + [401]
    assert (process.returncode, errors) == (0, "")
    assert path.stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "statuses"),
    [
        (["--relaxed"], [200] * 21),
        (["--fault", "guance:500:2"], [500, 500] + [200] * 19),
        (["--relaxed", "--fault", "guance:throttle:forever"], [401] * 21),
    ],
)
def test_the_console_can_be_lenient_or_faulty_from_the_start(
    arguments: list[str], statuses: list[int]
) -> None:
    """Without quotas, or with a fault for a count or for ever."""
    with running("console", "--port", "0", *arguments) as (_, url), requests.Session() as http:
        http.trust_env = False
        answers = [
            http.post(
                f"{url}/api/v1/events/create",
                json={"date": 1_800_000_000_000, "status": "ok", "title": "hello"},
                headers={"DF-API-KEY": CONSOLE_GUANCE_KEY},
                timeout=5,
            ).status_code
            for _ in range(21)
        ]

    assert answers == statuses


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("cms", "is no fault"),
        ("aws:cut", "no service 'aws'"),
        ("cms:melt", "no fault 'melt'"),
        ("guance:half", "answers for a request as a whole"),
        ("cms:cut=3", "takes no seconds"),
        ("cms:cut:0", "whole number from 1"),
        ("cms:cut:1.2.3s", "no number"),
    ],
)
def test_refuses_what_is_no_fault(fault: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what there is instead."""
    with pytest.raises(SystemExit) as caught:
        main(["console", "--fault", fault])

    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_the_demo_needs_nothing_and_shows_everything() -> None:
    """No account, no key, no way out through a dead proxy: five log calls, three services, exit code 0."""
    run = command("demo", http_proxy="http://127.0.0.1:9", HTTPS_PROXY="http://127.0.0.1:9")

    assert (run.returncode, run.stderr) == (0, "")
    assert "Everything arrived." in run.stdout
    for service in ("CMS", "Guance", "CloudWatch Events"):
        assert re.search(
            rf"{service} +{demo.LOG_CALLS} +0 +1 critical, 2 error, 1 warning, 1 info", run.stdout
        )


def test_the_demo_can_be_kept_open() -> None:
    """The page holds what the shop logged, tracebacks and all, until Ctrl-C."""
    with running("demo", "--keep") as (process, url), requests.Session() as http:
        http.trust_env = False
        events = http.get(f"{url}/api/events", timeout=5).json()["events"]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (0, "")
    assert len(events) == 3 * demo.LOG_CALLS
    assert "ZeroDivisionError" in json.dumps(events)
    assert "direct cause of the following exception" in json.dumps(events)


def test_the_demo_fails_if_an_event_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its exit code is a statement about what arrived, not about what was sent."""
    monkeypatch.setattr(demo, "LOG_CALLS", demo.LOG_CALLS + 1)

    code = main(["demo"])

    assert code == 1
    assert "Not everything arrived" in capsys.readouterr().out


@pytest.mark.parametrize("service", list(SERVICES))
def test_the_options_of_a_service_are_listed_with_defaults_and_meaning(capsys, service):
    """From the same rows as the docs: its own, then every handler's, and none of another service."""
    assert main(["options", service]) == 0

    printed = capsys.readouterr().out
    listed = re.findall(r"^  (\w+) = ", printed, re.MULTILINE)
    assert listed == [row.name for row in (*SERVICES[service].options(), *COMMON_OPTIONS)]
    assert "capacity = 10_000\n      how many events are held at most, waiting and in flight\n" in printed
    assert ("requests_per_second = CMS 10, else None" in printed) is (service == "cms")


def test_the_options_of_all_services_are_listed_as_json_too(capsys):
    """For programs: handler, name, type, default, meaning."""
    assert main(["options", "--json"]) == 0

    rows = json.loads(capsys.readouterr().out)
    site = next(row for row in rows if row["name"] == "site")
    assert (site["handler"], site["type"], site["default"]) == ("GuanceHandler", "str", '"cn1"')
    assert {row["handler"] for row in rows} == {service.handler for service in SERVICES.values()}
