"""docs/architecture.md names the files that one record enters: a real record is followed through them."""

from __future__ import annotations

import logging
import os
import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import eventlog_handlers
from eventlog_handlers import CMSHandler

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
STEP = re.compile(r"^\d+\. `([\w/<>]+\.py)`, `(\w+)`", re.MULTILINE)


def steps() -> list[tuple[str, str]]:
    """File and function of each step of the page, for the service CMS."""
    return [(file.replace("<service>", "cms"), name) for file, name in STEP.findall(PAGE.read_text("utf-8"))]


def followed(handler: CMSHandler, log: logging.Logger) -> list[tuple[str, str]]:
    """File and function of each call within the package, from the log call of one record to its ack."""
    root = f"{Path(eventlog_handlers.__file__).parent}{os.sep}"
    calls: list[tuple[str, str]] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(root):
            calls.append((frame.f_code.co_filename[len(root) :].replace(os.sep, "/"), frame.f_code.co_name))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        log.error("order %s failed", [7])  # a plain one would leave out a file
        handler.work(10)
    finally:
        sys.setprofile(before)
    return calls


def test_a_record_goes_the_way_that_the_page_describes(eventlog_console: Any) -> None:
    """In that order, through each of these files, and the page names no file twice."""
    handler = CMSHandler(scope="process", flush_interval=0)
    handler._worker._life.pool.rouse = lambda: True  # type: ignore[method-assign]  # this thread does it all
    log = logging.Logger("shop")
    log.addHandler(handler)

    calls = followed(handler, log)

    assert handler.stats()["delivered"] == 1
    places = [calls.index(step) for step in steps()]
    assert places == sorted(places)
    files = [file for file, _ in steps()]
    assert len(files) == len(set(files)) == 25
    handler.close()
