"""From captures to events in the buffer, on the worker's thread. An exception costs one event at most."""

from __future__ import annotations

from collections.abc import Callable

from eventlog_handlers.errors import described
from eventlog_handlers.events import Event
from eventlog_handlers.pipeline.charging import Charging
from eventlog_handlers.pipeline.intake import Intake
from eventlog_handlers.pipeline.ledger import Ledger
from eventlog_handlers.pipeline.reports import Notes
from eventlog_handlers.pipeline.sharing import Sharing
from eventlog_handlers.record.captured import Capture, whole
from eventlog_handlers.record.plain import EXIT_EXCEPTIONS

_CHUNK = 256  # captures rendered between two looks at the lock


def render_some(
    ledger: Ledger,
    intake: Intake,
    render: Callable[[Capture], Event | None],
    charging: Charging,
    notes: Notes,
    sharing: Sharing | None = None,
) -> bool:
    """Render a chunk of the captures; False if there is none or another thread renders."""
    if sharing is not None:
        _summarize(ledger, charging, notes, sharing, ledger.add_summary)
    chunk = ledger.take(_CHUNK)
    if not chunk:
        return False
    rendered: list[Event] = []
    events: list[Event] = []
    dropped: list[tuple[int, str]] = []
    summaries: list[tuple[Event, str | None]] = []
    done = counted = 0
    try:
        for waiting in chunk:
            done += 1  # first: an exception that stops the program costs the one event it came in
            try:
                event = render(whole(waiting))
                if event is None:
                    dropped.append((waiting[0], "before_send"))
                else:
                    rendered.append(event)
            except EXIT_EXCEPTIONS:
                dropped.append((waiting[0], "worker_died"))
                raise
            except BaseException as error:  # a fault of ours, or no memory: its neighbours go on
                dropped.append((waiting[0], "unencodable"))
                notes.say_once("unrenderable", f"an event can't be made: {described(error)}")
        if sharing is not None:
            rendered, counted = _folded(rendered, sharing, notes)
        while rendered:
            if charging.admits(rendered[0]):
                events.append(rendered.pop(0))
            else:
                dropped.append((rendered.pop(0).level, "budget"))
        if counted and sharing is not None:
            # With the same ``put``, or a flush would take all for settled in between.
            _summarize(ledger, charging, notes, sharing, lambda *summary: summaries.append(summary))
    finally:
        # Must not fail: else this chunk would be in none of the law's sums. The rest of *rendered* was
        # broken off before it was charged, and goes.
        ledger.put(
            [*events, *rendered],
            dropped=dropped,
            unread=chunk[done:],
            counted=counted,
            summaries=summaries,
            read=chunk[:done],
        )
        for waiting in chunk[:done]:
            intake.announce(waiting)
    for notice in charging.take_notices():
        ledger.add(notice)
    return True


def _folded(events: list[Event], sharing: Sharing, notes: Notes) -> tuple[list[Event], int]:
    """The events that no other process reports already, and how many were only counted."""
    try:
        return sharing.fold(events)
    except Exception as error:  # a fault of ours: the events go
        notes.say_once("sharing", f"problems can't be shared with other processes: {described(error)}")
        return events, 0


def _summarize(
    ledger: Ledger,
    charging: Charging,
    notes: Notes,
    sharing: Sharing,
    take_in: Callable[[Event, str | None], None],
) -> None:
    """Take in the summaries that this process is to send now, each with the reason why it is dropped."""

    def add(summary: Event) -> None:
        take_in(summary, None if charging.admits(summary) else "budget")

    try:
        sharing.summarize(add, is_flushed=ledger.waiting().is_flushed)
    except Exception as error:  # a fault of ours: they are told later, by this process or another one
        notes.say_once("sharing", f"summaries can't be shared with other processes: {described(error)}")
