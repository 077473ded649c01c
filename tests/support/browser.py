"""A real browser for the tests of the console's page: Debian's chromium, driven by Playwright's package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import needed

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@contextmanager
def context(profile: Path, **options: Any) -> Iterator[Any]:
    """A browser with an empty profile in *profile*; *options* are Playwright's, such as ``color_scheme``."""
    needed.module("playwright")
    path = needed.command("chromium", "chromium-browser")
    from playwright.sync_api import sync_playwright

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
