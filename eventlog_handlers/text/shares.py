"""Shares out room among texts that together are too long. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def _share(sizes: Sequence[int], room: int) -> int:
    """The most that each may take so that all together take *room*: the small take less, the large just that.

    Where they fit anyway, as much as the largest takes.
    """
    for done, size in enumerate(sorted(sizes)):
        share = max(room, 0) // (len(sizes) - done)
        if size > share:
            return share
        room -= size
    return max(sizes, default=0)


def fair_shares(sizes: Sequence[int], room: int) -> list[int]:
    """Divide *room* so that what is small gets all it needs and what is large shares the rest evenly."""
    shares = [0] * len(sizes)
    for waiting, index in zip(
        range(len(sizes), 0, -1), sorted(range(len(sizes)), key=sizes.__getitem__), strict=True
    ):
        shares[index] = max(0, min(sizes[index], room // waiting))
        room -= shares[index]
    return shares


def _shares(sizes: Mapping[str, int], room: int) -> dict[str, int]:
    """Divide *room*: small parts get all they want, large ones an equal share of what is left."""
    shares: dict[str, int] = {}
    for name in sorted(sizes, key=sizes.__getitem__):
        shares[name] = min(sizes[name], room // (len(sizes) - len(shares)))
        room -= shares[name]
    return shares
