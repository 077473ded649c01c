"""Bad records end to end: each broken log call arrives as one event that names the defect; nothing is raised.

What each field becomes in detail is told in test_render, test_plain and test_exceptions; here records go
through a real logger, a real handler and its threads, the nastiest to all three services.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import logging
import pathlib
import sys
import time
import types
import uuid
from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from shop import Shop, open_shop

import eventlog_handlers
from eventlog_handlers.events import STATUSES, Event
from eventlog_handlers.record import message, render, traceback_text

SERVICES = ("cms", "guance", "cloudwatch")


@pytest.fixture
def shop() -> Iterator[Shop]:
    with open_shop() as opened:
        yield opened


def has_defect(event: Event, *words: str) -> bool:
    return any(all(word in defect for word in words) for defect in event.defects)


# ---- R1


@pytest.mark.parametrize(
    ("msg", "args", "readable"),
    [
        ("%d items", ("x",), ["%d items", "'x'"]),
        ("%s and %s", ("one",), ["%s and %s", "'one'"]),
        ("%s", ("one", "two"), ["%s", "'one'", "'two'"]),
        ("plain", (1, 2), ["plain", "1", "2"]),
        ("%(name)s", ({"nom": 1},), ["%(name)s", "'nom'"]),
        ("%(name)s", ([1, 2],), ["%(name)s", "[1, 2]"]),
        ("100%", ("x",), ["100%", "'x'"]),
        ("%q", (1,), ["%q", "1"]),
        ("%.2f", (None,), ["%.2f", "None"]),
        ("%c", (-1,), ["%c", "-1"]),
        ("%*d", ("x", 1), ["%*d", "'x'"]),
        ("%s " * 30, ("x",), ["%s %s", "'x'"]),
    ],
)
def test_r01_arguments_that_do_not_fit(
    shop: Shop, msg: str, args: tuple[Any, ...], readable: list[str]
) -> None:
    """Template and arguments both arrive, and the defect is the error logging would have printed."""
    shop.log.error(msg, *args)

    event = shop.event()

    assert all(part in event.message for part in readable), event.message
    assert has_defect(event, "message: ")
    assert event.template == msg


_ARGUMENTS = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=5),
    st.tuples(st.integers()), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


def test_r01_whatever_is_logged_arrives_once(shop: Shop) -> None:
    """Any message with any arguments: one event each, and the template is in it."""
    logged: list[str] = []

    @given(st.text(alphabet="%sdr()abc{}*.1 \x00\ud800", max_size=12), st.lists(_ARGUMENTS, max_size=3))
    @hypothesis_settings(
        max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    def log_anything(msg: str, args: list[Any]) -> None:
        shop.log.error(msg, *args)
        logged.append(msg.replace("\ud800", "\ufffd"))

    log_anything()
    templates = [event.template for event in shop.events()]

    assert sorted(templates) == sorted(logged)


# ---- R2


class Raises:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __str__(self) -> str:
        raise self.error

    __repr__ = __str__


class ReturnsNone:
    def __str__(self) -> str:
        return None  # type: ignore[return-value]

    __repr__ = __str__


class HostileText(str):
    def __str__(self) -> str:
        raise RuntimeError("hostile")

    __repr__ = __len__ = __mod__ = __format__ = encode = __iter__ = __hash__ = __str__  # type: ignore[assignment]


class Stops(BaseException):
    """As asyncio.CancelledError and pytest's own: an exception that is no Exception, and stops no program."""


@pytest.mark.parametrize(
    "value",
    [
        Raises(RuntimeError("no")),
        Raises(RecursionError()),
        Raises(MemoryError()),
        Raises(Stops()),
        ReturnsNone(),
    ],
    ids=["RuntimeError", "RecursionError", "MemoryError", "BaseException", "None"],
)
@pytest.mark.parametrize("place", ["msg", "args", "extra", "exception"])
def test_r02_values_that_do_not_print(shop: Shop, value: Any, place: str) -> None:
    """The value costs itself, never the event."""
    if place == "msg":
        shop.log.error(value)
    elif place == "args":
        shop.log.error("got %s and %r", value, value)
    elif place == "extra":
        shop.log.error("got", extra={"value": value, "order": 7})
    else:
        shop.log.error("got", exc_info=ValueError(value))

    event = shop.event()

    assert event.defects
    if place == "extra":
        assert event.attributes["order"] == 7
        assert "<unprintable" in event.attributes["value"] or "<unreadable" in event.attributes["value"]
    if place == "exception":
        assert event.exception is not None
        assert event.exception.type == "ValueError"


