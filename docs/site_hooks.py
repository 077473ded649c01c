"""Make a site of pages that GitHub shows too: README is the first page, links out of docs/ are absolute."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
BLOB = "https://github.com/eventlog-handlers/eventlog-handlers/blob/main/"
FIRST_PAGES = {"index.md": "README.md", "zh/index.md": "README.zh-CN.md"}
"""Pages of the site: the file beside docs/ that each is made of."""
_LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")


def on_files(files: Any, config: Any) -> Any:
    """Add the first pages, which stand outside docs/."""
    for page, source in FIRST_PAGES.items():
        if (ROOT / source).exists():
            text = (ROOT / source).read_text("utf-8")
            files.append(File.generated(config, page, content=first_page(text, page)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to files outside docs/ lead to the repository."""
    return outside_docs(markdown, page.file.src_uri)


def first_page(text: str, page: str) -> str:
    """*text* of a file beside docs/, with its links as seen from *page*."""
    up = "../" * page.count("/")

    def link(found: re.Match[str]) -> str:
        target = found[1]
        for other, source in FIRST_PAGES.items():
            if target == source:
                return up + other
        return up + target.removeprefix("docs/") if target.startswith("docs/") else BLOB + target

    return _LINK.sub(link, text)


def outside_docs(text: str, page: str) -> str:
    """*text* of a page of docs/, with links that leave docs/ made absolute."""
    place = (ROOT / "docs" / page).parent

    def link(found: re.Match[str]) -> str:
        target = (place / found[1]).resolve()
        first = {(ROOT / source).resolve(): other for other, source in FIRST_PAGES.items()}
        if target in first:
            return "../" * page.count("/") + first[target]
        outside = not target.is_relative_to(ROOT / "docs") and target.is_relative_to(ROOT)
        return BLOB + target.relative_to(ROOT).as_posix() if outside else found[1]

    return _LINK.sub(link, text)
