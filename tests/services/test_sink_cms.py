"""The CMS sink against a loopback server that checks every signature and answers as it is told."""

from __future__ import annotations

import email.utils
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import acs_signatures
import pytest
from faultserver import FaultServer, Reply

from eventlog_handlers.console import acs
from eventlog_handlers.errors import (
    MisconfiguredError,
    RefusedError,
    SinkError,
    ThrottledError,
    TooLargeError,
    TransientError,
)
from eventlog_handlers.events import DELIVERED, Code, Event
from eventlog_handlers.services.cms import credentials as alibaba
from eventlog_handlers.services.cms.options import CMSSettings
from eventlog_handlers.services.cms.sink import CardinalityGuard, CMSSink
from eventlog_handlers.settings.secret import Secret

NOW = 1_700_000_000.0
SECRETS = {
    "LTAIfirst": "first-secret-value",
    "LTAIsecond": "second-secret-value",
    "STS.third": "third-secret",
}
EVENT = Event(
    id="0123456789abcdef0123456789abcdef",
    time=NOW,
    level=40,
    level_name="ERROR",
    status="error",
    logger="shop.pay",
    message="payment 支付 failed ~*+/=&%",
    template="",
    fingerprint="00112233445566ff",
    exception=None,
    stack="",
    attributes={},
    code=Code("/srv/shop/pay.py", 42, "charge", "pay"),
    thread_id=1,
    thread_name="MainThread",
    process_id=12,
    host="web-1",
    service="shop",
    env=None,
    tags={},
    trace_id=None,
    span_id=None,
)


class Seen(NamedTuple):
    """One request as it arrived, its signature already found right or wrong."""

    scheme: str
    is_signed: bool
    access_key_id: str
    nonce: str
    timestamp: str
    security_token: str | None
    form: dict[str, str]
    headers: dict[str, str]


class _Server(ThreadingHTTPServer):
    def handle_error(self, *args: object) -> None:
        """A client that hangs up is no fault of this server."""


class Gateway:
    """Answers each request with the next scripted answer, and success when there is none left."""

    def __init__(self) -> None:
        self.script: list[tuple[int, dict[str, str], bytes]] = []
        self.seen: list[Seen] = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                gateway.seen.append(_seen(self.path, headers, body))
                status, more, content = gateway.script.pop(0) if gateway.script else SUCCESS
                self.send_response_only(status)
                for name, value in {"Content-Length": str(len(content)), **more}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _seen(target: str, headers: dict[str, str], body: bytes) -> Seen:
    path, _, query_text = target.partition("?")
    query = parse_qsl(query_text, keep_blank_values=True)
    form = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True)
    authorization = acs.parsed(headers.get("authorization", ""))
    assert not query, "a URL is no place for a signature or a token"
    if authorization is None:
        common = dict(form)
        secret = SECRETS.get(common["AccessKeyId"], "")
        return Seen(
            "v1",
            acs_signatures.verify_v1("POST", query + form, secret),
            common["AccessKeyId"],
            common["SignatureNonce"],
            common["Timestamp"],
            common.get("SecurityToken"),
            {name: value for name, value in form if name.startswith("EventInfo.")},
            headers,
        )
    secret = SECRETS.get(authorization.key_id, "")
    return Seen(
        "v3",
        acs_signatures.verify_v3("POST", path, query, headers, body, secret),
        authorization.key_id,
        headers["x-acs-signature-nonce"],
        headers["x-acs-date"],
        headers.get("x-acs-security-token"),
        dict(form),
        headers,
    )


