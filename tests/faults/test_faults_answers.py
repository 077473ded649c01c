"""Rows B10 to B24 and B26: what a service may answer, through the real handlers and real sockets.

Each test ends with the law, by event id against what the server processed.
"""

from __future__ import annotations

import email.utils
import itertools
import json
import logging
import random
import time
import zlib
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import acs_signatures
import pytest
from faults import (
    CLOUDWATCH,
    CMS_,
    GUANCE,
    SECRET,
    SERVICES,
    Backend,
    Service,
    assert_arrived,
    assert_held,
    assert_law,
    by_hand,
    deliver,
    deliver_but,
    log,
    names,
    process_but,
    running,
)
from faultserver import FaultServer, Reply, Request
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog_handlers.pipeline import retry
from eventlog_handlers.pipeline.pacing import Pacer

HTML = b"<html><body>welcome to this network</body></html>"

each_service = pytest.mark.parametrize("service", SERVICES, ids=repr)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture
def _short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler with its own clock rests a fiftieth of the longest time it might, and probes every 80 ms."""
    monkeypatch.setattr(random, "random", lambda: 0.02)
    monkeypatch.setattr(retry, "PROBE_BASE_SECONDS", 0.1)


def rows(table: dict[Service, list[Any]]) -> Any:
    """One case for each answer of each service."""
    return pytest.mark.parametrize(
        ("service", "answer"),
        [
            pytest.param(service, answer, id=f"{service}-{number}")
            for service, answers in table.items()
            for number, answer in enumerate(answers)
        ],
    )


def fail_then_recover(
    service: Service, *replies: Any, events: int = 12, copies: int = 1, **options: Any
) -> tuple[list[float], str, str]:
    """Meet *replies*, then a service that is well: rests after each, state and last error during the trouble.

    Nothing is lost.
    """
    with Backend(service, *replies) as backend, by_hand(service, backend.url, **options) as stepped:
        stepped.log(*names(events))
        rests = [stepped.send_once() for _ in replies]
        stats = stepped.handler.stats()
        assert stats["dropped"] == {}
        assert_law(stats)
        stepped.settle()

        assert_arrived(stepped.handler, backend, names(events), copies=copies)
        assert stepped.handler.stats()["state"] == "ok"
    return rests, stats["state"], stats["last_error"]


# --- B10: the data -----------------------------------------------------------------------------------------

REFUSALS: dict[Service, list[Reply]] = {
    CMS_: [CMS_.failure(code) for code in ("ParameterInvalid", "InvalidParameter.Content", "400")]
    + [CMS_.failure("MissingContent", message="EventInfo.3.Content is mandatory for this action.")]
    + [CMS_.failure("ParameterInvalid", 200), CMS_.failure("NeverSeen")],
    GUANCE: [GUANCE.failure("ft.InvalidParameter", status) for status in (400, 422, 200)],
    CLOUDWATCH: [CLOUDWATCH.failure(code) for code in ("ValidationException", "SerializationException")]
    + [CLOUDWATCH.failure("MalformedDetail"), CLOUDWATCH.failure("ValidationException", 422)],
}


@rows(REFUSALS)
def test_b10_one_bad_event_costs_itself_and_no_neighbour(service: Service, answer: Reply) -> None:
    """The batch is halved until the culprit stands alone; that one is dropped, 29 others arrive once."""

    def turn(backend: Backend, request: Request) -> Reply:
        poisoned = any("poison" in event.message for event in service.events(request))
        return answer if poisoned else deliver(backend, request)

    messages = [*names(13), "poison", *names(16, 13)]
    with Backend(service, turn, ends_well=False) as backend, by_hand(service, backend.url) as stepped:
        stepped.log(*messages)
        stats = stepped.settle()

        assert_arrived(stepped.handler, backend, messages, lost={"poison"})
    assert list(stats["dropped"].values()) == [1]
    assert next(iter(stats["dropped"])).startswith("rejected: ")
    assert stats["failed_requests"] >= 1  # those in which every event was refused, to find the one at fault
    assert stats["state"] == "ok"


@rows(REFUSALS)
def test_b11_what_every_event_meets_is_a_setting(service: Service, answer: Reply) -> None:
    """The same refusals, of all events: none is dropped, the state says so, and it goes on by itself."""

    def turn(backend: Backend, request: Request) -> Reply:
        return deliver(backend, request) if stepped.clock() >= mended_at else answer

    with Backend(service, turn, ends_well=False) as backend, by_hand(service, backend.url) as stepped:
        mended_at = stepped.clock() + 1_500
        stepped.log(*names(25))
        stepped.run(1_400)
        assert_held(stepped.handler, backend, 25)
        stats = stepped.handler.stats()
        stepped.log(*names(5, 25))
        stepped.settle()

        assert_arrived(stepped.handler, backend, names(30))
    assert stats["state"] == "held"
    assert stats["failed_requests"] == stats["requests"]
    assert len(backend.requests) < 100


def test_b11_what_every_entry_meets_is_a_setting() -> None:
    """The same inside a 200: sources that the bus does not take from us."""

    def turn(backend: Backend, request: Request) -> Reply:
        if stepped.clock() >= mended_at:
            return deliver(backend, request)
        refused = {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "not this source"}
        return ok(Entries=[refused] * len(CLOUDWATCH.events(request)), FailedEntryCount=10)

    with (
        Backend(CLOUDWATCH, turn, ends_well=False) as backend,
        by_hand(CLOUDWATCH, backend.url) as stepped,
    ):
        mended_at = stepped.clock() + 1_500
        stepped.log(*names(25))
        stepped.run(1_400)
        assert_held(stepped.handler, backend, 25)
        state = stepped.handler.stats()["state"]
        stepped.settle()

        assert_arrived(stepped.handler, backend, names(25))
    assert state == "held"


def test_b11_a_code_of_every_entry_that_nobody_knows_loses_nothing() -> None:
    """A new word for trouble: the state is failing, and the events wait for better days."""

    def turn(backend: Backend, request: Request) -> Reply:
        if stepped.clock() >= mended_at:
            return deliver(backend, request)
        return ok(Entries=[{"ErrorCode": "SomethingNew"}] * len(CLOUDWATCH.events(request)))

    with (
        Backend(CLOUDWATCH, turn, ends_well=False) as backend,
        by_hand(CLOUDWATCH, backend.url) as stepped,
    ):
        mended_at = stepped.clock() + 1_500
        stepped.log(*names(25))
        stepped.run(1_400)
        assert_held(stepped.handler, backend, 25)
        state = stepped.handler.stats()["state"]
        stepped.settle()

        assert_arrived(stepped.handler, backend, names(25))
    assert state == "failing"


def test_b10_under_v3_a_bad_event_is_not_taken_for_an_unread_body() -> None:
    """A field missing from one event says nothing about the layout: the signature stays V3."""

    def turn(backend: Backend, request: Request) -> Reply:
        if any("poison" in event.message for event in CMS_.events(request)):
            return CMS_.failure("MissingContent", message="EventInfo.3.Content is mandatory for this action.")
        return deliver(backend, request)

    messages = [*names(5), "poison"]
    with (
        Backend(CMS_, turn, ends_well=False) as backend,
        by_hand(CMS_, backend.url, signature="v3") as stepped,
    ):
        stepped.log(*messages)
        stepped.settle()

        assert_arrived(stepped.handler, backend, messages, lost={"poison"})
    assert all("authorization" in request.headers for request in backend.requests)


# --- B11: the configuration --------------------------------------------------------------------------------

WRONG_SETTINGS: dict[Service, list[Reply]] = {
    CMS_: [
        CMS_.failure("InvalidAccessKeyId.NotFound", 404),
        CMS_.failure("SignatureDoesNotMatch"),
        CMS_.failure("InvalidSecurityToken.Expired"),
        CMS_.failure("Forbidden.RAM", 403),
        CMS_.failure("ResourceNotFound", 404),
        CMS_.failure("ServiceNotOpen"),
        CMS_.failure("InvalidRegionId"),
        *(Reply(HTML, status) for status in (400, 401, 403, 404, 418)),
    ],
    GUANCE: [
        GUANCE.failure("ft.InvalidAPIKey", 403),
        GUANCE.failure("ft.InvalidAPIKey", 401),
        *(Reply(HTML, status) for status in (400, 401, 403, 404, 409, 418, 426)),
    ],
    CLOUDWATCH: [
        CLOUDWATCH.failure("UnrecognizedClientException"),
        CLOUDWATCH.failure("InvalidSignatureException", 403),
        CLOUDWATCH.failure("AccessDeniedException"),
        CLOUDWATCH.failure("ExpiredTokenException"),
        CLOUDWATCH.failure("ValidationException", message="Value at 'entries.1.member.eventBusName' failed"),
        *(Reply(HTML, status) for status in (400, 401, 403, 404, 418)),
    ],
}


@rows(WRONG_SETTINGS)
def test_b11_wrong_credentials_hold_everything_and_are_probed_with_one_event(
    service: Service, answer: Reply, capsys: pytest.CaptureFixture[str]
) -> None:
    """No event is dropped for it; a probe every one to five minutes finds out when it is mended."""
    times: list[float] = []
    sizes: list[int] = []

    def turn(backend: Backend, request: Request) -> Reply:
        now = stepped.clock()
        if not times or now > times[-1]:  # else a second try within one call, with what may be fresh by now
            times.append(now)
            sizes.append(len(service.events(request)))
        return deliver(backend, request) if now >= mended_at else answer

    with Backend(service, turn, ends_well=False) as backend, by_hand(service, backend.url) as stepped:
        mended_at = stepped.clock() + 1_500
        stepped.log(*names(25))
        stepped.run(1_400)
        assert_held(stepped.handler, backend, 25)
        assert stepped.handler.stats()["state"] == "held"
        probes = len(times)
        stepped.log(*names(5, 25))
        stepped.settle()

        assert_arrived(stepped.handler, backend, names(30))
    assert sizes[: probes + 1] == [min(25, service.batch), *[1] * probes]
    between = [after - before for before, after in itertools.pairwise(times)]
    assert between[:6] == [pytest.approx(rest, abs=0.1) for rest in (54, 108, 216, 270, 270, 270)]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2, said
    assert SECRET not in said[0]


def test_b11_a_permission_refused_entry_by_entry_holds_everything() -> None:
    """A bus that takes nothing from us says so inside a 200: no event is dropped, one probes."""

    def turn(backend: Backend, request: Request) -> Reply:
        refused = {"ErrorCode": "AccessDeniedException", "ErrorMessage": "not on this bus"}
        return ok(Entries=[refused] * len(CLOUDWATCH.events(request)), FailedEntryCount=10)

    with (
        Backend(CLOUDWATCH, turn, ends_well=False) as backend,
        by_hand(CLOUDWATCH, backend.url) as stepped,
    ):
        stepped.log(*names(25))
        stepped.run(1_400)

        assert_held(stepped.handler, backend, 25)
        stats = stepped.handler.stats()
    assert stats["state"] == "held"
    assert "events:PutEvents" in stats["last_error"]


def test_b11_a_group_that_one_event_names_is_that_events_fault() -> None:
    """The handler's own group is right, so the others arrive."""

    def turn(backend: Backend, request: Request) -> Reply:
        if b"GroupId=404" in request.body:
            return CMS_.failure("ResourceNotFound", 404)
        return deliver(backend, request)

    with (
        Backend(CMS_, turn, ends_well=False) as backend,
        by_hand(CMS_, backend.url, group_id="7") as stepped,
    ):
        stepped.log(*names(6))
        stepped.handler.handle(
            logging.makeLogRecord({"msg": "strayed", "levelno": logging.ERROR, "group_id": "404"})
        )
        stepped.settle()

        assert_arrived(stepped.handler, backend, [*names(6), "strayed"], lost={"strayed"})


