"""Events for the CloudWatch tests: one by hand, and hypothesis' strategy for any."""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import strategies as st

from eventlog_handlers.events import STATUSES, Code, Event, ExceptionText

TRACEBACK = "Traceback (most recent call last):\n" + "".join(
    f'  File "/srv/shop/orders/step_{number}.py", line {number}, in step_{number}\n    pay(order["id"])\n'
    for number in range(40)
)


def event(**changes: Any) -> Event:
    """An exception record of a shop; *changes* by field name."""
    plain = Event(
        id="0123456789abcdef0123456789abcdef",
        time=1_795_175_064.987654,
        level=40,
        level_name="ERROR",
        status="error",
        logger="shop.orders",
        message="order 7 failed: “no stock” ✗",
        template="order %s failed: %s",
        fingerprint="00112233aabbccdd",
        exception=ExceptionText("KeyError", "'id'", TRACEBACK + "KeyError: 'id'", ("KeyError", "OSError")),
        stack="",
        attributes={"order": 7, "cart": {"items": [1, 2.5, None, True, "héron"]}},
        code=Code("/srv/shop/orders/pay.py", 31, "pay", "pay"),
        thread_id=140_000_000_000_000,
        thread_name="MainThread",
        process_id=4711,
        host="web-1",
        service="shop",
        env="prod",
        tags={"team": "checkout"},
        trace_id=None,
        span_id=None,
    )
    return plain._replace(**changes)


# Everything a str can hold, lone surrogates and controls too, more of the awkward than chance would give.
texts = st.text(
    st.one_of(
        st.characters(),
        st.characters(categories=["Cs"]),
        st.sampled_from('"\\\n\x00\x1f\u2028\ufeff\ufffe\uffff漢🦢'),
    ),
    max_size=60,
)
long_texts = st.one_of(
    texts, st.tuples(texts.filter(bool), st.integers(1, 300)).map(lambda pair: pair[0] * pair[1])
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | long_texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=12,
)
times = st.floats(-1e9, 4e9) | st.floats()
events = st.builds(
    Event,
    id=st.uuids(version=4).map(lambda value: value.hex),
    time=times,
    level=st.integers(-5, 10**20),
    level_name=texts,
    status=st.sampled_from(STATUSES),
    logger=long_texts,
    message=long_texts,
    template=long_texts,
    fingerprint=st.text("0123456789abcdef", min_size=16, max_size=16),
    exception=st.none()
    | st.builds(
        ExceptionText,
        texts,
        long_texts,
        long_texts,
        st.lists(texts, max_size=4).map(tuple),
    ),
    stack=long_texts,
    attributes=st.dictionaries(texts, json_values, max_size=6),
    code=st.builds(Code, long_texts, st.integers(0, sys.maxsize * 4), texts, texts),
    thread_id=st.integers(0, sys.maxsize * 4),
    thread_name=texts,
    process_id=st.integers(0, 2**22),
    host=texts,
    service=texts,
    env=st.none() | texts,
    tags=st.dictionaries(texts, texts, max_size=3),
    trace_id=st.none() | st.text("0123456789abcdef", min_size=32, max_size=32),
    span_id=st.none() | st.text("0123456789abcdef", min_size=16, max_size=16),
    event_name=st.none() | texts,
    resources=st.none() | st.lists(long_texts, max_size=4).map(tuple),
    detail_type=st.none() | long_texts,
    count=st.integers(1, 10**6),
    first_time=st.none() | times,
    defects=st.lists(texts, max_size=2).map(tuple),
)
