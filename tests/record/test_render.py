"""A log call becomes an event: every field of a good one, something readable of a broken one."""

from __future__ import annotations

import copy
import enum
import gc
import json
import logging
import re
import sys
import threading
import traceback
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from captures import capture, taken
from hypothesis import given
from hypothesis import strategies as st

from eventlog_handlers.events import Event
from eventlog_handlers.record import dialects, message
from eventlog_handlers.record import render as render_module
from eventlog_handlers.record.capture import degraded
from eventlog_handlers.record.captured import Capture, whole
from eventlog_handlers.record.render import render
from eventlog_handlers.record.sender import Identity, identity

WHO = Identity(service="shop", env="test", host="web-1", tags={"team": "pay"})
ID = 0x0123456789ABCDEF0123456789ABCDEF


class Catcher(logging.Handler):
    """Captures in emit, as the handlers do; renders on demand, as the worker does."""

    def __init__(self) -> None:
        super().__init__()
        self.captured: list[Capture] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.captured.append(capture(record, id_bits=ID, formatter=self.formatter))

    @property
    def event(self) -> Event:
        (captured,) = self.captured
        return render(captured, WHO)


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    handler = Catcher()
    logger = logging.getLogger("shop.cart")
    logger.addHandler(handler)
    logger.setLevel(1)
    yield handler
    logger.removeHandler(handler)


@pytest.fixture
def log(catcher: Catcher) -> logging.Logger:
    """One of its own: pytest's own handler, which keeps records, listens at the root."""
    logger = logging.Logger("shop.cart", 1)
    logger.addHandler(catcher)
    return logger


def record_of(msg: Any = "message", args: Any = (), **fields: Any) -> logging.LogRecord:
    record = logging.LogRecord("shop.cart", 40, "/srv/shop/cart.py", 7, msg, args, None, "pay")
    record.__dict__.update(fields)
    return record


def event_of(record: logging.LogRecord, **options: Any) -> Event:
    return render(capture(record, id_bits=ID), WHO, **options)


def changed(name: str, value: object) -> logging.LogRecord:
    record = record_of()
    record.__dict__[name] = value
    return record


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Odd:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class LoudStr(str):
    """A str whose own methods all raise."""

    def __str__(self) -> str:
        raise RuntimeError

    __mod__ = __len__ = __format__ = __getitem__ = encode = __str__  # type: ignore[assignment]


# ---- a good record


def test_every_field_of_a_plain_record(catcher: Catcher, log: logging.Logger) -> None:
    """Where each field of an event comes from."""
    log.warning("paid %s in %d", "17 EUR", 3)

    event = catcher.event
    assert event.id == "0123456789ab4def8123456789abcdef"
    assert (event.level, event.level_name, event.status) == (30, "WARNING", "warning")
    assert (event.logger, event.message, event.template) == ("shop.cart", "paid 17 EUR in 3", "paid %s in %d")
    assert event.exception is None
    assert event.stack == ""
    assert event.attributes == {}
    assert event.code.file == __file__
    assert event.code.function == "test_every_field_of_a_plain_record"
    assert event.code.module == "test_render"
    assert event.code.line > 0
    assert event.thread_id == threading.get_ident()
    assert event.thread_name == "MainThread"
    assert (event.service, event.env, event.host, event.tags) == ("shop", "test", "web-1", {"team": "pay"})
    assert (event.trace_id, event.span_id) == (None, None)
    assert event.count == 1
    assert event.defects == ()
    assert re.fullmatch("[0-9a-f]{16}", event.fingerprint)


def test_an_event_survives_json(catcher: Catcher, log: logging.Logger) -> None:
    """What render makes can be written down and read back."""
    try:
        raise KeyError("sku")
    except KeyError:
        log.exception("bad", extra={"a": {"b": [1, None, float("nan")]}, "resources": ["r"]})

    event = catcher.event
    assert Event.from_json(json.loads(json.dumps(event.to_json(), allow_nan=False))) == event


def test_the_exception_is_printed_as_the_standard_library_prints_it(
    catcher: Catcher, log: logging.Logger
) -> None:
    """The traceback is that of logging's own formatter."""
    try:
        try:
            {}["sku"]
        except KeyError as error:
            raise ValueError("no such thing") from error
    except ValueError as error:
        expected = "".join(traceback.format_exception(error)).removesuffix("\n")
        log.exception("checkout failed")

    exception = catcher.event.exception
    assert exception is not None
    assert exception.stacktrace == expected
    assert (exception.type, exception.message) == ("ValueError", "no such thing")
    assert exception.chain == ("ValueError", "KeyError")


def test_stack_info_is_kept(catcher: Catcher, log: logging.Logger) -> None:
    """stack_info=True travels beside the message."""
    log.info("where", stack_info=True)

    event = catcher.event
    assert event.stack.startswith("Stack (most recent call last):")
    assert event.message == "where"


