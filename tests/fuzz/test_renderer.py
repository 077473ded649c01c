"""Whatever an application logs becomes an event, and its form for each service keeps that one's limits."""

from __future__ import annotations

import builtins
import json
import logging
import sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qsl

from captures import capture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_json import TEXTS, values

from eventlog_handlers.events import Event
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.record.renderer import Renderer
from eventlog_handlers.services.cloudwatch.entry import encode as encode_entry
from eventlog_handlers.services.cms.request import encode as encode_parameters
from eventlog_handlers.services.guance.body import encode as encode_body
from eventlog_handlers.settings.values import PipelineSettings

RENDER = Renderer(PipelineSettings(), SelfLog("fuzz"))
LIMIT = 32_768


class Hostile:
    """Raises, recurses or lies wherever it is asked."""

    def __init__(self, how: int) -> None:
        self.how = how

    def __repr__(self) -> str:
        if self.how == 0:
            raise RuntimeError("no repr")
        if self.how == 1:
            return self.__repr__()
        return 7 if self.how == 2 else "\ud800" * 3  # type: ignore[return-value]

    def __str__(self) -> str:
        return self.__repr__()

    def __eq__(self, other: object) -> bool:
        raise TypeError("no equality")

    __hash__ = None  # type: ignore[assignment]


def circle() -> list[Any]:
    made: list[Any] = [1]
    made.append({"again": made})
    return made


ODD = st.one_of(
    st.integers(0, 3).map(Hostile),
    st.builds(circle),
    st.sampled_from([
        float("nan"), 10**400, Decimal("1e999999"), b"caf\xc3", {1, "a"}, PurePosixPath("/x"), object, int,
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23))), datetime.max, range(3), "x" * 100_000,
        {None: 1}, 3j,
    ]),
    st.binary(max_size=20),
)  # fmt: skip
ANY = values() | ODD | st.lists(ODD, max_size=3) | st.dictionaries(TEXTS, ODD, max_size=3)
MESSAGES = TEXTS | st.text("%sdr(a)c{}*.1 é", max_size=12) | ANY
STEERING = st.sampled_from([
    "fingerprint", "event_name", "group_id", "tags", "status", "service", "env", "resources", "detail_type",
    "count", "request_id", "trace_id", "stack_info", "exc_text", "asctime", "message", "taskName", "created",
    "levelname", "name", "thread", "threadName", "process", "pathname", "lineno", "funcName", "msecs",
    "levelno",
])  # fmt: skip
EXTRAS = st.dictionaries(STEERING | TEXTS, ANY, max_size=4)


class OwnError(Exception):
    """Its text is as odd as its arguments."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else super().__str__()


@st.composite
def exceptions(draw: st.DrawFn) -> BaseException | None:
    """None, or one with causes, notes, a group or a circle."""
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return None
    error: BaseException = draw(st.sampled_from([ValueError, KeyError, OwnError, SyntaxError, OSError]))(
        draw(ANY)
    )
    try:
        raise error from (OwnError(draw(ANY)) if kind == 2 else None)
    except BaseException as raised:
        error = raised
    if kind == 3:
        error.__cause__ = error
    if kind == 4:
        error.__notes__ = draw(ANY)  # type: ignore[attr-defined]
    if kind == 5 and sys.version_info >= (3, 11):
        error = builtins.ExceptionGroup("several", [error, OwnError(draw(TEXTS))])  # type: ignore[attr-defined]
    return error


@st.composite
def records(draw: st.DrawFn) -> logging.LogRecord:
    error = draw(exceptions())
    record = logging.LogRecord(
        draw(TEXTS),
        draw(st.integers(-5, 60) | st.sampled_from([10**30])),
        draw(TEXTS),
        draw(st.integers(0, 10**9)),
        draw(MESSAGES),
        tuple(draw(st.lists(ANY, max_size=3))),
        None if error is None else (type(error), error, error.__traceback__),
    )
    record.__dict__.update(draw(EXTRAS))
    return record


FUZZED = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@FUZZED
@given(record=records(), id_bits=st.integers(0, 2**128 - 1))
def test_any_record_becomes_an_event_within_every_service_s_limits(
    record: logging.LogRecord, id_bits: int
) -> None:
    """Rendered and redacted as the worker does it; each encoder's text is read back."""
    event = RENDER(capture(record, id_bits))

    assert event is not None
    assert event.misfits() == []
    assert Event.from_json(json.loads(json.dumps(event.to_json()))) == event
    for size, text in (cms(event), guance(event), cloudwatch(event)):
        assert size <= 2 * LIMIT + 8_192
        text.encode("utf-8")  # no lone surrogate


def cms(event: Event) -> tuple[int, str]:
    payload = encode_parameters(
        event, event_name="log", group_id=None, content_format="json", max_content_bytes=LIMIT
    )
    fields = dict(parse_qsl("&".join(payload.body), strict_parsing=True, errors="strict"))
    content = fields["Content"]
    json.loads(content)
    assert len(content.encode()) <= LIMIT
    return len(content.encode()), "".join(fields.values())


def guance(event: Event) -> tuple[int, str]:
    payload = encode_body(event, origin="{logger}", title="{message}", max_message_bytes=LIMIT)
    decoded = json.loads(payload.body)
    assert None not in decoded.values()
    return len(decoded["message"].encode()), json.dumps(decoded, ensure_ascii=False)


def cloudwatch(event: Event) -> tuple[int, str]:
    payload = encode_entry(
        event,
        source="{logger}",
        detail_type=None,
        resources=(),
        event_bus_name=None,
        max_bytes=LIMIT,
    )
    entry = payload.body
    json.loads(entry["Detail"])
    size = len(entry["Detail"].encode()) + len(entry["Source"].encode()) + len(entry["DetailType"].encode())
    assert size <= LIMIT
    return size, entry["Detail"]
