"""Each program ends once as it should; ``python tests/ends`` ends them again and again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ended import problems
from programs import OPTIONS, PROGRAMS


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_ends_and_its_orders_arrive(
    program: str, options: str, eventlog_console: Any, tmp_path: Path
) -> None:
    assert problems(program, options, eventlog_console, tmp_path, patience=90) == []


@pytest.mark.parametrize(
    ("program", "patience", "wrong"),
    [
        ("os.read(os.pipe()[0], 1)", 0.5, "hangs: see FOLDER/stderr"),
        ("os.kill(os.getpid(), 11)", 90, "dies of SIGSEGV: see FOLDER/stderr"),
        ("print('a')", 90, "1 of 1 orders have not arrived, the first: a"),
        ("order('a'); order('a')", 90, "1 orders have arrived twice, such as a"),
        ("configure(7)", 90, "a traceback of ours: see FOLDER/stderr"),
        (
            "print('7 event(s) not delivered', file=sys.stderr)",
            90,
            "events are not delivered: see FOLDER/stderr",
        ),
    ],
)
def test_what_is_wrong_with_an_end_is_told(
    program: str, patience: float, wrong: str, eventlog_console: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setitem(PROGRAMS, "wrong", program)

    found = problems("wrong", "memory", eventlog_console, tmp_path, patience=patience)

    assert found == [wrong.replace("FOLDER", str(tmp_path))]
