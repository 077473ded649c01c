"""What the page reads out of an event: the same facts, whichever service one log call's event was sent to."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from eventlog_handlers import CloudWatchEventsHandler, CMSHandler, GuanceHandler
from eventlog_handlers.console.reading import Facts, facts_of, heading_of, problem_of
from eventlog_handlers.console.records import StoredEvent
from eventlog_handlers.console.server import LocalConsole

SENT = {
    "cms": lambda: CMSHandler(service="shop", env="test"),
    "cms-json": lambda: CMSHandler(service="shop", env="test", content_format="json"),
    "guance": lambda: GuanceHandler(service="shop", env="test"),
    "cloudwatch": lambda: CloudWatchEventsHandler(service="shop", env="test"),
}


@pytest.fixture(params=SENT)
def stored(
    request: pytest.FixtureRequest, eventlog_console: LocalConsole, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """A log call's event, as each service stored it."""
    handler = SENT[request.param]()
    logger = logging.getLogger("shop.orders")
    logger.addHandler(handler)
    logger.propagate = False

    def of(log: Any) -> StoredEvent:
        log(logger)
        assert handler.flush(10)
        (event,) = eventlog_console.events()
        return event

    yield of
    logger.removeHandler(handler)
    logger.propagate = True
    handler.close()


def fail(logger: logging.Logger) -> None:
    try:
        {}["samovar"]
    except KeyError:
        logger.exception("order %s asks for what we\nnever had", "A-1003", extra={"order_id": "A-1003"})


def test_an_exception_reads_the_same_everywhere(stored: Any) -> None:
    """Message, traceback, where it comes from, and what it is told apart by."""
    event = stored(fail)

    facts = facts_of(event.service, event.body)

    assert facts.message == "order A-1003 asks for what we\nnever had"
    assert (facts.exception, facts.logger, facts.level) == ("KeyError", "shop.orders", "ERROR")
    assert facts.traceback.startswith("Traceback (most recent call last):\n")
    assert facts.traceback.endswith("KeyError: 'samovar'")
    assert (facts.service, facts.env, facts.times) == ("shop", "test", 1)
    assert len(facts.uid) == 32
    assert "A-1003" in json.dumps(facts.fields)
    assert (event.uid, event.problem, event.exception) == (facts.uid, facts.fingerprint, "KeyError")
    assert event.heading == "order A-1003 asks for what we"


def test_a_plain_message_reads_the_same_everywhere(stored: Any) -> None:
    """Without a traceback; what looks like a field at its end included."""
    event = stored(lambda logger: logger.warning("late: %d s", 3, extra={"order_id": "A-1"}))

    facts = facts_of(event.service, event.body)

    assert (facts.message, facts.level, facts.traceback, facts.exception) == ("late: 3 s", "WARNING", "", "")
    assert "A-1" in json.dumps(facts.fields)


def test_folded_repeats_are_counted(eventlog_console: LocalConsole) -> None:
    """An event that stands for several says so, and so does its problem's row."""
    handler = GuanceHandler(aggregate_seconds=60)
    logger = logging.getLogger("shop.storm")
    logger.addHandler(handler)
    logger.propagate = False
    for _ in range(5):
        logger.error("the same")
    handler.flush(10)
    logger.removeHandler(handler)
    handler.close()

    assert sorted(event.times for event in eventlog_console.events()) in ([1, 4], [1, 5])
    assert len({event.problem for event in eventlog_console.events()}) == 1


@pytest.mark.parametrize(
    ("service", "body", "expected"),
    [
        ("cms", {"EventName": "disk", "Content": "ERROR full"}, Facts(level="ERROR", message="full")),
        ("cms", {"EventName": "disk", "Content": "out of space"}, Facts(message="out of space")),
        ("cms", {"EventName": "disk", "Content": "{no json"}, Facts(message="{no json")),
        ("cms", {}, Facts()),
        ("guance", {"title": "t", "message": "**bold**"}, Facts(message="**bold**")),
        ("guance", {"title": "t", "customTags": ["x"], "origin": "here"}, Facts(logger="here")),
        ("cloudwatch", {"Detail": '{"message": 7, "exception": [], "count": "x"}'}, Facts()),
        ("cloudwatch", {"Detail": '{"a": 1}'}, Facts(fields={"a": 1})),
        ("cloudwatch", {"Detail": None}, Facts()),
        ("cloudwatch", "no object", Facts()),
    ],
)
def test_events_of_other_senders_read_as_far_as_they_go(service: str, body: Any, expected: Facts) -> None:
    """And never fail."""
    assert facts_of(service, body) == expected


def test_events_without_a_fingerprint_are_grouped_by_title() -> None:
    """Logger, exception and title make the problem then."""
    plain = Facts(message="one")

    assert problem_of(plain, "disk") == problem_of(Facts(message="two"), "disk")
    assert problem_of(plain, "disk") != problem_of(plain, "net")
    assert problem_of(Facts(fingerprint="f"), "disk") == "f"
    assert heading_of(Facts(message="\n\n  first \nsecond"), "title") == "first"
    assert heading_of(Facts(), "title") == "title"


@pytest.mark.parametrize(
    "message",
    [
        "```\n" * 100_000,
        "".join(f"{'`' * (3 + n % 50)}\n" for n in range(20_000)),
        "`" * 200_000,
        "a: b\n" * 100_000,
    ],
)
def test_hostile_texts_are_read_in_linear_time(message: str) -> None:
    """Half a megabyte made to be slow: in quadratic time it would outlast the test's timeout."""
    tags = {"emitter": "eventlog_handlers"}

    of_guance = facts_of("guance", {"title": "t", "message": message, "customTags": tags})
    of_cms = facts_of("cms", {"EventName": "t", "Content": message})

    assert of_guance.uid == of_cms.uid == ""
