"""Reports for the user's observer and lines for stderr: noted under a lock, handed over later without one."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from eventlog_handlers.observer import Observer, T
from eventlog_handlers.process.self_log import SelfLog


class Notes:
    """Lines for stderr, noted now and written later: a full pipe blocks the thread that writes to it.

    ``say`` and ``say_once`` may be called under any lock, ``tell`` under none; all by any thread.
    """

    def __init__(self, self_log: SelfLog) -> None:
        self._self_log = self_log
        # Appending and taking off are single operations: without a lock no line is lost or written twice.
        self._lines: deque[tuple[str | None, str]] = deque()

    def say(self, text: str) -> None:
        """Have one line written."""
        self._lines.append((None, text))

    def say_once(self, key: str, text: str) -> None:
        """Have one line written the first time *key* comes up."""
        self._lines.append((key, text))

    def tell(self) -> None:
        """Write the noted lines."""
        if not self._lines:
            return
        for key, text in _taken(self._lines):
            if key is None:
                self._self_log.say(text)
            else:
                self._self_log.say_once(key, text)


class Reports:
    """Reports of one handler to its observer, noted now and told later: at the end of each turn.

    ``count`` and ``state`` may be called under any lock, ``tell`` under none; all by any thread. One small
    tuple per event of a turn is kept. Without an observer all three do nothing.
    """

    def __init__(self, observer: Observer | None, handler: str, self_log: SelfLog) -> None:
        self._observer = observer
        self._handler = handler
        self._self_log = self_log
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
        """Hand over the noted reports. Raises only KeyboardInterrupt."""
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
    except KeyboardInterrupt:
        raise  # told in a thread of the application's, and the user wants to stop
    except BaseException as error:  # CancelledError and SystemExit too: the observer is a hook like any other
        self_log.say_once(
            f"observer {method}",
            f"the observer's {method} raised {type(error).__name__}: reports may be missing",
        )