def test_the_record_is_neither_kept_nor_changed(catcher: Catcher, log: logging.Logger) -> None:
    """Other handlers see the record as it was, and it dies when they are done."""
    seen: list[weakref.ref[logging.LogRecord]] = []
    before_and_after: list[dict[str, Any]] = []

    class Watcher(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            seen.append(weakref.ref(record))
            before_and_after.append(dict(record.__dict__))
            capture(record, id_bits=ID, formatter=logging.Formatter("%(message)s %(asctime)s"))
            capture(record, id_bits=ID)
            before_and_after.append(dict(record.__dict__))
            return True

    watcher = Watcher()
    log.addFilter(watcher)
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        log.exception("bad %s", [1], extra={"a": [1]})
    finally:
        log.removeFilter(watcher)

    assert before_and_after[0] == before_and_after[1]
    before_and_after.clear()
    assert seen[0]() is None
    assert catcher.event.message == "bad [1]"


def test_nothing_of_the_call_is_kept_alive(catcher: Catcher, log: logging.Logger) -> None:
    """Arguments, extras, the exception and its frames' locals die without the garbage collector's help."""

    class ThingError(Exception):
        pass

    dead: list[weakref.ref[ThingError]] = []

    def fail() -> None:
        local = ThingError("local")
        dead.append(weakref.ref(local))
        raise ThingError("raised")  # not the local itself: that would be a circle of Python's own making

    gc.disable()
    try:
        try:
            fail()
        except ThingError:
            argument, extra = ThingError("argument"), ThingError("extra")
            dead += [weakref.ref(argument), weakref.ref(extra)]
            log.exception("bad %s", argument, extra={"thing": extra, "things": [extra]})
            del argument, extra

        assert [reference() for reference in dead] == [None, None, None]
    finally:
        gc.enable()
    assert catcher.event.message == "bad argument"
    assert catcher.event.attributes == {"thing": "ThingError: extra", "things": ["ThingError: extra"]}


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=10,
)


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_what_changes_after_the_call_changes_nothing(values: list[Any]) -> None:
    """The event says what was true when the application logged."""
    names = [f"extra{index}" for index, _ in enumerate(values)]
    record = record_of("%s " * len(values), tuple(values), **dict(zip(names, values, strict=True)))
    frozen = copy.deepcopy(record.__dict__)
    captured = capture(record, id_bits=ID)

    for value in values:
        if isinstance(value, (list, dict)):
            value.clear()

    assert render(captured, WHO) == event_of(logging.makeLogRecord(frozen))


@given(st.text(max_size=20), st.lists(VALUES, max_size=4))
def test_any_message_and_arguments_make_an_event(msg: str, args: list[Any]) -> None:
    """Format errors degrade; correct calls read as logging would print them."""
    record = record_of(msg, tuple(args))

    event = event_of(record)

    if not any(isinstance(value, bytes) for value in args):
        try:
            expected = record.getMessage()
        except Exception:
            assert event.defects
            assert event.message.startswith(msg.encode("utf-8", "replace").decode() or " ")
        else:
            assert event.defects == ()
            assert len(event.message) == len(expected)


# ---- messages


def refusal(template: str, *args: object) -> str:
    """How this Python words that it can't put *args* in; CPython 3.15 says it otherwise than those before."""
    with pytest.raises((TypeError, ValueError)) as raised:
        template % args
    return str(raised.value)


@pytest.mark.parametrize(
    ("msg", "args", "message", "defect"),
    [
        ("%d", ("x",), "%d [args: 'x']", f"message: TypeError: {refusal('%d', 'x')}"),
        ("%s %s", (1,), "%s %s [args: 1]", "message: TypeError: not enough arguments"),
        ("none", (1, 2), "none [args: 1, 2]", "message: TypeError: not all arguments"),
        ("100%", (1,), "100% [args: 1]", f"message: ValueError: {refusal('100%', 1)}"),
        ("%(a)s", ({"b": 1},), "%(a)s [args: {'b': 1}]", "message: KeyError: 'a'"),
        ("%s", (Odd(),), "%s [args: <unprintable Odd: RuntimeError>]", "message: RuntimeError: no text"),
        ("%d", (Odd(),), "%d [args: <unprintable Odd: RuntimeError>]", "message: TypeError"),
        ("%s %d", ([1], "x"), "%s %d [args: [1], 'x']", "message: TypeError"),
        (Odd(), (), "<unprintable Odd: RuntimeError>", "msg: __str__ of Odd raised RuntimeError"),
        (b"%d", ("x",), "%d [args: 'x']", "message: TypeError"),
    ],
)
def test_a_message_that_cannot_be_formatted_loses_nothing(
    msg: Any, args: Any, message: str, defect: str
) -> None:
    """Template and arguments stand side by side, and the reason is a defect."""
    record = logging.LogRecord("shop", 40, "/x.py", 1, msg, args, None)

    event = event_of(record)

    assert event.message == message
    assert any(each.startswith(defect) for each in event.defects), event.defects


