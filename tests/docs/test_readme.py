"""What the README says is so: its blocks run, its outputs are what comes out, its tables are the code's."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from processes import environment

from eventlog_handlers import testing
from eventlog_handlers.services.guance.options import GUANCE_SITES
from eventlog_handlers.services.registry import SERVICES
from eventlog_handlers.settings.options import OPTIONS as COMMON_OPTIONS
from eventlog_handlers.text import template

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    *(f"docs/{name}.md" for name in ("quickstart", "options", "events", "delivery", "secrets")),
)
README = "\n".join((ROOT / page).read_text("utf-8") for page in PAGES)
"""The README and the pages that carry on from it."""
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
CREDENTIALS = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAItest",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s3cr3t",
    "DF_API_KEY": "wsak_test",
}


def blocks(language: str) -> list[str]:
    """Fenced blocks of one language, in order."""
    return [text for name, text in BLOCKS if name == language]


def section(title: str) -> str:
    """What stands under a heading, up to the next of any level."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def rows(text: str, header: str) -> list[list[str]]:
    """The cells of the table whose header line begins with *header*."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"| {header} "):
            break
    assert next(lines).startswith("|---")
    table = []
    for line in lines:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    assert table
    return table


# --- commands ----------------------------------------------------------------------------------------------


def test_the_two_commands_exist():
    """What the first lines tell a newcomer to type: extras, script and tests are there."""
    demo, tests = blocks("sh")[:2]
    project = (ROOT / "pyproject.toml").read_text()

    assert shlex.split(demo) == [
        "python3", "-m", "venv", ".venv", "&&", ".venv/bin/pip", "install", "-e", ".[all]", "&&",
        ".venv/bin/eventlog-handlers", "demo",
    ]  # fmt: skip
    assert shlex.split(tests) == [
        ".venv/bin/pip", "install", "-e", ".[test]", "&&", ".venv/bin/python", "-m", "pytest",
    ]  # fmt: skip
    assert 'eventlog-handlers = "eventlog_handlers.cli:main"' in project
    for extra in re.findall(r"\[(\w+)\]'", README):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra


def test_the_demo_prints_what_is_shown():
    """The same lines; only the order in which titles arrived may differ."""
    done = subprocess.run(
        [sys.executable, "-m", "eventlog_handlers", "demo"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == sorted(blocks("text")[0].split())
    assert [line[:30] for line in done.stdout.splitlines()] == [
        line[:30] for line in blocks("text")[0].splitlines()
    ]


# --- code --------------------------------------------------------------------------------------------------


def matches(shown: Any, sent: Any) -> bool:
    """Whether *sent* is what is *shown*, where … stands for anything."""
    if isinstance(shown, dict):
        return (
            isinstance(sent, dict)
            and list(shown) == list(sent)
            and all(matches(shown[name], sent[name]) for name in shown)
        )
    pattern = ".*".join(map(re.escape, str(shown).split("…")))
    return re.fullmatch(pattern, str(sent), re.DOTALL) is not None


def test_the_smallest_example_sends_what_is_shown(eventlog_console, tmp_path):
    """Field by field, in that order."""
    (example,) = [block for block in blocks("python") if block.startswith("# shop.py\n")]
    (tmp_path / "shop.py").write_text(example)

    done = subprocess.run(
        [sys.executable, "shop.py"],
        cwd=tmp_path,
        env=environment(EVENTLOG_CONSOLE=eventlog_console.url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0
    assert done.stderr.startswith("order A-1004 failed\nTraceback"), done.stderr  # as without a handler
    (ours,) = re.findall(r"^eventlog_handlers: .*$", done.stderr, re.MULTILINE)
    assert "EVENTLOG_CONSOLE is set" in ours
    (event,) = eventlog_console.events("guance")
    shown = json.loads(blocks("json")[0])
    assert matches(shown, event.body), json.dumps(event.body, indent=2)
    assert not matches({**shown, "title": "another"}, event.body)


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python_blocks_run(eventlog_console, tmp_path, number):
    """As scripts, or as tests where they are tests."""
    script = tmp_path / f"test_readme_block_{number}.py"
    script.write_text(blocks("python")[number])
    is_test = "\ndef test_" in script.read_text()

    done = subprocess.run(
        [sys.executable, *(["-m", "pytest", "-q"] if is_test else []), str(script)],
        cwd=tmp_path,
        env=environment(EVENTLOG_CONSOLE=eventlog_console.url),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_yaml_block_configures_logging(eventlog_console, tmp_path):
    """A record logged with it arrives as the block says."""
    (tmp_path / "logging.yaml").write_text(blocks("yaml")[0])
    script = (
        "import logging.config, yaml\n"
        "logging.config.dictConfig(yaml.safe_load(open('logging.yaml')))\n"
        "logging.getLogger('shop').error('it broke')\n"
    )

    subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment(EVENTLOG_CONSOLE=eventlog_console.url),
        timeout=60,
        check=True,
    )

    assert [event.title for event in eventlog_console.events()] == ["[shop] it broke"]


def test_the_django_block_is_what_the_application_reads():
    """The names in it exist, and the value is taken."""
    found = [block for block in blocks("python") if "INSTALLED_APPS" in block]
    assert len(found) == 2
    for block in found:
        names: dict[str, Any] = {}
        exec(block, names)
        own = {name: value for name, value in names["EVENTLOG"].items() if name not in ("dsn", "level")}
        SERVICES["guance"].settings(own, CREDENTIALS)
        assert "eventlog_handlers.django" in names["INSTALLED_APPS"]


# --- tables ------------------------------------------------------------------------------------------------

OPTIONS = {
    # heading: (the rows, what makes settings of them)
    "All handlers": (COMMON_OPTIONS, SERVICES["guance"].settings),
    **{service.handler: (service.options(), service.settings) for service in SERVICES.values()},
}


@pytest.mark.parametrize("heading", OPTIONS)
def test_the_tables_of_options_are_complete(heading):
    """Every option has its row, at the handler it belongs to, and no row is without an option."""
    named = [row[0].strip("`") for row in rows(section(heading), "option")]

    assert named == [option.name for option in OPTIONS[heading][0]]


@pytest.mark.parametrize("heading", OPTIONS)
def test_the_defaults_in_the_tables_are_the_code_s(heading):
    """To give an option its stated default is the same as not to give it."""
    make = OPTIONS[heading][1]
    without = make({}, CREDENTIALS)

    for name, default, _ in rows(section(heading), "option"):
        if default.startswith(("CMS ", "Guance ", "Relay ")):  # "CMS `10`, else `None`"
            service, value = default.split(",")[0].split()
            of_its_own = OPTIONS[f"{service}Handler"][1]
            given = {name.strip("`"): ast.literal_eval(value.strip("`"))}
            assert of_its_own(given, CREDENTIALS) == of_its_own({}, CREDENTIALS), name
        else:
            given = {name.strip("`"): ast.literal_eval(default.strip("`"))}
            assert make(given, CREDENTIALS) == without, name


def test_what_is_made_of_the_options_rows_is_up_to_date():
    """README, docs/options.md, docstrings and types say what the rows say."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "make_options.py"), "--check"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_templates_fields_and_the_sites_are_all_named():
    """Lists in the text are the code's lists."""
    assert set(re.findall(r"`\{(\w+)\}`", section("All handlers"))) == set(template.FIELDS)
    (site,) = [row for row in rows(section("GuanceHandler"), "option") if row[0] == "`site`"]
    named = site[2].replace("`cn1` to `cn6`", ", ".join(f"`cn{number}`" for number in range(1, 7)))
    assert set(re.findall(r"`([\w-]+)`", named)) == set(GUANCE_SITES)


