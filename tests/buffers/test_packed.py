"""Events in memory: what comes out is what went in, and what events have in common is there once."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_buffers import memory

from eventlog_handlers.buffers import packed
from eventlog_handlers.buffers.packed import Commons, Packed
from eventlog_handlers.events import Code, Event, ExceptionText
from eventlog_handlers.testing import ManualClock, make_event

_BARE = make_event("m")
_OTHERS: dict[str, Any] = {
    "id": "f" * 32,
    "time": 5.0,
    "level": 50,
    "level_name": "FATAL",
    "status": "critical",
    "logger": "shop",
    "message": "",
    "template": "%s",
    "fingerprint": "0" * 16,
    "exception": ExceptionText("E", "", "E", ("E",)),
    "stack": "Stack",
    "attributes": {"a": [1]},
    "code": Code("a.py", 1, "f", "a"),
    "thread_id": 0,
    "thread_name": "worker",
    "process_id": 0,
    "host": "",
    "service": "till",
    "env": "staging",
    "tags": {"a": "b"},
    "trace_id": "1" * 32,
    "span_id": "2" * 16,
    "event_name": "name",
    "group_id": "1",
    "resources": ("arn",),
    "detail_type": "type",
    "count": 2,
    "first_time": 1.0,
    "defects": ("late",),
}


def test_every_field_of_an_event_has_another_value_here() -> None:
    """Or the tests below say nothing of it."""
    assert list(_OTHERS) == list(Event._fields)
    assert [name for name, value in _OTHERS.items() if value == getattr(_BARE, name)] == []


@pytest.mark.parametrize("name", Event._fields)
def test_an_event_that_differs_in_one_field_keeps_it(name: str) -> None:
    """And so does the one before it: neither takes anything from the other."""
    commons = Commons()
    events = [_BARE, _BARE._replace(**{name: _OTHERS[name]}), _BARE]

    held = [Packed(key, 1, event, commons.of(event), 0.0) for key, event in enumerate(events)]

    assert [one.event() for one in held] == events
    assert all(type(one.event()) is Event for one in held)


@given(st.lists(st.sets(st.sampled_from(Event._fields)), max_size=9))
def test_events_come_out_of_memory_as_they_went_in(names: list[set[str]]) -> None:
    """Whichever fields of those before and after them differ."""
    buffer = memory(ManualClock())
    events = [_BARE._replace(**{name: _OTHERS[name] for name in some}) for some in names]

    buffer.put(events)

    leases = sorted(buffer.lease(99), key=lambda lease: lease.key)
    assert [lease.event for lease in leases] == events


def test_an_event_without_attributes_comes_out_with_a_dict_of_its_own() -> None:
    """A hook that writes into one event's changes no other."""
    buffer = memory(ManualClock())
    buffer.put([_BARE, _BARE])

    one, other = (lease.event.attributes for lease in buffer.lease(2))

    assert (one, other) == ({}, {})
    assert isinstance(one, dict)
    assert one is not other


def test_what_events_of_one_problem_have_in_common_is_kept_once() -> None:
    """Also where two threads report it by turns; another problem does not matter."""
    commons = Commons()
    mine, theirs = (_BARE._replace(thread_id=number, id=str(number)) for number in (1, 2))
    first = commons.of(mine)

    assert commons.of(theirs) is not first
    assert commons.of(_BARE._replace(fingerprint="another")) is not first
    assert commons.of(mine._replace(id="9", time=9.0, message="another", attributes={"a": 1})) is first
    changed = commons.of(mine._replace(env="another"))
    assert changed is not first
    assert commons.of(mine._replace(env="another")) is changed


def test_problems_without_end_are_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten, and the newest one is known."""
    monkeypatch.setattr(packed, "_MOST", 3)
    commons = Commons()
    first = commons.of(_BARE)
    for number in range(2):
        commons.of(_BARE._replace(fingerprint=str(number)))
    assert commons.of(_BARE) is first

    newest = commons.of(_BARE._replace(fingerprint="2"))

    assert commons.of(_BARE._replace(fingerprint="2")) is newest
    assert commons.of(_BARE) == first
    assert commons.of(_BARE) is not first


def test_events_of_one_problem_take_less_than_half_of_the_memory_of_as_many_problems() -> None:
    """Without their texts some 320 and 730 bytes."""

    def taken(events: list[Event]) -> int:
        buffer = memory(ManualClock(), capacity=len(events))
        before = tracemalloc.get_traced_memory()[0]
        buffer.put(events)
        return tracemalloc.get_traced_memory()[0] - before

    tracemalloc.start()
    try:
        alike = taken([_BARE._replace(id=str(number)) for number in range(2_000)])
        unlike = taken([_BARE._replace(id=str(number), first_time=number) for number in range(2_000)])
    finally:
        tracemalloc.stop()

    assert alike * 2 < unlike


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_lease_that_finds_no_memory_leases_nothing(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """All events wait as before: one that were leased to nobody would never be settled."""
    buffer = memory(ManualClock())
    buffer.put([make_event(str(number)) for number in range(3)])
    plain, calls = Packed.event, []

    def failing(self: Packed) -> Event:
        calls.append(self)
        if len(calls) == at + 1:
            raise MemoryError
        return plain(self)

    monkeypatch.setattr(Packed, "event", failing)
    with pytest.raises(MemoryError):
        buffer.lease(3)
    monkeypatch.setattr(Packed, "event", plain)

    assert (len(buffer), buffer.ready()) == (3, 3)
    leases = buffer.lease(3)
    assert [(lease.event.message, lease.attempts) for lease in leases] == [("0", 1), ("1", 1), ("2", 1)]
    buffer.ack(leases)
    assert (len(buffer), buffer.bytes()) == (0, 0)
