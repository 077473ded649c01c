"""Making text fit: sizes as the services count them, cuts that show, characters that pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog_handlers.text.fit import clean, cut, one_line, utf8_size

any_text = st.text(st.characters(), max_size=300)  # lone surrogates too


def json_size(text: str) -> int:
    return len(json.dumps(text)) - 2


def form_size(text: str) -> int:
    return len(quote_plus(text, errors="replace"))


@pytest.mark.parametrize(
    ("text", "size"), [("", 0), ("abc", 3), ("é", 2), ("超", 3), ("😀", 4), ("\ud800", 3)]
)
def test_utf8_size_counts_bytes(text: str, size: int) -> None:
    """Sizes are bytes, not characters, and a lone surrogate does not raise."""
    assert utf8_size(text) == size


@given(any_text)
def test_utf8_size_is_that_of_the_cleaned_text(text: str) -> None:
    """What was measured is what is sent: the count equals the encoded length once surrogates are replaced."""
    replaced = "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)

    assert utf8_size(text) == len(replaced.encode())


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain\ttext\r\n", "plain\ttext\r\n"),
        ("nul \x00 bell \x07 escape \x1b[31m", "nul \\x00 bell \\x07 escape \\x1b[31m"),
        ("\x0b\x0c\x7f\x85", "\\x0b\\x0c\\x7f\\x85"),
        ("\ud83d and \ufeff", "\ufffd and \\ufeff"),
        ("超 😀 é", "超 😀 é"),
    ],
)
def test_clean_leaves_what_a_body_may_hold(text: str, cleaned: str) -> None:
    """Layout stays, controls become visible, a lone surrogate the replacement character."""
    assert clean(text) == cleaned


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one line", "one line"),
        ("two\r\nlines\tand tab", "two  lines and tab"),
        ("a\u2028b\u2029c", "a b c"),
        ("user \u202etxt.exe", "user \\u202etxt.exe"),
        ("\x1b[2J\x00", "\\x1b[2J\\x00"),
        ("\udfff", "\ufffd"),
    ],
)
def test_one_line_is_one_line(text: str, line: str) -> None:
    """Breaks become blanks; what would hide or reorder text is made visible."""
    assert one_line(text) == line


@given(any_text)
def test_cleaned_text_can_be_encoded_and_stays(text: str) -> None:
    """Both forms encode as strict UTF-8, and cleaning twice changes nothing."""
    for form in (clean, one_line):
        once = form(text)

        assert once.encode("utf-8")[:0] == b""
        assert form(once) == once
    assert len(one_line(text).splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "room", "tail", "shortened"),
    [
        ("fits", 4, 0.0, "fits"),
        ("x" * 100, 40, 0.0, "x" * 13 + "… [cut: 100 bytes in all]"),
        ("超" * 40, 40, 0.0, "超" * 4 + "… [cut: 120 bytes in all]"),
        ("超" * 40, 7, 0.0, "超超"),
        ("超", 2, 0.0, ""),
        ("abc", 0, 0.0, ""),
        ("abc", -5, 0.5, ""),
        ("h" * 50 + "t" * 50, 52, 0.5, "h" * 10 + "\n… [cut: 100 bytes in all] …\n" + "t" * 9),
    ],
)
def test_cut_shows_itself_and_falls_between_characters(
    text: str, room: int, tail: float, shortened: str
) -> None:
    """What fits stays; the rest is head, mark and tail, or a bare head where no mark fits."""
    assert cut(text, room, tail=tail) == shortened


@given(
    any_text,
    st.integers(0, 400),
    st.sampled_from([0.0, 0.3, 0.6, 1.0]),
    st.sampled_from([utf8_size, json_size, form_size]),
)
def test_cut_never_exceeds_its_room(text: str, room: int, tail: float, size: Callable[[str], int]) -> None:
    """By whatever count, the result fits, and uses nearly all of the room where something was cut."""
    shortened = cut(text, room, size=size, tail=tail)

    assert size(shortened) <= room
    if size(text) <= room:
        assert shortened == text
    elif "[cut:" in shortened:
        assert size(shortened) > room - 24  # two characters' worth
