"""Guance's form of an event and the meaning of its answers."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog_handlers.errors import (
    MisconfiguredError,
    RefusedError,
    SinkError,
    ThrottledError,
    TooLargeError,
    TransientError,
)
from eventlog_handlers.events import DELIVERED, STATUSES, Code, Event, ExceptionText
from eventlog_handlers.services.guance.answers import decode
from eventlog_handlers.services.guance.body import LIMITS, RESERVED_TAGS, encode

TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "shop/cart.py", line 31, in <module>\n'
    "    pay()\n"
    "shop.errors.OutOfStock: item 7"
)


def an_event(**changes: Any) -> Event:
    fields: dict[str, Any] = {
        "id": "0123456789abcdef0123456789abcdef",
        "time": 1_700_000_000.123,
        "level": 40,
        "level_name": "ERROR",
        "status": "error",
        "logger": "shop.cart",
        "message": "payment failed for order 7",
        "template": "payment failed for order %d",
        "fingerprint": "00112233aabbccdd",
        "exception": None,
        "stack": "",
        "attributes": {},
        "code": Code("shop/cart.py", 31, "pay", "cart"),
        "thread_id": 1,
        "thread_name": "MainThread",
        "process_id": 4711,
        "host": "web-1",
        "service": "shop",
        "env": "prod",
        "tags": {},
        "trace_id": None,
        "span_id": None,
    }
    return Event(**{**fields, **changes})


def body_of(event: Event, **options: Any) -> dict[str, Any]:
    """The request as the service reads it."""
    chosen = {"origin": "{logger}", "title": "{message}", "max_message_bytes": 32_768, **options}
    payload = encode(event, **chosen)
    assert payload.size == len(payload.body)
    body = json.loads(payload.body.decode("utf-8"), parse_constant=pytest.fail)
    assert isinstance(body, dict)
    return body


def fences_of(message: str) -> list[str]:
    """The contents of the fenced blocks, by CommonMark's rule: one at least as long, alone, ends it."""
    contents: list[str] = []
    opening: str | None = None
    for line in re.split("\r\n|\r|\n", message):
        fence = re.fullmatch(r" {0,3}(`{3,})([^`]*)", line)
        if opening is None and fence:
            opening = fence[1]
            contents.append("")
        elif opening is not None and fence and len(fence[1]) >= len(opening) and not fence[2].strip():
            opening = None
        elif opening is not None:
            contents[-1] += f"{line}\n"
    assert opening is None, "a fence is left open"
    return contents


def test_a_whole_event() -> None:
    """Every field of a rich event stands where the service and its users look for it."""
    event = an_event(
        exception=ExceptionText("shop.errors.OutOfStock", "item 7", TRACEBACK, ("OutOfStock",)),
        attributes={"order": {"id": 7, "paid": False}, "note": "two\nlines", "nothing": None, "status": "x"},
        tags={"team": "payments"},
        trace_id="a" * 32,
        span_id="b" * 16,
        count=3,
        first_time=1_699_999_999.0,
    )

    body = body_of(event)

    assert list(body) == ["date", "status", "title", "origin", "customTags", "message"]
    assert body["date"] == 1_700_000_000_123
    assert body["status"] == "error"
    assert body["title"] == (
        "payment failed for order 7 (3 times, 2023-11-14T22:13:19Z to 2023-11-14T22:13:20Z)"
    )
    assert body["origin"] == "shop.cart"
    assert body["customTags"] == {
        "event_uid": event.id,
        "emitter": "eventlog_handlers",
        "logger": "shop.cart",
        "level": "ERROR",
        "exc_type": "shop.errors.OutOfStock",
        "file": "shop/cart.py",
        "func": "pay",
        "host": "web-1",
        "pid": "4711",
        "service": "shop",
        "env": "prod",
        "fingerprint": "00112233aabbccdd",
        "trace_id": "a" * 32,
        "span_id": "b" * 16,
        "repeat_count": "3",
        "first_time": "2023-11-14T22:13:19Z",
        "last_time": "2023-11-14T22:13:20Z",
        "team": "payments",
        "order_id": "7",
        "order_paid": "false",
        "note": "two lines",
        "ext_status": "x",
    }
    assert body["message"] == (
        "ERROR `payment failed for order 7`\n"
        "\n"
        f"```text\n{TRACEBACK}\n```\n"
        "\n"
        '```text\norder: {"id": 7, "paid": false}\nnote: two\nlines\nnothing: null\nstatus: x\n```\n'
        "\n"
        "`shop.cart` `shop/cart.py:31 in pay`, 3 times since 2023-11-14T22:13:19Z\n"
        "\n"
        "id 0123456789abcdef0123456789abcdef"
    )


