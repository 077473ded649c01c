"""The short way from a capture to its event makes what the long way makes, and is taken where it can be."""

from __future__ import annotations

import itertools
import logging
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from captures import capture
from hypothesis import given
from hypothesis import strategies as st

from eventlog_handlers.events import Event
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.record import alike, renderer
from eventlog_handlers.record.renderer import Renderer
from eventlog_handlers.settings.values import PipelineSettings

_OPTIONS: dict[str, Any] = {"tags": {"team": "tills", "token": "hunter2"}, "level_map": {35: "ok"}}
SETTINGS = PipelineSettings(**_OPTIONS)
UNREDACTED = PipelineSettings(redact=None, **_OPTIONS)


def record(**fields: Any) -> logging.LogRecord:
    """A record of ``log.warning("order %s failed", "A-1")``, but for *fields*."""
    made = logging.LogRecord("shop", 30, "/app/shop.py", 7, "order %s failed", ("A-1",), None, "buy")
    made.__dict__.update(created=1_790_000_000.5, thread=5, threadName="worker-1", process=9)
    made.__dict__.update(fields)
    return made


def long_way(made: logging.LogRecord, settings: PipelineSettings = SETTINGS) -> Event:
    """As the first of its kind is rendered."""
    event = Renderer(settings, SelfLog("test"))(capture(made, id_bits=1))
    assert event is not None
    return event


class Counting:
    """A renderer that has rendered *first*, and how often it has taken the long way since."""

    def __init__(self, *first: logging.LogRecord, settings: PipelineSettings = SETTINGS) -> None:
        self.render = Renderer(settings, SelfLog("test"))
        self.long = 0
        for made in first:
            self(made)
        self.long = 0

    def __call__(self, made: logging.LogRecord) -> Event:
        plain = renderer.render

        def counted(*arguments: Any, **more: Any) -> Event:
            self.long += 1
            return plain(*arguments, **more)

        renderer.render = counted
        try:
            event = self.render(capture(made, id_bits=1))
        finally:
            renderer.render = plain
        assert event is not None
        return event


_TEXTS = st.sampled_from(["", "A-2", "password=hunter2", "\x1b[31mred\x1b[0m", "\udc80", "x" * 300, "ü\x00"])
_ARGUMENTS = st.one_of(_TEXTS, st.integers(), st.floats(), st.booleans(), st.none(), st.just([1]))
_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "msg": st.sampled_from(
            [
                "order %s failed",
                "%s",
                "%d",
                "token=%s",
                "%s %s",
                "100 %",
                '{"a": %s}',
                "\x1b[1m%s",
                "%r" * 200,
            ]
        ),
        "args": st.one_of(
            st.tuples(_ARGUMENTS),
            st.tuples(_ARGUMENTS, _ARGUMENTS),
            st.just(()),
            st.just({"a": 1}),
            st.none(),
        ),
        "levelno": st.sampled_from([10, 20, 30, 35, 40, 50, 10**30, -1, True]),
        "levelname": st.sampled_from(["WARNING", "", None, "\x1b[33mWARN"]),
        "name": st.sampled_from(["shop", "", None, "till", "key=hunter2", 5]),
        "pathname": st.sampled_from(["/app/shop.py", None, ""]),
        "module": st.sampled_from(["shop", None]),
        "lineno": st.sampled_from([7, 8, 7.0, True, None, 10**30]),
        "funcName": st.sampled_from(["buy", None, "sell"]),
        "created": st.sampled_from([1_790_000_000.5, 1_790_000_001.0, -1.0, 1e300, float("nan"), 5, None]),
        "thread": st.sampled_from([5, 6, 5.0, None]),
        "threadName": st.sampled_from(["worker-1", "worker-2", None]),
        "process": st.sampled_from([9, 10, None]),
        "stack_info": st.sampled_from([None, "Stack (most recent call last):"]),
        "exc_text": st.sampled_from([None, "Traceback (most recent call last):\nValueError"]),
        "order": st.sampled_from([1, "A-1", None]),
        "event_status": st.sampled_from(["ok", "odd"]),
        "fingerprint": st.sampled_from(["chosen"]),
        "event_name": st.sampled_from(["order"]),
    },
)


@contextmanager
def tracing(is_used: bool) -> Iterator[None]:
    """With or without OpenTelemetry: with it a log call takes another way, and each has a span of its own."""
    numbers = itertools.count(1)
    span = SimpleNamespace(get_span_context=lambda: SimpleNamespace(trace_id=next(numbers), span_id=5))
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "opentelemetry.trace", raising=False)
        if is_used:
            patch.setitem(sys.modules, "opentelemetry.trace", SimpleNamespace(get_current_span=lambda: span))
        yield


