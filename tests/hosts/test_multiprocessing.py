"""SIGTERM in children of multiprocessing; that they send what they log is shown in ``test_matrix``."""

from __future__ import annotations

import pytest
from processes import run


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
