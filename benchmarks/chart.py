"""The part ``caller`` as an SVG by hand: bars on a logarithmic scale, readable in light and dark. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from benchmarks.measures import CASES

_SHOWN = ("plain", "extras", "exception")
_LEFT, _WIDTH, _BAR, _GAP, _TOP = 230, 470, 16, 6, 66
_STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f }
.head { font-weight: 600; font-size: 13px } .note { fill: #57606a; font-size: 11px }
.peer { fill: #8c959f } .ours { fill: #0969da } .grid { stroke: #d0d7de }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #9198a1 }
  .peer { fill: #6e7681 } .ours { fill: #4493f8 } .grid { stroke: #30363d }
}"""


def draw(rows: Sequence[dict[str, Any]]) -> str:
    """One group of bars for each case, a bar for each handler: times the cost of a ``NullHandler``."""
    groups = [
        (case, [row for row in rows if row["case"] == case and row["adapter"] != "logging.NullHandler"])
        for case in (CASES[name] for name in _SHOWN)
    ]
    groups = [(case, sorted(bars, key=lambda row: row["x Null"])) for case, bars in groups if bars]
    most = max([10.0, *(row["x Null"] for _, bars in groups for row in bars)])
    decades = math.ceil(math.log10(most))

    def across(ratio: float) -> float:
        return _LEFT + _WIDTH * max(0.0, math.log10(max(ratio, 1.0))) / decades

    parts: list[str] = []
    at = _TOP
    for case, bars in groups:
        parts.append(f'<text class="head" x="16" y="{at}">{escape(case)}</text>')
        at += 12
        for row in bars:
            kind = "ours" if row["adapter"].endswith("Handler") and " " not in row["adapter"] else "peer"
            middle = at + _BAR - 4
            length = max(1.5, across(row["x Null"]) - _LEFT)
            parts.append(
                f'<text x="{_LEFT - 8}" y="{middle}" text-anchor="end">{escape(row["adapter"])}</text>'
            )
            parts.append(
                f'<rect class="{kind}" x="{_LEFT}" y="{at}" width="{length:.1f}" height="{_BAR}" rx="2"/>'
            )
            parts.append(f'<text x="{_LEFT + length + 6:.1f}" y="{middle}">{_ratio(row["x Null"])}</text>')
            at += _BAR + _GAP
        at += 26
    height = at
    grid = []
    for decade in range(decades + 1):
        x = across(10**decade)
        grid.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="46" y2="{height - 30}"/>')
        grid.append(
            f'<text class="note" x="{x:.1f}" y="{height - 14}" text-anchor="middle">{10**decade}×</text>'
        )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" width="760" '
            f'height="{height}" '
            'role="img" aria-label="What a logging call costs its caller, by handler">',
            f"<style>{_STYLE}</style>",
            '<text class="head" x="16" y="22">What a logging call costs its caller</text>',
            '<text class="note" x="16" y="38">times the same call on logging.NullHandler, median, '
            "logarithmic; less is better</text>",
            *grid,
            *parts,
            "</svg>\n",
        ]
    )


def _ratio(value: float) -> str:
    return f"{value:.1f}×" if value < 20 else f"{value:.0f}×"