@each_service
@pytest.mark.usefixtures("_short_rests")
def test_b11_delivery_goes_on_by_itself_once_the_key_is_accepted(service: Service) -> None:
    """With threads and real time: refused twice, then everything arrives."""
    wrong = WRONG_SETTINGS[service][0]
    with Backend(service, wrong, wrong) as backend, running(service, backend.url) as handler:
        log(handler, names(25))
        assert handler.flush(30)

        assert_arrived(handler, backend, names(25))


def test_b11_credentials_that_were_replaced_meanwhile_are_used_at_once() -> None:
    """The callable is asked again within the call; nobody waits for a probe."""
    keys = iter(
        [("LTAIold", "old-secret-value", "token-1")] + [("LTAInew", "new-secret-value", "token-2")] * 9
    )
    with (
        Backend(CMS_, CMS_.failure("InvalidSecurityToken.Expired")) as backend,
        by_hand(
            CMS_, backend.url, access_key_id=None, access_key_secret=None, credentials=lambda: next(keys)
        ) as stepped,
    ):
        stepped.log(*names(3))
        assert stepped.send_once() == 0.0

        assert_arrived(stepped.handler, backend, names(3))
        assert stepped.handler.stats()["failed_requests"] == 0


# --- B12 to B14: codes and statuses ------------------------------------------------------------------------

