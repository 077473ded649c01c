"""Reads files of /proc, which Linux has."""

from __future__ import annotations

import os


def read(path: str) -> str:
    """All of a small file. Not by ``open``, which may import a codec: a fork in the midst of that would leave
    the child without it. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    parts = []
    try:
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
    finally:
        os.close(descriptor)
    return b"".join(parts).decode("utf-8", "replace")
