"""The contract every sink keeps, run over each of them against the stand-in."""

from __future__ import annotations

import threading

import pytest

from eventlog_handlers.errors import SinkError
from eventlog_handlers.events import Disposition, ExceptionText
from eventlog_handlers.process import clock
from eventlog_handlers.services.cloudwatch import options as cloudwatch_options
from eventlog_handlers.services.cloudwatch.sink import CloudWatchEventsSink
from eventlog_handlers.services.cms import options as cms_options
from eventlog_handlers.services.cms.sink import CMSSink
from eventlog_handlers.services.guance import options as guance_options
from eventlog_handlers.services.guance.sink import GuanceSink
from eventlog_handlers.testing import make_event

NASTY = "nul \0 surrogate \ud800 bidi \u202e emoji 🚀 crlf \r\n end"


def cms(url):
    own, _ = cms_options.settings({}, {"EVENTLOG_CONSOLE": url})
    nonces = iter(range(10**9))
    return CMSSink(
        own, clock=clock.monotonic, wall_clock=lambda: 1.0, nonce=lambda: f"n{next(nonces)}", warn=print
    )


def guance(url):
    own, _ = guance_options.settings({}, {"EVENTLOG_CONSOLE": url})
    return GuanceSink(own, clock=clock.monotonic)


def cloudwatch(url):
    own, _ = cloudwatch_options.settings({}, {"EVENTLOG_CONSOLE": url})
    return CloudWatchEventsSink(own, clock=clock.monotonic)


@pytest.fixture(params=[cms, guance, cloudwatch], ids=lambda make: make.__name__)
def make_sink(request):
    return request.param


@pytest.fixture
def sink(make_sink, eventlog_console):
    made = make_sink(eventlog_console.url)
    yield made
    made.close()


def test_it_gives_one_outcome_per_event_in_order(sink, eventlog_console):
    """A full request of delivered events."""
    payloads = [sink.encode(make_event(f"event {number}")) for number in range(sink.limits.max_events)]

    outcomes = sink.send(payloads, timeout=10)

    assert [outcome.disposition for outcome in outcomes] == [Disposition.DELIVERED] * len(payloads)
    assert len(eventlog_console.events()) == sink.limits.max_events


@pytest.mark.parametrize(
    "event",
    [
        make_event(NASTY, logger=NASTY, attributes={NASTY: NASTY}, service=NASTY, tags={NASTY: NASTY}),
        make_event("", logger="", template="", host="", service="", env=None),
        make_event("x" * 2_000_000),
        make_event("名" * 700_000),
        make_event(exception=ExceptionText("E", "m" * 10_000, "frame\n" * 200_000, ("E",) * 20)),
        make_event(attributes={f"key {number}": "v" * 100 for number in range(5_000)}),
        make_event(attributes={"deep": {"a": [{"b": [[1, None, True, 2.5]]}]}, "big": 2**62}),
        make_event(time=0.0),
        make_event(time=253_402_300_799.0),
        make_event(count=500, first_time=1_789_999_000.5),
    ],
    ids=[
        "nasty",
        "empty",
        "huge",
        "huge cjk",
        "huge traceback",
        "many extras",
        "nested",
        "1970",
        "9999",
        "count",
    ],
)
def test_whatever_an_event_holds_the_strict_stand_in_accepts_it(sink, eventlog_console, event):
    """Encoding cleans and cuts; the size it states keeps within the limit."""
    payload = sink.encode(event)

    assert payload.size <= sink.limits.request_bytes
    (outcome,) = sink.send([payload], timeout=10)

    assert eventlog_console.refused() == []
    assert outcome.disposition is Disposition.DELIVERED


def test_it_shortens_an_event_when_asked(sink):
    """Half the size, after a 413."""
    event = make_event("x" * 20_000, exception=ExceptionText("E", "m", "frame\n" * 4_000, ("E",)))
    whole = sink.encode(event)

    half = sink.encode(event, whole.size // 2)

    assert half.size <= whole.size // 2


def test_it_raises_only_sink_errors(make_sink):
    """Nobody listens on that port."""
    sink = make_sink("http://127.0.0.1:9")

    with pytest.raises(SinkError):
        sink.send([sink.encode(make_event())], timeout=2)
    sink.close()


def test_it_can_be_closed_and_used_again(sink, eventlog_console):
    """close drops connections, twice if need be."""
    sink.send([sink.encode(make_event())], timeout=10)
    sink.close()
    sink.close()

    sink.send([sink.encode(make_event())], timeout=10)

    assert len(eventlog_console.events()) == 2


def test_several_threads_may_send_at_once(sink, eventlog_console):
    """As the worker's senders do."""
    failures = []

    def send():
        try:
            for _ in range(10):
                sink.send([sink.encode(make_event())], timeout=20)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len(eventlog_console.events()) == 40
