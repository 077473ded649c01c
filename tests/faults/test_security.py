"""Secrets turn up nowhere, neither ours in what we say nor the application's in what we send."""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faults
import faultserver
import pytest
from canary import CANARY, CANARY_ID, ENVIRONMENT, OPTIONS, assert_silent, dump, said
from certificates import new_authority
from faults import Backend, Service, by_hand, running
from faultserver import FaultServer, Reply
from hypothesis import given
from hypothesis import strategies as st
from law import assert_law

import eventlog_handlers
from eventlog_handlers import configuration, errors
from eventlog_handlers.errors import SettingsError, SinkError
from eventlog_handlers.handler import EventHandler
from eventlog_handlers.process.self_log import SelfLog
from eventlog_handlers.settings.secret import Secret
from eventlog_handlers.testing import make_event

PACKAGE = Path(eventlog_handlers.__file__).parent
HTTP = (faults.CMS_, faults.GUANCE)
SERVICES = faults.SERVICES


@pytest.fixture(params=SERVICES, ids=repr)
def service(request: pytest.FixtureRequest) -> Service:
    return request.param


@pytest.fixture(autouse=True)
def _canary_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def with_canary(service: Service, **options: Any) -> dict[str, Any]:
    """Options under which *service* is called with the canary as its key."""
    own = {"session": None} if service is faults.CLOUDWATCH else OPTIONS[service.name]
    return {**own, **options}


# ---- S1


def quoting(backend: Backend, request: faultserver.Request) -> Reply:
    """A server that says all it was told, and the key besides."""
    told = f"{CANARY} {request.headers} {request.body[:200]!r}"
    return backend.service.failure("SignatureDoesNotMatch", 403, told, **{"X-Echo": CANARY})


def known(service: Service) -> str:
    """What the server may know of the key: AWS's never leaves the client."""
    return "unknown" if service is faults.CLOUDWATCH else CANARY


TURNS: dict[str, Callable[[Service], Any]] = {
    "quotes the key": lambda service: quoting,
    "quotes it outside its form": lambda service: Reply(f"<html>{CANARY}</html>".encode(), 403),
    "quotes it in a redirect": lambda service: Reply(
        b"", 302, {"Location": f"https://x.example/?key={CANARY}"}
    ),
    "quotes it in a success": lambda service: Reply(json.dumps({"key": CANARY}).encode()),
    "refuses the event": lambda service: service.failure(service.refused_code, 400, f"key {known(service)}"),
    "resets": lambda service: Reply(reset_at=0),
    "talks no HTTP": lambda service: Reply(raw=f"{CANARY}\r\n\r\n".encode(), close=True),
    "500": lambda service: Reply(known(service).encode(), 500),
}


