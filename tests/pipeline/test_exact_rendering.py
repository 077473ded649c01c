"""What becomes of each capture of a chunk: which events go on, which are dropped, in which order."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from captures import capture

from eventlog_handlers.events import Event
from eventlog_handlers.pipeline.rendering import render_some
from eventlog_handlers.record.captured import Capture
from eventlog_handlers.testing import make_event


def captured(message: str, level: int = logging.ERROR) -> Capture:
    return capture(logging.LogRecord("shop", level, "shop.py", 1, message, (), None), id_bits=0)


class Kitchen:
    """A ledger, an intake, a charging and notes in one that keep what they are told."""

    def __init__(self, *messages: str, broke: tuple[str, ...] = ()) -> None:
        self.chunk = [captured(message) for message in messages]
        self.broke = broke
        self.asked: list[str] = []
        self.added: list[str] = []
        self.announced: list[str] = []
        self.notes: list[tuple[str, str]] = []
        self.put_: dict[str, Any] = {}
        self.flushes: list[bool] = []
        self.notices = [make_event("notice")]
        self.folded: Any = None
        self.told: list[Event] = []

    def take(self, count: int) -> list[Capture]:
        self.count = count
        return self.chunk

    def put(self, events, **more) -> None:
        self.put_ = {"events": [event.message for event in events], **more}

    def announce(self, one: Capture) -> None:
        self.announced.append(one.template)

    def add(self, event: Event) -> None:
        self.added.append(event.message)

    def add_summary(self, event: Event, dropped: str | None) -> None:
        self.added.append(f"{event.message} {dropped}")

    def waiting(self):
        return type("Waiting", (), {"is_flushed": True})

    def admits(self, event: Event) -> bool:
        self.asked.append(event.message)
        return event.message not in self.broke

    def take_notices(self) -> list[Event]:
        return self.notices

    def say_once(self, key: str, text: str) -> None:
        self.notes.append((key, text))

    # What is shared.
    def fold(self, events):
        if isinstance(self.folded, Exception):
            raise self.folded
        count = self.folded or 0
        return events[count:], count

    def summarize(self, add, *, is_flushed: bool) -> None:
        self.flushes.append(is_flushed)
        for event in self.told:
            if isinstance(event, Exception):
                raise event
            add(event)

    def render(self, one: Capture) -> Event | None:
        if one.template == "none":
            return None
        if one.template == "stop":
            raise KeyboardInterrupt
        if one.template == "fault":
            raise ValueError("no")
        return make_event(one.template)

    def serve(self, *, shared: bool = False) -> bool:
        return render_some(self, self, self.render, self, self, self if shared else None)  # type: ignore[arg-type]


def test_a_chunk_of_256_is_taken_and_each_capture_ends_in_one_way():
    """An event, dropped by the hook, unencodable, or without a budget; each is announced."""
    kitchen = Kitchen("a", "none", "b", "fault", "c", broke=("b",))

    assert kitchen.serve()

    assert kitchen.count == 256
    assert kitchen.asked == ["a", "b", "c"]
    assert kitchen.put_ == {
        "events": ["a", "c"],
        "dropped": [(40, "before_send"), (40, "unencodable"), (40, "budget")],
        "unread": [], "counted": 0, "summaries": [], "read": kitchen.chunk,
    }  # fmt: skip
    assert kitchen.announced == ["a", "none", "b", "fault", "c"]
    assert kitchen.added == ["notice"]
    assert kitchen.notes == [("unrenderable", "an event can't be made: ValueError: no")]
    assert kitchen.flushes == []


def test_what_stops_the_program_costs_the_one_it_came_in():
    """Those before it are put uncharged, those after it wait again."""
    kitchen = Kitchen("a", "stop", "b", "c")
    with pytest.raises(KeyboardInterrupt):
        kitchen.serve()

    assert kitchen.put_ == {
        "events": ["a"], "dropped": [(40, "worker_died")], "unread": kitchen.chunk[2:],
        "counted": 0, "summaries": [], "read": kitchen.chunk[:2],
    }  # fmt: skip
    assert kitchen.announced == ["a", "stop"]
    assert kitchen.added == []


@pytest.mark.parametrize("chunk", [[], None])
def test_where_nothing_came_in_nothing_is_put(chunk):
    """Summaries are looked for all the same."""
    kitchen = Kitchen()
    kitchen.chunk = chunk
    kitchen.told = [make_event("summary")]

    assert not kitchen.serve(shared=True)
    assert (kitchen.put_, kitchen.added, kitchen.flushes) == ({}, ["summary None"], [True])


@pytest.mark.parametrize(
    ("counted", "put", "summaries", "looks"),
    [(0, ["a", "b"], [], 1), (1, ["b"], [("summary", "budget")], 2)],
)
def test_what_other_processes_report_is_only_counted_and_its_summaries_are_put_with_it(
    counted, put, summaries, looks
):
    """They are looked for once more where something was counted; each is charged."""
    kitchen = Kitchen("a", "b", broke=("summary",))
    kitchen.folded, kitchen.told = counted, [make_event("summary")]

    assert kitchen.serve(shared=True)

    assert (kitchen.put_["events"], kitchen.put_["counted"]) == (put, counted)
    assert [(event.message, reason) for event, reason in kitchen.put_["summaries"]] == summaries
    assert len(kitchen.flushes) == looks
    assert kitchen.added == ["summary budget", "notice"]


def test_events_go_by_themselves_where_nothing_can_be_shared():
    """It is said; no event is lost for it."""
    kitchen = Kitchen("a", "b")
    kitchen.folded, kitchen.told = OSError("gone"), [OSError("gone")]

    assert kitchen.serve(shared=True)

    assert (kitchen.put_["events"], kitchen.put_["counted"]) == (["a", "b"], 0)
    assert kitchen.notes == [
        ("sharing", "summaries can't be shared with other processes: OSError: gone"),
        ("sharing", "problems can't be shared with other processes: OSError: gone"),
    ]
