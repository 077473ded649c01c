"""Exceptions: what is captured, what is let go, and that the text is the standard library's to the byte."""

from __future__ import annotations

import builtins
import gc
import linecache
import sys
import traceback
import tracemalloc
import types
import weakref
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlog_handlers.events import ExceptionText
from eventlog_handlers.record import exceptions, frames, traceback_text
from eventlog_handlers.record.simple_exceptions import link_of, simple

GROUP: Any = getattr(builtins, "BaseExceptionGroup", None)  # built in from 3.11 on


def printed(value: BaseException) -> ExceptionText:
    """As a log call takes it; a simple one in both ways."""
    text = traceback_text.render(exceptions.capture(value, value.__traceback__, []))
    found = simple((type(value), value, value.__traceback__))
    assert found is None or traceback_text.render(link_of(found)) == text
    return text


def expected(value: BaseException) -> str:
    return "".join(traceback.format_exception(type(value), value, value.__traceback__)).removesuffix("\n")


def raised(value: BaseException, depth: int = 0) -> BaseException:
    """*value* with a traceback of real frames."""

    def deeper(left: int) -> int:
        return deeper(left - 1) + 1 if left else fail()

    def fail() -> int:
        raise value

    try:
        # Several lines, wide characters and an operator: what carets are drawn under.
        wide = "漢字" + str(1 / 1)
        _ = (
            wide,
            deeper(depth),
        )
    except BaseException as caught:
        return caught
    raise AssertionError


def caught(code: str, **names: Any) -> BaseException:
    """What *code* raises, live objects and suggestions included."""
    try:
        exec(compile(code, "<generated>", "exec"), names)
    except BaseException as error:
        return error
    raise AssertionError


class OutOfStockError(Exception):
    """An application's own."""


class UnprintableError(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class MisplacedError(Exception):
    """Its module is no text."""

    __module__ = 5  # type: ignore[assignment]


class NotTextError(Exception):
    """Its text is no text."""

    def __str__(self) -> str:
        return None  # type: ignore[return-value]


class Person:
    """Has an attribute that is easily mistyped."""

    def __init__(self) -> None:
        self.surname = "Knuth"

    def greet(self) -> str:
        return surname  # type: ignore[name-defined,no-any-return]  # noqa: F821


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
SIMPLE = st.sampled_from(
    (
        ValueError,
        KeyError,
        OSError,
        Exception,
        OutOfStockError,
        UnprintableError,
        MisplacedError,
        NotTextError,
    )
)
CAUGHT = (
    ("def f(:\n  pass", {}),
    ("x = 1 +\n", {}),
    ("from os import pathh", {}),
    ("import nowhere_at_all", {}),
    ("surnam", {"surname": 1}),
    ("sys.path", {}),
    ("person.surnme", {"person": Person()}),
    ("person.greet()", {"person": Person()}),
    ("None.strip", {}),
    ("raise SyntaxError('bare')", {}),
    ("raise SyntaxError('odd', ('f.py', 3, 400, 'a b c'))", {}),
    ("raise KeyboardInterrupt", {}),
    ("1 / 0", {}),
    ("[[1]][0][3]", {}),
)
NOTES = st.one_of(
    st.none(),
    st.lists(TEXT, max_size=3),
    st.sampled_from(("a note that is no list", 5, (1, "two"), [None, UnprintableError()], {"a": 1})),
)


@st.composite
def graphs(draw: st.DrawFn) -> BaseException:
    """A graph of exceptions: causes, contexts, suppression, groups, notes, and cycles in all of them."""
    made: list[BaseException] = []
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.integers(0, 3))
        if kind == 0:
            code, names = draw(st.sampled_from(CAUGHT))
            value = caught(code, **names)
        elif kind == 1 and made and GROUP:
            members = draw(st.lists(st.sampled_from(made), min_size=1, max_size=4))
            value = GROUP(draw(TEXT), members)
        else:
            value = draw(SIMPLE)(*draw(st.lists(TEXT, max_size=2)))
        if draw(st.booleans()):
            value = raised(value, draw(st.integers(0, 6)))
        notes = draw(NOTES)
        if notes is not None:
            value.__notes__ = notes  # type: ignore[attr-defined]
        made.append(value)
    for value in made:
        for link in ("__cause__", "__context__"):
            if draw(st.booleans()):
                setattr(value, link, draw(st.sampled_from(made)))
        if draw(st.booleans()):
            value.__suppress_context__ = draw(st.booleans())
    return draw(st.sampled_from(made))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(graphs())
