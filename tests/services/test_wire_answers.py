"""What any HTTP answer says: the pause it asks for, and its body as a line for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog_handlers.services.cloudwatch.answers import of_answer
from eventlog_handlers.services.cms.answers import verdict as cms_verdict
from eventlog_handlers.services.http_answers import printable, retry_after
from eventlog_handlers.services.verdict import CODE_CHARACTERS, Kind

NOON = "Fri, 20 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 17 "}, 17.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "315360000"}, 300.0),
        ({"retry-after": "9" * 400}, 300.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "١٧"}, None),
        ({"retry-after": "1 2"}, None),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:40 GMT", "date": NOON}, 40.0),
        ({"retry-after": "Fri, 20 Nov 2026 13:00:40 +0100", "date": NOON}, 40.0),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:40 -0000", "date": NOON}, 40.0),
        ({"retry-after": NOON, "date": NOON}, 0.0),
        ({"retry-after": "Fri, 20 Nov 2026 11:59:59 GMT", "date": NOON}, None),
        ({"retry-after": "Fri, 20 Nov 2036 12:00:00 GMT", "date": NOON}, 300.0),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:40 GMT"}, None),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:40 GMT", "date": "today"}, None),
        ({"retry-after": "Fri, 99 Nov 2026 12:00:40 GMT", "date": NOON}, None),
    ],
)
def test_retry_after_is_seconds_from_now_or_nothing(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds and dates count, dates by the server's own clock; garbage does not; the most is 300."""
    pause = retry_after(headers)

    assert pause == seconds


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_header_breaks_retry_after(value: str, date: str) -> None:
    """Whatever a server writes there, the answer is None or a pause within bounds."""
    pause = retry_after({"retry-after": value, "date": date})

    assert pause is None or 0 <= pause <= 300


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", ""),
        (b"error code: 1010", "error code: 1010"),
        (b"<html>\r\n  <b>no</b>\n</html>\n", "<html> <b>no</b> </html>"),
        ("超限".encode(), "超限"),
        (b"\xff\x00\x1b[31m", "\ufffd\\x00\\x1b[31m"),
        (b"x" * 200, "x" * 200),
        (b"x" * 201, "x" * 199 + "…"),
        (b"x" * 900_000, "x" * 199 + "…"),
    ],
)
def test_printable_is_one_short_line(body: bytes, text: str) -> None:
    """An answer in an error text has no line breaks, no terminal codes and an end."""
    assert printable(body) == text


@given(st.binary(max_size=2000), st.integers(1, 300))
def test_printable_keeps_to_its_limit(body: bytes, limit: int) -> None:
    """However the bytes fall, the line is printable and within the limit."""
    text = printable(body, limit)

    assert len(text) <= limit
    assert "\n" not in text


@pytest.mark.parametrize("code", ["9" * 5_000, "²", "٣"])
def test_digits_that_are_no_status_are_a_code_that_nobody_knows(code: str) -> None:
    """A proxy may put anything into the header that names CloudWatch's error."""
    made = of_answer(500, {"x-amzn-errortype": code}, b"{}")

    assert made.kind is Kind.TRANSIENT
    assert len(made.code) <= CODE_CHARACTERS


@pytest.mark.parametrize(
    "body",
    [
        b'{"Message": "wrong signature, server string to sign is:POST&%2F&SecurityToken%3Dthe-token"}',
        b'{"Code": "server string to sign is:POST&the-token", "RequestId": "1"}',
        b"<html>string to sign is POST the-token</html>",
    ],
)
def test_what_cms_quotes_of_a_request_is_not_told_wherever_it_stands(body: bytes) -> None:
    """Also in an answer that has no code, or where the code should stand: it holds the security token."""
    made = cms_verdict(403, {}, body, scheme="v1")

    assert "the-token" not in f"{made.code} {made.detail}"
