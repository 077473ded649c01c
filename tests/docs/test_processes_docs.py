"""docs/processes.md: its examples run, its paths and names are those of the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import eventlog_handlers
from eventlog_handlers.cli import _parser
from eventlog_handlers.commands import top
from eventlog_handlers.relay.buffer import SLACK_SECONDS
from eventlog_handlers.relay.queue_handler import assignment
from eventlog_handlers.relay.stream import MOST_DELIVERIES
from eventlog_handlers.services.dsn import parse_dsn
from eventlog_handlers.services.guance.handler import GuanceHandler
from eventlog_handlers.services.relay import options as relay_options
from eventlog_handlers.services.relay import scripts
from eventlog_handlers.share import fleet_scripts, fleet_url, layout, runtime_directory
from eventlog_handlers.share.contract import Limits

FLEET = Path(__file__).parents[2] / "docs"
PAGE = (Path(__file__).parents[2] / "docs" / "processes.md").read_text("utf-8")


def test_the_examples_construct_handlers_of_these_scopes(monkeypatch) -> None:
    """As they stand in the page."""
    monkeypatch.setenv("DF_API_KEY", "a-key")
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    scopes = []
    for line in block.splitlines():
        handler = eval(line.partition("#")[0], {"GuanceHandler": eventlog_handlers.GuanceHandler})
        assert isinstance(handler, GuanceHandler)
        scopes.append(handler.stats()["scope"])
        handler.close()

    assert scopes == ["host", "redis", "process", "host"]


def test_names_of_files_variables_and_keys_are_the_code_s() -> None:
    """What an operator looks for is there."""
    assert f"-v{layout.SCHEMA}.share" in PAGE
    assert f"{layout.AT.size / 1e6:.1f} MB" in PAGE
    assert runtime_directory.VARIABLE in PAGE
    assert f"<runtime>/{runtime_directory.FOLDER}/" in PAGE
    assert fleet_url.USERNAME in PAGE
    assert fleet_url.PASSWORD in PAGE
    assert all(f"{option}=" in PAGE for option in fleet_url.OPTIONS)
    assert fleet_scripts.prefix("q").startswith("evh:1:")
    assert "`evh:1:`" in PAGE


def test_ten_thousand_waiting_processes_hardly_ask(monkeypatch) -> None:
    """The page's simulation: within the limit, and a hundredth of the questions that booking saves."""
    monkeypatch.syspath_prepend(str(FLEET))
    import make_fleet

    limits = Limits(20.0, 5, (20, 1.016))
    asked, places, busiest = make_fleet.simulated(2_000, limits, 10.0, ahead=5.0)
    without, _, _ = make_fleet.simulated(2_000, limits, 10.0, ahead=0.0)

    assert busiest == 20
    assert places > 200
    assert asked < without / 20


def row(pid: int, program: str, state: str, counts: tuple[int, ...], **more: object) -> dict[str, object]:
    numbers = dict(zip(("accepted", "delivered", "dropped", "aggregated", "pending"), counts, strict=True))
    assert counts[0] == sum(counts[1:])
    return {
        "pid": pid, "program": program, "handler": "GuanceHandler",
        "destination": "guance cn3-openway.guance.com",
        "state": state, "last_error": "", "oldest_seconds": None, **numbers, **more,
    }  # fmt: skip


TOP = [
    row(2210, "nightly.py", "held", (4, 0, 0, 1, 3), oldest_seconds=3000.0, last_error=(
        "ft.InvalidAPIKey: the service does not know the key: is it of another site (site=, endpoint=)? "
        "is it a Key ID where the Key (Secret) is wanted, or the reverse on older sites?"
    )),
    row(2207, "gunicorn", "late", (1201, 740, 0, 455, 6), oldest_seconds=12.0, last_error=(
        "connect: no connection to cn3-openway.guance.com:443: Connection refused"
    )),
    row(2208, "gunicorn", "ok", (1188, 731, 0, 457, 0)),
]  # fmt: skip


def test_the_picture_of_top_is_what_it_prints_of_such_processes() -> None:
    """Byte for byte but for the clock, at 80 columns."""
    (shown,) = re.findall(r"<!-- top -->\n```text\n(.*?)\n```", PAGE, re.S)
    printed = "\n".join(top._lines(top._Picture(TOP, 0), 80))

    assert re.sub(r"\d\d:\d\d:\d\d", "03:14:07", printed) == shown


def test_the_relay_s_commands_and_numbers_are_the_code_s() -> None:
    """Each command line is taken, each number is the default."""
    section = PAGE.partition("\n## Relay\n")[2].partition("\n## ")[0]
    (shell,) = re.findall(r"^```sh\n(.*?)^```", section, re.M | re.S)
    for line in shell.splitlines():
        chosen = _parser().parse_args(shlex.split(line)[1:])
        if chosen.url != "status":
            assert [assignment(text).queue for text in chosen.queues] == ["guance", "cms"]
    (configured,) = re.findall(r'configure\("(.*?)"\)', section)
    assert [options["queue"] for _, options in parse_dsn(configured)] == ["guance", "cms"]

    own = {row.name: row.default for row in relay_options.OPTIONS}
    assert f"`queue_capacity` ({own['queue_capacity']:,})" in section
    assert f"`aggregate_seconds` ({relay_options.DEFAULTS['aggregate_seconds']:g} here)" in section
    given = assignment("g=guance://cn1").options
    assert f"`exit_timeout` ({given['exit_timeout']:g} s here)" in section
    assert f"{given['max_age'] / 3600:g} hours old (`max_age`)" in section
    assert f"the last {scripts.MAX_DEAD:,} in" in section
    assert f"and {SLACK_SECONDS:g} s." in section
    assert MOST_DELIVERIES == 5
    assert "five relays did not survive" in section
    assert f"`{fleet_scripts.prefix('<queue>')}dead`" in section


def test_the_fleet_page_s_figures_of_relays_are_what_the_pages_promise() -> None:
    """Nothing lost, no more copies than a batch for each kill, none throttled, counts exact."""
    page = (FLEET / "fleet.md").read_text("utf-8").partition("\n## Relays\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if re.match(r"\| [0-9]", line)
    ]
    delivered, counted = rows

    assert (delivered[3], delivered[5]) == ("0", "0")
    copies, allowed = map(int, re.findall(r"\d+", delivered[4]))
    assert copies <= allowed == 50 * (int(delivered[1]) + int(delivered[2]))
    busiest, limit = map(int, re.findall(r"\d+", delivered[6]))
    assert busiest <= limit
    assert counted[-1] == "0"