THROTTLING: dict[Service, list[Reply]] = {
    CMS_: [CMS_.failure(code) for code in ("Throttling", "Throttling.User", "QPS Limit Exceeded")]
    + [CMS_.failure("Rejected.Throttling", 503)],
    GUANCE: [
        GUANCE.failure(f"ft.Trigger{whose}CurrentLimiting", status)
        for whose in ("ApiAk", "ApiWorkspace")
        for status in (401, 403, 429, 200)
    ],
    CLOUDWATCH: [
        CLOUDWATCH.failure("ThrottlingException"),
        CLOUDWATCH.failure("TooManyRequestsException", 403),
    ],
}


@rows(THROTTLING)
def test_b12_throttling_under_another_status_is_throttling(service: Service, answer: Reply) -> None:
    """The code decides before the status: neither a bad key (401, 403) nor bad data (400)."""
    rests, state, _ = fail_then_recover(service, answer, answer)

    assert state == "failing"
    assert 1.0 <= rests[0] <= 60.0
    assert 2.0 <= rests[1] <= 60.0


CONFIGURATION = (405, 406, 407, 410, 411, 414, 415, 431, 451, 501, 505)


@each_service
@pytest.mark.parametrize("status", CONFIGURATION)
@pytest.mark.parametrize("body", [b"", HTML])
def test_b13_statuses_that_speak_of_address_method_or_form_hold_everything(
    service: Service, status: int, body: bytes
) -> None:
    """Slow probes, nothing dropped, delivered when somebody has mended it."""
    rests, state, _ = fail_then_recover(service, *[Reply(body, status)] * 3)

    assert state == "held"
    assert rests == [54.0, 108.0, 216.0]


TRANSIENT = (408, 425, 500, 502, 503, 504, 520, 522, 524, 529)


@each_service
@pytest.mark.parametrize("status", TRANSIENT)
def test_b14_statuses_that_pass_are_waited_out(service: Service, status: int) -> None:
    """Backoff; whether the server had acted on it nobody knows, so copies are possible."""
    answer = process_but(Reply(HTML, status))
    rests, state, _ = fail_then_recover(service, answer, answer, copies=3)

    assert state == "failing"
    assert rests == [0.5, 1.0]


