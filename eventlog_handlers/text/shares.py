"""Shares out room among texts that together are too long. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def fair_shares(sizes: Sequence[int], room: int) -> list[int]:
    """Divide *room*: what is small gets all it needs, what is large shares the rest evenly."""
    shares = [0] * len(sizes)
    left = len(sizes)
    for index in sorted(range(len(sizes)), key=sizes.__getitem__):
        shares[index] = max(0, min(sizes[index], room // left))
        room -= shares[index]
        left -= 1
    return shares
