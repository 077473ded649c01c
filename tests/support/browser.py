"""A real browser for the tests of the console's page: Debian's chromium, driven by Playwright's package.

Where either is missing the tests are skipped; with CI=true they fail, for there it has to be.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def needed() -> tuple[Any, str]:
    """Playwright's entry and the browser's path; skips the test, or fails it in CI, where one is missing."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if path is None or sync_playwright is None:
        missing = "chromium" if path is None else "playwright (the extra browser)"
        if os.environ.get("CI") == "true":
            pytest.fail(f"no {missing} in CI")
        pytest.skip(f"no {missing} here")
    return sync_playwright, path


@contextmanager
def context(profile: Path, **options: Any) -> Iterator[Any]:
    """A browser with an empty profile in *profile*; *options* are Playwright's, such as ``color_scheme``."""
    sync_playwright, path = needed()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch_persistent_context(
            str(profile),
            executable_path=path,
            headless=True,
            chromium_sandbox=False,
            args=list(FLAGS),
            **options,
        )
        opened.set_default_timeout(20_000)
        try:
            yield opened
        finally:
            opened.close()
