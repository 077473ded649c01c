"""An event as an entry of a queue, and back."""

from __future__ import annotations

import json

import pytest

from eventlog_handlers.events import ExceptionText
from eventlog_handlers.services.relay.entry import MAX_BODY_BYTES, entry_of, event_of
from eventlog_handlers.testing import make_event

BIG = ExceptionText("shop.Error", "m" * 300_000, "s" * 900_000, ("shop.Error",) * 500)


@pytest.mark.parametrize(
    "event",
    [
        make_event(),
        make_event("\ud800 half a pair, \0 and 中文", attributes={"a": [1, 2.5, None, {"b": "\udfff"}]}),
        make_event(
            "", template="", exception=ExceptionText("E", "", "", ("E", "F")), count=7, first_time=1.0
        ),
        make_event(resources=("a", "b"), tags={"team": "shop"}, env=None, defects=("odd",)),
    ],
)
def test_an_event_comes_back_as_it_was(event):
    """Ids and times above all."""
    entry = entry_of(event)

    assert event_of(entry.body) == event
    assert (entry.id, entry.count, entry.last) == (event.id, event.count, event.time)
    assert entry.first == (event.first_time or event.time)


@pytest.mark.parametrize(
    ("level", "stream"), [(60, 0), (50, 0), (40, 1), (35, 2), (30, 2), (20, 3), (10, 3), (0, 3)]
)
def test_the_severity_says_which_stream(level, stream):
    """Below a warning all share one."""
    assert entry_of(make_event(level=level)).severity == stream


def test_events_of_one_problem_have_it_in_common_whatever_process_made_them():
    """And others do not."""
    one = make_event("order 1 failed", process_id=1, host="a", thread_name="x")
    same = make_event("order 2 failed", process_id=2, host="b", thread_name="y")

    assert entry_of(one).problem == entry_of(same).problem
    assert entry_of(one).problem != entry_of(one._replace(fingerprint="f" * 16)).problem
    assert entry_of(one).problem != entry_of(one._replace(service="another")).problem


@pytest.mark.parametrize(
    "changes",
    [
        {"exception": BIG},
        {"message": "x" * 2_000_000, "template": "y" * 2_000_000, "stack": "z" * 2_000_000},
        {"attributes": {f"name{number}": "v" * 1_000 for number in range(1_000)}},
        {"message": '"\\\n' * 400_000},
    ],
    ids=["exception", "texts", "attributes", "quoted"],
)
def test_what_is_too_large_is_cut_and_says_so(changes):
    """It still is the event that it was."""
    event = make_event(**changes)
    entry = entry_of(event)
    back = event_of(entry.body)

    assert len(entry.body) <= MAX_BODY_BYTES
    assert back is not None
    assert (back.id, back.time, back.level) == (event.id, event.time, event.level)
    assert back.message[:6] == event.message[:6]
    assert any("shortened" in defect for defect in back.defects)


def test_what_a_hook_put_in_does_not_stop_an_event():
    """No form in JSON: its repr, or nothing of it."""
    odd = make_event(attributes={"set": {1}, "nan": float("nan")})
    circle: dict[str, object] = {}
    circle["self"] = circle

    assert event_of(entry_of(odd).body).attributes["set"] == "{1}"
    bare = event_of(entry_of(make_event(attributes=circle)).body)
    assert bare.attributes == {}
    assert "left out" in bare.defects[-1]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b"null", b"\xff\xfe", json.dumps({"id": 1}).encode()]
)
def test_what_is_no_event_is_none(body):
    """Nothing else is raised."""
    assert event_of(body) is None


@pytest.mark.parametrize(
    "changes",
    [{"level": "high"}, {"time": "now"}, {"count": 0}, {"attributes": [1]}, {"tags": {"a": 1}}, {"id": None}],
    ids=repr,
)
def test_an_event_with_a_field_that_can_t_be_sent_is_none(changes):
    """It would stop the relay that renders it."""
    fields = {**make_event().to_json(), **changes}

    assert event_of(json.dumps(fields).encode()) is None