def test_what_is_missing_is_left_out() -> None:
    """The service refuses null and empty text, so optional fields and tags without a value are absent."""
    body = body_of(
        an_event(logger="", service="", env=None, host="", tags={"a": ""}, attributes={"b": "", "c": {}})
    )

    assert "origin" not in body
    assert set(body["customTags"]) == {"event_uid", "emitter", "level", "file", "func", "pid", "fingerprint"}
    assert body["title"] == "payment failed for order 7"


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [
        (1_700_000_000.0, 1_700_000_000_000),
        (1_700_000_000.001, 1_700_000_000_001),
        (1_700_000_000.0019, 1_700_000_000_002),
        (1_700_000_000.9999, 1_700_000_001_000),
        (0.0, 0),
        (-5.0, 0),
        (1e300, 253_402_300_799_999),
        (float("inf"), 253_402_300_799_999),
        (float("nan"), 0),
    ],
)
def test_the_date_is_in_whole_milliseconds(seconds: float, milliseconds: int) -> None:
    """An integer, rounded as for the other services."""
    assert body_of(an_event(time=seconds))["date"] == milliseconds


@pytest.mark.parametrize(
    ("message", "template", "title"),
    [
        ("first\n  second\tthird", "{message}", "first second third"),
        ("x" * 300, "{message}", "x" * 255 + "…"),
        ("x" * 256, "{message}", "x" * 256),
        ("", "{message}", "shop.cart"),
        (" \n ", "{message}", "shop.cart"),
        ("超\ud800\x00\u202e", "{message}", "超\ufffd\\x00\\u202e"),
        ("m", "{service} {exception} {logger}: {message}", "shop shop.cart: m"),
    ],
)
def test_the_title_is_one_plain_line(message: str, template: str, title: str) -> None:
    """Whatever the message and the template, a title of 1 to 256 characters without a break."""
    assert body_of(an_event(message=message), title=template)["title"] == title


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("order_id", "order_id"),
        ("order.id", "order_id"),
        ("order id!", "order_id_"),
        ("_private", "ext__private"),
        ("df_source", "ext_df_source"),
        ("DF_source", "ext_DF_source"),
        ("7up", "ext_7up"),
        ("", "ext_"),
        ("level", "ext_level"),
        ("trace_id", "ext_trace_id"),
        ("n" * 300, "n" * 256),
        *((name, f"ext_{name}") for name in sorted(RESERVED_TAGS)),
    ],
)
def test_names_of_tags_are_made_legal(name: str, tag: str) -> None:
    """Letters, digits and underscores; what the service or we have reserved gets a prefix."""
    tags = body_of(an_event(attributes={name: "value"}))["customTags"]

    assert tags[tag] == "value"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        (True, "true"),
        (1.5, "1.5"),
        ([1, "é"], '[1, "é"]'),
        ("a\r\nb\u2028c", "a b c"),
        ("x" * 1025, "x" * 996 + "… [cut: 1025 bytes in all]"),
        ("超" * 400, "超" * 332 + "… [cut: 1200 bytes in all]"),
    ],
)
def test_values_of_tags_are_text_of_one_line(value: Any, text: str) -> None:
    """Strings only, at most 1024 bytes, cut between characters."""
    assert body_of(an_event(attributes={"key": value}))["customTags"]["key"] == text


def test_tags_that_become_alike_are_both_kept() -> None:
    """Two names that turn into the same legal one do not overwrite each other, nor the handler's tags."""
    tags = body_of(an_event(tags={"a.b": "0"}, attributes={"a-b": 1, "a_b": 2, "订单": 3, "金额": 4}))[
        "customTags"
    ]

    assert [tags[name] for name in ("a_b", "a_b_2", "a_b_3", "ext___", "ext____2")] == [
        "0",
        "1",
        "2",
        "3",
        "4",
    ]