@pytest.mark.parametrize("place", ["msg", "args", "extra"])
def test_r02_a_text_with_hostile_methods_is_its_text(shop: Shop, place: str) -> None:
    """What a subclass of str redefines is gone past."""
    text = HostileText("kept")
    if place == "msg":
        shop.log.error(text)
    elif place == "args":
        shop.log.error("%s", text)
    else:
        shop.log.error("got", extra={"value": text})

    event = shop.event()

    assert "kept" in (event.message, event.attributes.get("value")) or "<unprintable" in event.message


def test_r02_a_value_that_logs_while_it_is_printed(shop: Shop) -> None:
    """Both records arrive."""

    class Logs:
        def __str__(self) -> str:
            shop.log.warning("printing")
            return "Logs"

    shop.log.error("got %s", Logs())

    assert sorted(event.message for event in shop.events()) == ["got Logs", "printing"]


def test_r02_a_value_that_logs_itself_ends(shop: Shop) -> None:
    """It is printed once within itself, then named; no recursion to the limit, no storm of events."""

    class LogsItself:
        def __str__(self) -> str:
            shop.log.warning("printing %s", self)
            return "LogsItself"

    shop.log.error("got %s", LogsItself())
    events = shop.events()

    assert 1 <= len(events) <= 10
    assert "got LogsItself" in [event.message for event in events]


@pytest.mark.usefixtures("no_collection")
def test_r02_a_record_at_the_recursion_limit_breaks_nothing(shop: Shop) -> None:
    """As logging itself it may raise RecursionError there; each call that returned arrives, all goes on."""

    def at_depth(depth: int) -> None:
        if depth:
            at_depth(depth - 1)
        else:
            shop.log.error("deep", extra={"a": [1]})

    returned = 0
    for depth in range(max(0, sys.getrecursionlimit() - 150), sys.getrecursionlimit()):
        try:
            at_depth(depth)
            returned += 1
        except RecursionError:
            pass
    shop.log.error("after")

    arrived = Counter(event.message for event in shop.events())
    assert arrived["after"] == 1
    assert arrived["deep"] >= returned  # one that was taken in may have failed to wake the worker


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("place", ["msg", "args", "extra"])
def test_r02_a_wish_to_stop_passes(shop: Shop, stop: type[BaseException], place: str) -> None:
    """Ctrl-C in the middle of a log call stops the program, and the handler goes on."""
    value = Raises(stop())

    calls = {
        "msg": lambda: shop.log.error(value),
        "args": lambda: shop.log.error("%s", value),
        "extra": lambda: shop.log.error("got", extra={"value": value}),
    }

    with pytest.raises(stop):
        calls[place]()
    shop.log.error("after")

    assert shop.event().message == "after"


# ---- R3


def test_r03_bytes_are_read_as_text(shop: Shop) -> None:
    """UTF-8; what is not UTF-8 is shown."""
    shop.log.error(b"caf\xc3\xa9 \xff %s", b"th\xc3\xa9")  # type: ignore[arg-type]
    shop.log.error("got %s", bytearray(b"\xff\x00"), extra={"raw": b"\xfe", "view": memoryview(b"abc")})

    first, second = shop.events()

    assert first.message == "café \\xff thé"
    assert second.message == "got \\xff\x00"
    assert second.attributes == {"raw": "\\xfe", "view": "abc"}


# ---- R4


def test_r04_a_hundred_megabytes_cost_a_fraction(shop: Shop) -> None:
    """A message, an argument and an extra of 100 MB are cut as they are taken in, with a visible mark."""
    huge = "x" * 100_000_000
    shop.log.error(huge)
    shop.log.error("%s", huge)
    shop.log.error("got", extra={"body": huge})
    shop.log.error("got", exc_info=ValueError(huge))
    del huge

    events = shop.events()

    assert len(events) == 4
    assert all(len(json.dumps(event.to_json())) < 1_500_000 for event in events)
    assert all("cut: 100000000" in json.dumps(event.to_json(), ensure_ascii=False) for event in events)


