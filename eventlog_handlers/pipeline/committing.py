"""``durability="commit"``: a log call returns when its event outlives the process.

The log call writes the event to the journal. Where there is no journal, or no room in it, a thread of the
pool writes and the log call waits. On the caller's side; takes no lock that another thread may hold.
"""

from __future__ import annotations

from collections.abc import Callable

from eventlog_handlers.buffers import WriteAhead
from eventlog_handlers.events import Event
from eventlog_handlers.pipeline.intake import Intake
from eventlog_handlers.pipeline.life import Life
from eventlog_handlers.process import green, start_thread
from eventlog_handlers.record.captured import Capture

_COMMIT_SECONDS = 5.0  # how long a log call waits at most
_LOOK_SECONDS = 0.5  # between two looks whether a thread is still there


class Committing:
    """Commits captures of one life of a worker. *submit*, *appended*, *wait_for_room* and *is_over* are the
    worker's."""

    def __init__(
        self,
        life: Life,
        intake: Intake,
        *,
        submit: Callable[[Capture], None],
        appended: Callable[[Capture], None],
        wait_for_room: Callable[[], None] | None,
        is_over: Callable[[], bool],
        render: Callable[[Capture], Event | None],
        clock: Callable[[], float],
    ) -> None:
        self._life = life
        self._journal = life.journal
        self._intake = intake
        self._captures = intake.captures
        self._submit = submit
        self._appended = appended
        self._wait_for_room = wait_for_room
        self._is_over = is_over
        self._render = render
        self._clock = clock

    def commit(self, captured: Capture) -> None:
        """Take a capture in so that its event outlives the process.

        Ctrl-C, or a signal handler that logs, breaks the wait and no write. Never waits where the pool's
        thread might wait for this one.
        """
        if self._journal is not None and self._journal.is_open and self._write_ahead(self._journal, captured):
            return
        if self._is_over() or self._life.turns.is_in_use_here() or start_thread.caller_owns_logging_lock():
            self._submit(captured)
            self._life.pool.rouse()
            return
        done = self._intake.expect(captured)
        try:
            self._submit(captured)
            self._wait(done)
        finally:
            self._intake.forget(captured)

    def _write_ahead(self, journal: WriteAhead, captured: Capture) -> bool:
        """Render *captured* in this thread and write it to *journal*; False where that can't be done.

        Rendering runs no code of the application: with ``before_send`` there is no journal. The worker's
        thread finds the event in the table of the capture.
        """
        if self._wait_for_room is not None:
            self._wait_for_room()
        if captured.events is None:
            captured = captured._replace(events={})
        try:
            event = self._render(captured)
            if event is None or not journal.put(event, captured.id_bits, captured, self._captures):
                return False
        except Exception:  # a fault of ours; the worker's thread meets it again and says so
            return False
        self._appended(captured)
        return True

    def _wait(self, done: green.TokenQueue) -> None:
        life = self._life
        deadline = self._clock() + _COMMIT_SECONDS
        while True:
            if done.empty() and not life.pool.rouse():
                life.inline.render(lambda: not done.empty())
            if not green.get(done, _LOOK_SECONDS):
                if self._clock() < deadline:
                    continue
                life.notes.say_once(
                    "commit", f"a log call waited {_COMMIT_SECONDS:g} s for its commit and goes on without it"
                )
            return
