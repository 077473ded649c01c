"""The pytest fixture ``eventlog_console``: the local stand-in of the three services, fresh for each test.

pytest loads this module in every run of every project that has the package, so it imports next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from eventlog_handlers.console.server import LocalConsole


@pytest.fixture(scope="session")
def _eventlog_console_server() -> Iterator[LocalConsole]:
    from eventlog_handlers.console import require_extra

    require_extra()
    from eventlog_handlers.console.server import LocalConsole

    with LocalConsole() as console:
        yield console


@pytest.fixture
def eventlog_console(
    _eventlog_console_server: LocalConsole, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> LocalConsole:
    """A local stand-in of CMS, Guance and CloudWatch Events; handlers made in the test send to it.

    ``.events()``, ``.requests()`` and ``.refused()`` are what arrived, each also for one service
    (``"cms"``, ``"guance"``, ``"cloudwatch"``); ``.wait_for(n)`` waits for n events; ``.script`` makes
    faults; ``.cms``, ``.guance`` and ``.cloudwatch`` hold the options of the services. Quotas are off and
    clocks are not compared, so that a test may be fast and freeze time; both can be set back:
    ``eventlog_console.cms.skew_seconds = 900``. Needs ``eventlog-handlers[console]``.
    """
    from eventlog_handlers.process import notices

    console = _eventlog_console_server
    console.restore()
    console.relax()
    monkeypatch.setenv("EVENTLOG_CONSOLE", console.url)
    # Problems and rate limits are shared by the processes of this user: not with the test before.
    monkeypatch.setenv("EVENTLOG_RUNTIME_DIR", str(tmp_path / "eventlog-runtime"))
    monkeypatch.delenv("EVENTLOG_DISABLED", raising=False)
    monkeypatch.setattr(notices, "hushed", True)  # the variable is no left-over here
    return console