def test_r04_hundreds_of_thousands_of_extras_are_counted_not_kept(shop: Shop) -> None:
    """The first of them, and how many more there were."""
    shop.log.error("many", extra={f"extra {number}": number for number in range(200_000)})
    shop.log.error("many", extra={"all": dict.fromkeys(range(200_000))})

    for event in shop.events():
        assert len(json.dumps(event.to_json())) < 100_000
        assert has_defect(event, "200000 items")


# ---- R5, and all three services


NASTY = "nul \0 lone \ud800 bell \x07 c1 \x85 bom \ufeff rtl \u202e sep \u2028 tab \t crlf \r\n</script> 🚀"


def _deep(levels: int) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = {"next": [value]}
    return value


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append({"again": circle})
    return circle


NASTIEST: dict[str, dict[str, Any]] = {
    "surrogates and controls": {
        "msg": NASTY,
        "extra": {NASTY: NASTY, "event_name": NASTY, "detail_type": NASTY, "resources": [NASTY]},
    },
    "empty": {"msg": "", "extra": {"": "", "event_name": ""}},
    "huge": {"msg": "名" * 2_000_000, "extra": {"body": "🚀" * 1_000_000}},
    "no numbers": {"msg": "nan", "extra": {"nan": float("nan"), "inf": [float("-inf")], "big": 10**5000}},
    "deep": {"msg": "deep", "extra": {"deep": _deep(100_000), "circle": _circle()}},
    "many": {"msg": "many", "extra": {f"k{number}": "v" * 50 for number in range(5_000)}},
    "class names": {"msg": "names", "extra": {"__class__": 1, "__dict__": {}, "$ref": "#", "a.b": 1}},
    "long name": {"msg": "name", "extra": {"k" * 100_000: 1, "detail_type": "d" * 100_000}},
    "odd steering": {"msg": "odd", "extra": {"group_id": "x" * 300, "resources": [1], "event_status": 3}},
}  # fmt: skip


@pytest.mark.parametrize("case", NASTIEST)
def test_r05_the_strict_stand_in_refuses_none_of_the_nastiest(eventlog_console: Any, case: str) -> None:
    """One event per service, in valid JSON and UTF-8, within every limit."""
    handlers = [
        eventlog_handlers.CMSHandler(requests_per_second=None),
        eventlog_handlers.GuanceHandler(requests_per_minute=None),
        eventlog_handlers.CloudWatchEventsHandler(),
    ]
    log = logging.Logger(f"shop {NASTY}" if case.startswith("surrogates") else "shop")
    for handler in handlers:
        log.addHandler(handler)
    call = dict(NASTIEST[case])

    log.error(call.pop("msg"), **call)
    settled = [handler.flush(60) for handler in handlers]

    assert settled == [True] * 3
    assert [list(eventlog_console.refused(service)) for service in SERVICES] == [[], [], []]
    assert [len(eventlog_console.events(service)) for service in SERVICES] == [1, 1, 1]
    for handler in handlers:
        stats = handler.stats()
        assert (stats["accepted"], stats["delivered"], stats["dropped"]) == (1, 1, {})
        handler.close()


def test_r05_names_stand_on_one_line_and_bodies_keep_their_text(eventlog_console: Any) -> None:
    """Controls are shown in a body and blanked in a title; a lone surrogate is U+FFFD."""
    handler = eventlog_handlers.CloudWatchEventsHandler()
    log = logging.Logger("shop")
    log.addHandler(handler)

    log.error(NASTY, extra={"detail_type": NASTY})
    assert handler.flush(60)
    handler.close()
    (event,) = eventlog_console.events("cloudwatch")
    detail = json.loads(event.body["Detail"])

    assert "\n" not in event.body["DetailType"]
    assert event.body["DetailType"].isprintable()
    assert "\ufffd" in detail["message"]
    assert "🚀" in detail["message"]
    assert "nul \0" in detail["message"]
    assert "\0" not in event.body["Detail"]
    assert "\r\n" in detail["message"]


# ---- R6


class Colour(enum.Enum):
    RED = "red"