def _answer(
    code: str, status: int = 400, message: str = "m", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    body = json.dumps({"RequestId": "R-1", "Code": code, "Message": message}).encode()
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, body


SUCCESS = _answer("200", 200, "success")
EXPIRED_TOKEN = _answer("InvalidSecurityToken.Expired")
UNREAD = _answer("MissingEventInfo", message="EventInfo is mandatory for this action.")


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A server of its own for each test."""
    server = Gateway()
    yield server
    server.stop()


class Kit(NamedTuple):
    """A sink and what it said."""

    sink: CMSSink
    warnings: list[str]

    def send(self, count: int = 1, timeout: float = 10.0) -> Any:
        return self.sink.send([self.sink.encode(EVENT)] * count, timeout=timeout)


@pytest.fixture
def make(gateway: Gateway) -> Iterator[Callable[..., Kit]]:
    """Sinks that call *gateway* with the first key, unless told otherwise."""
    made: list[Kit] = []

    def build(
        *, clock: Callable[[], float] = time.monotonic, key_id: str | None = "LTAIfirst", **changes: Any
    ) -> Kit:
        settings = CMSSettings(
            endpoint=gateway.url,
            access_key_id=None if key_id is None else Secret(key_id),
            access_key_secret=None if key_id is None else Secret(SECRETS[key_id]),
            proxies={},
        )
        warnings: list[str] = []
        sink = CMSSink(
            CMSSettings(**{**vars(settings), **changes}),
            clock=clock,
            wall_clock=lambda: NOW,
            nonce=lambda: uuid.uuid4().hex,
            warn=warnings.append,
        )
        made.append(Kit(sink, warnings))
        return made[-1]

    yield build
    for kit in made:
        kit.sink.close()


# --- delivery --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["v1", "v3"])
@pytest.mark.parametrize("count", [1, 50])
def test_events_arrive_signed_and_whole(
    gateway: Gateway, make: Callable[..., Kit], scheme: str, count: int
) -> None:
    """One call, a right signature as the server computes it, every event's content decoded intact."""
    kit = make(signature=scheme, group_id="7")

    outcomes = kit.send(count)

    assert outcomes == [DELIVERED] * count
    (seen,) = gateway.seen
    assert (seen.scheme, seen.is_signed) == (scheme, True)
    assert seen.timestamp == "2023-11-14T22:13:20Z"
    assert len(seen.form) == 4 * count
    assert seen.form[f"EventInfo.{count}.Content"].startswith("ERROR payment 支付 failed ~*+/=&%\n")
    assert seen.form[f"EventInfo.{count}.GroupId"] == "7"
    assert kit.warnings == []


@pytest.mark.parametrize("scheme", ["v1", "v3"])
def test_a_temporary_key_sends_its_token(gateway: Gateway, make: Callable[..., Kit], scheme: str) -> None:
    """The token is signed along with the rest."""
    kit = make(signature=scheme, key_id="STS.third", security_token=Secret("CAIS+token/=~*"))

    kit.send()

    assert gateway.seen[0].is_signed
    assert gateway.seen[0].security_token == "CAIS+token/=~*"


def test_every_call_has_a_nonce_of_its_own(gateway: Gateway, make: Callable[..., Kit]) -> None:
    """Sending the same payload again signs it again."""
    kit = make()
    payload = kit.sink.encode(EVENT)

    for _ in range(3):
        kit.sink.send([payload], timeout=10)

    assert len({seen.nonce for seen in gateway.seen}) == 3
    assert all(seen.is_signed for seen in gateway.seen)


def test_a_sink_can_be_closed_and_used_again(gateway: Gateway, make: Callable[..., Kit]) -> None:
    """Closing drops connections, nothing more."""
    kit = make()
    kit.send()

    kit.sink.close()

    assert kit.send() == [DELIVERED]


# --- second tries ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["v1", "v3"])
def test_a_used_nonce_is_replaced_at_once(gateway: Gateway, make: Callable[..., Kit], scheme: str) -> None:
    """One further request with another nonce and so another signature."""
    gateway.script = [_answer("SignatureNonceUsed")]
    kit = make(signature=scheme)

    assert kit.send() == [DELIVERED]
    first, second = gateway.seen
    assert first.nonce != second.nonce
    assert second.is_signed


def test_a_nonce_refused_twice_is_left_to_the_next_attempt(
    gateway: Gateway, make: Callable[..., Kit]
) -> None:
    """No loop; and since the gateway may have a copy of the call, it counts as ambiguous."""
    gateway.script = [_answer("SignatureNonceUsed")] * 2
    kit = make()

    with pytest.raises(TransientError) as raised:
        kit.send()

    assert raised.value.ambiguous
    assert len(gateway.seen) == 2


def test_a_request_cut_after_it_was_stored_is_left_to_the_next_attempt(make: Callable[..., Kit]) -> None:
    """A kept connection is cut: the request is not repeated unseen, and the next one is signed anew."""
    _, _, body = SUCCESS
    with FaultServer(Reply(body), Reply(reset_at=0), Reply(body)) as server:
        kit = make(endpoint=server.url)

        assert kit.send() == [DELIVERED]
        with pytest.raises(TransientError) as raised:
            kit.send()
        assert kit.send() == [DELIVERED]

    assert raised.value.ambiguous
    assert len(server.requests) == 3
    assert server.requests[1].body != server.requests[2].body


@pytest.mark.parametrize("scheme", ["v1", "v3"])
def test_a_wrong_clock_is_corrected_from_the_answer(
    gateway: Gateway, make: Callable[..., Kit], scheme: str
) -> None:
    """The request is signed again with the server's time, later ones too; the events keep their own."""
    date = email.utils.formatdate(NOW + 3600, usegmt=True)
    gateway.script = [_answer("InvalidTimeStamp.Expired", Date=date)]
    kit = make(signature=scheme)

    assert kit.send() == [DELIVERED]
    assert kit.send() == [DELIVERED]
    assert [seen.timestamp for seen in gateway.seen] == [
        "2023-11-14T22:13:20Z",
        "2023-11-14T23:13:20Z",
        "2023-11-14T23:13:20Z",
    ]
    assert all(seen.is_signed for seen in gateway.seen)
    assert {seen.form["EventInfo.1.Time"] for seen in gateway.seen} == {"20231114T221320.000+0000"}


def test_a_second_correction_takes_the_place_of_the_first(gateway: Gateway, make: Callable[..., Kit]) -> None:
    """The offset is measured from this machine's clock each time, not added to the one before."""
    kit = make()
    for ahead in (3600, 7200):
        gateway.script = [
            _answer("InvalidTimeStamp.Expired", Date=email.utils.formatdate(NOW + ahead, usegmt=True))
        ]
        assert kit.send() == [DELIVERED]

    assert [seen.timestamp for seen in gateway.seen] == [
        "2023-11-14T22:13:20Z",
        "2023-11-14T23:13:20Z",
        "2023-11-14T23:13:20Z",
        "2023-11-15T00:13:20Z",
    ]


@pytest.mark.parametrize("headers", [{}, {"Date": "gibberish"}])
def test_a_wrong_clock_without_a_date_names_the_remedy(
    gateway: Gateway, make: Callable[..., Kit], headers: dict[str, str]
) -> None:
    """Nothing to correct it by: the user has to."""
    status, _, body = _answer("InvalidTimeStamp.Expired")
    gateway.script = [(status, headers, body)]

    with pytest.raises(MisconfiguredError, match="clock"):
        make().send()

    assert len(gateway.seen) == 1


@pytest.mark.parametrize(
    "answer",
    [
        lambda key: key,
        lambda key: (key.access_key_id, key.access_key_secret, key.security_token),
        lambda key: {
            "access_key_id": key.access_key_id,
            "access_key_secret": key.access_key_secret,
            "security_token": key.security_token,
        },
        lambda key: {
            "AccessKeyId": key.access_key_id,
            "AccessKeySecret": key.access_key_secret,
            "SecurityToken": key.security_token,
        },
    ],
)
def test_an_expired_token_is_fetched_afresh_once(
    gateway: Gateway, make: Callable[..., Kit], answer: Callable[[Any], Any]
) -> None:
    """The second request is signed with what the callable says by then, in whatever shape it says it."""
    keys = iter(
        [
            SimpleNamespace(
                access_key_id="LTAIfirst", access_key_secret=SECRETS["LTAIfirst"], security_token="old-token"
            ),
            SimpleNamespace(
                access_key_id="STS.third", access_key_secret=SECRETS["STS.third"], security_token="new-token"
            ),
        ]
    )
    gateway.script = [EXPIRED_TOKEN]
    kit = make(key_id=None, credentials=lambda: answer(next(keys)))

    assert kit.send() == [DELIVERED]
    assert [(seen.access_key_id, seen.security_token, seen.is_signed) for seen in gateway.seen] == [
        ("LTAIfirst", "old-token", True),
        ("STS.third", "new-token", True),
    ]


def test_a_provider_object_is_asked_for_every_call(gateway: Gateway, make: Callable[..., Kit]) -> None:
    """What the official credentials client offers is enough."""

    class Provider:
        calls = 0

        def get_credential(self) -> Any:
            self.calls += 1
            return SimpleNamespace(
                access_key_id="LTAIsecond",
                access_key_secret=SECRETS["LTAIsecond"],
                security_token=None,
                provider_name="x",
            )

    provider = Provider()
    kit = make(key_id=None, credentials=provider)
    kit.send()
    kit.send()

    assert provider.calls == 2
    assert [seen.access_key_id for seen in gateway.seen] == ["LTAIsecond"] * 2


def test_credentials_that_did_not_change_are_not_tried_twice(
    gateway: Gateway, make: Callable[..., Kit]
) -> None:
    """The same key would only be refused again."""
    gateway.script = [_answer("InvalidAccessKeyId.NotFound", 404)]

    with pytest.raises(MisconfiguredError) as raised:
        make().send()

    assert raised.value.code == "InvalidAccessKeyId.NotFound"
    assert len(gateway.seen) == 1


def test_the_environment_is_read_when_sending(
    gateway: Gateway, make: Callable[..., Kit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key rotated in the environment counts from the next call."""
    kit = make(key_id=None)
    used = []
    for key_id in ("LTAIfirst", "LTAIsecond"):
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", key_id)
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRETS[key_id])
        monkeypatch.delenv("ALIBABA_CLOUD_SECURITY_TOKEN", raising=False)
        kit.send()
        used.append(gateway.seen[-1])

    assert [seen.access_key_id for seen in used] == ["LTAIfirst", "LTAIsecond"]
    assert all(seen.is_signed for seen in used)


def test_v3_falls_back_to_v1_once_and_for_good(gateway: Gateway, make: Callable[..., Kit]) -> None:
    """If the form body is not read under V3 the call goes again as v1, later ones at once, said once."""
    gateway.script = [UNREAD]
    kit = make(signature="v3")

    assert kit.send(3) == [DELIVERED] * 3
    assert kit.send() == [DELIVERED]
    assert [seen.scheme for seen in gateway.seen] == ["v3", "v1", "v1"]
    assert all(seen.is_signed for seen in gateway.seen)
    assert len(kit.warnings) == 1
    assert "v1" in kit.warnings[0]


def test_several_faults_in_a_row_are_each_mended_once(gateway: Gateway, make: Callable[..., Kit]) -> None:
    """Layout, clock and nonce within one call, and the fourth answer is the verdict."""
    date = email.utils.formatdate(NOW - 3600, usegmt=True)
    gateway.script = [
        UNREAD,
        _answer("InvalidTimeStamp.Expired", Date=date),
        _answer("SignatureNonceUsed"),
        _answer("InvalidTimeStamp.Expired", Date=date),
    ]
    kit = make(signature="v3")

    with pytest.raises(MisconfiguredError):
        kit.send()

    assert len(gateway.seen) == 4
    assert all(seen.is_signed for seen in gateway.seen)


def test_no_second_try_starts_after_the_time_is_over(gateway: Gateway, make: Callable[..., Kit]) -> None:
    """The total timeout holds for all tries together; what was mended meanwhile serves the next call."""
    now = [0.0]

    def slow_the_second_time() -> tuple[str, str]:
        now[0] += 100 * len(gateway.seen)
        return ("LTAIsecond" if gateway.seen else "LTAIfirst"), SECRETS["LTAIfirst"]

    gateway.script = [EXPIRED_TOKEN]
    kit = make(clock=lambda: now[0], key_id=None, credentials=slow_the_second_time)

    with pytest.raises(TransientError) as raised:
        kit.send(timeout=10)

    assert raised.value.code == "timeout"
    assert len(gateway.seen) == 1


def test_no_request_is_sent_without_time_for_it(gateway: Gateway, make: Callable[..., Kit]) -> None:
    """A deadline that has passed already is a transient failure of its own name."""
    with pytest.raises(TransientError) as raised:
        make().send(timeout=0)

    assert raised.value.code == "timeout"
    assert gateway.seen == []


# --- verdicts and faults ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error", "retry_after"),
    [
        (_answer("Throttling.User", x_acs_retry_after="2500"), ThrottledError, 2.5),
        (_answer("Throttling.User", x_ratelimit_user_api="Remain:0,TimeLeft:900"), ThrottledError, 0.9),
        (_answer("Throttling", 429, Retry_After="4"), ThrottledError, 4.0),
        (_answer("ServiceUnavailable", 503, Retry_After="3"), TransientError, 3.0),
        (_answer("ParameterInvalid"), RefusedError, None),
        ((413, {}, b"<html>Request Entity Too Large</html>"), TooLargeError, None),
        ((414, {}, b"<html>Request-URI Too Large</html>"), MisconfiguredError, None),
        ((302, {"Location": "http://127.0.0.1:9/"}, b""), MisconfiguredError, None),
        (_answer("200", 500), TransientError, None),
    ],
)
def test_answers_become_errors_with_their_hints(
    gateway: Gateway,
    make: Callable[..., Kit],
    answer: tuple[int, dict[str, str], bytes],
    error: type[SinkError],
    retry_after: float | None,
) -> None:
    """Through the real client: the class the worker acts on and the pause the service asked for."""
    gateway.script = [answer]

    with pytest.raises(error) as raised:
        make().send(2)

    assert raised.value.retry_after == retry_after
    assert len(gateway.seen) == 1


def test_nobody_listening_is_transient(make: Callable[..., Kit], gateway: Gateway) -> None:
    """A refused connection says nothing about us."""
    kit = make()
    gateway.stop()

    with pytest.raises(TransientError):
        kit.send()


def test_secrets_stay_out_of_errors(gateway: Gateway, make: Callable[..., Kit]) -> None:
    """Even where an answer quotes the whole request."""
    quoted = "token CAIS+token/=~* as CAIS%2Btoken%2F%3D~%2A and third-secret are wrong"
    gateway.script = [_answer("InvalidSecurityToken.Malformed", message=quoted)]
    kit = make(key_id="STS.third", security_token=Secret("CAIS+token/=~*"))

    with pytest.raises(MisconfiguredError) as raised:
        kit.send()

    shown = f"{raised.value!r} {raised.value.detail}"
    assert "token *** as *** and *** are wrong" in shown
    assert "CAIS" not in shown
    assert "third-secret" not in shown


# --- credentials -----------------------------------------------------------------------------------------


def test_missing_credentials_name_the_remedy(
    make: Callable[..., Kit], gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key anywhere: nothing is sent, and the text says what to set."""
    for name in alibaba.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(MisconfiguredError, match="ALIBABA_CLOUD_ACCESS_KEY_ID"):
        make(key_id=None).send()

    assert gateway.seen == []


@pytest.mark.parametrize(
    "answer",
    [
        None,
        (),
        ("LTAIfirst",),
        ("LTAIfirst", ""),
        ("LTAIfirst", None),
        ("LTAIfirst", 7),
        ("LTAIfirst", "hush hush"),
        ("LTAIfirst", "hush\nhush"),
        ("LTAIfirst", "hush密"),
        ("LTAIfirst", "hush", "hush", "hush"),
        {"access_key_id": "LTAIfirst"},
        "LTAIfirst:hush",
    ],
)
def test_an_answer_that_holds_no_key_is_a_wrong_setting(answer: object) -> None:
    """Half a key, an impossible character or another type; the text never shows the value."""
    with pytest.raises(MisconfiguredError) as raised:
        alibaba.from_source(lambda: answer)

    assert "hush" not in str(raised.value)
    assert "credentials=" in str(raised.value)


def test_a_callable_that_raises_is_asked_again_later() -> None:
    """A metadata service may be away for a moment; what the exception says is not repeated."""

    def away() -> None:
        raise OSError("hush")

    with pytest.raises(TransientError) as raised:
        alibaba.from_source(away)

    assert "OSError" in raised.value.detail
    assert "hush" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_keys_are_stripped_and_opened() -> None:
    """Blanks and line breaks around a key, or a value wrapped against being shown, are no obstacle."""
    key = alibaba.from_source(lambda: (" LTAIfirst\n", Secret("hush "), None))

    assert key == alibaba.Credentials("LTAIfirst", "hush", None)
    assert "hush" not in repr(alibaba.Credentials("LTAIfirst", "hush", "hush"))


# --- names -----------------------------------------------------------------------------------------------


def test_too_many_names_fall_back_to_the_logger(make: Callable[..., Kit]) -> None:
    """The 201st distinct name becomes the logger's, known ones stay, and it is said once."""
    kit = make(event_name="{message}")

    def name(message: str) -> str:
        return str(kit.sink.encode(EVENT._replace(message=message)).body[1])

    names = [name(f"m{number}") for number in range(203)]

    assert names[:200] == [f"EventName=m{number}" for number in range(200)]
    assert names[200:] == ["EventName=shop.pay"] * 3
    assert name("m7") == "EventName=m7"
    assert len(kit.warnings) == 1
    assert "event_name" in kit.warnings[0]


def test_a_name_known_before_the_limit_is_no_new_one() -> None:
    """Repetitions do not count."""
    warnings: list[str] = []
    guard = CardinalityGuard(2, warnings.append)

    names = [guard.admit(name, "fallback") for name in ("a", "a", "b", "a", "b", "c", "a")]

    assert names == ["a", "a", "b", "a", "b", "fallback", "a"]
    assert len(warnings) == 1
