"""The stand-in of Guance: each documented check and each answer, row by row."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eventlog_handlers.console.exchange import Answer, Request
from eventlog_handlers.console.guance import PATH, Guance
from eventlog_handlers.settings.local_console import CONSOLE_GUANCE_KEY

NOW = 1_800_000_000.0
EVENT = {"date": 1_800_000_000_000, "status": "error", "title": "out of stock"}


def call(
    sent: Any = EVENT,
    *,
    method: str = "POST",
    path: str = PATH,
    key: str | None = CONSOLE_GUANCE_KEY,
    media_type: str | None = "application/json",
    **headers: str,
) -> Request:
    """One call; *sent* is the body, as JSON unless it is bytes already."""
    pairs = {"df-api-key": key, "content-type": media_type} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    return Request(
        method, path, "", tuple((name, value) for name, value in pairs.items() if value is not None), body
    )


def changed(**fields: Any) -> dict[str, Any]:
    return {**EVENT, **fields}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in EVENT.items() if key != name}


def verdict(answer: Answer) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["errorCode"]


def test_takes_an_event() -> None:
    """The answer is the documented envelope, with no id in it."""
    sent = changed(message="**no** teapots", origin="shop", customTags={"logger": "shop.stock"})

    answer = Guance().answer(call(sent, media_type="application/json;charset=UTF-8"), NOW)

    body = json.loads(answer.body)
    trace_id = body.pop("traceId")
    assert (answer.status, body) == (
        200,
        {"code": 200, "content": True, "errorCode": "", "message": "", "success": True},
    )
    assert trace_id.isdigit()
    assert len(trace_id) == 19
    (accepted,) = answer.accepted
    assert (accepted.title, accepted.status, accepted.time) == ("out of stock", "error", 1_800_000_000.0)
    assert accepted.body == sent
    assert accepted.flags == ()
    assert accepted.stored["df_source"] == "custom"
    assert accepted.stored["logger"] == "shop.stock"


def test_takes_the_same_event_twice() -> None:
    """Events are appended; nothing tells a copy."""
    guance = Guance()

    answers = [guance.answer(call(), NOW) for _ in range(2)]

    assert [len(answer.accepted) for answer in answers] == [1, 1]
    assert answers[0].accepted[0].stored["df_event_id"] != answers[1].accepted[0].stored["df_event_id"]


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (call(path="/api/v1/events/create/"), 404, "ft.EmuNotFound"),
        (call(path="/api/v1/events"), 404, "ft.EmuNotFound"),
        (call(method="GET"), 405, "ft.EmuMethodNotAllowed"),
        (call(key=None), 403, "ft.InvalidAPIKey"),
        (call(key=""), 403, "ft.InvalidAPIKey"),
        (call(key="wsak_stranger"), 403, "ft.InvalidAPIKey"),
        (call(content_encoding="gzip"), 400, "ft.EmuInvalidParameter"),
        (call(media_type="text/plain"), 400, "ft.EmuInvalidParameter"),
        (call(media_type=None), 400, "ft.EmuInvalidParameter"),
        (call(b"x" * (1024 * 1024 + 1)), 413, "ft.EmuInvalidParameter"),
        (call(b"{"), 400, "ft.EmuInvalidParameter"),
        (call(b'{"title": "\xff"}'), 400, "ft.EmuInvalidParameter"),
        (call([EVENT]), 400, "ft.EmuInvalidParameter"),
        (call(without("date")), 400, "ft.EmuInvalidParameter"),
        (call(without("status")), 400, "ft.EmuInvalidParameter"),
        (call(without("title")), 400, "ft.EmuInvalidParameter"),
        *[
            (call(changed(**{name: None})), 400, "ft.EmuInvalidParameter")
            for name in ("date", "status", "title", "message", "origin", "customTags")
        ],
        *[
            (call(changed(date=date)), 400, "ft.EmuInvalidParameter")
            for date in (True, 1.5, 1.8e12, "1800000000000", 2**63)
        ],
        (call(b'{"date": NaN, "status": "ok", "title": "x"}'), 400, "ft.EmuInvalidParameter"),
        *[
            (call(changed(status=status)), 400, "ft.EmuInvalidParameter")
            for status in ("fatal", "ERROR", "", 3, ["error"])
        ],
        *[
            (call(changed(**{name: value})), 400, "ft.EmuInvalidParameter")
            for name in ("title", "message", "origin")
            for value in (7, "", {}, "\ud800")
        ],
        *[(call(changed(customTags=tags)), 400, "ft.EmuInvalidParameter") for tags in ([], "a=b", 1)],
    ],
)
def test_refuses(request_: Request, status: int, code: str) -> None:
    """HTTP status and body agree; ``content`` is empty and ``success`` false."""
    answer = Guance().answer(request_, NOW)

    assert verdict(answer) == (status, code)
    body = json.loads(answer.body)
    assert (body["code"], body["content"], body["success"]) == (status, {}, False)
    assert answer.accepted == ()
    assert [refusal.code for refusal in answer.refused] == [code]


def test_checks_the_key_before_the_body() -> None:
    """A stranger learns nothing about the body."""
    assert verdict(Guance().answer(call(b"{", key="stranger"), NOW)) == (403, "ft.InvalidAPIKey")


def test_a_key_may_be_revoked_and_restored() -> None:
    """While the service runs."""
    guance = Guance(invalid_key_status=401)

    guance.keys.discard(CONSOLE_GUANCE_KEY)
    revoked = guance.answer(call(), NOW)
    guance.keys.add(CONSOLE_GUANCE_KEY)
    restored = guance.answer(call(), NOW)

    assert verdict(revoked) == (401, "ft.InvalidAPIKey")
    assert verdict(restored) == (200, "")


def test_takes_twenty_calls_a_minute_of_one_key() -> None:
    """Too fast is told by a 401, as documented; the window slides."""
    guance = Guance()

    answers = [guance.answer(call(), NOW + second) for second in range(21)]

    assert [answer.status for answer in answers] == [200] * 20 + [401]
    assert verdict(answers[-1])[1] == "ft.TriggerApiAkCurrentLimiting"
    assert "retry-after" not in answers[-1].headers
    assert verdict(guance.answer(call(), NOW + 59.9)) == (401, "ft.TriggerApiAkCurrentLimiting")
    assert verdict(guance.answer(call(), NOW + 60.0)) == (200, "")


def test_takes_two_hundred_calls_a_minute_of_one_workspace() -> None:
    """However many keys share it."""
    keys = {f"key-{number}" for number in range(11)}
    guance = Guance(keys=set(keys))

    answers = [guance.answer(call(key=key), NOW) for key in sorted(keys) for _ in range(20)]

    assert [answer.status for answer in answers] == [200] * 200 + [401] * 20
    assert verdict(answers[-1])[1] == "ft.TriggerApiWorkspaceCurrentLimiting"


@pytest.mark.parametrize(
    ("options", "after", "status"),
    [
        ({}, 60.0, 200),
        ({"count_refused": True}, 60.0, 401),
        ({"fixed_window": True}, 30.0, 200),
        ({"throttled_status": 429, "retry_after": 2.5}, 1.0, 429),
    ],
)
def test_the_window_has_options(options: dict[str, Any], after: float, status: int) -> None:
    """Sliding or fixed, refused calls counted or not, and another status: no document says."""
    guance = Guance(key_limit=2, **options)
    start = 1_800_000_030.0  # half a minute into a fixed window
    for second in (0.0, 0.0, 1.0, 1.0):
        guance.answer(call(), start + second)

    answer = guance.answer(call(), start + after)

    assert answer.status == status
    assert answer.headers.get("retry-after") == ("3" if "retry_after" in options else None)


@pytest.mark.parametrize(("agent", "status"), [("Python-urllib/3.11", 403), ("", 403), ("ours/1.0", 200)])
def test_a_gateway_before_it_may_refuse_agents(agent: str, status: int) -> None:
    """In plain text, as one was seen to."""
    answer = Guance(waf=True).answer(call(user_agent=agent), NOW)

    assert answer.status == status
    assert status == 200 or answer.body == b"error code: 1010"


@pytest.mark.parametrize("date", [1_800_000_000, -1, 0])
def test_flags_a_date_that_was_meant_in_seconds(date: int) -> None:
    """The service takes it, and the event lands in January 1970."""
    (accepted,) = Guance().answer(call(changed(date=date)), NOW).accepted

    assert accepted.flags == ("suspicious_date",)


TAGS = {"fine": "x", "_hidden": "x", "df_own": "x", "title": "x", "number": 1}


@pytest.mark.parametrize(
    ("policy", "status", "kept"),
    [("accept", 200, set(TAGS)), ("drop_key", 200, {"fine"}), ("reject", 400, None)],
)
def test_doubtful_tags_are_flagged(policy: Any, status: int, kept: set[str] | None) -> None:
    """Whatever else is done about them."""
    answer = Guance(tags=policy).answer(call(changed(customTags=TAGS)), NOW)

    assert answer.status == status
    for accepted in answer.accepted:
        assert accepted.flags == tuple(
            f"doubtful_tag:{key}" for key in ("_hidden", "df_own", "title", "number")
        )
        assert {key for key in TAGS if key in accepted.stored} == kept


@pytest.mark.parametrize(("policy", "status"), [("ignore", 200), ("reject", 400)])
def test_unknown_fields_are_flagged(policy: Any, status: int) -> None:
    """And ignored, unless asked otherwise."""
    answer = Guance(unknown_fields=policy).answer(call(changed(level="ERROR")), NOW)

    assert answer.status == status
    assert [accepted.flags for accepted in answer.accepted] == [("unknown_field:level",)][: status == 200]


def test_options_for_what_nobody_knows() -> None:
    """Empty texts, other media types, the older form of the trace id."""
    guance = Guance(empty_text=True, any_content_type=True, trace_ids="uuid")

    answer = guance.answer(call(changed(message=""), media_type="text/plain"), NOW)

    assert answer.status == 200
    assert json.loads(answer.body)["traceId"].startswith("TRACE-")


def test_may_refuse_with_http_200() -> None:
    """Then only the body says that the event was not taken."""
    answer = Guance(errors_as_http_200=True).answer(call(without("title")), NOW)

    body = json.loads(answer.body)
    assert (answer.status, body["code"], body["success"]) == (200, 400, False)
    assert answer.accepted == ()