def test_any_exception_prints_as_the_standard_library_prints_it(value: BaseException) -> None:
    """Causes, contexts, groups, notes, suggestions and carets: not a byte differs."""
    text = printed(value)

    assert text.stacktrace == expected(value)


@pytest.mark.parametrize(("code", "names"), CAUGHT)
def test_last_lines_that_need_live_objects_are_the_libraries(code: str, names: dict[str, Any]) -> None:
    """Syntax errors and suggestions are worded while the objects still live."""
    value = caught(code, **names)

    assert printed(value).stacktrace == expected(value)


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 4, 40, 180])
def test_recursion_is_folded_as_the_library_folds_it(depth: int) -> None:
    """Repeated frames are counted, not repeated."""
    value = raised(ValueError("deep"), depth)

    assert printed(value).stacktrace == expected(value)


@pytest.mark.usefixtures("no_collection")
def test_recursion_to_the_limit_prints_the_same() -> None:
    """A RecursionError's thousand frames are few distinct ones."""

    def forever() -> None:
        forever()

    try:
        forever()
    except RecursionError as error:
        value = error

    text = printed(value)

    assert text.stacktrace == expected(value)


def test_a_deep_traceback_keeps_both_ends_and_says_what_is_missing() -> None:
    """Mutual recursion folds into nothing: first and last frames stay."""

    def ping(left: int) -> None:
        pong(left - 1)

    def pong(left: int) -> None:
        if left <= 0:
            raise ValueError("bottom")
        ping(left - 1)

    try:
        ping(600)
    except ValueError as error:
        value = error

    text = printed(value)

    count = len(list(traceback.walk_tb(value.__traceback__)))
    kept = frames.FRAMES_FIRST + frames.FRAMES_LAST
    assert f"[… {count - kept} frames left out …]" in text.stacktrace
    assert text.stacktrace.count('  File "') == kept
    assert text.stacktrace.startswith(expected(value)[:200])
    assert text.stacktrace.endswith('raise ValueError("bottom")\nValueError: bottom')


def test_a_hundred_thousand_frames_are_walked_within_bounds() -> None:
    """The walk keeps a fixed number of entries, however deep the traceback."""
    tb = None
    value = raised(ValueError("far"))
    assert value.__traceback__ is not None
    entries = [entry.tb_frame for entry in _entries(value.__traceback__)]
    for index in range(100_000):
        tb = types.TracebackType(tb, entries[index % len(entries)], 2, 1)

    link = exceptions.capture(value, tb, [])

    assert len(link.frames) == frames.FRAMES_FIRST + frames.FRAMES_LAST + 1
    assert sum(entry[3] for entry in link.frames) == 100_000


def _entries(tb: types.TracebackType | None) -> Any:
    while tb is not None:
        yield tb
        tb = tb.tb_next


def test_a_long_chain_keeps_both_ends() -> None:
    """Of three thousand linked exceptions the first and the root stay, and the gap is said."""
    value = BaseException("root")
    for index in range(3_000):
        below, value = value, ValueError(f"link {index}")
        value.__context__ = below

    defects: list[str] = []
    text = traceback_text.render(exceptions.capture(value, None, defects))

    assert len(text.chain) == exceptions.LINKS_FIRST + exceptions.LINKS_LAST
    assert text.chain[-1] == "BaseException"
    assert text.stacktrace.startswith("BaseException: root\n")
    assert text.stacktrace.endswith("\nValueError: link 2999")
    assert "[… 2951 exceptions of the chain left out …]" in text.stacktrace
    assert defects == ["exception: 2951 of a chain left out"]


