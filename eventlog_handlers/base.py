"""``Handler``: the methods of every handler of this package that a program may call."""

from __future__ import annotations

import logging
from typing import Any


class Handler(logging.Handler):
    """A ``logging.Handler`` that can be flushed within a time and counts the outcomes of its events.

    ``configure`` returns one. It is one handler of a service (an ``EventHandler``), or stands for several.
    """

    def flush(self, timeout: float | None = None) -> bool:  # type: ignore[override]  # logging's returns None
        """Send everything accepted so far; True if it is settled: delivered, or dropped for a counted reason.

        Waits *timeout* seconds at most; None means ``exit_timeout``.
        """
        raise NotImplementedError

    def stats(self) -> dict[str, Any]:
        """Counters of this process, as the table of ``stats()`` in ``docs/delivery.md`` explains them.

        For one service a dict of counters; for several a dict of these by the handlers' class names.
        """
        raise NotImplementedError

    def close(self, timeout: float | None = None) -> None:
        """Flush within *timeout* seconds (None: ``exit_timeout``) and end the threads."""
        super().close()
