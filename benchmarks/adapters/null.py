"""The baseline: what the logging call costs without any handler's work."""

from __future__ import annotations

from benchmarks.adapters import Adapter


class Null(Adapter):
    """``logging.NullHandler``."""

    title = "logging.NullHandler"
    sends = False


def adapter() -> Adapter:
    return Null()