@pytest.mark.parametrize("attribute", ["__cause__", "__context__"])
def test_a_chain_without_end_is_followed_for_a_while(attribute: str) -> None:
    """A property may make a new exception at each look: the log call returns, and says that it gave up."""

    class EndlessError(Exception):
        made = 0

    def another(self: EndlessError) -> EndlessError:
        EndlessError.made += 1
        assert EndlessError.made < 10 * exceptions.LINKS_FOLLOWED, "followed without end"
        return EndlessError("another")

    setattr(EndlessError, attribute, property(another))
    defects: list[str] = []

    text = traceback_text.render(exceptions.capture(EndlessError("top"), None, defects))

    assert len(text.chain) < exceptions.LINKS_IN_ALL
    assert (
        f"exception: a chain was followed for {exceptions.LINKS_FOLLOWED} exceptions, not to its end"
        in defects
    )


def test_a_traceback_that_is_none_is_not_walked() -> None:
    """A property may give an object that always has one more entry."""

    class Endless:
        def __getattr__(self, name: str) -> Any:
            return self

    class OddError(Exception):
        __traceback__ = property(lambda self: Endless())  # type: ignore[assignment]

    value = OddError("odd")
    above = ValueError("above")
    above.__cause__ = value

    text = traceback_text.render(exceptions.capture(above, None, []))

    assert text.chain[0] == "ValueError"
    assert "OddError: odd" in text.stacktrace
    assert exceptions.outline(above, None, []) is None


@pytest.mark.skipif(GROUP is None, reason="exception groups are built in from 3.11 on")
def test_a_group_that_claims_a_billion_members_costs_none_of_them() -> None:
    """The printer says how many are left out; no list of that length is made for it."""

    class Claiming(list[BaseException]):
        def __len__(self) -> int:
            return 10**9

    class BoastfulGroup(GROUP):  # type: ignore[misc, valid-type]
        exceptions = property(lambda self: Claiming([ValueError("one")]))

    tracemalloc.start()
    try:
        text = traceback_text.render(exceptions.capture(BoastfulGroup("many", [ValueError("one")]), None, []))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert "ValueError: one" in text.stacktrace
    assert "and 999999985 more exceptions" in text.stacktrace
    assert peak < 50_000_000


def test_a_chain_just_within_bounds_is_complete() -> None:
    """Fifty links print as the library prints them."""
    value: BaseException = OutOfStockError("root")
    for index in range(49):
        below, value = value, ValueError(index)
        value.__cause__ = below

    assert printed(value).stacktrace == expected(value)


@pytest.mark.skipif(GROUP is None, reason="exception groups are built in from 3.11 on")
@pytest.mark.parametrize("width", [1, 14, 15, 16, 17, 100])
def test_wide_groups_print_the_same(width: int) -> None:
    """Members past the fifteenth are only counted, as the library does."""
    value = raised(GROUP("many", [raised(ValueError(index)) for index in range(width)]))

    text = printed(value)

    assert text.stacktrace == expected(value)
    assert text.chain == ("ExceptionGroup",)


@pytest.mark.skipif(GROUP is None, reason="exception groups are built in from 3.11 on")
@pytest.mark.parametrize("depth", [1, 9, 10, 11, 12, 20])
def test_nested_groups_print_the_same(depth: int) -> None:
    """Groups in groups end where the library ends them."""
    value: BaseException = raised(ValueError("seed"))
    for level in range(depth):
        value = raised(GROUP(f"level {level}", [value, KeyError(level)]))

    assert printed(value).stacktrace == expected(value)


@pytest.mark.skipif(GROUP is None, reason="exception groups are built in from 3.11 on")
def test_a_tree_of_groups_is_bounded() -> None:
    """A million leaves cost no more than the links allowed in all."""
    value: BaseException = ValueError("leaf")
    for level in range(6):
        value = GROUP(f"level {level}", [value] * 10)

    defects: list[str] = []
    text = traceback_text.render(exceptions.capture(value, None, defects))

    assert defects == [f"exception: more than {exceptions.LINKS_IN_ALL} linked exceptions"]
    assert "[… left out …]" in text.stacktrace


def test_nothing_of_an_exception_is_kept_alive() -> None:
    """A local of the failed frame dies with the exception, without the garbage collector's help."""

    class Local:
        pass

    dead: list[weakref.ref[Any]] = []

    def fail() -> None:
        local = Local()
        dead.append(weakref.ref(local))
        try:
            raise KeyError(local)
        except KeyError:
            raise OutOfStockError("outer") from None

    gc.disable()
    try:
        try:
            fail()
        except OutOfStockError as error:
            dead.append(weakref.ref(error))
            link = exceptions.capture(error, error.__traceback__, [])

        assert [reference() for reference in dead] == [None, None]
        assert traceback_text.render(link).message == "outer"
    finally:
        gc.enable()


