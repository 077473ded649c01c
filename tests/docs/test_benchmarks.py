"""The benchmark program: every part runs, and its figures can be read back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from processes import ROOT, environment


def test_the_benchmark_measures_our_handlers_and_writes_its_files(tmp_path: Path) -> None:
    """A tiny run prints a table for each part asked for, and writes JSON, a chart and a page."""
    figures, chart, page = tmp_path / "figures.json", tmp_path / "chart.svg", tmp_path / "page.md"
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "--tiny",
        "--only",
        "caller,end-to-end,idle,trickle,down,growth",
    ]
    command += ["--adapters", "null,queue_listener,cms,guance,cloudwatch"]
    command += ["--json", str(figures), "--chart", str(chart), "--page", str(page)]

    done = subprocess.run(
        command, env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )

    assert done.returncode == 0, done.stderr
    parts = {part: run["rows"] for part, run in json.loads(figures.read_text("utf-8")).items()}
    ours = {"CMSHandler", "GuanceHandler", "CloudWatchEventsHandler"}
    for part in ("caller", "end-to-end", "idle", "trickle", "down"):
        assert ours < {row["adapter"] for row in parts[part]}, done.stderr
        assert f"\n{part}\n" in done.stdout
    assert {row["lost"] for row in parts["end-to-end"]} == {0}
    assert all(row["events/s"] > 0 for row in parts["growth"])
    assert ElementTree.fromstring(chart.read_text("utf-8")).tag.endswith("svg")
    written = page.read_text("utf-8")
    top = written.partition("\n## ")[0]
    assert [line.partition("**, ")[0][:12] for line in top.splitlines() if line.startswith("- **")] == [
        "- **A log ca", "- **All thre", "- **CPU from", "- **The firs", "- **Ten reco",
    ]  # fmt: skip
    assert f"]({chart.name})" in top
    for part in parts:
        assert f"\n## {part}\n" in written
    assert written.count("| CMSHandler |") >= 4
    assert "requests " in written.splitlines()[-1]

    done = subprocess.run(
        [*command, "--only", "start"],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        timeout=110,
        check=True,
    )
    again = json.loads(figures.read_text("utf-8"))
    assert list(again) == ["caller", "end-to-end", "start", "idle", "trickle", "down", "growth"]
    assert again["caller"]["rows"] == parts["caller"]  # measured before, and kept
    assert "\n## start\n" in page.read_text("utf-8")


def test_a_word_the_benchmark_does_not_know_is_refused() -> None:
    """A part or adapter that doesn't exist ends the program with the ones there are."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--only", "weather"],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "no part called weather: there are caller" in done.stderr
