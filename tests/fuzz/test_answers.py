"""Whatever a service, or a proxy in its place, answers: a verdict comes of it, and no exception but ours."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_json import TEXTS, bodies, values

from eventlog_handlers.errors import SinkError
from eventlog_handlers.events import DELIVERED, Outcome
from eventlog_handlers.pipeline.retry import HINT_CEILING_SECONDS
from eventlog_handlers.services.cloudwatch import answers as cloudwatch
from eventlog_handlers.services.cms import answers as cms
from eventlog_handlers.services.guance import answers as guance

LONGEST = 700  # characters of what a person is told of one answer
CODES = st.one_of(
    TEXTS,
    st.sampled_from([
        "200", "OK", "Throttling.User", "InvalidAPIKey", "ft.InvalidAPIKey", "SignatureDoesNotMatch",
        "ft.TriggerApiAkCurrentLimiting", "ValidationException", "AccessDeniedException", "ExpiredToken",
        "InternalFailure", "MissingParameter", "EventInfo is mandatory for this action.",
        "InvalidTimeStamp.Expired", "#", ":", "a#b:c", "Signature expired", "GroupId",
        "server string to sign is:POST&%2F&the-request",
    ]),
)  # fmt: skip
NAMES = [
    "Code", "Message", "RequestId", "Success", "code", "success", "errorCode", "message", "content",
    "__type", "Entries", "FailedEntryCount", "EventId", "ErrorCode", "ErrorMessage",
]  # fmt: skip
BODIES = bodies(NAMES, CODES)
UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What breaks a line, steers a terminal, turns a text around or can't be encoded."""
STATUSES = st.integers(100, 599) | st.sampled_from([200, 201, 204, 301, 400, 401, 403, 413, 429, 500, 503])
DATES = st.sampled_from(
    [
        "Sun, 29 Nov 2026 01:00:00 GMT",
        "1 Jan 9999 23:59:59 -2359",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "x, 99 Foo 1 1:1",
    ]
)
HEADERS = st.dictionaries(
    st.sampled_from([
        "retry-after", "date", "x-acs-retry-after", "x-ratelimit-user-api", "x-ratelimit-user", "location",
        "x-amz-retry-after", "x-amzn-errortype", "content-type",
    ]),
    st.one_of(TEXTS, CODES, DATES, st.integers().map(str), st.sampled_from(["TimeLeft:9999999", "//[", "http://[::"])),
    max_size=5,
)  # fmt: skip
QUOTED = re.compile(r"string\s?to\s?sign\b.*the-request", re.IGNORECASE)
COUNTS = st.integers(1, 12)


def judged(judge: Callable[[], list[Outcome]], count: int) -> list[str]:
    """What people are told: *judge* gives one outcome per event, or raises what a sink may raise."""
    try:
        outcomes = list(judge())
    except SinkError as error:
        told, pauses = [str(error)], [error.retry_after]
    else:
        assert len(outcomes) == count
        told, pauses = [f"{one.code} {one.detail}" for one in outcomes], [one.retry_after for one in outcomes]
    assert all(pause is None or 0 <= pause <= HINT_CEILING_SECONDS for pause in pauses)
    for text in told:
        assert len(text) <= LONGEST
        assert not UNFIT.search(text), text
    return told


@given(status=STATUSES, headers=HEADERS, body=BODIES, count=COUNTS, scheme=st.sampled_from(["v1", "v3"]))
def test_cms(status: int, headers: dict[str, str], body: bytes, count: int, scheme: str) -> None:
    """It quotes the request, with the token in it, which is not told on."""
    told = judged(lambda: list(cms.decode(status, headers, body, count, scheme)), count)
    assert not QUOTED.search("\n".join(told))


@given(status=STATUSES, headers=HEADERS, body=BODIES, count=COUNTS)
def test_guance(status: int, headers: dict[str, str], body: bytes, count: int) -> None:
    judged(lambda: list(guance.decode(status, headers, body, count)), count)


@given(status=STATUSES, headers=HEADERS, body=BODIES, count=COUNTS)
def test_cloudwatch_refusals(status: int, headers: dict[str, str], body: bytes, count: int) -> None:
    judged(lambda: list(cloudwatch.of_answer(status, headers, body).outcomes(count)), count)


ENTRIES = st.lists(
    st.dictionaries(st.sampled_from(["EventId", "ErrorCode", "ErrorMessage"]), CODES | values(CODES))
    | values(CODES),
    max_size=4,
)  # fmt: skip


@given(
    response=st.fixed_dictionaries({}, optional={"Entries": ENTRIES | values()}),
    headers=HEADERS,
    count=COUNTS,
)
def test_cloudwatch_entries(response: dict[str, Any], headers: dict[str, str], count: int) -> None:
    judged(lambda: cloudwatch.outcomes(response, count, headers), count)


@pytest.mark.parametrize("entry", [{"EventId": "1"}, {"ErrorCode": "ThrottlingException"}])
@given(headers=HEADERS, more=st.lists(CODES, max_size=3))
def test_cloudwatch_tells_each_entry_its_own_fate(
    entry: dict[str, str], headers: dict[str, str], more: list[str]
) -> None:
    """What others got changes nothing for a delivered one; each outcome stands at its entry's place."""
    entries = [{"EventId": "0"}, *({"ErrorCode": code} for code in more), entry]

    outcomes = cloudwatch.outcomes({"Entries": entries}, len(entries), headers)

    assert outcomes[0] == DELIVERED
    assert (outcomes[-1] == DELIVERED) is ("EventId" in entry)
