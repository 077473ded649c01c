"""structlog and loguru in their usual set-ups: one title, its fields, the traceback once, no colour."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from loguru import logger as loguru_logger
from shop import Shop, open_shop

from eventlog_handlers.events import Event
from eventlog_handlers.record.finished_text import without_ansi


@pytest.fixture
def shop() -> Iterator[Shop]:
    with open_shop() as opened:
        yield opened


@pytest.fixture
def structured() -> Iterator[Callable[..., Any]]:
    """A function that configures structlog as its documentation does for the standard library."""

    def configured(shop: Shop, *processors: Any) -> Any:
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.add_log_level,
                structlog.stdlib.PositionalArgumentsFormatter(),
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.processors.StackInfoRenderer(),
                *processors,
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
            logger_factory=lambda *names: shop.log,
        )
        return structlog.get_logger()

    yield configured
    structlog.reset_defaults()


def fails(report: Callable[[], Any]) -> None:
    try:
        raise ValueError("card 4000 declined")
    except ValueError:
        report()


def assert_told_once(event: Event) -> None:
    """Title, exception and traceback each stand in their place, and nowhere else."""
    assert event.message == "no stock"
    assert event.exception is not None
    assert event.exception.type.endswith("ValueError")
    assert "in fails" in event.exception.stacktrace
    assert "card 4000 declined" in event.exception.stacktrace
    assert "Traceback" not in event.message + event.template + json.dumps(dict(event.attributes))


# ---- structlog


def test_json_renderer_gives_title_fields_and_traceback(shop: Shop, structured: Callable[..., Any]) -> None:
    """With ``format_exc_info`` before it, as in structlog's documentation."""
    log = structured(shop, structlog.processors.format_exc_info, structlog.processors.JSONRenderer())

    fails(lambda: log.exception("no stock", order="A-1", amount=2.5, tags=["a", "b"]))
    event = shop.event()

    assert_told_once(event)
    assert event.template == "no stock"
    assert {**event.attributes, "timestamp": ""} == {
        "order": "A-1", "amount": 2.5, "tags": ["a", "b"], "timestamp": ""
    }  # fmt: skip


def test_json_renderer_with_dict_tracebacks(shop: Shop, structured: Callable[..., Any]) -> None:
    """The traceback as JSON becomes one in print."""
    log = structured(shop, structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer())

    fails(lambda: log.exception("no stock"))

    assert_told_once(shop.event())


def test_json_renderer_without_a_formatted_traceback(shop: Shop, structured: Callable[..., Any]) -> None:
    """``exc_info: true`` is no attribute."""
    log = structured(shop, structlog.processors.JSONRenderer())

    fails(lambda: log.exception("no stock", order="A-1"))

    assert set(shop.event().attributes) == {"order", "timestamp"}


def test_a_stack_of_structlog_is_the_stack(shop: Shop, structured: Callable[..., Any]) -> None:
    """``stack_info=True``."""
    log = structured(shop, structlog.processors.JSONRenderer())

    log.error("no stock", stack_info=True)
    event = shop.event()

    assert event.stack.startswith("Stack (most recent call last)")
    assert "stack" not in event.attributes


@pytest.mark.parametrize("colors", [True, False])
def test_console_renderer_leaves_no_colour_and_one_traceback(
    shop: Shop, structured: Callable[..., Any], colors: bool
) -> None:
    """structlog's own default."""
    renderer = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
    log = structured(shop, renderer)

    fails(lambda: log.exception("no stock", order="A-1"))
    event = shop.event()

    assert "\x1b" not in event.message + event.template
    assert "no stock" in event.message
    assert "order=A-1" in event.message
    assert "Traceback" not in event.message
    assert event.exception is not None
    assert event.exception.type == "ValueError"
    assert "in fails" in event.exception.stacktrace


@pytest.mark.parametrize("renderer", [structlog.processors.JSONRenderer(), structlog.dev.ConsoleRenderer()])
def test_processor_formatter_on_the_handler(
    shop: Shop, structured: Callable[..., Any], renderer: Any
) -> None:
    """The formatter prints the title; fields and exception come from the record itself."""
    shop.handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer))
    log = structured(shop, structlog.stdlib.ProcessorFormatter.wrap_for_formatter)

    fails(lambda: log.exception("no stock", order="A-1"))
    event = shop.event()

    assert "\x1b" not in event.message
    assert "no stock" in event.message
    assert "Traceback" not in event.message
    assert event.attributes["order"] == "A-1"
    assert event.exception is not None
    assert "in fails" in event.exception.stacktrace


def test_repeats_of_one_problem_fold_whatever_their_fields(structured: Callable[..., Any]) -> None:
    """Time and values differ in every JSON text; the problem is its title's."""
    with open_shop(aggregate_seconds=60.0) as shop:
        log = structured(shop, structlog.processors.JSONRenderer())

        for order in ("A", "B", "C"):
            log.error("no stock", order=order)

        events = shop.events()
    assert sorted(event.count for event in events) == [1, 2]
    assert len({event.fingerprint for event in events}) == 1


