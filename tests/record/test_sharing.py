"""Several handlers on one logger: each record is read, rendered and redacted once, and each gets its own."""

from __future__ import annotations

import gc
import logging
import sys
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from captures import taken
from shop import Shop, open_shop

from eventlog_handlers.events import Event
from eventlog_handlers.pipeline import entrance
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.record import renderer
from eventlog_handlers.record.captured import whole
from eventlog_handlers.record.fields import field_values
from eventlog_handlers.record.render import render
from eventlog_handlers.settings.values import PipelineSettings


@pytest.fixture
def shops() -> Iterator[Any]:
    """Opens shops whose handlers all listen to the first one's logger."""
    with ExitStack() as stack:

        def opened(*settings: dict[str, Any]) -> list[Shop]:
            made = [stack.enter_context(open_shop(**one)) for one in settings]
            for shop in made[1:]:
                made[0].log.addHandler(shop.handler)
            return made

        yield opened


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The fields of each record, as often as a handler read them."""
    made: list[Any] = []

    def noted(fields: dict[str, Any]) -> tuple[Any, ...]:
        made.append(fields)
        return field_values(fields)

    monkeypatch.setattr(entrance, "field_values", noted)
    return made


@pytest.fixture
def renderings(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Each capture that was rendered."""
    seen: list[Any] = []

    def noted(captured: Any, *rest: Any, **more: Any) -> Event:
        seen.append(captured)
        return render(captured, *rest, **more)

    monkeypatch.setattr(renderer, "render", noted)
    return seen


def renderer_of(**settings: Any) -> renderer.Renderer:
    return renderer.Renderer(PipelineSettings(batch_size=1, **settings), SelfLog("test"))


def without_id(event: Event) -> Event:
    return event._replace(id="")


def test_three_handlers_share_one_capture(shops: Any, readings: list[Any]) -> None:
    """The events are equal, and for plain records, extras and exceptions it is one reading."""
    first, *others = shops({}, {}, {})

    first.log.error("order %s", "A-1")
    first.log.error("order", extra={"order": "A-1", "token": "abc"})
    try:
        raise ValueError("x")
    except ValueError:
        first.log.exception("failed")

    events = {event.id: event for event in first.events()}
    assert sorted(event.message for event in events.values()) == ["failed", "order", "order A-1"]
    for other in others:
        assert {event.id: event for event in other.events()} == events
    assert len(readings) == 3


def test_handlers_that_ask_the_same_share_one_rendering(renderings: list[Any]) -> None:
    """And one redaction: the first worker's event is the others' too."""
    record = logging.LogRecord("shop", 40, "/x.py", 1, "x password=abc", (), None)
    captured = whole(taken(record, {}))

    events = [renderer_of(tags={"team": "shop"})(captured) for _ in range(3)]

    assert len(renderings) == 1
    assert events[0] is events[1] is events[2]
    assert events[0] is not None
    assert events[0].message == "x password=[redacted]"


@pytest.mark.parametrize(
    "other",
    [
        {"service": "web"}, {"env": "test"}, {"tags": {"team": "x"}}, {"redact": None}, {"redact": ("iban",)},
        {"level_map": {40: "critical"}},
    ],
    ids=lambda settings: next(iter(settings)),
)  # fmt: skip
def test_handlers_that_ask_for_something_else_render_for_themselves(
    renderings: list[Any], other: dict[str, Any]
) -> None:
    """One capture, but an event each."""
    record = logging.LogRecord("shop", 40, "/x.py", 1, "x password=abc iban=1", (), None)
    captured = whole(taken(record, {}))

    one, two, three = (renderer_of(**settings)(captured) for settings in ({}, other, {}))

    assert len(renderings) == 2
    assert one is three
    assert one != two


def test_a_formatter_of_its_own_means_a_capture_of_its_own(shops: Any) -> None:
    """The message is what the handler's own formatter makes."""
    plain, formatted = shops({}, {})
    formatted.handler.setFormatter(logging.Formatter("%(name)s says %(message)s"))

    plain.log.error("x")

    assert plain.event().message == "x"
    assert formatted.event().message == "shop.cart says x"


def test_handlers_with_one_formatter_share_a_capture(shops: Any, readings: list[Any]) -> None:
    """It is read once, and the message is what the formatter makes."""
    both = shops({}, {})
    formatter = logging.Formatter("%(name)s says %(message)s")
    for shop in both:
        shop.handler.setFormatter(formatter)

    both[0].log.error("x")

    assert {shop.event().message for shop in both} == {"shop.cart says x"}
    assert len(readings) == 1


class Changing(logging.Filter):
    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.changes = changes

    def filter(self, record: logging.LogRecord) -> bool:
        vars(record).update(self.changes)
        return True


@pytest.mark.parametrize("is_ours", [True, False])
@pytest.mark.parametrize(
    "changes",
    [{"msg": "changed"}, {"args": ("changed",)}, {"user": "changed"}],
    ids=lambda one: next(iter(one)),
)
def test_what_a_filter_changed_before_the_second_handler_is_seen_by_it(
    shops: Any, changes: dict[str, Any], is_ours: bool
) -> None:
    """Be it a filter of that handler, or of somebody else's handler in between."""
    first, second = shops({}, {})
    if is_ours:
        second.handler.addFilter(Changing(**changes))
    else:
        between = logging.NullHandler()
        between.handle = Changing(**changes).filter  # type: ignore[method-assign]
        first.log.removeHandler(second.handler)
        first.log.addHandler(between)
        first.log.addHandler(second.handler)

    first.log.error("x %s", "unchanged")

    assert "changed" not in first.event().message.replace("unchanged", "")
    seen = second.event()
    assert "changed" in (seen.message + str(seen.attributes)).replace("unchanged", "")


