"""From captures to events in the buffer, on the worker's thread. Whatever raises costs one event at most."""

from __future__ import annotations

from collections.abc import Callable

from eventlog_handlers.errors import described
from eventlog_handlers.events import Event
from eventlog_handlers.pipeline.charging import Charging
from eventlog_handlers.pipeline.intake import Intake
from eventlog_handlers.pipeline.ledger import Ledger
from eventlog_handlers.pipeline.reports import Notes
from eventlog_handlers.record.capture import Capture
from eventlog_handlers.record.plain import EXIT_EXCEPTIONS

_CHUNK = 256  # captures rendered between two looks at the lock


def render_some(
    ledger: Ledger,
    intake: Intake,
    render: Callable[[Capture], Event | None],
    charging: Charging,
    notes: Notes,
) -> bool:
    """Render what came in, a chunk of it; False if there is nothing or another thread is at it."""
    chunk = ledger.take(_CHUNK)
    if not chunk:
        return False
    events: list[Event] = []
    dropped: list[tuple[int, str]] = []
    done = 0
    try:
        for captured in chunk:
            done += 1  # first: an exception that stops the program costs the one event it came in
            try:
                event = render(captured)
                if event is None:
                    dropped.append((captured.level, "before_send"))
                elif charging.admits(event):
                    events.append(event)
                else:
                    dropped.append((captured.level, "budget"))
            except EXIT_EXCEPTIONS:
                dropped.append((captured.level, "worker_died"))
                raise
            except BaseException as error:  # a fault of ours, or no memory: its neighbours go on
                dropped.append((captured.level, "unencodable"))
                notes.say_once("unrenderable", f"an event can't be made: {described(error)}")
    finally:
        # Must not fail: else this chunk would be in none of the law's sums.
        ledger.put(events, dropped=dropped, unread=chunk[done:])
        for captured in chunk[:done]:
            intake.announce(captured)
    for notice in charging.take_notices():
        ledger.add(notice)
    return True