@given(st.lists(_FIELDS, min_size=1, max_size=6), st.booleans(), st.booleans())
def test_both_ways_make_the_same_event(
    many: list[dict[str, Any]], is_redacted: bool, is_traced: bool
) -> None:
    """For any records before it, each alone or among records like it."""
    settings = SETTINGS if is_redacted else UNREDACTED
    render = Counting(record(), settings=settings)

    for fields in [*many, *many]:
        with tracing(is_traced):
            event = render(record(**fields))
        with tracing(is_traced):
            assert event == long_way(record(**fields), settings)


@pytest.mark.parametrize("is_traced", [False, True])
@pytest.mark.parametrize(
    ("fields", "is_alike"),
    [
        ({}, True),
        ({"args": ("password=hunter2",)}, True),
        ({"args": (5,), "created": 1.0}, True),
        ({"created": 0.0}, True),
        ({"created": 1}, False),
        ({"created": -1.0}, False),
        ({"created": 253_402_300_799.0}, True),
        ({"created": 253_402_300_800.0}, False),
        ({"args": ()}, False),  # perhaps a finished text, another each time
        ({"args": (1, 2)}, False),  # a fault to be told
        ({"msg": "order %s failed."}, False),
        ({"levelno": 31}, False),
        ({"name": "till"}, False),
        ({"lineno": 8}, False),
        ({"lineno": 7.0}, False),  # as good as none
        ({"thread": 6}, False),
        ({"threadName": "worker-2"}, False),
        ({"process": 10}, False),
        ({"order": 5}, False),
        ({"stack_info": "Stack"}, False),
        ({"exc_text": "Traceback (most recent call last):\nValueError"}, False),
    ],
)
def test_what_is_rendered_the_short_way(fields: dict[str, Any], is_alike: bool, is_traced: bool) -> None:
    """What differs in time, arguments and span alone."""
    with tracing(is_traced):
        render = Counting(record())

        event = render(record(**fields))

    assert (render.long == 0) == is_alike
    assert event.trace_id == ("2".rjust(32, "0") if is_traced else None)
    with tracing(is_traced):
        capture(record())
        assert event == long_way(record(**fields))


def test_a_template_of_its_own_is_kept() -> None:
    """A dialect may name another one than the record's message."""
    render = Renderer(SETTINGS, SelfLog("test"))
    render(capture(record()))

    event = render(capture(record())._replace(template="another"))

    assert event is not None
    assert event.template == "another"


def test_an_event_with_a_fault_is_no_example() -> None:
    """The next one may be without."""
    render = Counting(record(args=(1, 2)))
    assert render(record(args=(1,))).defects == ()
    assert render.long == 1


@pytest.mark.parametrize("when", ["before the import", "later"])
def test_a_patched_get_message_is_asked(when: str) -> None:
    """Some packages let log calls use braces."""
    patch = "logging.LogRecord.getMessage = lambda self: self.msg.format(*self.args)"
    script = f"""
        import logging
        {patch if when == "before the import" else ""}
        from eventlog_handlers.record.message import late_message
        {patch}
        print(late_message("order {{}} failed", ("A-1",), []))
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout == "order A-1 failed\n"


def test_each_event_has_attributes_and_tags_of_its_own() -> None:
    """A hook may write into them."""
    render = Counting(record())
    one, other = render(record()), render(record())

    assert render.long == 0
    assert one == other
    assert one.tags == {"team": "tills", "token": "[redacted]"}
    assert one.attributes is not other.attributes
    assert one.tags is not other.tags
    one.tags["team"] = "x"  # type: ignore[index]
    assert render(record()) == other


@pytest.mark.parametrize(("length", "is_alike"), [(600, True), (601, False)])
def test_a_long_template_is_not_remembered(length: int, is_alike: bool) -> None:
    """It would stay in memory."""
    template = "%s".ljust(length, "x")
    render = Counting(record(msg=template))

    render(record(msg=template))

    assert (render.long == 0) == is_alike


def test_kinds_without_end_are_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """All are forgotten when there are too many, and the newest is known."""
    monkeypatch.setattr(alike, "_MOST", 3)
    render = Counting(*(record(lineno=number) for number in range(3)))
    render(record(lineno=0))
    assert render.long == 0

    for number in (3, 3, 0):
        render(record(lineno=number))

    assert render.long == 2
