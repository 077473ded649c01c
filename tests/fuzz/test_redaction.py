"""A secret leaves a text whatever stands around it; any text survives, in time linear in its length."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from odd_json import TEXTS, values

from eventlog_handlers.events import ExceptionText
from eventlog_handlers.record.redact import Redactor
from eventlog_handlers.testing import make_event

REDACTOR = Redactor()
SECRET = "h7Kq2canaryZ9x"
NAMES = st.sampled_from([
    "password", "db_password", "dbPassword", "API_KEY", "apiKey", "x-api-key", "aws_secret_access_key",
    "token", "access_token", "client_secret", "Authorization", "passwd", "PGPASSWORD", "session_id",
    "private_key",
])  # fmt: skip
WORDS = st.one_of(
    st.text(max_size=20),
    st.text("=:;,'\"{}[]()<>&?@/\\ \n\t-_.ab", max_size=20),
    st.sampled_from([
        "GET /pay?x=1&", "postgres://", '{"user": "bob", ', "headers={",
        "  File \"shop.py\", line 3, in pay\n    ",
        "Bearer ", "token", "key=", "--", "curl -H '", "[redacted]", "\u202e", "a" * 300,
    ]),
)  # fmt: skip
SYNTAX = st.sampled_from([
    "{name}={secret}", "{name}='{secret}'", '{name}="{secret}"', "{name}: {secret}", "'{name}': '{secret}'",
    '"{name}": "{secret}"', '"{name}":"{secret}"', '\\"{name}\\": \\"{secret}\\"', "--{name} {secret}",
    "--{name}={secret}", "{name} = '{secret}'", "https://shop.example/x?{name}={secret}&y=1",
    "https://bob:{secret}@shop.example/", "postgres://bob:{secret}@db/shop", "Authorization: Bearer {secret}",
])  # fmt: skip
# What stands before must not run into the name, nor what stands behind into the secret.
BETWEEN = st.sampled_from([" ", "\n", ", ", "; ", "\n    ", " | ", "\t"])


@given(before=st.lists(WORDS, max_size=3).map("".join), gap=BETWEEN, syntax=SYNTAX, name=NAMES, after=WORDS)
def test_a_secret_under_its_name_leaves_plain_words(
    before: str, gap: str, syntax: str, name: str, after: str
) -> None:
    """Whatever stands around it."""
    words = "".join(one for one in before if one.isalnum() or one in " .\n")
    text = f"{words}{gap}{syntax.format(name=name, secret=SECRET)}{gap}{after}"

    assert SECRET not in REDACTOR.text(text), text


@given(
    extras=st.dictionaries(TEXTS, values(), max_size=3),
    names=st.lists(NAMES, min_size=1, max_size=4),
    leaf=values(),
)
def test_a_secret_name_hides_all_beneath_it(extras: dict[str, Any], names: list[str], leaf: Any) -> None:
    """In extras and tags, however deep, whatever stands beside it."""
    held: Any = [SECRET, leaf, {"a": SECRET}]
    for name in names:
        held = {**extras, name: held}
    event = make_event(attributes={**extras, "outer": [held]}, tags={names[0]: SECRET})

    redacted = REDACTOR.redact(event)

    assert SECRET not in repr(redacted)


@given(message=TEXTS, stack=WORDS, extras=st.dictionaries(TEXTS, values(), max_size=3))
def test_any_event_survives_and_keeps_its_form(message: str, stack: str, extras: dict[str, Any]) -> None:
    """No exception; and a second pass finds nothing that the first one made worse."""
    event = make_event(
        message,
        attributes=extras,
        stack=stack,
        exception=ExceptionText("ValueError", message, f"{stack}\nValueError: {message}", ("ValueError",)),
    )

    redacted = REDACTOR.redact(event)

    assert len(redacted.attributes) == len(extras)
    assert (redacted.id, redacted.level, redacted.time) == (event.id, event.level, event.time)
    assert redacted.misfits() == event.misfits()
    json.dumps(redacted.to_json())


@given(st.lists(WORDS, min_size=1, max_size=4).map("".join), st.booleans())
def test_time_is_linear_in_the_text(piece: str, is_traceback: bool) -> None:
    """A hundred kilobytes of anything, repeated, cost a second's fraction; quadratic would be minutes."""
    text = (piece * (100_000 // max(1, len(piece)) + 1))[:100_000]
    started = time.process_time()

    REDACTOR.text(text, is_traceback=is_traceback)

    assert time.process_time() - started < 20


@given(name=NAMES, value=st.text(min_size=1, max_size=12).filter(str.isprintable))
def test_a_query_loses_whatever_value_stands_there(name: str, value: str) -> None:
    """Percent-encoded as a URL holds it."""
    encoded = quote(f"{SECRET}{value}", safe="")

    assert SECRET not in REDACTOR.text(f"GET https://shop.example/pay?a=1&{name}={encoded}&b=2")