@pytest.mark.parametrize(
    ("service", "code", "status"),
    [
        (CMS_, "InternalError", 400),
        (CMS_, "ServiceUnavailable", 503),
        (CMS_, "DatabaseError", 500),
        (GUANCE, "ft.InternalError", 500),
        (CLOUDWATCH, "InternalFailure", 400),
        (CLOUDWATCH, "InternalException", 500),
        (CLOUDWATCH, "ServiceUnavailable", 400),
    ],
)
def test_b14_trouble_of_the_service_is_waited_out_whatever_its_status(
    service: Service, code: str, status: int
) -> None:
    """InternalFailure comes with 400 too."""
    rests, state, said = fail_then_recover(service, service.failure(code, status))

    assert (rests, state) == ([0.5], "failing")
    assert code in said


# --- B15: size ---------------------------------------------------------------------------------------------


def limited(most: int) -> Callable[[Backend, Request], Reply]:
    """A server that takes at most *most* bytes of body."""

    def turn(backend: Backend, request: Request) -> Reply:
        if len(request.body) > most:
            return Reply(b"<html>413 Request Entity Too Large</html>", 413)
        return deliver(backend, request)

    return turn


@each_service
def test_b15_a_request_too_large_is_split_and_a_single_event_shortened_once(service: Service) -> None:
    """Everything arrives once; of the one event that was too large by itself, the part that fits, marked."""
    with (
        Backend(service, limited(24_000), ends_well=False) as backend,
        by_hand(service, backend.url) as stepped,
    ):
        stepped.log(*(f"event {number} {'x' * 2_000}" for number in range(20)), f"large {'y' * 30_000} end")
        stats = stepped.settle()

        assert_law(stats)
        assert (stats["delivered"], stats["dropped"]) == (21, {})
        assert len(backend.processed) == len({event.id for event in backend.processed}) == 21
        large = next(
            request.body
            for request, carried in zip(backend.requests, backend.carried(), strict=True)
            if carried[0].startswith("large") and len(request.body) <= 24_000
        )
    text = "".join(value for _, value in parse_qsl(large.decode())) if service is CMS_ else large.decode()
    assert "cut:" in text or "truncated" in text
    assert b"yyyyyyyy" in large


@each_service
def test_b15_what_stays_too_large_is_dropped_and_counted(service: Service) -> None:
    """After one shortening there is nothing left to try; the events beside it are not harmed."""

    def turn(backend: Backend, request: Request) -> Reply:
        if any(event.message.startswith("large") for event in service.events(request)):
            return Reply(b"", 413)
        return deliver(backend, request)

    with Backend(service, turn, ends_well=False) as backend, by_hand(service, backend.url) as stepped:
        stepped.log(*names(4), "large " + "y" * 3_000)
        stats = stepped.settle()

        assert_law(stats)
        assert (stats["delivered"], stats["dropped"]) == (4, {"rejected: http_413": 1})
        assert sorted(event.message for event in backend.processed) == names(4)


# --- B16, B17: pauses --------------------------------------------------------------------------------------

NOON = "Fri, 20 Nov 2026 12:00:00 GMT"
HINTS: dict[str, tuple[dict[str, str], float | None]] = {
    "seconds": ({"Retry-After": "7"}, 7.0),
    "date": ({"Retry-After": "Fri, 20 Nov 2026 12:00:40 GMT", "Date": NOON}, 40.0),
    "date past": ({"Retry-After": "Fri, 20 Nov 2026 11:00:00 GMT", "Date": NOON}, None),
    "date alone": ({"Retry-After": "Fri, 20 Nov 2026 12:00:40 GMT"}, None),
    "garbage": ({"Retry-After": "soon"}, None),
    "negative": ({"Retry-After": "-7"}, None),
    "zero": ({"Retry-After": "0"}, None),
    "ten years": ({"Retry-After": "315360000"}, 300.0),
    "date in ten years": ({"Retry-After": "Fri, 20 Nov 2036 12:00:00 GMT", "Date": NOON}, 300.0),
}


@each_service
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("hint", HINTS)
def test_b16_retry_after_pauses_the_whole_destination(service: Service, status: int, hint: str) -> None:
    """The longer of hint and backoff, five minutes at most; records are taken in meanwhile."""
    headers, seconds = HINTS[hint]
    with (
        Backend(service, Reply(b"", status, headers)) as backend,
        by_hand(service, backend.url) as stepped,
    ):
        stepped.log(*names(3))
        rest = stepped.send_once()
        stepped.log(*names(60, 3))
        stepped.run(rest - 0.01)
        asked = len(backend.requests)
        assert_held(stepped.handler, backend, 63)
        stepped.settle()

        assert_arrived(stepped.handler, backend, names(63))
    backoff = 1.0 if status == 429 else 0.5
    assert rest == pytest.approx(backoff if seconds is None else seconds, abs=0.001)
    assert asked == 1


@each_service
def test_b17_throttling_without_a_hint_rests_from_two_seconds_on(service: Service) -> None:
    """Twice the backoff of a failure, and no event's attempt is spent."""
    rests, state, _ = fail_then_recover(service, *[Reply(b"", 429)] * 7)

    assert state == "failing"
    assert rests == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