def test_r06_values_json_does_not_know_have_a_fixed_form(shop: Shop) -> None:
    """The same text whatever the service, and strict JSON."""
    identifier = uuid.UUID(int=7)
    shop.log.error(
        "values",
        extra={
            "nan": float("nan"),
            "inf": float("inf"),
            "when": datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
            "day": datetime.date(2026, 1, 2),
            "price": decimal.Decimal("1.10"),
            "id": identifier,
            "set": {2, 1},
            "colour": Colour.RED,
            "path": pathlib.PurePosixPath("/a/b"),
            "huge": 10**5000,
            "keys": {1: "a", "1": "b", None: "c"},
            "type": int,
            "ordered": OrderedDict(a=Counter("aa")),
        },
    )

    event = shop.event()
    attributes = dict(event.attributes)

    assert json.loads(json.dumps(attributes, allow_nan=False)) == attributes
    assert attributes.pop("huge").startswith("0x")
    assert attributes == {
        "nan": "NaN",
        "inf": "Infinity",
        "when": "2026-01-02T00:00:00+00:00",
        "day": "2026-01-02",
        "price": "1.10",
        "id": str(identifier),
        "set": [1, 2],
        "colour": "red",
        "path": "/a/b",
        "keys": {"1": "a", "1_2": "b", "None": "c"},
        "type": "<class 'int'>",
        "ordered": {"a": {"a": 2}},
    }
    assert has_defect(event, "two names read '1'")


# ---- R7


def test_r07_circles_and_depths_end(shop: Shop) -> None:
    """Cut with a mark; what is merely shared is not."""
    shared = {"a": 1}
    shop.log.error(
        "deep",
        extra={"deep": _deep(100_000), "circle": _circle(), "shared": [shared, shared], "wide": [0] * 10_000},
    )

    event = shop.event()
    text = json.dumps(event.attributes)

    assert "[too deep" in text
    assert "[circular" in text
    assert event.attributes["shared"] == [shared, shared]
    assert len(event.attributes["wide"]) <= 200  # type: ignore[arg-type]
    assert has_defect(event, "deeper than")
    assert has_defect(event, "contains itself")


# ---- R8


def _raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def _self_cause() -> BaseException:
    error = ValueError("me")
    error.__cause__ = error
    return error


def _circle_of_causes() -> BaseException:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__context__ = second, first
    return first


def _long_chain() -> BaseException:
    error: BaseException = ValueError("root cause")
    for number in range(3_000):
        error = _raised(RuntimeError(f"link {number}"), error)
    return error


def _with_notes(notes: object) -> BaseException:
    error = ValueError("noted")
    error.__notes__ = notes  # type: ignore[attr-defined]
    return error


class BadTextError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


EXCEPTIONS = {
    "cause": lambda: (_raised(ValueError("top"), KeyError("x")), ["ValueError: top", "KeyError: 'x'"]),
    "suppressed": lambda: (_raised(ValueError("top"), None), ["ValueError: top"]),
    "self": lambda: (_self_cause(), ["ValueError: me"]),
    "circle": lambda: (_circle_of_causes(), ["first", "second"]),
    "3000 links": lambda: (_long_chain(), ["link 2999", "root cause", "left out"]),
    "bad text": lambda: (BadTextError(), ["BadTextError: <exception str() failed>"]),
    "no notes": lambda: (_with_notes(7), ["ValueError: noted"]),
    "bad notes": lambda: (_with_notes([Raises(RuntimeError())]), ["ValueError: noted"]),
    "notes": lambda: (_with_notes(["look here"]), ["ValueError: noted"]),
    "class": lambda: (KeyError, []),
}  # fmt: skip


@pytest.mark.parametrize("case", EXCEPTIONS)
def test_r08_exceptions_of_all_shapes(shop: Shop, case: str) -> None:
    """Both ends of what is long, each link of a circle once; a broken exception keeps its type."""
    error, expected = EXCEPTIONS[case]()

    shop.log.error("failed", exc_info=error)

    event = shop.event()
    text = event.exception.stacktrace if event.exception else ""
    assert all(part in text for part in expected), text[-2_000:]
    assert len(text) < 300_000


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with 3.11")
def test_r08_a_wide_and_nested_group_is_bounded(shop: Shop) -> None:
    """As the standard library prints it, and no more."""
    group = ExceptionGroup("many", [ValueError(str(number)) for number in range(10_000)])  # noqa: F821
    for _ in range(50):
        group = ExceptionGroup("nested", [group, KeyError("leaf")])  # noqa: F821

    shop.log.error("failed", exc_info=group)

    event = shop.event()
    assert event.exception is not None
    assert event.exception.type == "ExceptionGroup"
    assert len(event.exception.stacktrace) < 300_000


