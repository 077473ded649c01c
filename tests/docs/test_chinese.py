"""The Chinese pages say what the English ones say: same headings, code blocks, tables, pictures, names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAIRS = {
    "README.zh-CN.md": "README.md",
    "docs/zh/quickstart.md": "docs/quickstart.md",
    "docs/zh/cms.md": "docs/services/cms.md",
    "docs/zh/guance.md": "docs/services/guance.md",
}
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def structure(text: str) -> dict[str, list]:
    """What has to be equal: levels of headings, code, columns of each row, lists, pictures."""
    prose = _FENCED.sub("", text)
    rows = re.findall(r"^\|.*\|$", prose, re.MULTILINE)
    return {
        "headings": [len(marks) for marks in re.findall(r"^(#+) ", prose, re.MULTILINE)],
        "code": _FENCED.findall(text),
        "columns": [row.count("|") for row in rows],
        "names in tables": [sorted(re.findall(r"`([^`]+)`", row.split("|")[1])) for row in rows],
        "lists": re.findall(r"^(-|\d+\.) ", prose, re.MULTILINE),
        "pictures": re.findall(r"!\[[^\]]*\]\(([^)]+)\)", prose),
    }


def test_every_chinese_page_has_its_english_one():
    """A page that nobody compares would go stale."""
    there = {"README.zh-CN.md", *(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/zh/*.md"))}

    assert there == set(PAIRS)
    assert "(README.zh-CN.md)" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("page", PAIRS)
def test_the_structure_is_the_english_page_s(page):
    """Compared part by part."""
    chinese = structure((ROOT / page).read_text("utf-8"))
    english = structure((ROOT / PAIRS[page]).read_text("utf-8"))

    for part, value in english.items():
        assert chinese[part] == value, part
    assert english["headings"]
    assert english["code"]


def test_a_difference_is_found():
    """In a heading, in code and in a table."""
    page = "# T\n\n## A\n\n```sh\nls\n```\n\n| `a` | b |\n|---|---|\n"

    for changed in (page.replace("## A", "### A"), page.replace("ls", "rm"), page.replace("| b ", "")):
        assert structure(changed) != structure(page)