@pytest.mark.parametrize(
    ("service", "pace", "share"),
    [
        (CMS_, {"requests_per_second": 2, "batch_size": 1}, 0.5),
        (GUANCE, {"requests_per_minute": 120}, 0.5),
        (CLOUDWATCH, {"batch_size": 1}, 0.75),  # has no pace of its own to slow down
    ],
)
def test_b17_a_token_bucket_is_lived_with(service: Service, pace: dict[str, Any], share: float) -> None:
    """A limit of a request every two seconds that nobody told us: all arrives once, without hammering."""
    state = {"tokens": 3.0, "at": 0.0}

    def bucket(backend: Backend, request: Request) -> Reply:
        now = stepped.clock()
        state["tokens"] = min(3.0, state["tokens"] + (now - state["at"]) / 2)
        state["at"] = now
        if state["tokens"] < 1:
            return Reply(b"", 429)
        state["tokens"] -= 1
        return deliver(backend, request)

    with (
        Backend(service, bucket, ends_well=False) as backend,
        by_hand(service, backend.url, **pace) as stepped,
    ):
        stepped.log(*names(60))
        stats = stepped.settle()

        assert_arrived(stepped.handler, backend, names(60))
    assert stats["failed_requests"] <= stats["requests"] * share


def test_b17_throttling_halves_the_pace_and_every_success_gives_a_twentieth_back() -> None:
    """Down to a sixteenth; ten requests taken after one throttling restore what was set."""
    pacer = Pacer(1.0)

    def next_in() -> float:
        assert pacer.try_take(0.0) == 0
        wait = pacer.try_take(0.0)
        pacer._tokens = 1.0
        return round(wait, 3)

    waits = [next_in()]
    for _ in range(6):
        pacer.throttled()
        waits.append(next_in())
    for _ in range(19):
        pacer.taken()
    waits.append(next_in())

    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 16.0, 16.0, 1.0]


# --- B18, B19: 200 that is none ----------------------------------------------------------------------------


def ok(**fields: Any) -> Reply:
    return Reply(json.dumps(fields).encode())


ERRORS_IN_200: dict[Service, list[tuple[Reply, str]]] = {
    CMS_: [
        (ok(Code="Throttling.User", Message="slow"), "failing"),
        (ok(Code="InternalError", Message="x"), "failing"),
        (ok(Code="500", Message="x"), "failing"),
        (ok(Code="NeverSeen", Message="x"), "failing"),
        (ok(Message="success"), "failing"),
        (ok(Code=True), "failing"),
        (ok(Code="Forbidden.RAM", Message="x"), "held"),
        (ok(Code="InvalidAccessKeyId.NotFound", Message="x"), "held"),
    ],
    GUANCE: [
        (ok(code=500, errorCode="ft.InternalError", success=False), "failing"),
        (ok(code=401, errorCode="ft.TriggerApiAkCurrentLimiting", success=False), "failing"),
        (ok(success=True), "failing"),
        (ok(code=200), "failing"),
        (ok(code="200", success=True), "failing"),
        (ok(code=200, success="true"), "failing"),
        (ok(code=403, errorCode="ft.InvalidAPIKey", success=False), "held"),
    ],
    CLOUDWATCH: [
        (ok(__type="InternalException", message="x"), "failing"),
        (ok(FailedEntryCount=0), "failing"),
        (ok(FailedEntryCount=0, Entries=None), "failing"),
        (ok(Entries={"EventId": "a"}), "failing"),
        (ok(Entries="fine"), "failing"),
    ],
}


@rows(ERRORS_IN_200)
def test_b18_an_error_inside_a_200_is_no_delivery(service: Service, answer: tuple[Reply, str]) -> None:
    """Success needs its proof in the body; else the code inside decides, and nothing is lost."""
    reply, expected = answer
    _, state, _ = fail_then_recover(service, reply, reply)

    assert state == expected


@each_service
@pytest.mark.usefixtures("_short_rests")
def test_b18_nothing_counts_as_delivered_before_its_proof(service: Service) -> None:
    """With threads and real time: two errors inside a 200, then success."""
    replies = [reply for reply, state in ERRORS_IN_200[service] if state == "failing"]
    with Backend(service, replies[0], replies[-1]) as backend, running(service, backend.url) as handler:
        log(handler, names(25))
        assert handler.flush(60)

        assert_arrived(handler, backend, names(25))