def test_there_are_at_most_256_tags() -> None:
    """Our own tags come first; attributes past the limit still stand in the message."""
    body = body_of(an_event(attributes={f"key{number}": number for number in range(400)}))

    assert len(body["customTags"]) == 256
    assert body["customTags"]["event_uid"]
    assert "key399: 399" in body["message"]


@pytest.mark.parametrize("level_name", ["```", "# ERROR", "<b>", "a\nb", ""])
def test_the_name_of_a_level_is_no_markup(level_name: str) -> None:
    """A level may be named anything; it opens no fence, heading or tag."""
    message = body_of(an_event(level_name=level_name))["message"]

    assert re.match(r"[\w ]*`payment failed", message)


@pytest.mark.parametrize("run", [1, 2, 3, 4, 10, 64])
def test_the_fence_is_longer_than_any_run_of_backticks_inside(run: int) -> None:
    """A traceback that quotes Markdown stays inside its fence, whole."""
    text = f"{TRACEBACK}\n{'`' * run}\n# not a heading\n{'`' * run}text"
    event = an_event(exception=ExceptionText("E", "", text, ("E",)), message="`" * run)

    message = body_of(event)["message"]

    assert fences_of(message) == [text + "\n"]


def test_a_message_of_many_lines_stands_in_a_fence_too() -> None:
    """The first line is the summary; the whole follows fenced, so that its markup does nothing."""
    message = body_of(an_event(message="\nfirst **bold**\n```\n![](http://x)"))["message"]

    assert message.startswith("ERROR `first **bold**`\n\n````text\n")
    assert fences_of(message) == ["\nfirst **bold**\n```\n![](http://x)\n"]


def test_a_long_traceback_keeps_head_and_tail() -> None:
    """The cut is visible, and the exception's own line, which matters most, is still there."""
    lines = "\n".join(f'  File "shop/cart.py", line {number}, in pay' for number in range(5000))
    text = f"Traceback (most recent call last):\n{lines}\nshop.errors.OutOfStock: item 7"
    event = an_event(exception=ExceptionText("E", "", text, ("E",)), attributes={"order": 7})

    message = body_of(event)["message"]

    (traceback, attributes) = fences_of(message)
    assert traceback.startswith("Traceback (most recent call last):\n")
    assert f"[cut: {len(json.dumps(text)) - 2} bytes in all]" in traceback
    assert traceback.endswith("shop.errors.OutOfStock: item 7\n")
    assert attributes == "order: 7\n"
    assert 32_000 < len(json.dumps(message, ensure_ascii=False).encode()) - 2 <= 32_768


def test_what_has_no_room_is_named() -> None:
    """In a very small message the traceback stays and the rest is said to be missing."""
    event = an_event(
        exception=ExceptionText("E", "", TRACEBACK * 20, ("E",)),
        attributes={"order": "7" * 500},
        stack="s" * 500,
    )

    message = body_of(event, max_message_bytes=420)["message"]

    assert len(fences_of(message)) == 1
    assert "… [left out: stack, attributes] …" in message
    assert message.endswith(f"id {event.id}")


any_text = st.text(st.characters(), max_size=60)
markup = st.text('`~\n\r <#*_[]()!x\\"', max_size=200) | any_text
values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | markup,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)
events = st.builds(
    an_event,
    time=st.floats(0, 4e9),
    level_name=any_text,
    status=st.sampled_from(STATUSES),
    logger=any_text,
    message=markup,
    exception=st.none()
    | st.builds(
        ExceptionText, any_text, markup, st.builds(str.__mul__, markup, st.integers(1, 400)), st.just(())
    ),
    stack=markup,
    attributes=st.dictionaries(any_text, values, max_size=5),
    tags=st.dictionaries(any_text, markup, max_size=3),
    service=any_text,
    env=st.none() | any_text,
    trace_id=st.none() | any_text,
    count=st.integers(1, 9),
    first_time=st.none() | st.floats(0, 4e9),
    defects=st.lists(markup, max_size=2).map(tuple),
)


