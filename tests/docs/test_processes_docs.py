"""docs/processes.md: its examples run, its paths and names are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import eventlog_handlers
from eventlog_handlers.services.guance.handler import GuanceHandler
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