GARBAGE = {
    "empty": {"body": b""},
    "html": {"body": HTML},
    "null": {"body": b"null"},
    "list": {"body": b"[]"},
    "object": {"body": b"{}"},
    "text": {"body": b'"fine"'},
    "half a json": {"body": b'{"Code":"200","success":true,"code":200,"Entries":[{"EventId":'},
    "binary": {"body": bytes(range(256))},
    "deep": {"body": b"[" * 60_000},
    "compressed": {"body": zlib.compress(b"{}"), "headers": {"Content-Encoding": "deflate"}},
    "no content": {"body": b"", "status": 204},
    "shorter than it says": {"headers": {"Content-Length": "5000"}, "close": True},
    "chunks cut off": {
        "raw": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{\"Code\":",
        "close": True,
    },
}  # fmt: skip


@each_service
@pytest.mark.parametrize("fault", GARBAGE)
def test_b19_a_200_that_proves_nothing_is_ambiguous(
    service: Service, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sent again with backoff under the same ids, told once; four such answers lose nothing."""
    answer = deliver_but(**GARBAGE[fault])
    rests, state, _ = fail_then_recover(service, *[answer] * 4, copies=5)

    assert state == "failing"
    assert rests == [0.5, 1.0, 2.0, 4.0]
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize("service", [GUANCE, CLOUDWATCH], ids=repr)
def test_b19_what_never_proves_anything_is_given_up_after_ten_attempts(service: Service) -> None:
    """Each attempt may have been a delivery, so ten copies of an event are enough; counted by that name."""
    with (
        Backend(service, process_but(Reply(HTML)), ends_well=False) as backend,
        by_hand(service, backend.url) as stepped,
    ):
        stepped.log(*names(2))
        stats = stepped.settle()

    assert_law(stats)
    assert (stats["pending"], stats["delivered"]) == (0, 0)
    (reason,) = stats["dropped"]
    assert reason.startswith("given up: ")
    assert len(backend.processed) == 20


# --- B20: answers without end ------------------------------------------------------------------------------


def status_of_memory(name: str) -> int:
    """Kilobytes, as the kernel counts this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise AssertionError(name)


def bomb(mebibytes: int) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    return b"".join([*(squeeze.compress(zeros) for _ in range(mebibytes)), squeeze.flush()])


HUGE = {
    "gzip bomb": lambda: Reply(bomb(200), 200, {"Content-Encoding": "gzip"}),
    "endless body": lambda: Reply(raw=b"HTTP/1.1 200 OK\r\n\r\n", endless=b"x" * 65_536),
    "endless as announced": lambda: Reply(
        raw=b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", endless=b"x" * 65_536
    ),
    "endless chunks": lambda: Reply(
        raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        endless=b"10000\r\n" + b"x" * 65_536 + b"\r\n",
    ),
    "endless error page": lambda: Reply(raw=b"HTTP/1.1 503 Busy\r\n\r\n", endless=b"x" * 65_536),
}


@each_service
@pytest.mark.parametrize("fault", HUGE)
def test_b20_an_answer_costs_a_bounded_amount_of_memory(service: Service, fault: str) -> None:
    """64 KiB are read, nothing is inflated, the connection is dropped; the events go again."""
    reply = HUGE[fault]()
    with (
        Backend(service, deliver, process_but(reply)) as backend,
        by_hand(service, backend.url) as stepped,
    ):
        stepped.log("event 0")
        stepped.settle()
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
        before = status_of_memory("VmRSS")
        stepped.log(*names(3, 1))
        rest = stepped.send_once()
        grown = status_of_memory("VmHWM") - before
        stepped.settle()

        assert_arrived(stepped.handler, backend, names(4), copies=2)
        assert backend.requests[0].headers["accept-encoding"] == "identity"
    assert rest == 0.5
    assert grown < 40_000
    assert backend.sent_bytes < 40_000_000
    assert backend.connections == 2


# --- B21: redirects ----------------------------------------------------------------------------------------


@each_service
@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_b21_a_redirect_is_not_followed(service: Service, status: int) -> None:
    """The other host sees no connection, and so no key; held until somebody mends the address."""
    with FaultServer() as other:
        location = {"Location": f"{other.url}/steal?a=b"}
        rests, state, said = fail_then_recover(service, *[Reply(b"", status, location)] * 3)

        assert (other.connections, other.requests) == (0, [])
    assert (rests, state) == ([54.0, 108.0, 216.0], "held")
    assert "steal" not in said


# --- B22, B23: verdicts on single events -------------------------------------------------------------------

RETRIED = ("InternalFailure", "ThrottlingException", "ServiceUnavailable")


def verdicts_on_entries(
    plan: list[list[str]], failed_count: int | None = None
) -> Callable[[Backend, Request], Reply]:
    """PutEvents with an ErrorCode for each entry *plan* has one for, request by request; then all is well."""
    plans = iter(plan)

    def turn(backend: Backend, request: Request) -> Reply:
        codes = next(plans, [])
        entries: list[dict[str, str]] = []
        for number, event in enumerate(CLOUDWATCH.events(request)):
            code = codes[number] if number < len(codes) else ""
            if code:
                entries.append({"ErrorCode": code, "ErrorMessage": "because"})
            else:
                backend.processed.append(event)
                entries.append({"EventId": event.id})
        counted = {} if failed_count is None else {"FailedEntryCount": failed_count}
        return ok(Entries=entries, **counted)

    return turn


def verdicts_on_requests(service: Service, plan: list[list[str]]) -> Callable[[Backend, Request], Reply]:
    """One verdict for all of a request, the first of each list: what the other two services have."""
    plans = iter(plan)
    throttled = service.failure(*service.throttled)
    answers = {"InternalFailure": Reply(b"", 500), "ThrottlingException": throttled}

    def turn(backend: Backend, request: Request) -> Reply:
        (code, *_) = next(plans, [""])
        return answers.get(code, Reply(b"", 503)) if code else deliver(backend, request)

    return turn


def verdicts(
    service: Service, plan: list[list[str]], failed_count: int | None
) -> Callable[[Backend, Request], Reply]:
    if service is CLOUDWATCH:
        return verdicts_on_entries(plan, failed_count)
    return verdicts_on_requests(service, plan)


plans = st.lists(st.lists(st.sampled_from(["", *RETRIED]), min_size=1, max_size=10), min_size=1, max_size=6)


@each_service
@settings(max_examples=12, deadline=None, derandomize=True)
@given(plan=plans, count=st.integers(1, 25), failed_count=st.sampled_from([None, 0, 3]))
def test_b22_only_what_failed_goes_again(
    service: Service, plan: list[list[str]], count: int, failed_count: int | None
) -> None:
    """Whatever fails in whatever order, each event is processed once; FailedEntryCount is not heeded."""
    with (
        Backend(service, verdicts(service, plan, failed_count), ends_well=False) as backend,
        by_hand(service, backend.url) as stepped,
    ):
        stepped.log(*names(count))
        stepped.settle()

        assert_arrived(stepped.handler, backend, names(count))


@each_service
@pytest.mark.usefixtures("_short_rests")
def test_b22_partial_failures_with_threads_and_real_time(service: Service) -> None:
    """Several senders at once; each event is processed exactly once."""
    chance = random.Random(22)
    plan = [[chance.choice(["", "", "InternalFailure"]) for _ in range(10)] for _ in range(8)]
    with (
        Backend(service, verdicts(service, plan, None), ends_well=False) as backend,
        running(service, backend.url) as handler,
    ):
        log(handler, names(80))
        assert handler.flush(60)

        assert_arrived(handler, backend, names(80))


def test_b22_failed_entries_go_in_order_and_ahead_of_newer_events() -> None:
    """When their delay is over they stand where they stood."""
    plan = [["", "InternalFailure", "", "InternalFailure", "InternalFailure"]]
    with (
        Backend(CLOUDWATCH, verdicts_on_entries(plan), ends_well=False) as backend,
        by_hand(CLOUDWATCH, backend.url) as stepped,
    ):
        stepped.log(*names(5))
        stepped.send_once()
        stepped.clock.advance(5.0)
        stepped.log("newer 1", "newer 2")
        stepped.settle()

        assert_arrived(stepped.handler, backend, [*names(5), "newer 1", "newer 2"])
        assert backend.carried()[1] == ["event 1", "event 3", "event 4", "newer 1", "newer 2"]


def test_b22_an_entry_refused_for_good_costs_itself() -> None:
    """Dropped and counted by its code; what failed beside it goes again, what arrived does not."""
    plan = [["MalformedDetail", "", "InternalFailure", "NotAuthorizedForSourceException"]]
    with (
        Backend(CLOUDWATCH, verdicts_on_entries(plan, 3), ends_well=False) as backend,
        by_hand(CLOUDWATCH, backend.url) as stepped,
    ):
        stepped.log(*names(6))
        stats = stepped.settle()

        assert_arrived(stepped.handler, backend, names(6), lost={"event 0", "event 3"})
    assert stats["dropped"] == {
        "rejected: MalformedDetail": 1,
        "rejected: NotAuthorizedForSourceException": 1,
    }


@pytest.mark.parametrize("entries", [0, 3, 5, 40])
def test_b23_answers_that_are_not_as_many_as_entries_prove_nothing(
    entries: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody can say whose they are: all four go again, told on stderr."""
    answer = process_but(ok(FailedEntryCount=0, Entries=[{"EventId": f"id-{n}"} for n in range(entries)]))
    rests, state, said = fail_then_recover(CLOUDWATCH, answer, events=4, copies=2)

    assert (rests, state) == ([0.5], "failing")
    assert f"{entries} answers to 4 entries" in said
    assert "answers to 4 entries" in capsys.readouterr().err


def test_b23_they_go_again_three_times_at_most() -> None:
    """A service that counts wrong may have taken every copy."""
    answer = process_but(ok(FailedEntryCount=0, Entries=[]))
    with (
        Backend(CLOUDWATCH, answer, ends_well=False) as backend,
        by_hand(CLOUDWATCH, backend.url) as stepped,
    ):
        stepped.log(*names(4))
        stats = stepped.settle()

    assert_law(stats)
    assert stats["dropped"] == {"given up: unreadable": 4}
    assert len(backend.processed) == 12


@pytest.mark.parametrize("entry", [None, {}, {"EventId": ""}, {"EventId": "a", "ErrorCode": "Odd"}])
def test_b23_an_entry_without_proof_goes_again_alone(entry: Any) -> None:
    """Its neighbours have theirs."""

    def turn(backend: Backend, request: Request) -> Reply:
        backend.process(request)
        answers: list[Any] = [{"EventId": event.id} for event in CLOUDWATCH.events(request)]
        answers[1] = entry
        return ok(Entries=answers)

    with Backend(CLOUDWATCH, turn) as backend, by_hand(CLOUDWATCH, backend.url) as stepped:
        stepped.log(*names(3))
        stepped.settle()

        assert_arrived(stepped.handler, backend, names(3), copies=2)
        assert backend.carried() == [names(3), ["event 1"]]


# --- B24: clocks -------------------------------------------------------------------------------------------


def cms_gateway(ahead: float, *, tells_time: bool = True) -> Callable[[Backend, Request], Reply]:
    """A gateway whose clock is *ahead* of ours by so many seconds, and that checks signatures."""

    def turn(backend: Backend, request: Request) -> Reply:
        now = time.time() + ahead
        form = parse_qsl(request.body.decode(), strict_parsing=True)
        if "x-acs-date" in request.headers:
            said = request.headers["x-acs-date"]
            is_signed = acs_signatures.verify_v3("POST", "/", (), request.headers, request.body, SECRET)
        else:
            said = dict(form)["Timestamp"]
            is_signed = acs_signatures.verify_v1("POST", form, SECRET)
        moment = datetime.strptime(said, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
        if not is_signed:
            return CMS_.failure("SignatureDoesNotMatch")
        if abs(moment - now) > 900:
            date = {"Date": email.utils.formatdate(now, usegmt=True)} if tells_time else {}
            return CMS_.failure("InvalidTimeStamp.Expired", **date)
        return deliver(backend, request)

    return turn


@pytest.mark.parametrize("signature", ["v1", "v3"])
@pytest.mark.parametrize("ahead", [7_200.0, -86_400.0])
def test_b24_a_clock_that_is_off_is_learnt_from_the_answer(signature: str, ahead: float) -> None:
    """Signed again once with the server's time, and rightly from then on; the events keep their own."""
    with (
        Backend(CMS_, cms_gateway(ahead), ends_well=False) as backend,
        by_hand(CMS_, backend.url, signature=signature) as stepped,
    ):
        stepped.log(*names(3))
        first = stepped.send_once()
        stepped.log(*names(3, 3))
        second = stepped.send_once()

        assert_arrived(stepped.handler, backend, names(6))
    assert (first, second) == (0.0, 0.0)
    assert len(backend.requests) == 3
    for request in backend.requests:
        written = dict(parse_qsl(request.body.decode()))["EventInfo.1.Time"]
        assert abs(datetime.strptime(written, "%Y%m%dT%H%M%S.%f%z").timestamp() - time.time()) < 300


def test_b24_a_clock_nobody_corrects_holds_everything() -> None:
    """Without a Date there is nothing to learn from: as wrong credentials, and the remedy is named."""
    with (
        Backend(CMS_, *[cms_gateway(7_200.0, tells_time=False)] * 2) as backend,
        by_hand(CMS_, backend.url) as stepped,
    ):
        stepped.log(*names(3))
        rests = [stepped.send_once() for _ in range(2)]
        assert_held(stepped.handler, backend, 3)
        said = stepped.handler.stats()["last_error"]
        stepped.settle()

        assert_arrived(stepped.handler, backend, names(3))
    assert rests == [54.0, 108.0]
    assert "clock" in said


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "InvalidSignatureException",
            "Signature expired: 20261120T000000Z is now earlier than 20261120T114424Z",
        ),
        (
            "RequestTimeTooSkewed",
            "The difference between the request time and the server's time is too large.",
        ),
        ("RequestExpired", "Request has expired."),
    ],
)
def test_b24_aws_finds_the_clock_wrong(code: str, message: str) -> None:
    """boto3 signs with this machine's clock and no other: held, with the clock named as what to mend."""
    rests, state, said = fail_then_recover(CLOUDWATCH, *[CLOUDWATCH.failure(code, 403, message)] * 2)

    assert (rests, state) == ([54.0, 108.0], "held")
    assert "clock" in said