def test_the_text_of_a_broken_exception_names_the_defect() -> None:
    """A __str__ that raises costs the message, not the event."""
    defects: list[str] = []
    value = UnprintableError()

    link = exceptions.capture(value, None, defects)

    assert len(defects) == 1
    assert "UnprintableError raised RuntimeError" in defects[0]
    assert link.message == "<exception str() failed>"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_wish_to_stop_passes(stop: type[BaseException]) -> None:
    """Control-C in the middle of a __str__ is the user's, not ours."""

    class StoppingError(Exception):
        def __str__(self) -> str:
            raise stop

    with pytest.raises(stop):
        exceptions.capture(StoppingError(), None, [])


def test_a_huge_message_is_cut() -> None:
    """A hundred megabytes of message become a bounded text with a mark."""
    text = printed(ValueError("x" * 10_000_000))

    assert len(text.message) == exceptions.MAX_MESSAGE
    assert text.message.endswith("[cut: 10000000 characters in all]")


def test_type_and_chain_are_as_printed() -> None:
    """The module is part of the name but for builtins; the chain follows what is printed."""
    value = OutOfStockError("none left")
    value.__cause__ = KeyError("sku")
    value.__cause__.__context__ = ValueError("hidden")
    value.__cause__.__suppress_context__ = True

    text = printed(value)

    assert text.type == f"{__name__}.OutOfStockError"
    assert text.message == "none left"
    assert text.chain == (f"{__name__}.OutOfStockError", "KeyError")


def test_source_lines_come_from_a_loader_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module imported from an archive shows its lines."""
    file = "/nowhere/archive.zip/parcel.py"
    source = "def fail():\n    raise ValueError('from the archive')\n"

    class Loader:
        @staticmethod
        def get_source(name: str) -> str:
            return source

    names: dict[str, Any] = {"__name__": "parcel", "__loader__": Loader(), "__spec__": None}
    exec(compile(source, file, "exec"), names)
    monkeypatch.delitem(linecache.cache, file, raising=False)
    try:
        names["fail"]()
    except ValueError as error:
        value = error

    text = printed(value)

    assert "raise ValueError('from the archive')\n" in text.stacktrace
    assert text.stacktrace == expected(value)


def test_a_changed_source_file_is_read_anew(tmp_path: Any) -> None:
    """The cache of printed frames does not outlive the file they were printed from."""
    file = tmp_path / "changing.py"
    file.write_text("def fail():\n    raise ValueError(1)\n")
    names: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), names)
    try:
        names["fail"]()
    except ValueError as error:
        value = error
    before = printed(value)
    file.write_text("def fail():\n    raise ValueError(1)  # edited\n")

    after = printed(value)

    assert "edited" not in before.stacktrace
    assert after.stacktrace == expected(value)
    assert "# edited" in after.stacktrace


@pytest.mark.parametrize("limit", [-1, 0, 1, 2, 1000])
def test_sys_tracebacklimit_is_honoured(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who set a limit for the interpreter's tracebacks gets it here too."""
    value = raised(ValueError("limited"), 3)
    monkeypatch.setattr(sys, "tracebacklimit", limit, raising=False)

    assert printed(value).stacktrace == expected(value)


@pytest.mark.parametrize(
    ("text", "type_name", "message"),
    [
        ("Traceback (most recent call last):\n  File x\nKeyError: 'a'\n", "KeyError", "'a'"),
        ("Traceback (most recent call last):\n  File x\nshop.errors.Gone\n", "shop.errors.Gone", ""),
        ("something went wrong here", "Exception", "something went wrong here"),
        ("  only indented", "Exception", ""),
    ],
)
def test_printed_text_gives_type_and_message(text: str, type_name: str, message: str) -> None:
    """Where only the text of an exception is left, its last line is read."""
    found = traceback_text.parsed(text)

    assert (found.type, found.message) == (type_name, message)
    assert found.chain == (type_name,)
    assert found.stacktrace == text.strip("\n")