# ---- R9


def test_r09_a_traceback_of_a_hundred_thousand_frames(shop: Shop) -> None:
    """Both ends are printed, the middle is counted."""
    frame = sys._getframe()
    tb: types.TracebackType | None = None
    for number in range(100_000):
        tb = types.TracebackType(tb, frame, frame.f_lasti, 10 + number % 2)
        other = types.TracebackType(tb, sys._getframe(), 2, 11)
        tb = other if number % 3 == 0 else tb
    error = RecursionError("deep").with_traceback(tb)

    started = time.perf_counter()
    shop.log.error("deep", exc_info=error)
    took = time.perf_counter() - started

    event = shop.event()
    assert event.exception is not None
    assert event.exception.stacktrace.endswith("RecursionError: deep")
    assert event.exception.stacktrace.count("\n") < 1_500
    assert took < 5
    error.__traceback__ = None  # or unwinding so long a chain of objects takes the stack


# ---- R10


def test_r10_exc_info_in_every_form(shop: Shop) -> None:
    """Whatever logging's own formatter would have accepted, and what it would have choked on."""
    error = _raised(ValueError("inside"))
    forms: list[tuple[Any, str | None]] = [
        (True, None),  # nothing is being handled
        ((None, None, None), None),
        (error, "ValueError"),
        ((ValueError, error, error.__traceback__), "ValueError"),
        (False, None),
        ("text", None),
        ((1, 2, 3), None),
        ((ValueError, error), None),
    ]
    for number, (form, _) in enumerate(forms):
        record = shop.log.makeRecord("shop", 40, "shop.py", 1, "form %d", (number,), None)
        record.exc_info = form
        shop.log.handle(record)

    in_order = sorted(shop.events(), key=lambda event: event.message)  # problems take turns on their way
    found = [event.exception and event.exception.type for event in in_order]

    assert found == [expected for _, expected in forms]


def test_r10_what_another_handler_cached_is_neither_needed_nor_harmed(shop: Shop) -> None:
    """``exc_text`` and ``message`` are another formatter's; the event is made from the exception itself."""

    class Short(logging.Formatter):
        def formatException(self, exc_info: Any) -> str:  # noqa: N802 - logging's name
            return "short"

    other = logging.StreamHandler(open("/dev/null", "w"))  # noqa: PTH123, SIM115
    other.setFormatter(Short())
    shop.log.handlers.insert(0, other)
    try:
        raise ValueError("inside")
    except ValueError:
        shop.log.exception("failed")
    record = shop.log.makeRecord("shop", 40, "shop.py", 1, "failed", (), None)
    record.exc_text = "Traceback (most recent call last):\nKeyError: 'cached'"
    shop.log.handle(record)
    other.stream.close()

    live, cached = shop.events()

    assert live.exception is not None
    assert "Traceback" in live.exception.stacktrace
    assert cached.exception is not None
    assert cached.exception.type == "KeyError"


# ---- R11


@pytest.mark.parametrize(
    ("level", "status"), [(0, "info"), (99, "critical"), (-5, "info"), (35, "warning"), (10**30, "critical")]
)
def test_r11_any_level_has_a_status(shop: Shop, level: int, status: str) -> None:
    """The nearest of those the services know."""
    record = shop.log.makeRecord("shop", level, "shop.py", 1, "level", (), None)

    shop.handler.handle(record)

    event = shop.event()
    assert event.status == status
    assert event.status in STATUSES


@pytest.mark.parametrize("name", sorted(logging.LogRecord("", 0, "", 0, "", (), None).__dict__))
@pytest.mark.parametrize("instead", ["missing", None, object(), [1], "text", -1])
def test_r11_a_record_may_lack_or_mangle_any_attribute(shop: Shop, name: str, instead: Any) -> None:
    """A factory of the application's own, a record from elsewhere: still one event."""
    record = shop.log.makeRecord("shop", 40, "shop.py", 1, "got %s", ("x",), None)
    if instead == "missing":
        delattr(record, name)
    else:
        setattr(record, name, instead)

    shop.handler.emit(record)

    event = shop.event()
    assert isinstance(event.message, str)
    assert isinstance(event.logger, str)
    assert event.logger