def test_the_table_of_stats_is_complete():
    """Each counter has its row."""
    worker = testing.make_worker(testing.ScriptedSink(), testing.ManualClock())

    named = [
        name for row in rows(section("How to read stats()"), "key") for name in re.findall(r"`(\w+)`", row[0])
    ]

    assert sorted(named) == sorted([*worker.stats(), "dry_run", "sharing"])


LOG_A_RICH_RECORD = """
import logging, logging.config
handlers = {
    "cms": {"class": "eventlog_handlers.CMSHandler"},
    "guance": {"class": "eventlog_handlers.GuanceHandler"},
    "cloudwatch": {"class": "eventlog_handlers.CloudWatchEventsHandler"},
}
for handler in handlers.values():
    handler.update(service="shop", env="test", tags={"team": "checkout"})
logging.config.dictConfig({"version": 1, "handlers": handlers, "root": {"handlers": list(handlers)}})
try:
    raise LookupError("no order A-1004")
except LookupError:
    logging.getLogger("shop.orders").exception(
        "order %s failed", "A-1004", extra={"customer": "C-7"}, stack_info=True
    )
"""


def has(body: Any, path: str) -> bool:
    """Whether *body* has a value at the dotted *path*."""
    for name in path.split("."):
        if not isinstance(body, dict) or name not in body:
            return False
        body = body[name]
    return body not in ("", None, {}, [])


def test_what_becomes_of_a_record_is_what_the_table_says(eventlog_console, tmp_path):
    """Each field named in it is there when a record has everything."""
    script = tmp_path / "shop.py"
    script.write_text(LOG_A_RICH_RECORD)
    subprocess.run(
        [sys.executable, str(script)],
        env=environment(EVENTLOG_CONSOLE=eventlog_console.url),
        timeout=60,
        check=True,
    )
    (cms,), (guance,), (cloudwatch,) = map(eventlog_console.events, ("cms", "guance", "cloudwatch"))
    entry = {**cloudwatch.body, "Detail": json.loads(cloudwatch.body["Detail"])}

    for what, in_cms, in_guance, in_cloudwatch in rows(section("What becomes of a record"), "of the record"):
        for name in re.findall(r"`([^`]+)`", in_cms):
            found = f"\n{name} " in cms.body["Content"] if name.endswith(":") else name in cms.body
            assert found, (what, name)
        for name in re.findall(r"`([^`]+)`", in_guance):
            assert has(guance.body, name), (what, name)
        for name in re.findall(r"`([^`]+)`", in_cloudwatch):
            assert has(entry, name), (what, name)
    first, second, *_ = cms.body["Content"].splitlines()
    assert (first, second) == ("ERROR order A-1004 failed", "Traceback (most recent call last):")
    assert "\ncustomer: C-7\n" in cms.body["Content"]
    assert entry["Detail"]["extra"]["customer"] == "C-7"


def test_the_readme_is_short():
    """What a newcomer reads before the first line of code runs."""
    assert len((ROOT / "README.md").read_bytes()) <= 6_000


@pytest.mark.parametrize(
    "page", ["README.md", *(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]
)
def test_links_lead_somewhere(page):
    """Files that a page links to are there."""
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / page).read_text("utf-8")):
        assert ((ROOT / page).parent / target).exists(), target


def test_the_files_named_exist():
    """Mentions too."""
    for name in ("LICENSE", "CONTRIBUTING.md", "CHANGELOG.md", "examples"):
        assert f"`{name}" in README
        assert (ROOT / name).exists()
    assert (ROOT / "LICENSE").read_text().split()[:2] == ["Apache", "License"]
