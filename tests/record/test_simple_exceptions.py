"""Which exceptions are simple; and that those look as any other way of taking them makes them look."""

from __future__ import annotations

import gc
import linecache
import logging
import os
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from captures import capture, taken
from test_exceptions import GROUP, caught, raised

from eventlog_handlers.process.own_traffic import reading
from eventlog_handlers.record import exceptions, frames
from eventlog_handlers.record.captured import Capture, whole
from eventlog_handlers.record.dialects import OTEL_API
from eventlog_handlers.record.simple_exceptions import link_of, simple


class OutOfStockError(Exception):
    """An application's own, that keeps more than it says."""

    def __init__(self, item: str) -> None:
        super().__init__(item)
        self.item = [item]


class LeanError(LookupError):
    """With slots."""

    __slots__ = ("item",)


class NoKeyError(KeyError):
    """An application's own."""


def _info(value: BaseException) -> tuple[Any, ...]:
    return type(value), value, value.__traceback__


def _seen(link: Any) -> dict[str, Any]:
    return {name: getattr(link, name) for name in exceptions.Link.__slots__}


SIMPLE: list[BaseException] = [
    ValueError(), ValueError(""), ValueError("no"), ValueError("a\nb\x00\ud800é"),
    KeyError(), KeyError("it's"), KeyError("\U0010ffff" * (exceptions.MAX_MESSAGE // 10)),
    OutOfStockError("hat"), LeanError("hat"), NoKeyError("hat"),
    SystemExit("bye"), KeyboardInterrupt(), ZeroDivisionError("division by zero"),
]  # fmt: skip


@pytest.mark.parametrize("depth", [None, 0, 9, frames.FRAMES_FIRST + frames.FRAMES_LAST + 5])
@pytest.mark.parametrize("value", SIMPLE, ids=lambda value: ascii(value)[:30])
def test_a_simple_exception_is_as_the_long_way_makes_it(value: BaseException, depth: int | None) -> None:
    """To the last slot."""
    error = type(value)(*value.args)
    if depth is not None:
        error = raised(error, depth)

    found = simple(_info(error))

    assert found is not None
    assert _seen(link_of(found)) == _seen(exceptions.capture(error, error.__traceback__, []))


def test_a_context_that_is_not_shown_keeps_an_exception_simple() -> None:
    """``raise … from None``."""
    error = caught("try:\n    1 / 0\nexcept ArithmeticError:\n    raise ValueError('no') from None")

    found = simple(_info(error))

    assert found is not None
    assert link_of(found).suppress
    assert _seen(link_of(found)) == _seen(exceptions.capture(error, error.__traceback__, []))


def _ran(*_: object) -> Any:
    raise AssertionError("code of the application ran")


class _Meta(type):
    __hash__ = __eq__ = __getattribute__ = _ran  # type: ignore[assignment]


class _Text(str):
    __slots__ = ()
    __str__ = __repr__ = _ran


def _noted() -> BaseException:
    error = ValueError("no")
    error.__notes__ = ["a note"]  # type: ignore[attr-defined]
    return error


def _odd(**defined: Any) -> Callable[[], BaseException]:
    return lambda: type("Odd", (type("Base", (ValueError,), defined),), {})("no")


OTHERS: dict[str, Callable[[], BaseException]] = {
    "a cause": lambda: caught("raise ValueError('no') from KeyError('hat')"),
    "a context": lambda: caught("try:\n    1 / 0\nexcept ArithmeticError:\n    raise ValueError('no')"),
    "notes": _noted,
    "two arguments": lambda: ValueError("no", "hat"),
    "a number": lambda: ValueError(5),
    "a text of a class of its own": lambda: ValueError(_Text("no")),
    "a long text": lambda: ValueError("x" * (exceptions.MAX_MESSAGE // 10 + 1)),
    "a text that the system gave": lambda: caught("open('/no/such/place')"),
    "a text of bytes": lambda: caught("b'\\xff'.decode()"),
    "a caret": lambda: caught("exec('a b')"),
    "its own __cause__": _odd(__cause__=property(_ran)),
    "its own __context__": _odd(__context__=property(_ran)),
    "its own __notes__": _odd(__notes__=property(_ran)),
    "its own __suppress_context__": _odd(__suppress_context__=property(_ran)),
    "its own __str__": _odd(__str__=_ran),
    "its own __getattr__": _odd(__getattr__=_ran),
    "its own __getattribute__": _odd(__getattribute__=_ran),
    "a __getattr__ of a class beside": lambda: type(
        "Odd", (ValueError, type("Mixin", (), {"__getattr__": _ran})), {}
    )("no"),
    "a class without a module": lambda: caught("raise type('Odd', (ValueError,), {})('no')"),
    "a class of a class of its own": lambda: _Meta("Odd", (ValueError,), {})("no"),
}
if GROUP is not None:
    OTHERS["members"] = lambda: GROUP("no", [ValueError("no")])
    OTHERS["members and the text of others"] = lambda: type(
        "Odd", (GROUP,), {"__str__": BaseException.__str__}
    )("no", [ValueError("no")])


@pytest.mark.parametrize("what", OTHERS)
def test_what_may_be_more_is_not_simple(what: str) -> None:
    """And nothing of the application runs to find that out."""
    error = OTHERS[what]()

    assert simple((type, error, None)) is None


@pytest.mark.parametrize("name", ["NameError", "AttributeError", "ImportError", "SyntaxError"])
def test_what_the_library_has_more_to_say_of_is_not_simple(name: str) -> None:
    """ "Did you mean" is found in the live objects; by CPython 3.11, of all versions, for syntax alone."""
    error = getattr(__import__("builtins"), name)("no")

    is_plain = sys.version_info[:2] == (3, 11) and name in ("NameError", "AttributeError")
    assert (simple(_info(error)) is not None) is is_plain


@pytest.mark.parametrize(
    "exc_info",
    [
        None, True, 5, (), (None, None, None), ValueError("no"), (ValueError, ValueError("no")),
        (ValueError, "no", None), (ValueError, ValueError("no"), "no traceback"),
        [ValueError, ValueError("no"), None],
        (ValueError, ValueError("no"), types.SimpleNamespace(tb_frame=None)),
    ],
    ids=str,
)  # fmt: skip
def test_other_forms_of_exc_info_are_not_simple(exc_info: Any) -> None:
    """They are for ``exception_of``."""
    assert simple(exc_info) is None


@pytest.mark.parametrize("text_of", [lambda error: "patched in", object.__str__])
def test_a_text_that_was_put_into_the_class_later_is_asked(text_of: Any) -> None:
    """The class was simple when it was judged."""
    kind: Any = type("PatchedError", (ValueError,), {})
    assert simple(_info(kind("no"))) is not None

    kind.__str__ = text_of

    assert simple(_info(kind("no"))) is None


def _record(error: BaseException, **fields: Any) -> logging.LogRecord:
    record = logging.LogRecord("shop", logging.ERROR, "shop.py", 5, "order %s", ("A-1",), _info(error))  # type: ignore[arg-type]
    record.__dict__.update(fields)
    return record


@pytest.mark.parametrize("exc_text", [None, "Traceback that a handler before ours printed"])
def test_the_event_of_a_simple_exception_is_that_of_the_long_way(
    monkeypatch: pytest.MonkeyPatch, exc_text: str | None
) -> None:
    """The printed text is not looked at where the exception is there."""
    monkeypatch.delitem(sys.modules, OTEL_API, raising=False)  # it may have a span
    record = _record(raised(ValueError("no"), 3), exc_text=exc_text, user="u-1")

    found = taken(record)

    assert not isinstance(found, Capture)
    one, other = whole(found), capture(record)
    assert _seen(one.exception) == _seen(other.exception)
    assert one._replace(id_bits=0, exception=None) == other._replace(id_bits=0, exception=None)
    assert exc_text not in one.fields or exc_text is None


def test_a_simple_exception_is_not_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor are its frames' variables."""
    monkeypatch.delitem(sys.modules, OTEL_API, raising=False)

    class Local:
        pass

    def fail(local: Local) -> None:
        raise OutOfStockError("hat")

    local = Local()
    try:
        fail(local)
    except OutOfStockError as error:
        dead = [weakref.ref(local), weakref.ref(error)]
        found = taken(_record(error))
        error.__traceback__ = None
    del local
    gc.collect()

    assert not isinstance(found, Capture)
    assert [reference() for reference in dead] == [None, None]


class _LoggingLoader:
    """Logs an exception from its module as often as it is asked for its source."""

    def __init__(self) -> None:
        self.depths: list[int] = []

    @property
    def get_source(self) -> Any:
        self.depths.append(reading.depth)
        assert len(self.depths) < 9, "it never ends"
        assert simple(_info(self.error())) is not None
        return lambda name: "raise ValueError('no')\n"

    def error(self) -> BaseException:
        code = compile("raise ValueError('no')", f"{os.sep}no{os.sep}such{os.sep}file.py", "exec")
        try:
            exec(code, {"__name__": "archived", "__loader__": self})
        except ValueError as error:
            return error
        raise AssertionError


def test_a_loader_that_logs_while_it_is_asked_for_source_does_so_for_a_while_only() -> None:
    """As a value does that logs while it is printed."""
    linecache.clearcache()
    loader = _LoggingLoader()

    assert simple(_info(loader.error())) is not None

    assert loader.depths == [1, 2]
    assert reading.depth == 0