@pytest.mark.parametrize(
    ("msg", "args", "message"),
    [
        ("plain", (), "plain"),
        ("100%", (), "100%"),
        ("plain %s", None, "plain %s"),
        ("%s", ("a",), "a"),
        ("%5.2f|%r|%s|%s", (1.5, "a", None, True), " 1.50|'a'|None|True"),
        ("%(a)s", ({"a": [1]},), "[1]"),
        ("%s", ({},), "{}"),
        ("%s", ([1, 2],), "[1, 2]"),
        ("%s %s", (b"caf\xc3\xa9", bytearray(b"\xff")), "café \\xff"),
        (b"bytes \xff %d", (3,), "bytes \\xff 3"),
        (ValueError("as message"), (), "as message"),
        (12, (), "12"),
        (None, (), "None"),
        pytest.param(LoudStr("loud"), (), "loud", id="loud message"),
        ("%s", (LoudStr("arg"),), "%s [args: 'arg']"),
        ("lone \ud800", (), "lone \ufffd"),
        ("", (), ""),
    ],
)
def test_messages_read_as_logging_prints_them(msg: Any, args: Any, message: str) -> None:
    """Whatever logging accepts as message and arguments."""
    event = event_of(logging.LogRecord("shop", 20, "/x.py", 1, msg, args, None))

    assert event.message == message
    assert type(event.message) is str
    assert type(event.template) is str


def test_a_huge_message_is_cut_when_captured() -> None:
    """A hundred megabytes do not wait in a queue."""
    huge = "x" * 50_000_000
    captured = [
        capture(record_of(huge), id_bits=ID),
        capture(record_of("%s", (huge,)), id_bits=ID),
        capture(record_of(huge.encode()), id_bits=ID),
        capture(record_of("a", stack_info=huge, big=huge), id_bits=ID),
    ]

    for each in captured:
        assert sum(len(str(part)) for part in each) < 3 * message.MAX_MESSAGE
    assert "[cut: 50000000 characters in all]" in render(captured[1], WHO).message


def test_a_patched_getmessage_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Applications that put braces into logging by patching LogRecord get their braces."""
    monkeypatch.setattr(
        logging.LogRecord, "getMessage", lambda self: self.msg.format(*self.args) if self.args else self.msg
    )

    assert event_of(record_of("{} and {}", (1, 2))).message == "1 and 2"


def test_a_record_class_of_the_application_is_respected() -> None:
    """setLogRecordFactory may bring other fields and another getMessage."""

    class Braces(logging.LogRecord):
        def getMessage(self) -> str:  # noqa: N802
            return str(self.msg).format(*self.args or ())

    record = Braces("shop", 40, "/x.py", 1, "{} braces", (2,), None)
    record.tenant = "acme"  # type: ignore[attr-defined]

    event = event_of(record)

    assert event.message == "2 braces"
    assert event.attributes == {"tenant": "acme"}


# ---- the user's formatter


def test_the_formatter_makes_the_message(catcher: Catcher, log: logging.Logger) -> None:
    """A formatter's text is the message; its traceback would be there twice."""
    catcher.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        log.exception("bad %d", 3, stack_info=True)

    event = catcher.event
    assert event.message == "ERROR: bad 3"
    assert event.template == "bad %d"
    assert event.exception is not None
    assert event.stack


@pytest.mark.parametrize("fmt", ["%(nothing)s", "%(levelno)z"])
def test_a_failing_formatter_is_done_without(catcher: Catcher, log: logging.Logger, fmt: str) -> None:
    """The record's own message stands in, and the defect says so."""
    catcher.setFormatter(logging.Formatter(fmt, validate=False))

    log.info("still %s", "here")

    assert catcher.event.message == "still here"
    assert catcher.event.defects[0].startswith("formatter: raised ")