def test_r11_a_record_class_of_the_applications_own(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With slots, without fields, with a getMessage of its own."""

    class Own(logging.LogRecord):
        def getMessage(self) -> str:  # noqa: N802 - logging's name
            return f"own {self.msg}"

    monkeypatch.setattr(logging, "_logRecordFactory", Own)
    shop.log.error("one")
    shop.handler.emit(object())  # type: ignore[arg-type]
    shop.handler.emit(types.SimpleNamespace(msg="two"))  # type: ignore[arg-type]

    one, nothing, two = shop.events()

    assert one.message == "own one"
    assert nothing.defects
    assert two.message == "two" or two.defects


# ---- R12


@pytest.mark.parametrize("created", [-1.0, 1e18, float("nan"), float("inf"), None, "yesterday", 10**400])
def test_r12_a_time_that_is_none_is_clamped_and_quoted(
    eventlog_console: Any, shop: Shop, created: Any
) -> None:
    """Within what every service can say; what stood there is kept as text."""
    record = shop.log.makeRecord("shop", 40, "shop.py", 1, "when", (), None)
    record.created = created
    cms = eventlog_handlers.CMSHandler(requests_per_second=None)
    cloudwatch = eventlog_handlers.CloudWatchEventsHandler()

    shop.handler.emit(record)
    cms.emit(record)
    cloudwatch.emit(record)
    assert cms.flush(60)
    assert cloudwatch.flush(60)

    event = shop.event()
    assert 0 <= event.time <= render.LATEST_TIME
    assert has_defect(event, "time: ")
    assert len(eventlog_console.events()) == 2
    assert not list(eventlog_console.refused())
    cms.close()
    cloudwatch.close()


# ---- R13


def test_r13_what_changes_after_the_call_changes_nothing(shop: Shop) -> None:
    """Arguments, extras and the exception are taken as they are at the call."""

    @given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.text(max_size=3), max_size=4))
    @hypothesis_settings(
        max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    def log_and_change(values: list[Any]) -> None:
        argument, extra = list(values), {"inner": list(values)}
        error = ValueError(argument)
        before = (f"got {argument}", {"inner": list(values)}, str(error))

        shop.log.error("got %s", argument, extra={"extra_values": extra}, exc_info=error)
        argument.append("changed")
        extra["inner"].append("changed")
        error.args = ("changed",)
        expected.append(json.dumps(before))

    expected: list[str] = []
    log_and_change()
    found = [
        json.dumps(
            (event.message, event.attributes["extra_values"], event.exception and event.exception.message)
        )
        for event in shop.events()
    ]

    assert sorted(found) == sorted(expected)


# ---- R14


class BadFormatter(logging.Formatter):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def format(self, record: logging.LogRecord) -> str:
        raise self._error


@pytest.mark.parametrize(
    "error", [ValueError("bad"), KeyError("asctime"), Stops("bad")], ids=lambda e: type(e).__name__
)
def test_r14_a_formatter_that_raises_is_done_without(shop: Shop, error: BaseException) -> None:
    """The record's own message is sent, and the defect named."""
    shop.handler.setFormatter(BadFormatter(error))

    shop.log.error("got %s", "x")

    event = shop.event()
    assert event.message == "got x"
    assert has_defect(event, "formatter: raised", type(error).__name__)


@pytest.mark.parametrize("error", [ValueError("bad"), Stops("bad")], ids=lambda e: type(e).__name__)
def test_r14_a_filter_that_raises_lets_the_record_pass(
    shop: Shop, error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told once on stderr, not once per record."""

    def bad_filter(record: logging.LogRecord) -> bool:
        raise error

    shop.handler.addFilter(bad_filter)

    for _ in range(5):
        shop.log.error("passes")

    assert [event.message for event in shop.events()] == ["passes"] * 5
    assert capsys.readouterr().err.count("a filter raised") == 1


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_r14_a_wish_to_stop_passes_formatter_and_filter(shop: Shop, stop: type[BaseException]) -> None:
    """Nobody who presses Ctrl-C is kept waiting."""
    shop.handler.setFormatter(BadFormatter(stop()))

    with pytest.raises(stop):
        shop.log.error("formatted")
    shop.handler.setFormatter(None)
    shop.log.error("after")

    assert shop.event().message == "after"


def test_bounds_are_those_the_documents_tell() -> None:
    """What is cut, and where."""
    assert (message.MAX_MESSAGE, traceback_text.MAX_STACKTRACE_BYTES) == (262_144, 262_144)
