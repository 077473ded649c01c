"""What the stand-in remembers, and how it is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eventlog_handlers.console.exchange import Accepted, Answer, RateWindow, Refused, Request
from eventlog_handlers.console.json_text import strict_json
from eventlog_handlers.console.store import Store

REQUEST = Request("POST", "/", "", (("user-agent", "ours/1.0"),), b"12345")


def accepted(title: str) -> Accepted:
    body = {"title": title}
    return Accepted(title=title, status="ok", time=1.5, body=body, stored=body, flags=("odd",))


def add(
    store: Store, *events: str, refused: tuple[Refused, ...] = (), at: float = 100.0, wire: int = 1
) -> None:
    """One Guance call at *at* over connection *wire*."""
    answer = Answer(200, {}, b"", tuple(map(accepted, events)), refused)
    store.add("guance", REQUEST, answer, received=at, connection=wire, http_status=200)


def test_keeps_every_field() -> None:
    """Of the request, its events and its refusals."""
    store = Store()

    add(store, "one", refused=(Refused("Bad", "too bad", {"x": [1, None]}),))

    (event,) = store.events()
    (refusal,) = store.refused()
    (request,) = store.requests()
    assert event._asdict() == {
        "id": 1,
        "request": request.id,
        "service": "guance",
        "received": 100.0,
        "time": 1.5,
        "status": "ok",
        "title": "one",
        "body": {"title": "one"},
        "stored": {"title": "one"},
        "flags": ("odd",),
        "uid": "",
        "problem": event.problem,
        "heading": "one",
        "logger": "",
        "exception": "",
        "times": 1,
    }
    assert (refusal.request, refusal.code, refusal.message) == (request.id, "Bad", "too bad")
    assert refusal.body == {"x": [1, None]}
    assert (request.method, request.path, request.user_agent, request.size) == ("POST", "/", "ours/1.0", 5)
    assert (request.accepted, request.refused, request.code, request.http_status) == (1, 1, "Bad", 200)


def test_lists_by_service_order_and_limit() -> None:
    """Oldest first unless asked otherwise."""
    store = Store()
    for title in ("a", "b", "c"):
        add(store, title)

    assert [event.title for event in store.events()] == ["a", "b", "c"]
    assert [event.title for event in store.events(newest_first=True, limit=2)] == ["c", "b"]
    assert [request.id for request in store.requests("guance", newest_first=True, limit=1)] == [3]
    assert store.events("cms") == []
    assert store.refused("cms") == []


@pytest.mark.parametrize("text", ["100%", "a_b", "back\\slash", 'quo"te', "new\nline", "Größe", "\ud800"])
def test_finds_text_as_it_stands(text: str) -> None:
    """No character is a wildcard, none is lost to an escape."""
    store = Store()
    add(store, f"with {text} inside")
    add(store, "without")

    found = store.events(text=text)

    assert [event.body["title"] for event in found] == [f"with {text} inside"]


def test_counts() -> None:
    """Requests, events, bytes, connections, refusals by code, and the busiest minute."""
    store = Store()
    for at, wire in ((0.0, 1), (30.0, 1), (59.9, 2), (60.0, 2), (200.0, 3)):
        add(store, "x", "y", refused=(Refused("Bad", ""),), at=at, wire=wire)

    assert store.stats()["guance"] == {
        "requests": 5,
        "accepted": 10,
        "bytes": 25,
        "connections": 3,
        "most_per_minute": 3,
        "refused": {"Bad": 5},
    }
    assert store.stats()["cms"] == {
        "requests": 0,
        "accepted": 0,
        "bytes": 0,
        "connections": 0,
        "most_per_minute": 0,
        "refused": {},
    }


def test_a_file_outlives_its_store(tmp_path: Path) -> None:
    """And ids go on where they were."""
    path = str(tmp_path / "events.sqlite")
    first = Store(path)
    add(first, "one")
    first.close()

    second = Store(path)
    add(second, "two")

    assert [(event.id, event.title) for event in second.events()] == [(1, "one"), (2, "two")]


@pytest.mark.parametrize(
    ("options", "admitted"),
    [
        ({"limit": 2, "seconds": 10.0}, [True, True, False, False, True]),
        ({"limit": 2, "seconds": 10.0, "count_refused": True}, [True, True, False, False, False]),
        ({"limit": 2, "seconds": 10.0, "fixed": True}, [True, True, True, True, False]),
        ({"limit": None, "seconds": 10.0}, [True] * 5),
    ],
)
def test_a_window_admits_so_many(options: dict[str, Any], admitted: list[bool]) -> None:
    """Sliding from any moment, or fixed at multiples of its length."""
    window = RateWindow()

    assert [window.admit(now, **options) for now in (8.0, 9.0, 10.0, 17.9, 18.0)] == admitted


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "-Infinity", "1e999", "{", "", "[" * 100_000, b"\xff"])
@pytest.mark.usefixtures("no_collection")
def test_strict_json_refuses(text: str | bytes) -> None:
    """Whatever the standard doesn't have, always as a ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011 - the words are the standard library's
        strict_json(text)


def test_strict_json_reads_the_rest() -> None:
    """As the standard library does."""
    assert strict_json('{"a": [1, 2.5, null, "\\ud800"]}') == json.loads('{"a": [1, 2.5, null, "\\ud800"]}')
