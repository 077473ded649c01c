"""Make the diagrams of the pages: ``python docs/make_diagrams.py``; ``--check`` only compares.

A diagram is text in this file: boxes by name, and lines between them. It becomes an SVG that a browser shows
without a script and without network, on the site and on GitHub alike.
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path
from typing import NamedTuple

IMAGES = Path(__file__).parent / "images"


class Box(NamedTuple):
    """A rectangle with one or two lines of text. *kind*: ``process``, ``store`` or ``group``."""

    x: int
    y: int
    width: int
    height: int
    text: str
    kind: str = "process"


class Line(NamedTuple):
    """From the right side of a box to the left side of another, which *shift* moves up or down."""

    start: str
    end: str
    text: str = ""
    is_dashed: bool = False
    shift: int = 0


class Diagram(NamedTuple):
    """*size* is in the unit of the boxes."""

    title: str
    size: tuple[int, int]
    boxes: dict[str, Box]
    lines: list[Line]


PROCESSES = Diagram(
    "Processes of two hosts share one account",
    (960, 372),
    {
        "host 1": Box(10, 10, 400, 190, "host 1", "group"),
        "worker 1": Box(30, 40, 150, 38, "gunicorn worker"),
        "worker 2": Box(30, 90, 150, 38, "gunicorn worker"),
        "cron": Box(30, 140, 150, 38, "cron job"),
        "file 1": Box(260, 84, 130, 50, "mapped file\n(scope=host)", "store"),
        "host 2": Box(10, 220, 400, 142, "host 2", "group"),
        "worker 3": Box(30, 250, 150, 38, "Celery worker"),
        "worker 4": Box(30, 304, 150, 38, "Celery worker"),
        "file 2": Box(260, 272, 130, 50, "mapped file\n(scope=host)", "store"),
        "redis": Box(690, 60, 260, 60, "Redis\n(scope=redis://…)", "store"),
        "service": Box(690, 250, 260, 60, "CMS · Guance · CloudWatch", "process"),
    },
    [
        Line("worker 1", "file 1", shift=-12),
        Line("worker 2", "file 1"),
        Line("cron", "file 1", shift=12),
        Line("worker 3", "file 2", shift=-10),
        Line("worker 4", "file 2", shift=10),
        Line("host 1", "redis", "several hosts share", is_dashed=True, shift=-12),
        Line("host 2", "redis", is_dashed=True, shift=12),
        Line("host 1", "service", shift=-12),
        Line("host 2", "service", "events", shift=12),
    ],
)
DIAGRAMS = {"processes.svg": PROCESSES}

_LOOKS = {
    "process": ("#fff", "#3f51b5", 4),
    "store": ("#e3f2e6", "#2e7d32", 18),
    "group": ("#f4f6fa", "#c5cbd8", 8),
}
_ARROW = (
    '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>'
)


def drawn(diagram: Diagram) -> str:
    """The SVG."""
    width, height = diagram.size
    title = escape(diagram.title)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="14" role="img" aria-label="{title}">',
        f"<title>{title}</title>",
        _ARROW,
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *(part for box in diagram.boxes.values() for part in _box(box)),
        *(part for line in diagram.lines for part in _line(line, diagram.boxes)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _box(box: Box) -> list[str]:
    fill, stroke, radius = _LOOKS[box.kind]
    parts = [
        f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="{radius}" '
        f'fill="{fill}" stroke="{stroke}"/>'
    ]
    if box.kind == "group":
        parts.append(
            f'<text x="{box.x + 12}" y="{box.y + 20}" fill="#555" font-style="italic">'
            f"{escape(box.text)}</text>"
        )
        return parts
    rows = box.text.split("\n")
    center = box.x + box.width / 2
    middle = box.y + box.height / 2 + 5 - 9 * (len(rows) - 1)
    for number, row in enumerate(rows):
        parts.append(
            f'<text x="{center:g}" y="{middle + 18 * number:g}" text-anchor="middle" fill="#111">'
            f"{escape(row)}</text>"
        )
    return parts


def _line(line: Line, boxes: dict[str, Box]) -> list[str]:
    start, end = boxes[line.start], boxes[line.end]
    x1, y1 = start.x + start.width, start.y + start.height / 2
    x2, y2 = end.x - 2, end.y + end.height / 2 + line.shift
    dash = ' stroke-dasharray="5 4"' if line.is_dashed else ""
    parts = [
        f'<path d="M{x1} {y1:g}L{x2} {y2:g}" fill="none" stroke="#555" stroke-width="1.4"{dash} '
        f'marker-end="url(#a)"/>'
    ]
    if line.text:
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        wide = 8 * len(line.text)
        parts += [
            f'<rect x="{x - wide / 2:g}" y="{y - 11:g}" width="{wide}" height="20" fill="#fff"/>',
            f'<text x="{x:g}" y="{y + 4:g}" text-anchor="middle" fill="#111">{escape(line.text)}</text>',
        ]
    return parts


def main() -> int:
    """Write, or compare, every diagram. Returns the exit code."""
    stale = []
    for name, diagram in DIAGRAMS.items():
        path = IMAGES / name
        if not path.exists() or path.read_text("utf-8") != drawn(diagram):
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(drawn(diagram), "utf-8")
    if "--check" in sys.argv and stale:
        print("not up to date:", *stale, "- run docs/make_diagrams.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
