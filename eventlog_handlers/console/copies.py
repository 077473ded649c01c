"""Turns an event or a request into text to copy: a curl command, an assertion of a pytest test. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from eventlog_handlers.console.records import Exchange, StoredEvent, StoredRequest
from eventlog_handlers.settings.local_console import (
    CONSOLE_AWS_ACCESS_KEY_ID,
    CONSOLE_AWS_SECRET_ACCESS_KEY,
)

_NOT_SENT_AGAIN = frozenset(
    ("host", "content-length", "connection", "accept-encoding", "user-agent", "transfer-encoding", "expect")
)


def as_curl(request: StoredRequest, exchange: Exchange, url: str) -> str:
    """A command that makes the call again at *url*, the console's own address.

    PutEvents is signed anew by curl with the stand-in's key. A call of CMS is repeated as it was: its nonce
    is spent, and the answer says so. Bytes that no shell can hold are left to printf.
    """
    headers = dict(exchange.headers)
    words = ["curl", "-sS", "-X", request.method]
    left_out = set(_NOT_SENT_AGAIN)
    if request.service == "cloudwatch":
        region = _region(headers.get("authorization", ""))
        words += ["--aws-sigv4", f"aws:amz:{region}:events"]
        words += ["--user", f"{CONSOLE_AWS_ACCESS_KEY_ID}:{CONSOLE_AWS_SECRET_ACCESS_KEY}"]
        left_out |= {"authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"}
        left_out |= {"amz-sdk-invocation-id", "amz-sdk-request"}
    for name, value in exchange.headers:
        if name not in left_out:
            words += ["-H", f"{name}: {value}"]
    target = f"{url}{request.path}" + (f"?{exchange.query}" if exchange.query else "")
    prefix = ""
    if exchange.body:
        text = _printable(exchange.body)
        words += ["--data-binary", "@-" if text is None else text]
        if text is None:
            prefix = f"printf '{''.join(f'{chr(92)}{byte:03o}' for byte in exchange.body)}' | "
    return prefix + shlex.join([*words, target])


def as_pytest(event: StoredEvent, facts: Mapping[str, Any]) -> str:
    """A test that asserts that such an event arrives, with the fixture ``eventlog_console``."""
    checks = [("event.title", event.title), ("event.status", event.status)]
    checks += [("event.heading", event.heading)]
    checks += [(f"event.{name}", facts[name]) for name in ("logger", "exception") if facts[name]]
    lines = [
        "def test_the_event_arrives(eventlog_console):",
        "    ...  # what the application does",
        "",
        f"    (event,) = eventlog_console.wait_for(1, service={event.service!r})",
        *(f"    assert {name} == {value!r}" for name, value in checks),
    ]
    return "\n".join(lines) + "\n"


def as_json(event: StoredEvent) -> str:
    """The event as the service hands it on."""
    try:
        return json.dumps(event.stored, indent=2, ensure_ascii=False)
    except RecursionError:  # nested a thousand levels: indented, it could not be read anyway
        return ""


def _region(authorization: str) -> str:
    parts = authorization.partition("Credential=")[2].split("/")
    return parts[2] if len(parts) > 4 and parts[2].replace("-", "").isalnum() else "us-east-1"


def _printable(body: bytes) -> str | None:
    """*body* as text for a shell; None if it is none, or holds characters that a terminal acts on."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    plain = text.replace("\n", "").replace("\t", "").replace("\r", "")
    return text if plain.isprintable() or plain == "" else None
