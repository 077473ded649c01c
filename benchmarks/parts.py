"""The parts of the benchmark, by name and in the order in which they are measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks import measures, quiet
from benchmarks.measures import Row, Say, Sizes

PARTS: dict[str, Callable[[Sequence[str], Sizes, Say], list[Row]]] = {
    "caller": measures.caller,
    "end-to-end": measures.end_to_end,
    "start": measures.start,
    "idle": quiet.idle,
    "trickle": quiet.trickle,
    "down": measures.down,
    "growth": measures.growth,
}