@pytest.mark.parametrize("turn", TURNS)
def test_s01_the_key_is_in_nothing_a_handler_says(
    service: Service, turn: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the server answers: not in a repr, a dump, a statistic, on stderr, in our records."""
    with (
        Backend(service, TURNS[turn](service), ends_well=True) as backend,
        by_hand(service, backend.url, **with_canary(service)) as stepped,
    ):
        stepped.log("one")
        stepped.send_once()

        stats = stepped.handler.stats()
        outputs = [
            repr(stepped.handler), str(stepped.handler), dump(stepped.handler), stats,
            json.dumps(stats, default=repr),
            repr(vars(stepped.handler)), repr(vars(stepped.worker)), stats["last_error"],
        ]  # fmt: skip
        final = stepped.settle()

    assert backend.requests
    assert_silent(*outputs, *capsys.readouterr())
    assert_silent(*(record.getMessage() for record in caplog.records if record.name.startswith("eventlog")))
    assert_law(final)


@pytest.mark.parametrize("turn", TURNS)
def test_s01_the_key_is_in_no_exception_of_a_sink(service: Service, turn: str) -> None:
    """Nor in what the exception came from, nor hung on it: requests keeps the whole request on its own."""
    with (
        Backend(service, TURNS[turn](service)) as backend,
        by_hand(service, backend.url, **with_canary(service)) as stepped,
    ):
        sink = stepped.worker._life.delivery.sink
        caught: list[BaseException] = []
        outcomes: list[object] = []
        try:
            outcomes = list(sink.send([sink.encode(make_event())], timeout=5.0))
        except SinkError as error:
            caught.append(error)
        sink.close()

    assert caught or outcomes
    assert_silent(*map(said, caught), *map(repr, outcomes), dump(sink))


@pytest.mark.parametrize(
    "take",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        json.dumps,
        lambda handler: pickle.Pickler(io.BytesIO(), 2).dump(handler),
    ],
    ids=["pickle", "copy", "deepcopy", "json", "Pickler"],
)
def test_s01_a_handler_cannot_be_taken_elsewhere(service: Service, take: Callable[[Any], Any]) -> None:
    """It refuses in a sentence that holds no key."""
    with running(service, "http://127.0.0.1:9", **with_canary(service)) as handler:
        with pytest.raises(TypeError) as caught:
            take(handler)
        with pytest.raises(TypeError) as secret:
            take(Secret(CANARY))

    assert_silent(said(caught.value), said(secret.value))


@pytest.mark.parametrize(
    ("handler", "options"),
    [
        ("CMSHandler", {"access_key_id": CANARY}),
        ("CMSHandler", {"access_key_id": "x", "access_key_secret": f"{CANARY}\n{CANARY}"}),
        ("CMSHandler", {"access_key_id": "x", "access_key_secret": f"{CANARY} €"}),
        ("CMSHandler", {"access_key_id": "x", "access_key_secret": [CANARY]}),
        ("CMSHandler", {"access_key_id": "x", "access_key_secret": {"secret": CANARY}}),
        ("CMSHandler", {"access_key_secret": CANARY}),
        ("CMSHandler", {"security_token": CANARY}),
        ("CMSHandler", {"credentials": CANARY}),
        ("CMSHandler", {"credentials": f"{CANARY}.module"}),
        ("CMSHandler", {"access_key": CANARY}),
        ("CMSHandler", {"endpoint": f"https://user:{CANARY}@host"}),
        ("CMSHandler", {"endpoint": f"https://host/?key={CANARY}"}),
        ("GuanceHandler", {"api_key": f"{CANARY}\x7f"}),
        ("GuanceHandler", {"api_key": CANARY.encode()}),
        ("GuanceHandler", {"site": CANARY}),
        ("GuanceHandler", {"apikey": CANARY}),
        ("GuanceHandler", {"endpoint": f"https://:{CANARY}@host"}),
        ("CloudWatchEventsHandler", {"endpoint_url": f"https://user:{CANARY}@host"}),
        ("CloudWatchEventsHandler", {"aws_secret_access_key": CANARY}),
    ],
)
def test_s01_a_refused_setting_is_not_quoted(handler: str, options: dict[str, Any]) -> None:
    """The sentence names the option and the remedy; a key in the wrong place is still a key."""
    with pytest.raises(SettingsError) as caught:
        getattr(eventlog_handlers, handler)(**options)

    assert any(name in str(caught.value) for name in options) or "missing" in str(caught.value)
    assert_silent(said(caught.value))


@pytest.mark.parametrize(
    "dsn",
    [
        f"guance://{CANARY}@cn1",
        f"cms://cn-hangzhou?access_key_secret={CANARY}",
        f"guance://cn1?api_key={CANARY}",
        f"https://x:{CANARY}@host",
        CANARY,
    ],
)
def test_s01_a_secret_in_a_dsn_is_refused_and_not_quoted(dsn: str) -> None:
    """DSNs end up in process lists and configuration dumps."""
    with pytest.raises(SettingsError) as caught:
        configuration.configure(dsn)

    assert_silent(said(caught.value))


def test_s01_no_error_of_ours_holds_more_than_its_words() -> None:
    """A request or a response on an exception would be printed by any error tracker."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SinkError)]

    for kind in kinds:
        assert set(vars(kind("code", "detail"))) <= {
            "code", "detail", "retry_after", "ambiguous", "attempts_allowed",
        }, kind  # fmt: skip


# ---- S2


def test_s02_keys_and_signatures_travel_in_headers_and_bodies_only(service: Service) -> None:
    """URLs are written down by every proxy on the way; what only signs is never sent at all."""
    with Backend(service) as backend, by_hand(service, backend.url, **with_canary(service)) as stepped:
        stepped.log("one")
        stepped.settle()

    assert [event.message for event in backend.processed] == ["one"]
    for request in backend.requests:
        assert_silent(request.target)
        assert "ignature" not in request.target
        assert CANARY_ID not in request.target
        if service is not faults.GUANCE:  # there the key is the header
            shown = f"{request.headers} {request.body!r}".replace(f"{CANARY}-token", "")
            assert_silent(shown)


def test_s02_the_stand_in_keeps_no_key(eventlog_console: Any) -> None:
    """What it shows of requests and events holds no credential."""
    console_keys = ("eventlog-console-secret", "eventlog-console-key")
    handlers = [
        eventlog_handlers.CMSHandler(requests_per_second=None),
        eventlog_handlers.GuanceHandler(requests_per_minute=None),
        eventlog_handlers.CloudWatchEventsHandler(),
    ]
    for handler in handlers:
        handler.handle(logging.LogRecord("shop", 40, "shop.py", 1, "one", None, None))
        assert handler.flush(30)
        handler.close()

    shown = repr([*eventlog_console.requests(), *eventlog_console.events(), *eventlog_console.refused()])
    assert len(eventlog_console.events()) == 3
    assert not [key for key in console_keys if key in shown]


# ---- S3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_s03_a_redirect_takes_no_key_elsewhere(service: Service, status: int) -> None:
    """The other server sees nothing, and the events wait for somebody to mend the address."""
    with FaultServer() as other:
        away = Reply(b"", status, {"Location": f"{other.url}/elsewhere"})
        with (
            Backend(service, away) as backend,
            by_hand(service, backend.url, **with_canary(service)) as stepped,
        ):
            stepped.log("one")
            stepped.send_once()
            between = stepped.handler.stats()
            final = stepped.settle()

    assert other.connections == 0
    assert (between["pending"], between["dropped"]) == (1, {})
    assert [event.message for event in backend.processed] == ["one"]
    assert_law(final)


# ---- S4


@pytest.mark.parametrize("switch", ["verify", "insecure", "ssl_verify", "use_ssl", "verify_ssl"])
def test_s04_nothing_turns_the_checking_of_certificates_off(service: Service, switch: str) -> None:
    """There is no such option, and no such argument in the code."""
    with pytest.raises(SettingsError, match=switch):
        service.handler("https://127.0.0.1:9", **{switch: False})

    for path in PACKAGE.rglob("*.py"):
        code = path.read_text("utf-8")
        assert not re.search(r"verify\s*=\s*False|CERT_NONE|check_hostname\s*=\s*False", code), path


@pytest.mark.parametrize("service", HTTP, ids=repr)
def test_s04_a_server_nobody_vouches_for_gets_no_byte_of_a_request(service: Service) -> None:
    """Its certificate is not trusted: events are held; with the authority's certificate they go."""
    authority = new_authority()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Backend(service, tls=context) as backend, authority.cert_pem.tempfile() as bundle:
        url = backend.url
        with by_hand(service, url, **with_canary(service)) as stepped:
            stepped.log("kept")
            stepped.send_once()
            state = stepped.handler.stats()["state"]
            seen = len(backend.requests)
        with by_hand(service, url, **with_canary(service, ca_bundle=bundle)) as trusting:
            trusting.log("sent")
            trusting.settle()

    assert (state, seen) == ("held", 0)
    assert [event.message for event in backend.processed] == ["sent"]


@pytest.mark.parametrize("service", SERVICES, ids=repr)
def test_s04_plain_http_goes_to_this_machine_only(service: Service) -> None:
    """Elsewhere it takes a word of the user's."""
    with pytest.raises(SettingsError, match="allow_insecure"):
        service.handler("http://metrics.example")


# ---- S5


@pytest.mark.parametrize("service", HTTP, ids=repr)
def test_s05_a_netrc_file_is_never_read(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """requests would send what stands there instead of our own authorization."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login bob password {CANARY}-netrc\ndefault login x password y\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))

    with Backend(service) as backend, by_hand(service, backend.url) as stepped:
        stepped.log("one")
        stepped.settle()

    (request,) = backend.requests
    assert "authorization" not in request.headers


@pytest.mark.parametrize("service", HTTP, ids=repr)
def test_s05_the_environments_proxy_gets_what_goes_out_and_nothing_for_this_machine(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And its password is told to nobody else."""
    with FaultServer(Reply(b"", 407)) as proxy, Backend(service) as backend:
        address = proxy.url.replace("http://", f"http://bob:{CANARY}@")
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, address)
        with by_hand(service, backend.url) as here:
            here.log("one")
            here.settle()
        at_home = proxy.connections
        with by_hand(service, "https://metrics.invalid") as out:
            out.log("two")
            out.send_once()
            stats = out.handler.stats()

    assert [event.message for event in backend.processed] == ["one"]
    assert at_home == 0
    assert proxy.connections >= 1
    assert stats["pending"] == 1
    assert_silent(stats, dump(out.handler), *capsys.readouterr())


# ---- S6


FORGED = "ok\r\n2026-11-20 CRITICAL root: forged\x1b[31m\x00\u2028\u202e"


def test_s06_a_record_cannot_forge_another(eventlog_console: Any) -> None:
    """Whatever stands in it, one record is one event, and its names stand on one line."""
    handlers = [
        eventlog_handlers.CMSHandler(requests_per_second=None),
        eventlog_handlers.GuanceHandler(requests_per_minute=None, tags={"team": FORGED}),
        eventlog_handlers.CloudWatchEventsHandler(),
    ]
    record = logging.LogRecord(FORGED, 40, FORGED, 1, FORGED, None, None, FORGED)
    record.__dict__.update({FORGED: FORGED, "detail_type": FORGED})
    for handler in handlers:
        handler.handle(record)
        assert handler.flush(30)
        handler.close()

    assert len(eventlog_console.events()) == 3
    cms, guance, cloudwatch = (eventlog_console.events(service.name)[0].body for service in SERVICES)
    names = [
        cms["EventName"], guance["title"], cloudwatch["Source"], cloudwatch["DetailType"],
        *guance["customTags"], *map(str, guance["customTags"].values()),
    ]  # fmt: skip
    assert len(names) > 5
    assert not [name for name in names if re.search("[\x00-\x1f\x7f-\x9f\u2028\u202e]", name)]


def test_s06_our_own_lines_on_stderr_are_lines() -> None:
    """A server's words can't clear a terminal or write a line of their own."""
    stream = io.StringIO()

    SelfLog("CMSHandler", lambda: stream).say(f"not delivering: {FORGED}")

    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().rstrip("\n").isprintable()


# ---- S7


APPLICATIONS = "hunter2-of-the-application"


def log_secrets(handler: EventHandler) -> None:
    """A record with the secret wherever an application may leave one."""
    log = logging.Logger("shop")
    log.addHandler(handler)
    try:
        connect(password=APPLICATIONS)
    except ValueError:
        log.exception(
            "login with password=%s at %s",
            APPLICATIONS,
            f"postgres://bob:{APPLICATIONS}@db",
            extra={
                "password": APPLICATIONS,
                "request": {
                    "headers": {"Authorization": f"Bearer {APPLICATIONS}"},
                    "cookies": [APPLICATIONS],
                },
                "body": json.dumps({"api_key": APPLICATIONS, "order": 7}),
                "author": "readable",
            },
            stack_info=True,
        )


def connect(password: str) -> None:
    raise ValueError(f"cannot connect with password={password!r}")


@pytest.mark.parametrize("redact", [True, ["author"], False])
def test_s07_the_applications_secrets_are_taken_out(eventlog_console: Any, redact: Any) -> None:
    """By name and by form, in every text of the event; ``redact`` adds names, or turns it off."""
    handlers = [
        eventlog_handlers.CMSHandler(requests_per_second=None, redact=redact),
        eventlog_handlers.GuanceHandler(requests_per_minute=None, redact=redact),
        eventlog_handlers.CloudWatchEventsHandler(redact=redact),
    ]
    for handler in handlers:
        log_secrets(handler)
        assert handler.flush(30)
        handler.close()

    for service in SERVICES:
        (event,) = eventlog_console.events(service.name)
        text = json.dumps([event.body, event.stored], default=str)
        assert (APPLICATIONS in text) == (redact is False), service
        assert ("readable" in text) == (redact != ["author"]), service
        assert "login with password" in text


def broken(event: Any) -> Any:
    raise KeyError(APPLICATIONS)


@pytest.mark.parametrize(
    "hook",
    [
        broken,
        lambda event: "text",
        lambda event: True,
        lambda event: event._replace(logger=None),
        lambda event: event._replace(process_id=[]),
        lambda event: event._replace(code=tuple(event.code)),
        lambda event: event._replace(attributes=None),
    ],
    ids=["raises", "text", "True", "no logger", "an unhashable", "no Code", "no attributes"],
)
@pytest.mark.parametrize("redact", [True, False])
def test_s07_a_failing_hook_lets_no_raw_event_out(
    eventlog_console: Any, hook: Any, redact: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it was there to take out goes with all that may hold it; what happened where is still told."""
    handler = eventlog_handlers.CloudWatchEventsHandler(before_send=hook, redact=redact)
    log_secrets(handler)
    assert handler.flush(30)
    handler.close()

    (event,) = eventlog_console.events("cloudwatch")
    text = json.dumps(event.stored, default=str)
    assert APPLICATIONS not in text
    assert "readable" not in text
    assert "before_send" in text
    assert "ValueError" in text
    assert APPLICATIONS not in capsys.readouterr().err
    assert_law(handler.stats())


@given(
    st.sampled_from(["password", "dbPassword", "X-Api-Key", "aws_secret"]),
    st.integers(1, 5),
    st.text(max_size=5),
)
def test_s07_no_depth_hides_a_secret(name: str, depth: int, other: str) -> None:
    """Lists and dicts are walked to the end."""
    from eventlog_handlers.record.redact import redactor

    value: Any = {name: CANARY, other + "x": 1}
    for level in range(depth):
        value = [value] if level % 2 else {"in": value}

    assert_silent(repr(redactor().redact(make_event(attributes={"outer": value}))))


# ---- S9


HOSTILE = {
    "code": b'{"Code": "__import__(\'os\').system(\'true\')", "Message": "%s{0.__class__}"}',
    "deep": b"[" * 60_000,
    "numbers": b'{"Code": ' + b"9" * 6_000 + b', "code": 1e999, "FailedEntryCount": -1}',
    "types": b'{"Code": {"a": []}, "Message": 7, "code": null, "errorCode": [], "Entries": {"0": 1}}',
    "entries": b'{"FailedEntryCount": 0, "Entries": [null, 7, {"EventId": {}}]}',
    "controls": b'{"Code": "\\u001b[2J\\r\\nforged", "message": "\\u202e\\u0000"}',
    "no text": bytes(range(256)) * 200,
    "empty": b"",
    "null": b"null",
    "entity": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
}


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("answer", HOSTILE)
def test_s09_a_hostile_answer_is_data(
    service: Service, answer: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """It delivers nothing it doesn't prove, breaks nothing, and stands on stderr as one printable line."""
    with (
        Backend(service, Reply(HOSTILE[answer], status)) as backend,
        by_hand(service, backend.url) as stepped,
    ):
        stepped.log("one")
        stepped.send_once()
        after_one = stepped.handler.stats()
        final = stepped.settle()

    assert after_one["delivered"] == 0
    assert_law(final)
    assert final["pending"] == 0
    if not final["dropped"]:
        assert [event.message for event in backend.processed] == ["one"]
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("eventlog_handlers: ") and line.isprintable() for line in lines), lines
    assert all(len(line) < 600 for line in lines)


@pytest.mark.parametrize("service", HTTP, ids=repr)
def test_s09_headers_without_end_are_not_read_to_the_end(service: Service) -> None:
    """A server that sends headers for ever is cut off, and the event waits."""
    flood = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(20_000)) + b"\r\n"
    with Backend(service, Reply(raw=flood, close=True)) as backend, by_hand(service, backend.url) as stepped:
        stepped.log("one")
        stepped.send_once()
        between = stepped.handler.stats()
        final = stepped.settle()

    assert (between["pending"], between["delivered"]) == (1, 0)
    assert [event.message for event in backend.processed] == ["one"]
    assert_law(final)


