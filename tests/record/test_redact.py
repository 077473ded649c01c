"""Secrets leave an event by the name they go under and by the form they have; what is readable stays so."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog_handlers.events import Event, ExceptionText
from eventlog_handlers.record.redact import Redactor
from eventlog_handlers.record.secret_forms import REDACTED
from eventlog_handlers.testing import make_event

REDACTOR = Redactor()

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
AWS_ID = "AKIAIOSFODNN7EXAMPLE"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ALIBABA_ID = "LTAI5tFAKEFAKEFAKEFAKE00"
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,12AB\n\n"
    "MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn\n/ygWyF8PbnGy0AHB7MaA+g==\n-----END RSA PRIVATE KEY-----"
)


# ---- names


@pytest.mark.parametrize(
    "name",
    [
        "password", "dbPassword", "DB_PASSWORD", "userpassword", "passwords", "passwd", "mysql_pwd", "pwd",
        "passphrase", "secret", "client_secret", "clientSecret", "aws_secret", "AWS_SECRET_ACCESS_KEY",
        "api_key", "apiKey", "APIKey", "apikey", "X-Api-Key", "DF-API-KEY", "df_api_key", "OPENAI_APIKEY",
        "access_key", "accesskey", "AccessKeyId", "private_key", "privatekey", "secretkey", "signing_key",
        "auth", "x-auth", "oauth", "authorization", "Proxy-Authorization", "credentials", "credential",
        "token", "access_token", "authtoken", "X-Amz-Security-Token", "jwt", "bearer", "cookie", "Set-Cookie",
        "session", "session_id", "sessionid", "user_session", "PHPSESSID", "connect.sid", "csrf",
        "_csrf_token", "csrfmiddlewaretoken", "XSRF-TOKEN", "aiohttp_session", "pass", "DB_PASS", "dbPass",
        "smtp-pass", "DBPASS", "userpass",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    """In whatever style they are written."""
    event = make_event(attributes={name: "hunter2", "order": {"deep": [{name: "hunter2"}]}})

    redacted = REDACTOR.redact(event)

    assert redacted.attributes == {name: REDACTED, "order": {"deep": [{name: REDACTED}]}}
    assert "hunter2" not in REDACTOR.text(f"{name}='hunter2'")


@pytest.mark.parametrize(
    "name",
    [
        "author", "authors", "authority", "monkey", "keyboard", "key", "keys", "primary_key", "public_key",
        "tokenizer", "token_count", "token_type", "tokenized", "secretary", "secret_name", "cookiecutter",
        "password_length", "session_count", "possession", "passenger", "compass", "side", "cwd", "ip_address",
        "user", "sort_key", "idempotency", "order", "basic", "signature", "certificate", "bypass",
        "first_pass",
        "low-pass", "byPass", "pass_rate", "passed", "passes", "passport", "underpass", "pass_count",
    ],
)  # fmt: skip
def test_names_that_only_look_so(name: str) -> None:
    """Words count, not letters; and what a name tells about a secret is none."""
    event = make_event(attributes={name: "readable"})

    assert REDACTOR.redact(event) == event
    assert REDACTOR.text(f"{name}=readable") == f"{name}=readable"


@pytest.mark.parametrize("value", [None, True, False])
def test_yes_no_and_nothing_are_no_secrets(value: Any) -> None:
    """``{"password": None}`` tells why the login failed."""
    event = make_event(attributes={"password": value})

    assert REDACTOR.redact(event) == event


def test_passes_are_counted_and_passwords_are_not() -> None:
    """``pass: 12, fail: 3`` is the report of a test; a number after ``DB_PASS`` may be a password."""
    assert REDACTOR.text("pass: 12, fail: 3") == "pass: 12, fail: 3"
    assert REDACTOR.text("DB_PASS=123456") == f"DB_PASS={REDACTED}"
    event = make_event(attributes={"pass": 12, "db_pass": 123456})
    assert REDACTOR.redact(event).attributes == {"pass": 12, "db_pass": REDACTED}


def test_a_number_under_a_plural_counts_them() -> None:
    """``{"tokens": 512}`` is a measure, ``{"token": 512}`` may be a code."""
    event = make_event(attributes={"max_tokens": 512, "token": 512, "tokens": ["abc"]})

    assert REDACTOR.redact(event).attributes == {"max_tokens": 512, "token": REDACTED, "tokens": REDACTED}
    assert REDACTOR.text("max_tokens=512 token=512") == f"max_tokens=512 token={REDACTED}"


@pytest.mark.parametrize("given", ["credit_card", "creditCard", "Credit-Card", "CREDIT CARD"])
def test_names_of_the_users_own(given: str) -> None:
    """One spelling stands for all, and for longer names; never for a part of a word."""
    redactor = Redactor([given, "pin"])

    for name in ("credit_card", "creditCard", "CREDITCARD", "customer-credit-card-2", "creditcards", "pin"):
        assert redactor.is_secret(name), name
    for name in ("credit", "card", "shipping", "opinion"):
        assert not redactor.is_secret(name), name
    assert redactor.text("credit_card=4000 pin: 1234") == f"credit_card={REDACTED} pin: {REDACTED}"


def test_headers_kept_as_pairs_are_read_as_such() -> None:
    """WSGI and ASGI keep them in a list."""
    event = make_event(attributes={"headers": [["Host", "x"], ["Authorization", "Digest abc"]]})

    assert REDACTOR.redact(event).attributes == {"headers": [["Host", "x"], ["Authorization", REDACTED]]}


# ---- texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"key {AWS_ID}.", "key [redacted]."),
        ("ASIAIOSFODNN7EXAMPLE", "[redacted]"),
        (f"id={ALIBABA_ID}", "id=[redacted]"),
        ("STS.NUgYrLnoC37mZZCNnAbez3Kz", "[redacted]"),
        (f"got {JWT}, expired", "got [redacted], expired"),
        (
            f"key {PEM} loaded",
            "key -----BEGIN RSA PRIVATE KEY-----[redacted]-----END RSA PRIVATE KEY----- loaded",
        ),
        (repr(PEM), "'-----BEGIN RSA PRIVATE KEY-----[redacted]-----END RSA PRIVATE KEY-----'"),
        (
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w… [cut]",
            "-----BEGIN PRIVATE KEY-----[redacted]… [cut]",
        ),
        ("Authorization: Bearer abc.def-1", "Authorization: Bearer [redacted]"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [redacted]"),
        (
            "Authorization: AWS4-HMAC-SHA256 Credential=x/2026, Signature=ab\nHost: y",
            "Authorization: [redacted]\nHost: y",
        ),
        ("{'Authorization': 'Digest username=\"a\"'}", "{'Authorization': '[redacted]'}"),
        ("(b'authorization', b'Bearer a1b2c3d4')", "(b'authorization', b'Bearer [redacted]')"),
        ("sent Bearer a1b2c3d4e5", "sent Bearer [redacted]"),
        ("Bearer password='hunter2'", "Bearer password='[redacted]'"),
        ("Bearer dbPassword: hunter2", "Bearer dbPassword: [redacted]"),
        ("Basic dbPassword = 'hunter2'", "Basic dbPassword = '[redacted]'"),
        ("Basic apiKey=hunter2 x", "Basic apiKey=[redacted] x"),
        ("Bearer s3cr3t-token: rejected", "Bearer [redacted]: rejected"),
        ("Basic dXNlcjpwYXNzd29yZGtleQkey= next", "Basic [redacted] next"),
        ("f('Basic aQkey=', 'b')", "f('Basic [redacted]', 'b')"),
        ('Basic token=\\"hunter2\\"', 'Basic token=\\"[redacted]\\"'),
        ("basic --dbPassword hunter2", "basic --dbPassword [redacted]"),
        ("'Bearer QWxhZGRpbjpvcGVu='", "'Bearer [redacted]'"),
        ('{"a": "Basic QWxhZGRp="}', '{"a": "Basic [redacted]"}'),
        ("Cookie: a=b; c=d\nHost: y", "Cookie: [redacted]\nHost: y"),
        ("postgres://bob:p%40ss@db/x", "postgres://bob:[redacted]@db/x"),
        ("redis://:p@ss/w0rd@cache:6379/0", "redis://:[redacted]@cache:6379/0"),
        ("password=hunter2", "password=[redacted]"),
        ("pwd=hunter2;Server=x", "pwd=[redacted];Server=x"),
        ("GET /x?token=abc&page=2", "GET /x?token=[redacted]&page=2"),
        ("login(user='bob', password='hun\\'ter2')", "login(user='bob', password='[redacted]')"),
        ('{"password": "hun\\"ter2", "user": "bob"}', '{"password": "[redacted]", "user": "bob"}'),
        ('{\\"password\\": \\"hunter2\\"}', '{\\"password\\": \\"[redacted]\\"}'),
        ("password: hunter2", "password: [redacted]"),
        ("token: ghp_a1b2c3d4e5f6", "token: [redacted]"),
        ("credentials={'user': 'x', 'id': 'y'}", "credentials={[redacted]}"),
        ("form[password]=hunter2", "form[password]=[redacted]"),
        ("sort_key=password:hunter2", "sort_key=password:[redacted]"),
        (f"aws_secret_access_key = {AWS_SECRET}", "aws_secret_access_key = [redacted]"),
        ("['mysql', '--password', 'hunter2', '-u']", "['mysql', '--password', '[redacted]', '-u']"),
        ("mysql --db-password hunter2 -u x", "mysql --db-password [redacted] -u x"),
        ("https://s3/x?X-Amz-Signature=abc&v=1", "https://s3/x?X-Amz-Signature=[redacted]&v=1"),
        ("İ password=hunter2", "İ password=[redacted]"),
        ("user: bob pass: hunter2", "user: bob pass: [redacted]"),
        ("password    = hunter2\nuser        = bob", "password    = [redacted]\nuser        = bob"),
        ("DB_PASS          :   hunter2", "DB_PASS          :   [redacted]"),
        (f"push with ghp_{'aB3' * 12} failed", "push with [redacted] failed"),
        (f"github_pat_{'aB3_' * 20}", "[redacted]"),
        ("bot xoxb-123456789012-abcdefGHIJKL", "bot [redacted]"),
        ("xoxe.xoxp-1-Mi0yLTEyMzQ1Njc4OTA", "[redacted]"),
        ("key sk-proj-abcDEF123456ghijkl_mnop", "key [redacted]"),
        ("sk-ant-api03-abcdefghijklmnop", "[redacted]"),
        ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "[redacted]"),
        ("glpat-aBcDeFgHiJkLmNoPqRsT", "[redacted]"),
        ("https://maps/x?k=AIzaSyA1234567890abcdefghijklmnopqrstu&v=3", "https://maps/x?k=[redacted]&v=3"),
        ("ya29.a0AfH6SMBx-1234567890abcdef", "[redacted]"),
        ("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", "[redacted]"),
        ("npm_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789", "[redacted]"),
        (
            "POST https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX: 404",
            "POST https://hooks.slack.com/services/[redacted] 404",
        ),
        (
            "https://discord.com/api/webhooks/123456789/abc-DEF_ghi failed",
            "https://discord.com/api/webhooks/[redacted] failed",
        ),
        (
            "https://open.feishu.cn/open-apis/bot/v2/hook/0f2b2b3c-aaaa-bbbb-cccc-1234567890ab",
            "https://open.feishu.cn/open-apis/bot/v2/hook/[redacted]",
        ),
        (
            "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=0f2b2b3c-aaaa-bbbb",
            "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=[redacted]",
        ),
        (
            "https://oapi.dingtalk.com/robot/send?access_token=0123abcd",
            "https://oapi.dingtalk.com/robot/send?access_token=[redacted]",
        ),
        (
            "https://api.telegram.org/bot123456:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/sendMessage",
            "https://api.telegram.org/bot[redacted]",
        ),
    ],
)  # fmt: skip
def test_secrets_in_texts(text: str, expected: str) -> None:
    """Only the secret goes; what stands around it stays."""
    assert REDACTOR.text(text) == expected
    assert REDACTOR.text(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "order 7 of C-7 failed", "Asia/Shanghai", "a.b.c", "KeyError: 'missing'", "http://host:8080/x@y",
        "http://host/path", "mail bob@example.com", "unexpected token: else", "auth: accepted",
        "session: closed",
        "Basic authentication failed", "bearer token missing", "password=%s token={} secret=%(secret)s",
        "password=password, x=self.password", "if token == expected: pass", "token != x", "password=None",
        "def login(user: str, password: str) -> bool:", "usage: [--token TOKEN]", "author=bob monkey=see",
        "-----BEGIN PRIVATE KEY-----", "-----BEGIN CERTIFICATE-----\nMIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn",
        "password=***", "password=", "password:", "eyJ", "AKIA", "2026-11-20 session 42", "STS.Client",
        "max_tokens=512, tokens: 3", "first pass: done", "task-force-sk-learn-and-more-words", "sk-SK",
        "xox-movement", "https://hooks.slack.com/", "github_pattern", "AIza", "npm_install", "mypass is fine",
        "bypass=on", "key   = value", "msg.split()",
    ],
)  # fmt: skip
def test_readable_texts_stay(text: str) -> None:
    """A report nobody can read protects nobody."""
    assert REDACTOR.text(text) == text


def test_source_lines_of_a_traceback_are_code() -> None:
    """There only literals hold values; the line of the exception is no source line."""
    text = (
        "Traceback (most recent call last):\n"
        '  File "shop.py", line 3, in login\n'
        "    token = lexer.next(password=pw)\n"
        '  File "shop.py", line 4, in login\n'
        '    connect(password="hunter2")\n'
        "ValueError: password=hunter2"
    )

    redacted = REDACTOR.text(text, is_traceback=True)

    assert redacted == text.replace("hunter2", REDACTED)


def test_every_text_of_an_event_is_looked_at() -> None:
    """Wherever the application may have put it."""
    secret = f"x {AWS_ID} y"
    event = make_event(
        secret,
        template=secret,
        logger=secret,
        thread_name=secret,
        event_name=secret,
        group_id=secret,
        detail_type=secret,
        stack=secret,
        exception=ExceptionText("ValueError", secret, secret, ("ValueError",)),
        attributes={"a": secret, "b": [secret], "c": {secret: 1, f"x {AWS_ID[:-1]}A y": 2}},
        tags={"d": secret, "api_key": "abc"},
        resources=(secret,),
        defects=(secret,),
    )

    redacted = REDACTOR.redact(event)

    assert "AKIA" not in json.dumps(redacted.to_json())
    assert redacted.attributes["c"] == {"x [redacted] y": 1, "x [redacted] y_2": 2}
    assert redacted.tags["api_key"] == REDACTED
    assert (redacted.id, redacted.time, redacted.fingerprint) == (event.id, event.time, event.fingerprint)
    assert event.message == secret


def test_an_event_without_secrets_stays_equal() -> None:
    """Redaction invents nothing."""
    event = make_event(attributes={"a": [1, "x", None, {"b": 2.5}]}, tags={"team": "shop"})

    assert REDACTOR.redact(event) == event


PIECES = [
    "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "eyJ", "eyJaaaaaaaaa.", "eyJaaaaaaaa.bbbbb.", "AKIA",
    "LTAI", "STS.", "Bearer ", "Bearer a", "basic a-", "://a:", "://a:b", "://", "http://a:b@c ", "token",
    "token=",
    "token:", "key", "key=", 'password="', "password='", 'password=\\"', "password=a ", "password=a.",
    "--password ", "--token x ", "secret=[", "secret=(", "authorization: ", "cookie: [redacted", "a", "_",
    "-", '  File "x", line 1\n    token=x\n', "?Signature=", "auth\t\t\t", "[redacted]", "\n", " ", "=",
    ":", "@", '"', "é",
]  # fmt: skip


@given(
    st.lists(st.sampled_from([*PIECES, "hunter2", JWT, AWS_ID, "x", "1", "'", "]", ")", ","]), max_size=12)
)
def test_redacting_twice_changes_nothing_more(pieces: list[str]) -> None:
    """What was redacted is left alone, so a text may pass several times."""
    once = REDACTOR.text("".join(pieces))
    twice = REDACTOR.text(once)

    assert REDACTOR.text(twice) == twice
    assert len(twice) <= len(once) + 40


@given(st.text(max_size=200))
def test_any_text_survives(text: str) -> None:
    """Never an exception, whatever the characters."""
    REDACTOR.text(text)
    REDACTOR.text(text, is_traceback=True)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.dictionaries(st.text(max_size=10), _JSON, max_size=4),
    st.sampled_from(["password", "apiKey", "x-token"]),
)
def test_no_value_of_a_secret_name_survives_at_any_depth(extras: dict[str, Any], name: str) -> None:
    """Wherever in the extras it stands; and nothing else is lost."""
    secret = "canary-9d1f"
    event = make_event(attributes={**extras, "nested": [{"deep": {name: {"a": [secret]}}}], name: secret})

    redacted = REDACTOR.redact(event)

    assert secret not in json.dumps(redacted.to_json())
    assert len(redacted.attributes) == len(event.attributes)


# ---- when before_send fails


def test_what_is_withheld_holds_no_value_that_came_with_the_event() -> None:
    """Position, level and types stay; texts that hold values go."""
    event = make_event(
        "card 4000 1234 5678 9010 of bob@example.com refused, password=hunter2",
        exception=ExceptionText(
            "ValueError",
            "bob",
            'Traceback (most recent call last):\n  File "shop.py", line 3, in pay\n    pay("bob")\n'
            "ValueError: bob",
            ("ValueError",),
        ),
        stack="bob",
        attributes={"name": "bob"},
        event_name="bob",
        detail_type="bob",
        resources=("bob",),
        defects=("name: bob",),
    )

    withheld = REDACTOR.withheld(event, "before_send raised KeyError")

    assert withheld.message == withheld.template == "card # # # # of # refused, password=[redacted]"
    assert withheld.exception == ExceptionText(
        "ValueError", "", '  File "shop.py", line 3, in pay\nValueError', ("ValueError",)
    )
    assert withheld.defects == ("before_send raised KeyError",)
    assert "bob" not in json.dumps(withheld.to_json())
    kept: list[str] = ["id", "time", "level", "logger", "fingerprint", "code", "service", "tags"]
    assert [getattr(withheld, name) for name in kept] == [getattr(event, name) for name in kept]
    assert isinstance(withheld, Event)