def test_a_formatter_that_returns_no_text(catcher: Catcher, log: logging.Logger) -> None:
    """What is no text is made one."""

    class Numbers(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return 5  # type: ignore[return-value]

    catcher.setFormatter(Numbers())

    log.info("x")

    assert catcher.event.message == "5"


# ---- exceptions in every form


def test_exc_info_in_every_form(catcher: Catcher, log: logging.Logger) -> None:
    """A tuple, an instance, True: all are the exception."""
    try:
        raise KeyError("sku")
    except KeyError as error:
        log.error("1", exc_info=True)
        log.error("2", exc_info=error)
        log.error("3", exc_info=(type(error), error, error.__traceback__))
        catcher.emit(record_of("4", exc_info=error))
        catcher.emit(record_of("5", exc_info=True))

    found = [render(captured, WHO).exception for captured in catcher.captured]
    assert len(found) == 5
    assert len(set(found)) == 1
    assert found[0] is not None


@pytest.mark.parametrize("nothing", [None, False, (), (None, None, None)])
def test_no_exception_is_no_defect(nothing: Any) -> None:
    """exc_info=True where nothing is handled is quite usual."""
    event = event_of(record_of(exc_info=nothing))

    assert event.exception is None
    assert event.defects == ()


@pytest.mark.parametrize(
    "garbage",
    [5, "text", (ValueError, "text", None), (1, 2), ValueError, True and object(), (Odd(), Odd(), 3)],
)
def test_garbage_as_exc_info_is_named(garbage: Any) -> None:
    """What is no exception is quoted in a defect."""
    event = event_of(record_of(exc_info=garbage))

    assert event.exception is None
    assert any(each.startswith("exc_info: no exception but ") for each in event.defects)


def test_a_printed_traceback_stands_in_for_a_lost_exception() -> None:
    """Records that crossed a process carry text only."""
    text = "Traceback (most recent call last):\n  File ...\nshop.OutOfStock: none left"

    event = event_of(record_of(exc_text=text))

    assert event.exception is not None
    assert (event.exception.type, event.exception.message) == ("shop.OutOfStock", "none left")
    assert event.exception.stacktrace == text


def test_text_cached_by_another_handler_does_not_replace_the_exception() -> None:
    """Another handler's formatter may print tracebacks its own way."""
    try:
        raise KeyError("sku")
    except KeyError as error:
        event = event_of(record_of(exc_info=(KeyError, error, error.__traceback__), exc_text="colourful"))

    assert event.exception is not None
    assert event.exception.stacktrace.startswith("Traceback (most recent call last):")


def test_an_unprintable_exception_is_an_event() -> None:
    """The traceback is that of the standard library, the defect names the culprit."""
    error = UnprintableError()
    event = event_of(record_of(exc_info=(UnprintableError, error, None)))

    assert event.exception is not None
    assert event.exception.stacktrace == "".join(traceback.format_exception(error)).removesuffix("\n")
    assert len(event.defects) == 1


# ---- extras


def test_extras_become_attributes(catcher: Catcher, log: logging.Logger) -> None:
    """Everything the application adds, in its order, as JSON."""
    log.info("x", extra={"order": 17, "lines": [{"sku": "a", "price": 1.5}], "user": None, "when": {3, 1}})

    assert list(catcher.event.attributes.items()) == [
        ("order", 17),
        ("lines", [{"sku": "a", "price": 1.5}]),
        ("user", None),
        ("when", [1, 3]),
    ]


def test_what_formatters_leave_behind_is_no_extra() -> None:
    """Another handler's formatter writes message and asctime into the record."""
    event = event_of(record_of(message="m", asctime="now", taskName="Task-1", order=1))

    assert event.attributes == {"order": 1}


def test_a_million_extras_are_bounded() -> None:
    """The event stays small and says so; what steers it is found all the same."""
    extras: dict[str, Any] = {f"e{index}": index for index in range(1_000_000)}
    extras["event_name"] = "Flood"

    event = event_of(record_of(**extras))

    assert len(event.attributes) == 200
    assert event.event_name == "Flood"
    assert any("1000001 items" in each for each in event.defects)


def test_names_that_are_no_text_or_clash_are_told_apart() -> None:
    """No extra overwrites another."""
    record = record_of(a=1)
    record.__dict__[5] = "five"  # type: ignore[index]
    record.__dict__["5"] = "text"
    record.__dict__["x" * 300 + "1"] = 1
    record.__dict__["x" * 300 + "2"] = 2

    event = event_of(record)

    assert len(event.attributes) == 5
    assert event.attributes["5"] == "five"
    assert event.attributes["5_2"] == "text"


def test_a_hostile_extra_costs_only_itself(catcher: Catcher, log: logging.Logger) -> None:
    """Its neighbours arrive."""
    log.info("x", extra={"before": 1, "odd": Odd(), "after": [2]})

    assert catcher.event.attributes == {
        "before": 1,
        "odd": "<unprintable Odd: RuntimeError>",
        "after": [2],
    }
    assert catcher.event.defects == ("extra 'odd': __str__ of Odd raised RuntimeError",)


class Name(enum.Enum):
    PAID = "Order Paid"


def test_steering_extras_steer(catcher: Catcher, log: logging.Logger) -> None:
    """They set fields of the event and are no attributes."""
    log.info(
        "x",
        extra={
            "event_name": Name.PAID,
            "group_id": 7,
            "event_status": "ok",
            "resources": ["arn:a", "arn:b"],
            "detail_type": "Order",
            "fingerprint": "mine",
            "order": 1,
        },
    )

    event = catcher.event
    assert (event.event_name, event.group_id, event.status) == ("Order Paid", "7", "ok")
    assert (event.resources, event.detail_type) == (("arn:a", "arn:b"), "Order")
    assert event.fingerprint == event_of(record_of("other", fingerprint="mine")).fingerprint
    assert event.attributes == {"order": 1}
    assert event.defects == ()


@pytest.mark.parametrize(
    ("extra", "field", "value", "defect"),
    [
        ({"event_status": "purple"}, "status", "error", "event_status: 'purple' is none of"),
        ({"event_status": 5}, "status", "error", "event_status: '5' is none of"),
        ({"event_name": [1]}, "event_name", None, "event_name: is no text, ignored"),
        ({"group_id": {}}, "group_id", None, "group_id: is no text, ignored"),
        ({"resources": {"a": 1}}, "resources", None, "resources: is no text nor"),
        ({"resources": ["a", 5]}, "resources", ("a", "5"), "resources: not all are texts"),
    ],
)
def test_steering_that_makes_no_sense_is_named(
    extra: dict[str, Any], field: str, value: Any, defect: str
) -> None:
    """Wrong types are made text where that helps, else left out."""
    event = event_of(record_of(**extra))

    assert getattr(event, field) == value
    assert any(each.startswith(defect) for each in event.defects)


def test_one_resource_needs_no_list() -> None:
    """A single text is a list of one."""
    assert event_of(record_of(resources="arn:a")).resources == ("arn:a",)


# ---- odd records


@pytest.mark.parametrize(
    ("level", "status"),
    [(-5, "info"), (0, "info"), (20, "info"), (29, "info"), (30, "warning"), (39, "warning"), (40, "error"),
     (49, "error"), (50, "critical"), (99, "critical"), (10**30, "critical")],
)  # fmt: skip
def test_levels_have_a_status(level: int, status: str) -> None:
    """Any number has one of the four."""
    captured = capture(record_of(levelno=level), id_bits=ID)

    assert captured.level == level
    assert render(captured, WHO).status == status


@pytest.mark.parametrize(
    ("level", "number"), [("40", 40), (40.7, 40), (None, 0), ("high", 0), (Odd(), 0), (True, 1), ([], 0)]
)
def test_a_level_that_is_no_integer_is_made_one(level: Any, number: int) -> None:
    """The nearest number, and a defect."""
    captured = capture(record_of(levelno=level), id_bits=ID)

    assert captured.level == number
    assert type(captured.level) is int
    assert render(captured, WHO).defects[0].startswith(("level: ", "level"))


def test_level_map_names_the_status_of_exact_levels() -> None:
    """event_status still wins; a status that is none is not used."""
    level_map = {25: "ok", 40: "purple"}

    assert event_of(record_of(levelno=25), level_map=level_map).status == "ok"
    assert event_of(record_of(levelno=26), level_map=level_map).status == "info"
    assert event_of(record_of(levelno=40), level_map=level_map).status == "error"
    assert event_of(record_of(levelno=25, event_status="critical"), level_map=level_map).status == "critical"


@pytest.mark.parametrize(
    ("created", "time", "is_odd"),
    [
        (0.0, 0.0, False),
        (1700000000, 1700000000.0, False),
        (1700000000.25, 1700000000.25, False),
        (-1.0, 0.0, True),
        (1e18, 253402300799.0, True),
        (float("nan"), 0.0, True),
        (float("inf"), 253402300799.0, True),
        (float("-inf"), 0.0, True),
        (None, 0.0, True),
        ("yesterday", 0.0, True),
        ("1700000000.5", 1700000000.5, True),
        (10**400, 0.0, True),
        (Odd(), 0.0, True),
    ],
)
def test_times_are_what_a_date_can_say(created: Any, time: float, is_odd: bool) -> None:
    """Out of range is clamped, and the original quoted in a defect."""
    event = event_of(record_of(created=created))

    assert event.time == time
    assert any(each.startswith("time: the record was created at ") for each in event.defects) is is_odd


@pytest.mark.parametrize(
    ("name", "logger"),
    [
        ("", "root"),
        (None, "root"),
        (5, "5"),
        (b"shop", "shop"),
        pytest.param(LoudStr("loud"), "loud", id="loud"),
    ],
)
def test_logger_names_are_text(name: Any, logger: str) -> None:
    """A name that is no text is made one."""
    event = event_of(record_of(name=name))

    assert event.logger == logger
    assert type(event.logger) is str


@pytest.mark.parametrize("name", list(record_of().__dict__))
def test_any_attribute_may_be_missing_or_odd(name: str) -> None:
    """A record factory that forgets a field, or fills it with nonsense, costs that field."""
    missing = record_of()
    del missing.__dict__[name]

    events = [
        event_of(missing),
        *(event_of(changed(name, odd)) for odd in (None, Odd(), [], {}, LoudStr("x"))),
    ]

    for event in events:
        assert json.dumps(event.to_json(), allow_nan=False)
        assert event.status in ("error", "info")


def test_a_record_of_nothing_is_an_event() -> None:
    """Not a single attribute."""
    record = record_of()
    record.__dict__.clear()

    event = event_of(record)

    assert (event.logger, event.level, event.message) == ("root", 0, "None")


def test_controls_and_surrogates_do_not_break_the_event() -> None:
    """What UTF-8 cannot carry is replaced everywhere."""
    odd = "a\ud800b\x00\u202e"
    event = event_of(
        record_of(odd, (), name=odd, funcName=odd, threadName=odd, extra_field=odd, event_name=odd)
    )

    text = json.dumps(event.to_json(), ensure_ascii=False).encode("utf-8")
    assert b"\xef\xbf\xbd" in text


# ---- a plain record, of which little is taken at first


def without_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another test has imported it, each record is asked for its span."""
    monkeypatch.delitem(sys.modules, dialects.OTEL_API, raising=False)


@pytest.mark.parametrize("extras", [{}, {"order": "A-1", "amount": 12.5}], ids=["none", "two extras"])
@pytest.mark.parametrize(
    ("msg", "args"),
    [("order", ()), ("order %s", ("A-1",)), ("order %s, %d", ("A-1", 5))],
    ids=["0", "1", "2"],
)
def test_what_was_taken_of_a_plain_record_becomes_its_capture(
    monkeypatch: pytest.MonkeyPatch, msg: str, args: Any, extras: Any
) -> None:
    """In the log call only the fields are kept; nothing of the event is missing, and each has an id."""
    without_opentelemetry(monkeypatch)
    record = record_of(msg, args, **extras)

    left = taken(record)

    assert type(left) is tuple
    one, other = whole(left), whole(left)
    assert one.id_bits != other.id_bits
    assert one._replace(id_bits=0) == other._replace(id_bits=0)
    event = render(one, WHO)
    assert event.message == record.getMessage()
    assert (event.level, event.logger, event.time) == (record.levelno, record.name, record.created)
    assert event.attributes == extras
    assert whole(one) is one


def test_events_that_wait_share_what_they_have_in_common() -> None:
    """Each record comes with objects of its own for it."""
    one, other = (
        event_of(
            record_of("order %s", ("A-1",), process=int("70000"), thread=int("80000"), lineno=int("9000"))
        )
        for _ in range(2)
    )

    assert one.process_id is other.process_id
    assert one.thread_id is other.thread_id
    assert one.code is other.code
    assert one.fingerprint is other.fingerprint


@pytest.mark.parametrize("field", ["name", "pathname", "funcName", "module"])
def test_a_place_with_a_long_name_is_not_remembered(field: str) -> None:
    """Generated code may have names without end, and each of its own."""
    render_module._usual_place.cache_clear()

    for number in range(3):
        event_of(record_of(**{field: f"{number} " + "x" * 600}))

    assert render_module._usual_place.cache_info().currsize == 0


def test_handlers_that_share_what_was_taken_give_the_event_one_id() -> None:
    """Whichever worker makes the capture first."""
    left = taken(record_of(), {})

    assert whole(left).id_bits == whole(left).id_bits


# ---- when even that fails


def test_degraded_takes_the_plain_fields() -> None:
    """A record whose capture raised is still an event that says where it came from."""
    captured = degraded(record_of("paid %s", (Odd(),), x=Odd()), RuntimeError("x"))

    event = render(captured, WHO)

    assert event.message == "paid %s [args not read]"
    assert (event.logger, event.level, event.code.line) == ("shop.cart", 40, 7)
    assert event.defects == ("record: could not be read, RuntimeError",)


def test_degraded_survives_what_is_no_record() -> None:
    """Something a broken factory made is an event too."""

    class Hostile:
        __slots__ = ()

        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(name)

    event = render(degraded(Hostile(), ValueError()), WHO)  # type: ignore[arg-type]

    assert event.logger == "root"
    assert event.defects[0] == "record: could not be read, ValueError"


def test_degraded_keeps_the_type_of_the_exception() -> None:
    """What failed is worth more than why it cannot be read."""
    error = KeyError("sku")
    captured = degraded(record_of(exc_info=(KeyError, error, None)), RuntimeError())

    exception = render(captured, WHO).exception

    assert exception is not None
    assert exception.type == "KeyError"


def test_render_survives_a_capture_gone_wrong() -> None:
    """Nothing that reaches the worker can stop it."""
    whole = capture(record_of(), id_bits=ID)
    broken = whole._replace(fields=None, extras=5, exception=object(), template="kept")  # type: ignore[arg-type]

    event = render(broken, WHO)

    assert event.message == "kept"
    assert event.defects[-1] == "record: AttributeError while rendered" or event.defects


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("place", ["msg", "args", "extra", "exc_info"])
def test_a_wish_to_stop_passes(stop: type[BaseException], place: str) -> None:
    """Control-C inside a __str__ that we call belongs to the user."""

    class StoppingError(Exception):
        def __str__(self) -> str:
            raise stop

    value = StoppingError()
    records = {
        "msg": record_of(value),
        "args": record_of("%s", (value,)),
        "extra": record_of(x=value),
        "exc_info": record_of(exc_info=(StoppingError, value, None)),
    }

    with pytest.raises(stop):
        capture(records[place], id_bits=ID)


# ---- fingerprints of records


def test_equal_problems_have_equal_fingerprints() -> None:
    """Arguments, times and threads do not matter; template, logger and function do."""
    one = event_of(record_of("paid %s", (1,), created=1.0)).fingerprint

    assert event_of(record_of("paid %s", (2,), created=2.0, thread=9)).fingerprint == one
    assert event_of(record_of("payed %s", (1,))).fingerprint != one
    assert event_of(record_of("paid %s", (1,), name="shop.pay")).fingerprint != one
    assert event_of(record_of("paid %s", (1,), funcName="refund")).fingerprint != one


def test_an_exceptions_fingerprint_ignores_the_message() -> None:
    """The same failure logged from two places is one problem."""

    def failure(number: int) -> BaseException:
        try:
            raise KeyError(number)
        except KeyError as error:
            return error

    one, other = (event_of(record_of(f"m{n}", exc_info=failure(n), name=f"l{n}")) for n in range(2))

    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != event_of(record_of("m0", name="l0")).fingerprint


# ---- other libraries


def test_a_dict_as_message_is_an_event_dict() -> None:
    """event is the message, the rest are attributes."""
    event = event_of(record_of({"event": "paid", "order": 17, "lines": [1]}))

    assert (event.message, event.template) == ("paid", "paid")
    assert event.attributes == {"order": 17, "lines": [1]}


def test_a_dict_without_a_message_is_its_own() -> None:
    """Its names are what repeats."""
    event = event_of(record_of({"order": 17, "user": "bob"}))

    assert event.message == '{"order": 17, "user": "bob"}'
    assert event.template == "{order, user}"
    assert event.attributes == {"order": 17, "user": "bob"}


@pytest.fixture
def structlog(catcher: Catcher) -> Iterator[Any]:
    structlog = pytest.importorskip("structlog")
    yield structlog
    structlog.reset_defaults()


def _structlog_logger(structlog: Any, *processors: Callable[..., Any]) -> Any:
    structlog.configure(
        processors=list(processors),
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return structlog.get_logger("shop.cart")


def test_structlog_as_log_kwargs(structlog: Any, catcher: Catcher) -> None:
    """render_to_log_kwargs puts the bound values into extra."""
    log = _structlog_logger(structlog, structlog.stdlib.render_to_log_kwargs)
    try:
        raise KeyError("sku")
    except KeyError:
        log.bind(order=17).exception("failed", event_name="Failure")

    event = catcher.event
    assert (event.message, event.event_name) == ("failed", "Failure")
    assert event.attributes == {"order": 17}
    assert event.exception is not None


@pytest.mark.parametrize("formatted", [False, True])
def test_structlog_wrapped_for_its_formatter(structlog: Any, catcher: Catcher, formatted: bool) -> None:
    """wrap_for_formatter sends the event dict as message; the traceback is in it."""
    if formatted:
        renderer = structlog.processors.KeyValueRenderer(key_order=["event"])
        catcher.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer))
    log = _structlog_logger(
        structlog, structlog.stdlib.add_log_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter
    )
    try:
        raise KeyError("sku")
    except KeyError:
        log.bind(order=17).error("failed for %s", "bob", exc_info=True, event_status="critical")

    event = catcher.event
    assert event.message.startswith("event='failed for " if formatted else "failed for bob")
    assert "Traceback" not in event.message
    assert event.template == "failed for %s"
    assert event.status == "critical"
    assert event.attributes == {"order": 17, "level": "error"}
    assert event.exception is not None
    assert event.exception.type == "KeyError"
    assert event.defects == ()


def test_structlog_with_a_printed_traceback(structlog: Any, catcher: Catcher) -> None:
    """format_exc_info leaves text; it is the exception all the same."""
    log = _structlog_logger(
        structlog,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    )
    try:
        raise KeyError("sku")
    except KeyError:
        log.exception("failed", stack_info=True)

    event = catcher.event
    assert event.exception is not None
    assert event.exception.type == "KeyError"
    assert event.stack.startswith("Stack (most recent call last)")
    assert event.attributes == {}


def test_loguru(catcher: Catcher) -> None:
    """Bound values are attributes, and the traceback is not in the message as well."""
    loguru = pytest.importorskip("loguru").logger
    loguru.remove()
    sink = loguru.add(catcher, format="{message}")
    try:
        try:
            raise KeyError("sku")
        except KeyError:
            loguru.bind(order=17, event_name="Failure").exception("failed for {user}", user="bob")
    finally:
        loguru.remove(sink)

    event = catcher.event
    assert (event.message, event.event_name) == ("failed for bob", "Failure")
    assert event.attributes == {"order": 17, "user": "bob"}
    assert event.exception is not None
    assert event.exception.stacktrace.startswith("Traceback (most recent call last):\n  File")


def test_an_extra_called_extra_is_laid_flat() -> None:
    """Its values do not hide those beside it."""
    event = event_of(record_of(order=1, extra={"order": 2, "user": "bob"}))

    assert event.attributes == {"order": 1, "extra.order": 2, "user": "bob"}


def test_opentelemetrys_current_span(catcher: Catcher, log: logging.Logger) -> None:
    """Its ids are the event's, zero-padded hex; without a span there are none."""
    trace = pytest.importorskip("opentelemetry.trace")
    context = trace.SpanContext(0xABC, 0xDEF, is_remote=False)

    log.info("outside")
    with trace.use_span(trace.NonRecordingSpan(context)):
        log.info("inside")

    outside, inside = (render(captured, WHO) for captured in catcher.captured)
    assert (outside.trace_id, outside.span_id) == (None, None)
    assert inside.trace_id == "abc".rjust(32, "0")
    assert inside.span_id == "def".rjust(16, "0")


def test_opentelemetry_is_not_imported_for_it() -> None:
    """Only an application that uses it has it."""
    code = (
        "import sys, eventlog_handlers.record.render\nprint(any('opentelemetry' in n for n in sys.modules))"
    )
    import subprocess

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "False"


def test_a_broken_opentelemetry_costs_the_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-imported module is no reason to lose an event."""
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", types.ModuleType("opentelemetry.trace"))

    event = event_of(record_of())

    assert (event.trace_id, event.message) == (None, "message")


@pytest.mark.parametrize(
    ("trace_id", "span_id", "expected"),
    [
        ("0AF7651916CD43DD" * 2, "B7AD6B7169203331", ("0af7651916cd43dd" * 2, "b7ad6b7169203331")),
        ("abc", "def", ("abc".rjust(32, "0"), "def".rjust(16, "0"))),
        ("0", "0", (None, None)),
        ("not hex", None, (None, None)),
    ],
)  # fmt: skip
def test_opentelemetrys_ids_on_the_record(trace_id: Any, span_id: Any, expected: Any) -> None:
    """What its logging instrumentation wrote are the ids, not attributes."""
    event = event_of(
        record_of(otelTraceID=trace_id, otelSpanID=span_id, otelTraceSampled=True, otelServiceName="s", a=1)
    )

    assert (event.trace_id, event.span_id) == expected
    assert event.attributes == {"a": 1}


def test_a_frozen_clock_is_the_time_of_the_event(catcher: Catcher, log: logging.Logger) -> None:
    """The event happened when the record says so."""
    freezegun = pytest.importorskip("freezegun")
    with freezegun.freeze_time("2026-11-20T01:02:03.250Z"):
        log.info("frozen")

    assert catcher.event.time == pytest.approx(1795136523.25, abs=1e-3)  # 3.13 goes by nanoseconds


# ---- identity


@pytest.mark.parametrize(
    ("options", "environ", "argv0", "service", "env"),
    [
        (("own", "prod"), {"OTEL_SERVICE_NAME": "otel"}, "/x/app.py", "own", "prod"),
        ((None, None), {"OTEL_SERVICE_NAME": "otel"}, "/x/app.py", "otel", None),
        (
            (None, None),
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=my%20shop, deployment.environment.name=prod"},
            "/x/app.py",
            "my shop",
            "prod",
        ),
        (
            (None, None),
            {
                "OTEL_SERVICE_NAME": "wins",
                "OTEL_RESOURCE_ATTRIBUTES": "service.name=a,deployment.environment=old",
            },
            "",
            "wins",
            "old",
        ),
        ((None, None), {"OTEL_RESOURCE_ATTRIBUTES": "service.name=%ff"}, "/x/app.py", "app", None),
        ((None, None), {"OTEL_RESOURCE_ATTRIBUTES": "garbage,service.name=a"}, "/x/app.py", "app", None),
        ((None, None), {"OTEL_RESOURCE_ATTRIBUTES": ""}, "/srv/shop/__main__.py", "shop", None),
        ((None, None), {}, "C:\\tools\\serve.exe", "serve", None),
        ((None, None), {}, "/usr/bin/gunicorn", "gunicorn", None),
        ((None, None), {}, "-c", "python", None),
        ((None, None), {}, "", "python", None),
    ],
)
def test_who_sends_is_asked_in_order(
    options: tuple[str | None, str | None], environ: dict[str, str], argv0: str, service: str, env: str | None
) -> None:
    """Options, OpenTelemetry's variables, the program's name."""
    who = identity(*options, {"a": 1}, environ=environ, argv0=argv0, hostname="web-1")  # type: ignore[dict-item]

    assert who == Identity(service=service, env=env, host="web-1", tags={"a": "1"})


def test_a_host_without_name_is_asked_of_the_resource() -> None:
    """host.name stands in where the system has no name."""
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "host.name=pod-7"}

    assert identity(None, None, None, environ=environ, argv0="", hostname="").host == "pod-7"
    assert identity(None, None, None, environ={}, argv0="", hostname="").host == "unknown"