@settings(max_examples=300, deadline=None)
@given(events, st.none() | st.integers(300, 40_000), st.integers(100, 40_000))
def test_any_event_becomes_a_legal_request(
    event: Event, max_bytes: int | None, max_message_bytes: int
) -> None:
    """Strict JSON in UTF-8 within its limits, no null, no empty text, legal tags, and no fence left open."""
    payload = encode(
        event, origin="{logger}", title="{message}", max_message_bytes=max_message_bytes, max_bytes=max_bytes
    )

    body = json.loads(payload.body.decode("utf-8"), parse_constant=pytest.fail)
    assert payload.size == len(payload.body) <= min(LIMITS.request_bytes, max_bytes or LIMITS.request_bytes)
    assert body["status"] in STATUSES
    assert type(body["date"]) is int
    assert len(body["title"]) <= 256
    assert body["title"].splitlines() == [body["title"]]
    assert all(
        isinstance(body[name], str) and body[name] for name in {"title", "origin", "message"} & set(body)
    )
    assert 0 < len(body["customTags"]) <= 256
    for name, value in body["customTags"].items():
        assert re.fullmatch("[A-Za-z][A-Za-z0-9_]{0,255}", name)
        assert not name.lower().startswith("df_")
        assert name not in RESERVED_TAGS
        assert value.splitlines() == [value]
        assert len(value.encode()) <= 1024
    message = body.get("message", "")
    assert len(json.dumps(message, ensure_ascii=False).encode()) - 2 <= max_message_bytes
    fences_of(message)


def answer(status: int, code: Any, error_code: Any = "", **more: Any) -> tuple[int, dict[str, str], bytes]:
    """An answer in the service's envelope."""
    envelope = {"code": code, "content": {}, "errorCode": error_code, "message": "said so", **more}
    return status, {}, json.dumps(envelope).encode()


CREATED = b'{"code":200,"content":true,"errorCode":"","message":"","success":true,"traceId":"1735"}'
AK = "ft.TriggerApiAkCurrentLimiting"
WORKSPACE = "ft.TriggerApiWorkspaceCurrentLimiting"
HTML = b"<html><body>welcome</body></html>"


@pytest.mark.parametrize(
    "body", [CREATED, CREATED.replace(b'"errorCode":"",', b""), CREATED.replace(b'""', b"null")]
)
def test_success_is_proved_by_the_envelope(body: bytes) -> None:
    """``success: true`` with ``code: 200`` and no error code delivers every event of the call."""
    assert decode(200, {}, body, 1) == [DELIVERED]


