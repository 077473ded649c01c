"""The reports that a program's observer gets of its deliveries. Knows no thread and no clock.

Here: the reports and their wording. Not here: when an event is delivered, tried again or dropped
(``pipeline.holding``, ``pipeline.settling``), and how reports are kept until the observer is called
(``pipeline.reports``).

Reports are noted under the ledger's lock, and handed over later without any lock, as a few sums instead of
one call per event: an observer is the user's code, and it may be slow or log.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

T = TypeVar("T")


class Observer(Protocol):
    """Receives every report of the handlers it was given to, for metrics or a test.

    Called on a handler's thread, or on the one that flushes; by several at once if several handlers share
    it. *handler* is the class name of the handler that reports. Counts are of events since the last report
    of this kind: added up they are the sums of ``stats()``. Leave off what isn't wanted: a method that isn't
    there isn't called. Its exception is told once on stderr and changes nothing else. A record that it
    logs is not an event of the handler that reports.
    """

    def on_delivered(self, handler: str, count: int) -> None:
        """*count* events were confirmed by the service."""

    def on_retry(self, handler: str, count: int, code: str) -> None:
        """*count* events will be sent again for *code*: the service's word, or ours such as ``timeout``."""

    def on_drop(self, handler: str, count: int, reason: str, level: str) -> None:
        """*count* events of *level* are lost for good; *reason* is that of ``stats()["dropped"]``."""

    def on_state(self, handler: str, state: str, error: str) -> None:
        """The destination changed to *state*, the word of ``stats()``: ``ok``, ``failing`` (tried again soon)
        or ``held`` (probed slowly until the configuration is mended). *error* is "" or one line without
        secrets."""
