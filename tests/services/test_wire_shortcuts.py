"""What the encoders do to be quick changes nothing: each short way against the long one."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from cloudwatch_events import event, events
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlog_handlers.events import Code, Event, ExceptionText
from eventlog_handlers.services.cloudwatch import detail as cloudwatch_detail
from eventlog_handlers.services.cloudwatch import entry as cloudwatch
from eventlog_handlers.services.cms import content as cms_content
from eventlog_handlers.services.cms import request as cms
from eventlog_handlers.services.cms.signing import percent
from eventlog_handlers.services.guance import body as guance
from eventlog_handlers.services.guance import message as guance_message
from eventlog_handlers.text import template
from eventlog_handlers.text.fit import _NOT_PRINTABLE, _escape, clean, one_line, plain_line
from eventlog_handlers.text.json_text import scalar

any_text = st.text(st.characters(), max_size=200)  # lone surrogates too
ascii_text = st.text(st.characters(max_codepoint=127), max_size=200)
log_text = st.text(st.sampled_from("aZ09-_.~ %&=+/\n\"':,(){}[]éß订"), max_size=200)
texts = any_text | ascii_text | log_text

CACHES = (
    *(cms._name_field, cms._named, cms._group_field),
    *(cms_content._sender_lines, cms_content._usual_lines, cms_content._second_text),
    *(guance._repeating_members, guance._legal_name, guance_message._place),
    *(cloudwatch._source, cloudwatch._limited_type),
    *(cloudwatch_detail._severity, cloudwatch_detail._origin),
    template._compiled,
)


def encode_cms(subject: Event, content_format: Any = "text") -> tuple[str, ...]:
    name = cms.name_of(subject, "{logger}")
    payload = cms.encode(
        subject, event_name=name, group_id=None, content_format=content_format, max_content_bytes=32_768
    )
    body: tuple[str, ...] = payload.body
    return body


def encode_guance(subject: Event) -> str:
    payload = guance.encode(subject, origin="{logger}", title="{message}", max_message_bytes=32_768)
    text: str = payload.body.decode()
    return text


def encode_cloudwatch(subject: Event) -> dict[str, Any]:
    payload = cloudwatch.encode(
        subject,
        source="{logger}",
        detail_type="{level} {exception}",
        resources=(),
        event_bus_name=None,
        max_bytes=262_144,
    )
    entry: dict[str, Any] = payload.body
    return entry


def encode_all(subject: Event) -> tuple[Any, ...]:
    return (
        encode_cms(subject),
        encode_cms(subject, "json"),
        encode_guance(subject),
        encode_cloudwatch(subject),
    )


# --- Text -------------------------------------------------------------------------------------------------


@given(texts)
def test_percent_is_urllibs_quote(text: str) -> None:
    """For all of Unicode, and the quick count of its bytes is right."""
    assert percent(text) == quote(text, safe="~", errors="replace")
    assert cms_content.encoded_size(text) == len(percent(text))


@pytest.mark.parametrize("code", range(256))
def test_percent_of_every_first_character(code: int) -> None:
    """Alone, and beside "%", which must not be encoded twice."""
    for text in (chr(code), f"%{chr(code)}%25"):
        assert percent(text) == quote(text, safe="~")


@given(texts)
def test_clean_is_the_expression(text: str) -> None:
    """Text that is passed unlooked-at holds nothing the expression would have changed."""
    assert clean(text) == _NOT_PRINTABLE.sub(_escape, text)


@given(texts | st.text(st.sampled_from("a \t\n\u00a0\u2003\u2028\x1c\x85"), max_size=20))
def test_a_plain_line_has_single_blanks(text: str) -> None:
    """The same as splitting at white space and joining with blanks."""
    assert plain_line(text) == " ".join(one_line(text).split())


@given(st.integers() | st.booleans() | st.floats() | texts | st.none())
def test_a_scalar_is_jsons(value: Any) -> None:
    """What is written without an encoder reads as the encoder writes it; the rest is left to it."""
    assert scalar(value) in (None, json.dumps(value))


@pytest.mark.parametrize("value", [0, 7, -(2**70), True, False, 0.0, 1e16, 1e-07, -2.5])
def test_numbers_need_no_encoder(value: Any) -> None:
    """Integers, booleans and finite floats are what the short way is for."""
    assert scalar(value) == json.dumps(value)


@given(st.integers(0, 253_402_300_799_999))
def test_clock_text_is_strftimes(milliseconds: int) -> None:
    """The part that is kept for the second's other events is the right one."""
    moment = datetime(1970, 1, 1) + timedelta(milliseconds=milliseconds)

    text, told = cms_content.clock_text(milliseconds / 1000)

    assert text == f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}+0000"
    assert told


# --- Templates --------------------------------------------------------------------------------------------