# --- B26: hours of it --------------------------------------------------------------------------------------


def first_seen(backend: Backend) -> list[str]:
    return list(dict.fromkeys(event.message for event in backend.processed))


@pytest.mark.parametrize(
    ("service", "pace", "most_a_minute"),
    [
        (CMS_, {"requests_per_second": 2, "batch_size": 2}, 130),
        (GUANCE, {"requests_per_minute": 20}, 20),
        (CLOUDWATCH, {}, 1_000),
    ],
)
def test_b26_hours_of_flapping_lose_nothing(
    service: Service, pace: dict[str, Any], most_a_minute: int
) -> None:
    """Six hours, up for a minute or two of every twenty: the backlog drains within the rate, oldest first in
    each severity, and what is severe and new does not wait behind it."""
    chance = random.Random(26)
    served: list[float] = []

    def turn(backend: Backend, request: Request) -> Reply:
        now = stepped.clock() - started
        if now < 6 * 3_600 and now % 1_200 > 90:
            return chance.choice([Reply(b"", 503), Reply(HTML, 502), Reply(reset_at=0)])
        served.append(now)
        return deliver(backend, request)

    expected: list[str] = []
    with (
        Backend(service, turn, ends_well=False) as backend,
        by_hand(service, backend.url, max_age=86_400, **pace) as stepped,
    ):
        started = stepped.clock()
        for number in range(100):
            stepped.log(f"info {number}", level=logging.INFO)
            stepped.log(f"error {number}", level=logging.ERROR)
            expected += [f"info {number}", f"error {number}"]
            stepped.run(216.0)
            assert_law(stepped.handler.stats())
        stepped.log(*(f"late {number}" for number in range(30)), level=logging.INFO)
        expected += [f"late {number}" for number in range(30)]
        requests = len(backend.requests)
        stepped.log("critical", level=logging.CRITICAL)
        expected.append("critical")
        stats = stepped.settle()

        assert_arrived(stepped.handler, backend, expected)
        assert backend.carried()[requests][0] == "critical"
    seen = first_seen(backend)
    for level in ("error", "info"):
        assert [message for message in seen if message.startswith(level)] == [
            f"{level} {number}" for number in range(100)
        ]
    assert max(sum(at <= other < at + 60 for other in served) for at in served) <= most_a_minute
    assert stats["failed_requests"] > 50
    assert stats["dropped"] == {}
