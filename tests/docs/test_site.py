"""docs/ as a site: every page is in it, links lead somewhere, a reader's browser asks no other host."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import needed
import pytest
import yaml
from processes import environment

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built strictly: a page outside the navigation or a dead link is an error.

    Not with --quiet: mkdocs counts the warnings that it prints, and so none.
    """
    needed.module("mkdocs", "material")
    place = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(place)],
        cwd=ROOT,
        env=environment(NO_MKDOCS_2_WARNING="1"),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_every_page_is_in_the_site(site):
    """Those of docs/, and the README as the first."""
    pages = [path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")]

    assert len(pages) > 10
    for page in pages:
        assert (site / page).with_suffix(".html").exists(), page
    assert "logging" in (site / "index.html").read_text("utf-8")
    assert not list(site.rglob("*.py"))


def test_a_reader_s_browser_asks_no_other_host(site):
    """No script, style, font, picture or frame from elsewhere; links that a reader may click are fine."""
    loaded = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?(?:https?:)?//[^\s\">]+"
        r"|<link\b(?=[^>]*\brel=\"?(?:stylesheet|preconnect|preload))[^>]*\bhref=\"?(?:https?:)?//[^\s\">]+"
    )
    assert loaded.search('<link rel="stylesheet" href="https://fonts.googleapis.com/css">')
    assert loaded.search("<script src=https://unpkg.com/mermaid.js>")

    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        assert not loaded.search(text), (page, loaded.search(text))
        assert 'class="mermaid"' not in text, f"{page}: mermaid is fetched from a CDN; put an SVG there"
        assert 'data-md-component="source"' not in text, f"{page}: asks GitHub for its stars"
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", style.read_text("utf-8")), style


def test_diagrams_are_as_their_text_says(monkeypatch):
    """And each stands on a page."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import make_diagrams

    pages = "".join(path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md"))
    for name, diagram in make_diagrams.DIAGRAMS.items():
        drawn = make_diagrams.drawn(diagram)
        assert (ROOT / "docs" / "images" / name).read_text("utf-8") == drawn, "run docs/make_diagrams.py"
        assert f"images/{name})" in pages
        ElementTree.fromstring(drawn)


def test_read_the_docs_builds_what_is_there():
    """The file that it reads names this project's configuration and extra."""
    settings = yaml.safe_load((ROOT / ".readthedocs.yaml").read_text("utf-8"))

    assert (ROOT / settings["mkdocs"]["configuration"]).exists()
    assert settings["mkdocs"]["fail_on_warning"] is True
    (installed,) = settings["python"]["install"]
    (extra,) = installed["extra_requirements"]
    assert re.search(rf"^{extra} = \[", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)


def test_pictures_of_every_page_are_in_the_site(site):
    """As the page names them, from where the page lies."""
    seen = 0
    for page in site.rglob("*.html"):
        for source in re.findall(r"<img [^>]*\bsrc=\"?([^\s\">]+)", page.read_text("utf-8")):
            assert (page.parent / source).exists(), (page, source)
            seen += 1
    assert seen >= 5