pieces = st.sampled_from([*(f"{{{name}}}" for name in template.FIELDS), "{{", "}}", "a", " / ", "é"])


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(pieces, max_size=6).map("".join), events)
def test_a_compiled_template_is_str_format(text: str, subject: Event) -> None:
    """Fields, literals and doubled braces come out as ``str.format`` has them."""
    values = {
        "logger": subject.logger,
        "level": subject.level_name,
        "status": subject.status,
        "exception": subject.exception.type.rpartition(".")[2] if subject.exception else "",
        "message": subject.message,
        "service": subject.service,
        "env": subject.env or "",
        "host": subject.host,
        "function": subject.code.function,
        "module": subject.code.module,
    }

    assert template.expand(text, subject) == text.format_map(values)


@pytest.mark.parametrize("text", ["{nothing}", "{}", "{0}", "{logger!r}", "{message:>9}", "{", "}"])
def test_a_template_that_is_none_raises(text: str) -> None:
    """As ``fields_of`` does, every time."""
    for _ in range(2):
        with pytest.raises(ValueError, match=r"field|Single|expected"):
            template.expand(text, event())


# --- JSON -------------------------------------------------------------------------------------------------


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events)
def test_json_written_by_hand_is_an_encoders(subject: Event) -> None:
    """Read and written again it is the same: one object, no name twice, nothing escaped needlessly."""
    subject = subject._replace(
        time=1_795_175_064.5, first_time=None if subject.count == 1 else 1_795_000_000.0
    )

    detail = encode_cloudwatch(subject)["Detail"]
    body = encode_guance(subject._replace(attributes={subject.message: 1e-07, "text": subject.template}))

    for text in (detail, body):
        assert compact(json.loads(text, object_pairs_hook=without_repeats)) == text


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_no_attribute_takes_the_place_of_a_tag_of_ours() -> None:
    """Every name that an event's own tags can have is kept from attributes."""
    full = event(event_name="n", trace_id="t", span_id="s", count=2, first_time=1.0, tags={}, attributes={})
    ours = json.loads(encode_guance(full))["customTags"]

    tags = json.loads(encode_guance(full._replace(attributes=dict.fromkeys(ours, "x"))))["customTags"]

    assert len(ours) == 18
    assert tags == ours | {f"ext_{name}": "x" for name in ours}


# --- What is kept from event to event ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"time": 1_795_175_065.5},
        {"level": 30},
        {"level_name": "NOTICE"},
        {"status": "warning"},
        {"logger": "shop.cart"},
        {"exception": None},
        {"exception": ExceptionText("OSError", "", "OSError", ("OSError",))},
        {"code": Code("/srv/shop/orders/pay.py", 32, "pay", "pay")},
        {"code": Code("/srv/shop/orders/pay.py", 31, "pay", "cart")},
        {"thread_id": 2},
        {"thread_name": "worker-2"},
        {"process_id": 4712},
        {"host": "web-2"},
        {"service": "cart"},
        {"env": None},
        {"fingerprint": "ffeeddccbbaa0099"},
        {"event_name": "order.failed"},
        {"attributes": {"order.id": 7, "order_id": 8}},
    ],
    ids=lambda change: "-".join(change),
)
def test_what_is_kept_of_one_event_is_not_told_of_another(change: dict[str, Any]) -> None:
    """An event is encoded as if it were the first, whichever field tells it from the one before."""
    encode_all(event())
    after_another = encode_all(event(**change))

    for cache in CACHES:
        cache.cache_clear()

    assert after_another == encode_all(event(**change)) != encode_all(event())


class Watched(str):
    """Text that can be watched; a plain str can't."""


@pytest.mark.parametrize("encode", [encode_cms, encode_guance, encode_cloudwatch])
def test_no_event_is_kept(encode: Callable[[Event], Any]) -> None:
    """What an event alone holds, its message, traceback and extras, is gone with it."""
    message, stacktrace, value = Watched("order 7 failed"), Watched("Traceback\nE: x"), Watched("A-1001")
    watches = [weakref.ref(text) for text in (message, stacktrace, value)]

    encode(
        event(message=message, exception=ExceptionText("E", "x", stacktrace, ()), attributes={"id": value})
    )
    del message, stacktrace, value
    gc.collect()

    assert [watch() for watch in watches] == [None, None, None]


def test_every_cache_is_bounded() -> None:
    """And the list of them here is whole."""
    modules = (cms, cms_content, guance, guance_message, cloudwatch, cloudwatch_detail, template)
    found = {
        value
        for module in modules
        for value in vars(module).values()
        if hasattr(value, "cache_parameters") and value.__module__.startswith("eventlog_handlers.")
    }

    assert found == set(CACHES)
    assert all(0 < (cache.cache_parameters()["maxsize"] or 0) <= 512 for cache in found)
