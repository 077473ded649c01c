"""Pages of services and of help: commands and blocks run, outputs and tables are the code's."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from processes import environment

from eventlog_handlers.cli import main
from eventlog_handlers.services.guance.body import _legal_name
from eventlog_handlers.services.registry import SERVICES as ALL_SERVICES
from eventlog_handlers.settings.options import OPTIONS as COMMON_OPTIONS

DOCS = Path(__file__).parents[2] / "docs"
SERVICES = {name: service for name, service in ALL_SERVICES.items() if service.stand_in}
"""The relay is no service of a cloud: docs/processes.md has it."""
SERVICE_PAGES = {name: DOCS / "services" / f"{name}.md" for name in SERVICES}
PAGES = [*SERVICE_PAGES.values(), *(DOCS / f"{name}.md" for name in ("troubleshooting", "faq", "migration"))]

_spec = importlib.util.spec_from_file_location("make_outputs", DOCS / "make_outputs.py")
assert _spec is not None
assert _spec.loader is not None
make_outputs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_outputs)


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)


PYTHON = [
    pytest.param(text, id=f"{path.stem}-{number}")
    for path in PAGES
    for number, text in enumerate(blocks(path, "python"))
    if not text.startswith("# before")
]
LINES = {line for path in PAGES for block in blocks(path, "sh") for line in block.splitlines()}
COMMANDS = sorted(line for line in LINES if line.split()[1] in ("check", "send"))


def test_what_commands_print_is_what_the_pages_show(monkeypatch):
    """In every page with an output, whatever its language."""
    for name, value in make_outputs.DUMMIES.items():
        monkeypatch.setenv(name, value)
    shown = 0

    for path in sorted(DOCS.rglob("*.md")):
        page = path.read_text("utf-8")
        assert make_outputs.filled(page) == page, f"{path}: run docs/make_outputs.py"
        assert len(make_outputs._PAIR.findall(page)) == page.count("<!-- output -->"), path
        shown += page.count("<!-- output -->")

    assert shown >= 10
    stale = (
        "```sh\neventlog-handlers rules guance://cn1 --form dql\n```\n\n<!-- output -->\n```text\nold\n```\n"
    )
    assert "df_status" in make_outputs.filled(stale)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_succeed_against_the_stand_in(line, monkeypatch, eventlog_console, capsys):
    """Each line as it stands; what send sends arrives, and check makes no event."""
    monkeypatch.setenv("EVENTLOG_CONSOLE", eventlog_console.url)
    monkeypatch.setenv("EVENTLOG_DSN", "guance://cn1")
    words = shlex.split(line)
    assert words[0] == "eventlog-handlers"

    assert main(words[1:]) == 0, capsys.readouterr()

    assert bool(eventlog_console.events()) == (words[1] == "send")


@pytest.mark.parametrize("block", PYTHON)
def test_blocks_run_and_their_events_arrive(block, eventlog_console, tmp_path):
    """As programs of their own."""
    (tmp_path / "block.py").write_text(block)

    done = subprocess.run(
        [sys.executable, "block.py"],
        cwd=tmp_path,
        env=environment(EVENTLOG_CONSOLE=eventlog_console.url),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert eventlog_console.events()
    assert not eventlog_console.refused()


def table(path: Path, heading: str) -> list[list[str]]:
    section = path.read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    assert len(rows) > 2, heading
    return [[cell.strip() for cell in row] for row in rows[2:]]


@pytest.mark.parametrize("name", SERVICES)
def test_the_options_that_matter_exist_and_take_the_examples(name):
    """An example in the table is taken by the handler."""
    service = SERVICES[name]
    known = {option.name for option in (*COMMON_OPTIONS, *service.options())}

    for cell, _, example in table(SERVICE_PAGES[name], "Options that matter"):
        option = cell.strip("`")
        assert option in known
        value = re.findall(r"`([^`]+)`", example)[0]
        service.settings({option: ast.literal_eval(value)}, make_outputs.DUMMIES)


@pytest.mark.parametrize("name", SERVICES)
def test_the_fields_are_those_that_are_sent(name, eventlog_console, tmp_path):
    """Each row's field is in the event, apart from those that only some settings make."""
    (tmp_path / "shop.py").write_text(blocks(SERVICE_PAGES[name], "python")[0])
    subprocess.run(
        [sys.executable, "shop.py"],
        cwd=tmp_path,
        env=environment(EVENTLOG_CONSOLE=eventlog_console.url),
        timeout=60,
        check=True,
        capture_output=True,
    )

    (event,) = eventlog_console.events(name)

    fields = {row[0].strip("`") for row in table(SERVICE_PAGES[name], "Fields")}
    assert fields - {"Resources"} == set(event.body) - {"Resources", "EventBusName"}


def test_the_tree_of_troubleshooting_has_every_step_of_check_that_may_fail():
    """No step is missing, and none is made up."""
    package = DOCS.parent / "eventlog_handlers"
    sources = [package / "diagnosis" / "destination.py", package / "diagnosis" / "network.py"]
    sources += sorted([*package.glob("services/*/account.py"), *package.glob("services/*/probe.py")])
    code = "".join(path.read_text("utf-8") for path in sources)
    failing = set(re.findall(r"Finding\(\s*\"(?:problem|warning)\",\s*\"([^\"]+)\"", code))

    page = (DOCS / "troubleshooting.md").read_text("utf-8")
    steps = [
        name for line in re.findall(r"^\d+\. (.*)$", page, re.M) for name in re.findall(r"\*\*`(.+?)`", line)
    ]

    assert len(failing) > 8
    assert set(steps) == failing


def test_the_example_of_a_tag_s_legal_name_is_right():
    """In the table of limits."""
    page = (DOCS / "delivery.md").read_text("utf-8")

    examples = re.findall(r"`([\w-]+)` becomes `(\w+)`", page)

    assert len(examples) == 2
    for given, legal in examples:
        assert _legal_name(given) == legal
