"""The gate on instructions: what it compares, with what, and when it fails. The counting itself is CI's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import instructions

BASE = {"NullHandler: plain": 40_000, "NullHandler: exception": 60_000, "one handler: plain": 60_000}
BUILD = "cpython-311-3.11.7-0000"


def growths(counts: dict[str, int], build: str, recorded: dict[str, dict[str, int]]) -> dict[str, float]:
    changes, _ = instructions.compared(counts, recorded, build)
    return {change.path: round(change.growth, 3) for change in changes}


def test_the_same_build_is_compared_by_instructions() -> None:
    """Even the NullHandler's own path shows what it takes more."""
    counts = {name: count * 3 // 2 for name, count in BASE.items()}

    assert set(growths(counts, BUILD, {BUILD: BASE}).values()) == {0.5}


def test_another_build_is_compared_by_ratios() -> None:
    """An interpreter that takes half as much again for everything is no regression; a path of ours is."""
    counts = {name: count * 3 // 2 for name, count in BASE.items()}
    slower = {**counts, "one handler: plain": 2 * counts["one handler: plain"]}

    assert set(growths(counts, "cpython-312-3.12.1-0000", {BUILD: BASE}).values()) == {0.0}
    assert growths(slower, "cpython-312-3.12.1-0000", {BUILD: BASE})["one handler: plain"] == 1.0


def test_the_nearest_build_is_asked() -> None:
    """Of two builds on record the one of the nearer version."""
    recorded = {BUILD: BASE, "cpython-313-3.13.0-0000": {**BASE, "one handler: plain": 40_000}}

    assert growths(BASE, "cpython-313-3.13.4-1111", recorded)["one handler: plain"] == 0.5
    assert growths(BASE, "cpython-310-3.10.4-1111", recorded)["one handler: plain"] == 0.0


@pytest.mark.parametrize(
    ("path", "null"),
    [
        ("three handlers: exception", "NullHandler: exception"),
        ("folded repeat", "NullHandler: exception"),
        ("one handler: five extras", "NullHandler: five extras"),
        ("spool: put and commit", "NullHandler: plain"),
        ("NullHandler: plain", "NullHandler: plain"),
    ],
)
def test_each_path_is_beside_the_log_call_of_its_kind(path: str, null: str) -> None:
    """A log call with a traceback is compared with one that has a traceback, too."""
    assert instructions.null_of(path) == null


@pytest.mark.parametrize(("more", "code"), [(1.09, 0), (1.11, 1)])
def test_the_command_fails_above_ten_per_cent(
    more: float,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One path over it is enough; the path is named, and recording takes the new count in."""
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps({instructions.build_name(): BASE}), "utf-8")
    counts = {**BASE, "one handler: plain": int(more * BASE["one handler: plain"])}
    monkeypatch.setattr(instructions, "BASELINE", baseline)
    monkeypatch.setattr(instructions, "measured", lambda: counts)
    monkeypatch.setattr(instructions.shutil, "which", lambda name: name)

    assert instructions.main([]) == code
    assert ("FAILED: one handler: plain" in capsys.readouterr().out) == bool(code)

    assert instructions.main(["--record"]) == 0
    assert instructions.main([]) == 0
    assert json.loads(baseline.read_text("utf-8"))[instructions.build_name()] == counts


def test_the_baseline_has_every_path_of_a_build() -> None:
    """No build on record lacks the NullHandler's paths that the others are compared with."""
    recorded = json.loads(instructions.BASELINE.read_text("utf-8"))

    assert recorded
    for counts in recorded.values():
        assert {instructions.null_of(path) for path in counts} <= set(counts)
