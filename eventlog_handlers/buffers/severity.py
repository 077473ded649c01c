"""Classes of severity: a buffer leases the highest first and drops the lowest first. Pure."""

from __future__ import annotations

CLASSES = 5


def class_of(level: int) -> int:
    """The class of a logging level: 0 critical … 4 debug."""
    if level >= 50:
        return 0
    if level >= 40:
        return 1
    if level >= 30:
        return 2
    return 3 if level >= 20 else 4