# ---- S10


def test_s10_names_of_extras_are_only_names(eventlog_console: Any) -> None:
    """None reaches an attribute of ours, however it is called or however long it is."""
    names = [
        "__class__", "__init__", "__dict__", "__reduce__", "constructor", "__proto__", "toString", "id",
        "time", "level", "fingerprint_", "count", "message_", "{0.__class__}", "%(name)s", "$ref",
        "../../etc",
        "k" * 100_000,
        "", " ", "\x00", "\ud800",
    ]  # fmt: skip
    extras = {name: f"value of {name[:20]!r}" for name in names}
    handlers = [
        eventlog_handlers.CMSHandler(requests_per_second=None, event_name="{logger}"),
        eventlog_handlers.GuanceHandler(requests_per_minute=None),
        eventlog_handlers.CloudWatchEventsHandler(),
    ]
    log = logging.Logger("shop")
    for handler in handlers:
        log.addHandler(handler)

    log.error("names", extra=extras)
    settled = [handler.flush(30) for handler in handlers]

    assert settled == [True] * 3
    assert not list(eventlog_console.refused())
    assert len(eventlog_console.events()) == 3
    for handler in handlers:
        assert handler.stats()["delivered"] == 1
        handler.close()


# ---- S11


def test_s11_one_dependency_and_no_way_to_run_what_came_over_the_wire() -> None:
    """requests alone is needed; nothing of ours evaluates, unpickles or shells out."""
    project = (PACKAGE.parent / "pyproject.toml").read_text("utf-8")
    (needed,) = re.findall(r"^dependencies = \[(.*)\]$", project, re.M)

    assert re.fullmatch(r'"requests>=[\d.]+"', needed)
    forbidden = r"\beval\(|\bexec\(|\bpickle\b.*load|marshal\.|shell=True|os\.system|yaml\.load\("
    for path in PACKAGE.rglob("*.py"):
        assert not re.search(forbidden, path.read_text("utf-8")), path
