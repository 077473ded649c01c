"""Types of arguments that several commands take, for argparse: each reads a text or refuses it."""

from __future__ import annotations

import argparse
import re


def seconds(text: str) -> float:
    """``90``, ``90s``, ``15m``, ``2h``, ``3d`` as seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no span of time: give seconds, or a number with s, m, h or d"
        )
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}[found[2]]


def whole_seconds(text: str) -> int:
    """The same, without a fraction."""
    return int(seconds(text))


def number_of_events(text: str) -> int:
    """A whole number, 1 or more."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of events: 1 or more")
    return int(text)
