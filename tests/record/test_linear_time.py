"""Text made to be hard costs in proportion to its length: counted in steps, never timed.

Every regular expression of the packages that read foreign text is found by itself, so a new one is under
these tests from its first day.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from regex_steps import TooManyStepsError, steps

import eventlog_handlers.estimate
import eventlog_handlers.record
import eventlog_handlers.text
from eventlog_handlers.record.redact import Redactor
from eventlog_handlers.text import lazy_patterns

CHEAP = 60
"""Steps a character that no pattern needs explaining for."""
GROWTH = 2.7
"""How many times the steps twice the text may cost: 2 is linear, 4 is quadratic. Bounds within a pattern
(``{0,200}``) make up the difference: a text only twice as long as a bound is not yet past it."""


def patterns_of(value: Any) -> Iterator[re.Pattern[str]]:
    if isinstance(value, lazy_patterns.Lazy):
        yield re.compile(value.pattern, value.flags)
    elif isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, (tuple, list)):
        for one in value:
            yield from patterns_of(one)
    elif isinstance(value, dict):
        yield from patterns_of(list(value.values()))


def all_patterns() -> dict[str, re.Pattern[str]]:
    found: dict[str, re.Pattern[str]] = {}
    for package in (eventlog_handlers.record, eventlog_handlers.text, eventlog_handlers.estimate):
        for module in pkgutil.iter_modules(package.__path__):
            place = f"{package.__name__}.{module.name}"
            if place == lazy_patterns.__name__:
                continue  # its list has the patterns of all packages
            for name, value in vars(importlib.import_module(place)).items():
                for number, pattern in enumerate(patterns_of(value)):
                    if pattern not in found.values():
                        found[f"{place.partition('.')[2]}.{name}.{number}"] = pattern
    return found


PATTERNS = all_patterns()

PIECES = [
    "a", "A", "Z", "0", "9", "_", "-", "--", " ", "\t", "\n", "\\", '"', "'", "=", ":", "://", "@", ".",
    ",", ";",
    "/", "|", "+", "[", "]", "(", "{", "%", "x", "é", "\x1b", 'File "', '", line 1', ", in ", "2026-11-20 ",
    "10:00:00", "ERROR", "eyJ", "-----BEGIN ", "PRIVATE KEY-----", "AKIA", "Bearer ", "token", "session",
    "pass",
    "key", "?Signature=", "xoxb-", "sk-", "https://hooks.slack.com/services/", "0x", "deadbeef", "Traceback",
    "stdout F ", "<locals>", "[redacted]",
]  # fmt: skip
pieces = st.sampled_from(PIECES)


def test_every_package_has_patterns_and_the_counter_agrees_with_re() -> None:
    """Or the tests below would test nothing."""
    assert {name.split(".")[0] for name in PATTERNS} == {"record", "text", "estimate"}
    assert len(PATTERNS) > 40


def test_the_counter_notices_quadratic_and_exponential_patterns() -> None:
    """It counts what a matcher would do."""
    assert not is_linear(re.compile(r"^x.+?\s*$"), "x", " ", "b")
    assert not is_linear(re.compile(r"\w+@"), "", "a", " ")
    assert not is_linear(re.compile(r"^(\w+\s?)*$"), "", "a", "!")
    assert is_linear(re.compile(r"\w{1,50}@"), "", "a", " ")


def is_linear(pattern: re.Pattern[str], head: str, pump: str, tail: str) -> bool:
    def cost(length: int) -> int:
        text = head + pump * (length // len(pump)) + tail
        return steps(pattern, text, "sub", most=1_000_000)

    try:
        once = cost(300)
        if once <= CHEAP * 300:
            return once <= 8 * 300 or cost(600) <= max(CHEAP * 300, GROWTH * once)
        return cost(1_600) <= GROWTH * cost(800)
    except TooManyStepsError:
        return False


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_takes_steps_in_proportion_to_the_text(name: str) -> None:
    """Whatever is repeated in it, whatever stands before and after."""
    pattern = PATTERNS[name]

    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),  # the others trace each line: ten times as slow
    )
    @given(
        st.lists(pieces, max_size=3).map("".join),
        st.lists(pieces, min_size=1, max_size=2).map("".join),
        st.lists(pieces, max_size=2).map("".join),
    )
    @example('File "x", line 1, in a', " ", "b")
    @example("", " ", "b")
    @example("", "a", "!")
    @example("", "a.", "!")
    @example("a", "-", "!")
    def holds(head: str, pump: str, tail: str) -> None:
        assert is_linear(pattern, head, pump, tail), (head, pump, tail)

    holds()


class Counted(str):
    """A text that counts how many of its characters are looked at or copied."""

    work = 0

    def lower(self) -> Counted:
        Counted.work += len(self)
        return Counted(super().lower())

    def __contains__(self, part: str) -> bool:  # type: ignore[override]
        Counted.work += len(self)
        return super().__contains__(part)

    def __getitem__(self, key: Any) -> str:
        part = super().__getitem__(key)
        Counted.work += len(part)
        return part

    def find(self, part: str, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        at = super().find(part, start, len(self) if end is None else end)
        Counted.work += (at if at >= 0 else len(self) if end is None else end) - start
        return at

    def rfind(self, part: str, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        end = len(self) if end is None else end
        at = super().rfind(part, start, end)
        Counted.work += end - max(at, start)
        return at


def work_of(text: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Steps of all regular expressions and characters of all searches that redacting *text* takes."""
    Counted.work = 0

    def counted(lazy: lazy_patterns.Lazy, how: str) -> Any:
        compiled = re.compile(lazy.pattern, lazy.flags)
        method = getattr(compiled, how)

        def run(*arguments: Any) -> Any:
            text, at, end = arguments, 0, None
            if how == "sub":
                _, text = arguments
            else:
                text, at, end = (*arguments, *[0, None][len(arguments) - 1 :])
            Counted.work += steps(compiled, str(text), how, at, end)
            return method(*arguments)

        return run

    with monkeypatch.context() as patched:
        for lazy in lazy_patterns.made():
            for how in ("search", "match", "fullmatch", "sub", "findall", "finditer"):
                patched.setitem(vars(lazy), how, counted(lazy, how))
        Redactor().text(Counted(text), is_traceback=True)
    return Counted.work


HARD = [
    "api_key=[[redacted", "api_key=[", "api_key=(", "tokens=1", "token=)", 'password="', "password=",
    "token: ",
    "session: aaaaaaaaaaaa", "pass: ", "password  ", "secret=a.", "authorization: ", "cookie: [redacted",
    "--token ",
    "a_key", "--password --", "auth_auth_", "password='\\", "keykeykey=", '  File "x", line 1\n    token=x\n',
    "\n    token=" + "x" * 50, " " * 30 + "\n token=", "x" * 100 + " token: a\n",
]  # fmt: skip


@pytest.mark.parametrize("piece", HARD, ids=repr)
def test_redaction_takes_work_in_proportion_to_the_text(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All its patterns and searches together, on a traceback and its source lines too."""
    small, large = (work_of(piece * (length // len(piece)), monkeypatch) for length in (600, 1_200))

    assert large <= GROWTH * small


def test_a_long_first_line_is_not_read_again_for_each_source_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which lines are source is told once for the whole text."""

    def work(lines: int) -> int:
        return work_of(" " * 1_000 + ("\n" + "y" * 300 + "\n" + "token=x " * 5) * lines, monkeypatch)

    assert work(8) - work(4) <= GROWTH * (work(4) - work(2))
