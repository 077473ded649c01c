"""What a program may want to be told of its deliveries, and the way it is told. Knows no thread and no clock.

What belongs here: the reports, their wording, and that telling never harms. What does not: when something
is delivered, tried again or dropped (ledger.py, delivery.py), and how somebody counts it.

Reports are noted where things happen, under the ledger's lock, and handed over later without any lock, a few
sums instead of one call per event: an observer is the user's code and may take its time or log.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from eventlog_handlers.diagnostics import SelfLog

T = TypeVar("T")


class Observer(Protocol):
    """Receives every report of the handlers it was given to, for metrics or a test.

    Called on a handler's thread, or on the one that flushes; by several at once if several handlers share
    it. *handler* is the class name of the handler that reports. Counts are of events since the last report
    of this kind: added up they are the sums of ``stats()``. Leave off what isn't wanted: a method that isn't
    there isn't called. What it raises is told once on stderr and changes nothing else; what it logs is not
    an event of the handler that reports.
    """

    def on_delivered(self, handler: str, count: int) -> None:
        """*count* events were confirmed by the service."""

    def on_retry(self, handler: str, count: int, code: str) -> None:
        """*count* events will be sent again for *code*: the service's word, or ours such as ``timeout``."""

    def on_drop(self, handler: str, count: int, reason: str, level: str) -> None:
        """*count* events of *level* are lost for good; *reason* is that of ``stats()["dropped"]``."""

    def on_state(self, handler: str, state: str, error: str) -> None:
        """The destination changed to *state*, the word of ``stats()``: ``ok``, ``failing`` (tried again soon)
        or ``held`` (probed slowly until somebody mends the configuration). *error* is "" or one line without
        secrets."""


class Reports:
    """Reports of one handler, noted now and told later: at the end of each of the worker's turns.

    ``count`` and ``state`` may be called under any lock, ``tell`` under none; all by any thread. What waits
    is one small tuple per event of a turn. Without an observer all three do nothing.
    """

    def __init__(self, observer: Observer | None, handler: str, self_log: SelfLog) -> None:
        self._observer = observer
        self._handler = handler
        self._self_log = self_log
        # Appending and taking off are single operations: without a lock no report is lost or told twice.
        self._counts: deque[tuple[str, ...]] = deque()
        self._states: deque[tuple[str, str]] = deque()
        self._last_state: tuple[str, str] | None = None

    def count(self, method: str, *words: str) -> None:
        """Note one more event for ``on_delivered``, ``on_retry`` or ``on_drop``; *words* follow the count."""
        if self._observer is not None:
            self._counts.append((method, *words))

    def state(self, state: str, error: str = "") -> None:
        """Note that the destination changed to *state*."""
        if self._observer is not None and self._last_state != (state, error):
            self._last_state = (state, error)
            self._states.append((state, error))

    def tell(self) -> None:
        """Hand over what was noted. Never raises, but what stops a program."""
        if self._observer is None:
            return
        for (method, *words), count in Counter(_taken(self._counts)).items():
            notify(self._observer, self._self_log, method, self._handler, count, *words)
        for state, error in _taken(self._states):
            notify(self._observer, self._self_log, "on_state", self._handler, state, error)


def _taken(notes: deque[T]) -> list[T]:
    """All of *notes*, taken off it."""
    taken: list[T] = []
    try:
        while True:
            taken.append(notes.popleft())
    except IndexError:
        return taken


def notify(observer: Observer | None, self_log: SelfLog, method: str, *report: object) -> None:
    """Call *method* of *observer* if it has one; an exception of its is told once and goes no further."""
    try:
        tell: Callable[..., Any] | None = getattr(observer, method, None)
        if tell is not None:
            tell(*report)
    except Exception as error:
        self_log.say_once(
            f"observer {method}",
            f"the observer's {method} raised {type(error).__name__}: reports may be missing",
        )
