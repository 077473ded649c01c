"""Children of multiprocessing, made and ended in each way that it has."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from operated import APPS
from processes import run, run_file


@pytest.mark.parametrize("kind", ["pool", "executor"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_p10_what_children_logged_arrives(eventlog_console: Any, method: str, kind: str) -> None:
    """Also at the end of ``with Pool()``, which sends SIGTERM to each child."""
    done = run_file(APPS / "pool.py", method, kind, console=eventlog_console.url)

    assert done.returncode == 0, done.stderr
    first_lines = (event.body["Content"].splitlines()[0] for event in eventlog_console.events("cms"))
    assert Counter(first_lines) == Counter(f"ERROR task {number}" for number in range(40))


@pytest.mark.parametrize(
    ("before", "handled"),
    [("signal.SIG_DFL", True), ("signal.SIG_IGN", False), ("lambda *_: os._exit(3)", False)],
    ids=["default", "ignored", "the application's own"],
)
def test_p10_sigterm_is_answered_only_where_nobody_else_does(before: str, handled: bool) -> None:
    """In a child of multiprocessing; in any other process it is left alone."""
    script = f"""
    import multiprocessing, signal
    from eventlog_handlers.process import sigterm

    def child(results):
        signal.signal(signal.SIGTERM, {before})
        results.put(sigterm.install_in_multiprocessing_child())

    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    process = context.Process(target=child, args=(results,))
    process.start()
    print(results.get(), sigterm.install_in_multiprocessing_child(), signal.getsignal(signal.SIGTERM).name)
    process.join()
    """

    done = run(script, preamble="import os\n")

    assert done.stdout.split() == [str(handled), "False", "SIG_DFL"], done.stderr
