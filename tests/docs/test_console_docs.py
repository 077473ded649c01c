"""docs/console.md: its pictures are there, its options, faults and calls are those of the program."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import requests

from eventlog_handlers.cli import main
from eventlog_handlers.console.faults import KINDS, Fault, checked, from_json, parsed
from eventlog_handlers.console.records import SERVICES
from eventlog_handlers.console.server import LocalConsole

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "console.md").read_text("utf-8")


def test_every_picture_is_there_and_shown() -> None:
    """And none lies about that no page shows."""
    shown = set(re.findall(r"images/([\w-]+\.png)", TEXT))

    assert shown == {path.name for path in (DOCS / "images").glob("console-*.png")}
    assert shown
    for name in shown:
        assert (DOCS / "images" / name).read_bytes().startswith(b"\x89PNG")


def test_its_options_are_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Each in the table, each in the help, and the other way round."""
    with pytest.raises(SystemExit):
        main(["console", "--help"])
    offered = set(re.findall(r"--[a-z]+", capsys.readouterr().out)) - {"--help"}
    section = TEXT.partition("## Options")[2].partition("\n## ")[0]

    assert set(re.findall(r"`(--[a-z]+)", section)) | set(re.findall(r"(--[a-z]+)`", section)) == offered


def test_its_faults_are_those_there_are() -> None:
    """By name, and for the services that have them."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", TEXT, re.MULTILINE)

    assert {name for name, _, _ in rows} == set(KINDS)
    for name, text, services in rows:
        assert text.replace("`", "") == KINDS[name]
        for service in SERVICES if services == "all" else re.findall(r"`(\w+)`", services):
            checked(Fault(service, name))


def test_its_shell_lines_are_right() -> None:
    """The faults of the command and of curl can be read."""
    for text in re.findall(r"--fault (\S+)", TEXT):
        if ":" in text and "[" not in text:
            parsed(text)
    (body,) = re.findall(r"curl -d ('\{.*?\}')", TEXT)

    assert from_json(json.loads(shlex.split(body)[0])) == Fault("cms", "500", count=2)


def test_its_calls_are_answered() -> None:
    """Each GET of the API's table, with an id that may not be there."""
    paths = re.findall(r"GET (/api/[\w/]+)", TEXT)

    assert len(paths) >= 9
    with LocalConsole() as console, requests.Session() as http:
        http.trust_env = False
        for path in paths:
            answer = http.get(f"{console.url}{path.replace('ID', '1')}", timeout=5, stream=True)
            assert answer.status_code in ((404,) if "ID" in path else (200,)), path
            assert "is no call of CMS" not in (answer.text if answer.status_code == 404 else "")
            answer.close()