@pytest.mark.parametrize(
    ("given", "kind", "code"),
    [
        (answer(401, 401, AK, success=False), ThrottledError, AK),
        (answer(401, 401, WORKSPACE, success=False), ThrottledError, WORKSPACE),
        (answer(200, 200, AK, success=True), ThrottledError, AK),
        (
            answer(503, 503, "ft.TriggerSomethingNewCurrentLimiting"),
            ThrottledError,
            "ft.TriggerSomethingNewCurrentLimiting",
        ),
        ((429, {}, HTML), ThrottledError, "http_429"),
        (answer(403, 403, "ft.InvalidAPIKey"), MisconfiguredError, "ft.InvalidAPIKey"),
        (answer(401, 401, "ft.InvalidAPIKey"), MisconfiguredError, "ft.InvalidAPIKey"),
        (answer(200, 403, "ft.InvalidAPIKey"), MisconfiguredError, "ft.InvalidAPIKey"),
        (answer(401, 401, "ft.LoginFailed"), MisconfiguredError, "ft.LoginFailed"),
        ((403, {}, b"error code: 1010"), MisconfiguredError, "http_403"),
        ((401, {}, HTML), MisconfiguredError, "http_401"),
        ((404, {}, HTML), MisconfiguredError, "http_404"),
        ((405, {}, b""), MisconfiguredError, "http_405"),
        ((407, {}, b""), MisconfiguredError, "http_407"),
        ((501, {}, b""), MisconfiguredError, "http_501"),
        ((302, {"location": "https://login.example/?key=s3cret"}, b""), MisconfiguredError, "http_302"),
        ((308, {"location": "http://[bad"}, b""), MisconfiguredError, "http_308"),
        ((413, {}, b"too large"), TooLargeError, "http_413"),
        (answer(200, 413), TooLargeError, "http_413"),
        ((408, {}, b""), TransientError, "http_408"),
        ((500, {}, HTML), TransientError, "http_500"),
        ((502, {}, b""), TransientError, "http_502"),
        ((503, {}, b""), TransientError, "http_503"),
        ((522, {}, b""), TransientError, "http_522"),
        (answer(500, 500, "ft.InternalError"), TransientError, "ft.InternalError"),
        (answer(200, 500, "ft.InternalError", success=False), TransientError, "ft.InternalError"),
        ((200, {}, b""), TransientError, "no_proof"),
        ((200, {}, HTML), TransientError, "no_proof"),
        ((200, {}, CREATED[:40]), TransientError, "no_proof"),
        ((200, {}, b"[true]"), TransientError, "no_proof"),
        ((200, {}, b"{}"), TransientError, "no_proof"),
        ((200, {}, b'{"success":true}'), TransientError, "no_proof"),
        ((200, {}, b'{"success":"true","code":200}'), TransientError, "no_proof"),
        ((200, {}, b"\xff\xfe" + CREATED), TransientError, "no_proof"),
        ((204, {}, b""), TransientError, "no_proof"),
        ((999, {}, b""), TransientError, "http_999"),
    ],
)
def test_a_call_fails_as_a_whole(
    given: tuple[int, dict[str, str], bytes], kind: type[SinkError], code: str
) -> None:
    """The error code decides first (a throttling 401 is no bad key), then the status, then the proof."""
    with pytest.raises(SinkError) as caught:
        decode(*given, count=1)

    assert type(caught.value) is kind
    assert caught.value.code == code
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (answer(400, 400, "ft.InvalidParameter", success=False), "ft.InvalidParameter"),
        (answer(200, 400, "ft.InvalidParameter", success=False), "ft.InvalidParameter"),
        (answer(200, 200, "ft.SomethingNew", success=True), "ft.SomethingNew"),
        (answer(200, 200, "", success=False), "http_200"),
        (answer(422, 422), "http_422"),
        (answer(409, 409), "http_409"),
    ],
)
def test_an_event_is_refused(given: tuple[int, dict[str, str], bytes], code: str) -> None:
    """What the service says of the data is the event's fault, for a call has one event."""
    with pytest.raises(RefusedError) as caught:
        decode(*given, count=1)

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("code", "headers", "seconds"),
    [
        (AK, {}, 10.0),
        (WORKSPACE, {}, 60.0),
        ("", {}, None),
        (AK, {"retry-after": "2"}, 2.0),
        ("", {"retry-after": "7"}, 7.0),
    ],
)
def test_throttling_asks_for_a_pause(code: str, headers: dict[str, str], seconds: float | None) -> None:
    """The service's own hint if there is one, else what is known of its window."""
    with pytest.raises(ThrottledError) as caught:
        decode(429, headers, json.dumps({"errorCode": code}).encode(), 1)

    assert caught.value.retry_after == seconds


def test_a_bad_key_is_explained() -> None:
    """The text names every way to have the wrong key."""
    with pytest.raises(MisconfiguredError, match=r"site=.*Key ID.*Secret.*Client Token.*deleted"):
        decode(*answer(403, 403, "ft.InvalidAPIKey"), count=1)


def test_an_answer_without_proof_is_met_a_limited_number_of_times() -> None:
    """Something that answers 200 but is not the service may have been it: ambiguous, and bounded."""
    with pytest.raises(TransientError) as caught:
        decode(200, {}, HTML, 1)

    assert caught.value.ambiguous
    assert caught.value.attempts_allowed == 10


@given(
    st.integers(100, 599),
    st.binary(max_size=200) | st.just(b"[" * 100_000),
    st.dictionaries(st.sampled_from(["retry-after", "location", "date"]), any_text),
)
def test_no_answer_breaks_decode(status: int, body: bytes, headers: dict[str, str]) -> None:
    """Whatever comes back, it is a SinkError: garbage is never a delivery."""
    with pytest.raises(SinkError):
        decode(status, headers, body, 1)
