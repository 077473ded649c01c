"""No file of one test stays open in the next: select() takes 1,024 descriptors at most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from eventlog_handlers.buffers.spool import directory
from eventlog_handlers.buffers.spool.file import SpoolFile


@pytest.fixture(autouse=True)
def _files_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what a buffer that was not closed, or that holds events, keeps open while its process lives."""
    made: list[SpoolFile] = []
    construct = SpoolFile.__init__

    def constructed(file: SpoolFile, *given: Any, **named: Any) -> None:
        construct(file, *given, **named)
        made.append(file)

    monkeypatch.setattr(SpoolFile, "__init__", constructed)
    yield
    for file in made:
        file.let_go()
    for lock in list(directory._locks):
        lock.let_go()
