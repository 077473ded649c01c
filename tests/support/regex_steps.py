"""How many steps a regular expression takes, counted and not timed: the same on every machine.

``steps`` plays a backtracking matcher over the parse tree that ``re`` itself makes of a pattern, and counts
each character that is looked at and each alternative that is tried. CPython's matcher works in the same order
but knows short cuts, so it never takes more steps than are counted here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

if sys.version_info >= (3, 11):
    from re import _constants as c
    from re import _parser as parser
else:
    import sre_constants as c
    import sre_parse as parser

Continuation = Callable[[int], bool]
Matcher = Callable[[int, Continuation], bool]


class TooManyStepsError(Exception):
    """More than *most* steps."""


class Counting:
    """The matcher of one *pattern* over one *text*, up to *end*."""

    def __init__(self, pattern: re.Pattern[str], text: str, end: int, most: int) -> None:
        self.text, self.end, self.most, self.steps = text, end, most, 0
        self.ignores_case = bool(pattern.flags & re.IGNORECASE)
        self.is_ascii = bool(pattern.flags & re.ASCII)
        self.dot_all = bool(pattern.flags & re.DOTALL)
        self.multi_line = bool(pattern.flags & re.MULTILINE)
        self.groups: dict[int, tuple[int, int]] = {}
        self.matcher = self.sequence(parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE))

    def match(self, at: int) -> int | None:
        """Where a match that begins at *at* ends; None if there is none."""
        ends: list[int] = []

        def done(end: int) -> bool:
            ends.append(end)
            return True

        self.groups.clear()
        return ends[0] if self.matcher(at, done) else None

    def step(self, count: int = 1) -> None:
        self.steps += count
        if self.steps > self.most:
            raise TooManyStepsError(f"more than {self.most} steps over {len(self.text)} characters")

    # ---- the tree as functions

    def sequence(self, items: Any) -> Matcher:
        matchers = [self.one(code, argument) for code, argument in items]

        def run(at: int, then: Continuation, index: int = 0) -> bool:
            if index == len(matchers):
                return then(at)
            return matchers[index](at, lambda end: run(end, then, index + 1))

        return run

    def one(self, code: Any, argument: Any) -> Matcher:
        fits = self.character(code, argument)
        if fits is not None:
            is_in = fits

            def single(at: int, then: Continuation) -> bool:
                self.step()
                return at < self.end and is_in(self.text[at]) and then(at + 1)

            return single
        if code in (c.MAX_REPEAT, c.MIN_REPEAT):
            return self.repeat(*argument, is_greedy=code is c.MAX_REPEAT)
        if code is c.SUBPATTERN:
            number, inner = argument[0], self.sequence(argument[-1])

            def group(at: int, then: Continuation) -> bool:
                def closed(end: int) -> bool:
                    before = self.groups.get(number)
                    self.groups[number] = at, end
                    if then(end):
                        return True
                    if before is not None:
                        self.groups[number] = before
                    return False

                return inner(at, closed)

            return group
        if code is c.BRANCH:
            branches = [self.sequence(branch) for branch in argument[1]]

            def branch(at: int, then: Continuation) -> bool:
                self.step()
                return any(one(at, then) for one in branches)

            return branch
        if code in (c.ASSERT, c.ASSERT_NOT):
            direction, looked_for = argument
            inner, width = self.sequence(looked_for), looked_for.getwidth()[0]

            def look(at: int, then: Continuation) -> bool:
                start = at if direction > 0 else at - width
                found = start >= 0 and inner(start, lambda end: direction > 0 or end == at)
                return found is (code is c.ASSERT) and then(at)

            return look
        if code is c.AT:
            return lambda at, then: self.is_at(argument, at) and then(at)
        raise NotImplementedError(f"{code} in a pattern: teach regex_steps what it does")

    def repeat(self, least: int, most: Any, inner: Any, *, is_greedy: bool) -> Matcher:
        limit = sys.maxsize if most is c.MAXREPEAT else int(most)
        fits = self.character(*inner[0]) if len(inner) == 1 else None
        if fits is not None:
            is_in = fits

            def run(at: int, then: Continuation) -> bool:
                stop = min(self.end, at + limit)
                if is_greedy:
                    last = at
                    while last < stop and is_in(self.text[last]):
                        last += 1
                    self.step(last - at + 1)
                    for end in range(last, at + least - 1, -1):
                        self.step()
                        if then(end):
                            return True
                    return False
                end = at
                while True:
                    self.step()
                    if end - at >= least and then(end):
                        return True
                    if end >= stop or not is_in(self.text[end]):
                        return False
                    end += 1

            return run
        body = self.sequence(inner)

        def again(at: int, then: Continuation, count: int = 0) -> bool:
            self.step()

            def more() -> bool:
                return count < limit and body(
                    at, lambda end: (end > at or count < least) and again(end, then, count + 1)
                )

            if is_greedy:
                return more() or (count >= least and then(at))
            return (count >= least and then(at)) or more()

        return again

    # ---- characters

    def character(self, code: Any, argument: Any) -> Callable[[str], bool] | None:
        """Whether a character fits; None for what is not one character."""
        if code is c.LITERAL:
            wanted = self.folded(chr(argument))
            return lambda letter: self.folded(letter) == wanted
        if code is c.NOT_LITERAL:
            unwanted = self.folded(chr(argument))
            return lambda letter: self.folded(letter) != unwanted
        if code is c.ANY:
            return lambda letter: self.dot_all or letter != "\n"
        if code is c.IN:
            # By ``re`` itself: what is in a class is none of our business here, how often it is asked is.
            return self.in_class(argument)
        return None

    def in_class(self, items: Any) -> Callable[[str], bool]:
        is_negated = bool(items) and items[0][0] is c.NEGATE
        tests = [self.class_item(code, argument) for code, argument in items if code is not c.NEGATE]
        known: dict[str, bool] = {}

        def fits(letter: str) -> bool:
            if letter not in known:
                known[letter] = any(test(letter) for test in tests) is not is_negated
            return known[letter]

        return fits

    def class_item(self, code: Any, argument: Any) -> Callable[[str], bool]:
        if code is c.LITERAL:
            wanted = self.folded(chr(argument))
            return lambda letter: self.folded(letter) == wanted
        if code is c.RANGE:
            low, high = argument
            spellings = (str.lower, str.upper, str) if self.ignores_case else (str,)
            return lambda letter: any(low <= ord(spell(letter)[0]) <= high for spell in spellings)
        if code is c.CATEGORY:
            escape = {
                c.CATEGORY_DIGIT: r"\d", c.CATEGORY_NOT_DIGIT: r"\D", c.CATEGORY_SPACE: r"\s",
                c.CATEGORY_NOT_SPACE: r"\S", c.CATEGORY_WORD: r"\w", c.CATEGORY_NOT_WORD: r"\W",
            }[argument]  # fmt: skip
            category = re.compile(escape, re.ASCII if self.is_ascii else 0)
            return lambda letter: category.match(letter) is not None
        raise NotImplementedError(f"{code} in a class: teach regex_steps what it does")

    def folded(self, letter: str) -> str:
        return letter.lower() if self.ignores_case else letter

    def is_at(self, where: Any, at: int) -> bool:
        if where in (c.AT_BEGINNING, c.AT_BEGINNING_STRING):
            return at == 0 or (self.multi_line and where is c.AT_BEGINNING and self.text[at - 1] == "\n")
        if where is c.AT_END_STRING:
            return at == self.end
        if where is c.AT_END:
            return at == self.end or (self.text[at] == "\n" and (self.multi_line or at == self.end - 1))
        before = at > 0 and self.is_word(self.text[at - 1])
        after = at < self.end and self.is_word(self.text[at])
        return (before != after) is (where is c.AT_BOUNDARY)

    def is_word(self, letter: str) -> bool:
        return letter == "_" or (letter.isalnum() and (letter.isascii() or not self.is_ascii))


@contextmanager
def deep_recursion() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(60_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def steps(
    pattern: re.Pattern[str],
    text: str,
    how: str = "search",
    at: int = 0,
    end: int | None = None,
    most: int = 20_000_000,
) -> int:
    """Steps of ``pattern.<how>(text, at, end)``: match, fullmatch, search, or sub and findall."""
    counting = Counting(pattern, text, len(text) if end is None else min(end, len(text)), most)
    with deep_recursion():
        if how in ("match", "fullmatch"):
            found = counting.match(at)
            expected = pattern.match(text, at, counting.end)
            assert how != "match" or found == (None if expected is None else expected.end()), "played wrongly"
            return counting.steps
        start = at
        while start <= counting.end:
            counting.step()
            found = counting.match(start)
            if found is None:
                start += 1
            elif how == "search":
                break
            else:
                start = max(found, start + 1)
    return counting.steps
