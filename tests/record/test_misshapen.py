"""Records with misshapen fields: each is one event, with folding and without, and nothing is raised."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest
from shop import open_shop

from eventlog_handlers.events import Event
from eventlog_handlers.record.fields import FIELDS, STEERING
from eventlog_handlers.record.problem import quick_key

HUGE = 10**5_000
"""An integer with more digits than ``str`` is willing to print (sys.get_int_max_str_digits)."""


class Unhashable(str):
    __hash__ = None  # type: ignore[assignment]


class Rude:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("__str__")

    __repr__ = __bool__ = __len__ = __iter__ = __hash__ = __eq__ = __float__ = __int__ = __str__  # type: ignore[assignment]


VALUES = {
    "list": [1], "dict": {"a": [1]}, "set": {1}, "unhashable": Unhashable("x"), "huge": HUGE,
    "minus huge": -HUGE, "nan": float("nan"), "infinite": float("inf"), "bytes": b"\xff", "none": None,
    "true": True, "empty": "", "long": "x" * 300_000, "surrogate": "\ud800", "rude": Rude(), "class": Rude,
    "tuple": (1, 2, 3),
}  # fmt: skip


def misshapen(field: str, value: object) -> logging.LogRecord:
    record = logging.LogRecord("shop", 40, "/srv/shop.py", 3, "order %s", ("A-1",), None, "pay")
    record.__dict__[field] = value
    return record


@pytest.mark.parametrize("aggregate_seconds", [None, 60.0], ids=["each", "folded"])
@pytest.mark.parametrize("field", [*FIELDS, *STEERING, "extra", "otelTraceID", "otelSpanID"])
def test_whatever_a_field_holds_the_record_is_an_event(field: str, aggregate_seconds: float | None) -> None:
    """Any field, any value: one event each, JSON can carry it, and the log call raises nothing."""
    with open_shop(aggregate_seconds=aggregate_seconds) as shop:
        for value in VALUES.values():
            shop.handler.handle(misshapen(field, value))
            (event,) = shop.events() or [None]
            if event is not None:
                assert Event.from_json(json.loads(json.dumps(event.to_json()))) == event
            else:
                assert aggregate_seconds, "only a repeat may be no event of its own"
        stats = shop.handler.stats()

    assert stats["accepted"] == len(VALUES)


@pytest.mark.parametrize("field", ["name", "funcName", "msg", "levelno", "exc_text", "created"])
@pytest.mark.parametrize("kind", VALUES)
def test_a_quick_key_can_be_looked_up(field: str, kind: str) -> None:
    """It is None or hashable: an unhashable name must not raise at the log call."""
    quick = quick_key(misshapen(field, VALUES[kind]))

    assert quick is None or isinstance(hash(quick[0]), int)


@pytest.mark.parametrize("attribute", ["__module__", "__qualname__"])
def test_an_exception_class_with_an_unhashable_module(attribute: str) -> None:
    """Its class may call its module anything; folding then goes by the fingerprint alone."""

    class Meta(type):
        def __getattribute__(cls, name: str) -> Any:
            return ["x"] if name == attribute else super().__getattribute__(name)

    class OddError(Exception, metaclass=Meta):
        pass

    try:
        raise OddError("odd")
    except Exception:
        record = misshapen("exc_info", sys.exc_info())

    with open_shop(aggregate_seconds=60.0) as shop:
        shop.handler.handle(record)
        (event,) = shop.events()

    assert quick_key(record) is None
    assert event.exception is not None


@pytest.mark.parametrize("name", STEERING)
def test_a_huge_integer_steers_nothing_and_raises_nothing(name: str) -> None:
    """An extra that decides where an event goes may be an integer that ``repr`` refuses to print."""
    with open_shop(aggregate_seconds=60.0) as shop:
        shop.log.error("x", extra={name: HUGE})

        assert len(shop.events()) == 1


@pytest.mark.parametrize(
    "level", [HUGE, -HUGE, 2**63, -(2**63) - 1], ids=["huge", "minus huge", "too high", "too low"]
)
def test_a_level_past_64_bits_is_the_nearest_that_fits(level: int) -> None:
    """No service and no row of a spool takes a larger one; the defect says what it was made."""
    with open_shop() as shop:
        shop.handler.handle(misshapen("levelno", level))
        event = shop.event()

    assert event.level == (2**63 - 1 if level > 0 else -(2**63))
    assert event.level_name == "ERROR"
    assert any("level" in defect for defect in event.defects)