def test_a_frozen_clock_and_reused_addresses_make_no_two_records_one(
    shops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record often gets the address of the one before it, and a frozen clock gives both one time."""
    first, second = shops({}, {})
    now = 1_795_176_000.0
    monkeypatch.setattr("time.time", lambda: now)
    monkeypatch.setattr("time.time_ns", lambda: int(now * 1e9))
    addresses = set()

    for number in range(200):
        record = logging.LogRecord("shop", 40, "/x.py", 1, "one text", (), None)
        record.number = number  # type: ignore[attr-defined]
        addresses.add(id(record))
        first.handler.handle(record)
        if number % 2:
            second.handler.handle(record)
        del record

    assert len(addresses) < 200, "no address was given twice: the test shows nothing"
    for shop, numbers in ((first, range(200)), (second, range(1, 200, 2))):
        assert sorted(event.attributes["number"] for event in shop.events()) == list(numbers)


@pytest.mark.parametrize("order", ["0101", "0011", "0110", "1001"])
@pytest.mark.parametrize("arguments", [(), ([1],)], ids=["plain", "read at once"])
def test_a_handler_that_is_given_a_record_twice_makes_two_events(
    shops: Any, order: str, arguments: tuple[Any, ...]
) -> None:
    """With ids of their own, as when it hangs on a logger and on its parent."""
    both = shops({}, {})
    record = logging.LogRecord("shop", 40, "/x.py", 1, "x %s" if arguments else "x", arguments, None)

    for number in order:
        both[int(number)].handler.handle(record)

    for shop in both:
        one, two = shop.events()
        assert without_id(one) == without_id(two)
        assert one.id != two.id


def test_a_log_call_within_a_log_call_is_another_record(shops: Any) -> None:
    """A value that logs while it is printed comes between two handlers of the outer record."""
    first, second = shops({}, {})

    class Loud:
        def __str__(self) -> str:
            first.log.error("inner")
            return "loud"

    first.log.error("outer %s", Loud())

    for shop in (first, second):
        assert sorted(event.message for event in shop.events()).count("outer loud") == 1


class Fields:
    """Of another record: that they can be asked for by name is all that they have of a dict."""

    def __init__(self, record: logging.LogRecord) -> None:
        self._fields = vars(record)

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]


class Odd(logging.LogRecord):
    __dict__ = property(lambda self: Fields(logging.LogRecord("shop", 40, "/x.py", 1, "x", (), None)))  # type: ignore[assignment]


def test_a_record_without_a_dict_is_an_event_of_each(shops: Any) -> None:
    """The log call goes on, with several handlers as with one."""
    both = shops({}, {})
    record = Odd("shop", 40, "/x.py", 1, "x", (), None)

    for shop in both:
        shop.handler.handle(record)

    for shop in both:
        assert len(shop.events()) == 1


def test_a_hook_that_changes_its_event_changes_no_other(shops: Any) -> None:
    """In place and at any depth."""

    def hook(event: Event) -> Event:
        event.attributes["deep"]["list"].append("hooked")  # type: ignore[index,union-attr,call-overload]
        event.attributes["hooked"] = True  # type: ignore[index]
        return event

    hooked, plain, late = shops({"before_send": hook}, {}, {"before_send": hook})

    hooked.log.error("x", extra={"deep": {"list": [1]}})

    assert plain.event().attributes == {"deep": {"list": [1]}}
    for shop in (hooked, late):
        assert shop.event().attributes == {"deep": {"list": [1, "hooked"]}, "hooked": True}


def test_nothing_of_a_record_is_kept_alive(shops: Any) -> None:
    """Neither the record nor its arguments, extras or exception."""
    first, second = shops({}, {})

    class Live(Exception):  # noqa: N818
        pass

    error, argument, extra = Live(), Live(), Live()
    record = logging.LogRecord("shop", 40, "/x.py", 1, "x %s", (argument,), (Live, error, None))
    record.extra_value = extra  # type: ignore[attr-defined]
    references = [weakref.ref(one) for one in (record, error, argument, extra)]
    for shop in (first, second):
        shop.handler.handle(record)

    del record, error, argument, extra
    gc.collect()

    assert [reference() for reference in references] == [None] * 4


def test_a_fold_shares_nothing_with_its_summary(shops: Any) -> None:
    """A summary is made from the capture of its first event, and is another event."""
    folded, plain = shops({"aggregate_seconds": 60.0}, {})

    for number in range(5):
        folded.log.error("order %s", number)

    assert [event.count for event in folded.events()] == [1, 4]
    assert len({event.id for event in plain.events()}) == 5


def test_with_one_handler_nothing_is_left_for_another() -> None:
    """No table, no slot: one handler pays for no other."""
    code = """
import logging
from eventlog_handlers import CMSHandler
from eventlog_handlers.pipeline import entrance
handler = CMSHandler(access_key_id="a", access_key_secret="b", dry_run=True)
log = logging.getLogger("x")
log.propagate = False
log.addHandler(handler)
log.error("x")
assert entrance._slot[-1] is None
other = CMSHandler(access_key_id="a", access_key_secret="b", dry_run=True)
log.error("x")
assert entrance._slot[-1] is not None
"""
    import subprocess

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