# ---- loguru


@pytest.fixture
def loguru() -> Iterator[Any]:
    loguru_logger.remove()
    yield loguru_logger
    loguru_logger.remove()


@pytest.mark.parametrize("serialize", [False, True])
def test_a_handler_as_loguru_sink_in_its_default_format(shop: Shop, loguru: Any, serialize: bool) -> None:
    """loguru's prefix says what the event says in fields of its own."""
    loguru.add(shop.handler, serialize=serialize)

    fails(lambda: loguru.bind(order="A-1").exception("no stock"))
    event = shop.event()

    assert_told_once(event)
    assert event.attributes == {"order": "A-1"}
    assert event.code.function == "<lambda>"


def test_loguru_propagated_to_logging(shop: Shop, loguru: Any) -> None:
    """The PropagateHandler of loguru's documentation."""

    class PropagateHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shop.log.handle(record)

    loguru.add(PropagateHandler(), format="{message}")

    fails(lambda: loguru.bind(order="A-1").exception("no stock"))
    event = shop.event()

    assert_told_once(event)
    assert event.attributes == {"order": "A-1"}


def test_logging_intercepted_by_loguru(shop: Shop, loguru: Any) -> None:
    """The InterceptHandler of loguru's documentation, and our handler as a sink behind it."""

    class InterceptHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            loguru.opt(depth=6, exception=record.exc_info).log(record.levelname, record.getMessage())

    loguru.add(shop.handler)
    source = logging.Logger("shop.intercepted", 1)
    source.addHandler(InterceptHandler())

    fails(lambda: source.exception("no %s", "stock"))

    assert_told_once(shop.event())


# ---- others


def test_a_printed_traceback_is_the_exception(shop: Shop) -> None:
    """``log.error("…\\n%s", traceback.format_exc())`` says it once, and the title stays a title."""
    fails(lambda: shop.log.error(f"no stock\n{traceback.format_exc()}"))

    assert_told_once(shop.event())


def test_a_printed_traceback_alone_is_titled_by_its_last_line(shop: Shop) -> None:
    """``log.error(traceback.format_exc())``."""
    fails(lambda: shop.log.error(traceback.format_exc()))
    event = shop.event()

    assert event.message == "ValueError: card 4000 declined"
    assert event.exception is not None
    assert event.exception.type == "ValueError"


def test_a_live_exception_goes_before_a_printed_one(shop: Shop) -> None:
    """Of both the record's own has all frames and causes."""
    fails(lambda: shop.log.exception(f"no stock\n{traceback.format_exc()}"))

    assert_told_once(shop.event())


def test_json_without_a_title_keeps_its_text_and_groups_by_its_names(shop: Shop) -> None:
    """Values differ from call to call."""
    shop.log.error('{"code": 5, "order": "A-1"}')
    shop.log.error('{"code": 6, "order": "B-2"}')
    first, second = shop.events()

    assert first.message == '{"code": 5, "order": "A-1"}'
    assert first.attributes == {"code": 5, "order": "A-1"}
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize(
    "text",
    ["{", "{}", "{not json}", '{"event": "x"} trailing', "[1, 2]", "{" * 10_000, '{"a":' * 5_000 + "}"],
)
@pytest.mark.usefixtures("no_collection")
def test_what_is_no_json_object_stays_as_it_is(shop: Shop, text: str) -> None:
    """Only a text that is one object through and through is taken apart."""
    shop.log.error(text)
    event = shop.event()

    assert event.message == text
    assert event.attributes == {}


def test_extras_of_the_call_go_before_those_in_the_text(shop: Shop) -> None:
    """The program said them last."""
    shop.log.error('{"event": "no stock", "order": "text"}', extra={"order": "call"})

    assert shop.event().attributes == {"order": "call"}


def test_a_large_finished_text_is_taken_apart_too(shop: Shop) -> None:
    """Past the length up to which messages are formatted late."""
    for size in (5_000, 40_000):
        shop.log.error(json.dumps({"event": "no stock", "body": "x" * size}))
        event = shop.event()

        assert event.message == "no stock"
        assert str(event.attributes["body"]).startswith("xxx")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[1;38;5;12mblue\x1b[39;22m \x1b[Kx", "blue x"),
        ("\x1b]8;;https://host/\x07link\x1b]8;;\x07", "link"),
        ("no end \x1b[31", "no end \x1b[31"),
    ],
)
def test_colours_are_taken_out(text: str, plain: str) -> None:
    """Complete sequences only: what is left of a broken one is shown as an escape."""
    assert without_ansi(text) == plain


def test_colours_in_arguments_are_taken_out(shop: Shop) -> None:
    """And in the template, so both belong to one problem."""
    shop.log.error("\x1b[31mno\x1b[0m %s", "\x1b[1mstock\x1b[0m")
    event = shop.event()

    assert (event.message, event.template) == ("no stock", "no %s")
